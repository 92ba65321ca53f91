from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest
from catalogs import VERBS, endpoint, path, resource

from conformance import probe
from conformance.model import Attributes, Endpoint, Request
from conformance.placeholders import ABSENT

if TYPE_CHECKING:
    from conformance.model import Mode

DRY, NOTHING = probe.DRY_RUN, probe.NOTHING
RBAC = "rbac.authorization.k8s.io"
BASE = "/api/v1/namespaces/{own}/things"
# Subresources of which no dry run is known to hold: an absent name is the shield.
SHIELDED = ("exec", "attach", "portforward", "proxy", "binding", "eviction", "token")


def asked(plural: str, verb: str, *, group: str = "", scope: str = "own") -> Request:
    return probe.request_of(
        endpoint(plural, verb, group=group, scope=scope), resource(plural, group=group, namespaced=scope != "cluster")
    )


@pytest.mark.parametrize(
    ("verb", "method", "target", "query"),
    [
        ("get", "GET", f"{BASE}/{ABSENT}", ()),
        ("list", "GET", BASE, (("limit", "1"),)),
        ("watch", "GET", BASE, (("watch", "true"), ("timeoutSeconds", "5"), NOTHING)),
        ("create", "POST", BASE, (DRY,)),
        ("update", "PUT", f"{BASE}/{ABSENT}", (DRY,)),
        ("patch", "PATCH", f"{BASE}/{ABSENT}", (DRY,)),
        ("delete", "DELETE", f"{BASE}/{ABSENT}", (DRY,)),
        ("deletecollection", "DELETE", BASE, (DRY, NOTHING, ("fieldSelector", f"metadata.name={ABSENT}"))),
    ],
)
def test_each_verb_has_its_request(verb: str, method: str, target: str, query: tuple[tuple[str, str], ...]) -> None:
    request = asked("things", verb)
    assert (request.method, request.path, request.query) == (method, target, query)


@pytest.mark.parametrize(
    ("scope", "group", "expected"),
    [
        ("own", "", "/api/v1/namespaces/{own}/things"),
        ("other", "", "/api/v1/namespaces/{other}/things"),
        ("ns.kube-system", "", "/api/v1/namespaces/kube-system/things"),
        ("all", "", "/api/v1/things"),
        ("cluster", "", "/api/v1/things"),
        ("own", "g.io", "/apis/g.io/v1/namespaces/{own}/things"),
        ("cluster", "g.io", "/apis/g.io/v1/things"),
    ],
)
def test_a_scope_is_a_place_of_the_path(scope: str, group: str, expected: str) -> None:
    assert asked("things", "list", scope=scope, group=group).path == expected


def test_a_watch_ends_with_its_headers_and_nothing_else_does() -> None:
    assert {verb for verb in VERBS if asked("things", verb).headers_only} == {"watch"}


@pytest.mark.parametrize("verb", ["create", "update", "patch", "delete", "get"])
@pytest.mark.parametrize("sub", SHIELDED)
def test_what_dry_run_does_not_shield_goes_to_an_absent_name(sub: str, verb: str) -> None:
    request = asked(f"things/{sub}", verb)
    assert request.path == f"{BASE}/{ABSENT}/{sub}"


@pytest.mark.parametrize("sub", ["exec", "attach", "portforward", "proxy"])
def test_connections_are_never_told_of_dry_runs_which_they_refuse(sub: str) -> None:
    assert asked(f"things/{sub}", "create").query == ()
    assert asked("things/scale", "update").query == (DRY,)


def test_bodies_never_make_an_update_a_create() -> None:
    put, patch = asked("things", "update"), asked("things", "patch")
    assert put.body is not None
    assert "metadata" not in orjson.loads(put.body)
    assert patch.body == b"{}"
    assert ("Content-Type", "application/merge-patch+json") in patch.headers


@pytest.mark.parametrize(
    ("plural", "scope", "role"), [("rolebindings", "own", "Role"), ("clusterrolebindings", "cluster", "ClusterRole")]
)
def test_a_binding_is_to_a_whole_but_absent_role(plural: str, scope: str, role: str) -> None:
    body = orjson.loads(asked(plural, "create", group=RBAC, scope=scope).body or b"")
    assert body["roleRef"] == {"apiGroup": RBAC, "kind": role, "name": ABSENT}
    assert "subjects" not in body


def test_what_is_created_is_of_its_kind_and_would_be_of_an_absent_name() -> None:
    body = orjson.loads(asked("things", "create", group="g.io").body or b"")
    assert body == {"apiVersion": "g.io/v1", "kind": "Thing", "metadata": {"name": ABSENT}}


@pytest.mark.parametrize("plural", ["bindings", "pods/binding"])
def test_a_pod_is_bound_to_an_absent_node_only(plural: str) -> None:
    of = replace(resource(plural), kind="Binding")
    body = orjson.loads(probe.request_of(endpoint(plural, "create"), of).body or b"")
    assert body["target"] == {"kind": "Node", "name": ABSENT}
    assert body.get("metadata", {"name": ABSENT}) == {"name": ABSENT}


def test_the_kind_of_a_subresource_may_be_of_another_group() -> None:
    scale = endpoint("things/scale", "update", group="apps")
    of = resource("things/scale", group="apps")
    of = type(of)("apps", "v1", "things", "scale", "Scale", "autoscaling", "v1", True, ("update",))  # noqa: FBT003
    assert orjson.loads(probe.request_of(scale, of).body or b"") == {"apiVersion": "autoscaling/v1", "kind": "Scale"}


def test_a_path_is_asked_as_it_is_and_ends_with_its_headers() -> None:
    request = probe.request_of(path("/metrics"), None)
    assert (request.method, request.path, request.query, request.body) == ("GET", "/metrics", (), None)
    assert request.headers_only


# --- what is not asked ------------------------------------------------------------------------------------------------

WRITES = ("create", "update", "patch", "delete", "deletecollection")


@pytest.mark.parametrize("mode", ["observe", "dry-run", "full"])
@pytest.mark.parametrize("verb", ["get", "list", "watch"])
@pytest.mark.parametrize("aggregated", [False, True])
def test_reads_are_asked_in_every_mode(mode: Mode, verb: str, *, aggregated: bool) -> None:
    assert probe.refusal(endpoint("things", verb), mode, aggregated=aggregated) == ""


@pytest.mark.parametrize("plural", ["things", "things/status", "pods/eviction", "serviceaccounts/token"])
@pytest.mark.parametrize("verb", WRITES[:-1])
def test_observe_sends_no_writes(plural: str, verb: str) -> None:
    assert probe.refusal(endpoint(plural, verb), "observe", aggregated=False) == "observe sends no writes"
    assert probe.refusal(endpoint(plural, verb), "dry-run", aggregated=False) == ""


@pytest.mark.parametrize("sub", ["exec", "attach", "portforward", "proxy"])
def test_observe_opens_no_connection_either(sub: str) -> None:
    assert probe.refusal(endpoint(f"pods/{sub}", "get"), "observe", aggregated=False)


REVIEWS = ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews", "subjectaccessreviews"]


@pytest.mark.parametrize("plural", [*REVIEWS, "localsubjectaccessreviews"])
def test_observe_may_create_reviews_which_persist_nothing(plural: str) -> None:
    assert probe.refusal(endpoint(plural, "create"), "observe", aggregated=False) == ""
    assert probe.refusal(endpoint(plural, "delete"), "observe", aggregated=False)


def test_observe_creates_no_token_review_for_it_could_be_sent_elsewhere() -> None:
    assert probe.refusal(endpoint("tokenreviews", "create"), "observe", aggregated=False)


@pytest.mark.parametrize("verb", WRITES)
def test_aggregated_apis_are_written_to_in_full_only(verb: str) -> None:
    said = [probe.refusal(endpoint("things", verb), mode, aggregated=True) for mode in ("observe", "dry-run", "full")]
    assert [bool(why) for why in said] == [True, True, False]


def test_virtual_rows_have_no_request() -> None:
    row = Endpoint("", "v1", "users", "", "impersonate", namespaced=False, scope="cluster", virtual=True)
    assert probe.refusal(row, "full", aggregated=False) == "virtual"


@pytest.mark.parametrize("verb", ["post", "put", "delete", "patch", "head"])
def test_paths_are_only_got(verb: str) -> None:
    assert probe.refusal(path("/metrics", verb), "full", aggregated=False)


@pytest.mark.parametrize("verb", ["connect", "GET", "", "get\r\nX: y", "proxy", "use"])
def test_no_request_is_made_up_for_a_verb_that_nobody_knows(verb: str) -> None:
    assert probe.refusal(endpoint("things", verb), "full", aggregated=False)
    assert probe.refusal(endpoint("things/sub", "deletecollection"), "full", aggregated=False)


@pytest.mark.parametrize(
    ("text", "of_resource"),
    [
        ("/api/v1/pods", True),
        ("/api/v1/namespaces/x/pods/y/proxy/z", True),
        ("/api/v1/pods/", True),
        ("/apis/apps/v1/deployments", True),
        ("/api/v1", False),
        ("/api/*", False),
        ("/apis/apps/v1", False),
        ("/apis/*", False),
        ("/metrics/a/b/c", False),
        ("/", False),
        ("/*", False),
    ],
)
def test_a_path_of_the_api_is_no_path_for_the_server(text: str, *, of_resource: bool) -> None:
    assert bool(probe.refusal(path(text), "full", aggregated=False)) is of_resource


# --- objects that rules name ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "target", "selector"),
    [
        ("get", f"{BASE}/settings", None),
        ("list", BASE, "metadata.name=settings"),
        ("watch", BASE, "metadata.name=settings"),
    ],
)
def test_a_named_object_is_read(verb: str, target: str, selector: str | None) -> None:
    request = probe.named_request_of(endpoint("things", verb), resource("things"), "settings")
    assert request is not None
    assert (request.method, request.path, request.body) == ("GET", target, None)
    assert dict(request.query).get("fieldSelector") == selector
    assert request.headers_only is (verb == "watch")


@pytest.mark.parametrize("verb", WRITES)
def test_a_named_object_is_never_written(verb: str) -> None:
    assert probe.named_request_of(endpoint("things", verb), resource("things"), "settings") is None


@pytest.mark.parametrize("sub", [*SHIELDED, "log", "ephemeralcontainers", "portal"])
def test_of_a_named_object_no_connection_is_opened_and_no_log_read(sub: str) -> None:
    assert probe.named_request_of(endpoint(f"pods/{sub}", "get"), resource(f"pods/{sub}"), "db-0") is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/exec", "../../secrets/x", "a%2fexec", "a\r\nb", "a\x00", "a\u202eb"]
)
@pytest.mark.parametrize("verb", ["get", "list", "watch"])
def test_what_no_object_can_be_called_is_not_asked(name: str, verb: str) -> None:
    assert probe.named_request_of(endpoint("things", verb), resource("things"), name) is None


def test_a_name_stays_one_term_of_a_selector() -> None:
    request = probe.named_request_of(endpoint("things", "list"), resource("things"), r"a,metadata.namespace=b\c")
    assert request is not None
    assert dict(request.query)["fieldSelector"] == r"metadata.name=a\,metadata.namespace\=b\\c"


# --- what the authorizer is asked -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plural", "verb", "scope", "namespace", "name"),
    [
        ("things", "get", "own", "{own}", ABSENT),
        ("things", "list", "own", "{own}", ""),
        ("things", "watch", "all", "", ""),
        ("things", "create", "own", "{own}", ""),
        ("things", "deletecollection", "own", "{own}", ""),
        ("things/scale", "create", "own", "{own}", ABSENT),
        ("things", "get", "cluster", "", ABSENT),
        ("things", "get", "ns.kube-system", "kube-system", ABSENT),
        # A namespace is authorised in itself, where it is named.
        ("namespaces", "get", "cluster", ABSENT, ABSENT),
        ("namespaces/finalize", "update", "cluster", ABSENT, ABSENT),
        ("namespaces", "list", "cluster", "", ""),
        ("namespaces", "create", "cluster", "", ""),
    ],
)
def test_attributes_are_those_of_the_request(plural: str, verb: str, scope: str, namespace: str, name: str) -> None:
    found = probe.attributes_of(endpoint(plural, verb, scope=scope))
    assert (found.verb, found.namespace, found.name) == (verb, namespace, name)


def test_attributes_of_a_named_object_bear_its_name() -> None:
    assert probe.attributes_of(endpoint("things", "list"), "settings").name == "settings"
    assert probe.attributes_of(endpoint("namespaces", "get", scope="cluster"), "prod").namespace == "prod"
    other = endpoint("namespaces", "get", group="metrics.k8s.io", scope="cluster")
    assert probe.attributes_of(other).namespace == "", "only the core group's namespaces are places"


def test_attributes_of_a_path_are_path_and_verb() -> None:
    assert probe.attributes_of(path("/metrics")) == Attributes("get", path="/metrics")
