"""Least privilege from an audit log: what counts as used, the smallest roles, and a real server's own log."""

from __future__ import annotations

import gzip
import secrets
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import yaml
from audits import RBAC
from grants import cluster as objects
from grants import manifests, rule
from logs import event

from conformance import auditlog, cli
from conformance.errors import ConformanceError
from conformance.model import Attributes, Rbac
from conformance.transport import Client

if TYPE_CHECKING:
    from conformance.model import Cluster

PATIENCE = 60.0


def log(path: Path, *events: Any) -> auditlog.Log:
    path.write_bytes(b"\n".join(it if isinstance(it, bytes) else orjson.dumps(it) for it in events) + b"\n")
    return auditlog.read(path)


def test_only_what_was_authorised_counts_and_each_request_once(tmp_path: Path) -> None:
    watched = event("watch", namespace="web")
    found = log(
        tmp_path / "audit.log",
        watched | {"stage": "RequestReceived"},
        watched | {"stage": "ResponseStarted"},
        watched,
        event("delete", annotations={"authorization.k8s.io/decision": "forbid"}, responseStatus={"code": 403}),
        event("get", annotations={}, responseStatus={"code": 403}),
        event("get", annotations={}, responseStatus={"code": 404}, namespace="web", name="x"),
        b"not JSON",
    )
    assert dict(found.users["alice"].times) == {
        Attributes("watch", resource="pods", namespace="web"): 1,
        Attributes("get", resource="pods", namespace="web", name="x"): 1,
    }
    assert (found.events, found.unread) == (4, 1)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (event("create", namespace="web", name="made"), Attributes("create", resource="pods", namespace="web")),
        (
            event("create", "pods/exec", namespace="web", name="x"),
            Attributes("create", resource="pods", subresource="exec", namespace="web", name="x"),
        ),
        (
            event("patch", "deployments", apiGroup="apps", name="d"),
            Attributes("patch", "apps", "", "deployments", name="d"),
        ),
        (event("get") | {"objectRef": None, "requestURI": "/metrics?x=1"}, Attributes("get", path="/metrics")),
    ],
)
def test_what_the_authorizer_was_asked(line: dict[str, Any], expected: Attributes) -> None:
    assert auditlog.attributes_of(line) == expected


def test_who_impersonates_uses_that_right_too(tmp_path: Path) -> None:
    groups = ["system:serviceaccounts", "extra"]
    as_account: dict[str, Any] = {"username": "system:serviceaccount:web:app", "groups": groups}
    found = log(tmp_path / "audit.log", event("list", impersonatedUser=as_account, namespace="web"))
    assert set(found.users["alice"].times) == {
        Attributes("impersonate", resource="serviceaccounts", namespace="web", name="app"),
        Attributes("impersonate", resource="groups", name="extra"),
    }
    assert set(found.users[as_account["username"]].times) == {Attributes("list", resource="pods", namespace="web")}


def test_the_roles_cover_the_log_and_nothing_can_be_taken_from_them(tmp_path: Path) -> None:
    found = log(
        tmp_path / "audit.log",
        event("list", namespace="web"),
        event("get", namespace="web", name="a"),
        event("get", "services", namespace="web", name="a"),
        event("list", "services", namespace="web"),
        event("get", "secrets", namespace="shop", name="tls"),
        event("list", "configmaps"),
        event("list", "configmaps", namespace="web"),
        event("get") | {"objectRef": None, "requestURI": "/metrics"},
    )
    used = found.users["alice"]
    for names in (False, True):
        roles = auditlog.smallest("alice", used, names=names)
        assert auditlog.replay("alice", used, roles) == []
        for kind in ("cluster_roles", "roles"):
            for fewer in smaller(roles, kind):
                assert auditlog.replay("alice", used, fewer), fewer
    web = next(it for it in auditlog.smallest("alice", used).roles if it["metadata"]["namespace"] == "web")
    assert web["rules"] == [{"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list"]}]
    shop = next(
        it for it in auditlog.smallest("alice", used, names=True).roles if it["metadata"]["namespace"] == "shop"
    )
    assert shop["rules"][0]["resourceNames"] == ["tls"]


def smaller(roles: Rbac, kind: str) -> list[Rbac]:
    """Give the roles with one verb of one resource less, in every way."""
    found = []
    for number, role in enumerate(getattr(roles, kind)):
        for place, each in enumerate(role["rules"]):
            key = "resources" if "resources" in each else "nonResourceURLs"
            for verb in each["verbs"]:
                for thing in each[key]:
                    left = [
                        each | {key: [it for it in each[key] if it != thing]},
                        each | {key: [thing], "verbs": [it for it in each["verbs"] if it != verb]},
                    ]
                    rules = [*role["rules"][:place], *left, *role["rules"][place + 1 :]]
                    changed = list(getattr(roles, kind))
                    changed[number] = role | {"rules": rules}
                    found.append(replace(roles, **{kind: tuple(changed)}))
    return found


def test_what_was_granted_and_never_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").mkdir()
    packed = orjson.dumps(event("list", namespace="web")) + b"\n"
    (tmp_path / "logs" / "audit-1.log.gz").write_bytes(gzip.compress(packed))
    (tmp_path / "logs" / "audit.log").write_bytes(orjson.dumps(event("get", namespace="web", name="x")) + b"\n")
    rbac = objects(
        ("User alice", "web", [rule("get,list,delete", "pods,services")]),
        ("User alice", "", [rule("*", "nodes")]),
    )
    (tmp_path / "rbac.yaml").write_text(manifests(rbac))
    given = ["--audit-log", str(tmp_path / "logs"), "-f", str(tmp_path / "rbac.yaml")]
    assert cli.run(["least-privilege", *given]) == 0
    shown = capsys.readouterr().out
    assert "never used: verb delete, resource services" in shown
    assert 'ClusterRole g1 rules[0] (* nodes of ""): never used\n' in shown
    assert "with it alone everything in the log is allowed" in shown
    assert cli.run(["least-privilege", *given, "-o", "json"]) == 0
    entry = orjson.loads(capsys.readouterr().out)["subjects"][0]
    assert (entry["subject"], entry["requests"], entry["covered"]) == ("User alice", 2, True)
    assert cli.run(["least-privilege", *given, "-o", "yaml"]) == 0
    made = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [it["kind"] for it in made] == ["Role", "RoleBinding"]


@pytest.mark.parametrize("content", [b"", b"{}\n", b'{"kind": "Pod"}\n'])
def test_what_is_no_log_is_told(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.log"
    file.write_bytes(content)
    with pytest.raises(ConformanceError, match="JSON lines is wanted"):
        auditlog.read(file)
    with pytest.raises(ConformanceError, match="no such audit log"):
        auditlog.read(tmp_path / "absent")


def test_a_log_that_is_still_written_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = gzip.compress(
        b"".join(orjson.dumps(event("get", namespace="web", name=str(n))) + b"\n" for n in range(999))
    )
    (tmp_path / "audit.log.gz").write_bytes(whole[:-20])
    assert auditlog.read(tmp_path / "audit.log.gz").events > 500


@pytest.mark.server
def test_roles_from_a_real_servers_log_are_enough_on_that_server(cluster: Cluster, tmp_path: Path) -> None:
    if cluster.audit_log is None:
        pytest.skip("the server keeps no audit log that can be read here")
    run = f"least-{secrets.token_hex(3)}"
    account = f"system:serviceaccount:{run}:app"
    core = f"/api/v1/namespaces/{run}"
    did = (("GET", f"{core}/configmaps"), ("GET", f"{core}/configmaps/absent"), ("GET", f"{core}/pods/absent/log"))
    with Client(cluster.admin) as admin:

        def create(path: str, body: Any) -> Any:
            response = admin.ask("POST", path, body=body)
            assert response.status == 201, response.body
            return orjson.loads(response.body)

        create("/api/v1/namespaces", {"metadata": {"name": run}})
        create(f"{core}/serviceaccounts", {"metadata": {"name": "app"}})
        token = create(f"{core}/serviceaccounts/app/token", {"spec": {}})["status"]["token"]
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
        who = [{"kind": "ServiceAccount", "namespace": run, "name": "app"}]
        edit = create(
            f"{RBAC}/namespaces/{run}/rolebindings", {"metadata": {"name": "e"}, "subjects": who, "roleRef": role}
        )
        access = replace(cluster.admin, certificate=None, key=None, token=token)
        try:
            with Client(access) as app:
                until(lambda: app.ask(*did[0]).status == 200)
                assert [app.ask(*it).status for it in did] == [200, 404, 404]
                assert app.ask("GET", "/api/v1/nodes").status == 403
            file = tmp_path / "roles.yaml"
            used = until(lambda: whole_log(cluster.audit_log, account))
            roles = auditlog.smallest(account, used)
            assert auditlog.replay(account, used, roles) == []
            assert [it["rules"] for it in roles.roles] == [
                [
                    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
                    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
                ]
            ]
            file.write_text(manifests(roles))
            admin.ask("DELETE", f"{RBAC}/namespaces/{run}/rolebindings/{edit['metadata']['name']}")
            create(f"{RBAC}/namespaces/{run}/roles", roles.roles[0])
            create(f"{RBAC}/namespaces/{run}/rolebindings", roles.role_bindings[0])
            with Client(access) as app:
                until(lambda: app.ask("GET", f"{core}/services").status == 403)  # edit is gone
                until(lambda: [app.ask(*it).status for it in did] == [200, 404, 404])
        finally:
            admin.ask("DELETE", f"/api/v1/namespaces/{run}")


def whole_log(path: str | None, account: str) -> auditlog.Used | None:
    """Read the log; None as long as it lacks the last request."""
    assert path is not None
    found = auditlog.read(Path(path)).users.get(account)
    return found if found is not None and any(it.subresource == "log" for it in found.times) else None


def until(found: Any) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return value
