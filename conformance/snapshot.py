"""A cluster as it is at one moment: server -> snapshot, frozen before the first probe."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from conformance import definitions, discovery, listing, openapi, paths
from conformance.errors import ClusterError
from conformance.identities.leftovers import RUN
from conformance.model import Rbac, Snapshot
from conformance.snapshot_json import dump, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from conformance.model import Json
    from conformance.transport import Client

__all__ = ["deprecated_calls", "dump", "load", "reread_rbac", "take", "without_runs"]

_Read = TypeVar("_Read")

_OK = 200
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
# Annotations can hold anything, last-applied-configuration among it; this one says whether the server mends the object.
_KEPT_ANNOTATIONS = frozenset({"rbac.authorization.kubernetes.io/autoupdate"})


def take(client: Client, *, namespaces: Sequence[str] = ()) -> Snapshot:
    """Read all that the later stages judge by. What can't be read is named, never taken for empty.

    `namespaces` are those whose Roles and RoleBindings are read one by one where listing across all is forbidden.
    """
    notes: list[str] = []
    calls = _or_note(notes, "the metric of deprecated calls", lambda: _deprecated_calls(client))
    version = client.get_json("/version")
    names = _or_note(notes, "the namespaces", lambda: _namespaces(client))
    rbac = reread_rbac(client, namespaces=namespaces)
    return Snapshot(
        server_version=str(version.get("gitVersion", "")) if isinstance(version, dict) else "",
        catalog=replace(discovery.discover(client), paths=paths.rows(client, rbac)),
        rbac=rbac,
        namespaces=names or (),
        openapi=_or_note(notes, "the index of OpenAPI v3", lambda: openapi.index(client)) or {},
        deprecated_calls=calls,
        notes=tuple(notes),
    )


def without_runs(frozen: Snapshot, run_id: str = "") -> Snapshot:
    """Leave out what runs made, but this one: it comes and goes with them, and is none of this cluster's policy."""

    def foreign(item: dict[str, Any]) -> bool:
        labels = item["metadata"].get("labels") or {}
        return bool(labels.get(RUN, run_id) != run_id)

    def kept(items: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
        return tuple(item for item in items if not foreign(item))

    rbac = frozen.rbac

    def strange(group: str) -> bool:
        return definitions.run_of(group) not in {"", run_id}

    catalog = frozen.catalog
    return replace(
        frozen,
        catalog=replace(
            catalog,
            groups=tuple(each for each in catalog.groups if not strange(each.name)),
            resources=tuple(each for each in catalog.resources if not strange(each.group)),
        ),
        openapi={key: digest for key, digest in frozen.openapi.items() if not strange(key)},
        namespaces=tuple(n for n in frozen.namespaces if not n.startswith("kc-") or n.startswith(f"kc-{run_id}-")),
        rbac=replace(
            rbac,
            cluster_roles=kept(rbac.cluster_roles),
            cluster_role_bindings=kept(rbac.cluster_role_bindings),
            roles=kept(rbac.roles),
            role_bindings=kept(rbac.role_bindings),
        ),
    )


def reread_rbac(client: Client, *, namespaces: Sequence[str] = ()) -> Rbac:
    """Read the RBAC objects: for the snapshot, and once more after the last probe.

    A kind that can't be listed stands in `incomplete` with the reason. Roles and RoleBindings that can't be listed
    across all namespaces are read in the given ones; the kind stays incomplete.
    """
    incomplete: list[str] = []

    def read(kind: str, *, namespaced: bool = False) -> tuple[Json, ...]:
        try:
            return _sorted(listing.items(client, f"{_RBAC}/{kind.lower()}"))
        except ClusterError as problem:
            incomplete.append(f"{kind}: {_reason(problem)}")
        found: list[Json] = []
        for namespace in namespaces if namespaced else ():
            try:
                found += listing.items(client, f"{_RBAC}/namespaces/{namespace}/{kind.lower()}")
            except ClusterError as problem:
                incomplete.append(f"{kind} in {namespace}: {_reason(problem)}")
        return _sorted(found)

    return Rbac(
        cluster_roles=read("ClusterRoles"),
        cluster_role_bindings=read("ClusterRoleBindings"),
        roles=read("Roles", namespaced=True),
        role_bindings=read("RoleBindings", namespaced=True),
        incomplete=tuple(incomplete),
    )


def _reason(problem: ClusterError) -> str:
    return str(problem).partition(": ")[2]  # without the path, which the kind says already


def _sorted(objects: list[Json]) -> tuple[Json, ...]:
    ordered = sorted(objects, key=lambda o: (o["metadata"].get("namespace", ""), o["metadata"].get("name", "")))
    return tuple(_bare(item) for item in ordered)


def _bare(item: Json) -> Json:
    """Leave out what says nothing of permissions and may hold anything."""
    metadata = {key: value for key, value in item["metadata"].items() if key not in {"managedFields", "annotations"}}
    annotations = item["metadata"].get("annotations") or {}
    kept = {key: annotations[key] for key in sorted(_KEPT_ANNOTATIONS & annotations.keys())}
    if kept:
        metadata["annotations"] = kept
    rest = {key: value for key, value in item.items() if key not in {"apiVersion", "kind", "metadata"}}
    return {"metadata": metadata, **rest}


def _namespaces(client: Client) -> tuple[str, ...]:
    found = listing.items(client, "/api/v1/namespaces", metadata_only=True)
    return tuple(sorted(item["metadata"]["name"] for item in found))


def _or_note(notes: list[str], what: str, read: Callable[[], _Read]) -> _Read | None:
    try:
        return read()
    except ClusterError as problem:
        notes.append(f"{what} could not be read: {problem}")
        return None


# --- the metric of deprecated calls -----------------------------------------------------------------------------------

_METRIC = "apiserver_requested_deprecated_apis"
_SAMPLE = re.compile(rf"^{_METRIC}\{{(?P<labels>.*)\}}\s+(?P<value>\S+)", re.MULTILINE)
_LABEL = re.compile(r'(?P<name>[a-zA-Z_]\w*)="(?P<value>(?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


def _deprecated_calls(client: Client) -> tuple[Json, ...]:
    """Read which deprecated APIs somebody has called since the server started; nothing else of /metrics is kept."""
    response = client.ask("GET", "/metrics", headers={"Accept": "text/plain"})
    if response.error or response.status != _OK:
        raise ClusterError(f"GET /metrics: {response.error or response.status}")
    return deprecated_calls(response.body.decode("utf-8", "replace"))


def deprecated_calls(metrics: str) -> tuple[Json, ...]:
    """Give the labels (group, version, resource, subresource, removed_release) of each API whose gauge is set."""
    found = []
    for sample in _SAMPLE.finditer(metrics):
        if float(sample["value"]) > 0:
            labels = {label["name"]: _ESCAPED.sub(_unescaped, label["value"]) for label in _LABEL.finditer(sample[0])}
            found.append(dict(sorted(labels.items())))
    return tuple(sorted(found, key=lambda labels: sorted(labels.items())))


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
