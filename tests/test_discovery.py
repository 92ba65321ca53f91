from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
import pytest
from faultproxy import Answered, Asked, before

from conformance import discovery
from conformance.clusters import embedded
from conformance.errors import ClusterError
from conformance.model import Group, Resource, Unavailable
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from conformance.model import Cluster

pytestmark = pytest.mark.server

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
Answers: TypeAlias = "Mapping[str, tuple[int, str, Any]]"


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.admin) as asking:
        yield asking


@contextmanager
def answering(cluster: Cluster, answers: Answers) -> Iterator[Client]:
    """Give a client whose server answers some paths otherwise: path -> status, content type, document."""

    def flip(asked: Asked, answered: Answered) -> Answered | None:
        path = asked.target.partition("?")[0]
        if path not in answers:
            return None
        status, content_type, document = answers[path]
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        return Answered(status, (*answered.headers, ("Content-Type", content_type)), body)

    with before(cluster, flip) as through, Client(through.admin) as asking:
        yield asking


def listed(*items: Any) -> tuple[int, str, Any]:
    return 200, V2, {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": list(items)}


def group(name: str, *versions: Any) -> Any:
    return {"metadata": {"name": name}, "versions": list(versions)}


def plain(document: Any, status: int = 200) -> tuple[int, str, Any]:
    return status, "application/json", document


def widgets(**changes: Any) -> Any:
    """Give a v2 entry of a resource, with changes."""
    kind = {"group": "", "version": "", "kind": "Widget"}
    return {"resource": "widgets", "scope": "Namespaced", "responseKind": kind, "verbs": ["list", "get"]} | changes


def raw_walk(client: Client) -> tuple[set[str], list[tuple[str, str]]]:
    """Count by hand, as the documents of the legacy discovery say."""
    prefixes = {f"/api/{v}": "" for v in client.get_json("/api")["versions"]}
    for entry in client.get_json("/apis")["groups"]:
        prefixes |= {f"/apis/{version['groupVersion']}": entry["name"] for version in entry["versions"]}
    pairs = [
        (f"{prefix}/{resource['name']}", verb)
        for prefix in prefixes
        for resource in client.get_json(prefix)["resources"]
        for verb in resource["verbs"]
    ]
    return set(prefixes.values()), pairs


def test_the_catalog_holds_every_verb_of_every_resource(client: Client) -> None:
    catalog = discovery.discover(client)
    groups, pairs = raw_walk(client)
    assert {g.name for g in catalog.groups} == groups
    assert sorted((f"{r.prefix}/{r.plural}", verb) for r in catalog.resources for verb in r.verbs) == sorted(pairs)
    assert len(pairs) == len(set(pairs))
    assert not catalog.unavailable
    assert not catalog.aggregated
    assert not catalog.notes


def test_the_default_server_serves_what_was_counted(client: Client) -> None:
    if not client.get_json("/version")["gitVersion"].startswith("v1.37."):
        pytest.skip("the numbers are those of Kubernetes 1.37")
    groups, pairs = raw_walk(client)
    plurals = {path for path, _ in pairs}
    below = {path for path in plurals if path.count("/") - path.startswith("/apis/") == 4}
    assert (len(groups), len(plurals - below), len(below), len(pairs)) == (22, 72, 49, 660)


def test_both_ways_of_discovery_agree(client: Client) -> None:
    found = discovery.aggregated(client)
    assert found is not None
    assert found == discovery.legacy(client) == discovery.discover(client)


def test_resources_carry_all_that_discovery_says_of_them(client: Client) -> None:
    found = {(r.group_version, r.plural): r for r in discovery.discover(client).resources}
    every = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
    assert found["v1", "pods"] == Resource(
        *("", "v1", "pods", "", "Pod", "", "v1"),
        namespaced=True,
        verbs=every,
        singular="pod",
        short_names=("po",),
        categories=("all",),
    )
    scale = found["apps/v1", "deployments/scale"]
    assert (scale.kind_group, scale.kind_version, scale.kind) == ("autoscaling", "v1", "Scale")
    assert (scale.name, scale.subresource, scale.prefix) == ("deployments", "scale", "/apis/apps/v1")
    kinds = {
        "pods/eviction": ("policy", "v1", "Eviction"),
        "serviceaccounts/token": ("authentication.k8s.io", "v1", "TokenRequest"),
        "pods/binding": ("", "v1", "Binding"),
    }
    for plural, kind in kinds.items():
        subresource = found["v1", plural]
        assert (subresource.kind_group, subresource.kind_version, subresource.kind) == kind
        assert subresource.namespaced
    assert not found["rbac.authorization.k8s.io/v1", "clusterroles"].namespaced


# --- a server of our own, because what is registered here would slow others down --------------------------------------


@pytest.fixture(scope="module")
def everything() -> Iterator[Client]:
    """A server with every version that it knows."""
    with embedded.running(runtime_config="api/all=true") as started, Client(started.admin) as asking:
        yield asking


def test_both_ways_agree_where_every_version_is_served(everything: Client) -> None:
    found = discovery.aggregated(everything)
    assert found is not None
    assert found == discovery.legacy(everything)
    several = {g.name: g for g in found.groups if len(g.versions) > 1}
    assert several["resource.k8s.io"].preferred == "v1"
    assert {r.version for r in found.resources if r.group == "resource.k8s.io"} == {
        *several["resource.k8s.io"].versions
    }
    _, pairs = raw_walk(everything)
    assert sum(len(r.verbs) for r in found.resources) == len(pairs) > 660


def test_a_backend_that_is_down_is_named_and_hides_nothing(everything: Client) -> None:
    name, version = "v1.down.example.com", "down.example.com/v1"
    before_it = discovery.discover(everything)
    spec: dict[str, Any] = {
        "group": "down.example.com",
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 1,
    }
    spec |= {"insecureSkipTLSVerify": True, "service": {"name": "absent", "namespace": "default"}}
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name},
        "spec": spec,
    }
    assert everything.ask("POST", SERVICES, body=service).status == 201
    try:
        deadline = time.monotonic() + 30
        while not (catalog := discovery.discover(everything)).unavailable and time.monotonic() < deadline:
            time.sleep(0.05)
        [down] = catalog.unavailable
        assert down.group_version == version
        assert "absent" in down.reason
        assert catalog.resources == before_it.resources
        while (short := discovery.aggregated(everything)) != (long := discovery.legacy(everything)):
            assert time.monotonic() < deadline, (short, long)
    finally:
        assert everything.ask("DELETE", f"{SERVICES}/{name}").status == 200


# --- answers that a healthy server does not give ----------------------------------------------------------------------

TABLE: dict[str, tuple[dict[str, Any], list[tuple[str, str, tuple[str, ...]]]]] = {
    "plain": ({}, [("widgets", "", ("get", "list"))]),
    "verbs sorted, once": ({"verbs": ["watch", "get", "get"]}, [("widgets", "", ("get", "watch"))]),
    "a subresource of several parts": (
        {"subresources": [{"subresource": "proxy/x", "verbs": ["get"]}]},
        [("widgets", "", ("get", "list")), ("widgets", "proxy/x", ("get",))],
    ),
    "a parent only to carry": (
        {"responseKind": None, "verbs": [], "subresources": [{"subresource": "status", "verbs": ["get"]}]},
        [("widgets", "status", ("get",))],
    ),
    "no verbs at all": ({"verbs": None}, [("widgets", "", ())]),
    "odd but possible": ({"resource": "job:rate5m_Sum"}, [("job:rate5m_Sum", "", ("get", "list"))]),
}
REFUSED = ("", ".", "..", "a/b", "../../v1/secrets", "a%2fb", "a\x1b[31m", "a\nb", "\u202ea")


@pytest.mark.parametrize("case", TABLE)
def test_entries_of_aggregated_discovery(cluster: Cluster, case: str) -> None:
    changes, expected = TABLE[case]
    answers = {"/api": listed(), "/apis": listed(group("x.io", {"version": "v1", "resources": [widgets(**changes)]}))}
    with answering(cluster, answers) as asking:
        catalog = discovery.discover(asking)
    assert [(r.name, r.subresource, r.verbs) for r in catalog.resources] == expected
    assert not catalog.unavailable


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_would_ask_for_something_else_is_refused_by_name(cluster: Cluster, name: str) -> None:
    one = {
        "version": "v1",
        "resources": [widgets(), widgets(resource=name), widgets(subresources=[{"subresource": name}])],
    }
    odd = {"version": "v1", "resources": [widgets(verbs=[name])]}
    versions = {"version": name, "resources": [widgets()]}
    answers = {
        "/api": listed(),
        "/apis": listed(group("x.io", one, versions), group("y.io", odd), group(name or "z/z", one)),
    }
    with answering(cluster, answers) as asking:
        catalog = discovery.discover(asking)
    several_parts = "/" in name and ".." not in name  # harmless below a resource
    assert [r.plural for r in catalog.resources if r.group == "x.io"] == ["widgets"] + ["widgets/a/b"] * several_parts
    assert [r.verbs for r in catalog.resources if r.group == "y.io"] == [()]
    assert {r.group for r in catalog.resources} == {"x.io", "y.io"}
    assert catalog.groups == (Group("x.io", ("v1",), "v1"), Group("y.io", ("v1",), "v1"))
    assert len(catalog.unavailable) == 5 - several_parts


def test_an_entry_that_is_listed_twice_is_one(cluster: Cluster) -> None:
    version = {"version": "v1", "resources": [widgets(), widgets(verbs=["watch"]), widgets(resource="as")]}
    with answering(cluster, {"/api": listed(), "/apis": listed(group("x.io", version))}) as asking:
        catalog = discovery.discover(asking)
    assert [(r.name, r.verbs) for r in catalog.resources] == [
        ("as", ("get", "list")),
        ("widgets", ("get", "list", "watch")),
    ]


def test_a_stale_version_is_unavailable_and_the_rest_is_there(cluster: Cluster) -> None:
    stale = {"version": "v1", "freshness": "Stale", "resources": [widgets()]}
    fresh = {"version": "v1beta1", "freshness": "Current", "resources": [widgets()]}
    answers = {"/api": listed(), "/apis": listed(group("x.io", stale, fresh))}
    with answering(cluster, answers) as asking:
        catalog = discovery.discover(asking)
    assert catalog.groups == (Group("x.io", ("v1", "v1beta1"), "v1"),)
    assert [r.group_version for r in catalog.resources] == ["x.io/v1beta1"]
    assert [u.group_version for u in catalog.unavailable] == ["x.io/v1"]
    assert catalog.unavailable[0].reason.startswith("stale")


def test_the_reason_of_an_api_service_is_told(cluster: Cluster) -> None:
    conditions = [{"type": "Available", "status": "False", "reason": "FailedDiscoveryCheck", "message": "no route"}]
    spec = {"group": "x.io", "version": "v1", "service": {"name": "x", "namespace": "x"}}
    services = [
        {"metadata": {"name": "v1.x.io"}, "spec": spec, "status": {"conditions": conditions}},
        {"metadata": {"name": "v2.x.io"}, "spec": spec | {"version": "v2"}},
        {"metadata": {"name": "v1.y.io"}, "spec": {"group": "y.io", "version": "v1"}},
        {"metadata": {"name": "v1.gone.io"}, "spec": spec | {"group": "gone.io"}, "status": {"conditions": conditions}},
    ]
    stale = {"version": "v1", "freshness": "Stale"}
    fresh = [{"version": v, "resources": [widgets()]} for v in ("v1", "v2")]
    answers = {
        "/api": listed(),
        "/apis": listed(group("x.io", stale, fresh[1]), group("y.io", fresh[0])),
        SERVICES: plain({"metadata": {}, "items": services}),
    }
    with answering(cluster, answers) as asking:
        catalog = discovery.discover(asking)
    reason = "FailedDiscoveryCheck: no route"
    assert catalog.unavailable == (Unavailable("x.io/v1", reason), Unavailable("gone.io/v1", reason))
    assert catalog.aggregated == {"x.io/v2"}


def test_without_api_services_groups_that_are_not_kubernetes_own_count_as_anothers(cluster: Cluster) -> None:
    version = {"version": "v1", "resources": [widgets()]}
    groups = [group(name, version) for name in ("", "apps", "x.io", "storage.k8s.io", "metrics.k8s.io")]
    answers = {"/api": listed(), "/apis": listed(*groups), SERVICES: plain({"message": "no"}, 403)}
    with answering(cluster, answers) as asking:
        catalog = discovery.discover(asking)
    assert catalog.aggregated == {"x.io/v1", "metrics.k8s.io/v1"}
    assert len(catalog.notes) == 1
    assert "403 no" in catalog.notes[0]


def test_v2beta1_is_taken_where_the_server_has_no_v2(cluster: Cluster) -> None:
    with Client(cluster.admin) as direct:
        expected = discovery.discover(direct)
        accept = {"Accept": V2}
        documents = {path: orjson.loads(direct.ask("GET", path, headers=accept).body) for path in ("/api", "/apis")}
    beta = V2.replace("v=v2", "v=v2beta1")
    answers = {p: (200, beta, d | {"apiVersion": "apidiscovery.k8s.io/v2beta1"}) for p, d in documents.items()}
    with answering(cluster, answers) as asking:
        assert discovery.aggregated(asking) == expected


def test_a_server_without_aggregated_discovery_is_walked(cluster: Cluster) -> None:
    with Client(cluster.admin) as direct:
        expected = discovery.discover(direct)
        answers = {path: plain(direct.get_json(path)) for path in ("/api", "/apis")}
    with answering(cluster, answers) as asking:
        assert discovery.aggregated(asking) is None
        assert discovery.discover(asking) == expected


def test_one_version_that_fails_in_the_walk_hides_no_other(cluster: Cluster) -> None:
    broken = {
        "/apis/apps/v1": plain({"message": "no backend"}, 503),
        "/apis/batch/v1": plain({"resources": [{"name": 7}]}),
        "/apis/policy/v1": plain(b"<html>"),
        "/apis/autoscaling/v2": plain(["list"]),
    }
    with answering(cluster, broken) as asking:
        catalog = discovery.legacy(asking)
        whole = discovery.aggregated(asking)
    assert {u.group_version: u.reason for u in catalog.unavailable} == {
        "apps/v1": "GET /apis/apps/v1: 503 no backend",
        "batch/v1": "malformed discovery: `name` is no string",
        "policy/v1": "GET /apis/policy/v1: 200, but the body is no JSON",
        "autoscaling/v2": "malformed discovery: the document is no object",
    }
    assert whole is not None
    missing = {u.group_version for u in catalog.unavailable}
    assert catalog.resources == tuple(r for r in whole.resources if r.group_version not in missing)


def test_a_subresource_without_its_parent_is_kept_in_the_walk(cluster: Cluster) -> None:
    resources = [
        {"name": "widgets/scale", "namespaced": True, "kind": "Scale", "group": "autoscaling", "verbs": ["get"]},
        {"name": "widgets/", "namespaced": True, "kind": "Scale", "verbs": ["get"]},
    ]
    answers = {
        "/api": plain({"versions": []}),
        "/apis": plain({"groups": [{"name": "x.io", "versions": [{"version": "v1"}]}, {"name": "empty.io"}]}),
        "/apis/x.io/v1": plain({"resources": resources}),
    }
    with answering(cluster, answers) as asking:
        catalog = discovery.legacy(asking)
    assert [(r.plural, r.kind_group, r.kind_version) for r in catalog.resources] == [
        ("widgets/scale", "autoscaling", "v1")
    ]
    assert [u.group_version for u in catalog.unavailable] == ["x.io/v1"]
    assert [g.name for g in catalog.groups] == ["x.io"]


MALFORMED: dict[str, tuple[Answers, str]] = {
    "no JSON": ({"/apis": (200, V2, b"<html>")}, r"GET /apis: 200, but the body is no JSON"),
    "no object": ({"/apis": (200, V2, [])}, r"GET /apis: the document is no object"),
    "items": ({"/apis": (200, V2, {"items": [1]})}, r"GET /apis: `items` is no list of objects"),
    "name": ({"/api": listed({"metadata": {"name": 1}})}, r"GET /api: `name` is no string"),
    "metadata": ({"/api": listed({"metadata": "x"})}, r"GET /api: `metadata` is no object"),
    "legacy": ({"/api": plain({"versions": [1]})}, r"GET /api: `versions` is no list of strings"),
    "refused": ({"/apis": plain({"message": "who?"}, 403)}, r"GET /apis: 403 who\?"),
    "nothing": ({"/api": listed(), "/apis": listed()}, r"no group version could be read; there is none"),
    "all stale": (
        {"/api": listed(), "/apis": listed(group("x.io", {"version": "v1", "freshness": "Stale"}))},
        r"no group version could be read; x.io/v1: stale",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_document_is_an_error_that_names_it(cluster: Cluster, case: str) -> None:
    answers, message = MALFORMED[case]
    with answering(cluster, answers) as asking, pytest.raises(ClusterError, match=message):
        discovery.discover(asking)
