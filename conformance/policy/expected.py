"""Expectations held against a moment: each line that does not hold is a failure that the gate knows by its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import expectations
from conformance.compare import differs
from conformance.expectations import judging
from conformance.model import Verdict
from conformance.rbac.served import Served

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Difference
    from conformance.moments import Moment


def failing(file: Path, moment: Moment) -> tuple[Difference, ...]:
    """Hold each line of a file; what can't be told fails as well."""
    if moment.matrix is not None:
        cells = judging.AskedCells(moment.matrix.endpoints, moment.matrix.cells, moment.matrix.run.namespaces)
        ground = judging.of_run(moment.snapshot, moment.matrix.identities, cells)
    else:
        ground = judging.without_run(moment.snapshot.rbac, Served.of(moment.snapshot.catalog))
    results = [judging.judge(line, ground) for line in expectations.load(file)]
    return tuple(
        differs(
            "expectation-failed" if it.verdict is Verdict.FAIL else "unknown",
            f"EXPECTATION|{it.resource}",
            "behaviour",
            "high",
            f"{it.resource}: {it.note}",
            after=it.verdict,
            identity=it.identity,
        )
        for it in results
        if it.verdict is not Verdict.PASS
    )
