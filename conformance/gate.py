"""The decision: differences (or one run by itself) + policy + waivers -> may it pass, and why in one sentence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conformance import compare
from conformance.compare import change_of, differs
from conformance.model import Answer, Gate, Verdict
from conformance.policy import rules as policy
from conformance.policy.waivers import Waivers
from conformance.report.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from conformance.model import Difference, Matrix
    from conformance.moments import Moment
    from conformance.policy.rules import Rule

_BROKEN = frozenset({Verdict.FAIL, Verdict.ERROR})


@dataclass(frozen=True, slots=True)
class Terms:
    """What a gate decides by."""

    rules: Sequence[Rule] = ()
    waivers: Waivers = Waivers()  # noqa: RUF009  # an empty one remembers nothing
    fail_on: str = "high"
    allow_partial: bool = False


def of_two(before: Moment, after: Moment, terms: Terms, extra: Iterable[Difference] = ()) -> Gate:
    """Decide on what changed, and on what is wrong beside it."""
    return decide((*compare.compared(before, after), *extra), terms, baseline=before.name)


def of_one(moment: Moment, terms: Terms, extra: Iterable[Difference] = ()) -> Gate:
    """Decide on one run or snapshot by itself: what fails in it, and what stands in the way of an upgrade."""
    found = list(failures(moment.matrix, terms)) if moment.matrix is not None else []
    if moment.evidence:
        found += [it for it in compare.compared(moment, moment) if change_of(it) != "unknown"]
    return decide((*found, *extra), terms)


def decide(differences: Iterable[Difference], terms: Terms, *, baseline: str = "") -> Gate:
    """Give each difference its outcome, and the gate its sentence."""
    decided = []
    for difference in differences:
        outcome = policy.decide(difference, terms.rules)
        waiver = terms.waivers.waive(difference.id) if outcome != "pass" else None
        if waiver is not None:
            decided.append(replace(difference, outcome="waived", waiver=waiver.sentence))
        else:
            # One that passes may have a waiver all the same: it is not unused.
            terms.waivers.waive(difference.id)
            decided.append(replace(difference, outcome=outcome))
    return Gate(
        passed=not any(it.outcome == "fail" for it in decided),
        reason=_sentence(decided, terms, baseline),
        baseline=baseline,
        differences=tuple(decided),
    )


def failures(matrix: Matrix, terms: Terms) -> Iterator[Difference]:
    """Give what fails in a run by itself, in the form of differences, so that waivers and policy hold for it, too."""
    for cell in matrix.cells:
        if cell.verdict in _BROKEN:
            subject = cell.subject
            yield _failed("cell-failed", subject, cell.note, endpoint=cell.endpoint, identity=cell.identity)
    for check in matrix.checks:
        if check.verdict in _BROKEN:
            change = "expectation-failed" if check.id == "EXPECTATION" else "check-failed"
            yield _failed(change, f"{check.id}|{check.resource}", check.note, identity=check.identity)
    for finding in matrix.findings:
        if compare.SEVERITIES.index(finding.severity) <= compare.SEVERITIES.index(terms.fail_on):
            yield differs(
                "finding",
                f"{finding.id}[{finding.identity}]",
                "run",
                finding.severity,
                f"{finding.title} [{finding.identity}]",
                after=finding.witness.text,
                identity=finding.identity,
                advice=finding.fix,
            )
    if not matrix.run.complete and not terms.allow_partial:
        unknown = sum(1 for cell in matrix.cells if cell.effective is Answer.UNKNOWN)
        yield _failed("incomplete", "run", f"the run did not evaluate everything ({unknown} cells are unknown)")


def _failed(change: str, subject: str, note: str, *, endpoint: str = "", identity: str = "") -> Difference:
    title = f"{subject}: {note}" if note else subject
    return differs(change, subject, "run", "high", title, endpoint=endpoint, identity=identity)


def _sentence(decided: Sequence[Difference], terms: Terms, baseline: str) -> str:
    noun = "difference" if baseline else "result"
    failing = Counter(change_of(it) for it in decided if it.outcome == "fail")
    waived = sum(1 for it in decided if it.outcome == "waived")
    rest = f", {waived} waived" if waived else ""
    complaints = terms.waivers.complaints()
    rest += f", {count(len(complaints), 'waiver')} expired or unused" if complaints else ""
    if not failing:
        looked = sum(1 for it in decided if it.outcome == "warn")
        held = f"none of {count(len(decided), noun)} fails" if len(decided) > 1 else f"{len(decided) or 'no'} {noun}"
        return f"The gate passes: {held}, {looked} to look at{rest}."
    most = ", ".join(f"{number} {change}" for change, number in failing.most_common(5))
    more = " and others" if len(failing) > 5 else ""  # noqa: PLR2004  # a sentence holds so many
    total = sum(failing.values())
    failed = f"{total} of {count(len(decided), noun)} {'fails' if total == 1 else 'fail'}"
    return f"The gate says no: {failed} ({most}{more}){rest}."
