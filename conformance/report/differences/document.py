"""Differences as JSON; its schema is schema/differences.schema.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from conformance.errors import RunFileError
from conformance.model import Difference, Gate

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.report.differences import Comparison

NAME = "json"
FILE = "differences.json"  # in the folder of a run on which a gate decided
VERSION = 1


def render(comparison: Comparison) -> bytes:
    """Return the whole document."""
    return orjson.dumps(document(comparison), option=orjson.OPT_INDENT_2) + b"\n"


def document(comparison: Comparison) -> dict[str, Any]:
    """Give the document as values. `gate` is null where nothing was decided."""
    gate = comparison.gate
    decided = {"passed": gate.passed, "reason": gate.reason, "complaints": [*comparison.complaints]}
    return {
        "schemaVersion": VERSION,
        "before": _side(comparison.before),
        "after": _side(comparison.after),
        "gate": decided if comparison.decided else None,
        "differences": [
            {
                "id": it.id,
                "kind": it.kind,
                "change": it.id.partition(":")[0],
                "severity": it.severity,
                "title": it.title,
                "before": it.before,
                "after": it.after,
                "endpoint": it.endpoint,
                "identity": it.identity,
                "affected": [*it.affected],
                "advice": it.advice,
                "outcome": it.outcome if comparison.decided else None,
                "waiver": it.waiver,
            }
            for it in comparison.differences
        ],
    }


def gate_of(folder: Path) -> Gate | None:
    """Read back what a gate decided on a run, None where none did."""
    try:
        stored: Any = orjson.loads((folder / FILE).read_bytes())
        decided, baseline = stored["gate"], (stored["before"] or {}).get("name", "")
        differences = tuple(
            Difference(
                **{key: value for key, value in it.items() if key != "change"} | {"affected": (*it["affected"],)}
            )
            for it in stored["differences"]
        )
        return Gate(decided["passed"], decided["reason"], baseline, differences)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise RunFileError(f"{folder / FILE} can't be read: {type(problem).__name__} {problem}") from None


def _side(side: tuple[str, str, str] | None) -> dict[str, str] | None:
    return None if side is None else dict(zip(("name", "version", "takenAt"), side, strict=True))
