"""What checks need to know of a cluster beside its snapshot: nodes, custom resources, samples, odd credentials."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

from conformance import listing, openapi
from conformance.errors import ClusterError
from conformance.scripts import World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.model import Cluster, Identity, Json, Mode, Snapshot
    from conformance.scripts import Sample
    from conformance.transport import Client

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def world(client: Client, cluster: Cluster, frozen: Snapshot, identities: tuple[Identity, ...], mode: Mode) -> World:
    """Look, with reads only."""
    features = {"ours"} if cluster.ours else set()
    if any(_is_ready(node) for node in _items(client, "/api/v1/nodes")):
        features.add("node")
        if cluster.pod_image:
            features.add("pods")
    custom = frozenset(str(each["metadata"]["name"]) for each in _items(client, _DEFINITIONS, metadata_only=True))
    return World(
        catalog=frozen.catalog,
        identities=identities,
        mode=mode,
        server_version=frozen.server_version,
        openapi=frozen.openapi,
        features=frozenset(features),
        custom=custom,
        samples=_samples(client, frozen),
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


def _samples(client: Client, frozen: Snapshot) -> Mapping[str, Sample]:
    if importlib.util.find_spec("conformance.objects") is None:
        return {}
    objects = importlib.import_module("conformance.objects")
    found: Mapping[str, Sample] = objects.samples(frozen.catalog, lambda key: openapi.document(client, key))
    return found
