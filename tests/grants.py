"""RBAC objects of few words, for tests: who gets which rules where."""

from __future__ import annotations

from typing import Any

import yaml

from conformance.model import Rbac

RBAC = "rbac.authorization.k8s.io"
ADMIN = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}


def rule(verbs: str, resources: str, *names: str, group: str = "") -> dict[str, Any]:
    found = {"verbs": verbs.split(","), "apiGroups": [group], "resources": resources.split(",")}
    return found | ({"resourceNames": list(names)} if names else {})


def cluster(*grants: tuple[str, str, list[dict[str, Any]]]) -> Rbac:
    """Make objects of (subject, namespace or "" for the whole cluster, rules)."""
    roles: list[dict[str, Any]] = []
    bindings: list[dict[str, Any]] = []
    near_roles: list[dict[str, Any]] = []
    near_bindings: list[dict[str, Any]] = []
    for number, (subject, namespace, rules) in enumerate(grants):
        name = f"g{number}"
        kind, _, who = subject.partition(" ")
        entry = {"kind": kind, "name": who, "apiGroup": RBAC}
        if kind == "ServiceAccount":
            entry = {"kind": kind, "namespace": who.partition("/")[0], "name": who.partition("/")[2]}
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
        role_kind = "Role" if namespace else "ClusterRole"
        (near_roles if namespace else roles).append({"metadata": metadata, "rules": rules})
        (near_bindings if namespace else bindings).append(
            {"metadata": metadata, "subjects": [entry], "roleRef": {"kind": role_kind, "name": name}}
        )
    return Rbac(tuple(roles), tuple(bindings), tuple(near_roles), tuple(near_bindings))


def manifests(rbac: Rbac) -> str:
    """Write the objects as a file of manifests."""
    kinds = {"ClusterRole": rbac.cluster_roles, "ClusterRoleBinding": rbac.cluster_role_bindings}
    kinds |= {"Role": rbac.roles, "RoleBinding": rbac.role_bindings}
    items = [{"apiVersion": f"{RBAC}/v1", "kind": kind, **it} for kind, them in kinds.items() for it in them]
    text: str = yaml.safe_dump_all(items)
    return text
