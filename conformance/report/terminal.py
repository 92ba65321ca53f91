"""The matrix on a terminal: fits the width, has colours only where a terminal shows them, keeps its marks without."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from typing import TYPE_CHECKING, TextIO

from conformance.model import Verdict
from conformance.report.summary import (
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
    versus,
    way,
    worst,
)
from conformance.report.text import count, display

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from conformance.model import Identity, Matrix
    from conformance.report import Evidence
    from conformance.report.summary import Tally

NAME = "terminal"
FILE = None

WIDTH = 100  # where no terminal says its own
FEW = 10  # of each list, unless verbose
FEWER = 3  # of long lines
_MARKS = {
    Verdict.FAIL: "x",
    Verdict.ERROR: "!",
    Verdict.NOT_EVALUATED: "?",
    Verdict.INFO: "~",
    Verdict.PASS: " ",
    Verdict.NOT_APPLICABLE: " ",
}
_COLOURS = {
    Verdict.FAIL: "1;31",
    Verdict.ERROR: "1;35",
    Verdict.NOT_EVALUATED: "33",
    Verdict.INFO: "36",
    Verdict.PASS: "32",
    Verdict.NOT_APPLICABLE: "2",
}
_WORDS = {"failed": ("FAILED", "1;31"), "partial": ("PARTIAL", "1;33"), "passed": ("PASSED", "1;32")}


def render(matrix: Matrix, evidence: Evidence | None = None) -> bytes:  # noqa: ARG001  # the face of a format
    """Return what a pipe gets: no colours, a fixed width."""
    return draw(matrix, width=WIDTH).encode()


def show(matrix: Matrix, stream: TextIO | None = None, *, quiet: bool = False, verbose: bool = False) -> None:
    """Write the matrix to a stream, in its width, with colours where it is a terminal."""
    out = stream or sys.stdout
    coloured = colours(out, os.environ)
    width = shutil.get_terminal_size((WIDTH, 24)).columns if out.isatty() else WIDTH
    text = draw(matrix, width=width, coloured=coloured, quiet=quiet, verbose=verbose)
    encoding = getattr(out, "encoding", None) or "utf-8"
    out.write(text.encode(encoding, "replace").decode(encoding))


def colours(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether to colour: on a terminal that is not dumb, unless NO_COLOR is set to anything (no-color.org)."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def draw(matrix: Matrix, *, width: int, coloured: bool = False, quiet: bool = False, verbose: bool = False) -> str:
    """Return the matrix as lines of at most `width` columns; `quiet` is the verdict alone, `verbose` cuts no list."""
    pen = _Pen(width, coloured)
    word, sentence = headline(matrix)
    text, colour = _WORDS[word]
    lines = [f"{pen.paint(text, colour)}  {pen.fit(sentence, width - len(text) - 2)}"]
    if not quiet:
        most = sys.maxsize if verbose else FEW
        run = matrix.run
        place = f"{run.server_version} on {run.provider} at {run.server}, mode {run.mode}, {run.seconds:.1f} s"
        lines += [pen.fit(place), ""]
        lines += _table(matrix, pen)
        lines += _counters(matrix, pen)
        lines += _lists(matrix, pen, most)
        lines += [f"again: {reproduce(run)}"]  # never cut: it is there to be copied
    return "\n".join(lines) + "\n"


class _Pen:
    """Cuts and pads to columns of a terminal, and colours where colours are wanted."""

    def __init__(self, width: int, coloured: bool) -> None:  # noqa: FBT001  # two plain facts, private
        self.width, self.coloured = max(width, 40), coloured

    def paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.coloured and text.strip() else text

    def fit(self, text: str, width: int = 0) -> str:
        """Return the text, made harmless, in at most `width` columns."""
        room, shown = width or self.width, display(text)
        if columns(shown) <= room:
            return shown
        kept, used = [], 1
        for char in shown:
            used += columns(char)
            if used > room:
                break
            kept.append(char)
        return "".join(kept) + "…"

    def wrap(self, start: str, parts: Sequence[tuple[str, str]]) -> Iterable[str]:
        """Give the parts, each with its colour, on as many lines as they need; further ones are indented."""
        line, used = start, columns(start)
        for number, (text, colour) in enumerate(parts):
            comma = ", " if number < len(parts) - 1 else ""
            if used + columns(text) + 1 > self.width:
                yield line.rstrip()
                line, used = "  ", 2
            line, used = line + self.paint(text, colour) + comma, used + columns(text) + len(comma)
        yield line

    def cell(self, text: str, width: int, *, right: bool = False) -> str:
        shown = self.fit(text, width)
        space = " " * (width - columns(shown))
        return space + shown if right else shown + space


def columns(text: str) -> int:
    """How many columns a terminal gives to a text: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _table(matrix: Matrix, pen: _Pen) -> Iterable[str]:
    """Rows are groups, columns identities; columns that do not fit go into a further table below."""
    squares = table(matrix)
    if not squares:
        return
    first = min(max(columns(display(group)) for group in squares), 28, pen.width // 3)
    widths = [_column(identity, squares) for identity in matrix.identities]
    start = 0
    while start < len(widths):
        end, used = start, first
        while end < len(widths) and (end == start or used + 1 + widths[end] <= pen.width):
            used += 1 + widths[end]
            end += 1
        shown = list(zip(matrix.identities[start:end], widths[start:end], strict=True))
        names = " ".join(pen.cell(identity.name, size, right=True) for identity, size in shown)
        yield pen.paint(f"{pen.cell('allowed of all', first)} {names}", "1")
        for group, row in squares.items():
            drawn = " ".join(_square(pen, row.get(identity.name), size) for identity, size in shown)
            yield f"{pen.cell(group, first)} {drawn}"
        yield ""
        start = end


def _column(identity: Identity, squares: Mapping[str, Mapping[str, Tally]]) -> int:
    content = max((len(_content(row[identity.name])) for row in squares.values() if identity.name in row), default=1)
    return max(content, min(columns(display(identity.name)), 16))


def _content(square: Tally) -> str:
    named = f"+{square.named}" if square.named else ""
    return f"{_MARKS[square.worst]}{square.allowed}{named}/{square.cells}"


def _square(pen: _Pen, square: Tally | None, width: int) -> str:
    if square is None:
        return " " * width
    # Most cells of most identities are denied as they should be: only what is granted, or wrong, stands out.
    plain = square.worst in (Verdict.PASS, Verdict.NOT_APPLICABLE) and not square.allowed and not square.named
    return pen.paint(pen.cell(_content(square), width, right=True), "2" if plain else _COLOURS[square.worst])


def _counters(matrix: Matrix, pen: _Pen) -> Iterable[str]:
    for noun, results in (("cell", matrix.cells), ("check", matrix.checks)):
        if results:
            counted = [
                (f"{number:,} {verdict} ({_MARKS[verdict]})".replace(" ( )", ""), _COLOURS[verdict])
                for verdict, number in verdicts(results).items()
                if number
            ]
            yield from pen.wrap(f"{count(len(results), noun)}: ", counted)
    if matrix.findings:
        by = ", ".join(f"{number:,} {display(severity)}" for severity, number in by_severity(matrix.findings).items())
        yield pen.fit(f"{count(len(matrix.findings), 'finding')}: {by}")
    if matrix.paths:
        by = ", ".join(f"{number:,} {display(severity)}" for severity, number in by_severity(matrix.paths).items())
        own = of_runs(matrix.paths)
        yield pen.fit(f"{count(len(matrix.paths), 'escalation path')}: {by}{f' ({own})' if own else ''}")
    if matrix.gate is not None:
        yield pen.fit(f"versus baseline: {versus(matrix)}")
    if any(square.named for row in table(matrix).values() for square in row.values()):
        yield pen.fit("+n: allowed for named objects only")
    own = ", ".join(identity.name for identity in matrix.identities if not identity.groups_known)
    if own:
        yield pen.fit(f"groups unknown, denied by own bindings only: {own}")
    yield ""


def _lists(matrix: Matrix, pen: _Pen, most: int) -> Iterable[str]:
    broken = [
        f"{_MARKS[cell.verdict]} {cell.endpoint} [{cell.identity}] {opinions(cell)}; {because(cell)}"
        for cell in failures(matrix)
    ] + [
        f"{_MARKS[check.verdict]} {check.id} {check.resource} [{check.identity}] {check.note}"
        for check in matrix.checks
        if check.verdict in (Verdict.FAIL, Verdict.ERROR)
    ]
    reasons = [f"? {count(len(cells), 'cell')}: {reason}" for reason, cells in not_evaluated(matrix).items()]
    # What is for information only is counted above; the other reports list it.
    findings = [
        f"{finding.severity} {finding.id} [{finding.identity}] {finding.title}"
        for finding in worst(matrix.findings)
        if finding.severity != "info"
    ]
    paths = [f"{path.severity} {way(path)}" for path in worst(matrix.paths or ()) if path.severity != "info"]
    differences = [
        f"{outcome} {one.severity} {change(one)}"
        for outcome in ("fail", "warn")
        for one in worst((matrix.gate and matrix.gate.differences) or ())
        if one.outcome == outcome
    ]
    # The last thing that is said is what is still seen: failures come at the end.
    lists = {
        "not evaluated": reasons,
        "escalation paths": paths,
        "findings": findings,
        "differences": differences,
        "failures": broken,
    }
    for title, lines in lists.items():
        if lines:
            yield pen.paint(title, "1")
            shown = min(most, FEWER) if title == "escalation paths" and most == FEW else most
            yield from (f"  {pen.fit(line, pen.width - 2)}" for line in lines[:shown])
            if len(lines) > shown:
                yield f"  … and {len(lines) - shown:,} more"
            yield ""
