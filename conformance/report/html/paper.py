"""The review document: what paper, and a reader without scripts, get instead of the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.model import Verdict
from conformance.report.html.strip import looked_for, text
from conformance.report.summary import (
    because,
    by_severity,
    citations,
    failures,
    not_evaluated,
    opinions,
    state,
    table,
    verdicts,
)
from conformance.report.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conformance.model import CheckResult, Finding, Identity, Matrix
    from conformance.report.summary import Tally

MOST_GROUPS = 60
MOST_COLUMNS = 12  # as many as a page of paper holds
MOST_LINES = 200
_MARKS = {
    Verdict.FAIL: "≠",
    Verdict.ERROR: "!",
    Verdict.NOT_EVALUATED: "?",
    Verdict.INFO: "i",
    Verdict.PASS: "",
    Verdict.NOT_APPLICABLE: "",
}


def document(matrix: Matrix) -> str:
    """Return the review document."""
    return "\n".join(
        [
            *_failures(matrix),
            *_differences(matrix),
            *(_findings(matrix.findings) if looked_for(matrix) else _absent("Findings")),
            *_paths(matrix),
            *_checks(matrix.checks),
            *_not_evaluated(matrix),
            *_access(matrix),
            *_identities(matrix.identities),
        ]
    )


def _failures(matrix: Matrix) -> Iterable[str]:
    identities = {identity.name: identity for identity in matrix.identities}
    rows = [
        (
            cell.endpoint,
            cell.identity,
            cell.verdict,
            state(cell, identities[cell.identity]),
            opinions(cell),
            because(cell),
        )
        for cell in failures(matrix)
    ] + [
        (check.resource, check.identity, check.verdict, check.id, check.level, check.note)
        for check in matrix.checks
        if check.verdict in (Verdict.FAIL, Verdict.ERROR)
    ]
    if rows:
        yield from _table("Failures", ("where", "identity", "verdict", "state or check", "said", "because"), rows)


def _differences(matrix: Matrix) -> Iterable[str]:
    gate = matrix.gate
    if gate is None or gate.differences is None:
        yield from _absent("Differences to a baseline")
        return
    rows = [
        (one.outcome, one.severity, one.kind, one.title, one.before, one.after, one.waiver or one.advice)
        for one in gate.differences
    ]
    heads = ("outcome", "severity", "kind", "what", "before", "now", "what to do, or why accepted")
    yield from _table(f"Differences to {text(gate.baseline, 80) or 'the baseline'}", heads, rows)


def _findings(findings: Sequence[Finding]) -> Iterable[str]:
    """Findings of one rule stand together: its description and fix once, then who holds it and why."""
    if not findings:
        yield "<h2>Findings</h2><p>No risk rule found anything.</p>"
        return
    order = {severity: number for number, severity in enumerate(by_severity(findings))}
    rows = [
        (
            finding.severity,
            finding.rule or finding.id,
            finding.title,
            finding.identity,
            " → ".join(finding.witness.path) or finding.witness.text,
            finding.fix,
        )
        for finding in sorted(findings, key=lambda finding: order[finding.severity])
    ]
    yield from _table("Findings", ("severity", "rule", "what", "identity", "because", "fix"), rows)


def _paths(matrix: Matrix) -> Iterable[str]:
    if matrix.paths is None:
        yield from _absent("Escalation paths")
        return
    rows = [
        (
            path.severity,
            path.source,
            path.target,
            "; ".join(f"{step.means} → {step.target} ({step.proof})" for step in path.steps),
            path.refused or path.made,
        )
        for path in matrix.paths
    ]
    yield from _table("Escalation paths", ("severity", "from", "to", "steps", "refused, or made by the run"), rows)


def _checks(checks: Sequence[CheckResult]) -> Iterable[str]:
    if not checks:
        yield from _absent("Checks of the API contract")
        return
    results: dict[str, list[CheckResult]] = {}
    for check in checks:
        results.setdefault(check.id, []).append(check)
    rows = []
    for name, those in sorted(results.items()):
        cited = citations().get(name)
        counted = ", ".join(f"{n:,} {verdict}" for verdict, n in verdicts(those).items() if n)
        rows.append((name, those[0].level, cited.title if cited else "", cited.quote if cited else "", counted))
    yield from _table("Checks of the API contract", ("check", "level", "claim", "cited sentence", "results"), rows)


def _absent(title: str) -> Iterable[str]:
    yield f"<h2>{title}</h2><p>Not part of this run.</p>"


def _not_evaluated(matrix: Matrix) -> Iterable[str]:
    rows = [
        (f"{len(cells):,}", reason, f"{cells[0].endpoint} as {cells[0].identity}")
        for reason, cells in not_evaluated(matrix).items()
    ]
    if rows:
        yield from _table("Not evaluated", ("cells", "reason", "such as"), rows)


def _access(matrix: Matrix) -> Iterable[str]:
    squares = table(matrix)
    if not squares:
        return
    yield "<h2>Allowed cells by API group and identity</h2>"
    yield "<p>Allowed of all; +n for named objects only; ≠ oracles disagree, ! error, ? not evaluated, i explained.</p>"
    for start in range(0, min(len(matrix.identities), 3 * MOST_COLUMNS), MOST_COLUMNS):
        shown = matrix.identities[start : start + MOST_COLUMNS]
        yield '<table class="access"><thead><tr><th scope="col">group</th>'
        yield "".join(f'<th scope="col">{text(identity.name, 40)}</th>' for identity in shown)
        yield "</tr></thead><tbody>"
        for group in list(squares)[:MOST_GROUPS]:
            drawn = "".join(_square(squares[group].get(identity.name)) for identity in shown)
            yield f'<tr><th scope="row">{text(group, 60)}</th>{drawn}</tr>'
        yield "</tbody></table>"
    left_out = (
        (len(squares) - MOST_GROUPS, "group", ""),
        (len(matrix.identities) - 3 * MOST_COLUMNS, "identity", "identities"),
    )
    yield "".join(
        f"<p>{count(n, f'more {noun}', f'more {many}' if many else '')}.</p>" for n, noun, many in left_out if n > 0
    )


def _square(square: Tally | None) -> str:
    if square is None:
        return "<td></td>"
    named = f" +{square.named:,}" if square.named else ""
    mark = _MARKS[square.worst]
    return f'<td class="v-{square.worst}">{square.allowed:,}/{square.cells:,}{named}{f" {mark}" if mark else ""}</td>'


def _identities(identities: Sequence[Identity]) -> Iterable[str]:
    rows = [
        (
            identity.name,
            identity.kind,
            identity.user,
            ", ".join(identity.groups) + ("" if identity.groups_known else " (groups unknown: own bindings only)"),
            identity.expect,
        )
        for identity in identities
    ]
    yield from _table("Identities", ("name", "kind", "user", "groups", "expected"), rows)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    if not rows:
        yield f"<h2>{title}</h2><p>None.</p>"
        return
    yield f"<h2>{title}</h2><table><thead><tr>"
    yield "".join(f'<th scope="col">{head}</th>' for head in heads)
    yield "</tr></thead><tbody>"
    for row in rows[:MOST_LINES]:
        yield "<tr>" + "".join(f"<td>{text(value)}</td>" for value in row) + "</tr>"
    yield "</tbody></table>"
    if len(rows) > MOST_LINES:
        yield f"<p>… and {len(rows) - MOST_LINES:,} more.</p>"
