"""What a matrix comes to: counters, the verdict in one sentence, and the table of identity x API group.

Counted once here, so that no two formats can disagree.
"""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from conformance.model import Answer, Difference, EscalationPath, Finding, Verdict
from conformance.report.text import count, display

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from conformance.model import Cell, CheckResult, Endpoint, Identity, Matrix, RunInfo

Severe = TypeVar("Severe", Finding, EscalationPath, Difference)
WORST_FIRST = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.NOT_EVALUATED,
    Verdict.INFO,
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
)
SEVERITIES = ("critical", "high", "medium", "low", "info")
OUTCOMES = {"fail": "failing", "warn": "to look at", "pass": "accepted", "waived": "waived"}  # of differences
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


@dataclass(frozen=True, slots=True)
class Citation:
    """What a check claims, and the sentence of the document that it takes it from; fit to show."""

    id: str
    level: str
    topic: str
    title: str
    quote: str
    url: str


@cache
def citations() -> Mapping[str, Citation]:
    """Every check of the catalogue by its id, as reports cite it."""
    from conformance.checks import catalogue  # noqa: PLC0415  # a run without checks need not load them

    return {
        check.id: Citation(
            *(display(text) for text in (check.id, check.level, check.topic, check.title, check.quote, check.url))
        )
        for check in catalogue().values()
    }


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


def by_severity(findings: Iterable[Finding | EscalationPath | Difference]) -> dict[str, int]:
    """How many findings, or whatever else has one, of each severity, the worst first; only what occurs."""
    counted = Counter(finding.severity for finding in findings)
    known = [severity for severity in SEVERITIES if counted[severity]]
    return {severity: counted[severity] for severity in [*known, *sorted(set(counted) - set(known))]}


def failing(matrix: Matrix) -> list[Finding]:
    """The findings that are so bad that they fail the run."""
    least = matrix.run.fail_on
    worst = SEVERITIES[: SEVERITIES.index(least) + 1] if least in SEVERITIES else ()
    return [finding for finding in matrix.findings if finding.severity in worst]


def failed(matrix: Matrix) -> bool:
    """Whether a cell or a check failed or broke, or a finding is too bad."""
    bad = (Verdict.FAIL, Verdict.ERROR)
    broken = any(cell.verdict in bad for cell in matrix.cells) or any(it.verdict in bad for it in matrix.checks)
    return broken or bool(failing(matrix))


def headline(matrix: Matrix) -> tuple[str, str]:
    """`failed`, `partial` or `passed`, and the sentence that says why: the gate's own where there is one."""
    word, sentence = _come_to(matrix)
    if matrix.gate is None:
        return word, sentence
    return ("failed" if not matrix.gate.passed else word if word == "partial" else "passed"), matrix.gate.reason


def _come_to(matrix: Matrix) -> tuple[str, str]:
    cells, checks, found = verdicts(matrix.cells), verdicts(matrix.checks), failing(matrix)
    parts = [
        f"{count(cells[Verdict.FAIL], 'cell')} failed" if cells[Verdict.FAIL] else "",
        f"{count(checks[Verdict.FAIL], 'check')} failed" if checks[Verdict.FAIL] else "",
        f"{count(len(found), 'finding')} of severity {matrix.run.fail_on} or worse" if found else "",
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


def evaluated(matrix: Matrix) -> tuple[int, int]:
    """How many of the planned cells were evaluated, and how many were planned."""
    left_out = (Verdict.NOT_EVALUATED, Verdict.ERROR)
    done = sum(1 for cell in matrix.cells if cell.verdict not in left_out)
    return done, max(matrix.run.planned, len(matrix.cells))


def versus(matrix: Matrix) -> str:
    """How the run stands against its baseline, in a few words."""
    gate = matrix.gate
    if gate is None or gate.differences is None:
        return "no baseline"
    outcomes = Counter(difference.outcome for difference in gate.differences)
    counted = ", ".join(f"{outcomes[name]:,} {said}" for name, said in OUTCOMES.items() if outcomes[name])
    if not gate.baseline:
        return f"no baseline; {counted}" if counted else "no baseline"
    return f"{counted or 'no difference'} against {gate.baseline}"


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


def way(path: EscalationPath) -> str:
    """An escalation path as one line: `User a: create a token (proved) → User b: bind (reviewed) → cluster-admin`."""
    steps = "".join(f": {step.means} ({step.proof}) → {step.target}" for step in path.steps)
    refused = f", refused: {path.refused}" if path.refused else ""
    return f"{path.source}{steps}{refused}" + (f" ({path.made})" if path.made else "")


def of_runs(paths: Iterable[EscalationPath]) -> str:
    """How many ways are there only by what a run made: `3 by what a run made for its own identities`; else nothing."""
    counted = Counter(path.made for path in paths if path.made)
    return ", ".join(f"{number:,} {made}" for made, number in sorted(counted.items()))


def change(difference: Difference) -> str:
    """A difference as one line: what, and from what to what."""
    values = f": {difference.before or 'nothing'} → {difference.after or 'nothing'}"
    return difference.title + (values if difference.before or difference.after else "")


def worst(those: Iterable[Severe]) -> list[Severe]:
    """Sort by severity, the worst first."""
    given = list(those)
    order = {severity: number for number, severity in enumerate(by_severity(given))}
    return sorted(given, key=lambda one: order[one.severity])
