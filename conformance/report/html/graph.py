"""The escalation paths as one drawing: who becomes whom, by what means, and how sure that is.

Layers from left to right: a subject stands as far from what it can become in the end as it needs steps. Within a layer
subjects are ordered by their neighbours, so that few lines cross. It needs no script: it is drawn on paper too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from conformance.report.summary import by_severity
from conformance.report.text import clip, count, display

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conformance.model import EscalationPath

MOST_SUBJECTS = 40  # more make a drawing that nobody reads
_BOX, _HIGH, _GAP, _BETWEEN = 240, 30, 20, 190
_MARGIN, _AROUND, _NAME, _MEANS = 18, 60, 32, 24
_SWEEPS = 6
_PROOFS = frozenset({"proved", "reviewed", "inferred"})


@dataclass(frozen=True, slots=True)
class _Edge:
    """A step that one or more paths take: by what means, its weakest proof, and the numbers of those paths."""

    source: str
    target: str
    means: str
    proof: str
    refused: bool
    paths: tuple[int, ...]


def drawn(paths: Sequence[EscalationPath]) -> str:
    """Return the SVG of the worst paths, or nothing where there are none."""
    chosen = _chosen(paths)
    if not chosen:
        return ""
    edges = _edges(chosen)
    layers = _layers(edges)
    spots = _spots(layers, edges)
    depth = max(map(len, layers))
    width = 2 * _MARGIN + len(layers) * _BOX + (len(layers) - 1) * _BETWEEN + _AROUND
    high = 2 * _MARGIN + depth * (_HIGH + _GAP) - _GAP
    ends = {path.target for _, path in chosen}
    numbers: dict[str, set[int]] = defaultdict(set)
    for edge in edges:
        numbers[edge.source].update(edge.paths)
        numbers[edge.target].update(edge.paths)
    title = (
        f"{count(len(chosen), 'escalation path')} between {count(len(spots), 'subject')}; "
        "the list beside the drawing says the same in words"
    )
    parts = [
        f'<svg class="graph" viewBox="0 0 {width} {high}" width="{width}" height="{high}" role="img" ',
        f'aria-label="{title}"><defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" ',
        'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>',
        *_lines(edges, spots),
        *(_subject(name, spots[name], numbers[name], end=name in ends) for name in spots),
        "</svg>",
    ]
    left = len(paths) - len(chosen)
    more = f'<p class="more">{count(left, "more path")} not drawn; all are listed.</p>' if left else ""
    return "".join(parts) + more


def _chosen(paths: Sequence[EscalationPath]) -> list[tuple[int, EscalationPath]]:
    """Choose the worst paths, as long as not too many subjects are in them; each with its number in the list."""
    order = {severity: number for number, severity in enumerate(by_severity(paths))}
    chosen: list[tuple[int, EscalationPath]] = []
    subjects: set[str] = set()
    for number, path in sorted(enumerate(paths), key=lambda one: (order[one[1].severity], len(one[1].steps), one[0])):
        named = {end for step in path.steps for end in (step.source, step.target)}
        if path.steps and len(subjects | named) <= MOST_SUBJECTS:
            subjects |= named
            chosen.append((number, path))
    return chosen


def _edges(paths: Iterable[tuple[int, EscalationPath]]) -> list[_Edge]:
    found: dict[tuple[str, str, str], _Edge] = {}
    for number, path in paths:
        for place, step in enumerate(path.steps):
            key = (step.source, step.target, step.means)
            refused = bool(path.refused) and place == len(path.steps) - 1
            known = found.get(key)
            found[key] = _Edge(
                *key,
                known.proof if known else step.proof,
                refused and (known is None or known.refused),
                (*(known.paths if known else ()), number),
            )
    return list(found.values())


def _layers(edges: Sequence[_Edge]) -> list[list[str]]:
    """Put every subject into a layer, the ends on the right; a circle is cut where it is met first."""
    onward: dict[str, list[str]] = {}
    for edge in edges:
        onward.setdefault(edge.source, []).append(edge.target)
        onward.setdefault(edge.target, [])
    far: dict[str, int] = {name: 0 for name, next_ones in onward.items() if not next_ones}
    if not far:
        far = {edges[-1].target: 0}
    for _ in range(len(onward)):  # the longest way to an end, no longer than there are subjects
        before = dict(far)
        for name, next_ones in onward.items():
            known = [before[one] for one in next_ones if one in before and one != name]
            if known and name not in far:
                far[name] = min(known) + 1
        if far == before:
            break
    for name in onward:
        far.setdefault(name, 1)
    layers: list[list[str]] = [[] for _ in range(max(far.values()) + 1)]
    for name in onward:
        layers[len(layers) - 1 - far[name]].append(name)
    return _ordered([layer for layer in layers if layer], edges)


def _ordered(layers: list[list[str]], edges: Sequence[_Edge]) -> list[list[str]]:
    beside: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        beside[edge.source].append(edge.target)
        beside[edge.target].append(edge.source)
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            middle = {
                name: place - (len(one) - 1) / 2 for one in layers if one is not layer for place, name in enumerate(one)
            }
            own = {name: place - (len(layer) - 1) / 2 for place, name in enumerate(layer)}

            def weight(
                name: str, middle: dict[str, float] = middle, own: dict[str, float] = own
            ) -> tuple[float, float]:
                near = [middle[one] for one in beside[name] if one in middle]
                return (sum(near) / len(near) if near else own[name], own[name])

            layer.sort(key=weight)
    return layers


def _spots(layers: Sequence[Sequence[str]], edges: Sequence[_Edge]) -> dict[str, tuple[int, int]]:
    """Where each subject stands: the upper left corner of its box, as level with its neighbours as there is room."""
    beside: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        beside[edge.source].append(edge.target)
        beside[edge.target].append(edge.source)
    step = _HIGH + _GAP
    widest = max(range(len(layers)), key=lambda number: len(layers[number]))
    depth = len(layers[widest]) * step
    level = {name: place * step for place, name in enumerate(layers[widest])}
    for number in sorted(range(len(layers)), key=lambda number: (abs(number - widest), number)):
        layer = layers[number]
        if number == widest:
            continue
        wanted = {
            name: sum(near) // len(near)
            if (near := [level[one] for one in beside[name] if one in level])
            else depth // 2
            for name in layer
        }
        free, placed = 0, sorted(layer, key=lambda name: (wanted[name], layer.index(name)))
        for place, name in enumerate(placed):
            last = depth - (len(placed) - place) * step  # there has to be room for those below
            level[name] = max(free, min(wanted[name], last))
            free = level[name] + step
    return {
        name: (_MARGIN + number * (_BOX + _BETWEEN), _MARGIN + level[name])
        for number, layer in enumerate(layers)
        for name in layer
    }


def _lines(edges: Sequence[_Edge], spots: dict[str, tuple[int, int]]) -> Iterable[str]:
    together: dict[tuple[str, str], int] = defaultdict(int)
    leaving: dict[str, int] = defaultdict(int)
    for edge in edges:
        (x1, y1), (x2, y2) = spots[edge.source], spots[edge.target]
        nth = together[edge.source, edge.target]
        together[edge.source, edge.target] += 1
        below = leaving[edge.source]
        leaving[edge.source] += 1
        if x2 > x1:
            start, end = (x1 + _BOX, y1 + _HIGH // 2), (x2, y2 + _HIGH // 2)
            bend, bow = max(40, (end[0] - start[0]) // 2), 26 * nth
        else:  # back, or within a layer: around the right side
            start, end = (x1 + _BOX, y1 + _HIGH // 2 + 6), (x2 + _BOX, y2 + _HIGH // 2 - 6)
            bend, bow = -50 - 12 * nth, 0
        (x1, y1), (x2, y2) = start, end
        x3 = x1 + abs(bend)
        x4 = x2 - bend
        route = f"M{x1} {y1}C{x3} {y1 + bow} {x4} {y2 + bow} {x2} {y2}"
        at = (x1 + 10, y1 - 5 + 13 * below)  # where it leaves: lines that end at one subject are still apart there
        proof = edge.proof if edge.proof in _PROOFS else "inferred"
        said = f"{edge.source} → {edge.target}: {edge.means}, {edge.proof}{', refused' if edge.refused else ''}"
        tag = f"{clip(display(edge.means).partition(':')[0], _MEANS)} {'✕' if edge.refused else proof[0].upper()}"
        yield (
            f'<g class="edge {proof}{" refused" if edge.refused else ""}" data-paths="{_numbers(edge.paths)}">'
            f"<title>{_text(said)}</title>"
            f'<path class="line" d="{route}" marker-end="url(#arrow)"/>'
            f'<text x="{at[0]}" y="{at[1]}">{_text(tag)}</text></g>'
        )


def _subject(name: str, spot: tuple[int, int], paths: Iterable[int], *, end: bool) -> str:
    x, y = spot
    return (
        f'<g class="subject{" end" if end else ""}" data-paths="{_numbers(sorted(paths))}"><title>{_text(name)}</title>'
        f'<rect x="{x}" y="{y}" width="{_BOX}" height="{_HIGH}" rx="8"/>'
        f'<text x="{x + _BOX // 2}" y="{y + _HIGH // 2 + 4}" text-anchor="middle">'
        f"{_text(_short(display(name)))}</text></g>"
    )


def _short(name: str) -> str:
    """The end of a long name tells more than its beginning: service accounts all begin alike."""
    name = name.removeprefix("ServiceAccount ").removeprefix("User ")
    return name if len(name) <= _NAME else "…" + name[1 - _NAME :]


def _numbers(paths: Iterable[int]) -> str:
    return " ".join(map(str, paths))


def _text(value: str) -> str:
    return escape(display(value))
