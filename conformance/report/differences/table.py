"""Differences on a terminal: what fails, then what is to look at, one line each, with whom it concerns."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from conformance.report.text import count, display

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Difference
    from conformance.report.differences import Comparison

NAME = "table"
_FEW = 3


def render(comparison: Comparison) -> bytes:
    """Return lines; differences that matter to nobody are counted and not listed when a gate has decided."""
    return ("\n".join(_lines(comparison)) + "\n").encode()


def _lines(comparison: Comparison) -> Iterator[str]:
    yield display(comparison.heading)
    shown = comparison.differences
    rest: Counter[str] = Counter()
    if comparison.decided:
        yield display(comparison.gate.reason)
        rest = Counter(it.kind for it in shown if it.outcome == "pass")
        shown = tuple(it for it in shown if it.outcome != "pass")
    else:
        yield count(len(shown), "difference")
    for difference in shown:
        yield ""
        yield from _one(difference, decided=comparison.decided)
    if rest:
        yield ""
        yield "and of no concern: " + ", ".join(f"{number} {kind}" for kind, number in sorted(rest.items()))
    for complaint in comparison.complaints:
        yield display(f"! {complaint}")


def _one(difference: Difference, *, decided: bool) -> Iterator[str]:
    word = f"{difference.outcome.upper():<6} " if decided else ""
    yield f"{word}{difference.severity:<8} {display(difference.title)}"
    yield f"       {display(difference.id)}"
    if difference.before or difference.after:
        yield f"       {display(difference.before or '-')} → {display(difference.after or '-')}"
    for who in difference.affected[:_FEW]:
        yield f"       affects: {display(who)}"
    if more := len(difference.affected[_FEW:]):
        yield f"       and {more} more"
    if difference.waiver:
        yield f"       waived: {display(difference.waiver)}"
    elif difference.advice and difference.severity != "info":
        yield f"       do: {display(difference.advice)}"
