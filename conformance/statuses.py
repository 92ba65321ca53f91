"""The shape of an error: a Status whose code is that of HTTP, and whose reason belongs to that code.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ and the reasons' own comments in
k8s.io/apimachinery/pkg/apis/meta/v1/types.go, each of which names its code.
"""

from __future__ import annotations

from typing import Any

FAILURE, SUCCESS = "Failure", "Success"
_ERRORS = 400
CODES = {
    "AlreadyExists": {409},
    "BadRequest": {400},
    "Conflict": {409},
    "Expired": {410},
    "Forbidden": {403},
    "Gone": {410},
    "InternalError": {500},
    "Invalid": {422},
    "MethodNotAllowed": {405},
    "NotAcceptable": {406},
    "NotFound": {404},
    "RequestEntityTooLarge": {413},
    "ServerTimeout": {500},
    "ServiceUnavailable": {503},
    "StorageReadError": {500},
    "Timeout": {504},
    "TooManyRequests": {429},
    "Unauthorized": {401},
    "UnsupportedMediaType": {415},
}
_FIELDS = {"kind", "apiVersion", "metadata", "status", "message", "reason", "details", "code"}
_DETAILS = {"name": str, "group": str, "kind": str, "uid": str, "causes": list, "retryAfterSeconds": int}
_CAUSE = {"reason", "message", "field"}


def status_problems(value: Any, code: int | None) -> list[str]:
    """Say how a body departs from the shape of a Status; `code` is the HTTP status of an error, None of a success."""
    if not isinstance(value, dict):
        return ["an error is no Status but another JSON value"]
    if value.get("kind") != "Status" or value.get("apiVersion") != "v1":
        return ["an error is an object of another kind than v1 Status"]
    found = [f"Status: the field {name} is not documented" for name in sorted(value.keys() - _FIELDS, key=str)[:1]]
    if not isinstance(value.get("metadata", {}), dict):
        found.append("Status metadata: no object")
    wanted = SUCCESS if code is None else FAILURE
    if code is not None and value.get("status") != wanted:
        found.append(f"Status status: not {wanted}")
    elif value.get("status") not in {SUCCESS, FAILURE}:
        found.append("Status status: neither Success nor Failure")
    if code is not None:
        found += _coded(value, code)
    if "message" in value and not isinstance(value["message"], str):
        found.append("Status message: no text")
    return found + _details(value.get("details"))


def _coded(value: dict[str, Any], code: int) -> list[str]:
    found = []
    if value.get("code") != code:
        found.append("Status code: not the code of the answer")
    reason = value.get("reason")
    if reason is None:
        found.append(f"Status reason: missing from a {code}")
    elif not isinstance(reason, str):
        found.append("Status reason: no text")
    elif reason in CODES and code not in CODES[reason]:
        found.append(f"Status reason: {reason} does not belong to {code}")
    if not value.get("message"):
        found.append(f"Status message: missing from a {code}")
    return found


def _details(details: Any) -> list[str]:
    if details is None:
        return []
    if not isinstance(details, dict):
        return ["Status details: no object"]
    found = [
        f"Status details: the field {name} is not documented" for name in sorted(details.keys() - _DETAILS, key=str)[:1]
    ]
    found += [
        f"Status details.{name}: of another type than documented"
        for name, kind in _DETAILS.items()
        if name in details and not isinstance(details[name], kind)
    ]
    for cause in details.get("causes") or ():
        if not isinstance(cause, dict) or cause.keys() - _CAUSE or not all(isinstance(v, str) for v in cause.values()):
            found.append("Status details.causes: of another form than documented")
            break
    return found
