"""Every endpoint that the server serves, asked as every identity: the oracles have to agree on who is let in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.model import Verdict

if TYPE_CHECKING:
    from conformance.model import Cell
    from conformance.plan import Row


def test_access(endpoint: Row, cells: tuple[Cell, ...], request: pytest.FixtureRequest) -> None:
    """The verdicts were made before this body runs: it reports each identity whose cell failed."""
    failing = [cell for cell in cells if cell.verdict is Verdict.FAIL]
    if failing:
        subtests: pytest.Subtests = request.getfixturevalue("subtests")
        for cell in failing:
            with subtests.test(msg=cell.identity):
                pytest.fail(f"{endpoint.id} as {cell.identity}: {cell.note}", pytrace=False)
