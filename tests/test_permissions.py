"""Each mode works with exactly the ClusterRole of docs/permissions.md, and says what is lost without any part of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from audits import RBAC, masked
from kubeconfigs import server_of, write

from conformance import config, run
from conformance.errors import ConformanceError
from conformance.identities import ground
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cluster

pytestmark = pytest.mark.server

PAGE = Path(__file__).resolve().parents[1] / "docs" / "permissions.md"
ACCOUNT = "kc-permissions"
BY_NATURE = {"cluster-admin", "cluster-reader", "node"}  # identities that mode full has on clusters of ours only


def roles() -> dict[str, Any]:
    """The rules of each mode, as the page has them."""
    found = re.findall(r"<!-- role: (.*?) -->\n```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return {mode: yaml.safe_load(block)["rules"] for modes, block in found for mode in modes.split()}


ROLES = roles()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run said up to its first probe, and whom it had."""

    said: tuple[str, ...]
    left_out: frozenset[str]
    unseen: tuple[str, ...]
    failed: str = ""


def parts(rules: Any) -> Iterator[tuple[str, list[Any]]]:
    """Give the rules without each single right, named by it."""
    for number, rule in enumerate(rules):
        names = rule.get("resourceNames", ())
        for name in names if len(names) > 1 else ():
            less = rule | {"resourceNames": [other for other in names if other != name]}
            yield f"{name} of rule {number}", [*rules[:number], less, *rules[number + 1 :]]
        what = "resources" if "resources" in rule else "nonResourceURLs"
        for thing in rule[what]:
            for verb in rule["verbs"]:
                rest = [
                    rule | {what: [other for other in rule[what] if other != thing]},
                    rule | {what: [thing], "verbs": [other for other in rule["verbs"] if other != verb]},
                ]
                kept = [each for each in rest if each[what] and each["verbs"]]
                yield f"{verb} {thing}{number}", [*rules[:number], *kept, *rules[number + 1 :]]


def sent(client: Client, path: str, body: Any) -> Any:
    """Give the answer to something that the server has to take."""
    answer = client.ask("POST", path, body=body)
    assert answer.status == 201, answer
    return json.loads(answer.body)


@pytest.fixture
def kubeconfig(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A kubeconfig of an account without any binding."""
    with Client(cluster.admin) as client:
        accounts = "/api/v1/namespaces/default/serviceaccounts"
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
        assert client.ask("POST", accounts, body=body).status == 201
        token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        status = sent(client, f"{accounts}/{ACCOUNT}/token", token)["status"]
        yield write(tmp_path, server_of(cluster), {"token": status["token"]})
        assert client.ask("DELETE", f"{accounts}/{ACCOUNT}").status == 200


@contextmanager
def granted(cluster: Cluster, rules: list[Any]) -> Iterator[None]:
    """Have the account bound to these rules, and the server know it."""
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": ACCOUNT}}
    role = kind | {"kind": "ClusterRole", "rules": rules}
    subject = {"kind": "ServiceAccount", "namespace": "default", "name": ACCOUNT}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT}
    bound = kind | {"kind": "ClusterRoleBinding", "subjects": [subject], "roleRef": reference}
    with Client(cluster.admin) as client:
        for collection, body in (("clusterroles", role), ("clusterrolebindings", bound)):
            assert client.ask("POST", f"{RBAC}/{collection}", body=body).status == 201
        try:
            yield
        finally:
            for collection in ("clusterrolebindings", "clusterroles"):
                assert client.ask("DELETE", f"{RBAC}/{collection}/{ACCOUNT}").status == 200


def in_force(cluster: Cluster, rules: list[Any]) -> None:
    """Wait until the authorizer has seen the account's present rules, and the end of the ones before."""
    user = f"system:serviceaccount:default:{ACCOUNT}"

    def allowed(part: Any, verb: str) -> bool:
        spec: dict[str, Any] = {"user": user}
        if "nonResourceURLs" in part:
            spec["nonResourceAttributes"] = {"path": part["nonResourceURLs"][0], "verb": verb}
        else:
            resource, _, sub = part["resources"][0].partition("/")
            name = (part.get("resourceNames") or [""])[0]
            group = part["apiGroups"][0]
            spec["resourceAttributes"] = {"group": group, "resource": resource, "subresource": sub, "verb": verb}
            spec["resourceAttributes"]["name"] = name
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        with Client(cluster.admin) as client:
            answer = sent(client, "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    every = {
        (json_key(part), verb): (part, verb)
        for mode in ROLES.values()
        for rule in mode
        for part in single(rule)
        for verb in rule["verbs"]
    }
    have = {(json_key(part), verb) for rule in rules for part in single(rule) for verb in rule["verbs"]}
    bare = {(key[:3], verb) for key, verb in have if not key[3]}
    for (key, verb), (part, _) in every.items():
        wanted = (key, verb) in have or (key[:3], verb) in bare
        assert ground.until(lambda part=part, verb=verb, wanted=wanted: allowed(part, verb) is wanted, 30.0)  # type: ignore[misc]


def single(rule: Any) -> Iterator[Any]:
    """Give a rule as rules of one resource, and one name where it has names, each."""
    what = "resources" if "resources" in rule else "nonResourceURLs"
    names = [{"resourceNames": [name]} for name in rule.get("resourceNames", ())] or [{}]
    yield from (rule | {what: [thing]} | name for thing in rule[what] for name in names)


def json_key(part: Any) -> tuple[str, str, str, str]:
    """Name what a rule of one resource is about."""
    path = (part.get("nonResourceURLs") or [""])[0]
    group, resource = (part.get("apiGroups") or [""])[0], (part.get("resources") or [""])[0]
    return path, group, resource, ",".join(part.get("resourceNames") or ())


def look(kubeconfig: Path, mode: str) -> Seen:
    """Go through all stages before the first probe, and undo them."""
    said: list[str] = []
    flags = {"cluster": "kubeconfig", "kubeconfig": str(kubeconfig), "context": "current", "mode": mode}
    options = config.load(flags | {"checks": False}, environment={})
    left_out: frozenset[str] = frozenset()
    unseen: tuple[str, ...] = ()
    failed = ""
    try:
        with ExitStack() as stack:
            made = run.ready(options, stack, said.append)
            left_out = frozenset(name for name, _ in made.prepared.left_out)
            unseen = made.unseen
    except ConformanceError as problem:
        failed = masked(str(problem))
    return Seen(tuple(map(masked, said)), left_out, unseen, failed)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Namespaces go by themselves after a run; nothing here depends on when."""
    monkeypatch.setattr(ground, "until_gone", lambda *_: True)


@pytest.mark.parametrize("mode", ROLES)
def test_with_exactly_this_nothing_is_missing(cluster: Cluster, kubeconfig: Path, mode: str) -> None:
    with granted(cluster, ROLES[mode]):
        in_force(cluster, ROLES[mode])
        seen = look(kubeconfig, mode)
    assert seen.failed == ""
    assert seen.unseen == ()
    assert seen.left_out == (BY_NATURE if mode == "full" else frozenset())
    assert not [line for line in seen.said if "could not" in line], seen.said


@pytest.mark.parametrize("mode", ROLES)
def test_an_audit_with_exactly_this_is_complete(cluster: Cluster, kubeconfig: Path, tmp_path: Path, mode: str) -> None:
    arguments = [f"--kubeconfig={kubeconfig}", "--context=current", f"--mode={mode}", f"--reports={tmp_path}"]
    command = [sys.executable, "-m", "conformance", "audit", "--cluster=kubeconfig", "--no-checks", *arguments]
    with granted(cluster, ROLES[mode]):
        in_force(cluster, ROLES[mode])
        done = subprocess.run(
            [*command, "--", "-k", "configmaps or clusterroles"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
    found = json.loads((tmp_path / "latest" / "matrix.json").read_bytes())
    assert found["run"]["complete"], done.stdout + done.stderr
    verdicts = found["summary"]["verdicts"]
    assert not verdicts["fail"] + verdicts["error"] + verdicts["not-evaluated"], done.stdout
    # What an auditor may do is a finding itself, and the only reason for which such an audit may fail.
    others = [it for it in found["findings"] if it["severity"] in {"high", "critical"} and ACCOUNT not in it["id"]]
    assert not others
    assert done.returncode == any(it["severity"] in {"high", "critical"} for it in found["findings"])
    assert found["run"]["mode"] == mode
    assert found["summary"]["cells"] > 50


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["observe", "full"])
def test_without_any_part_of_it_something_is_said_to_be_missing(cluster: Cluster, kubeconfig: Path, mode: str) -> None:
    silent = []
    for name, rules in parts(ROLES[mode]):
        with granted(cluster, rules):
            in_force(cluster, rules)
            seen = look(kubeconfig, mode)
        lost = [line for line in seen.said if "could not be removed" in line]
        if not (seen.failed or seen.unseen or lost or seen.left_out - BY_NATURE):
            silent.append(name)
    assert silent == []


def test_both_modes_that_write_nothing_need_the_same() -> None:
    assert ROLES.keys() == {"observe", "dry-run", "full"}
    assert ROLES["observe"] == ROLES["dry-run"]
