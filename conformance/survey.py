"""What checks need to know of a cluster beside its snapshot: nodes, custom resources, samples, odd credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from conformance import definitions, listing, media, objects
from conformance.errors import ClusterError
from conformance.identities.leftovers import DEFINITIONS
from conformance.scripts import World

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster, Identity, Json, Mode, Snapshot
    from conformance.openapi import Documents
    from conformance.placeholders import Placeholders
    from conformance.transport import Client


def world(
    client: Client,
    cluster: Cluster,
    frozen: Snapshot,
    identities: tuple[Identity, ...],
    mode: Mode,
    *,
    documents: Documents,
    names: Placeholders,
    own_objects: Path | None = None,
    credentials: frozenset[str] = frozenset(),
) -> World:
    """Look, with reads only. `own_objects` is a folder of samples of the user's, `credentials` the odd ones."""

    def document(key: str) -> Json:
        found: Json = orjson.loads(documents.raw(key) or b"{}")
        return found

    features = set(credentials) | ({"ours"} if cluster.ours else set())
    cbor = client.ask("GET", "/api/v1/namespaces", query={"limit": "1"}, headers={"Accept": media.CBOR})
    if media.kind_of(cbor.headers.get("content-type", "")) == media.CBOR:
        features.add("cbor")
    if any(_is_ready(node) for node in _items(client, "/api/v1/nodes")):
        features.add("node")
        if cluster.pod_image:
            features.add("pods")
    defined = [str(each["metadata"]["name"]) for each in _items(client, DEFINITIONS, metadata_only=True)]
    return World(
        catalog=frozen.catalog,
        identities=identities,
        mode=mode,
        server_version=frozen.server_version,
        openapi=frozen.openapi,
        features=frozenset(features),
        custom=frozenset(names.mask(name) for name in defined if definitions.run_of(name) in {"", names.run}),
        samples=objects.samples(frozen.catalog, document, objects.load(own_objects), fill=names.fill),
        pod_image=cluster.pod_image,
    )


def _items(client: Client, path: str, *, metadata_only: bool = False) -> list[Json]:
    try:
        return listing.items(client, path, metadata_only=metadata_only)
    except ClusterError:
        return []  # whoever may not read it goes on without


def _is_ready(node: Json) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
