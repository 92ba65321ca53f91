from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from faultproxy import Answered, Asked, before

from conformance import openapi, paths, snapshot
from conformance.errors import RunFileError
from conformance.model import Catalog, Group, Rbac, Resource, Snapshot, Unavailable
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cluster, Json

RBAC = "/apis/rbac.authorization.k8s.io/v1"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.admin) as asking:
        yield asking


@pytest.fixture
def namespace(client: Client) -> Iterator[str]:
    name = f"snapshot-{uuid.uuid4().hex[:8]}"
    assert client.ask("POST", "/api/v1/namespaces", body={"metadata": {"name": name}}).status == 201
    yield name
    assert client.ask("DELETE", f"/api/v1/namespaces/{name}").status == 200


def role(name: str, **metadata: Any) -> Json:
    return {
        "metadata": {"name": name, **metadata},
        "rules": [{"apiGroups": [""], "resources": ["x"], "verbs": ["get"]}],
    }


def forbidding(*refused: str) -> Any:
    """Make a flip that forbids these paths, answering like the authorizer does."""
    body = orjson.dumps({"kind": "Status", "message": "may not", "reason": "Forbidden", "code": 403})

    def flip(asked: Asked, answered: Answered) -> Answered | None:
        return Answered(403, answered.headers, body) if asked.target.partition("?")[0] in refused else None

    return flip


@pytest.mark.server
def test_a_snapshot_holds_what_the_server_has(client: Client, namespace: str) -> None:
    for name in ("b", "a"):
        made = role(name, annotations={LAST_APPLIED: "secret", "other": "secret", **AUTOUPDATE}, labels={"l": "1"})
        assert client.ask("POST", f"{RBAC}/namespaces/{namespace}/roles", body=made).status == 201
    taken = snapshot.take(client)
    assert taken.server_version == client.get_json("/version")["gitVersion"]
    assert namespace in taken.namespaces
    assert taken.namespaces == tuple(sorted(taken.namespaces))
    assert not taken.notes
    assert not taken.rbac.incomplete
    for kind, found in kinds(taken.rbac).items():
        raw = client.get_json(f"{RBAC}/{kind}")["items"]
        assert {item["metadata"]["uid"] for item in found} == {item["metadata"]["uid"] for item in raw}
        order = [(item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in found]
        assert order == sorted(order)
        assert not any({"apiVersion", "kind"} & item.keys() for item in found)
        assert not any("managedFields" in item["metadata"] for item in found)
    mine = [r for r in taken.rbac.roles if r["metadata"]["namespace"] == namespace]
    assert [r["metadata"]["name"] for r in mine] == ["a", "b"]
    assert mine[0]["metadata"]["annotations"] == AUTOUPDATE
    assert mine[0]["metadata"]["labels"] == {"l": "1"}
    assert mine[0]["rules"] == [{"apiGroups": [""], "resources": ["x"], "verbs": ["get"]}]
    assert b"secret" not in orjson.dumps(mine)
    assert snapshot.load(orjson.loads(orjson.dumps(snapshot.dump(taken)))) == taken


AUTOUPDATE = {"rbac.authorization.kubernetes.io/autoupdate": "true"}


def kinds(rbac: Rbac) -> dict[str, tuple[Json, ...]]:
    return {
        "clusterroles": rbac.cluster_roles,
        "clusterrolebindings": rbac.cluster_role_bindings,
        "roles": rbac.roles,
        "rolebindings": rbac.role_bindings,
    }


@pytest.mark.server
def test_a_second_reading_of_unchanged_rules_equals_the_first(client: Client, namespace: str) -> None:
    first = snapshot.reread_rbac(client)
    assert snapshot.reread_rbac(client) == first
    assert client.ask("POST", f"{RBAC}/namespaces/{namespace}/roles", body=role("new")).status == 201
    assert snapshot.reread_rbac(client) != first


@pytest.mark.server
def test_roles_are_read_page_by_page(cluster: Cluster) -> None:
    limits = []

    def flip(asked: Asked, answered: Answered) -> None:
        del answered
        if "/clusterroles" in asked.target:
            limits.append(asked.target)

    with before(cluster, flip) as through, Client(through.admin) as asking, pytest.MonkeyPatch.context() as patch:
        patch.setattr("conformance.listing.PAGE", 20)
        paged = snapshot.reread_rbac(asking).cluster_roles
    with Client(cluster.admin) as direct:
        assert paged == snapshot.reread_rbac(direct).cluster_roles
    assert len(limits) == -(-len(paged) // 20) > 2
    assert "continue=" in limits[1]


@pytest.mark.server
def test_what_cannot_be_read_is_named_and_never_taken_for_empty(cluster: Cluster) -> None:
    refused = ("/metrics", "/api/v1/namespaces", "/openapi/v3", "/", f"{RBAC}/clusterroles")
    with before(cluster, forbidding(*refused)) as through, Client(through.admin) as asking:
        taken = snapshot.take(asking)
    assert taken.deprecated_calls is None
    assert taken.namespaces == ()
    assert taken.openapi == {}
    assert taken.rbac.incomplete == ("ClusterRoles: 403 may not",)
    assert taken.rbac.roles
    assert taken.notes == (
        "the metric of deprecated calls could not be read: GET /metrics: 403",
        "the namespaces could not be read: GET /api/v1/namespaces: 403 may not",
        "the index of OpenAPI v3 could not be read: GET /openapi/v3: 403 may not",
    )
    assert taken.catalog.resources
    assert "/metrics" in taken.catalog.paths


@pytest.mark.server
def test_roles_are_read_in_the_given_namespaces_where_the_rest_is_forbidden(cluster: Cluster) -> None:
    refused = (f"{RBAC}/roles", f"{RBAC}/rolebindings", f"{RBAC}/namespaces/default/roles")
    given = ("kube-system", "default", "kube-public")
    with before(cluster, forbidding(*refused)) as through, Client(through.admin) as asking:
        found = snapshot.reread_rbac(asking, namespaces=given)
    with Client(cluster.admin) as direct:
        whole = snapshot.reread_rbac(direct)
    assert found.roles == tuple(r for r in whole.roles if r["metadata"]["namespace"] in {"kube-system", "kube-public"})
    assert found.role_bindings == tuple(r for r in whole.role_bindings if r["metadata"]["namespace"] in given)
    assert found.roles
    assert found.cluster_roles == whole.cluster_roles
    assert found.incomplete == (
        "Roles: 403 may not",
        "Roles in default: 403 may not",
        "RoleBindings: 403 may not",
    )


@pytest.mark.server
def test_deprecated_calls_are_read_before_anything_else(cluster: Cluster) -> None:
    asked: list[str] = []

    def flip(request: Asked, answered: Answered) -> None:
        del answered
        asked.append(request.target)

    with before(cluster, flip) as through, Client(through.admin) as asking:
        assert asking.ask("GET", "/api/v1/namespaces/default/endpoints", query={"limit": "1"}).status == 200
        asked.clear()
        calls = snapshot.take(asking).deprecated_calls
    assert asked[0] == "/metrics"
    endpoints = {"group": "", "version": "v1", "resource": "endpoints", "subresource": "", "removed_release": ""}
    assert calls is not None
    assert endpoints in calls


@pytest.mark.server
def test_openapi_documents_are_listed_and_read_when_needed(client: Client) -> None:
    index = openapi.index(client)
    assert list(index) == sorted(index)
    assert {"api/v1", "apis/apps/v1", "version"} <= index.keys()
    assert all(len(found) == 128 for found in index.values())
    assert "io.k8s.api.apps.v1.Deployment" in openapi.document(client, "apis/apps/v1")["components"]["schemas"]


@pytest.mark.server
def test_paths_are_rows_once_and_without_those_that_patterns_cover(client: Client) -> None:
    rules: list[Json] = [{"nonResourceURLs": ["*", "/debug/*", "/healthz/etcd", "nonsense", "/a/../b", "/\x1b"]}, {}]
    rbac = Rbac(cluster_roles=({"metadata": {}, "rules": rules}, {"metadata": {}, "rules": None}))
    found = paths.rows(client, rbac)
    assert list(found) == sorted(set(found))
    assert {"/*", "/debug/*", "/healthz/etcd"} <= set(found)
    assert set(found) - {"/*", "/debug/*", "/healthz/etcd"} == {
        *("/", "/.well-known/openid-configuration", "/api", "/apis", "/debug/pprof", "/flagz", "/healthz", "/livez"),
        *("/logs", "/metrics", "/metrics/slis", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/statusz"),
        "/version",
    }


def test_only_apis_that_were_called_stand_in_the_metric() -> None:
    text = """# HELP apiserver_requested_deprecated_apis [STABLE] Gauge
# TYPE apiserver_requested_deprecated_apis gauge
apiserver_requested_deprecated_apis{group="x.io",removed_release="1.40",resource="b",version="v1"} 1
apiserver_requested_deprecated_apis{group="a\\"b\\\\c\\nd,e=\\"}",resource="a",version="v1"} 1.0
apiserver_requested_deprecated_apis{group="never",resource="a",version="v1"} 0
apiserver_requested_deprecated_apis_other{group="other"} 1
apiserver_request_total{group="other"} 1
"""
    assert snapshot.deprecated_calls(text) == (
        {"group": 'a"b\\c\nd,e="}', "resource": "a", "version": "v1"},
        {"group": "x.io", "removed_release": "1.40", "resource": "b", "version": "v1"},
    )


EMPTY = Snapshot("v1.0.0", Catalog((), ()), Rbac())
FULL = Snapshot(
    "v1.37.2",
    Catalog(
        groups=(Group("", ("v1",), "v1"), Group("x.io", ("v2", "v1"), "v2")),
        resources=(
            Resource("", "v1", "pods", "", "Pod", "", "v1", namespaced=True, verbs=("get", "list")),
            Resource(
                *("x.io", "v1", "w", "s", "S", "a", "v1"),
                namespaced=True,
                verbs=("*",),
                singular="w",
                short_names=("a", "b"),
                categories=("all",),
            ),
        ),
        paths=("/", "/*"),
        unavailable=(Unavailable("y.io/v1", "down"),),
        aggregated=frozenset({"x.io/v1", "x.io/v2"}),
        notes=("a note",),
    ),
    Rbac(
        cluster_roles=({"metadata": {"name": "a"}, "rules": None},),
        cluster_role_bindings=({"metadata": {"name": "b"}, "subjects": [{"kind": "User", "name": "\u00fc"}]},),
        roles=({"metadata": {"name": "c", "namespace": "n"}, "rules": [{"verbs": ["*"], "resources": []}]},),
        role_bindings=({"metadata": {"name": "d"}},),
        incomplete=("Roles: 403 no",),
    ),
    namespaces=("a", "b"),
    openapi={"api/v1": "0F", "version": ""},
    deprecated_calls=({"group": "", "resource": "endpoints"},),
    notes=("another",),
)


@pytest.mark.parametrize("value", [EMPTY, FULL, replace(FULL, deprecated_calls=()), replace(FULL, openapi={})])
def test_a_snapshot_comes_back_from_json_as_it_was(value: Snapshot) -> None:
    text = orjson.dumps(snapshot.dump(value))
    assert snapshot.load(orjson.loads(text)) == value
    assert orjson.dumps(snapshot.dump(snapshot.load(orjson.loads(text)))) == text


def test_every_field_is_covered_by_the_round_trip() -> None:
    def filled(value: Any) -> bool:
        return all(getattr(value, name) not in ((), frozenset(), {}, None, "") for name in value.__slots__)

    assert all(map(filled, (FULL, FULL.catalog, FULL.rbac, FULL.catalog.resources[1])))


@pytest.mark.parametrize(
    "damage", [{"catalog": None}, {"rbac": {"unknown": []}}, {"catalog": {"groups": [{}]}}, {"namespaces": None}]
)
def test_a_damaged_snapshot_is_an_error_of_the_file(damage: Json) -> None:
    with pytest.raises(RunFileError, match="snapshot"):
        snapshot.load(snapshot.dump(FULL) | damage)
