"""Differences as Markdown, for a merge request's comment or a job's summary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conformance.report.text import clip, display

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.report.differences import Comparison

NAME = "markdown"
_MOST = 200  # rows: a summary page takes a megabyte
_WIDE = 300
_TITLES = {"fail": "Failing", "waived": "Waived", "warn": "To look at", "pass": "Of no concern"}


def render(comparison: Comparison) -> bytes:
    """Return the whole page."""
    return ("\n".join(_lines(comparison)) + "\n").encode()


def _lines(comparison: Comparison) -> Iterator[str]:
    yield f"# {_text(comparison.heading)}"
    yield ""
    if comparison.decided:
        yield f"**{_text(comparison.gate.reason)}**"
        yield ""
    for complaint in comparison.complaints:
        yield f"- {_text(complaint)}"
    sections = _TITLES if comparison.decided else {"pass": "Differences"}
    for outcome, title in sections.items():
        found = [it for it in comparison.differences if it.outcome == outcome or not comparison.decided]
        if not found:
            continue
        yield f"## {title} ({len(found)})"
        yield ""
        yield "| severity | what | before | after | affects | do |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for it in found[:_MOST]:
            who = "; ".join(it.affected[:3])
            cells = (it.severity, f"{it.title} ({it.id})", it.before, it.after, who, it.waiver or it.advice)
            yield "| " + " | ".join(map(_text, cells)) + " |"
        if len(found) > _MOST:
            yield ""
            yield f"and {len(found) - _MOST} more"
        yield ""


def _text(text: str) -> str:
    shown = clip(display(text), _WIDE)
    return re.sub(r"([\\`*_{}\[\]<>#|&!~$@])", r"\\\1", shown)
