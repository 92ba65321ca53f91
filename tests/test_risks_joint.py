"""Rights that are dangerous together: of one subject, and of somebody with the groups that they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from grants import cluster, rule

from conformance.change import fix
from conformance.change.objects import FIELDS
from conformance.grants import Grants
from conformance.rbac.served import Served
from conformance.risks import builtin, catalogue
from conformance.risks.finding import Wording
from conformance.risks.hit import OF_RUN
from conformance.risks.scan import Scan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.model import Rbac

RISKS = tuple(risk for risk in catalogue() if risk.id in {"CSR-APPROVE", "PODS-EXEC-WEBSOCKET"})
CERTIFICATES = "certificates.k8s.io"
APPROVAL = rule("update", "certificatesigningrequests/approval", group=CERTIFICATES)
SIGNER = rule("approve", "signers", group=CERTIFICATES)
GET, CREATE = rule("get", "pods/exec"), rule("create", "pods/exec")
Grant = tuple[str, str, list[dict[str, Any]]]


def found(rbac: Rbac, members: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, str]:
    return {hit.id: hit.severity for hit in Scan(RISKS).hits(rbac, members)}


@pytest.mark.parametrize(
    ("grants", "members", "expected"),
    [
        pytest.param(
            [("ServiceAccount web/a", "", [APPROVAL]), ("Group system:serviceaccounts:web", "", [SIGNER])],
            {},
            {"CSR-APPROVE:ServiceAccount/web/a:ClusterRoleBinding/g0": "critical"},
            id="an account and its namespace's group",
        ),
        pytest.param(
            [("ServiceAccount web/a", "", [APPROVAL]), ("Group system:serviceaccounts:shop", "", [SIGNER])],
            {},
            {},
            id="another namespace's group",
        ),
        pytest.param(
            [("User alice", "", [APPROVAL]), ("Group system:authenticated", "", [SIGNER])],
            {},
            {"CSR-APPROVE:User/alice:ClusterRoleBinding/g0": "critical"},
            id="a user and everybody",
        ),
        pytest.param(
            [("Group devs", "", [APPROVAL]), ("Group system:authenticated", "", [SIGNER])],
            {},
            {"CSR-APPROVE:Group/devs:ClusterRoleBinding/g0": "critical"},
            id="a group and everybody",
        ),
        pytest.param(
            [
                ("Group system:serviceaccounts", "", [APPROVAL]),
                ("Group system:authenticated", "", [SIGNER]),
                ("ServiceAccount web/a", "", [APPROVAL]),
            ],
            {},
            {"CSR-APPROVE:Group/system:serviceaccounts:ClusterRoleBinding/g0": "critical"},
            id="who adds nothing is not named beside the group",
        ),
        pytest.param(
            [("Group devs", "", [APPROVAL, SIGNER]), ("User alice", "", [SIGNER])],
            {"alice": ("devs",)},
            {"CSR-APPROVE:Group/devs:ClusterRoleBinding/g0": "critical"},
            id="what a group has by itself is the group's",
        ),
        pytest.param(
            [("Group devs", "", [APPROVAL]), ("Group ops", "", [SIGNER])],
            {"alice": ("devs", "ops"), "bob": ("devs",)},
            {"CSR-APPROVE:User/alice:ClusterRoleBinding/g0": "critical"},
            id="two groups of a user whom a run knows",
        ),
        pytest.param(
            [("Group devs", "", [APPROVAL]), ("Group ops", "", [SIGNER])], {}, {}, id="two groups of nobody known"
        ),
        pytest.param(
            [("ServiceAccount web/a", "", [GET]), ("Group system:serviceaccounts:web", "web", [CREATE])],
            {},
            {"PODS-EXEC-WEBSOCKET:ServiceAccount/web/a:RoleBinding/web/g1": "medium"},
            id="together in one namespace only",
        ),
        pytest.param(
            [("ServiceAccount web/a", "web", [GET]), ("Group system:serviceaccounts:web", "shop", [CREATE])],
            {},
            {},
            id="in two namespaces",
        ),
        pytest.param(
            [("Group system:serviceaccounts", "", [GET, CREATE]), ("ServiceAccount web/a", "web", [GET, CREATE])],
            {},
            {
                "PODS-EXEC-WEBSOCKET:Group/system:serviceaccounts:ClusterRoleBinding/g0": "critical",
                "PODS-EXEC-WEBSOCKET:ServiceAccount/web/a:RoleBinding/web/g1": "medium",
            },
            id="its own, though a group has it too",
        ),
    ],
)
def test_who_has_it_together(
    grants: list[Grant], members: dict[str, tuple[str, ...]], expected: dict[str, str]
) -> None:
    assert found(cluster(*grants), members) == expected


def test_a_finding_by_a_group_says_so_and_can_be_fixed() -> None:
    rbac = cluster(("ServiceAccount web/a", "", [GET]), ("Group system:serviceaccounts:web", "web", [CREATE]))
    scan = Scan(RISKS)
    (finding,) = Wording(scan.rights).findings(scan.hits(rbac))
    assert finding.identity == "ServiceAccount web/a"
    assert finding.witness.text == (
        "RoleBinding web/g1 gives Group system:serviceaccounts:web, in which ServiceAccount web/a is, the Role web/g1,"
        " whose rules[0] allows create of pods/exec, in web; with ClusterRoleBinding g0 of ServiceAccount web/a"
    )
    assert finding.witness.path == (
        "Group system:serviceaccounts:web",
        "RoleBinding web/g1",
        "Role web/g1",
        "rules[0]",
    )
    assert fix.fix(Grants(rbac, Served.without_server({})), RISKS, finding.id).hit.id == finding.id


@pytest.mark.parametrize("labelled", ["g0", "g1"])
def test_what_is_there_only_by_what_a_run_made_is_for_information(labelled: str) -> None:
    rbac = cluster(("User alice", "", [APPROVAL]), ("User alice", "", [SIGNER]))
    assert set(found(rbac).values()) == {"critical"}
    for kind in FIELDS.values():
        for document in getattr(rbac, kind):
            if document["metadata"]["name"] == labelled:
                document["metadata"]["labels"] = {builtin.RUN_LABEL: "r"}
    scan = Scan(RISKS)
    (finding,) = Wording(scan.rights).findings(scan.hits(rbac))
    assert finding.severity == "info"
    assert OF_RUN in finding.witness.text
