"""Every line of the user's expectations: what is allowed has to be what was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.expectations import Expectation
    from conformance.model import CheckResult


def test_expectations(expectation: Expectation, expected: CheckResult, accepted: Callable[[str], str]) -> None:
    """The verdict was made before this body runs, from the cells that were asked and from the rules."""
    if expected.verdict is Verdict.FAIL:
        if why := accepted(f"expectation-failed:{expected.id}|{expected.resource}"):
            pytest.xfail(why)
        pytest.fail(f"{expectation.id}: {expected.note}", pytrace=False)
