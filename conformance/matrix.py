"""A saved run -> the matrix: every row judged, whatever changed meanwhile asked for, one value for all reports.

Needs no cluster and no HTTP: a run can be judged and rendered again anywhere.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from conformance import contract, expectations, proofs
from conformance.expectations import judging
from conformance.judge import Judge, unasked
from conformance.model import Cell, Identity, Matrix, Outcome, Review, RunInfo, Verdict
from conformance.oracles.rules import Rules
from conformance.risks import inrun
from conformance.risks.severity import at_least
from conformance.scripts import Ending, Planned, subjects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from conformance.model import Attributes, CheckResult, Decision, Endpoint, Finding, Rbac
    from conformance.plan import Row
    from conformance.store import SavedRun, StoredRow


_NONE: Mapping[str, CheckResult] = MappingProxyType({})


class _Settled:
    """The rules before and after the probes; a cell for which they differ is judged by its second asking."""

    def __init__(self, before: Rules, after: Rules) -> None:
        self._before, self._after = before, after

    def changed(self, identity: Identity, attributes: Attributes) -> bool:
        return self._before.decide(identity, attributes).answer is not self._after.decide(identity, attributes).answer

    def decide(self, identity: Identity, attributes: Attributes) -> Decision:
        return self._after.decide(identity, attributes)


def changed_rows(before: Rbac, after: Rbac, identities: Iterable[Identity], rows: Iterable[Row]) -> list[Row]:
    """List the rows of which some cell is decided otherwise by the rules now."""
    if after == before:
        return []
    settled = _Settled(Rules(before), Rules(after))
    known = [identity for identity in identities if identity.expect == "authenticated"]
    return [row for row in rows if any(settled.changed(identity, row.attributes) for identity in known)]


def judged(
    saved: SavedRun,
    already: Mapping[str, tuple[Cell, ...]] | None = None,
    checked: Mapping[str, CheckResult] | None = None,
) -> Matrix:
    """Judge a saved run; rows and scripts that this process has judged `already` are not judged once more."""
    known = already or {}
    head, tail = saved.head, saved.tail
    rules = Rules(saved.snapshot.rbac)
    judge = Judge(head.identities, head.oracles, rules)
    settled = _Settled(rules, Rules(saved.after.rbac)) if saved.after else None
    judge_again = Judge(head.identities, head.oracles, settled) if settled else judge
    cells: list[Cell] = []
    endpoints = []
    asked = 0
    for stored in saved.rows(without_answers=known):
        row = stored.row
        if stored.again and settled is not None:
            first = len(cells) - len(head.identities)
            for position, identity in enumerate(head.identities):
                if identity.expect == "authenticated" and settled.changed(identity, row.attributes):
                    cells[first + position] = _anew(judge_again.cell(row, identity, stored.answers))
            continue
        endpoints.append(row.endpoint)
        if not stored.asked:
            why = f"not asked: {tail.interrupted or 'beyond --max-requests'}"
            cells.extend(unasked(row, identity, why) for identity in head.identities)
            continue
        asked += len(head.identities)
        cells.extend(known.get(row.id) or judge.row(row, stored.answers))
    findings, accepted = dangers(saved, endpoints)
    found = (*checks(saved, checked or {}), *expected(saved, endpoints, cells), *accepted)
    # Of whom another has the same rules and was asked, no more is wanted than what they say.
    alike = {it.name for it in head.identities if it.alike}
    verdicts = {each.verdict for each in cells if each.identity not in alike} | {each.verdict for each in found}
    incomplete = bool(verdicts & {Verdict.ERROR, Verdict.NOT_EVALUATED})
    info = RunInfo(
        id=head.id,
        started_at=head.started_at,
        seconds=tail.seconds,
        mode=head.mode,
        complete=not incomplete and not tail.interrupted,
        selection=head.selection,
        oracles=head.oracles,
        namespaces=head.namespaces,
        planned=tail.planned,
        asked=asked,
        tool="kube-conformance",
        tool_version=head.tool_version,
        sent=tail.sent,
        retried=tail.retried,
        failed=tail.failed,
        provider=head.provider,
        server_version=head.server_version,
        server=head.server,
        again=head.again,
        fail_on=head.fail_on,
    )
    paths = proofs.paths(saved, found).to_admin()
    return Matrix(info, head.identities, tuple(endpoints), tuple(cells), found, findings, paths=paths)


def dangers(saved: SavedRun, endpoints: Iterable[Endpoint]) -> tuple[tuple[Finding, ...], tuple[CheckResult, ...]]:
    """Give what is dangerous in the roles and bindings that the run froze, but for what the user accepts."""
    head = saved.head
    return inrun.findings(
        saved.snapshot,
        inrun.risks_of(head.risks),
        endpoints=endpoints,
        namespaces=head.namespaces,
        identities=head.identities,
        accepted=head.exclusions,
        day=head.started_at,
    )


def planned(saved: SavedRun) -> list[Planned]:
    """List the scripts of a saved run."""
    world = saved.world
    if world is None:
        return []
    known = {subject.id: subject for subject in subjects(world)}
    # Of a stored script only its place in the plan is wanted here.
    every = {each.id: each for each in contract.planned(world)}
    stored = saved.scripts(without=every)
    return [every.get(it.id) or Planned(it.check, known[it.subject], it.number) for it in stored]


def checks(saved: SavedRun, checked: Mapping[str, CheckResult] = _NONE) -> tuple[CheckResult, ...]:
    """Give the results of the scripts, those that are known and those that are said again, then of idle checks."""
    world = saved.world
    if world is None:
        return ()
    asked_by = contract.asker(world.identities)
    known = {subject.id: subject for subject in subjects(world)}
    results = []
    # What gathers the answers of the whole run can be said at its end alone.
    said = {key: value for key, value in checked.items() if not contract.gathers(value.id)}
    departures = saved.tail.answers.get("problems", {})
    for stored in saved.scripts(without=said):
        planned = Planned(stored.check, known[stored.subject], stored.number)
        if stored.id in said:
            results.append(said[stored.id])
            continue
        if not contract.is_known(stored.check):
            results.append(contract.unknown(planned, asked_by))
            continue
        ended = Ending(Verdict.NOT_EVALUATED, f"not asked: {saved.tail.interrupted or 'beyond --max-requests'}")
        if stored.asked:
            ended = contract.replayed(planned, world, stored.exchanges)
        results.append(contract.result(planned, ended, asked_by, world.minor, departures))
    return (*results, *contract.idle(world, asked_by))


def expected(saved: SavedRun, endpoints: Iterable[Endpoint], cells: Iterable[Cell]) -> tuple[CheckResult, ...]:
    """Hold the lines of the run's expectations against what came out."""
    head = saved.head
    if not head.expectations:
        return ()
    snapshot = saved.after or saved.snapshot
    ground = judging.of_run(snapshot, head.identities, judging.AskedCells(endpoints, cells, head.namespaces))
    return tuple(judging.judge(expectations.restore(it), ground) for it in head.expectations)


def _anew(cell: Cell) -> Cell:
    note = "policy changed during the run; asked again"
    if cell.verdict is Verdict.FAIL:
        return replace(cell, verdict=Verdict.NOT_EVALUATED, note=f"policy changed: {cell.note}")
    return replace(cell, note=f"{note}; {cell.note}" if cell.note else note)


def exit_code(judged: Matrix, *, allow_partial: bool) -> int:
    """0 nothing failed and complete, else 1; where a gate has decided on the run, what it says."""
    if judged.gate is not None:
        return 0 if judged.gate.passed else 1
    if any(cell.verdict in {Verdict.FAIL, Verdict.ERROR} for cell in judged.cells):
        return 1
    if any(check.verdict in {Verdict.FAIL, Verdict.ERROR} for check in judged.checks):
        return 1
    if judged.run.fail_on and any(at_least(finding.severity, judged.run.fail_on) for finding in judged.findings):
        return 1
    return 0 if judged.run.complete or allow_partial else 1


class StoredEvidence:
    """The stored request and answers of a cell, for reports that show them.

    Rows are read from the file as they are asked for; whoever asks in the plan's order reads it once and holds one row.
    """

    def __init__(self, saved: SavedRun) -> None:
        self._saved = saved
        self._ahead: Iterator[StoredRow] = iter(())
        self._next: StoredRow | None = None
        self._here: StoredRow | None = None

    def exchange(self, endpoint_id: str, identity_name: str) -> dict[str, Any] | None:
        """Give request, answer and review of a cell, or None where nothing was sent."""
        stored = self._row(endpoint_id)
        if stored is None:
            return None
        found: dict[str, Any] = {}
        request = stored.row.request
        outcome = stored.answers.get((identity_name, "request", ""))
        if request is not None and isinstance(outcome, Outcome):
            found = {"method": request.method, "path": request.path, "query": [list(pair) for pair in request.query]}
            kind = next((value for name, value in request.headers if name.lower() == "content-type"), "")
            optional = {
                "type": kind,
                "body": request.body.decode() if request.body else "",
                "error": outcome.error,
                "message": outcome.message,
                "causes": list(outcome.causes),
                "warnings": list(outcome.warnings),
            }
            found |= {"status": outcome.status, "reason": outcome.reason}
            found |= {name: value for name, value in optional.items() if value}
        review = stored.answers.get((identity_name, "review", ""))
        if isinstance(review, Review):
            found["review"] = review.error or review.reason or review.evaluation_error
        return found or None

    def _row(self, wanted: str) -> StoredRow | None:
        if self._here is None or self._here.row.id != wanted:
            self._here = self._found(wanted)
            if self._here is None:  # it may lie behind: once more from the beginning
                self._ahead = self._saved.rows()
                self._next = next(self._ahead, None)
                self._here = self._found(wanted)
        return self._here

    def _found(self, wanted: str) -> StoredRow | None:
        while (stored := self._next) is not None:
            self._next = next(self._ahead, None)
            if stored.row.id == wanted:
                if self._next is not None and self._next.again and self._next.row.id == wanted:
                    return self._next  # what it was judged by
                return stored
        return None
