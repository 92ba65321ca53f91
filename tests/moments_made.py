"""Moments made up for tests: two sides that differ in what a test says, and in nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import catalogs
import orjson

from conformance.compare import change_of, compared
from conformance.model import Rbac
from conformance.moments import Moment, digest

if TYPE_CHECKING:
    from conformance.model import Difference, Json, Matrix, Resource

POD = "io.example.Pod"
KEY = "api/v1"
GVK = [{"group": "", "version": "v1", "kind": "Thing"}]


def moment(
    *resources: Resource,
    evidence: Json | None = None,
    rbac: Rbac | None = None,
    schemas: Json | None = None,
    matrix: Matrix | None = None,
    name: str = "made",
) -> Moment:
    served = resources or (catalogs.resource("things"),)
    documents = {KEY: {"components": {"schemas": schemas}}} if schemas is not None else {}
    return Moment(
        name=name,
        taken_at="2026-11-22T16:00:00Z",
        snapshot=catalogs.snapshot(*served, rbac=rbac),
        evidence=evidence if evidence is not None else {},
        digests={key: digest(orjson.dumps(it)) for key, it in documents.items()},
        document=lambda key: documents.get(key, {}),
        matrix=matrix,
    )


def uses(count: int = 1, *, version: str = "v1", fields: tuple[str, ...] = (), manager: str = "helm") -> Json:
    return {"count": count, "writers": {version: {manager: count}}, "fields": {version: dict.fromkeys(fields, count)}}


def found(before: Moment, after: Moment) -> dict[str, Difference]:
    return {it.id: it for it in compared(before, after)}


def changes(before: Moment, after: Moment) -> set[str]:
    return {change_of(it) for it in compared(before, after)}


def role(name: str, *rules: Json, default: bool = False, **more: Any) -> Json:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"} if default else {}
    return {"metadata": {"name": name, "labels": labels}, "rules": list(rules), **more}


def rule(verbs: str, *resources: str, group: str = "") -> Json:
    return {"verbs": verbs.split(), "apiGroups": [group], "resources": list(resources)}


def binding(name: str, role_name: str, subject: Json, namespace: str = "") -> Json:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"metadata": metadata, "roleRef": {"kind": "ClusterRole", "name": role_name}, "subjects": [subject]}


ACCOUNT = {"kind": "ServiceAccount", "name": "shop", "namespace": "web"}


def bound(*rules: Json, namespace: str = "", subject: Json = ACCOUNT) -> Rbac:
    """Give a policy in which a subject has these rules."""
    made = binding("b", "r", subject, namespace)
    return Rbac(
        cluster_roles=(role("r", *rules),),
        cluster_role_bindings=() if namespace else (made,),
        role_bindings=(made,) if namespace else (),
    )
