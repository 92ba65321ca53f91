"""Everybody whom a binding names, as columns: one of each set of rights is asked, the rules speak of the others."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest
from audits import RBAC, audit
from grants import cluster as objects
from grants import rule

from conformance import discovered
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conformance.model import Cluster

PODS = [rule("get,list", "pods")]
OBJECTS = objects(
    ("User alice", "web", PODS),
    ("User bob", "web", PODS),
    ("User carol", "shop", PODS),
    ("Group devs", "web", PODS),
    ("ServiceAccount web/app", "web", PODS),
    ("Group system:serviceaccounts:web", "web", [rule("get", "secrets")]),
    ("User system:anonymous", "", [rule("get", "nodes")]),
)


def test_who_has_the_same_rules_is_asked_once() -> None:
    found = {it.name: it.alike for it in discovered.people(OBJECTS)}
    assert found == {
        "Group devs": "",
        "Group system:serviceaccounts:web": "",
        "ServiceAccount web/app": "",  # its namespace's accounts have a rule besides
        "User alice": "Group devs",
        "User bob": "Group devs",
        "User carol": "",
        "User system:anonymous": "",
    }


def test_a_group_is_asked_as_a_member_whom_nobody_knows() -> None:
    group = next(it for it in discovered.people(OBJECTS) if it.name == "Group devs")
    assert group.user.startswith("kube-conformance:member:")
    assert group.groups == ("devs", "system:authenticated")
    assert group.groups_known
    assert not next(it for it in discovered.people(OBJECTS) if it.name == "User carol").groups_known


def test_names_choose() -> None:
    chosen = discovered.people(OBJECTS, ["User bob", "User carol"])
    assert [(it.name, it.alike) for it in chosen] == [("User bob", ""), ("User carol", "")]


@pytest.fixture
def bound(cluster: Cluster) -> Iterator[str]:
    """Two users and a service account with one right, in a namespace of their own."""
    run = f"disc-{secrets.token_hex(3)}"
    with Client(cluster.admin) as client:

        def create(path: str, body: Any) -> None:
            assert client.ask("POST", path, body=body).status == 201

        create("/api/v1/namespaces", {"metadata": {"name": run}})
        create(f"{RBAC}/namespaces/{run}/roles", {"metadata": {"name": "pods"}, "rules": PODS})
        subjects = [{"kind": "User", "name": f"{run}-{it}", "apiGroup": "rbac.authorization.k8s.io"} for it in "ab"]
        subjects.append({"kind": "ServiceAccount", "name": "app", "namespace": run})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pods"}
        create(
            f"{RBAC}/namespaces/{run}/rolebindings",
            {"metadata": {"name": "pods"}, "subjects": subjects, "roleRef": role},
        )
        yield run
        client.ask("DELETE", f"/api/v1/namespaces/{run}")


@pytest.mark.server
def test_an_audit_of_everybody(cluster: Cluster, bound: str, tmp_path: Path) -> None:
    done = audit(cluster, tmp_path, "--identities=discovered", "--", "-k", "v1/pods: and (get or list)")
    assert done.code == 0, done.output[-3000:]
    matrix = done.matrix()
    names = [it["name"] for it in matrix["identities"]]
    assert names == sorted(names)
    assert {f"User {bound}-a", f"User {bound}-b", f"ServiceAccount {bound}/app", "Group system:masters"} <= set(names)
    scope = next(scope for scope, them in matrix["run"]["namespaces"].items() if bound in them)
    cells = {it["identity"]: it for it in matrix["cells"] if it["endpoint"] == f"v1/pods:list:{scope}"}
    asked, alike = cells[f"User {bound}-a"], cells[f"User {bound}-b"]
    assert (asked["request"], asked["review"], asked["rules"], asked["verdict"]) == (*["allowed"] * 3, "pass")
    assert (alike["request"], alike["review"], alike["rules"]) == (None, None, "allowed")
    assert alike["note"] == f"rules only: User {bound}-a has the same rules and is asked"
    assert alike["effective"] == "allowed"
    other = next(it for it in matrix["cells"] if (it["endpoint"], it["identity"]) == ("v1/pods:get", f"User {bound}-a"))
    assert (other["effective"], "own bindings only" in other["note"]) == ("denied", True)
    assert cells["Group system:masters"]["request"] == "allowed"


@pytest.mark.server
def test_what_requests_do_not_suffice_for_is_left_to_the_rules(cluster: Cluster, bound: str, tmp_path: Path) -> None:
    chosen = [f"--identity=User {bound}-a", f"--identity=User {bound}-b", f"--identity=ServiceAccount {bound}/app"]
    done = audit(cluster, tmp_path, "--identities=discovered", *chosen, "--max-requests=5", "--", "-k", "v1/pods:list")
    assert done.code == 1, done.output[-3000:]  # not whole
    matrix = done.matrix()
    assert matrix["run"]["requests"]["sent"] == 0
    assert {it["note"].partition("; ")[2] or it["note"] for it in matrix["cells"]} == {
        "rules only: beyond --max-requests"
    }
    assert {it["rules"] for it in matrix["cells"]} == {"allowed", "denied"}
