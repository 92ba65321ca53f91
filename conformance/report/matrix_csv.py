"""matrix.csv: one row a cell, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from functools import lru_cache
from typing import TYPE_CHECKING

from conformance.report.summary import state
from conformance.report.text import display

if TYPE_CHECKING:
    from conformance.model import Matrix
    from conformance.report import Evidence

NAME = "csv"
FILE = "matrix.csv"
COLUMNS = (
    *("endpoint", "group", "version", "resource", "subresource", "verb", "scope", "identity"),
    *("state", "verdict", "request", "review", "rules", "effective", "status", "reason", "names", "cause"),
    *("witness", "witness_text", "witness_path", "note"),
)
_SEEN = 4096  # values that are kept as they are to be written
# What makes a spreadsheet take a cell for a formula: also the full-width forms, which some read the same way.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def render(matrix: Matrix, evidence: Evidence | None = None) -> bytes:  # noqa: ARG001  # the face of a format
    """Return matrix.csv: UTF-8, CRLF, quoted by RFC 4180."""
    fitted = lru_cache(maxsize=_SEEN)(safe)  # most values stand in many rows
    endpoints = {
        row.id: [
            safe(value)
            for value in (row.id, row.group, row.version, row.resource, row.subresource, row.verb, row.scope)
        ]
        for row in matrix.endpoints
    }
    identities = {identity.name: identity for identity in matrix.identities}
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for cell in matrix.cells:
        witness = cell.witness
        values = (
            cell.identity,
            *(state(cell, identities[cell.identity]), cell.verdict, cell.request or "", cell.review or ""),
            *(cell.rules or "", cell.effective, "" if cell.status is None else str(cell.status), cell.reason),
            *(" ".join(cell.names), cell.cause or ""),
            *((witness.kind, witness.text, " > ".join(witness.path)) if witness else ("", "", "")),
            cell.note,
        )
        writer.writerow([*endpoints[cell.endpoint], *map(fitted, values)])
    return text.getvalue().encode()


def safe(value: str) -> str:
    """Return a value that no spreadsheet runs: an apostrophe stands before whatever could begin a formula."""
    return f"'{display(value)}" if value.startswith(_FORMULA) else display(value)
