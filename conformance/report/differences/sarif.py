"""Differences for code-scanning pages, SARIF 2.1.0: one rule a kind of change, one result a difference that matters."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from conformance import __version__
from conformance.report.sarif import SCHEMA
from conformance.report.text import display

if TYPE_CHECKING:
    from conformance.model import Difference
    from conformance.report.differences import Comparison

NAME = "sarif"
_LEVELS = {"fail": "error", "warn": "warning", "waived": "note", "pass": "note"}


def render(comparison: Comparison) -> bytes:
    """Return the whole file; what passes is left out once a gate has decided."""
    shown = [it for it in comparison.differences if not comparison.decided or it.outcome != "pass"]
    rules = list(dict.fromkeys(it.id.partition(":")[0] for it in shown))
    driver = {
        "name": "kube-conformance",
        "version": __version__,
        "rules": [
            {"id": display(rule), "shortDescription": {"text": display(rule).replace("-", " ")}} for rule in rules
        ],
    }
    results = [_result(it, rules, decided=comparison.decided) for it in shown]
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "kube-conformance/gate/"},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return orjson.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, option=orjson.OPT_INDENT_2) + b"\n"


def _result(it: Difference, rules: list[str], *, decided: bool) -> dict[str, Any]:
    change, _, subject = it.id.partition(":")
    file, line = _place(it)
    text = ". ".join(filter(None, (it.title, "; ".join(it.affected[:3]), it.advice)))
    result: dict[str, Any] = {
        "ruleId": display(change),
        "ruleIndex": rules.index(change),
        "level": _LEVELS[it.outcome] if decided else "note",
        "message": {"text": _message(text)},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": line}},
                "logicalLocations": [{"fullyQualifiedName": display(subject), "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"difference/v1": hashlib.sha256(it.id.encode("utf-8", "replace")).hexdigest()},
        "properties": {"severity": it.severity, "kind": it.kind},
    }
    if it.waiver:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": display(it.waiver)}]
    return result


def _place(it: Difference) -> tuple[str, int]:
    """Give file and line of what was read from a manifest; anything else has none, so the document stands for it."""
    file, _, line = it.endpoint.rpartition(":")
    if it.kind == "manifest" and file and line.isdigit():
        from urllib.parse import quote  # noqa: PLC0415

        return quote(display(file)), int(line)
    return "differences.json", 1


def _message(text: str) -> str:
    shown = display(text).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return shown.replace("{", "{{").replace("}", "}}")
