"""What a fix or a change takes away that an audit log shows in use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from click.testing import CliRunner
from grants import RBAC, cluster, manifests, rule
from logs import event

from conformance import auditlog
from conformance.change.uses import lost
from conformance.cli import group as cli
from conformance.errors import FileError, UsageError
from conformance.model import Rbac

if TYPE_CHECKING:
    from pathlib import Path

APP = {"username": "system:serviceaccount:web:app", "groups": ["system:serviceaccounts", "system:authenticated"]}
GRANTED = cluster(("ServiceAccount web/app", "web", [rule("get,list", "secrets,pods")]))
FINDING = "SECRETS-READ:ServiceAccount/web/app:RoleBinding/web/g0"
ROLES = ("create,update,patch,escalate", "clusterroles")
NEEDS_ESCALATE = "perhaps: rules that one does not have need the verb escalate on the role"
NEEDS_APPROVE = "perhaps: the signer's name needs the verb approve on signers"
CSR = "certificatesigningrequests/approval"


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli, [str(it) for it in arguments], standalone_mode=False)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return int(done.return_value or 0), done.stdout


def written(path: Path, *events: Any) -> Path:
    path.write_bytes(b"".join(orjson.dumps(it) + b"\n" for it in events))
    return path


@pytest.mark.parametrize(
    ("before", "after", "seen", "expected"),
    [
        pytest.param(
            [("User alice", "web", [rule("get,list", "pods")])],
            [("User alice", "web", [rule("get", "pods")])],
            [event("list", namespace="web"), event("list", namespace="web"), event("get", namespace="web", name="x")],
            ["User alice: list pods in web, 2 times"],
            id="a verb less",
        ),
        pytest.param(
            [("User alice", "web", [rule("get", "pods")])],
            [("User alice", "web", [rule("get", "pods", "kept")])],
            [event("get", namespace="web", name=it) for it in ("kept", "f", "e", "d", "c", "b", "a")],
            ["User alice: get pods named a, b, c, d, e and 1 more in web, 6 times"],
            id="names",
        ),
        pytest.param(
            [("User alice", "", [rule("get", "pods")])],
            [("User alice", "web", [rule("get", "pods")])],
            [event("get", namespace="web", name="x"), event("get", namespace="shop", name="x")],
            ["User alice: get pods named x in shop, once"],
            id="one namespace instead of all",
        ),
        pytest.param(
            [("Group devs", "web", [rule("get", "pods")])],
            [],
            [
                event("get", namespace="web", name="x", user={"username": "bob", "groups": ["devs"]}),
                event("get", namespace="web", name="x"),  # alice is no member: something else let her
            ],
            ["User bob: get pods named x in web, once"],
            id="by a group",
        ),
        pytest.param(
            [("User alice", "", [{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}])],
            [],
            [event("get") | {"objectRef": None, "requestURI": "/metrics?x=1"}],
            ["User alice: get /metrics, once"],
            id="a path",
        ),
        pytest.param(
            [("User alice", "", [rule("patch", "leases", group="coordination.k8s.io"), rule("create", "leases")])],
            [("User alice", "", [rule("patch", "leases", group="coordination.k8s.io")])],
            [event("patch", "leases", apiGroup="coordination.k8s.io", namespace="web", name="x")],
            [],
            id="another group's create",
        ),
        pytest.param(
            [("User alice", "", [rule("patch,create", "leases", group="coordination.k8s.io")])],
            [("User alice", "", [rule("patch", "leases", group="coordination.k8s.io")])],
            [
                event(
                    "patch",
                    "leases",
                    apiGroup="coordination.k8s.io",
                    namespace="web",
                    name="x",
                    responseStatus={"code": 201},
                )
            ],
            ["User alice: create leases.coordination.k8s.io named x in web, once"],
            id="a patch that created",
        ),
        pytest.param(
            [("User alice", "", [rule(*ROLES, group=RBAC)])],
            [("User alice", "", [rule("create,update,patch", "clusterroles", group=RBAC)])],
            [event("create", "clusterroles", apiGroup=RBAC, name="x")],
            [
                f"User alice: create clusterroles.{RBAC}, once; {NEEDS_ESCALATE}",
            ],
            id="a second check",
        ),
        pytest.param(
            [
                (
                    "User alice",
                    "",
                    [
                        rule("update", CSR, group="certificates.k8s.io"),
                        rule("approve", "signers", "a/b", group="certificates.k8s.io"),
                    ],
                )
            ],
            [("User alice", "", [rule("update", CSR, group="certificates.k8s.io")])],
            [event("update", CSR, apiGroup="certificates.k8s.io", name="x")],
            [
                f"User alice: update {CSR.replace('/', '.certificates.k8s.io/')} named x, once; {NEEDS_APPROVE}",
            ],
            id="a second check by name",
        ),
    ],
)
def test_what_was_used_and_would_be_refused(
    before: list[Any], after: list[Any], seen: list[Any], expected: list[str], tmp_path: Path
) -> None:
    log = auditlog.read(written(tmp_path / "audit.log", *seen))
    assert [str(it) for it in lost(log, cluster(*before), cluster(*after))] == expected
    assert lost(log, cluster(*before), cluster(*before)) == ()


def test_what_an_unread_role_may_allow_is_in_doubt(tmp_path: Path) -> None:
    log = auditlog.read(written(tmp_path / "audit.log", event("get", namespace="web", name="x")))
    before = cluster(("User alice", "web", [rule("get", "pods")]))
    after = Rbac(role_bindings=before.role_bindings, incomplete=("roles: forbidden",))
    (found,) = lost(log, before, after)
    assert found.doubt
    assert "unless a role that could not be read allows it" in str(found)


def test_a_fix_and_a_change_list_the_uses_that_they_take_away(tmp_path: Path) -> None:
    file = tmp_path / "rbac.yaml"
    file.write_text(manifests(GRANTED))
    used = [event("list", "secrets", namespace="web", user=APP)] * 3
    log = written(tmp_path / "audit.log", *(it | {"auditID": str(n)} for n, it in enumerate(used)), {"not": "one"})
    code, out = run("fix", FINDING, "-f", file, "--dry-run", "--audit-log", log)
    assert code == 0
    assert "takes away what was used (1):\n  ServiceAccount web/app: list secrets in web, 3 times\n" in out
    assert "1 lines of the log are no audit events" in out
    _, out = run("fix", FINDING, "-f", file, "--audit-log", log, "-o", "json")
    (entry,) = json.loads(out)["used"]
    assert (entry["subject"], entry["verb"], entry["resource"]) == ("ServiceAccount web/app", "list", "secrets")
    _, out = run("fix", FINDING, "-f", file)
    assert "whether anybody uses what is taken away is not known" in out
    assert json.loads(run("fix", FINDING, "-f", file, "-o", "json")[1])["used"] is None
    harmless = written(tmp_path / "pods.log", event("list", "pods", namespace="web", user=APP))
    _, out = run("fix", FINDING, "-f", file, "--audit-log", harmless)
    assert "nothing that it takes away was used in the 1 requests of the log" in out

    for given, expected in ((log, 1), (harmless, 1), (None, 0)):
        more = ["--audit-log", given] if given else []
        code, out = run("what-if", "--delete", file, "--base", file, *more)
        assert code == expected, out
        assert ("takes away what was used" in out) == bool(given)


def test_a_log_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "rbac.yaml"
    file.write_text(manifests(GRANTED))
    with pytest.raises(FileError, match="a log of JSON lines is wanted"):
        run("fix", FINDING, "-f", file, "--audit-log", file)
    with pytest.raises(UsageError, match="there is no such audit log"):
        run("what-if", "--delete", file, "--base", file, "--audit-log", tmp_path / "absent")
