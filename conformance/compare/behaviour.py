"""Behaviour: checks, expectations and cells of two runs whose verdict changed; and how long answers took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.compare import differs
from conformance.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Difference
    from conformance.moments import Moment

KIND = "behaviour"
_BROKEN = frozenset({Verdict.FAIL, Verdict.ERROR})
_SEVERITY = {"MUST": "high", "SHOULD": "high", "INFO": "low"}
_EXPECTATION = "EXPECTATION"
_SLOWER = 2.0


def differences(before: Moment, after: Moment) -> Iterator[Difference]:
    """Compare the verdicts of two runs."""
    old, new = before.matrix, after.matrix
    if old is None or new is None:
        return
    known = {(it.id, it.resource, it.identity): it for it in old.checks}
    for check in new.checks:
        was = known.get((check.id, check.resource, check.identity))
        if was is None or was.verdict is check.verdict:
            continue
        subject = f"{check.id}|{check.resource}" + (f"[{check.identity}]" if check.identity else "")
        expected = check.id == _EXPECTATION
        if check.verdict in _BROKEN:
            change = "expectation-failed" if expected else "check-failed"
            severity = "high" if expected else _SEVERITY.get(check.level, "high")
        elif was.verdict in _BROKEN:
            change, severity = ("expectation-met" if expected else "check-passed"), "info"
        else:
            change, severity = "check-changed", "medium" if check.verdict is Verdict.NOT_EVALUATED else "low"
        yield differs(
            change,
            subject,
            KIND,
            severity,
            f"{check.id} on {check.resource} was {was.verdict} and is {check.verdict}: {check.note}",
            before=was.verdict,
            after=check.verdict,
            identity=check.identity,
            endpoint=check.endpoints[0] if check.endpoints else "",
        )
    cells = {(cell.endpoint, cell.identity): cell.verdict for cell in old.cells}
    for cell in new.cells:
        verdict = cells.get((cell.endpoint, cell.identity))
        if verdict is not None and verdict not in _BROKEN and cell.verdict in _BROKEN:
            yield differs(
                "cell-failed",
                cell.subject,
                KIND,
                "high",
                f"the oracles agreed on {cell.endpoint} as {cell.identity}, and do not now: {cell.note}",
                before=verdict,
                after=cell.verdict,
                endpoint=cell.endpoint,
                identity=cell.identity,
            )
    yield from _timing(before, after)


def _timing(before: Moment, after: Moment) -> Iterator[Difference]:
    """Say how long a request took on average, where both runs asked enough for that to mean something."""
    each = []
    for moment in (before, after):
        run = moment.matrix.run if moment.matrix else None
        each.append(run.seconds / run.sent * 1000 if run is not None and run.sent else 0.0)
    was, now = each
    if was and now and max(was, now) / min(was, now) > _SLOWER:
        yield differs(
            "timing",
            "run",
            "timing",
            "info",
            "the run's seconds for each request changed",
            before=f"{was:.1f} ms",
            after=f"{now:.1f} ms",
        )
