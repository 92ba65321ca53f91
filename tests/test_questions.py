"""can-i, who-can and why, from manifests and from a real server."""

from __future__ import annotations

import json
import random
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from conformance import cli
from conformance.clusters import kubeconfig
from conformance.errors import UsageError
from conformance.model import Attributes
from conformance.questions import Asked, impersonated
from conformance.rbac.beyond import also_needed
from conformance.rbac.served import Served, Target
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conformance.model import Cluster, Json

DUMP = """\
apiVersion: v1
kind: List
items:
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: reader}, rules: [{apiGroups: [""], resources: [pods, pods/exec, nodes], verbs: [get, list]}, {nonResourceURLs: [/metrics], verbs: [get]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: deployer}, rules: [{apiGroups: [apps], resources: [deployments], verbs: [update]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: all, labels: {}}, aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: all}}]}}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: part, labels: {to: all}}, rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: one, namespace: web}, rules: [{apiGroups: [""], resources: [secrets], verbs: [get], resourceNames: [tls, db]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: devs}, roleRef: {kind: ClusterRole, name: reader}, subjects: [{kind: Group, name: devs}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: agg}, roleRef: {kind: ClusterRole, name: all}, subjects: [{kind: User, name: carol}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: sa, namespace: web}, roleRef: {kind: Role, name: one}, subjects: [{kind: ServiceAccount, name: bot}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: deploy, namespace: web}, roleRef: {kind: ClusterRole, name: deployer}, subjects: [{kind: User, name: alice}, {kind: ServiceAccount, name: bot, namespace: ci}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: deploy, namespace: shop}, roleRef: {kind: ClusterRole, name: deployer}, subjects: [{kind: User, name: alice}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: near, namespace: shop}, roleRef: {kind: ClusterRole, name: reader}, subjects: [{kind: User, name: dave}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: gone, namespace: lab}, roleRef: {kind: ClusterRole, name: admin}, subjects: [{kind: User, name: erin}]}
"""  # noqa: E501  # one object a line


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    file = tmp_path / "dump.yaml"
    file.write_text(DUMP, "utf-8")
    return file


BOT = "system:serviceaccount:web:bot"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (
            "get pods -n web --as alice --as-group devs",
            0,
            "ClusterRoleBinding devs gives Group devs the ClusterRole reader",
        ),
        ("get pods -A --as alice --as-group devs", 0, "rules[0]"),
        ("get pods -n web --as alice", 1, "denied: no rule allows it"),
        ("get secrets -n web --name tls --as system:serviceaccount:web:bot", 0, "RoleBinding web/sa gives"),
        ("get secrets -n web --as system:serviceaccount:web:bot", 1, "no rule allows it"),
        ("update deployments -n web --as alice", 0, "ClusterRole deployer"),  # the group that has deployments
        ("update deployments.apps -n web --as system:serviceaccount:ci:bot", 0, "ServiceAccount ci/bot"),
        ("update deployments.extensions -n web --as alice", 1, ""),
        ("update deployments -A --as alice", 1, ""),
        ("get /metrics --as x --as-group devs", 0, "rules[1]"),
        ("list nodes --as dave -n shop", 1, ""),  # a RoleBinding gives nothing outside of namespaces
        ("list pods --as dave -n shop", 0, "RoleBinding shop/near"),
        ("get configmaps -n web --as carol", 0, "ClusterRole all"),  # aggregated, filled from labels
        ("get pods -n lab --as erin", 6, "ClusterRoles: only those in the files"),
        ("get anything.at.all/below -n web --as root --as-group system:masters", 0, "system:masters"),
        ("get pods/exec -n web --as a --as-group devs", 0, "checked for the verb create: denied"),
    ],
)
def test_can_i_answers_from_manifests(
    arguments: str, code: int, text: str, dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["can-i", *arguments.split(), "-f", str(dump)]) == code
    assert text in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("can-i get pods --as a -f FILE", "-n NAMESPACE"),
        ("can-i get pods -n w -f FILE", "say who: --as USER"),
        ("can-i get pods -n w -A --as a -f FILE", "give one of them"),
        ("can-i get pods -n w --as-group g -f FILE", "go with --as USER"),
        ("can-i get pods -n w --as a -f FILE --run x", "give one"),
        ("can-i get pods -n w --as a -f FILE --context x", "give one of them"),
        ("can-i get a/b/c -n w --as a -f FILE", "PLURAL[.GROUP][/SUBRESOURCE]"),
        ("can-i get pods -n w --as a --as-extra x -f FILE", "KEY=VALUE"),
        ("can-i get pods -n w --as a --run FILE", "no run"),
        ("who-can get pods -f FILE", "-n NAMESPACE"),
        ("why get pods -n w --as a -f absent.yaml", "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_said(
    arguments: str, problem: str, dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments.replace("FILE", str(dump)).split()) == UsageError.exit_code
    assert problem in capsys.readouterr().err


def test_a_resource_that_nobody_knows_is_warned_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(DUMP.replace("deployments", "widgets"), "utf-8")
    assert cli.run(["can-i", "update", "widgets", "-n", "web", "--as", "alice", "-f", str(file)]) == 1
    assert (
        "no resource widgets is known, taken as one of the core group; rules name widgets.apps"
        in capsys.readouterr().err
    )


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    cli.run([*arguments, "-o", "json"])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "warned"), [("web/bot", True), ("ServiceAccount web/bot", True), ("web/nobody", False), ("alice", False)]
)
def test_an_account_that_is_not_spelled_as_servers_do_is_warned_about(
    name: str, *, warned: bool, dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("can-i", "why"):
        cli.run([command, "get", "secrets", "-n", "web", "-f", str(dump), "--as", name])
        said = capsys.readouterr()
        assert ("the service account is system:serviceaccount:web:bot" in said.err) == warned
        assert said.out.startswith("denied")


def test_can_i_as_json(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "can-i", "list", "pods", "-n", "shop", "--as", "dave", "-f", str(dump))
    assert found == {
        "decision": "allowed",
        "witness": {
            "kind": "rbac",
            "text": "RoleBinding shop/near gives User dave the ClusterRole reader, whose rules[0] allows it",
            "path": ["User dave", "RoleBinding shop/near", "ClusterRole reader", "rules[0]"],
        },
    }


def subjects(found: Json) -> list[tuple[str, str, str]]:
    return [(it["kind"], it["name"], it["namespace"]) for it in found["subjects"]]


MASTERS = ("Group", "system:masters", "")


@pytest.mark.parametrize(
    ("arguments", "expected", "complete"),
    [
        ("update deployments -n web", [MASTERS, ("User", "alice", ""), ("ServiceAccount", "bot", "ci")], True),
        ("update deployments -n shop", [MASTERS, ("User", "alice", "")], True),
        ("list pods -n shop", [MASTERS, ("Group", "devs", ""), ("User", "dave", "")], True),
        ("list nodes -n shop", [MASTERS, ("Group", "devs", "")], True),
        ("get /metrics", [MASTERS, ("Group", "devs", "")], True),
        ("get secrets -n web", [MASTERS], True),
        ("get secrets -n web --name db", [MASTERS, ("ServiceAccount", "bot", "web")], True),
        ("get secrets -n lab", [MASTERS], False),  # what erin has there stands in a role that is not in the files
    ],
)
def test_who_can_names_everybody_once(
    arguments: str, expected: list[object], *, complete: bool, dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(capsys, "who-can", *arguments.split(), "-f", str(dump))
    assert subjects(found) == expected
    assert found["complete"] is complete
    assert found["subjects"][0]["witness"]["kind"] == "authorizer"
    assert all(it["witness"]["path"][0].endswith(it["name"]) for it in found["subjects"][1:])


def test_who_can_anywhere_lists_the_namespaces(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "who-can", "update", "deployments", "-A", "-f", str(dump))
    places = {it["name"]: it["namespaces"] for it in found["subjects"]}
    assert places == {"system:masters": ["*"], "alice": ["shop", "web"], "bot": ["web"]}
    assert found["complete"] is False


def test_who_can_by_name_only_stands_apart(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "who-can", "get", "secrets", "-n", "web", "-f", str(dump))
    assert [(it["name"], it["names"]) for it in found["named"]] == [("bot", ["db", "tls"])]
    assert cli.run(["who-can", "get", "secrets", "-n", "web", "-f", str(dump)]) == 0
    assert "ServiceAccount web/bot (only named db, tls): " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            "list pods -n shop --as dave --as-group devs",
            [
                "allowed: ",
                "  Group devs > ClusterRoleBinding devs > ClusterRole reader > rules[0]: get,list pods,",
                "  User dave > RoleBinding shop/near > ClusterRole reader > rules[0]: ",
            ],
        ),
        (
            "get secrets -n web --as system:serviceaccount:web:bot",
            ["denied: ", "  but for objects named db, tls", "  nearly: Role web/one rules[0] lacks only the name: "],
        ),
        (
            "delete pods -n shop --as dave",
            ["denied: ", "  nearly: ClusterRole reader rules[0] lacks only the verb: get,list pods"],
        ),
        ("list pods -n web --as dave", ["denied: ", "  but in namespaces shop"]),
        (
            "post /metrics --as x --as-group devs",
            ["denied: ", "  nearly: ClusterRole reader rules[1] lacks only the verb"],
        ),
    ],
)
def test_why_explains(arguments: str, lines: list[str], dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["why", *arguments.split(), "-f", str(dump)]) == 0
    found = capsys.readouterr().out.splitlines()
    assert len(found) == len(lines), found
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True)), found


def test_names_of_a_hostile_cluster_cannot_act_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(DUMP.replace("name: near", 'name: "\\e[2Jnear\\u202e"'), "utf-8")
    for command in ("can-i", "why"):
        cli.run([command, "list", "pods", "-n", "shop", "--as", "dave", "-f", str(file)])
    cli.run(["who-can", "list", "pods", "-n", "shop", "-f", str(file)])
    shown = capsys.readouterr().out
    assert r"\x1b[2Jnear\u202e" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("user", "given", "groups"),
    [
        ("alice", (), ("system:authenticated",)),
        ("alice", ("devs",), ("devs", "system:authenticated")),
        ("alice", ("system:unauthenticated",), ("system:unauthenticated",)),
        (BOT, (), ("system:serviceaccounts", "system:serviceaccounts:web", "system:authenticated")),
        (BOT, ("devs",), ("devs", "system:authenticated")),
        ("system:anonymous", (), ("system:unauthenticated",)),
    ],
)
def test_who_is_impersonated_has_the_groups_that_a_server_adds(
    user: str, given: tuple[str, ...], groups: tuple[str, ...]
) -> None:
    found = impersonated(Asked(user=user, groups=given, uid="u", extra=("a=1", "a=2", "b=")))
    assert found.groups == groups
    assert (found.uid, found.extra) == ("u", (("a", ("1", "2")), ("b", ("",))))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("pods", Target("", "pods", "", namespaced=True)),
        ("pods/log", Target("", "pods", "log", namespaced=True)),
        ("events", Target("", "events", "", namespaced=True)),
        ("events.events.k8s.io", Target("events.k8s.io", "events", "", namespaced=True)),
        ("deployments/scale", Target("apps", "deployments", "scale", namespaced=True)),
        ("clusterroles", Target("rbac.authorization.k8s.io", "clusterroles", "", namespaced=False)),
        ("signers", Target("certificates.k8s.io", "signers", "", namespaced=False)),
        ("planets", Target("g.test", "planets", "", namespaced=False)),
        ("planets.other.test", Target("other.test", "planets", "", namespaced=None)),
        ("/metrics", Target(path="/metrics")),
    ],
)
def test_a_resource_is_found_by_its_name(text: str, target: Target) -> None:
    assert Served.without_server({("g.test", "planets"): False}).target(text) == target


@pytest.mark.parametrize(
    ("attributes", "verbs"),
    [
        (Attributes("get", resource="pods", subresource="attach"), ["create"]),
        (Attributes("create", resource="pods", subresource="exec"), []),
        (Attributes("update", resource="configmaps"), ["create"]),
        (Attributes("create", "rbac.authorization.k8s.io", resource="roles"), ["escalate"]),
        (Attributes("create", "rbac.authorization.k8s.io", resource="clusterrolebindings"), ["bind"]),
        (Attributes("create", "other.test", resource="roles"), []),
        (
            Attributes("update", "certificates.k8s.io", resource="certificatesigningrequests", subresource="approval"),
            ["approve"],
        ),
        (Attributes("get", resource="pods"), []),
    ],
)
def test_what_a_handler_asks_for_besides(attributes: Attributes, verbs: list[str]) -> None:
    assert [needed.verb for needed, _ in also_needed(attributes)] == verbs


# --- of a real server -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("questions") / "kubeconfig"
    file.write_bytes(kubeconfig.written(cluster.admin))
    return file


@pytest.fixture(scope="module")
def bound(cluster: Cluster) -> Iterator[str]:
    """A namespace in which a user of the same name may do what role edit may."""
    name = f"questions-{secrets.token_hex(4)}"
    api = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/rolebindings"
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
    with Client(cluster.admin) as client:
        assert client.ask("POST", "/api/v1/namespaces", body={"metadata": {"name": name}}).status == 201
        body = {"metadata": {"name": "b"}, "roleRef": reference, "subjects": [subject]}
        assert client.ask("POST", api, body=body).status == 201
        deadline = time.monotonic() + 20
        while not reviewed(client, name, Attributes("get", resource="pods", namespace=name)):
            assert time.monotonic() < deadline
        yield name
        client.ask("DELETE", f"/api/v1/namespaces/{name}")


def reviewed(client: Client, user: str, attributes: Attributes) -> bool:
    keys = ("verb", "group", "resource", "subresource", "namespace", "name")
    spec = {
        "user": user,
        "groups": ["system:authenticated"],
        "resourceAttributes": {key: getattr(attributes, key) for key in keys},
    }
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    response = client.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=body)
    allowed: bool = orjson.loads(response.body)["status"]["allowed"]
    return allowed


@pytest.mark.server
def test_can_i_says_what_the_server_reviews(
    cluster: Cluster, config: Path, bound: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(4)  # noqa: S311  # reproducible
    resources = ["pods", "pods/exec", "secrets", "deployments.apps/scale", "roles.rbac.authorization.k8s.io", "nodes"]
    answers = set()
    with Client(cluster.admin) as client:
        for resource in resources:
            verb = chance.choice(("get", "create", "delete", "patch"))
            plural, _, sub = resource.partition("/")
            plural, _, group = plural.partition(".")
            place = "" if resource == "nodes" else bound
            expected = reviewed(client, bound, Attributes(verb, group, "", plural, sub, place))
            found = answer(capsys, "can-i", verb, resource, "-n", bound, "--as", bound, "--kubeconfig", str(config))
            assert found["decision"] == ("allowed" if expected else "denied"), (verb, resource, found)
            assert not expected or found["witness"]["path"][1] == f"RoleBinding {bound}/b"
            answers.add(found["decision"])
    assert answers == {"allowed", "denied"}


@pytest.mark.server
def test_who_asks_without_as_is_the_context_s_user(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "can-i", "invent", "things.example.test", "-A", "--kubeconfig", str(config))
    assert (found["decision"], found["witness"]["kind"]) == ("allowed", "authorizer")


@pytest.mark.server
def test_who_can_finds_who_is_bound(config: Path, bound: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "who-can", "create", "pods", "-n", bound, "--kubeconfig", str(config))
    assert found["complete"] is True
    assert ("User", bound, "") in subjects(found)
    elsewhere = answer(capsys, "who-can", "create", "pods", "-n", "default", "--kubeconfig", str(config))
    assert ("User", bound, "") not in subjects(elsewhere)


@pytest.mark.server
def test_who_may_not_read_rules_is_answered_by_the_server(
    cluster: Cluster, bound: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rules alone would be unknown: the account may read no roles; its own review tells."""
    with Client(cluster.admin) as client:
        path = f"/api/v1/namespaces/{bound}/serviceaccounts"
        assert client.ask("POST", path, body={"metadata": {"name": "sa"}}).status == 201
        response = client.ask("POST", f"{path}/sa/token", body={"spec": {"expirationSeconds": 600}})
    token = orjson.loads(response.body)["status"]["token"]
    file = tmp_path / "kubeconfig"
    file.write_bytes(kubeconfig.written(replace(cluster.admin, certificate=None, key=None, token=token)))
    found = answer(capsys, "can-i", "get", "pods", "-n", bound, "--kubeconfig", str(file))
    assert (found["decision"], found["witness"]["kind"]) == ("denied", "review")
    found = answer(capsys, "who-can", "get", "pods", "-n", bound, "--kubeconfig", str(file))
    assert found["complete"] is False
