"""No document, however odd, ends discovery in anything but a catalog or an error that a user can read."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from conformance import discovery, listing, openapi, paths
from conformance.errors import ClusterError
from conformance.model import Rbac, Response
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Mapping

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"

SCALARS = (
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "v1", "x.io", "..", "a/b", "Stale", "True"])
)
KEYS = (
    *("items", "metadata", "name", "versions", "version", "resources", "resource", "verbs", "subresources", "scope"),
    *("subresource", "responseKind", "kind", "group", "groups", "freshness", "namespaced", "shortNames", "paths"),
    *("spec", "status", "service", "conditions", "type", "continue", "serverRelativeURL", "api/v1"),
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
)


class Recorded(Client):
    """Answers what was written down; anything else is 404."""

    def __init__(self, documents: Mapping[str, Any], content_type: str) -> None:
        self.documents, self.content_type = documents, content_type

    def ask(self, method: str, path: str, **_: Any) -> Response:
        del method
        known = path in self.documents
        body = orjson.dumps(self.documents[path]) if known else b"404 page not found"
        return Response(200 if known else 404, {"content-type": self.content_type}, body, 0.0)


def shaped(entry: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give documents that are right at the top, so that what is odd lies deeper."""
    version = st.fixed_dictionaries({"version": SCALARS, "resources": st.lists(entry, max_size=3) | JSON}) | JSON
    group = st.fixed_dictionaries({"metadata": JSON, "name": SCALARS, "versions": st.lists(version, max_size=2)})
    listed = st.lists(group, max_size=2)
    return st.fixed_dictionaries({"items": listed, "groups": listed, "versions": st.just(["v1"]), "resources": JSON})


ENTRY = st.fixed_dictionaries(
    {
        "resource": SCALARS,
        "verbs": JSON,
        "subresources": st.lists(JSON, max_size=2),
        "responseKind": JSON,
        "name": SCALARS,
    }
)
SERVICE = st.fixed_dictionaries({"metadata": JSON, "spec": JSON, "status": JSON})


@given(
    documents=st.fixed_dictionaries(
        {
            "/api": shaped(ENTRY) | JSON,
            "/apis": shaped(ENTRY) | JSON,
            "/api/v1": shaped(ENTRY) | JSON,
            SERVICES: st.fixed_dictionaries({"metadata": JSON, "items": st.lists(SERVICE, max_size=2)}) | JSON,
        }
    ),
    content_type=st.sampled_from([V2, "application/json"]),
)
def test_discovery_ends_in_a_catalog_or_a_cluster_error(documents: dict[str, Any], content_type: str) -> None:
    with contextlib.suppress(ClusterError):
        catalog = discovery.discover(Recorded(documents, content_type))
        assert all(r.name not in {"", ".."} and "/" not in r.name for r in catalog.resources)
        assert {(g.name, v) for g in catalog.groups for v in g.versions} >= {
            (r.group, r.version) for r in catalog.resources
        }
        assert len({(r.group_version, r.plural) for r in catalog.resources}) == len(catalog.resources)


@given(JSON)
@example({"metadata": {"continue": 1}, "items": [{"metadata": {}}]})
def test_other_documents_end_in_a_value_or_a_cluster_error(document: Any) -> None:
    client = Recorded({"/": document, "/openapi/v3": document, "/things": document}, "application/json")
    assert "/version" in paths.rows(client, Rbac())
    for read in (openapi.index, lambda c: listing.items(c, "/things")):
        with contextlib.suppress(ClusterError):
            read(client)
