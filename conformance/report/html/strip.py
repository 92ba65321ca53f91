"""What the page says first, without scripts: the verdict, what was audited and how, and four numbers.

Every value goes through `text`; nothing else may put a string of the cluster into markup.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from conformance.model import Verdict
from conformance.report.summary import SEVERITIES, by_severity, evaluated, headline, reproduce, verdicts, versus
from conformance.report.text import clip, count, display

if TYPE_CHECKING:
    from conformance.model import Matrix

LENGTH = 600
_SIGNS = {"passed": "✓", "failed": "✕", "partial": "◐"}


def text(value: str, length: int = LENGTH) -> str:
    """A string as text of the page: fit to show, not too long, and never markup."""
    return escape(clip(display(value), length))


def strip(matrix: Matrix) -> str:
    """Return the verdict, what was audited and how, and the command that does it again."""
    run = matrix.run
    word, sentence = headline(matrix)
    facts = (
        ("Cluster", f"{run.provider} {run.server}"),
        ("Version", run.server_version),
        ("Mode", run.mode),
        ("Coverage", _coverage(matrix)),
        ("Versus baseline", versus(matrix)),
        ("Oracles", ", ".join(run.oracles)),
        ("Requests", f"{run.sent:,} in {run.seconds:.1f} s"),
        ("Started", run.started_at),
        ("Run", run.id),
    )
    listed = "".join(f"<div><dt>{name}</dt><dd>{text(value)}</dd></div>" for name, value in facts)
    gate = "Gate" if matrix.gate is not None else "Result"
    return (
        f'<div class="verdict {word}"><span class="sign" aria-hidden="true">{_SIGNS[word]}</span>'
        f'<div><p class="word">{gate}: {word}</p> <p class="sentence">{text(sentence)}</p></div></div>'
        f'<dl class="facts">{listed}</dl>'
        f'<div class="again"><span>Reproduce</span> <code id="command">{text(reproduce(run), 4000)}</code></div>'
    )


def _coverage(matrix: Matrix) -> str:
    done, planned = evaluated(matrix)
    if not planned:
        return "nothing was planned"
    share = 100 * done / planned
    shown = f"{min(share, 99.9):.1f}" if done < planned else "100"
    incomplete = "" if matrix.run.complete else ", not complete"
    return f"{shown} %, {done:,} of {planned:,} cells{incomplete}"


def counters(matrix: Matrix) -> str:
    """Return the four numbers that people ask for first; each is a link to its own query."""
    cells, checks = verdicts(matrix.cells), verdicts(matrix.checks)
    gaps = cells[Verdict.NOT_EVALUATED] + cells[Verdict.ERROR]
    # None where that was not part of the run: absence must not look like a pass.
    broken = checks[Verdict.FAIL] + checks[Verdict.ERROR] if matrix.checks else None
    checked = f"of {count(len(matrix.checks), 'check')}" if matrix.checks else "checks were not part of this run"
    explained = f"{cells[Verdict.INFO]:,} more explained" if cells[Verdict.INFO] else "among the oracles of a cell"
    return "".join(
        (
            _counter(broken, "Conformance failures", "#view=checks&amp;q=is:fail,error", "fail", text(checked)),
            _counter(cells[Verdict.FAIL], "Oracle disagreements", "#q=is:disagree", "fail", text(explained)),
            _counter(
                len(matrix.findings) if looked_for(matrix) else None,
                *("Findings", "#view=findings", _risk(matrix), _severities(matrix)),
            ),
            _counter(
                gaps,
                "Not evaluated",
                "#q=is:not-evaluated,error",
                "gap",
                text(f"of {count(len(matrix.cells), 'cell')}, {count(cells[Verdict.ERROR], 'error')} among them"),
            ),
        )
    )


def _counter(number: int | None, title: str, query: str, bad: str, detail: str) -> str:
    look = "none" if number is None else bad if number else "good"
    shown = "—" if number is None else f"{number:,}"
    return (
        f'<div class="counter {look}"><a href="{query}"><b>{shown}</b> <span>{title}</span></a>'
        f"<small>{detail}</small></div>"
    )


def looked_for(matrix: Matrix) -> bool:
    """Whether risk rules were part of the run: those that are have a severity that fails it."""
    return bool(matrix.run.fail_on or matrix.findings)


def _risk(matrix: Matrix) -> str:
    """How bad the worst finding looks; what is for information only is not bad."""
    severities = by_severity(matrix.findings)
    if any(severity in severities for severity in SEVERITIES[:2]):
        return "risk"
    return "none" if set(severities) <= {"info"} else "gap"


def _severities(matrix: Matrix) -> str:
    """The findings by severity, each a query of its own."""
    if not matrix.findings:
        return "no risk rule found anything" if looked_for(matrix) else "risks were not part of this run"
    return " ".join(
        f'<a href="#view=findings&amp;q=risk:{severity}">{number:,} {severity}</a>'
        if severity in SEVERITIES
        else f"{number:,} {text(severity)}"
        for severity, number in by_severity(matrix.findings).items()
    )
