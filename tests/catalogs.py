"""Small catalogs and snapshots, made up for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.model import Catalog, Endpoint, Group, Identity, Rbac, Resource, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.model import Attributes

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
OWN, OTHER = {"own": ("{own}",)}, {"own": ("{own}",), "other": ("{other}", "default")}


def resource(
    plural: str, *verbs: str, group: str = "", version: str = "v1", namespaced: bool = True, kind: str = "Thing"
) -> Resource:
    name, _, subresource = plural.partition("/")
    return Resource(group, version, name, subresource, kind, group, version, namespaced, verbs or VERBS)


def endpoint(plural: str, verb: str, *, group: str = "", version: str = "v1", scope: str = "own") -> Endpoint:
    name, _, subresource = plural.partition("/")
    return Endpoint(group, version, name, subresource, verb, namespaced=scope != "cluster", scope=scope)


def path(text: str, verb: str = "get") -> Endpoint:
    return Endpoint("", "", "", "", verb, namespaced=False, scope="cluster", path=text)


def snapshot(
    *resources: Resource,
    paths: tuple[str, ...] = (),
    rbac: Rbac | None = None,
    aggregated: frozenset[str] = frozenset(),
) -> Snapshot:
    names = dict.fromkeys(r.group for r in resources)
    groups = tuple(Group(name, ("v1",), "v1") for name in names)
    catalog = Catalog(groups, resources, paths=paths, aggregated=aggregated)
    return Snapshot("v1.37.2", catalog, rbac or Rbac(), ("default",))


def identity(name: str = "alice", **more: object) -> Identity:
    return Identity(name, "impersonate", name, ("system:authenticated",), **more)  # type: ignore[arg-type]


class Granting:
    """Rules that grant names: by plural and verb."""

    def __init__(self, names: Mapping[tuple[str, str], tuple[str, ...]] | None = None) -> None:
        self._names = names or {}

    def names(self, identity: Identity, attributes: Attributes) -> tuple[str, ...]:
        del identity
        sub = f"/{attributes.subresource}" if attributes.subresource else ""
        return self._names.get((f"{attributes.resource}{sub}", attributes.verb), ())
