"""What a matrix comes to: counters, the verdict in one sentence, and the table of identity x API group.

Counted once here, so that no two formats can disagree.
"""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from conformance.model import Answer, Verdict
from conformance.report.text import count, display

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.model import Cell, CheckResult, Endpoint, Finding, Identity, Matrix, RunInfo

WORST_FIRST = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.NOT_EVALUATED,
    Verdict.INFO,
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
)
SEVERITIES = ("critical", "high", "medium", "low", "info")
PATHS = "(paths)"  # the group of the non-resource URLs in tables
CORE = "core"  # the name that tables give to the group ""


@dataclass(slots=True)
class Tally:
    """One square of a table: how many cells, how many of them allowed or named, and their verdicts."""

    cells: int = 0
    allowed: int = 0
    named: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)

    @property
    def worst(self) -> Verdict:
        """The worst verdict in the square."""
        return next((verdict for verdict in WORST_FIRST if self.verdicts[verdict]), Verdict.NOT_APPLICABLE)

    def add(self, cell: Cell) -> None:
        """Count one cell more."""
        self.cells += 1
        self.verdicts[cell.verdict] += 1
        if cell.effective is Answer.ALLOWED:
            self.allowed += 1
        elif cell.names:
            self.named += 1


def state(cell: Cell, identity: Identity) -> str:
    """How a cell is drawn: `allowed`, `named`, `denied`, `unknown`, with what must be said beside it.

    A cell with names is never plain denied: the right is there, for those names. The denials of a user whose groups
    nobody knows hold for the user's own bindings only.
    """
    if cell.names and cell.effective is not Answer.ALLOWED:
        return "named"
    if cell.effective is Answer.DENIED and not identity.groups_known:
        return "denied (own bindings only)"
    return str(cell.effective)


def verdicts(cells: Iterable[Cell | CheckResult]) -> dict[Verdict, int]:
    """How often each of the six verdicts was given, those at 0 included."""
    counted = Counter(cell.verdict for cell in cells)
    return {verdict: counted[verdict] for verdict in Verdict}


def group_of(endpoint: Endpoint) -> str:
    """The API group of a row as tables name it."""
    return PATHS if endpoint.path else endpoint.group or CORE


def table(matrix: Matrix) -> dict[str, dict[str, Tally]]:
    """Group -> identity -> square, both in plan order; a square without cells is missing."""
    groups = {endpoint.id: group_of(endpoint) for endpoint in matrix.endpoints}
    squares: dict[str, dict[str, Tally]] = {}
    for cell in matrix.cells:
        squares.setdefault(groups.get(cell.endpoint, "?"), {}).setdefault(cell.identity, Tally()).add(cell)
    return squares


def by_severity(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings of each severity, the worst first; only what occurs."""
    counted = Counter(finding.severity for finding in findings)
    known = [severity for severity in SEVERITIES if counted[severity]]
    return {severity: counted[severity] for severity in [*known, *sorted(set(counted) - set(known))]}


def failed(matrix: Matrix) -> bool:
    """Whether a cell or a check failed or broke."""
    bad = (Verdict.FAIL, Verdict.ERROR)
    return any(cell.verdict in bad for cell in matrix.cells) or any(check.verdict in bad for check in matrix.checks)


def headline(matrix: Matrix) -> tuple[str, str]:
    """`failed`, `partial` or `passed`, and the sentence that says why."""
    cells, checks = verdicts(matrix.cells), verdicts(matrix.checks)
    parts = [
        f"{count(cells[Verdict.FAIL], 'cell')} failed" if cells[Verdict.FAIL] else "",
        f"{count(checks[Verdict.FAIL], 'check')} failed" if checks[Verdict.FAIL] else "",
        f"{count(cells[Verdict.ERROR] + checks[Verdict.ERROR], 'error')}"
        if cells[Verdict.ERROR] + checks[Verdict.ERROR]
        else "",
        f"{cells[Verdict.NOT_EVALUATED]:,} not evaluated" if cells[Verdict.NOT_EVALUATED] else "",
    ]
    said = ", ".join(part for part in parts if part)
    total = f"{count(len(matrix.cells), 'cell')} of {count(len(matrix.identities), 'identity', 'identities')}"
    if failed(matrix):
        return "failed", f"{said} of {total}"
    if not matrix.cells and not matrix.checks:
        return "partial", "nothing was asked"
    if not matrix.run.complete:
        return "partial", f"the run is not complete: {said or 'it was interrupted'}, of {total}"
    return "passed", f"{total}" + (f", {said} for accepted reasons" if said else ", none failed")


def reproduce(run: RunInfo) -> str:
    """The command that does this run again, fit for a shell."""
    words = ["kube-conformance", "audit", *run.again]
    if run.selection:
        try:
            words += ["--", *shlex.split(run.selection)]
        except ValueError:
            words += ["--", run.selection]
    return shlex.join([display(word) for word in words])


def not_evaluated(matrix: Matrix) -> dict[str, list[Cell]]:
    """Reason -> the cells that were not evaluated for it, the most frequent reason first."""
    reasons: dict[str, list[Cell]] = {}
    for cell in matrix.cells:
        if cell.verdict is Verdict.NOT_EVALUATED:
            reasons.setdefault(cell.note or cell.reason or "no reason given", []).append(cell)
    return dict(sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0])))


def failures(matrix: Matrix) -> list[Cell]:
    """The cells that failed, then those in error."""
    return [cell for wanted in (Verdict.FAIL, Verdict.ERROR) for cell in matrix.cells if cell.verdict is wanted]


def opinions(cell: Cell) -> str:
    """What each asked oracle said: `request allowed (200), rules denied`."""
    said = []
    for oracle, answer in (("request", cell.request), ("review", cell.review), ("rules", cell.rules)):
        if answer is not None:
            status = f" ({cell.status})" if oracle == "request" and cell.status else ""
            said.append(f"{oracle} {answer}{status}")
    return ", ".join(said) or "no oracle was asked"


def because(cell: Cell) -> str:
    """The witness as one line: its text, then the path subject, binding, role, rule where RBAC gave one."""
    if cell.witness is None:
        return cell.note
    path = " → ".join(cell.witness.path)
    return f"{cell.witness.text} [{path}]" if path else cell.witness.text
