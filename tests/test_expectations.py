"""Expectations: how a file is read, what a line means, and an audit that is held against them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from audits import Audited, audit
from grants import ADMIN, cluster, manifests, rule

from conformance import cli, expectations
from conformance.errors import FileError
from conformance.expectations import initial
from conformance.expectations.judging import Ground, judge, without_run
from conformance.files import data
from conformance.model import Answer, Attributes, Identity, Verdict
from conformance.rbac.served import Served

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster

GRANTS = cluster(
    ("User alice", "web", [rule("get,list", "pods"), rule("get", "secrets", "tls")]),
    ("Group devs", "", [rule("get,list,watch", "deployments", group="apps")]),
    ("ServiceAccount web/app", "", [rule("impersonate", "users", "bob")]),
    ("User root", "", [ADMIN]),
    ("User metrics", "", [{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}]),
)


def one(tmp_path: Path, entry: dict[str, Any]) -> expectations.Expectation:
    file = tmp_path / "expectations.yaml"
    file.write_text(yaml.safe_dump({"expectations": [{"reason": "so", **entry}]}))
    return expectations.load(file)[0]


@pytest.mark.parametrize(
    ("entry", "verdict", "said"),
    [
        ({"allow": "User alice", "verbs": "get", "resources": "pods", "namespaces": "web"}, "pass", ""),
        (
            {"allow": "User alice", "verbs": "get", "resources": "pods", "namespaces": "shop"},
            "fail",
            "get pods in shop",
        ),
        ({"allow": "User alice", "verbs": "get", "resources": "pods"}, "fail", "get pods"),  # not everywhere
        ({"deny": "User alice", "verbs": "get", "resources": "pods"}, "fail", "in web"),  # but somewhere
        ({"deny": "User alice", "verbs": "delete", "resources": "pods"}, "pass", "own bindings only"),
        ({"deny": "User alice", "verbs": "get", "resources": "secrets"}, "fail", "only of the name tls"),
        ({"deny": "User alice", "verbs": "get", "resources": "secrets", "names": "db"}, "pass", ""),
        ({"deny": "User alice", "verbs": "get", "resources": "secrets", "names": "t*"}, "fail", "get secrets tls"),
        (
            {"allow": "User alice", "verbs": "get", "resources": "secrets", "names": "tls", "namespaces": "web"},
            "pass",
            "",
        ),
        ({"allow": "Group devs", "verbs": ["get", "watch"], "resources": "deployments.apps"}, "pass", ""),
        ({"allow": "Group devs", "verbs": "get", "resources": "deployments"}, "pass", ""),  # the group that has it
        ({"allow": "Group devs", "verbs": "*", "resources": "deployments.apps"}, "fail", "create deployments.apps"),
        ({"deny": "Group *", "verbs": "*", "resources": "*.apps"}, "fail", "Group devs get deployments.apps"),
        ({"deny": "ServiceAccount web/*", "verbs": "impersonate", "resources": "users"}, "fail", "of the name bob"),
        ({"deny": "ServiceAccount shop/app", "verbs": "*", "resources": "*"}, "pass", ""),
        ({"allow": "User root", "verbs": "*", "resources": "*"}, "pass", ""),
        ({"deny": "User root", "verbs": "create", "resources": "pods/exec"}, "fail", "create pods/exec"),
        ({"allow": "User metrics", "verbs": "get", "paths": "/metrics"}, "pass", ""),
        ({"deny": "User metrics", "verbs": "get", "paths": ["/logs", "/m*"]}, "fail", "get /metrics"),
        ({"deny": "User alice", "verbs": "get", "resources": "pod"}, "not-evaluated", "nothing that is served"),
        ({"deny": "viewer", "verbs": "get", "resources": "pods"}, "not-evaluated", "nobody is 'viewer'"),
        ({"deny": "Group x*", "verbs": "get", "resources": "pods"}, "not-evaluated", "nobody is 'Group x*'"),
        ({"allow": "User alice", "verbs": "get", "resources": "pods", "namespaces": "x*"}, "not-evaluated", "nothing"),
    ],
)
def test_what_a_line_means(entry: dict[str, Any], verdict: str, said: str, tmp_path: Path) -> None:
    ground = without_run(GRANTS, Served.without_server({}))
    result = judge(one(tmp_path, entry), ground)
    assert (result.verdict, said in result.note) == (verdict, True), result
    assert result.resource == "expectations.yaml:2"
    assert "(so)" in result.note


class Asked:
    """Cells that say one thing whatever is asked."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def answer(self, _: Identity, __: Attributes) -> tuple[Answer, tuple[str, ...], str] | None:
        return self._answer, (), "as it was asked"


@pytest.mark.parametrize(
    ("answer", "allow", "deny"),
    [
        (Answer.ALLOWED, "pass", "fail"),
        (Answer.DENIED, "fail", "pass"),
        (Answer.UNKNOWN, "not-evaluated", "not-evaluated"),
    ],
)
def test_what_was_asked_stands_above_the_rules_and_unknown_satisfies_nobody(
    answer: Answer, allow: str, deny: str, tmp_path: Path
) -> None:
    rules = without_run(GRANTS, Served.without_server({}))
    viewer = Identity("viewer", "token", "viewer")
    ground = Ground(GRANTS, rules.things, identities=[viewer], cells=Asked(answer))
    what = {"verbs": "get", "resources": "pods"}
    assert judge(one(tmp_path, {"allow": "viewer", **what}), ground).verdict == allow
    assert judge(one(tmp_path, {"deny": "viewer", **what}), ground).verdict == deny


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("- {verbs: get, resources: pods, reason: x}", 2, "one of the keys allow, deny"),
        ("- {allow: a, deny: b, verbs: get, resources: pods, reason: x}", 2, "one of the keys allow, deny"),
        ("- {allow: a, verbs: get, resources: pods}", 2, "'reason' is missing; valid keys: allow, deny, verbs"),
        ("- {allow: a, verbs: get, reason: x}", 2, "one of the keys resources, paths"),
        ("- {allow: a, verbs: get, paths: metrics, reason: x}", 2, "it begins with '/'"),
        ("- {allow: a, verbs: get, paths: /x, names: y, reason: x}", 2, "paths have neither names"),
        ("- allow: a\n  verb: get", 3, "unknown key 'verb'; valid keys: allow"),
        ("- {allow: a, verbs: [], resources: pods, reason: x}", 2, "expectations[1].verbs: names nothing"),
        ("- {allow: Users a, verbs: get, resources: pods, reason: x}", 2, "one of User, Group, ServiceAccount"),
        ("[]", 2, "expects nothing"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_is_valid(text: str, line: int, said: str, tmp_path: Path) -> None:
    file = tmp_path / "expectations.yaml"
    file.write_text(f"expectations:\n{text}\n" if text != "[]" else "\nexpectations: []\n")
    with pytest.raises(FileError) as caught:
        expectations.load(file)
    assert said in str(caught.value)
    assert caught.value.line == line


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    line = one(tmp_path, {"allow": "a", "verbs": "get", "resources": "pods", "namespaces": ["x", "y"]})
    assert expectations.restore(expectations.dump(line)) == line
    assert len(expectations.load(data("fixtures") / "expectations.yaml")) > 3


def test_the_first_file_holds_as_it_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objects, file = tmp_path / "rbac.yaml", tmp_path / "expectations.yaml"
    objects.write_text(manifests(GRANTS))
    assert cli.run(["expectations", "init", "-f", str(objects), "-o", str(file)]) == 0
    assert cli.run(["expectations", "check", str(file), "-f", str(objects)]) == 0, capsys.readouterr().out
    shown = capsys.readouterr().out
    assert "User alice may get, list pods in web" in shown
    assert "User alice may not create serviceaccounts/token" in shown
    assert "User alice may not get, list, watch secrets" not in shown  # it may get one
    assert cli.run(["expectations", "init", "-f", str(objects), "-o", str(file)]) == 4  # what people wrote is kept
    more = manifests(cluster(("User alice", "", [rule("create", "serviceaccounts/token")])))
    objects.write_text(more)
    assert cli.run(["expectations", "check", str(file), "-f", str(objects)]) == 1


def test_each_subjects_rules_become_lines() -> None:
    ground = without_run(GRANTS, Served.without_server({}))
    entries = list(initial.lines(GRANTS, ground, ["Group devs"]))
    assert entries[0]["resources"] == ["deployments.apps"]
    assert {"deny"} == {key for it in entries[1:] for key in it if key in {"allow", "deny"}}


@pytest.mark.server
def test_a_run_is_held_against_its_cells(audited: Audited, capsys: pytest.CaptureFixture[str]) -> None:
    file = data("fixtures") / "expectations.yaml"
    assert cli.run(["expectations", "check", str(file), "--run", str(audited.directory)]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.count("pass: expectations.yaml:") == len(expectations.load(file))


@pytest.mark.server
def test_an_audit_fails_by_a_line_that_does_not_hold(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "wanted.yaml"
    file.write_text(
        "expectations:\n"
        "  - {deny: edit, verbs: get, resources: pods, namespaces: own, reason: nobody is to look}\n"
        "  - {deny: view, verbs: delete, resources: pods, namespaces: own, reason: who looks keeps things}\n"
    )
    chosen = ("--no-checks", "--identity=edit", "--identity=view", f"--expectations={file}")
    done = audit(cluster, tmp_path / "reports", *chosen, "--", "-k", "v1/pods: or expectations")
    assert done.code == 1, done.output[-3000:]
    assert "test_expectations[wanted.yaml:2]" in done.output
    checks = {it["resource"]: it for it in done.matrix()["checks"] if it["id"] == expectations.CHECK}
    assert {key: it["verdict"] for key, it in checks.items()} == {
        "wanted.yaml:2": Verdict.FAIL,
        "wanted.yaml:3": Verdict.PASS,
    }
    assert "RoleBinding" in checks["wanted.yaml:2"]["note"]
    assert "wanted.yaml:2" in (done.directory / "junit.xml").read_text()
