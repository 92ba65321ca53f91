"""Hard case 26: a webhook that stands before RBAC decides otherwise than any rule, and is told apart from RBAC.

Whoever reads rules alone is wrong in all of it: allowed without a rule, denied in spite of one, and unknown (which is
not denied) when the webhook is down.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import yaml
from audits import RBAC, audit, kubeconfig
from webhookauthorizer import REASON

from conformance import cli
from conformance.clusters import embedded, pki
from conformance.transport import Client, impersonation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Access, Cluster

pytestmark = pytest.mark.server

PATIENCE = 60.0
IDENTITIES = """
identities:
  - {name: cluster-admin, kind: certificate, groups: ["system:masters"]}
  - {name: hook-allowed, kind: impersonate, user: hook-allowed}
  - {name: hook-denied, kind: impersonate, user: hook-denied, bind: [{clusterRole: edit, in: cluster}]}
  - {name: bystander, kind: impersonate, user: bystander, bind: [{clusterRole: edit, in: cluster}]}
"""


@dataclass(frozen=True, slots=True)
class Hooked:
    """A cluster whose webhook authorizer stands before RBAC, for namespace t1 only."""

    cluster: Cluster
    webhook: subprocess.Popen[str]


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hooked]:
    folder = tmp_path_factory.mktemp("webhook")
    authority = pki.authority("webhook")
    certificate, key = pki.sign_server(authority, "webhook", ["127.0.0.1"])
    for name, content in (("ca.crt", authority[0]), ("tls.crt", certificate), ("tls.key", key)):
        (folder / name).write_bytes(content)
    program = Path(__file__).with_name("webhookauthorizer.py")
    command = [sys.executable, str(program), str(folder / "tls.crt"), str(folder / "tls.key")]
    webhook = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert webhook.stdout is not None
        port = int(webhook.stdout.readline())
        with embedded.running(extra_args=[f"--authorization-config={_configuration(folder, port)}"]) as cluster:
            with Client(cluster.admin) as client:
                client.ask("POST", "/api/v1/namespaces", body={"metadata": {"name": "t1"}})
            yield Hooked(cluster, webhook)
    finally:
        webhook.kill()
        webhook.wait()
        assert webhook.stdout is not None
        webhook.stdout.close()


def _configuration(folder: Path, port: int) -> Path:
    server = {"server": f"https://127.0.0.1:{port}/", "certificate-authority": str(folder / "ca.crt")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": server}],
        "users": [{"name": "it", "user": {}}],
    }
    (folder / "webhook.conf").write_text(yaml.safe_dump(config))
    webhook = {
        "timeout": "3s",
        "authorizedTTL": "1ms",
        "unauthorizedTTL": "1ms",
        "subjectAccessReviewVersion": "v1",
        "matchConditionSubjectAccessReviewVersion": "v1",
        "failurePolicy": "Deny",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": str(folder / "webhook.conf")},
        "matchConditions": [
            {"expression": "has(request.resourceAttributes) && request.resourceAttributes.namespace == 't1'"}
        ],
    }
    authorizers = [
        {"type": "Webhook", "name": "house", "webhook": webhook},
        {"type": "Node", "name": "node"},
        {"type": "RBAC", "name": "rbac"},
    ]
    file = folder / "authorization.yaml"
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthorizationConfiguration",
        "authorizers": authorizers,
    }
    file.write_text(yaml.safe_dump(document))
    return file


def ask(access: Access, user: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Ask as somebody; give status and document."""
    with Client(access) as client:
        response = client.ask(method, path, body=body, headers=dict(impersonation(user, ())))
    return response.status, orjson.loads(response.body) if response.body.startswith(b"{") else response.body.decode()


@pytest.fixture(scope="module")
def matrix(hooked: Hooked, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("audited")
    (folder / "identities.yaml").write_text(IDENTITIES)
    done = audit(
        hooked.cluster,
        folder / "reports",
        f"--identities={folder / 'identities.yaml'}",
        "--namespaces=t1",
        "--",
        "-k",
        "v1/configmaps: or v1/secrets:",
    )
    assert done.code == 0, done.output[-3000:]
    return done.matrix()


@pytest.mark.parametrize(
    ("identity", "endpoint", "opinions", "verdict", "cause"),
    [
        ("hook-allowed", "v1/secrets:get:ns.t1", "allowed allowed denied", "info", "other-authorizer"),
        ("hook-allowed", "v1/configmaps:create:ns.t1", "allowed allowed denied", "info", "other-authorizer"),
        ("hook-allowed", "v1/secrets:get", "denied denied denied", "pass", None),
        ("hook-denied", "v1/configmaps:get:ns.t1", "denied denied allowed", "info", "other-authorizer"),
        ("hook-denied", "v1/configmaps:get", "allowed allowed allowed", "pass", None),
        ("bystander", "v1/configmaps:get:ns.t1", "allowed allowed allowed", "pass", None),
        ("cluster-admin", "v1/secrets:get:ns.t1", "allowed allowed allowed", "pass", None),
    ],
)
def test_what_the_webhook_decides_is_explained_by_it(
    identity: str, endpoint: str, opinions: str, verdict: str, cause: str | None, *, matrix: Any
) -> None:
    cell = next(it for it in matrix["cells"] if (it["identity"], it["endpoint"]) == (identity, endpoint))
    found = (" ".join(cell[it] for it in ("request", "review", "rules")), cell["verdict"], cell["cause"])
    assert found == (opinions, verdict, cause), cell
    assert cell["effective"] == cell["request"]
    if identity == "hook-denied" and cause:
        assert REASON in cell["witness"]["text"]


def test_the_server_tells_a_denial_from_no_opinion(hooked: Hooked) -> None:
    admin = hooked.cluster.admin
    spec = {"user": "hook-denied", "resourceAttributes": {"namespace": "t1", "verb": "get", "resource": "pods"}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    with Client(admin) as client:
        status = orjson.loads(
            client.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review).body
        )["status"]
    assert (status["allowed"], status["denied"], status["reason"]) == (False, True, REASON)
    rules = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "t1"}}
    code, found = ask(admin, "bystander", "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", rules)
    assert (code, found["status"]["incomplete"]) == (201, True)


def test_can_i_follows_the_server(hooked: Hooked, tmp_path: Path) -> None:
    config = ["--kubeconfig", str(kubeconfig(hooked.cluster, tmp_path))]
    assert cli.run(["can-i", "get", "secrets", "-n", "t1", "--as", "hook-allowed", *config]) == 0
    assert cli.run(["can-i", "get", "secrets", "-n", "default", "--as", "hook-allowed", *config]) == 1
    assert cli.run(["can-i", "get", "secrets", "-n", "t1", "--as", "hook-denied", *config]) == 1


def test_a_webhook_that_is_down_is_no_denial(hooked: Hooked, tmp_path: Path) -> None:
    """It comes last: nothing brings the webhook back."""
    hooked.webhook.kill()
    hooked.webhook.wait()
    deadline = time.monotonic() + PATIENCE
    while (found := ask(hooked.cluster.admin, "bystander", "GET", "/api/v1/namespaces/t1/configmaps/x"))[0] != 500:
        assert time.monotonic() < deadline, found
    (tmp_path / "identities.yaml").write_text(IDENTITIES)
    arguments = (f"--identities={tmp_path / 'identities.yaml'}", "--namespaces=t1", "--identity=bystander")
    done = audit(hooked.cluster, tmp_path / "reports", *arguments, "--", "-k", "v1/configmaps:get")
    assert done.code == 1, done.output[-3000:]  # not whole
    cells = {it["endpoint"]: it for it in done.matrix()["cells"]}
    assert cells["v1/configmaps:get:ns.t1"]["request"] == "unknown"
    assert cells["v1/configmaps:get:ns.t1"]["verdict"] == "not-evaluated"
    assert cells["v1/configmaps:get"]["request"] == "allowed"
    with Client(hooked.cluster.admin) as client:  # who is in system:masters is asked for no authorizer
        assert client.ask("GET", "/api/v1/namespaces/t1/secrets").status == 200
        assert client.ask("GET", f"{RBAC}/namespaces/t1/roles").status == 200
