"""The review on one page, for people who sign it: what was looked at, how surely, what is dangerous, who accepts it.

Markdown, so that it can be read, printed and committed; what does not fit is counted, never dropped silently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.model import Verdict
from conformance.report.markdown import code
from conformance.report.summary import by_severity, headline, of_runs, reproduce, verdicts
from conformance.report.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Finding, Matrix
    from conformance.report import Evidence

NAME = "review"
FILE = None
MOST_FINDINGS, MOST_PATHS, MOST_LINES = 12, 6, 6  # a page holds no more
_LONG = 160
_SERIOUS = ("critical", "high", "medium")


def render(matrix: Matrix, evidence: Evidence | None = None) -> bytes:  # noqa: ARG001  # the face of a format
    """Return the page."""
    return ("\n".join(_page(matrix)) + "\n").encode("utf-8", "replace")


def _page(matrix: Matrix) -> Iterator[str]:
    run = matrix.run
    word, sentence = headline(matrix)
    yield "# Review of access"
    yield ""
    yield f"**{word}**: {code(sentence, _LONG)}"
    yield ""
    yield "| | |"
    yield "| --- | --- |"
    yield f"| cluster | {code(run.server)}, Kubernetes {code(run.server_version)} ({code(run.provider)}) |"
    yield f"| run | {code(run.id)}, {code(run.started_at)}, mode {code(run.mode)} |"
    people = count(len(matrix.identities), "identity", "identities")
    yield f"| asked | {run.asked:,} of {run.planned:,} cells, {people} |"
    yield f"| how sure | {_sure(matrix)} |"
    yield f"| again | {code(reproduce(run), _LONG)} |"
    yield ""
    yield "## What is dangerous"
    yield ""
    yield from _findings(matrix)
    yield ""
    yield "## Ways to cluster-admin"
    yield ""
    yield from _paths(matrix)
    yield ""
    yield "## What was expected"
    yield ""
    yield from _expectations(matrix)
    yield ""
    yield "## Not covered"
    yield ""
    yield from _gaps(matrix)
    yield ""
    yield "## Signed"
    yield ""
    yield "| role | name | date | accepts what stands above: yes / no, but |"
    yield "| --- | --- | --- | --- |"
    yield "| reviewer | | | |"
    yield "| owner of the cluster | | | |"


def _sure(matrix: Matrix) -> str:
    counted = verdicts(matrix.cells)
    parts = [f"{counted[Verdict.PASS]:,} cells on which at least two opinions agree"]
    if counted[Verdict.INFO]:
        parts.append(f"{counted[Verdict.INFO]:,} that differ for a known cause")
    if counted[Verdict.FAIL]:
        parts.append(f"{counted[Verdict.FAIL]:,} that differ without one")
    return ", ".join(parts)


def _findings(matrix: Matrix) -> Iterator[str]:
    severities = by_severity(matrix.findings)
    said = ", ".join(f"{number:,} {code(severity)}" for severity, number in severities.items())
    yield f"Findings: {said or 'none'}. Every one is in `matrix.json` and `findings.sarif`."
    serious = [it for severity in _SERIOUS for it in matrix.findings if it.severity == severity]
    if not serious:
        return
    yield ""
    yield "| severity | who | what | by | end it with |"
    yield "| --- | --- | --- | --- | --- |"
    for finding in serious[:MOST_FINDINGS]:
        fix = f"kube-conformance fix {finding.id}"
        cells = (finding.severity, finding.identity, finding.title, _by(finding), fix)
        yield f"| {' | '.join(code(text, _LONG) for text in cells)} |"
    if len(serious) > MOST_FINDINGS:
        yield ""
        yield f"And {len(serious) - MOST_FINDINGS:,} more of severity medium or worse."


def _by(finding: Finding) -> str:
    path = finding.witness.path
    return " → ".join(path[1:3]) if len(path) > 2 else finding.witness.text  # noqa: PLR2004  # subject, binding, role


def _paths(matrix: Matrix) -> Iterator[str]:
    if matrix.paths is None:
        yield "Not looked for."
        return
    ways = [path for path in matrix.paths if not path.refused and not path.made]
    refused = sum(1 for path in matrix.paths if path.refused and not path.made)
    yield f"{count(len(ways), 'subject')} can get there" + (
        f"; {refused:,} that rules would let, the server refuses." if refused else "."
    )
    if own := of_runs(matrix.paths):
        yield f"Not among them: {own}, gone after it."
    for path in ways[:MOST_PATHS]:
        weakest = {step.proof for step in path.steps}
        proof = next((word for word in ("inferred", "reviewed") if word in weakest), "proved")
        yield f"- {code(path.source)} in {count(len(path.steps), 'step')}, {proof}: {code(path.steps[0].means, _LONG)}"
    if len(ways) > MOST_PATHS:
        yield f"- and {len(ways) - MOST_PATHS:,} more"


def _expectations(matrix: Matrix) -> Iterator[str]:
    lines = [check for check in matrix.checks if check.id == "EXPECTATION"]
    if not lines:
        yield "No file of expectations was given: whether what is allowed is what was meant, this page does not say."
        return
    bad = [check for check in lines if check.verdict is not Verdict.PASS]
    yield f"{count(len(lines), 'line')}, {len(lines) - len(bad):,} of them hold."
    yield from (
        f"- {code(check.resource)} {code(check.verdict)}: {code(check.note, _LONG)}" for check in bad[:MOST_LINES]
    )
    if len(bad) > MOST_LINES:
        yield f"- and {len(bad) - MOST_LINES:,} more"


def _gaps(matrix: Matrix) -> Iterator[str]:
    counted = verdicts(matrix.cells)
    gaps = [
        f"{counted[Verdict.NOT_EVALUATED]:,} cells were not evaluated" if counted[Verdict.NOT_EVALUATED] else "",
        f"{counted[Verdict.ERROR]:,} cells broke" if counted[Verdict.ERROR] else "",
        "" if matrix.run.complete else "the run is not complete",
    ]
    unknown = [identity.name for identity in matrix.identities if not identity.groups_known]
    if unknown:
        gaps.append(
            f"groups of {', '.join(map(code, unknown[:MOST_LINES]))} are not known: their denials hold for themselves"
        )
    accepted = [check for check in matrix.checks if check.id == "RISK-EXCLUSION"]
    gaps += [f"an exclusion that excludes nothing: {code(check.note, _LONG)}" for check in accepted[:MOST_LINES]]
    said = [gap for gap in gaps if gap]
    yield from (f"- {gap}" for gap in said) if said else ["Nothing of what was planned was left out."]
