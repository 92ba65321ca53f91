"""The `rules` oracle: witnesses, doubt, names, and that its memory and indexes change no answer."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import orjson
import pytest

from conformance.model import Answer, Attributes, Identity, Rbac
from conformance.oracles.rules import NO_RULE, Rules
from conformance.rbac.predicates import rule_allows
from conformance.rbac.resolver import MissingRole, Resolver, Who
from conformance.transport import Client

if TYPE_CHECKING:
    from conformance.model import Cluster, Json

ALICE = Identity("alice", "test", "alice", ("devs", "system:authenticated"))
NODE = Identity("node", "test", "system:node:n1", ("system:nodes", "system:authenticated"))


GONE = "; ClusterRoleBinding gone gives User alice the ClusterRole absent, which does not exist"


def rule(verbs: str, resources: str = "pods", *names: str, group: str = "") -> Json:
    found = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
    return found | ({"resourceNames": list(names)} if names else {})


def role(name: str, *rules: Json, namespace: str = "") -> Json:
    return {"metadata": {"name": name, "namespace": namespace}, "rules": list(rules)}


def bind(name: str, kind: str, role_name: str, *, namespace: str = "", subject: str = "User alice") -> Json:
    subject_kind, subject_name = subject.split()
    return {
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"kind": kind, "name": role_name},
        "subjects": [{"kind": subject_kind, "name": subject_name}],
    }


RBAC = Rbac(
    cluster_roles=(
        role("wide", rule("get", "configmaps"), rule("list watch", "pods pods/log")),
        role("named", rule("get update", "secrets", "s2", "s1"), rule("deletecollection create", "secrets", "s1")),
        role("spaces", rule("get", "namespaces", "ns-a"), rule("list", "namespaces", "ns-a")),
    ),
    cluster_role_bindings=(
        bind("by-group", "ClusterRole", "wide", subject="Group devs"),
        bind("names", "ClusterRole", "named"),
        bind("spaces", "ClusterRole", "spaces"),
        bind("gone", "ClusterRole", "absent"),
    ),
    roles=(role("near", rule("get list create", "secrets namespaces namespaces/status"), namespace="t1"),),
    role_bindings=(
        bind("near", "Role", "near", namespace="t1"),
        bind("lost", "Role", "absent", namespace="t2"),
        bind("other", "ClusterRole", "wide", namespace="t3", subject="User bob"),
    ),
)


def test_an_allowed_cell_names_subject_binding_role_and_rule() -> None:
    decision = Rules(RBAC).decide(ALICE, Attributes("list", resource="pods", subresource="log", namespace="t9"))
    assert decision.answer == Answer.ALLOWED
    assert decision.witness.kind == "rbac"
    assert decision.witness.path == ("Group devs", "ClusterRoleBinding by-group", "ClusterRole wide", "rules[1]")
    assert decision.witness.text == (
        "ClusterRoleBinding by-group gives Group devs the ClusterRole wide, whose rules[1] allows it"
    )


def test_a_role_of_a_namespace_is_named_with_it() -> None:
    decision = Rules(RBAC).decide(ALICE, Attributes("get", resource="secrets", name="x", namespace="t1"))
    assert decision.witness.path == ("User alice", "RoleBinding t1/near", "Role t1/near", "rules[0]")


@pytest.mark.parametrize(
    ("namespace", "text"),
    [
        (
            "t1",
            "no rule allows it; ClusterRoleBinding gone gives User alice the ClusterRole absent, which does not exist",
        ),
        (
            "t2",
            f"{NO_RULE}{GONE}; RoleBinding t2/lost gives User alice the Role t2/absent, which does not exist",
        ),
    ],
)
def test_a_denied_cell_names_the_roles_that_are_missing(namespace: str, text: str) -> None:
    decision = Rules(RBAC).decide(ALICE, Attributes("delete", resource="pods", namespace=namespace))
    assert (decision.answer, decision.witness.text, decision.witness.path) == (Answer.DENIED, text, ())


def test_many_missing_roles_are_counted() -> None:
    rbac = Rbac(cluster_role_bindings=tuple(bind(f"b{number}", "ClusterRole", "absent") for number in range(9)))
    text = Rules(rbac).decide(ALICE, Attributes("get", resource="pods")).witness.text
    assert text.endswith("; 6 more such bindings")
    assert text.count("does not exist") == 3


def test_masters_need_no_rule() -> None:
    master = Identity("m", "test", "m", ("system:masters",))
    decision = Rules(Rbac(incomplete=("ClusterRoles: 403",))).decide(master, Attributes("x", resource="y"))
    assert (decision.answer, decision.witness.kind) == (Answer.ALLOWED, "authorizer")


@pytest.mark.parametrize(
    ("incomplete", "namespace", "answer"),
    [
        ("ClusterRoleBindings: 403", "", Answer.UNKNOWN),
        ("RoleBindings: 403", "", Answer.DENIED),
        ("RoleBindings: 403", "t1", Answer.UNKNOWN),
        ("RoleBindings in t7: 403", "t1", Answer.UNKNOWN),
        ("ClusterRoles: 403", "", Answer.UNKNOWN),  # a binding of alice's refers to one that is not there
        ("Roles: 403", "t1", Answer.DENIED),
        ("Roles: 403", "t2", Answer.UNKNOWN),
    ],
)
def test_what_could_not_be_read_is_unknown_where_it_could_allow(
    incomplete: str, namespace: str, answer: Answer
) -> None:
    rbac = Rbac(RBAC.cluster_roles, RBAC.cluster_role_bindings, RBAC.roles, RBAC.role_bindings, (incomplete,))
    decision = Rules(rbac).decide(ALICE, Attributes("delete", resource="pods", namespace=namespace))
    assert decision.answer == answer
    assert (incomplete in decision.witness.text) == (answer == Answer.UNKNOWN)
    assert Rules(rbac).decide(ALICE, Attributes("get", resource="configmaps")).answer == Answer.ALLOWED


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (Attributes("get", resource="secrets", namespace="t9", name="any"), ("s1", "s2")),
        (Attributes("get", resource="secrets", namespace="t1"), ()),  # there all of them
        (Attributes("update", resource="secrets", namespace="t1"), ("s1", "s2")),
        (Attributes("get", resource="configmaps"), ()),
        (Attributes("patch", resource="secrets"), ()),
        (Attributes("create", resource="secrets"), ("s1",)),  # by an apply, which has a name
        (Attributes("deletecollection", resource="secrets"), ()),  # never has a name
        (Attributes("get", resource="namespaces", name="x", namespace="x"), ("ns-a", "t1")),
        (Attributes("list", resource="namespaces"), ("ns-a",)),  # in no namespace
        (Attributes("get", resource="namespaces", subresource="status", name="x", namespace="x"), ("t1",)),
        (Attributes("create", resource="namespaces"), ()),
        (Attributes("get", path="/metrics"), ()),
    ],
)
def test_names(asked: Attributes, names: tuple[str, ...]) -> None:
    assert Rules(RBAC).names(ALICE, asked) == names


def test_names_of_the_empty_name_is_no_name() -> None:
    rbac = Rbac((role("r", rule("list", "pods", "")),), (bind("b", "ClusterRole", "r"),))
    assert Rules(rbac).decide(ALICE, Attributes("list", resource="pods")).answer == Answer.ALLOWED
    assert Rules(rbac).names(ALICE, Attributes("list", resource="pods")) == ()


def test_names_do_not_limit_the_paths_of_the_same_rule() -> None:
    both = {**rule("get", "pods", "x"), "nonResourceURLs": ["/metrics"]}
    rbac = Rbac((role("r", both),), (bind("b", "ClusterRole", "r"),))
    assert Rules(rbac).decide(ALICE, Attributes("get", path="/metrics")).answer == Answer.ALLOWED
    assert Rules(rbac).decide(ALICE, Attributes("get", resource="pods")).answer == Answer.DENIED


def test_grants_lists_each_rule_once_with_where_it_holds() -> None:
    grants = [(it.namespace, it.source.path[1], it.source.path[3]) for it in Rules(RBAC).grants(ALICE)]
    assert grants == [
        ("", "ClusterRoleBinding by-group", "rules[0]"),
        ("", "ClusterRoleBinding by-group", "rules[1]"),
        ("", "ClusterRoleBinding names", "rules[0]"),
        ("", "ClusterRoleBinding names", "rules[1]"),
        ("", "ClusterRoleBinding spaces", "rules[0]"),
        ("", "ClusterRoleBinding spaces", "rules[1]"),
        ("t1", "RoleBinding t1/near", "rules[0]"),
    ]


def test_a_node_is_told_from_its_user_and_group_together() -> None:
    asked = Attributes("get", resource="nodes", name="n1")
    assert Rules(RBAC).decide(NODE, asked).witness.kind == "authorizer"
    for user, groups in (("system:node:n1", ()), ("system:node:", ("system:nodes",)), ("n1", ("system:nodes",))):
        assert Rules(RBAC).decide(Identity("x", "test", user, groups), asked).answer == Answer.DENIED


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (Attributes("get", resource="secrets", namespace="t1", name="{absent}"), Answer.DENIED),
        (Attributes("get", resource="secrets", namespace="t1", name="s"), Answer.UNKNOWN),
        (Attributes("get", resource="configmaps", namespace="t1", name="s"), Answer.ALLOWED),  # by a rule for nodes
    ],
)
def test_a_node_may_have_rules_besides(asked: Attributes, answer: Answer) -> None:
    rbac = Rbac((role("r", rule("get", "configmaps")),), (bind("b", "ClusterRole", "r", subject="Group system:nodes"),))
    assert Rules(rbac).decide(NODE, asked).answer == answer


def test_memory_and_indexes_change_no_answer() -> None:
    """Everything that the oracle keeps or indexes, against the visitor and the predicates alone."""
    chance = random.Random(7)  # noqa: S311  # a reproducible draw, no secret
    verbs, resources = ["get", "list", "*", "use"], ["pods", "pods/log", "*/log", "*", "pods/*", "nodes"]
    urls, names, places = ["/a", "/a*", "*", "/b/*"], ["", "x", "y"], ["", "t1", "t2", "t3"]

    def some(values: list[str], least: int = 1) -> list[str]:
        return chance.sample(values, chance.randint(least, len(values)))

    def any_rule() -> Json:
        if chance.random() < 0.2:
            return {"nonResourceURLs": some(urls), "verbs": some(verbs)}
        found: Json = {"apiGroups": some(["", "apps", "*"]), "resources": some(resources), "verbs": some(verbs)}
        return found | ({"resourceNames": some(names)} if chance.random() < 0.4 else {})

    allowed = asked_count = 0
    for _ in range(60):
        rbac = Rbac(
            cluster_roles=tuple(role(f"c{n}", any_rule(), any_rule()) for n in range(3)),
            cluster_role_bindings=tuple(
                bind(
                    f"b{n}",
                    "ClusterRole",
                    f"c{chance.randint(0, 4)}",
                    subject=chance.choice(["User alice", "User bob"]),
                )
                for n in range(2)
            ),
            roles=tuple(role("r", any_rule(), namespace=place) for place in places[1:]),
            role_bindings=tuple(bind(f"b{n}", "Role", "r", namespace=chance.choice(places[1:])) for n in range(2)),
        )
        rules, resolver = Rules(rbac), Resolver(rbac)
        for _ in range(200):
            group, sub, place = chance.choice(["", "apps"]), chance.choice(["", "log", "exec"]), chance.choice(places)
            asked = Attributes(chance.choice(verbs), group, "v1", "pods", sub, place, chance.choice(names))
            if chance.random() < 0.2:
                asked = Attributes(chance.choice(verbs), path=chance.choice(["/a", "/ab", "/b", "/b/c"]))
            expected = next(
                (
                    visit[0].path
                    for visit in resolver.visit_rules_for(Who("alice", frozenset(ALICE.groups)), asked.namespace)
                    if not isinstance(visit, MissingRole) and rule_allows(asked, visit[1])
                ),
                (),
            )
            decision = rules.decide(ALICE, asked)
            assert (decision.answer == Answer.ALLOWED, decision.witness.path) == (bool(expected), expected)
            assert rules.decide(ALICE, asked) is decision
            allowed += bool(expected)
            asked_count += 1
    assert 0.2 < allowed / asked_count < 0.8


# --- every resource and verb of a real server ------------------------------------------------------------------------

BUILT_IN = (
    Identity("masters", "test", "m", ("system:masters",)),
    Identity("scheduler", "test", "system:kube-scheduler", ("system:authenticated",)),
    Identity("controllers", "test", "system:kube-controller-manager", ("system:authenticated",)),
    Identity("nobody", "test", "nobody", ("system:authenticated",)),
    Identity("anonymous", "test", "system:anonymous", ("system:unauthenticated",)),
    Identity("node", "test", "system:node:n1", ("system:nodes", "system:authenticated")),
    Identity(
        "namespace controller",
        "test",
        "system:serviceaccount:kube-system:namespace-controller",
        ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"),
    ),
)


@pytest.fixture(scope="module")
def admin(cluster: Cluster) -> Client:
    return Client(cluster.admin)


def live_rbac(admin: Client) -> Rbac:
    api = "/apis/rbac.authorization.k8s.io/v1"
    kinds = ("clusterroles", "clusterrolebindings", "roles", "rolebindings")
    return Rbac(*(tuple(admin.get_json(f"{api}/{kind}")["items"]) for kind in kinds))


@pytest.mark.server
@pytest.mark.parametrize("identity", BUILT_IN, ids=lambda identity: identity.name)
def test_every_resource_and_verb_is_decided_as_the_server_reviews_it(identity: Identity, admin: Client) -> None:
    rules = Rules(live_rbac(admin))
    asked = 0
    for attributes in everything(admin):
        decision = rules.decide(identity, attributes)
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": identity.user,
                "groups": identity.groups,
                "resourceAttributes": {
                    key: getattr(attributes, key)
                    for key in ("verb", "group", "version", "resource", "subresource", "namespace", "name")
                },
            },
        }
        answer = admin.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=body)
        status = orjson.loads(answer.body)["status"]
        expected = Answer.ALLOWED if status["allowed"] else Answer.DENIED
        assert decision.answer == expected, (attributes, decision, status)
        asked += 1
    assert asked > 600


def everything(admin: Client) -> list[Attributes]:
    """Each verb of each resource that discovery lists, in kube-system where it is namespaced, of an absent name."""
    headers = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
    found = []
    for path in ("/api", "/apis"):
        for group in orjson.loads(admin.ask("GET", path, headers=headers).body)["items"]:
            for version in group["versions"]:
                for resource in version["resources"]:
                    for sub in ({"subresource": "", **resource}, *resource.get("subresources", ())):
                        found += [
                            Attributes(
                                verb,
                                group["metadata"].get("name", ""),
                                version["version"],
                                resource["resource"],
                                sub["subresource"],
                                "kube-system" if resource["scope"] == "Namespaced" else "",
                                "" if verb in {"list", "watch", "deletecollection"} else "{absent}",
                            )
                            for verb in sub["verbs"]
                        ]
    return found
