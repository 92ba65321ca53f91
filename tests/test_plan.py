from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson
import pytest
from catalogs import OTHER, OWN, Granting, identity, path, resource, snapshot
from hypothesis import given
from hypothesis import strategies as st

from conformance import plan
from conformance.model import Catalog, Group, Rbac, Snapshot
from conformance.oracles.rules import Rules
from conformance.placeholders import ABSENT
from conformance.snapshot import take
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from conformance.model import Cluster, Identity, Mode, Request
    from conformance.plan import Call, Plan

ALL = ("request", "review", "rules")


def laid(
    frozen: Snapshot,
    *identities: Identity,
    mode: Mode = "dry-run",
    oracles: tuple[str, ...] = ALL,
    names: Mapping[tuple[str, str], tuple[str, ...]] | None = None,
    namespaces: Mapping[str, tuple[str, ...]] = OTHER,
) -> Plan:
    return plan.make(
        frozen,
        identities or (identity(),),
        grants=Granting(names),
        mode=mode,
        oracles=oracles,
        namespaces=namespaces,
    )


def discovered(made: Plan) -> list[str]:
    return [row.id for row in made.rows if not row.endpoint.virtual]


def calls(made: Plan, row_id: str) -> list[Call]:
    return list(made.calls(next(row for row in made.rows if row.id == row_id)))


# --- rows -------------------------------------------------------------------------------------------------------------


def test_every_verb_of_every_resource_is_a_row_wherever_it_can_be_asked() -> None:
    made = laid(
        snapshot(
            resource("nodes", "get", namespaced=False),
            resource("pods", "delete", "list", "watch"),
            resource("pods/log", "get"),
            paths=("/metrics", "/logs*"),
        )
    )
    assert discovered(made) == [
        "v1/nodes:get",
        *("v1/pods:delete", "v1/pods:delete:other"),
        *("v1/pods:list", "v1/pods:list:all", "v1/pods:list:other"),
        *("v1/pods:watch", "v1/pods:watch:all", "v1/pods:watch:other"),
        *("v1/pods/log:get", "v1/pods/log:get:other"),
        *("/metrics:get", "/logs...:get"),
    ]


def test_named_namespaces_are_rows_and_the_other_one_only_where_there_is_one() -> None:
    made = laid(snapshot(resource("pods", "get")), namespaces={"own": ("{own}",), "ns.prod": ("prod", "stage")})
    assert discovered(made) == ["v1/pods:get", "v1/pods:get:ns.prod"]
    assert not [row.id for row in made.rows if row.endpoint.scope == "other"], "nor a virtual one"


def test_deletecollection_is_never_asked_across_namespaces() -> None:
    made = laid(snapshot(resource("pods"), resource("nodes", namespaced=False)))
    found = [row for row in made.rows if row.endpoint.verb == "deletecollection"]
    assert [row.id for row in found] == [
        f"v1/{it}" for it in ("pods:deletecollection", "pods:deletecollection:other", "nodes:deletecollection")
    ]


def test_virtual_rows_come_last_with_review_and_rules_only() -> None:
    made = laid(snapshot(resource("pods", "get")))
    kinds = [row.endpoint.virtual for row in made.rows]
    assert kinds == sorted(kinds)
    assert [(call.oracle, call.request) for call in calls(made, "v1/users:impersonate")] == [("review", None)]


def test_a_plan_counts_its_cells_and_requests() -> None:
    made = laid(snapshot(resource("pods", "get")), identity("a"), identity("b"), namespaces=OWN)
    assert made.planned == 2 * len(made.rows)
    assert made.count() == sum(len(list(made.calls(row))) for row in made.rows)
    asked = laid(snapshot(resource("pods", "get")), identity("a"), identity("b"), namespaces=OWN, oracles=("request",))
    assert asked.count() == 2


# --- hostile names ----------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=6), st.lists(NAMES, max_size=4))
def test_ids_are_unique_and_plain_whatever_things_are_called(named: list[tuple[str, str]], paths: list[str]) -> None:
    resources = [resource(name.replace("/", ""), verb) for name, verb in named]
    made = laid(snapshot(*resources, paths=tuple(f"/{text}" for text in paths)))
    ids = [row.id for row in made.rows]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[\w.\-/:+]+", one, re.ASCII) for one in ids)


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_a_name_that_rules_grant_never_leaves_its_segment(name: str) -> None:
    made = laid(snapshot(resource("pods")), names={("pods", verb): (name,) for verb in ("get", "list", "delete")})
    for call in (call for row in made.rows for call in made.calls(row) if call.name and call.request):
        assert call.request is not None
        assert call.request.method == "GET"
        assert call.request.path.startswith("/api/v1/")
        assert ".." not in call.request.path.split("/")
        assert call.request.path.removesuffix(f"/{name}").endswith("/pods")


# --- names ------------------------------------------------------------------------------------------------------------


def test_names_that_rules_grant_are_read_and_reviewed_besides() -> None:
    made = laid(
        snapshot(resource("configmaps", "get", "update")),
        names={("configmaps", verb): ("a", "b") for verb in ("get", "update")},
    )
    assert [(c.oracle, c.name, c.attributes.name) for c in calls(made, "v1/configmaps:get")] == [
        ("request", "", ABSENT),
        ("review", "", ABSENT),
        ("request", "a", "a"),
        ("review", "a", "a"),
        ("request", "b", "b"),
        ("review", "b", "b"),
    ]
    written = [(c.oracle, c.name) for c in calls(made, "v1/configmaps:update")]
    assert written == [("request", ""), ("review", ""), ("review", "a"), ("review", "b")]


def test_at_most_twenty_names_are_asked() -> None:
    many = tuple(f"n{number:02}" for number in range(30))
    made = laid(snapshot(resource("configmaps", "get")), names={("configmaps", "get"): many})
    assert [c.name for c in calls(made, "v1/configmaps:get") if c.name and c.oracle == "review"] == list(many[:20])
    row = next(row for row in made.rows if row.id == "v1/configmaps:get")
    assert row.names == {"alice": many}, "the rest is counted in the note"


def test_nobody_is_not_reviewed() -> None:
    nobody = identity("nobody", expect="unauthenticated")
    made = laid(snapshot(resource("pods", "get")), nobody, names={("pods", "get"): ("a",)}, namespaces=OWN)
    assert [(c.oracle, c.name) for c in calls(made, "v1/pods:get")] == [("request", "")]
    assert calls(made, "v1/users:impersonate") == []


@pytest.mark.parametrize("oracles", [("request",), ("review",), ("rules",), ALL, ("review", "rules")])
def test_only_the_chosen_oracles_are_asked(oracles: tuple[str, ...]) -> None:
    made = laid(snapshot(resource("pods", "get")), oracles=oracles, names={("pods", "get"): ("a",)})
    assert {call.oracle for row in made.rows for call in made.calls(row)} == set(oracles) - {"rules"}


def test_rows_that_no_request_may_ask_say_why() -> None:
    frozen = snapshot(
        resource("pods", "get", "create"), resource("x", "create", group="agg.io"), aggregated=frozenset({"agg.io/v1"})
    )
    observed = {row.id: row.refused for row in laid(frozen, mode="observe").rows if row.request is None}
    assert observed["v1/pods:create"] == "observe sends no writes"
    dry = {row.id: row.refused for row in laid(frozen).rows if row.request is None and not row.endpoint.virtual}
    assert set(dry) == {"agg.io/v1/x:create", "agg.io/v1/x:create:other"}
    full = [row.id for row in laid(frozen, mode="full").rows if row.request is None and not row.endpoint.virtual]
    assert full == []
    assert all(bool(row.refused) is (row.request is None) for row in laid(frozen).rows)


# --- asking without harm: the rules once more, by another hand --------------------------------------------------------

_SHIELD = re.compile(r"/(exec|attach|portforward|proxy|token|binding|eviction)$")
_ABSENT_ITEM = re.compile(r"/\{absent\}(/[a-z]+)?$")
_SELF = re.compile(r"/(selfsubject(access|rules)reviews|selfsubjectreviews|(local)?subjectaccessreviews)$")


def harms(request: Request, mode: Mode, aggregated: frozenset[str]) -> Iterator[str]:
    """Say every way in which a request could change something, cost much or go on for ever."""
    if len(dict(request.query)) != len(request.query):
        yield "a parameter twice"
    if _SHIELD.search(request.path) and not _ABSENT_ITEM.search(request.path):
        yield "a connection or token of something that may be there"
    yield from read_harms(request) if request.method in {"GET", "HEAD"} else write_harms(request, mode, aggregated)


def read_harms(request: Request) -> Iterator[str]:
    query = dict(request.query)
    if request.body:
        yield "a read with a body"
    if "watch" in query:
        if "timeoutSeconds" not in query or not request.headers_only:
            yield "a watch that does not end"
    elif request.path.startswith("/api") and not _ABSENT_ITEM.search(request.path) and query.get("limit") != "1":
        yield "a list without a limit"


def write_harms(request: Request, mode: Mode, aggregated: frozenset[str]) -> Iterator[str]:
    query = dict(request.query)
    of_item = _ABSENT_ITEM.search(request.path)
    connects = request.path.endswith(("/exec", "/attach", "/portforward", "/proxy"))
    if query.get("dryRun") != "All" and not (connects and of_item):
        yield "a write without dry run"
    if mode == "observe" and not _SELF.search(request.path):
        yield "a write in mode observe"
    if mode != "full" and any(request.path.startswith(f"/apis/{one}/") for one in aggregated):
        yield "a write to an aggregated API"
    body = orjson.loads(request.body or b"{}")
    named = body.get("metadata", {}).get("name")
    if request.method in {"PUT", "PATCH"} and (named or not of_item):
        yield "an update that could create, or change what is there"
    if request.method == "POST" and not of_item and named != "{absent}":
        yield "a create of what may be wanted"
    if request.method == "DELETE" and not of_item:
        nothing = query.get("labelSelector"), query.get("fieldSelector")
        if nothing != ("kube-conformance.io/nothing=selected", "metadata.name={absent}"):
            yield "a collection without the two selectors that match nothing"


@pytest.fixture(scope="module")
def frozen(cluster: Cluster) -> Snapshot:
    with Client(cluster.admin) as client:
        return take(client)


@pytest.mark.server
@pytest.mark.parametrize("mode", ["observe", "dry-run", "full"])
def test_no_request_of_a_whole_plan_can_harm(frozen: Snapshot, mode: Mode) -> None:
    made = laid(frozen, mode=mode)
    asked = [(row, row.request) for row in made.rows if row.request is not None]
    found = [
        (row.id, harm)
        for row, request in asked
        if not row.endpoint.path
        for harm in harms(request, mode, frozen.catalog.aggregated)
    ]
    assert found == []
    assert len(asked) > (660 if mode != "observe" else 250)
    assert all(request.method == "GET" and not request.query for row, request in asked if row.endpoint.path)


@pytest.mark.server
def test_names_of_the_real_rules_are_only_read(frozen: Snapshot) -> None:
    """The scheduler and the controllers are granted names by the default roles."""
    everyone = (identity("system:kube-scheduler"), identity("system:kube-controller-manager"))
    made = plan.make(
        frozen,
        everyone,
        grants=Rules(frozen.rbac),
        mode="full",
        oracles=ALL,
        namespaces=OTHER | {"ns.kube-system": ("kube-system",)},
    )
    named = [call for row in made.rows for call in made.calls(row) if call.name]
    assert {call.name for call in named if call.request} >= {"extension-apiserver-authentication", "kube-scheduler"}
    assert {call.request.method for call in named if call.request} == {"GET"}
    assert all(call.attributes.name == call.name for call in named)


@pytest.mark.server
def test_every_pair_of_discovery_is_a_row_with_a_request(frozen: Snapshot) -> None:
    made = laid(frozen, mode="full")
    pairs = {(r.group, r.version, r.plural, verb) for r in frozen.catalog.resources for verb in r.verbs}
    rows = {
        (e.group, e.version, e.plural, e.verb)
        for row in made.rows
        if row.request is not None and not (e := row.endpoint).path
    }
    assert rows == pairs
    assert {row.endpoint.path for row in made.rows if row.endpoint.path} == set(frozen.catalog.paths)
    ids = [row.id for row in made.rows]
    assert len(ids) == len(set(ids))


def test_harm_is_seen() -> None:
    """The rules above find fault with what they are there for."""
    made = laid(snapshot(resource("pods"), resource("pods/exec", "create"), resource("nodes", namespaced=False)))
    by_id = {row.id: row.request for row in made.rows}
    fine = by_id["v1/pods:delete"]
    assert fine is not None
    assert not list(harms(fine, "full", frozenset()))
    real = type(fine)
    for bad in (
        real("DELETE", fine.path),
        real("DELETE", "/api/v1/namespaces/{own}/pods", (("dryRun", "All"),)),
        real("DELETE", "/api/v1/namespaces/{own}/pods/db-0", (("dryRun", "All"),)),
        real("POST", "/api/v1/namespaces/{own}/pods/db-0/exec"),
        real("POST", "/api/v1/namespaces/{own}/pods", (("dryRun", "All"),), body=b"{}"),
        real("GET", "/api/v1/namespaces/{own}/pods"),
        real("GET", "/api/v1/pods", (("watch", "true"),), headers_only=True),
        real("PUT", fine.path, (("dryRun", "All"),), body=b'{"metadata":{"name":"{absent}"}}'),
    ):
        assert list(harms(bad, "full", frozenset())), bad
    assert list(harms(fine, "observe", frozenset()))


def test_a_snapshot_without_anything_is_a_plan_of_virtual_rows() -> None:
    made = laid(Snapshot("v1.37.2", Catalog((Group("", ("v1",), "v1"),), ()), Rbac()), namespaces=OWN)
    assert made.rows
    assert all(row.endpoint.virtual for row in made.rows)
    assert path("/x").id == "/x:get"
