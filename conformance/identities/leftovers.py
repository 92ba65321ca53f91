"""What runs leave on a cluster, and how it is removed without touching anything else.

An object is a run's when it has our label, a name with that run's id, and our field manager as its creator. A run is
dead when its Lease lapsed ten minutes ago, or, on a cluster of ours, as soon as the process that held it is gone.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson

from conformance import discovery
from conformance.errors import ClusterError
from conformance.identities import lease as leases
from conformance.placeholders import address_of
from conformance.transport import expect_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.model import Json
    from conformance.transport import Client

MANAGER = "kube-conformance"
MANAGED_BY = "app.kubernetes.io/managed-by"
RUN = "kube-conformance.io/run"
HOLD = "kube-conformance.io/"  # what finalizers of ours begin with
HOLDER = "kube-conformance.io/holder"

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
# In the order of removal: who could use a role loses it first; a run's own namespace, with its Lease, goes last.
COLLECTIONS = (
    DEFINITIONS,
    "/apis/certificates.k8s.io/v1/certificatesigningrequests",
    f"{_RBAC}/clusterrolebindings",
    f"{_RBAC}/rolebindings",
    f"{_RBAC}/clusterroles",
    f"{_RBAC}/roles",
    "/api/v1/namespaces",
)
NAMESPACES = COLLECTIONS[-1]
_MERGE = {"Content-Type": "application/merge-patch+json"}
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_ONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_OK, _FORBIDDEN, _NOT_FOUND, _CONFLICT = 200, 403, 404, 409
_SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class Leftover:
    """An object that a run made, by path and UID."""

    path: str
    uid: str
    run: str
    created: str
    holder: str = ""
    going: bool = False  # it was deleted, and finalizers that are not ours are at work

    @property
    def name(self) -> str:
        """What the object is called, with its collection: `namespaces/kc-1-own`."""
        parts = self.path.split("/")
        return "/".join(parts[3:] if parts[1] == "api" else parts[4:])


@dataclass(frozen=True, slots=True)
class Found:
    """What a search brought: objects of dead runs, of runs that live, those that were deleted and are not yet gone.

    `unread` names collections that could not be read.
    """

    dead: tuple[Leftover, ...]
    alive: tuple[Leftover, ...]
    going: tuple[Leftover, ...]
    unread: tuple[str, ...]


def own_namespace(run_id: str) -> str:
    """Name the namespace that a run works in."""
    return f"kc-{run_id}-own"


def other_namespace(run_id: str) -> str:
    """Name the namespace in which nobody is bound."""
    return f"kc-{run_id}-other"


def of_run(client: Client, run_id: str) -> tuple[Leftover, ...]:
    """Find all that one run made on a cluster of ours, in the order of removal."""
    return tuple(_top(_listed(client, f"{MANAGED_BY}={MANAGER},{RUN}={run_id}", [])))


def namespaces_of_run(client: Client, run_id: str) -> tuple[Leftover, ...]:
    """Find a run's namespaces, which hold all that it made on a cluster that is not ours."""
    found: list[Leftover] = []
    for name in (other_namespace(run_id), own_namespace(run_id)):
        response = client.ask("GET", f"{NAMESPACES}/{name}", headers={"Accept": _ONE})
        if response.status != _NOT_FOUND:
            found += _ours(NAMESPACES, expect_json(response, f"GET {NAMESPACES}/{name}"))
    return tuple(found)


def find(client: Client, *, ours: bool) -> Found:
    """Look for what runs left; `ours` says that a run whose process on this machine is gone is dead at once."""
    unread: list[str] = []
    listed = list(_listed(client, f"{MANAGED_BY}={MANAGER},{RUN}", unread))
    runs: dict[str, list[Leftover]] = {}
    for each in listed:
        runs.setdefault(each.run, []).append(each)
    dead = {run for run, objects in runs.items() if _is_dead(client, run, objects, ours=ours)}
    # What holds a namespace by its spec is not among its metadata.
    top = [
        replace(each, going=False) if each.going and each.run in dead and _is_held(client, each.path) else each
        for each in _top(listed)
    ]
    return Found(
        tuple(each for each in top if not each.going and each.run in dead),
        tuple(each for each in top if not each.going and each.run not in dead),
        tuple(each for each in top if each.going),
        tuple(unread),
    )


def _top(objects: Iterable[Leftover]) -> list[Leftover]:
    """Leave out what lies in a run's own namespaces: it goes with them."""
    return [
        each
        for each in objects
        if not any(f"/namespaces/{name(each.run)}/" in each.path for name in (own_namespace, other_namespace))
    ]


def delete(client: Client, objects: Iterable[Leftover]) -> tuple[str, ...]:
    """Remove objects, each only if it is still the very one; give a sentence for each that could not be removed."""
    problems = []
    for each in objects:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": each.uid}}
        response = client.ask("DELETE", each.path, body=body)
        if response.status in _SUCCESS and not each.path.startswith(NAMESPACES):
            _let_go(client, each.path, _object(response.body))
        if each.path.startswith(NAMESPACES):
            let_namespace_go(client, each.path)
        # 409: another object has the name by now, or the namespace is on its way out already.
        if response.status not in _SUCCESS and response.status not in {_NOT_FOUND, _CONFLICT}:
            problems.append(f"{each.name}: {response.error or f'{response.status} {_message(response.body)}'}")
    return tuple(problems)


def _object(body: bytes) -> Json:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _message(body: bytes) -> str:
    return str(_object(body).get("message", ""))


def free(client: Client, runs: Iterable[str]) -> None:
    """Take the finalizers off what dead runs left in namespaces: nobody else would, and the namespaces wait for it."""
    for run in runs:
        for collection in (*_collections(client, namespaced=True), f"{_RBAC}/rolebindings", f"{_RBAC}/roles"):
            query = {"labelSelector": f"{MANAGED_BY}={MANAGER},{RUN}={run}"}
            response = client.ask("GET", collection, query=query, headers={"Accept": _METADATA})
            if response.status != _OK:
                continue
            for item in expect_json(response, f"GET {collection}").get("items") or []:
                if (item["metadata"].get("namespace") or "").startswith(f"kc-{run}-"):
                    for each in _ours(collection, item):
                        _let_go(client, each.path, item)


def _is_held(client: Client, path: str) -> bool:
    return path.startswith(f"{NAMESPACES}/") and _is_ours(_object(client.ask("GET", path).body).get("spec"))


def _is_ours(part: object) -> bool:
    """Whether one of the finalizers of an object's metadata or spec is ours."""
    held = part.get("finalizers") if isinstance(part, dict) else None
    return any(str(each).startswith(HOLD) for each in held or ())


def let_namespace_go(client: Client, path: str) -> None:
    """Take finalizers of ours off a namespace: off its metadata, and off its spec, where they change by `finalize`."""
    document = _object(client.ask("GET", path).body)
    if _is_ours(document.get("metadata")):
        kept = [each for each in document["metadata"]["finalizers"] if not str(each).startswith(HOLD)]
        body = {"metadata": {"uid": document["metadata"]["uid"], "finalizers": kept or None}}
        document = _object(client.ask("PATCH", path, body=body, headers=_MERGE).body)
    held = (document.get("spec") or {}).get("finalizers") or []
    if _is_ours(document.get("spec")):
        document["spec"]["finalizers"] = [each for each in held if not str(each).startswith(HOLD)]
        client.ask("PUT", f"{path}/finalize", body=document)


def _let_go(client: Client, path: str, item: Json) -> None:
    metadata = item.get("metadata") or {}
    if metadata.get("finalizers"):
        body = {"metadata": {"uid": metadata["uid"], "finalizers": None}}
        client.ask("PATCH", path, body=body, headers=_MERGE)


def _collections(client: Client, *, namespaced: bool) -> tuple[str, ...]:
    """Give the paths of all that can be listed and deleted, beside what COLLECTIONS names; none where none is told."""
    try:
        catalog = discovery.discover(client)
    except ClusterError:
        return ()
    preferred = {(group.name, group.preferred) for group in catalog.groups}
    return tuple(
        path
        for resource in catalog.resources
        if not resource.subresource and resource.namespaced is namespaced and {"list", "delete"} <= set(resource.verbs)
        # One version shows the objects of all, but for kinds that only another version has.
        if (resource.group, resource.version) in preferred
        or not any(
            other.name == resource.name and (other.group, other.version) in preferred
            for other in catalog.resources
            if other.group == resource.group
        )
        if (path := f"{resource.prefix}/{resource.name}") not in COLLECTIONS
    )


def _listed(client: Client, selector: str, unread: list[str]) -> Iterator[Leftover]:
    for collection in (*COLLECTIONS[:-1], *_collections(client, namespaced=False), NAMESPACES):
        response = client.ask("GET", collection, query={"labelSelector": selector}, headers={"Accept": _METADATA})
        if response.status in {_FORBIDDEN, _NOT_FOUND}:
            unread.append(f"{collection}: {response.status}")
            continue
        items = expect_json(response, f"GET {collection}").get("items") or []
        found = [each for item in items for each in _ours(collection, item)]
        # `other` before `own`: as long as the Lease is there, whoever comes next can tell whose the rest is.
        yield from sorted(found, key=lambda each: each.path.endswith("-own"))


def _ours(collection: str, item: Json) -> Iterator[Leftover]:
    metadata = item["metadata"]
    labels, name, run = metadata.get("labels") or {}, metadata["name"], (metadata.get("labels") or {}).get(RUN, "")
    if labels.get(MANAGED_BY) != MANAGER or not run or not _is_named(name, run):
        return
    # Who wrote first, or at a time that nobody kept: some kinds are given fields by their storage.
    writers = metadata.get("managedFields") or []
    first = min((entry["time"] for entry in writers if entry.get("time")), default=None)
    makers = {str(entry.get("manager")) for entry in writers if entry.get("time") in {first, None}}
    if not any(maker == MANAGER or maker.startswith(f"{MANAGER}-") for maker in makers):
        return
    base, _, plural = collection.rpartition("/")
    inside = f"namespaces/{metadata['namespace']}/" if metadata.get("namespace") else ""
    holder = (metadata.get("annotations") or {}).get(HOLDER, "")
    path, going = f"{base}/{inside}{plural}/{name}", "deletionTimestamp" in metadata and not _is_ours(metadata)
    yield Leftover(path, metadata["uid"], run, metadata["creationTimestamp"], holder, going)


def _is_named(name: str, run: str) -> bool:
    """Whether a name is a run's: it begins with it, or, where a name has a meaning, holds it or is an address of it."""
    return f"kc-{run}-" in name or f".kc-{run}." in name or name.startswith(address_of(run))


def _is_dead(client: Client, run: str, objects: list[Leftover], *, ours: bool) -> bool:
    response = client.ask("GET", leases.path(own_namespace(run), run))
    now = leases.server_time(response)
    if response.status == _OK:
        lease = expect_json(response, "GET the Lease of a run")
        holder = (lease.get("spec") or {}).get("holderIdentity") or ""
        return (ours and leases.is_gone(holder)) or leases.lapsed(lease, now)
    if response.status != _NOT_FOUND:
        return False  # whoever cannot tell leaves it
    if ours and any(each.holder and leases.is_gone(each.holder) for each in objects):
        return True
    # Without a Lease (killed before it was made, or after its namespace went) the run's youngest object tells.
    youngest = max(dt.datetime.fromisoformat(each.created) for each in objects)
    return youngest + dt.timedelta(seconds=leases.SECONDS + leases.GRACE) < now
