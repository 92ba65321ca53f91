"""Differences as one HTML page that loads nothing and runs nothing."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from conformance.report.text import display

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Difference
    from conformance.report.differences import Comparison

NAME = "html"
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#1a1a1a;"
    "background:#fff}table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;"
    "padding:.4rem .6rem;border-bottom:1px solid #ccc;overflow-wrap:anywhere}code{font-size:.85em;color:#444}"
    ".fail{color:#a40000;font-weight:600}.warn{color:#7a4b00}.word{font-size:1.2rem;font-weight:600}"
    "@media(prefers-color-scheme:dark){body{background:#151515;color:#eee}code{color:#bbb}.fail{color:#ff8f8f}"
    ".warn{color:#ffc66b}th,td{border-color:#444}}"
)


def render(comparison: Comparison) -> bytes:
    """Return the whole page."""
    return "".join(_parts(comparison)).encode()


def _parts(comparison: Comparison) -> Iterator[str]:
    yield "<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    yield "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield f"<title>{_text(comparison.heading)}</title><style>{_STYLE}</style><h1>{_text(comparison.heading)}</h1>\n"
    if comparison.decided:
        word = "pass" if comparison.gate.passed else "fail"
        yield f'<p class="word {word}">{_text(comparison.gate.reason)}</p>\n'
    for complaint in comparison.complaints:
        yield f"<p class=warn>{_text(complaint)}</p>\n"
    yield "<table><thead><tr><th scope=col>outcome<th scope=col>severity<th scope=col>what<th scope=col>before → after"
    yield "<th scope=col>affects<th scope=col>do</thead><tbody>\n"
    for difference in comparison.differences:
        yield _row(difference, decided=comparison.decided)
    yield "</tbody></table></html>\n"


def _row(it: Difference, *, decided: bool) -> str:
    outcome = it.outcome if decided else ""
    cells = (
        f"<td class={outcome or 'none'}>{outcome or it.kind}",
        f"<td>{_text(it.severity)}",
        f"<td>{_text(it.title)}<br><code>{_text(it.id)}</code>",
        f"<td>{_text(it.before or '-')} → {_text(it.after or '-')}",
        f"<td>{'<br>'.join(map(_text, it.affected))}",
        f"<td>{_text(it.waiver or it.advice)}",
    )
    return f"<tr>{''.join(cells)}\n"


def _text(text: str) -> str:
    return escape(display(text))
