"""Lines of an audit log, for tests."""

from __future__ import annotations

import secrets
from typing import Any


def event(verb: str, resource: str = "pods", **more: Any) -> dict[str, Any]:
    """One line of a log."""
    plural, _, sub = resource.partition("/")
    what = {"resource": plural, "apiVersion": "v1"} | ({"subresource": sub} if sub else {})
    what |= {key: more.pop(key) for key in ("namespace", "name", "apiGroup") if key in more}
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "stage": "ResponseComplete",
        "auditID": secrets.token_hex(8),
        "verb": verb,
        "user": {"username": "alice", "groups": ["system:authenticated"]},
        "objectRef": what,
        "requestURI": f"/api/v1/{plural}",
        "responseStatus": {"code": 200},
        "annotations": {"authorization.k8s.io/decision": "allow"},
    } | more
