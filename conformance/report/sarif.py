"""findings.sarif: the findings for code-scanning pages, SARIF 2.1.0.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0 errata 01.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from conformance.report.text import display

if TYPE_CHECKING:
    from conformance.model import Finding, Matrix
    from conformance.report import Evidence

NAME = "sarif"
FILE = "findings.sarif"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST_PLACES = 20  # code-scanning pages refuse results with very many
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
# What code-scanning pages sort by: a number on the scale of CVSS.
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0", "info": "0.0"}


def render(matrix: Matrix, evidence: Evidence | None = None) -> bytes:  # noqa: ARG001  # the face of a format
    """Return findings.sarif: one rule a finding's id, one result a finding."""
    run = matrix.run
    rules: dict[str, Finding] = {}
    for finding in matrix.findings:
        rules.setdefault(finding.id, finding)
    order = {rule: number for number, rule in enumerate(rules)}
    driver = {
        "name": display(run.tool),
        "version": display(run.tool_version),
        "rules": [_rule(finding) for finding in rules.values()],
    }
    document = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "automationDetails": {"id": f"kube-conformance/{display(run.server_version)}/"},
                "invocations": [{"executionSuccessful": run.complete}],
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, order[finding.id]) for finding in matrix.findings],
            }
        ],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def _rule(finding: Finding) -> dict[str, Any]:
    return {
        "id": display(finding.id),
        "shortDescription": {"text": _message(finding.title)},
        "defaultConfiguration": {"level": _LEVELS.get(finding.severity, "warning")},
        "properties": {"security-severity": _SCORES.get(finding.severity, "5.5"), "tags": ["security", "rbac"]},
    }


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    text = f"{finding.title}. Identity {finding.identity}: {finding.witness.text}"
    places = [_location(where, finding) for where in finding.evidence[:MOST_PLACES]] or [_location("", finding)]
    result: dict[str, Any] = {
        "ruleId": display(finding.id),
        "ruleIndex": rule,
        "level": _LEVELS.get(finding.severity, "warning"),
        "message": {"text": _message(text)},
        "locations": [places[0]],
        "partialFingerprints": {"finding/v1": _fingerprint(finding)},
        "properties": {"severity": display(finding.severity), "identity": display(finding.identity)},
    }
    if len(places) > 1:
        result["relatedLocations"] = places[1:]
    if finding.witness.path:
        steps = [{"location": {"message": {"text": _message(step)}}} for step in finding.witness.path]
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    return result


def _location(where: str, finding: Finding) -> dict[str, Any]:
    """A permission has no source file: the cell's row in matrix.json beside this file stands for one."""
    named = display(f"{where} [{finding.identity}]".strip())
    return {
        "physicalLocation": {"artifactLocation": {"uri": "matrix.json"}, "region": {"startLine": 1}},
        "logicalLocations": [{"fullyQualifiedName": named, "kind": "resource"}],
    }


def _fingerprint(finding: Finding) -> str:
    """Names a finding across runs, so that a page can tell new from known."""
    parts = (finding.id, finding.identity, *finding.witness.path, *finding.evidence)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def _message(text: str) -> str:
    r"""Return plain text for a SARIF message, where `[a](b)` would be a link and `{0}` a placeholder (3.11)."""
    shown = display(text).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return shown.replace("{", "{{").replace("}", "}}")
