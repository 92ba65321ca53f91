"""findings.sarif: the findings for code-scanning pages, SARIF 2.1.0.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0 errata 01.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from conformance.report.text import display

if TYPE_CHECKING:
    from conformance.model import Finding, Matrix
    from conformance.report import Evidence

NAME = "sarif"
FILE = "findings.sarif"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST_PLACES = 20  # code-scanning pages refuse results with very many
_URI = "/:?#[]@!$&'()*+,;=%"  # what has a meaning in an address stays as it is
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
# What code-scanning pages sort by: a number on the scale of CVSS.
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0", "info": "0.0"}


def render(matrix: Matrix, evidence: Evidence | None = None) -> bytes:  # noqa: ARG001  # the face of a format
    """Return findings.sarif: one rule a finding's id, one result a finding."""
    run = matrix.run
    rules: dict[str, Finding] = {}
    for finding in matrix.findings:
        rules.setdefault(_rule_of(finding), finding)
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
                "results": [_result(finding, order[_rule_of(finding)]) for finding in matrix.findings],
            }
        ],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def _rule_of(finding: Finding) -> str:
    return finding.rule or finding.id


def _rule(finding: Finding) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if finding.description:
        more["fullDescription"] = {"text": _message(finding.description)}
    if finding.fix:
        sources = "".join(f"\n{display(reference)}" for reference in finding.references)
        more["help"] = {"text": _message(finding.fix) + sources}
    address = next((it for it in finding.references if it.startswith("https://")), None)
    if address:
        more["helpUri"] = quote(address, safe=_URI)
    return {
        "id": display(_rule_of(finding)),
        "shortDescription": {"text": _message(finding.title)},
        **more,
        "defaultConfiguration": {"level": _LEVELS.get(finding.severity, "warning")},
        "properties": {"security-severity": _SCORES.get(finding.severity, "5.5"), "tags": ["security", "rbac"]},
    }


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    text = f"{finding.title}. Identity {finding.identity}: {finding.witness.text}"
    places = [_in_file(file, line, finding) for file, line in finding.places]
    if not places:
        places = [_location(where, finding) for where in finding.evidence[:MOST_PLACES]] or [_location("", finding)]
    result: dict[str, Any] = {
        "ruleId": display(_rule_of(finding)),
        "ruleIndex": rule,
        "level": _LEVELS.get(finding.severity, "warning"),
        "message": {"text": _message(text)},
        "locations": [places[0]],
        "partialFingerprints": {"finding/v1": _fingerprint(finding)},
        "properties": {
            "finding": display(finding.id),
            "severity": display(finding.severity),
            "identity": display(finding.identity),
        },
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


def _in_file(file: str, line: int, finding: Finding) -> dict[str, Any]:
    """Where the object stands in the user's manifests."""
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(display(file).replace("\\", "/"), safe="/")},
            "region": {"startLine": line},
        },
        "logicalLocations": [{"fullyQualifiedName": display(finding.identity), "kind": "resource"}],
    }


def _fingerprint(finding: Finding) -> str:
    """Names a finding across runs, so that a page can tell new from known."""
    parts = (finding.id, finding.identity, *finding.witness.path, *(() if finding.rule else finding.evidence))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def _message(text: str) -> str:
    r"""Return plain text for a SARIF message, where `[a](b)` would be a link and `{0}` a placeholder (3.11)."""
    shown = display(text).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return shown.replace("{", "{{").replace("}", "}}")
