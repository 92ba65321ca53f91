"""RBAC objects by kind, namespace and name, so that some of them can be put, changed or taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.model import Rbac
from conformance.rbac.resolver import aggregated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.model import Json

Key = tuple[str, str, str]  # kind, namespace, name
FIELDS = {
    "ClusterRole": "cluster_roles",
    "ClusterRoleBinding": "cluster_role_bindings",
    "Role": "roles",
    "RoleBinding": "role_bindings",
}


def by_key(rbac: Rbac) -> dict[Key, Json]:
    """Give every object by its key."""
    return {
        (
            kind,
            it["metadata"].get("namespace", "") if not kind.startswith("Cluster") else "",
            it["metadata"]["name"],
        ): it
        for kind, field in FIELDS.items()
        for it in getattr(rbac, field)
    }


def put(rbac: Rbac, changes: Mapping[Key, Json | None]) -> Rbac:
    """Give the objects as they are after a change: None takes one away; aggregated roles follow the roles they gather.

    An aggregated role is worked out anew only where a ClusterRole changes: what it holds came from its cluster.
    """
    objects = by_key(rbac) | {key: value for key, value in changes.items() if value is not None}
    for key, value in changes.items():
        if value is None:
            objects.pop(key, None)

    def of(kind: str) -> tuple[Json, ...]:
        return tuple(objects[key] for key in sorted(objects) if key[0] == kind)

    after = Rbac(of("ClusterRole"), of("ClusterRoleBinding"), of("Role"), of("RoleBinding"), rbac.incomplete)
    if not any(kind == "ClusterRole" for kind, _, _ in changes):
        return after
    # What a collector has beyond its feeders here, as in a part of a cluster's manifests, stays.
    before_full = {it["metadata"]["name"]: it for it in aggregated(rbac).cluster_roles}
    roles = []
    for role, full in zip(after.cluster_roles, aggregated(after).cluster_roles, strict=True):
        if not role.get("aggregationRule"):
            roles.append(role)
            continue
        gathered = before_full.get(role["metadata"]["name"], {}).get("rules") or []
        own = [rule for rule in role.get("rules") or [] if rule not in gathered]
        roles.append({**role, "rules": [*own, *(rule for rule in full["rules"] if rule not in own)]})
    return Rbac(tuple(roles), after.cluster_role_bindings, after.roles, after.role_bindings, rbac.incomplete)


def text(key: Key) -> str:
    """Give an object's full name."""
    kind, namespace, name = key
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
