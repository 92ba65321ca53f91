"""matrix.json: the contract with other programs (schema/matrix.schema.json), every list in plan order.

One element of a list is one line, so that two runs can be laid side by side with `diff` and searched with `grep`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from conformance.model import Verdict
from conformance.report.summary import verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cell, CheckResult, Endpoint, Finding, Identity, Matrix, Witness
    from conformance.report import Evidence

NAME = "json"
FILE = "matrix.json"
SCHEMA_VERSION = 1
SCHEMA_MINOR = 0


def render(matrix: Matrix, evidence: Evidence | None = None) -> bytes:  # noqa: ARG001  # the face of a format
    """Return matrix.json."""
    return b"".join(_lines(document(matrix)))


def document(matrix: Matrix) -> dict[str, Any]:
    """Return matrix.json as plain dicts and lists."""
    run = matrix.run
    return {
        "schemaVersion": SCHEMA_VERSION,
        "schemaMinor": SCHEMA_MINOR,
        "run": {
            "id": run.id,
            "startedAt": run.started_at,
            "seconds": run.seconds,
            "mode": run.mode,
            "complete": run.complete,
            "selection": run.selection,
            "oracles": run.oracles,
            "namespaces": dict(run.namespaces),
            "planned": run.planned,
            "asked": run.asked,
            "tool": {"name": run.tool, "version": run.tool_version},
            "requests": {"sent": run.sent, "retried": run.retried, "failed": run.failed},
        },
        "cluster": {"provider": run.provider, "version": run.server_version, "server": run.server},
        "identities": [_identity(identity) for identity in matrix.identities],
        "endpoints": [_endpoint(endpoint) for endpoint in matrix.endpoints],
        "cells": [_cell(cell) for cell in matrix.cells],
        "checks": [_check(check) for check in matrix.checks],
        "findings": [_finding(finding) for finding in matrix.findings],
        "summary": _summary(matrix),
    }


def _lines(whole: dict[str, Any]) -> Iterator[bytes]:
    start = b"{"
    for key, value in whole.items():
        yield start + b'"%s": ' % key.encode()
        start = b",\n "
        if isinstance(value, list) and value:
            yield b"[\n  " + b",\n  ".join(map(_dumps, value)) + b"\n ]"
        else:
            yield _dumps(value)
    yield b"}\n"


def _dumps(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate, which no UTF-8 file can hold
        return orjson.dumps(_encodable(value))


def _encodable(value: object) -> object:
    match value:
        case str():
            return str(value).encode("utf-8", "replace").decode()
        case dict():
            return {_encodable(key): _encodable(member) for key, member in value.items()}
        case list() | tuple():
            return [_encodable(member) for member in value]
    return value


def _identity(identity: Identity) -> dict[str, Any]:
    return {
        "name": identity.name,
        "kind": identity.kind,
        "user": identity.user,
        "groups": identity.groups,
        "expect": identity.expect,
    }


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "group": endpoint.group,
        "version": endpoint.version,
        "resource": endpoint.resource,
        "subresource": endpoint.subresource,
        "verb": endpoint.verb,
        "namespaced": endpoint.namespaced,
        "scope": endpoint.scope,
        "path": endpoint.path,
        "virtual": endpoint.virtual,
    }


def _witness(witness: Witness | None) -> dict[str, Any] | None:
    return None if witness is None else {"kind": witness.kind, "text": witness.text, "path": witness.path}


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "endpoint": cell.endpoint,
        "identity": cell.identity,
        "request": cell.request,
        "review": cell.review,
        "rules": cell.rules,
        "effective": cell.effective,
        "status": cell.status,
        "reason": cell.reason,
        "names": cell.names,
        "witness": _witness(cell.witness),
        "cause": cell.cause,
        "verdict": cell.verdict,
        "note": cell.note,
    }


def _check(check: CheckResult) -> dict[str, Any]:
    return {
        "id": check.id,
        "level": check.level,
        "resource": check.resource,
        "identity": check.identity,
        "endpoints": check.endpoints,
        "verdict": check.verdict,
        "note": check.note,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "severity": finding.severity,
        "title": finding.title,
        "identity": finding.identity,
        "witness": _witness(finding.witness),
        "evidence": finding.evidence,
    }


def _summary(matrix: Matrix) -> dict[str, Any]:
    counted = verdicts(matrix.cells)
    return {
        "cells": len(matrix.cells),
        "verdicts": {str(verdict): number for verdict, number in counted.items()},
        "disagreements": counted[Verdict.FAIL],
        "explained": counted[Verdict.INFO],
        "notEvaluated": counted[Verdict.NOT_EVALUATED],
    }
