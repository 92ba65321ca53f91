"""Risk rules: each with its own examples, the packaged ones on a real untouched cluster, and wrong files."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from grants import ADMIN
from grants import cluster as cluster_of

from conformance.errors import FileError, UsageError
from conformance.files import data
from conformance.identities import leftovers
from conformance.model import Rbac
from conformance.rbac import escalation_paths
from conformance.risks import RULES, builtin, catalogue, exclusions
from conformance.risks.checks import CHECKS
from conformance.risks.finding import Wording
from conformance.risks.hit import BUILT_IN, BY_KUBEADM, OF_RUN
from conformance.risks.page import page
from conformance.risks.rule import CHECKS as NAMES
from conformance.risks.rule import Risk, rbac_of, read
from conformance.risks.scan import Scan
from conformance.risks.severity import SEVERITIES

if TYPE_CHECKING:
    from conformance.model import Cluster, Finding, Json

RISKS = catalogue()
SCAN = Scan(RISKS)
APP: Json = {"kind": "ServiceAccount", "name": "app", "namespace": "web"}


def findings(rbac: Rbac, scan: Scan = SCAN) -> tuple[Finding, ...]:
    return Wording(scan.rights).findings(scan.hits(rbac))


def bound(*rules: Json, namespace: str = "", subject: Json = APP, **more: Any) -> Rbac:
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": "r"} | ({"namespace": namespace} if namespace else {})
    role = {"kind": kind, "metadata": metadata | more, "rules": [*rules]}
    reference = {"kind": kind, "name": "r"}
    return rbac_of(
        (role, {"kind": f"{kind}Binding", "metadata": metadata, "roleRef": reference, "subjects": [dict(subject)]})
    )


def rule(groups: str, resources: str, verbs: str, names: str = "") -> Json:
    named = {"resourceNames": names.split()} if names else {}
    return {"apiGroups": groups.split(","), "resources": resources.split(), "verbs": verbs.split(), **named}


def severities(rbac: Rbac) -> dict[str, str]:
    return {finding.rule: finding.severity for finding in findings(rbac)}


@pytest.mark.parametrize("risk", RISKS, ids=lambda risk: risk.id)
def test_a_rule_matches_its_one_example_and_not_the_other(risk: Risk) -> None:
    assert [hit.id for hit in SCAN.hits(risk.matches) if hit.risk is risk]
    assert not [hit.id for hit in SCAN.hits(risk.passes) if hit.risk is risk]


@pytest.mark.parametrize("risk", RISKS, ids=lambda risk: risk.id)
def test_a_rule_is_whole_and_its_file_is_read_alike_by_both_parsers(risk: Risk) -> None:
    assert len(risk.attacker) > 20
    assert len(risk.fix) > 10
    assert risk.references
    assert all(re.fullmatch(r"https://[\w./#:-]+", address) for address in risk.references)
    file = Path(risk.file)
    assert file.name == f"{risk.id.lower()}.yaml"
    assert read(file) == risk
    order = [SEVERITIES.index(it) for it in (risk.severity.named, risk.severity.namespace, risk.severity.cluster)]
    assert order == sorted(order)


def test_there_are_many_rules_and_each_check_in_code_has_one() -> None:
    assert len(RISKS) >= 50
    assert len(list(RULES.glob("*.yaml"))) == len(RISKS)
    assert set(CHECKS) == set(NAMES) == {risk.match.check for risk in RISKS if risk.match.check}


SUBTLETIES = [
    ("list is as good as get", bound(rule("", "secrets", "list")), {"SECRETS-READ": "critical"}),
    ("watch too", bound(rule("", "secrets", "watch")), {"SECRETS-READ": "critical"}),
    ("in one namespace it is less", bound(rule("", "secrets", "list"), namespace="web"), {"SECRETS-READ": "medium"}),
    (
        "in kube-system it is as bad as everywhere",
        bound(rule("", "secrets", "list"), namespace="kube-system"),
        {"SECRETS-READ": "critical", "ACCOUNT-OF-ANOTHER-NAMESPACE": "info"},
    ),
    ("for one name it is little", bound(rule("", "secrets", "get", "tls")), {"SECRETS-READ": "low"}),
    ("a name is no help to create", bound(rule("", "pods", "create", "x")), {"RULE-WITHOUT-EFFECT": "info"}),
    ("but to create a token it is", bound(rule("", "serviceaccounts/token", "create", "x")), {"TOKENS-CREATE": "low"}),
    ("pods/* matches nothing", bound(rule("", "pods/*", "create")), {"RULE-WITHOUT-EFFECT": "info"}),
    (
        "*/exec matches",
        bound(rule("", "*/exec", "create")),
        {"PODS-EXEC": "critical"},
    ),
    ("pods with * has no subresource", bound(rule("", "pods", "get list")), {}),
    (
        "exec by get and create",
        bound(rule("", "pods/exec", "get create"), namespace="web"),
        {"PODS-EXEC": "medium", "PODS-EXEC-GET": "low", "PODS-EXEC-WEBSOCKET": "medium"},
    ),
    ("nodes/proxy with get", bound(rule("", "nodes/proxy", "get")), {"NODES-PROXY": "critical"}),
    (
        "a RoleBinding reaches no node",
        bound(rule("", "nodes/proxy", "get"), namespace="web"),
        {"RULE-WITHOUT-EFFECT": "info"},
    ),
    ("but its own namespace", bound(rule("", "namespaces", "patch"), namespace="web"), {"NAMESPACES-LABEL": "medium"}),
    ("capitals are letters", bound(rule("", "Secrets", "GET")), {"RULE-WITHOUT-EFFECT": "info"}),
    ("another group's secrets", bound(rule("example.com", "secrets", "get")), {}),
    ("everything is one finding", bound(rule("*", "*", "*")), {"WILDCARD-ALL": "critical"}),
    (
        "a group that is everybody",
        bound(rule("", "pods", "get"), subject={"kind": "Group", "name": "system:authenticated"}),
        {"SUBJECT-AUTHENTICATED": "high"},
    ),
    (
        "an account spelled as a user",
        bound(rule("", "pods", "get"), subject={"kind": "User", "name": "system:serviceaccount:web:default"}),
        {"SUBJECT-DEFAULT-ACCOUNT": "high"},
    ),
    (
        "a default role's name is not enough",
        bound(rule("", "pods", "get"), labels={builtin.LABEL: "rbac-defaults"}),
        {},
    ),
]


@pytest.mark.parametrize(("rbac", "expected"), [it[1:] for it in SUBTLETIES], ids=[it[0] for it in SUBTLETIES])
def test_a_subtlety_of_rbac_counts(rbac: Rbac, expected: dict[str, str]) -> None:
    assert severities(rbac) == expected


def test_rights_by_several_bindings_of_one_subject_in_one_place_count_together() -> None:
    approval = rule("certificates.k8s.io", "certificatesigningrequests/approval", "update")
    signer = rule("certificates.k8s.io", "signers", "approve")
    both = [bound(approval), bound(signer, name="s")]
    for number, rbac in enumerate(both):
        rbac.cluster_roles[0]["metadata"]["name"] = rbac.cluster_role_bindings[0]["roleRef"]["name"] = f"r{number}"
        rbac.cluster_role_bindings[0]["metadata"]["name"] = f"b{number}"
    rbac = Rbac(
        tuple(role for it in both for role in it.cluster_roles),
        tuple(binding for it in both for binding in it.cluster_role_bindings),
    )
    (finding,) = findings(rbac)
    assert (finding.rule, finding.severity) == ("CSR-APPROVE", "critical")
    assert "ClusterRoleBinding b1" in finding.witness.text
    rbac.cluster_role_bindings[1]["subjects"][0]["name"] = "other"
    assert not findings(rbac)


def test_a_finding_says_who_by_which_way_and_in_which_cells() -> None:
    (finding,) = findings(bound(rule("", "pods", "get"), rule("", "secrets", "list"), namespace="web"))
    assert finding.id == "SECRETS-READ:ServiceAccount/web/app:RoleBinding/web/r"
    assert finding.witness.path == ("ServiceAccount web/app", "RoleBinding web/r", "Role web/r", "rules[1]")
    assert finding.identity == "ServiceAccount web/app"
    assert finding.evidence == ("v1/secrets:list:ns.web",)
    assert finding.description
    assert finding.fix
    assert finding.references


def test_ids_are_of_few_letters_and_differ_whatever_names_hold() -> None:
    names = ["a b", "a*b", "a+b", "a\x1b]b", "é", "\u202e", "a:b", "ab"]
    ids = {findings(bound(rule("", "secrets", "get"), subject={"kind": "Group", "name": name}))[0].id for name in names}
    assert len(ids) == len(names)
    assert all(re.fullmatch(r"[\w.\-/:+]+", it, re.ASCII) for it in ids)


def test_a_run_s_own_bindings_are_shown_but_never_worse_than_info() -> None:
    rbac = bound(rule("", "secrets", "list"))
    rbac.cluster_role_bindings[0]["metadata"]["labels"] = {builtin.RUN_LABEL: "x"}
    assert severities(rbac) == {"SECRETS-READ": "info"}
    assert OF_RUN in findings(rbac)[0].witness.text
    assert builtin.RUN_LABEL == leftovers.RUN


def of_kubeadm(*more: Json) -> Rbac:
    """Give what kubeadm makes, with the default roles that it binds, and more subjects in each binding."""
    default, made = (json.loads((data("fixtures") / it).read_text("utf-8")) for it in (builtin.FILE, builtin.KUBEADM))
    objects: list[Json] = []
    for full, binding in made["bindings"].items():
        kind, _, place = full.partition(" ")
        namespace, _, name = place.rpartition("/")
        role, _, role_name = binding["role"].partition(" ")
        metadata = {"namespace": namespace} if namespace else {}
        subjects = [dict(zip(("kind", "name"), it.split(" ", 1), strict=True)) for it in binding["subjects"]]
        for subject in subjects:
            if subject["kind"] == "ServiceAccount":
                subject["namespace"], subject["name"] = subject["name"].split("/")
        reference = {"kind": role, "name": role_name}
        bind = {"kind": kind, "metadata": metadata | {"name": name}, "roleRef": reference}
        objects.append(bind | {"subjects": [*subjects, *more]})
        where = {"namespace": namespace} if role == "Role" else {}
        rules = (default["roles"] | made["roles"])[
            " ".join((role, "/".join(filter(None, (*where.values(), role_name)))))
        ]
        objects.append({"kind": role, "metadata": where | {"name": role_name}, "rules": rules})
    return rbac_of(tuple(objects))


def test_what_kubeadm_binds_is_shown_as_info() -> None:
    rbac = of_kubeadm()
    found = {it.rule: it for it in findings(rbac) if BY_KUBEADM in it.witness.text}
    assert {"CLUSTER-ADMIN", "NODES-PROXY", "SUBJECT-ANONYMOUS", "SUBJECT-NODES"} <= found.keys()
    grave = [it.id for it in findings(rbac) if it.severity in {"critical", "high"}]
    assert not grave
    root = cluster_of(("ServiceAccount kube-system/root", "", [ADMIN]))
    bindings = (*rbac.cluster_role_bindings, *root.cluster_role_bindings)
    rbac = replace(rbac, cluster_roles=(*rbac.cluster_roles, *root.cluster_roles), cluster_role_bindings=bindings)
    ways = escalation_paths.of(rbac).to_admin()
    assert "User kube-apiserver-kubelet-client" in {path.source for path in ways}
    assert {path.severity for path in ways} == {"info"}


def test_what_is_changed_of_it_is_as_grave_as_it_is_anywhere() -> None:
    others = {it.rule: it.severity for it in findings(of_kubeadm({"kind": "User", "name": "m"})) if "User/m" in it.id}
    assert (others["CLUSTER-ADMIN"], others["NODES-PROXY"]) == ("critical", "critical")
    rbac = of_kubeadm()
    role = next(it for it in rbac.roles if it["metadata"]["name"] == "kubeadm:bootstrap-signer-clusterinfo")
    role["rules"].append(rule("", "secrets", "get"))
    assert {it.severity for it in findings(rbac) if it.rule == "SUBJECT-ANONYMOUS"} == {"high"}


@pytest.mark.server
def test_an_untouched_cluster_has_no_finding_above_info(cluster: Cluster) -> None:
    rbac = untouched(cluster)
    hits = SCAN.hits(rbac)
    assert not [hit.id for hit in hits if hit.severity != "info"]
    assert len([hit for hit in hits if hit.made == BUILT_IN]) > 100
    assert findings(rbac) == ()
    # The very roles of these bindings, given to somebody else, are found.
    for binding in rbac.cluster_role_bindings:
        if binding["roleRef"]["name"] in {"cluster-admin", "system:kube-controller-manager", "system:node"}:
            binding.setdefault("subjects", []).append({"kind": "User", "name": "mallory"})
    found = {(it.rule, it.severity) for it in findings(rbac) if it.identity == "User mallory"}
    assert ("CLUSTER-ADMIN", "critical") in found
    assert ("TOKENS-CREATE", "critical") in found
    # And so is one more rule in a role that every cluster has.
    role = next(it for it in rbac.cluster_roles if it["metadata"]["name"] == "system:basic-user")
    role["rules"].append(rule("", "secrets", "get"))
    changed = {(it.rule, it.severity, it.identity) for it in findings(rbac)}
    assert ("DEFAULT-ROLE-CHANGED", "medium", "ClusterRole system:basic-user") in changed
    assert ("SECRETS-READ", "critical", "Group system:authenticated") in changed


def untouched(cluster: Cluster) -> Rbac:
    """The cluster's own objects, without those of other tests."""
    from conformance import snapshot  # noqa: PLC0415
    from conformance.transport import Client  # noqa: PLC0415

    with Client(cluster.admin) as client:
        rbac = snapshot.reread_rbac(client)

    def own(items: tuple[Json, ...]) -> tuple[Json, ...]:
        # Not every default object bears the label: those of the addon manager do, those of others have its names.
        return tuple(it for it in json.loads(json.dumps(items)) if builtin.LABEL in builtin.labels(it))

    return replace(
        rbac,
        cluster_roles=own(rbac.cluster_roles),
        cluster_role_bindings=own(rbac.cluster_role_bindings),
        roles=own(rbac.roles),
        role_bindings=own(rbac.role_bindings),
    )


def test_the_page_is_that_of_the_rules() -> None:
    written = Path(__file__).resolve().parents[1] / "docs" / "risks.md"
    assert written.read_text("utf-8") == page(RISKS), "run `nox -s pages`"


GOOD: Json = {
    "id": "OWN-WIDGETS",
    "title": "Can write widgets",
    "severity": {"cluster": "high"},
    "attacker": "Widgets run things.",
    "fix": "Do not.",
    "match": {"any": [{"verbs": ["create"], "resources": ["widgets.example.com"]}]},
    "matches": {"rules": [rule("example.com", "widgets", "create")]},
    "passes": {"rules": [rule("example.com", "widgets", "get")]},
}
MISTAKES = [
    ({"severity": {"cluster": "bad"}}, "severity.cluster: 'bad' is not one of: info, low, medium, high, critical"),
    ({"id": "own widgets"}, "'own widgets' is no id"),
    ({"match": {}}, "looks for nothing; valid keys: any, all, wildcard"),
    ({"match": {"any": [{"verbs": ["get"]}]}}, "match.any[1]: needs either resources or paths"),
    ({"match": {"any": [{"verbs": ["get"], "resources": ["a/b/c"]}]}}, "write PLURAL[.GROUP][/SUBRESOURCE]"),
    ({"match": {"check": "nothing"}}, "'nothing' is not one of: missing-role"),
    ({"match": {"wildcard": ["names"]}}, "'names' is not one of: verbs, groups, resources, urls"),
    ({"passes": {}}, "passes: needs either objects or rules"),
    ({"colour": "red"}, "unknown key 'colour'; valid keys: id, title, severity"),
]


def test_users_add_rules_of_the_same_form(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(GOOD))
    risks = catalogue(tmp_path)
    assert risks[-1].id == "OWN-WIDGETS"
    scan = Scan(risks)
    assert [it.rule for it in findings(risks[-1].matches, scan)] == ["OWN-WIDGETS"]
    (tmp_path / "own2.yml").write_text(yaml.safe_dump(GOOD))
    with pytest.raises(FileError, match=r"own2.yml:1: id: OWN-WIDGETS is the id of .*own.yaml already"):
        catalogue(tmp_path)


@pytest.mark.parametrize(("change", "message"), MISTAKES, ids=[it[1][:30] for it in MISTAKES])
def test_a_wrong_rule_is_told_with_file_and_line(tmp_path: Path, change: Json, message: str) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(GOOD | change, sort_keys=False))
    with pytest.raises(FileError, match=re.escape(message)) as told:
        catalogue(tmp_path)
    assert re.match(rf"{tmp_path}/own\.yaml:\d+: ", str(told.value))


def test_an_empty_folder_of_rules_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one YAML file each"):
        catalogue(tmp_path)


# --- exclusions -------------------------------------------------------------------------------------------------------

EXCLUSIONS = """\
exclusions:
  - finding: SECRETS-READ:ServiceAccount/web/*
    reason: the operator needs them
    owner: platform
    until: 2027-01-31
  - {finding: TOKENS-CREATE, reason: gone}
"""


def test_accepted_findings_are_left_out_until_they_end(tmp_path: Path) -> None:
    file = tmp_path / "exclusions.yaml"
    file.write_text(EXCLUSIONS)
    lines = exclusions.load(file)
    assert [exclusions.restore(exclusions.dump(it)) for it in lines] == list(lines)
    found = findings(bound(rule("", "secrets", "list")))
    left, said = exclusions.apply(found, lines, dt.date(2027, 1, 31))
    assert left == ()
    assert [(it.resource, it.note) for it in said] == [
        ("exclusions.yaml:6", "TOKENS-CREATE: no finding has such an id any more: remove the line")
    ]
    left, said = exclusions.apply(found, lines, dt.date(2027, 2, 1))
    assert left == found
    assert "ended on 2027-01-31: 1 of its findings count again" in said[0].note


def test_an_exclusion_without_reason_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "exclusions.yaml"
    file.write_text("exclusions:\n  - {finding: X}\n")
    with pytest.raises(
        FileError, match=r"exclusions.yaml:2: exclusions\[1\]: the key 'reason' is missing; valid keys: "
    ):
        exclusions.load(file)
