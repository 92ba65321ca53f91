"""A matrix as the page's data: small arrays that are searched at once, chunks of evidence that are opened on demand.

What the page's data.js reads again; the two are laid out alike. Every text is made fit to show before it is packed.
"""

from __future__ import annotations

import base64
import sys
import zlib
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from conformance.model import Answer, Verdict
from conformance.report.html.leaves import known, leaves, told
from conformance.report.summary import SEVERITIES, group_of, reproduce
from conformance.report.text import clip, display

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conformance.model import Cell, Endpoint, Identity, Matrix
    from conformance.report import Evidence

CELLS_A_CHUNK = 1000  # a chunk opens in about 10 ms
MOST_TEXT = 4096  # characters of one text of an answer

_STATES = {Answer.ALLOWED: 0, Answer.DENIED: 1, Answer.UNKNOWN: 2}
_NAMED = 3
_ABSENT = 0xFF  # no cell here: a row that was not asked of this identity
_VERDICTS = {verdict: number for number, verdict in enumerate(Verdict)}
_ORACLES = {None: 0, Answer.ALLOWED: 1, Answer.DENIED: 2, Answer.UNKNOWN: 3}
_REQUEST = ("method", "path", "query", "type", "body")  # what the cells of a row have in common
_ANSWER = ("message", "review", "error", "causes", "warnings")


@dataclass(frozen=True, slots=True)
class Packed:
    """Base64 of raw deflate: the index (JSON), the states (arrays), the other pages (JSON), the evidence (JSON)."""

    index: str
    states: str
    leaves: str
    chunks: tuple[str, ...]


def pack(matrix: Matrix, evidence: Evidence | None) -> Packed:
    """Return the page's data."""
    rows = {endpoint.id: number for number, endpoint in enumerate(matrix.endpoints)}
    columns = {identity.name: number for number, identity in enumerate(matrix.identities)}
    width = len(columns)
    placed: list[Cell | None] = [None] * (len(matrix.endpoints) * width)
    for cell in matrix.cells:
        placed[rows[cell.endpoint] * width + columns[cell.identity]] = cell
    kinds, states = _states(placed)
    rows_a_chunk = max(1, CELLS_A_CHUNK // max(1, width))
    step = rows_a_chunk * max(1, width)
    chunks = tuple(
        _deflated(
            orjson.dumps(
                [_row(placed[at : at + width], evidence) for at in range(start, min(start + step, len(placed)), width)]
            )
        )
        for start in range(0, len(placed), step)
    )
    index = {
        "run": _run(matrix),
        "identities": [_identity(identity) for identity in matrix.identities],
        "endpoints": _endpoints(matrix.endpoints),
        "kinds": kinds,
        "rowsAChunk": rows_a_chunk,
        # Of a finding only what a search needs; its story is a leaf.
        "findings": [
            [
                display(finding.rule or finding.id),
                display(finding.severity),
                columns.get(finding.identity, -1),
                list(known(finding.evidence, rows)),
            ]
            for finding in matrix.findings
        ],
        "severities": SEVERITIES,
    }
    beside = orjson.dumps(leaves(matrix, rows, columns))
    return Packed(_deflated(orjson.dumps(index)), _deflated(states), _deflated(beside), chunks)


def _deflated(content: bytes) -> str:
    # Level 6 of zlib is 3 % larger than 9 and twice as fast.
    maker = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    return base64.b64encode(maker.compress(content) + maker.flush()).decode()


def _states(placed: Sequence[Cell | None]) -> tuple[list[list[Any]], bytes]:
    """A number and two bytes a cell: its kind (status, reason, cause); state and verdict; the three oracles."""
    drawn, oracles = bytearray(len(placed)), bytearray(len(placed))
    numbers = array("I", bytes(4 * len(placed)))
    kinds: dict[tuple[int | None, str, str | None], int] = {(None, "", None): 0}
    for place, cell in enumerate(placed):
        if cell is None:
            drawn[place] = _ABSENT
            continue
        named = cell.names and cell.effective is not Answer.ALLOWED
        drawn[place] = (_NAMED if named else _STATES[cell.effective]) | _VERDICTS[cell.verdict] << 2
        oracles[place] = _ORACLES[cell.request] | _ORACLES[cell.review] << 2 | _ORACLES[cell.rules] << 4
        kind = (cell.status, cell.reason, cell.cause)
        numbers[place] = kinds.setdefault(kind, len(kinds))
    if sys.byteorder == "big":
        numbers.byteswap()
    shown = [[status, display(reason), display(cause or "")] for status, reason, cause in kinds]
    return shown, numbers.tobytes() + bytes(drawn) + bytes(oracles)


def _row(cells: Sequence[Cell | None], evidence: Evidence | None) -> list[Any]:
    """The request that the cells of a row have in common, or 0, then what the arrays do not hold of each cell."""
    asked: dict[str, Any] | int = 0
    packed: list[Any] = []
    for cell in cells:
        if cell is None:
            packed.append(0)
            continue
        exchange = evidence.exchange(cell.endpoint, cell.identity) if evidence else None
        if exchange and not asked and "method" in exchange:
            asked = {key: _shown(exchange[key]) for key in _REQUEST if key in exchange}
        packed.append(_cell(cell, exchange))
    return [asked, *packed]


def _cell(cell: Cell, exchange: dict[str, Any] | None) -> list[Any]:
    """Names, witness, note and what was answered; what is empty at the end is left out."""
    witness = cell.witness
    packed: list[Any] = [
        [display(name) for name in cell.names],
        told(witness) if witness else 0,
        display(cell.note),
        {key: _shown(exchange[key]) for key in _ANSWER if exchange.get(key)} if exchange else 0,
    ]
    while packed and not packed[-1]:
        packed.pop()
    return packed


def _shown(value: object) -> object:
    """Return a JSON value whose texts are all fit to show, and none too long."""
    match value:
        case None | bool() | int() | float():
            return value
        case list() | tuple():
            return [_shown(member) for member in value]
        case dict():
            return {display(str(key)): _shown(member) for key, member in value.items()}
    return clip(display(str(value)), MOST_TEXT)


def _run(matrix: Matrix) -> dict[str, Any]:
    run = matrix.run
    return {
        "id": display(run.id),
        "server": display(run.server),
        "version": display(run.server_version),
        "mode": display(run.mode),
        "namespaces": {display(scope): [display(name) for name in names] for scope, names in run.namespaces.items()},
        "command": reproduce(run),
    }


def _identity(identity: Identity) -> list[Any]:
    return [
        display(identity.name),
        display(identity.kind),
        display(identity.user),
        [display(group) for group in identity.groups],
        identity.expect,
        identity.groups_known,
    ]


def _endpoints(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Columns rather than rows, texts that repeat as numbers: 25,000 rows must be read in a few milliseconds."""
    texts: dict[str, int] = {}

    def numbers(values: Iterable[str]) -> list[int]:
        return [texts.setdefault(display(value), len(texts)) for value in values]

    columns = {
        "group": numbers(group_of(endpoint) for endpoint in endpoints),
        "version": numbers(endpoint.version for endpoint in endpoints),
        "resource": numbers(endpoint.resource for endpoint in endpoints),
        "subresource": numbers(endpoint.subresource for endpoint in endpoints),
        "verb": numbers(endpoint.verb for endpoint in endpoints),
        "scope": numbers(endpoint.scope for endpoint in endpoints),
        "path": numbers(endpoint.path for endpoint in endpoints),
        "flags": [endpoint.namespaced | endpoint.virtual << 1 for endpoint in endpoints],
    }
    return {**columns, "id": [display(endpoint.id) for endpoint in endpoints], "texts": list(texts)}
