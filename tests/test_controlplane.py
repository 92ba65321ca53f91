"""What the embedded control plane can do, each point shown on the running one."""

from __future__ import annotations

import base64
import json
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from conformance.clusters import controlplane, gomodule, pki
from conformance.model import Access
from conformance.transport import Client, expect_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.model import Cluster

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLE = {"metadata": {"name": "part", "labels": {"a": "1", "b": "2"}}, "rules": [{"verbs": ["get"]}]}


@pytest.mark.parametrize(
    ("selectors", "rules", "full"),
    [
        ([{"a": "1"}], [{"verbs": ["get"]}], True),
        ([{"a": "1"}], [{"verbs": ["list"]}, {"verbs": ["get"]}], True),
        ([{"a": "1"}], None, False),
        ([{"a": "1", "b": "2"}], [], False),
        ([{"a": "2"}], None, True),
        ([{"a": "2"}, {"b": "2"}], None, False),
        ([], None, True),
    ],
)
def test_roles_are_aggregated_when_each_has_what_its_selectors_name(
    selectors: list[dict[str, str]], rules: list[Any] | None, *, full: bool
) -> None:
    aggregation = {"clusterRoleSelectors": [{"matchLabels": labels} for labels in selectors]}
    whole = {"metadata": {"name": "whole"}, "aggregationRule": aggregation, "rules": rules}
    assert controlplane._aggregated([whole, ROLE]) is full


def test_a_port_that_is_held_is_nobody_elses() -> None:
    with controlplane._free_port() as first, controlplane._free_port() as second:
        assert first != second


@pytest.fixture
def admin(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.admin) as client:
        yield client


@pytest.fixture
def namespace(admin: Client) -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    create(admin, "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    admin.ask("DELETE", f"/api/v1/namespaces/{name}")


def create(client: Client, path: str, body: dict[str, Any]) -> Any:
    return expect_json(client.ask("POST", path, body=body), f"POST {path}")


def until(get: Callable[[], Any], seconds: float = 20) -> Any:
    """Poll until it gives something, and give that."""
    deadline = time.monotonic() + seconds
    while not (found := get()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found


def found(client: Client, path: str) -> Any:
    answer = client.ask("GET", path)
    return json.loads(answer.body) if answer.status == 200 else None


@pytest.mark.server
def test_it_is_of_the_version_that_was_asked_for(admin: Client) -> None:
    assert admin.get_json("/version")["gitVersion"] == gomodule.default_version()


@pytest.mark.server
def test_it_is_ready_as_every_user_finds_a_cluster(admin: Client) -> None:
    assert admin.ask("GET", "/readyz").status == 200
    for role in ("admin", "edit", "view"):
        assert admin.get_json(f"{RBAC}/clusterroles/{role}")["rules"]
    assert admin.get_json(f"{RBAC}/clusterrolebindings/cluster-admin")
    assert admin.get_json("/api/v1/namespaces/default/serviceaccounts/default")


@pytest.mark.server
def test_its_certificate_is_of_its_own_authority(cluster: Cluster) -> None:
    stranger = Access(cluster.admin.server, ca=pki.authority("stranger")[0])
    with Client(stranger) as client:
        assert "certificate" in (client.ask("GET", "/version").error or "")
    with Client(Access(cluster.admin.server, ca=cluster.admin.ca)) as client:
        assert client.ask("GET", "/version").status == 200
        assert client.ask("GET", "/api/v1/namespaces").status == 403


@pytest.mark.server
def test_its_signer_makes_users(cluster: Cluster) -> None:
    assert cluster.signer is not None
    for seconds, expected in ((600, 201), (-60, 401)):
        certificate, key = pki.sign_client(cluster.signer, "jane", ("devs",), seconds)
        with Client(Access(cluster.admin.server, ca=cluster.admin.ca, certificate=certificate, key=key)) as client:
            answer = client.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body={})
        assert answer.status == expected
        if expected == 201:
            user = json.loads(answer.body)["status"]["userInfo"]
            assert (user["username"], user["groups"]) == ("jane", ["devs", "system:authenticated"])


@pytest.mark.server
def test_nodes_are_restricted(cluster: Cluster, admin: Client) -> None:
    assert cluster.signer is not None
    certificate, key = pki.sign_client(cluster.signer, "system:node:one", ("system:nodes",))
    with Client(Access(cluster.admin.server, ca=cluster.admin.ca, certificate=certificate, key=key)) as node:
        body = {"metadata": {"name": "two"}}
        answer = node.ask("POST", "/api/v1/nodes", query={"dryRun": "All"}, body=body)
    assert answer.status == 403
    assert 'node "one" is not allowed to modify node "two"' in json.loads(answer.body)["message"]
    assert admin.ask("POST", "/api/v1/nodes", query={"dryRun": "All"}, body=body).status == 201


@pytest.mark.server
def test_a_front_proxy_is_believed_when_its_certificate_is(admin: Client) -> None:
    held = admin.get_json("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication")["data"]
    assert "BEGIN CERTIFICATE" in held["requestheader-client-ca-file"]
    assert held["requestheader-client-ca-file"] != held["client-ca-file"]
    assert json.loads(held["requestheader-allowed-names"]) == ["front-proxy-client"]
    assert json.loads(held["requestheader-username-headers"]) == ["X-Remote-User"]


@pytest.mark.server
def test_every_request_is_in_the_audit_log(cluster: Cluster, admin: Client) -> None:
    if cluster.audit_log is None:
        pytest.skip("this cluster has no audit log")
    log, mark = Path(cluster.audit_log), f"/api/v1/namespaces/{secrets.token_hex(8)}"
    assert admin.ask("GET", mark).status == 404
    entries = until(lambda: [json.loads(line) for line in log.read_text().splitlines() if mark in line])
    assert [(entry["stage"], entry["verb"], entry["level"]) for entry in entries] == [
        ("ResponseComplete", "get", "Metadata")
    ]


@pytest.mark.server
def test_a_namespace_has_its_account_and_root_certificate_and_can_go(admin: Client, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}"
    until(lambda: found(admin, f"{base}/serviceaccounts/default"))
    until(lambda: found(admin, f"{base}/configmaps/kube-root-ca.crt"))
    admin.ask("DELETE", base)
    until(lambda: admin.ask("GET", base).status == 404)


@pytest.mark.server
def test_account_tokens_are_made_and_believed(cluster: Cluster, admin: Client, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}"
    until(lambda: found(admin, f"{base}/serviceaccounts/default"))
    spec = {"spec": {"expirationSeconds": 600}}
    asked = create(admin, f"{base}/serviceaccounts/default/token", spec)["status"]["token"]
    annotations = {"kubernetes.io/service-account.name": "default"}
    secret = {"metadata": {"name": "kept", "annotations": annotations}, "type": "kubernetes.io/service-account-token"}
    create(admin, f"{base}/secrets", secret)
    kept = until(lambda: (found(admin, f"{base}/secrets/kept") or {}).get("data", {}).get("token"))
    for token in (asked, base64.b64decode(kept).decode()):
        with Client(Access(cluster.admin.server, ca=cluster.admin.ca, token=token)) as client:
            review = create(client, "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        assert review["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:default"


@pytest.mark.server
def test_certificate_requests_are_signed(admin: Client) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = f"test-{secrets.token_hex(4)}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jane")])
    wanted = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    base = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    spec = {
        "request": base64.b64encode(wanted.public_bytes(Encoding.PEM)).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
        "expirationSeconds": 600,
    }
    made = create(admin, base, {"metadata": {"name": name}, "spec": spec})
    made["status"] = {"conditions": [{"type": "Approved", "status": "True", "reason": "Test", "message": ""}]}
    approved = admin.ask("PUT", f"{base}/{name}/approval", body=made)
    assert approved.status == 200
    signed = until(lambda: (found(admin, f"{base}/{name}") or {}).get("status", {}).get("certificate"))
    parsed = x509.load_pem_x509_certificate(base64.b64decode(signed))
    assert parsed.public_key() == key.public_key()
    admin.ask("DELETE", f"{base}/{name}")


@pytest.mark.server
def test_roles_are_aggregated(admin: Client) -> None:
    name = f"test-{secrets.token_hex(4)}"
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    selector = {"clusterRoleSelectors": [{"matchLabels": {"test": name}}]}
    create(admin, f"{RBAC}/clusterroles", {"metadata": {"name": name}, "aggregationRule": selector, "rules": []})
    part = {"metadata": {"name": f"{name}-part", "labels": {"test": name}}, "rules": [rule]}
    create(admin, f"{RBAC}/clusterroles", part)
    assert until(lambda: admin.get_json(f"{RBAC}/clusterroles/{name}")["rules"]) == [rule]
    for each in (name, f"{name}-part"):
        admin.ask("DELETE", f"{RBAC}/clusterroles/{each}")


@pytest.mark.server
def test_quotas_are_counted_and_held(admin: Client, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}"
    until(lambda: found(admin, f"{base}/configmaps/kube-root-ca.crt"))
    create(admin, f"{base}/resourcequotas", {"metadata": {"name": "few"}, "spec": {"hard": {"configmaps": "1"}}})
    until(
        lambda: (found(admin, f"{base}/resourcequotas/few") or {}).get("status", {}).get("used") == {"configmaps": "1"}
    )
    answer = admin.ask("POST", f"{base}/configmaps", body={"metadata": {"name": "one-too-many"}})
    assert (answer.status, b"exceeded quota" in answer.body) == (403, True)


@pytest.mark.server
def test_garbage_is_collected(admin: Client, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}/configmaps"
    owner = create(admin, base, {"metadata": {"name": "owner"}})["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    create(admin, base, {"metadata": {"name": "owned", "ownerReferences": [reference]}})
    admin.ask("DELETE", f"{base}/owner")
    until(lambda: admin.ask("GET", f"{base}/owned").status == 404)


@pytest.mark.server
def test_its_kubeconfig_says_how_to_reach_it(cluster: Cluster) -> None:
    document = yaml.safe_load(controlplane.kubeconfig(cluster))
    server, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    access = Access(
        server["server"],
        ca=base64.b64decode(server["certificate-authority-data"]),
        certificate=base64.b64decode(user["client-certificate-data"]),
        key=base64.b64decode(user["client-key-data"]),
    )
    with Client(access) as client:
        assert client.get_json("/api")["kind"] == "APIVersions"
