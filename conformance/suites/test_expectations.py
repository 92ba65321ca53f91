"""Every line of the user's expectations: what is allowed has to be what was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.model import Verdict

if TYPE_CHECKING:
    from conformance.expectations import Expectation
    from conformance.model import CheckResult


def test_expectations(expectation: Expectation, expected: CheckResult) -> None:
    """The verdict was made before this body runs, from the cells that were asked and from the rules."""
    if expected.verdict is Verdict.FAIL:
        pytest.fail(f"{expectation.id}: {expected.note}", pytrace=False)
