"""The part of the page that reads without scripts and on paper: the verdict strip and the review document.

Every value goes through `_text`; nothing else may put a string of the cluster into markup.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from conformance.model import Verdict
from conformance.report.summary import (
    because,
    by_severity,
    failures,
    headline,
    not_evaluated,
    opinions,
    reproduce,
    state,
    table,
    verdicts,
)
from conformance.report.text import clip, count, display

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conformance.model import Identity, Matrix
    from conformance.report.summary import Tally

MOST_GROUPS = 60
MOST_COLUMNS = 12  # as many as a page of paper holds
MOST_LINES = 200
_LENGTH = 600
_MARKS = {
    Verdict.FAIL: "≠",
    Verdict.ERROR: "!",
    Verdict.NOT_EVALUATED: "?",
    Verdict.INFO: "i",
    Verdict.PASS: "",
    Verdict.NOT_APPLICABLE: "",
}


def strip(matrix: Matrix) -> str:
    """Return the verdict, what was audited and how, and the command that does it again."""
    run = matrix.run
    word, sentence = headline(matrix)
    asked = f"{run.asked:,} of {run.planned:,} cells" + ("" if run.complete else ", not complete")
    facts = (
        ("Cluster", f"{run.provider}, {run.server}"),
        ("Version", run.server_version),
        ("Mode", run.mode),
        ("Coverage", asked),
        ("Oracles", ", ".join(run.oracles)),
        ("Requests", f"{run.sent:,} in {run.seconds:.1f} s"),
        ("Started", run.started_at),
        ("Run", run.id),
    )
    listed = "".join(f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>" for name, value in facts)
    return (
        f'<div class="verdict {word}"><span class="word">{word.capitalize()}</span> '
        f'<p class="sentence">{_text(sentence)}</p></div>'
        f'<dl class="facts">{listed}</dl>'
        f'<div class="again"><span>Again:</span> <code id="command">{_text(reproduce(run), 4000)}</code></div>'
    )


def counters(matrix: Matrix) -> str:
    """Return the four numbers that people ask for first; each is a link to its own query."""
    cells, checks = verdicts(matrix.cells), verdicts(matrix.checks)
    severities = ", ".join(f"{number:,} {severity}" for severity, number in by_severity(matrix.findings).items())
    broken = checks[Verdict.FAIL] if matrix.checks else None  # absence must not look like a pass
    checked = f"of {count(len(matrix.checks), 'check')}" if matrix.checks else "no checks in this run"
    shown: tuple[tuple[str, int | None, str, str, str], ...] = (
        ("checks", broken, "Conformance failures", checked, "fail"),
        ("disagree", cells[Verdict.FAIL], "Oracles disagree", f"{cells[Verdict.INFO]:,} more explained", "fail"),
        ("findings", len(matrix.findings) or None, "Findings", severities or "none in this run", "risk"),
        (
            "not-evaluated",
            cells[Verdict.NOT_EVALUATED] + cells[Verdict.ERROR],
            "Not evaluated",
            f"of {count(len(matrix.cells), 'cell')}, {count(cells[Verdict.ERROR], 'error')}",
            "gap",
        ),
    )
    queries = {
        "checks": "#view=checks",
        "disagree": "#q=is:disagree",
        "findings": "#view=findings",
        "not-evaluated": "#q=is:not-evaluated,error",
    }
    return "".join(
        f'<a class="counter {_look(number, look)}" href="{queries[key]}">'
        f"<b>{'—' if number is None else f'{number:,}'}</b> "
        f"<span>{title}</span> <small>{_text(detail)}</small></a>"
        for key, number, title, detail, look in shown
    )


def _look(number: int | None, bad: str) -> str:
    return "none" if number is None else bad if number else "good"


def document(matrix: Matrix) -> str:
    """Return the review document: what print, and a reader without scripts, get instead of the matrix."""
    return "\n".join(
        [
            *_failures(matrix),
            *_findings(matrix),
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


def _findings(matrix: Matrix) -> Iterable[str]:
    order = {severity: number for number, severity in enumerate(by_severity(matrix.findings))}
    rows = [
        (
            finding.severity,
            finding.id,
            finding.title,
            finding.identity,
            " → ".join(finding.witness.path) or finding.witness.text,
        )
        for finding in sorted(matrix.findings, key=lambda finding: order[finding.severity])
    ]
    if rows:
        yield from _table("Findings", ("severity", "rule", "what", "identity", "because"), rows)


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
        yield "".join(f'<th scope="col">{_text(identity.name, 40)}</th>' for identity in shown)
        yield "</tr></thead><tbody>"
        for group in list(squares)[:MOST_GROUPS]:
            drawn = "".join(_square(squares[group].get(identity.name)) for identity in shown)
            yield f'<tr><th scope="row">{_text(group, 60)}</th>{drawn}</tr>'
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
    yield f"<h2>{title}</h2><table><thead><tr>"
    yield "".join(f'<th scope="col">{head}</th>' for head in heads)
    yield "</tr></thead><tbody>"
    for row in rows[:MOST_LINES]:
        yield "<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row) + "</tr>"
    yield "</tbody></table>"
    if len(rows) > MOST_LINES:
        yield f"<p>… and {len(rows) - MOST_LINES:,} more.</p>"


def _text(value: str, length: int = _LENGTH) -> str:
    return escape(clip(display(value), length))
