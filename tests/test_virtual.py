from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from catalogs import resource

from conformance import virtual
from conformance.model import Catalog, Group, Rbac, Snapshot
from conformance.placeholders import OWN
from conformance.snapshot import take
from conformance.transport import Client

if TYPE_CHECKING:
    from conformance.model import Cluster, Endpoint

SERVED = (
    resource("pods", "get", "list", "create"),
    resource("pods/log", "get"),
    resource("nodes", "get", namespaced=False),
    resource("widgets", "get", group="g.io", version="v2"),
)
CATALOG = Catalog((Group("", ("v1",), "v1"), Group("g.io", ("v2", "v1"), "v2")), SERVED)


def rules(*rules: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]) -> Rbac:
    listed: list[dict[str, Any]] = [{"apiGroups": g, "resources": r, "verbs": v} for g, r, v in rules]
    return Rbac(cluster_roles=({"metadata": {"name": "r"}, "rules": listed},))


def ids(rbac: Rbac | None = None) -> list[str]:
    return [endpoint.id for endpoint in virtual.rows(CATALOG, rbac or Rbac())]


def beyond(rbac: Rbac) -> list[str]:
    table = ids()
    return [found for found in ids(rbac) if found not in table]


@pytest.mark.parametrize(
    "expected",
    [
        *("v1/users:impersonate", "v1/groups:impersonate", "v1/serviceaccounts:impersonate"),
        *("authentication.k8s.io/v1/uids:impersonate", "authentication.k8s.io/v1/userextras:impersonate"),
        "authentication.k8s.io/v1/users:impersonate:user-info",
        "authentication.k8s.io/v1/serviceaccounts:impersonate:serviceaccount",
        "authentication.k8s.io/v1/nodes:impersonate:arbitrary-node",
        "v1/secrets:impersonate-on:user-info:get",
        *(
            f"rbac.authorization.k8s.io/v1/{kind}:{verb}"
            for kind in ("roles", "clusterroles")
            for verb in ("bind", "escalate")
        ),
        *(f"certificates.k8s.io/v1/signers:{verb}" for verb in ("approve", "sign", "attest")),
    ],
)
def test_the_worst_rights_are_rows_of_every_cluster(expected: str) -> None:
    assert ids().count(expected) == 1


def test_what_is_in_a_namespace_is_asked_in_ours_in_another_and_in_all() -> None:
    assert [found for found in ids() if found.startswith("v1/serviceaccounts:")] == [
        "v1/serviceaccounts:impersonate",
        "v1/serviceaccounts:impersonate:all",
        "v1/serviceaccounts:impersonate:other",
    ]
    assert [found for found in ids() if found.startswith("v1/users:")] == ["v1/users:impersonate"]


def test_every_row_says_that_it_is_virtual() -> None:
    assert all(endpoint.virtual for endpoint in virtual.rows(CATALOG, rules((("x",), ("y",), ("z",)))))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # A verb that discovery lacks, on a resource that it has: in the resource's version and scope.
        (((("",), ("pods",), ("use",))), ["v1/pods:use", "v1/pods:use:all", "v1/pods:use:other"]),
        (((("",), ("nodes",), ("drain",))), ["v1/nodes:drain"]),
        (
            ((("g.io",), ("widgets",), ("spin",))),
            ["g.io/v2/widgets:spin", "g.io/v2/widgets:spin:all", "g.io/v2/widgets:spin:other"],
        ),
        # A subresource that discovery lacks, with the scope of its parent.
        (((("",), ("pods/binding",), ("create",))), [f"v1/pods/binding:create{at}" for at in ("", ":all", ":other")]),
        # A resource that nobody serves.
        (((("gone.io",), ("relics",), ("get",))), ["gone.io/v1/relics:get"]),
        # Nothing new: served, or an ordinary verb that a served resource has not.
        (((("",), ("pods",), ("get", "list"))), []),
        (((("",), ("pods/log",), ("get",))), []),
        (((("",), ("nodes",), ("create", "deletecollection"))), []),
        # Wildcards name nothing.
        (((("*",), ("pods",), ("use",))), []),
        (((("",), ("*", "*/scale", "pods/*"), ("use",))), []),
        (((("",), ("pods",), ("*", ""))), []),
        # The table's own rows are not doubled.
        (((("",), ("users",), ("impersonate",))), []),
    ],
)
def test_rules_add_what_discovery_lacks(rule: Any, expected: list[str]) -> None:
    assert beyond(rules(rule)) == expected


def test_the_order_is_not_that_of_the_rules() -> None:
    one, two = (("",), ("pods",), ("use",)), (("x.io",), ("a", "b"), ("see", "be"))
    assert ids(rules(one, two)) == ids(rules(two, one))


@pytest.mark.parametrize(
    "role",
    [
        {"metadata": {"name": "r"}, "rules": None},
        {"metadata": {"name": "r"}},
        {"metadata": {}, "rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]},
    ],
)
def test_roles_without_rules_for_resources_add_nothing(role: dict[str, Any]) -> None:
    assert beyond(Rbac(roles=(role,))) == []


@pytest.mark.server
def test_no_virtual_row_is_one_that_the_real_server_lists(cluster: Cluster) -> None:
    with Client(cluster.admin) as client:
        frozen: Snapshot = take(client)
    served = {(r.group, r.plural, verb) for r in frozen.catalog.resources for verb in r.verbs}

    def key(e: Endpoint) -> tuple[str, str, str]:
        return e.group, e.plural, e.verb

    rows = virtual.rows(frozen.catalog, frozen.rbac)
    assert not served & {key(e) for e in rows}
    # The default roles name verbs and subresources of other servers: `resourceclaims/binding` of the scheduler.
    assert "resource.k8s.io/v1/resourceclaims/binding:update" in {e.id for e in rows}
    assert OWN not in "".join(e.id for e in rows)
