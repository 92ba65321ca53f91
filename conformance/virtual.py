"""Rights that no discovery lists: the one table of virtual rows.

They have no request of their own, so review and rules answer. They hold the worst rights that there are: to become
somebody else, to hand out rights one does not have, to sign certificates. Beside the table come whatever verbs and
resources the cluster's own rules name that discovery lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.model import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.model import Catalog, Json, Rbac

_AUTHENTICATION, _RBAC, _CERTIFICATES = "authentication.k8s.io", "rbac.authorization.k8s.io", "certificates.k8s.io"


@dataclass(frozen=True, slots=True)
class _Virtual:
    group: str
    version: str
    resource: str
    verbs: tuple[str, ...]
    namespaced: bool = False
    subresource: str = ""


# Sources: docs "User impersonation" and "Authorization > RBAC > Restrictions on role creation or update",
# "Certificate Signing Requests > Authorization"; k8s.io/apiserver/pkg/endpoints/filters/impersonation.
_TABLE = (
    _Virtual("", "v1", "users", ("impersonate",)),
    _Virtual("", "v1", "groups", ("impersonate",)),
    _Virtual("", "v1", "serviceaccounts", ("impersonate",), namespaced=True),
    _Virtual(_AUTHENTICATION, "v1", "uids", ("impersonate", "impersonate:user-info")),
    _Virtual(_AUTHENTICATION, "v1", "userextras", ("impersonate", "impersonate:user-info")),
    _Virtual(_AUTHENTICATION, "v1", "users", ("impersonate:user-info",)),
    _Virtual(_AUTHENTICATION, "v1", "groups", ("impersonate:user-info",)),
    _Virtual(_AUTHENTICATION, "v1", "serviceaccounts", ("impersonate:serviceaccount",), namespaced=True),
    _Virtual(_AUTHENTICATION, "v1", "nodes", ("impersonate:arbitrary-node", "impersonate:associated-node")),
    _Virtual(
        "", "v1", "pods", ("impersonate-on:user-info:list", "impersonate-on:serviceaccount:list"), namespaced=True
    ),
    _Virtual("", "v1", "secrets", ("impersonate-on:user-info:get",), namespaced=True),
    _Virtual(_RBAC, "v1", "clusterroles", ("bind", "escalate")),
    _Virtual(_RBAC, "v1", "roles", ("bind", "escalate"), namespaced=True),
    _Virtual(_CERTIFICATES, "v1", "signers", ("approve", "attest", "sign")),
)


def rows(catalog: Catalog, rbac: Rbac) -> tuple[Endpoint, ...]:
    """Every virtual row of a cluster: the table's, then what rules name beyond discovery, each in a steady order."""
    known = {(r.group, r.plural): r for r in catalog.resources}
    served = {(r.group, r.plural, verb) for r in catalog.resources for verb in r.verbs}
    preferred = {group.name: group.preferred for group in catalog.groups}
    table = [
        _endpoint(v.group, v.version, v.resource, v.subresource, verb, namespaced=v.namespaced)
        for v in _TABLE
        for verb in v.verbs
    ]
    there = {(e.group, e.plural, e.verb) for e in table} | served
    extra = []
    for group, plural, verb in sorted(_named(rbac)):
        if (group, plural, verb) in there or (verb in _ORDINARY and (group, plural) in known):
            # An ordinary verb on a served resource that does not have it (say `delete` on a review) grants nothing.
            continue
        resource, _, subresource = plural.partition("/")
        parent = known.get((group, plural)) or known.get((group, resource))
        version = parent.version if parent else preferred.get(group, "v1")
        namespaced = parent.namespaced if parent else False
        extra.append(_endpoint(group, version, resource, subresource, verb, namespaced=namespaced))
    return tuple(_scoped([*table, *extra]))


_ORDINARY = frozenset({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"})


def _endpoint(group: str, version: str, resource: str, subresource: str, verb: str, *, namespaced: bool) -> Endpoint:
    scope = "own" if namespaced else "cluster"
    return Endpoint(group, version, resource, subresource, verb, namespaced, scope, virtual=True)


def _scoped(endpoints: Iterable[Endpoint]) -> Iterable[Endpoint]:
    for e in endpoints:
        yield e
        if e.namespaced:
            for scope in ("all", "other"):
                yield Endpoint(e.group, e.version, e.resource, e.subresource, e.verb, True, scope, virtual=True)  # noqa: FBT003


def _named(rbac: Rbac) -> set[tuple[str, str, str]]:
    """Every (group, resource, verb) that a rule spells out; wildcards name nothing."""
    found: set[tuple[str, str, str]] = set()
    for role in (*rbac.cluster_roles, *rbac.roles):
        rules: list[Json] = role.get("rules") or []
        for rule in rules:
            for group in rule.get("apiGroups") or ():
                for plural in rule.get("resources") or ():
                    if "*" in {group, plural} or plural.startswith("*/") or plural.endswith("/*"):
                        continue
                    found.update((group, plural, verb) for verb in rule.get("verbs") or () if verb and verb != "*")
    return found
