"""Permissions of two moments: cells that turned, with the rule that did it, and roles that changed."""

from __future__ import annotations

from dataclasses import replace

import catalogs
import matrices
import pytest
from moments_made import ACCOUNT, binding, bound, changes, found, moment, role, rule

from conformance.compare.danger import dangerous
from conformance.model import Answer, Rbac, Verdict
from conformance.rbac.algebra import Point

THINGS, SECRETS = catalogs.resource("things"), catalogs.resource("secrets")
SERVED = (THINGS, SECRETS)
USER = {"kind": "User", "name": "alice"}


def test_a_cell_that_turns_is_told_with_its_rule() -> None:
    before, after = moment(*SERVED, rbac=bound()), moment(*SERVED, rbac=bound(rule("get", "things")))
    gained = found(before, after)["permission-gained:ServiceAccount web/shop@*:things:get"]
    assert (gained.before, gained.severity) == ("denied", "low")
    assert gained.after == "ServiceAccount web/shop → ClusterRoleBinding b → ClusterRole r → rules[0]"
    lost = found(after, before)["permission-lost:ServiceAccount web/shop@*:things:get"]
    assert lost.before.endswith("rules[0]")


@pytest.mark.parametrize(
    ("accounts", "subject", "severity"),
    [
        (["web/shop"], ACCOUNT, "high"),  # its pods run
        (["web/other"], ACCOUNT, "medium"),
        (None, ACCOUNT, "high"),  # which run could not be seen
        ([], USER, "medium"),
    ],
)
def test_a_lost_permission_is_weighed_by_who_runs(
    accounts: list[str] | None, subject: dict[str, str], severity: str
) -> None:
    before = moment(*SERVED, rbac=bound(rule("get", "things"), subject=subject), evidence={"accounts": accounts})
    after = moment(*SERVED, rbac=bound(subject=subject), evidence={"accounts": accounts})
    lost = [it for it in found(before, after).values() if it.id.startswith("permission-lost")]
    assert [it.severity for it in lost] == [severity]


def test_a_gained_permission_is_weighed_by_what_it_opens() -> None:
    after = moment(*SERVED, rbac=bound(rule("get list", "secrets")))
    gained = found(moment(*SERVED, rbac=bound()), after)
    assert gained["permission-gained:ServiceAccount web/shop@*:secrets:get+list"].severity == "high"


@pytest.mark.parametrize(
    ("verb", "resource", "severity"),
    [
        ("create", "persistentvolumes", "high"),  # one of them can be a directory of a node
        ("create", "persistentvolumeclaims", ""),  # and that takes a claim, which is nothing by itself
        ("create", "pods", "high"),
        ("patch", "secrets", "high"),
        ("get", "pods", ""),
    ],
)
def test_a_right_is_dangerous_that_opens_a_way_by_itself(verb: str, resource: str, severity: str) -> None:
    assert dangerous(Point("", resource, verb, namespaced=True)) == severity


def test_a_namespace_tells_only_what_the_cluster_does_not() -> None:
    def policy(*wide: str) -> Rbac:
        return Rbac(
            cluster_roles=(role("wide", rule("get", *wide) if wide else rule("get")), role("r", rule("get", "things"))),
            cluster_role_bindings=(binding("w", "wide", ACCOUNT),),
            role_bindings=(binding("n", "r", ACCOUNT, "web"),),
        )

    told = found(moment(*SERVED, rbac=policy()), moment(*SERVED, rbac=policy("things", "secrets")))
    assert {it for it in told if "permission" in it} == {
        "permission-gained:ServiceAccount web/shop@*:secrets:get",
        "permission-gained:ServiceAccount web/shop@*:things:get",
    }


def test_names_are_told() -> None:
    named = rule("get", "secrets") | {"resourceNames": ["tls"]}
    told = found(moment(*SERVED, rbac=bound()), moment(*SERVED, rbac=bound(named)))
    assert "permission-gained:ServiceAccount web/shop@*:secrets/tls:get" in told


def test_a_new_api_under_an_old_star_is_no_change_of_policy() -> None:
    everything = bound({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
    assert changes(moment(THINGS, rbac=everything), moment(*SERVED, rbac=everything)) == {"api-new"}
    other = replace(everything, cluster_roles=(*everything.cluster_roles, role("x", rule("get", "things"))))
    assert changes(moment(THINGS, rbac=everything), moment(*SERVED, rbac=other)) == {"api-new", "finding-new"}


def test_default_roles_and_aggregated_ones() -> None:
    old = Rbac(
        cluster_roles=(role("system:a", rule("get", "things"), default=True), role("own", rule("get", "things")))
    )
    wider = (role("system:a", rule("get list", "things"), default=True), role("own", rule("get list", "things")))
    told = found(moment(*SERVED, rbac=old), moment(*SERVED, rbac=Rbac(cluster_roles=wider)))
    assert set(told) == {"role-widened:system:a"}
    back = found(moment(*SERVED, rbac=Rbac(cluster_roles=wider)), moment(*SERVED, rbac=old))
    assert set(back) == {"role-narrowed:system:a"}
    rules = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
    fed = [Rbac(cluster_roles=(role("sum", rule(verbs, "secrets"), aggregationRule=rules),)) for verbs in ("", "get")]
    told = found(moment(*SERVED, rbac=fed[0]), moment(*SERVED, rbac=fed[1]))
    assert told["role-widened:sum"].severity == "medium"
    assert "by aggregation" in told["role-widened:sum"].title


def test_a_default_role_that_comes_or_goes() -> None:
    old, new = Rbac(), Rbac(cluster_roles=(role("system:a", default=True), role("own")))
    for change, sides in (("new", (old, new)), ("gone", (new, old))):
        told = found(*(moment(rbac=side) for side in sides))
        assert {it.id for it in told.values() if it.kind == "permission"} == {f"role-{change}:system:a"}


def test_cells_of_runs() -> None:
    one = matrices.small()
    turned = tuple(
        replace(cell, effective=Answer.ALLOWED if cell.effective is Answer.DENIED else Answer.DENIED, names=())
        for cell in one.cells
        if cell.effective is not Answer.UNKNOWN
    )
    before = moment(matrix=replace(one, cells=tuple(c for c in one.cells if c.effective is not Answer.UNKNOWN)))
    told = changes(before, moment(matrix=replace(one, cells=turned)))
    assert {"cell-gained", "cell-lost"} <= told
    unknown = tuple(replace(cell, effective=Answer.UNKNOWN) for cell in one.cells)
    assert "unknown" in changes(before, moment(matrix=replace(one, cells=unknown)))
    idle = moment(matrix=replace(one, cells=tuple(replace(it, verdict=Verdict.NOT_APPLICABLE) for it in unknown)))
    assert "unknown" not in changes(idle, idle)
