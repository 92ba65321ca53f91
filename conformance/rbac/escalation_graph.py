"""Escalation paths as a picture: every step once, in the languages of Graphviz and Mermaid.

Subjects come from a cluster, so that nothing of them can be syntax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.terminal import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.model import EscalationPath, Step

_STYLES = {"proved": "solid", "reviewed": "dashed", "inferred": "dotted"}
_ARROWS = {"proved": "==>", "reviewed": "-->", "inferred": "-.->"}
_MERMAID = str.maketrans(
    {'"': "#quot;", "#": "#35;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;", "\\": "#92;"}
)


def dot(paths: Iterable[EscalationPath]) -> str:
    """Draw for Graphviz: solid is proved, dashed reviewed, dotted inferred, red refused."""
    lines = ["digraph escalation {", "  rankdir=LR;", "  node [shape=box];"]
    for step, refused in _steps(paths):
        label = _quoted(_means(step) + (f" (refused: {refused})" if refused else ""))
        colour = ' color="red"' if refused else ""
        style = f'style="{_STYLES[step.proof]}"'
        lines.append(f"  {_quoted(step.source)} -> {_quoted(step.target)} [label={label} {style}{colour}];")
    return "\n".join([*lines, "}"]) + "\n"


def mermaid(paths: Iterable[EscalationPath]) -> str:
    """Draw for Mermaid, which many forges render in Markdown."""
    names: dict[str, str] = {}
    lines = ["flowchart LR"]
    edges = []
    for step, refused in _steps(paths):
        for who in (step.source, step.target):
            if who not in names:
                names[who] = f"n{len(names)}"
                lines.append(f'  {names[who]}["{_escaped(who)}"]')
        label = _escaped(_means(step) + (f" (refused: {refused})" if refused else ""))
        edges.append(f'  {names[step.source]} {_ARROWS[step.proof]}|"{label}"| {names[step.target]}')
    return "\n".join([*lines, *edges]) + "\n"


def _steps(paths: Iterable[EscalationPath]) -> list[tuple[Step, str]]:
    found: dict[tuple[str, str, str], tuple[Step, str]] = {}
    for path in paths:
        for number, step in enumerate(path.steps):
            found.setdefault((step.source, step.target, step.means), (step, "" if number else path.refused))
    return list(found.values())


def _means(step: Step) -> str:
    return step.means.partition(":")[0] + (f" in {step.means.rpartition(' in ')[2]}" if " in " in step.means else "")


def _quoted(text: str) -> str:
    return '"' + plain(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _escaped(text: str) -> str:
    return plain(text).replace("\n", " ").translate(_MERMAID)
