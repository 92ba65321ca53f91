"""summary.md: what a CI job's page shows. The verdict first; long lists are cut and the rest is counted.

A string of the cluster only ever stands in a code span, where Markdown, HTML, mentions and links are dead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conformance.model import Verdict
from conformance.report.summary import (
    OUTCOMES,
    because,
    by_severity,
    change,
    failures,
    headline,
    not_evaluated,
    of_runs,
    opinions,
    reproduce,
    table,
    verdicts,
    way,
    worst,
)
from conformance.report.text import clip, count, display

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conformance.model import Cell, Matrix
    from conformance.report import Evidence
    from conformance.report.summary import Tally

NAME = "markdown"
FILE = "summary.md"

MOST_FAILURES = 60
MOST_FINDINGS = 40
MOST_REASONS = 30
MOST_GROUPS = 60
MOST_COLUMNS = 14
_LENGTH = 240  # characters of one string of the cluster
_MARKS = {
    Verdict.FAIL: "❌",
    Verdict.ERROR: "💥",
    Verdict.NOT_EVALUATED: "❔",
    Verdict.INFO: "🔹",
    Verdict.PASS: "✅",
    Verdict.NOT_APPLICABLE: "⚪",
}
_WORDS = {"failed": "❌ Failed", "partial": "❔ Partial", "passed": "✅ Passed"}


def render(matrix: Matrix, evidence: Evidence | None = None) -> bytes:  # noqa: ARG001  # the face of a format
    """Return summary.md."""
    run = matrix.run
    word, sentence = headline(matrix)
    mode = f"mode {code(run.mode)}, {'complete' if run.complete else 'not complete'}"
    lines = [
        f"# {_WORDS[word]}: {code(sentence) if matrix.gate else sentence}",
        "",
        f"{code(run.server_version)} on {code(run.provider)} at {code(run.server)}, {mode}, run {code(run.id)}.",
        "",
        *_counters(matrix),
        *_failures(matrix),
        *_not_evaluated(matrix),
        *_findings(matrix),
        *_paths(matrix),
        *_differences(matrix),
        *_access(matrix),
        "## Reproduce",
        "",
        "```sh",
        *_fenced(reproduce(run)),
        "```",
        "",
        (
            "Every cell with its evidence: `matrix.html`. For programs: `matrix.json`, `matrix.csv`, `junit.xml`, "
            "`findings.sarif`."
        ),
        "",
    ]
    return "\n".join(lines).encode()


def code(text: str, length: int = _LENGTH) -> str:
    """Return a code span that holds any text: the fence is longer than every run of backticks in it."""
    shown = clip(display(text), length).replace("|", "¦") or " "
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    return f"{fence} {shown} {fence}" if shown[0] == "`" or shown[-1] == "`" else f"{fence}{shown}{fence}"


def _fenced(text: str) -> list[str]:
    return [display(line).replace("```", "'''") for line in text.split("\n")]


def _counters(matrix: Matrix) -> Iterable[str]:
    cells, checks = verdicts(matrix.cells), verdicts(matrix.checks)
    yield "| | cells | checks |"
    yield "| --- | ---: | ---: |"
    for verdict, mark in _MARKS.items():
        yield f"| {mark} {verdict} | {cells[verdict]:,} | {checks[verdict]:,} |"
    yield f"| **all** | **{len(matrix.cells):,}** | **{len(matrix.checks):,}** |"
    run = matrix.run
    yield ""
    yield (
        f"{count(run.asked, 'cell')} of {run.planned:,} planned asked with {count(run.sent, 'request')} "
        f"({run.retried:,} retried, {run.failed:,} without an answer) in {run.seconds:.1f} s; "
        f"oracles: {', '.join(run.oracles)}."
    )
    yield ""


def _failures(matrix: Matrix) -> Iterable[str]:
    cells = failures(matrix)
    checks = [check for check in matrix.checks if check.verdict in (Verdict.FAIL, Verdict.ERROR)]
    if not cells and not checks:
        return
    yield "## Failures"
    yield ""
    lines = [_failure(cell) for cell in cells] + [
        f"- {_MARKS[check.verdict]} {code(check.id)} ({code(check.level)}) on {code(check.resource)} "
        f"as {code(check.identity)}: {code(check.note)}"
        for check in checks
    ]
    yield from _cut(lines, MOST_FAILURES, "failure")


def _failure(cell: Cell) -> str:
    why = because(cell)
    said = f"- {_MARKS[cell.verdict]} {code(cell.endpoint)} as {code(cell.identity)}: {opinions(cell)}"
    return said + (f"; because {code(why)}" if why else "") + (f"; {code(cell.note)}" if cell.note else "")


def _not_evaluated(matrix: Matrix) -> Iterable[str]:
    reasons = not_evaluated(matrix)
    if not reasons:
        return
    yield "## Not evaluated"
    yield ""
    lines = [
        f"- {count(len(cells), 'cell')}: {code(reason)}, such as {code(cells[0].endpoint)} as {code(cells[0].identity)}"
        for reason, cells in reasons.items()
    ]
    yield from _cut(lines, MOST_REASONS, "reason")


def _findings(matrix: Matrix) -> Iterable[str]:
    if not matrix.findings:
        return
    severities = by_severity(matrix.findings)
    yield "## Findings"
    yield ""
    yield ", ".join(f"{number:,} {code(severity)}" for severity, number in severities.items()) + "."
    yield ""
    lines = [
        f"- {code(finding.severity)} {code(finding.id)} {code(finding.title)}: {code(finding.identity)}, "
        f"{code(' → '.join(finding.witness.path) or finding.witness.text)}"
        for finding in worst(matrix.findings)
    ]
    yield from _cut(lines, MOST_FINDINGS, "finding")


def _paths(matrix: Matrix) -> Iterable[str]:
    if not matrix.paths:
        return
    yield "## Escalation paths"
    yield ""
    lines = [f"- {code(path.severity)} {code(way(path))}" for path in worst(matrix.paths) if not path.made]
    yield from _cut(lines, MOST_FINDINGS, "path")
    if own := of_runs(matrix.paths):
        yield f"Not listed: {own}, gone after it."
        yield ""


def _differences(matrix: Matrix) -> Iterable[str]:
    gate = matrix.gate
    if gate is None or gate.differences is None:
        return
    yield f"## Differences to {code(gate.baseline, 60)}"
    yield ""
    lines = [
        f"- {code(outcome)} {code(one.severity)} {code(one.kind)} {code(change(one))}"
        + (f"; {code(one.waiver or one.advice)}" if one.waiver or one.advice else "")
        for outcome in OUTCOMES
        for one in worst(gate.differences)
        if one.outcome == outcome
    ]
    yield from _cut(lines or ["- none"], MOST_FINDINGS, "difference")


def _access(matrix: Matrix) -> Iterable[str]:
    squares = table(matrix)
    if not squares:
        return
    columns = matrix.identities[:MOST_COLUMNS]
    yield "## Allowed cells by API group and identity"
    yield ""
    yield "Each square: the worst verdict, then allowed cells of all; `+n` are allowed for named objects only."
    yield ""
    yield "| group | " + " | ".join(code(identity.name, 40) for identity in columns) + " |"
    yield "| --- |" + " ---: |" * len(columns)
    for group in list(squares)[:MOST_GROUPS]:
        row = [_square(squares[group].get(identity.name)) for identity in columns]
        yield f"| {code(group, 60)} | " + " | ".join(row) + " |"
    yield ""
    hidden = [
        count(number, noun, plural)
        for number, noun, plural in (
            (len(squares) - MOST_GROUPS, "group", ""),
            (len(matrix.identities) - MOST_COLUMNS, "identity", "identities"),
        )
        if number > 0
    ]
    if hidden:
        yield f"Not shown here: {' and '.join(hidden)}."
        yield ""
    own = [identity.name for identity in matrix.identities if not identity.groups_known]
    if own:
        names = ", ".join(code(name, 40) for name in own[:MOST_COLUMNS])
        yield f"Groups unknown for {names}: denials hold for the user's own bindings only."
        yield ""


def _square(square: Tally | None) -> str:
    if square is None:
        return ""
    named = f" +{square.named:,}" if square.named else ""
    return f"{_MARKS[square.worst]} {square.allowed:,}/{square.cells:,}{named}"


def _cut(lines: Sequence[str], most: int, noun: str) -> Iterable[str]:
    yield from lines[:most]
    if len(lines) > most:
        yield f"- … and {count(len(lines) - most, f'more {noun}')}"
    yield ""
