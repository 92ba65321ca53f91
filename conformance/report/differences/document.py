"""Differences as JSON; its schema is schema/differences.schema.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from conformance.report.differences import Comparison

NAME = "json"
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


def _side(side: tuple[str, str, str] | None) -> dict[str, str] | None:
    return None if side is None else dict(zip(("name", "version", "takenAt"), side, strict=True))
