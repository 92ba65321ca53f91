"""Fixes are proved, and a change of roles and bindings is told before anybody makes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from conformance.change import fix, objects
from conformance.change.effect import effect
from conformance.change.narrow import without
from conformance.cli import group as cli
from conformance.errors import UsageError
from conformance.expectations import Expectation
from conformance.grants import Grants, of_files
from conformance.model import Attributes
from conformance.rbac.algebra import Point
from conformance.rbac.predicates import Rule, rules_allow
from conformance.rbac.served import Served
from conformance.risks import catalogue
from conformance.risks.rule import Risk, rbac_of
from conformance.risks.scan import Scan

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Json

RISKS = catalogue()
SCAN = Scan(RISKS)
SERVED = Served.without_server({})
MANIFESTS = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: deployer, namespace: web}
rules:
- {apiGroups: ["", apps], resources: [pods, secrets], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: deployer, namespace: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}
subjects:
- {kind: ServiceAccount, name: deployer}
- {kind: User, name: alice, apiGroup: rbac.authorization.k8s.io}
"""
FINDING = "SECRETS-READ:ServiceAccount/web/deployer:RoleBinding/web/deployer"


@pytest.fixture(name="manifests")
def _manifests(tmp_path: Path) -> Path:
    file = tmp_path / "web.yaml"
    file.write_text(MANIFESTS)
    return file


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli, [str(it) for it in arguments], standalone_mode=False)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return int(done.return_value or 0), done.stdout


@pytest.mark.parametrize("risk", RISKS, ids=lambda risk: risk.id)
def test_each_finding_of_each_example_has_a_fix_that_ends_it(risk: Risk) -> None:
    grants = Grants(risk.matches, SERVED)
    for hit in (it for it in SCAN.hits(risk.matches) if it.risk is risk):
        found = fix.fix(grants, RISKS, hit.id)
        assert hit.id not in {it.id for it in SCAN.hits(found.after)}
        # The patch says what the proof was made with.
        document = objects.by_key(risk.matches)[found.patch.key]
        if found.patch.operations is not None:
            for operation in found.patch.operations:
                document = patched(document, operation)
            assert document == found.patch.after
        done = effect(grants, found.after, RISKS, paths=False)
        assert hit.id in {it.id for it in done.ended}
        assert not done.allowed


def patched(document: Json, operation: Json) -> Json:
    """The object with one `replace` of a JSON patch done."""
    assert operation["op"] == "replace"
    first, *rest = operation["path"].strip("/").split("/")
    if not rest:
        return {**document, first: operation["value"]}
    return {**document, first: {**document[first], rest[0]: operation["value"]}}


NARROWED = [
    (Rule(("get", "list"), ("",), ("pods", "secrets")), [("", "secrets", "list")]),
    (Rule(("*",), ("",), ("secrets", "configmaps")), [("", "secrets", "get"), ("", "secrets", "watch")]),
    (Rule(("get",), ("", "apps"), ("*",)), [("", "secrets", "get")]),
    (Rule(("create",), ("*",), ("*/scale", "pods")), [("", "pods", "create")]),
    (Rule(("update",), ("",), ("secrets",), ("one", "two")), [("", "secrets", "update")]),
]


@pytest.mark.parametrize(("rule", "taken"), NARROWED, ids=lambda it: str(it)[:40])
def test_a_narrowed_rule_allows_all_but_what_was_taken(rule: Rule, taken: list[tuple[str, str, str]]) -> None:
    served = dict.fromkeys(SERVED.resources, ("get", "list", "watch", "create", "update"))
    left = without(rule, [Point(*it, namespaced=True) for it in taken], served)
    assert left is not None
    for (group, plural), verbs in served.items():
        for verb in verbs:
            for name in ("", "one"):
                asked = Attributes(verb, group, "", plural, "", "web", name)
                before = rules_allow(asked, [rule])
                assert rules_allow(asked, left) == (before and (group, plural, verb) not in taken), asked


def test_a_default_role_is_never_edited_but_the_subject_taken_out() -> None:
    rbac = rbac_of(
        (
            {"kind": "ClusterRole", "metadata": {"name": "edit"}, "rules": [_rule("secrets", "get")]},
            _binding("edit", {"kind": "User", "name": "a"}, {"kind": "User", "name": "b"}),
        )
    )
    found = fix.fix(Grants(rbac, SERVED), RISKS, "SECRETS-READ:User/a:ClusterRoleBinding/b")
    assert found.patch.said == "take User a out of ClusterRoleBinding b"
    assert found.patch.after is not None
    assert found.patch.after["subjects"] == [{"kind": "User", "name": "b"}]


def test_an_unknown_finding_is_told_with_those_that_are_there(manifests: Path) -> None:
    with pytest.raises(UsageError, match=f"there is no finding 'SECRETS-READ:x' here; there are {FINDING}"):
        fix.fix(of_files((manifests,)), RISKS, "SECRETS-READ:x")


def test_the_commands_show_finding_fix_and_effect(manifests: Path, tmp_path: Path) -> None:
    code, out = run("risks", "-f", manifests)
    assert code == 0
    assert FINDING in out
    assert f"{manifests.name}:1: Can read Secrets" in out  # by its way from here, where it lies below
    code, out = run("risks", "-f", manifests, "--fail-on", "medium", "-o", "json")
    assert code == 1
    assert {it["id"] for it in json.loads(out)} >= {FINDING}
    assert "keep Role web/deployer\n" in run("what-if", "-f", manifests, "--base", manifests)[1]
    code, out = run("fix", FINDING, "-f", manifests, "--dry-run")
    assert code == 0
    assert "kubectl patch role deployer -n web --type=json" in out
    assert "proved: with it the finding is gone" in out
    assert "  ServiceAccount web/deployer: get, list, watch secrets in web" in out
    assert "  User alice: get, list, watch secrets in web" in out
    _, out = run("fix", FINDING, "-f", manifests, "-o", "yaml")
    fixed = tmp_path / "fixed.yaml"
    fixed.write_text(out)
    code, out = run("what-if", "-f", fixed, "--base", manifests, "-o", "json")
    assert code == 0
    done = json.loads(out)
    assert done["changes"] == [{"object": "Role web/deployer", "change": "change"}]
    assert not done["allowed"]
    assert {it["subject"] for it in done["taken"]} == {"ServiceAccount web/deployer", "User alice"}
    assert FINDING in {it["id"] for it in done["findings"]["ended"]}
    _, out = run("fix", FINDING, "-f", manifests, "-o", "patch")
    assert json.loads(out)[0]["path"] == "/rules"
    assert json.loads(run("fix", FINDING, "-f", manifests, "-o", "json")[1])["proved"] is True


def test_what_a_new_role_would_endanger_is_told(manifests: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    role = {"kind": "ClusterRole", "metadata": {"name": "b"}, "rules": [_rule("nodes/proxy", "get")]}
    new.write_text(
        yaml.safe_dump_all(
            {"apiVersion": "rbac.authorization.k8s.io/v1", **it}
            for it in (role, _binding("b", {"kind": "User", "name": "alice"}))
        )
    )
    code, out = run("what-if", "-f", new, "--base", manifests)
    assert code == 1
    assert "create ClusterRole b" in out
    assert "  User alice: get nodes/proxy" in out
    assert "  critical NODES-PROXY:User/alice:ClusterRoleBinding/b" in out
    both = tmp_path / "both"
    both.mkdir()
    (both / "a.yaml").write_text(MANIFESTS + "---\n" + new.read_text())
    code, out = run("what-if", "--delete", new, "--base", both)
    assert code == 0
    assert "delete ClusterRoleBinding b" in out
    assert "findings that end" in out
    with pytest.raises(Exception, match="is not there, so it can't be deleted"):
        run("what-if", "--delete", new, "--base", manifests)


def test_broken_expectations_and_feeding_labels_are_told() -> None:
    view: Json = {
        "kind": "ClusterRole",
        "metadata": {"name": "all"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]},
        "rules": [_rule("pods", "get")],
    }
    feeder = {
        "kind": "ClusterRole",
        "metadata": {"name": "f", "labels": {"to": "all"}},
        "rules": [_rule("pods", "get")],
    }
    rbac = rbac_of((view, feeder, _binding("all", {"kind": "User", "name": "alice"})))
    line = Expectation(
        allow=False,
        who=("User alice",),
        verbs=("get",),
        resources=("secrets",),
        names=(),
        namespaces=(),
        paths=(),
        reason="never",
        file="expectations.yaml",
        line=1,
    )
    wider = {**feeder, "rules": [_rule("pods", "get"), _rule("secrets", "get")]}
    grants = Grants(rbac, SERVED)
    done = effect(grants, objects.put(rbac, {("ClusterRole", "", "f"): wider}), RISKS, [line])
    assert [str(it) for it in done.allowed] == ["User alice: get secrets"]
    assert [it.resource for it in done.broken] == ["expectations.yaml:1"]
    assert [it.rule for it in done.findings] == ["SECRETS-READ"]
    nothing = effect(grants, rbac, RISKS, [line])
    assert nothing == type(nothing)()


def test_hostile_names_do_not_act_on_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "h.yaml"
    name = "\x1b]0;x\x07<script>[x](javascript:1){0}\u202e"
    binding = _binding("b", {"kind": "User", "name": name})
    role = {"kind": "ClusterRole", "metadata": {"name": "b"}, "rules": [_rule("secrets", "get")]}
    file.write_text(json.dumps({"kind": "List", "items": [_versioned(role), _versioned(binding)]}))
    for form in ("table", "markdown", "sarif"):
        _, out = run("risks", "-f", file, "-o", form)
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert "SECRETS-READ" in out
    _, out = run("risks", "-f", file, "-o", "json")
    (finding,) = (it for it in json.loads(out) if it["rule"] == "SECRETS-READ")
    _, out = run("fix", finding["id"], "-f", file)
    assert "\x1b" not in out


def _versioned(item: Json) -> Json:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", **item}


def _rule(resource: str, verb: str) -> Json:
    return {"apiGroups": [""], "resources": [resource], "verbs": [verb]}


def _binding(role: str, *subjects: Json) -> Json:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    named: list[Any] = [dict(it) for it in subjects]
    return {"kind": "ClusterRoleBinding", "metadata": {"name": "b"}, "roleRef": reference, "subjects": named}
