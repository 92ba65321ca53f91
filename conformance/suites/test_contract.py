"""Every check of the API contract, asked of each resource that it applies to: the server has to keep its word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.model import CheckResult
    from conformance.scripts import Planned


def test_contract(contract: Planned, result: CheckResult, accepted: Callable[[str], str]) -> None:
    """The verdict was made before this body runs: it reports a promise that was not kept."""
    if result.verdict is Verdict.FAIL:
        if why := accepted(f"check-failed:{result.id}|{result.resource}"):
            pytest.xfail(why)
        pytest.fail(f"{result.level} {contract.id}: {result.note}", pytrace=False)
