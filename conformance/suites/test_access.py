"""Every endpoint that the server serves, asked as every identity: the oracles have to agree on who is let in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.model import Cell
    from conformance.plan import Row


def test_access(
    endpoint: Row, cells: tuple[Cell, ...], accepted: Callable[[str], str], request: pytest.FixtureRequest
) -> None:
    """The verdicts were made before this body runs: it reports each identity whose cell failed."""
    failing = [cell for cell in cells if cell.verdict is Verdict.FAIL]
    whys = [accepted(f"cell-failed:{cell.subject}") for cell in failing]
    if failing and all(whys):
        pytest.xfail("; ".join(dict.fromkeys(whys)))
    failing = [cell for cell, why in zip(failing, whys, strict=True) if not why]
    if failing:
        subtests: pytest.Subtests = request.getfixturevalue("subtests")
        for cell in failing:
            with subtests.test(msg=cell.identity):
                pytest.fail(f"{endpoint.id} as {cell.identity}: {cell.note}", pytrace=False)
