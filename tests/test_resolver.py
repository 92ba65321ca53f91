"""Which rules apply to whom: bindings, subjects, missing roles, aggregation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.model import Rbac
from conformance.rbac.resolver import Binding, MissingRole, Resolver, Who, aggregated, selects, unread

if TYPE_CHECKING:
    from conformance.model import Json


def role(name: str, verb: str, namespace: str = "") -> Json:
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}
    return {"metadata": {"name": name, "namespace": namespace}, "rules": [rule]}


def binding(name: str, kind: str, role_name: str, *subjects: Json, namespace: str = "") -> Json:
    metadata = {"name": name, "namespace": namespace}
    return {"metadata": metadata, "roleRef": {"kind": kind, "name": role_name}, "subjects": list(subjects)}


ALICE = {"kind": "User", "name": "alice"}
SA = {"kind": "ServiceAccount", "name": "sa"}


@pytest.mark.parametrize(
    ("subject", "namespace", "user", "groups", "applies"),
    [
        (ALICE, "", "alice", (), True),
        (ALICE, "", "Alice", (), False),
        (ALICE, "", "alice ", (), False),
        (ALICE, "", "bob", ("alice",), False),
        (ALICE | {"apiGroup": "foreign"}, "", "alice", (), True),
        (ALICE | {"namespace": "t1"}, "", "alice", (), True),
        ({"kind": "Group", "name": "devs"}, "", "alice", ("ops", "devs"), True),
        ({"kind": "Group", "name": "devs"}, "", "devs", (), False),
        ({"kind": "Group", "name": "system:serviceaccounts:t1"}, "", "x", ("system:serviceaccounts:t1",), True),
        (SA | {"namespace": "t1"}, "", "system:serviceaccount:t1:sa", (), True),
        (SA | {"namespace": "t1"}, "t2", "system:serviceaccount:t1:sa", (), True),
        (SA | {"namespace": "t1"}, "t2", "system:serviceaccount:t2:sa", (), False),
        (SA, "t2", "system:serviceaccount:t2:sa", (), True),
        (SA, "", "system:serviceaccount::sa", (), False),
        ({"kind": "User", "name": "system:serviceaccount:t1:sa"}, "", "system:serviceaccount:t1:sa", (), True),
        ({"kind": "user", "name": "alice"}, "", "alice", (), False),
        ({"kind": "Robot", "name": "alice"}, "", "alice", (), False),
    ],
)
def test_subject_applies(subject: Json, namespace: str, user: str, groups: tuple[str, ...], *, applies: bool) -> None:
    document = binding("b", "ClusterRole", "r", {"kind": "User", "name": "nobody"}, subject, namespace=namespace)
    found = Binding.of(document, cluster_wide=not namespace).applies_to(Who(user, frozenset(groups)))
    assert (found is not None) is applies


def visits(rbac: Rbac, namespace: str) -> list[str]:
    return [
        str(visit) if isinstance(visit, MissingRole) else " > ".join(visit[0].path)
        for visit in Resolver(rbac).visit_rules_for(Who("alice"), namespace)
    ]


def test_cluster_bindings_come_first_then_those_of_the_namespace_and_no_other() -> None:
    rbac = Rbac(
        cluster_roles=(role("wide", "get"),),
        roles=(role("near", "list", "t1"), role("far", "list", "t2")),
        cluster_role_bindings=(binding("c", "ClusterRole", "wide", ALICE),),
        role_bindings=(
            binding("n", "Role", "near", ALICE, namespace="t1"),
            binding("w", "ClusterRole", "wide", ALICE, namespace="t1"),
            binding("f", "Role", "far", ALICE, namespace="t2"),
        ),
    )
    everywhere = "User alice > ClusterRoleBinding c > ClusterRole wide > rules[0]"
    assert visits(rbac, "") == [everywhere]
    assert visits(rbac, "t1") == [
        everywhere,
        "User alice > RoleBinding t1/n > Role t1/near > rules[0]",
        "User alice > RoleBinding t1/w > ClusterRole wide > rules[0]",
    ]
    assert visits(rbac, "t3") == [everywhere]


def test_a_missing_role_is_told_and_ends_nothing() -> None:
    rbac = Rbac(
        cluster_roles=(role("wide", "get"),),
        roles=(role("near", "list", "t1"), role("unplaced", "get")),
        cluster_role_bindings=(
            binding("a", "ClusterRole", "gone", ALICE),
            binding("b", "Role", "unplaced", ALICE),
            binding("c", "Robot", "wide", ALICE),
            binding("d", "ClusterRole", "wide", ALICE),
        ),
        role_bindings=(binding("far", "Role", "near", ALICE, namespace="t2"),),
    )
    assert visits(rbac, "t2") == [
        "ClusterRoleBinding a gives User alice the ClusterRole gone, which does not exist",
        "ClusterRoleBinding b gives User alice the Role /unplaced, which does not exist",
        "ClusterRoleBinding c gives User alice the Robot wide, which does not exist",
        "User alice > ClusterRoleBinding d > ClusterRole wide > rules[0]",
        "RoleBinding t2/far gives User alice the Role t2/near, which does not exist",
    ]


def test_subjects_and_rules_may_be_null() -> None:
    rbac = Rbac(
        cluster_roles=({"metadata": {"name": "r"}, "rules": None},),
        cluster_role_bindings=(binding("b", "ClusterRole", "r", ALICE), {**binding("n", "X", "r"), "subjects": None}),
    )
    assert visits(rbac, "") == []


def collector(name: str, *selectors: Json, labels: dict[str, str] | None = None, verb: str = "own") -> Json:
    rule = {"clusterRoleSelectors": list(selectors)}
    return role(name, verb) | {"aggregationRule": rule, "metadata": {"name": name, "labels": labels or {}}}


def labelled(name: str, verb: str, **labels: str) -> Json:
    return role(name, verb) | {"metadata": {"name": name, "labels": labels}}


def verbs(rbac: Rbac, name: str) -> list[str]:
    return [rule["verbs"][0] for it in rbac.cluster_roles if it["metadata"]["name"] == name for rule in it["rules"]]


def test_aggregation_fills_from_labels_selector_by_selector_and_drops_own_rules() -> None:
    rbac = Rbac(
        cluster_roles=(
            collector("all", {"matchLabels": {"to": "z"}}, {"matchLabels": {"to": "a"}}),
            labelled("n2", "list", to="a"),
            labelled("n1", "get", to="a"),
            labelled("n3", "watch", to="z"),
            labelled("n4", "get", to="z"),
            labelled("n5", "delete", to="other"),
        )
    )
    assert verbs(rbac, "all") == ["own"]
    assert verbs(aggregated(rbac), "all") == ["watch", "get", "list"]
    assert [it["metadata"]["name"] for it in aggregated(rbac).cluster_roles] == ["all", "n2", "n1", "n3", "n4", "n5"]


def test_aggregation_goes_through_roles_that_are_aggregated_themselves_even_in_a_circle() -> None:
    rbac = Rbac(
        cluster_roles=(
            collector("admin", {"matchLabels": {"to": "admin"}}, labels={"to": "edit"}),
            collector("edit", {"matchLabels": {"to": "edit"}}, labels={"to": "admin"}),
            labelled("e", "update", to="edit"),
            labelled("a", "delete", to="admin"),
        )
    )
    assert sorted(verbs(aggregated(rbac), "admin")) == ["delete", "update"]
    assert sorted(verbs(aggregated(rbac), "edit")) == ["delete", "update"]


def test_an_empty_selector_chooses_all_but_itself_and_no_selector_nothing() -> None:
    rbac = Rbac(cluster_roles=(collector("all", {}), collector("none"), labelled("x", "get")))
    assert verbs(aggregated(rbac), "all") == ["get"]
    assert verbs(aggregated(rbac), "none") == []


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ({}, True),
        ({"matchLabels": {"a": "1"}}, True),
        ({"matchLabels": {"a": "1", "b": "1"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["0", "1"]}]}, True),
        ({"matchExpressions": [{"key": "b", "operator": "In", "values": ["1"]}]}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, False),
        ({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}, False),
    ],
)
def test_selects(selector: Json, *, chosen: bool) -> None:
    assert selects(selector, {"a": "1"}) is chosen


@pytest.mark.parametrize(
    ("entries", "kinds"),
    [
        ((), set()),
        (("clusterroles: 403 forbidden",), {"clusterroles"}),
        (("ClusterRoleBindings (403)", "role_bindings"), {"clusterrolebindings", "rolebindings"}),
        (("roles",), {"roles"}),
        (("the network failed",), {"clusterroles", "clusterrolebindings", "roles", "rolebindings"}),
    ],
)
def test_unread(entries: tuple[str, ...], kinds: set[str]) -> None:
    assert unread(Rbac(incomplete=entries)) == kinds
