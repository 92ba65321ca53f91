"""A context of a kubeconfig is somebody on the real server, by each way that kubectl knows; no error repeats a key."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

from conformance.clusters import kubeconfig, pki
from conformance.errors import ClusterError, ConformanceError, FileError, UsageError
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conformance.model import Access, Cluster

SECRET = "kc-secret-0123456789abcdef0123456789abcdef"


def b64(data: bytes | None) -> str:
    return base64.b64encode(data or b"").decode()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a kubeconfig of one context `it`; `server` and `user` are its cluster and its user."""

    def write(server: dict[str, Any], user: dict[str, Any], name: str = "config", **rest: Any) -> Path:
        file = tmp_path / name
        document = {
            "clusters": [{"name": "c", "cluster": server}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "it", "context": {"cluster": "c", "user": "u"} | rest}],
            "current-context": "it",
        }
        file.write_text(yaml.safe_dump(document), "utf-8")
        return file

    return write


def server_of(cluster: Cluster) -> dict[str, Any]:
    return {"server": cluster.admin.server, "certificate-authority-data": b64(cluster.admin.ca)}


def admin_of(cluster: Cluster) -> dict[str, Any]:
    return {"client-certificate-data": b64(cluster.admin.certificate), "client-key-data": b64(cluster.admin.key)}


def whoami(access: Access) -> tuple[str, list[str]]:
    with Client(access) as client:
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = client.ask("POST", path, body=body)
        assert answer.status == 201, (answer.status, answer.error, answer.body)
        info = json.loads(answer.body)["status"]["userInfo"]
        return info["username"], info["groups"]


def token_of(cluster: Cluster, account: str = "default") -> str:
    with Client(cluster.admin) as client:
        path = f"/api/v1/namespaces/kube-system/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        answer = client.ask("POST", path, body=body)
        assert answer.status == 201, answer.body
        return str(json.loads(answer.body)["status"]["token"])


def quiet(_: str) -> None:
    return


def access_of(file: Path, context: str = "it") -> Access:
    return kubeconfig.cluster(file, context, say=quiet).admin


# --- who a context is -------------------------------------------------------------------------------------------------

DEFAULT = "system:serviceaccount:kube-system:default"


@pytest.mark.server
def test_a_certificate_in_data_and_in_files_beside_the_kubeconfig(
    cluster: Cluster, write: Callable[..., Path], tmp_path: Path
) -> None:
    given = kubeconfig.cluster(write(server_of(cluster), admin_of(cluster), namespace="here"), "current")
    assert (given.provider, given.name, given.ours, given.signer) == ("kubeconfig", "it", False, None)
    who = whoami(cluster.admin)
    assert whoami(given.admin) == who
    for name, content in (("ca", cluster.admin.ca), ("crt", cluster.admin.certificate), ("key", cluster.admin.key)):
        (tmp_path / name).write_bytes(content or b"")
    user = {"client-certificate": "crt", "client-key": str(tmp_path / "key")}
    access = access_of(write({"server": cluster.admin.server, "certificate-authority": "ca"}, user))
    assert whoami(access) == who
    assert access.renew is not None
    assert whoami(access.renew()) == who
    assert kubeconfig.read(tmp_path / "config").namespace("it") == "default"


@pytest.mark.server
def test_a_token_and_a_token_file_that_is_replaced(
    cluster: Cluster, write: Callable[..., Path], tmp_path: Path
) -> None:
    token = token_of(cluster)
    assert whoami(access_of(write(server_of(cluster), {"token": token})))[0] == DEFAULT
    (tmp_path / "token").write_text("no-token\n")
    access = access_of(write(server_of(cluster), {"tokenFile": "token"}))
    assert access.expires is not None
    assert access.expires > time.time()
    with Client(access) as client:
        assert client.ask("GET", "/api").status == 401
        (tmp_path / "token").write_text(f"{token}\n")
        assert client.ask("GET", "/api").status == 200  # read again after the 401
        assert client.access.token == token
    (tmp_path / "token").unlink()
    assert access.renew is not None
    assert access.renew().token == "no-token"  # what it had last


PLUGIN = """\
#!{python}
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
runs = here / "runs"
runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
(here / "info").write_text(json.dumps(info))
assert os.environ["FROM_KUBECONFIG"] == "yes" and sys.argv[1:] == ["get", "it"]
status = json.loads((here / "status").read_text())
print(json.dumps({{"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": status}}))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> tuple[dict[str, Any], Callable[[dict[str, Any]], None]]:
    """A real credential plugin, and a way to say what it gives."""
    script = tmp_path / "plugins" / "give"
    script.parent.mkdir()
    script.write_text(PLUGIN.format(python=sys.executable))
    script.chmod(0o700)
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "./plugins/give",
            "args": ["get", "it"],
            "env": [{"name": "FROM_KUBECONFIG", "value": "yes"}],
            "interactiveMode": "Never",
            "provideClusterInfo": True,
        }
    }

    def gives(status: dict[str, Any]) -> None:
        (script.parent / "status").write_text(json.dumps(status))

    return user, gives


@pytest.mark.server
def test_a_credential_plugin_gives_a_token_until_it_lapses(
    cluster: Cluster, write: Callable[..., Path], tmp_path: Path, plugin: Any
) -> None:
    user, gives = plugin
    (tmp_path / "ca").write_bytes(cluster.admin.ca or b"")
    gives({"token": "stale", "expirationTimestamp": "2020-01-01T00:00:00Z"})
    access = access_of(write({"server": cluster.admin.server, "certificate-authority": "ca"}, user))
    info = json.loads((tmp_path / "plugins" / "info").read_text())
    assert info["spec"]["cluster"]["server"] == cluster.admin.server
    assert info["spec"]["cluster"]["certificate-authority-data"] == b64(cluster.admin.ca)  # from the file
    assert access.expires is not None
    assert access.expires < time.time()
    gives({"token": token_of(cluster), "expirationTimestamp": "2999-01-01T00:00:00Z"})
    with Client(access) as client:
        assert client.ask("GET", "/api").status == 200  # it had lapsed, so the plugin was run before the request
        assert client.ask("GET", "/api").status == 200
        assert client.access.expires is not None
        assert client.access.expires > time.time() + 3600
    assert (tmp_path / "plugins" / "runs").read_text() == "xx"


@pytest.mark.server
def test_a_credential_plugin_gives_a_certificate(cluster: Cluster, write: Callable[..., Path], plugin: Any) -> None:
    if cluster.signer is None:
        pytest.skip("the cluster's authority is not at hand")
    user, gives = plugin
    certificate, key = pki.sign_client(cluster.signer, "from-plugin", ["some"], 3600)
    gives({"clientCertificateData": certificate.decode(), "clientKeyData": key.decode()})
    access = access_of(write(server_of(cluster), user))
    assert whoami(access) == ("from-plugin", ["some", "system:authenticated"])
    assert access.expires is not None
    assert time.time() + 2000 < access.expires < time.time() + 3500  # from the certificate itself


@pytest.mark.server
def test_a_context_that_asks_as_somebody_else(cluster: Cluster, write: Callable[..., Path]) -> None:
    somebody = {"as": "Jürgen", "as-groups": ["g1", "g 2"], "as-uid": "7", "as-user-extra": {"a/b": ["1", "2"]}}
    access = access_of(write(server_of(cluster), admin_of(cluster) | somebody))
    assert whoami(access) == ("Jürgen", ["g1", "g 2", "system:authenticated"])


# --- how the server is reached ----------------------------------------------------------------------------------------


@pytest.mark.server
def test_the_server_is_verified_by_the_name_that_the_kubeconfig_says(
    cluster: Cluster, write: Callable[..., Path]
) -> None:
    right = server_of(cluster) | {"tls-server-name": "localhost"}
    assert whoami(access_of(write(right, admin_of(cluster)))) == whoami(cluster.admin)
    wrong = server_of(cluster) | {"tls-server-name": "elsewhere.example"}
    with Client(access_of(write(wrong, admin_of(cluster)))) as client:
        assert "elsewhere.example" in (client.ask("GET", "/version").error or "")


@pytest.mark.server
def test_a_server_that_is_not_verified_is_spoken_of(cluster: Cluster, write: Callable[..., Path]) -> None:
    said: list[str] = []
    server = {"server": cluster.admin.server, "insecure-skip-tls-verify": True}
    access = kubeconfig.cluster(write(server, admin_of(cluster)), "it", say=said.append).admin
    assert whoami(access) == whoami(cluster.admin)
    assert "insecure-skip-tls-verify" in said[0]
    with Client(access_of(write({"server": cluster.admin.server}, admin_of(cluster)))) as client:
        assert client.ask("GET", "/version").error  # without the CA nothing is sent


@pytest.fixture
def tunnel() -> Iterator[tuple[str, list[str]]]:
    """A forward proxy that knows CONNECT only, and what it was asked for."""
    asked: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def pipe(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the other side has hung up
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        client, _ = listener.accept()
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        asked.append(head.split(b"\r\n")[0].decode())
        host, port = head.split()[1].decode().rsplit(":", 1)
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        back = threading.Thread(target=pipe, args=(server, client))
        back.start()
        pipe(client, server)
        back.join()
        client.close()
        server.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    thread.join(10)
    listener.close()
    assert not thread.is_alive()


@pytest.mark.server
def test_a_proxy_is_used_because_the_kubeconfig_says_so(
    cluster: Cluster, write: Callable[..., Path], tunnel: tuple[str, list[str]]
) -> None:
    server = server_of(cluster) | {"proxy-url": tunnel[0]}
    assert whoami(access_of(write(server, admin_of(cluster)))) == whoami(cluster.admin)
    assert tunnel[1] == [f"CONNECT {urlsplit(cluster.admin.server).netloc} HTTP/1.1"]


@pytest.mark.server
def test_inside_a_pod_the_account_of_the_pod_is_used(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig, "IN_CLUSTER_FOLDER", tmp_path)
    address = urlsplit(cluster.admin.server)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", address.hostname or "")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(UsageError, match="no context 'in-cluster'"):
        kubeconfig.cluster(None, "in-cluster")
    (tmp_path / "ca.crt").write_bytes(cluster.admin.ca or b"")
    (tmp_path / "token").write_text(token_of(cluster))
    (tmp_path / "namespace").write_text("kube-system")
    for name in ("in-cluster", "current"):
        found = kubeconfig.cluster(None, name)
        assert (found.name, found.ours) == ("in-cluster", False)
        assert whoami(found.admin)[0] == DEFAULT
    assert kubeconfig.read().namespace("in-cluster") == "kube-system"


# --- which files and which context ------------------------------------------------------------------------------------


def test_several_files_are_read_as_one(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write({"server": "https://first"}, {"token": "t"}, "first")
    second = tmp_path / "second"
    document = yaml.safe_load(first.read_text())
    document["clusters"] = [
        {"name": "c", "cluster": {"server": "https://hidden"}},
        {"name": "d", "cluster": {"server": "https://second/prefix"}},
    ]
    document["contexts"] += [{"name": "other", "context": {"cluster": "d", "user": "u", "namespace": "n"}}]
    document["current-context"] = "other"
    second.write_text(yaml.safe_dump(document))
    listed = os.pathsep.join([str(tmp_path / "absent"), str(first), str(second)])
    monkeypatch.setenv("KUBECONFIG", listed)
    config = kubeconfig.read()
    assert config.access(config.context("current")).server == "https://first"
    assert config.access("other").server == "https://second/prefix"
    assert (config.namespace("it"), config.namespace("other")) == ("default", "n")
    assert kubeconfig.read(listed) == config
    assert kubeconfig.read(second).access("it").server == "https://hidden"
    with pytest.raises(UsageError, match="--context NAME, or --context current; contexts: it, other"):
        kubeconfig.cluster(None, None)
    with pytest.raises(UsageError, match=r"no context 'mine' in .*; contexts: it, other"):
        kubeconfig.cluster(None, "mine")


def test_no_kubeconfig_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UsageError, match="no kubeconfig names no current context; contexts: none"):
        kubeconfig.cluster(None, "current")
    with pytest.raises(UsageError, match="there is no kubeconfig"):
        kubeconfig.cluster(tmp_path / "absent", "current")


SERVER = {"server": "https://127.0.0.1:1"}
BAD_USERS: dict[str, tuple[dict[str, Any], str]] = {
    "a number for a token": ({"token": 12}, "token has to be text"),
    "no base64": ({"client-certificate-data": "%" + SECRET}, "client-certificate-data is no base64"),
    "a key that is not there": ({"client-certificate": "absent"}, "absent cannot be read: No such file"),
    "a certificate without key": ({"client-certificate-data": b64(b"x")}, "no client-key"),
    "a token file that is not there": ({"tokenFile": "absent"}, "absent cannot be read: No such file"),
    "a password": ({"username": "u", "password": SECRET}, "username is not supported"),
    "a provider that is gone": ({"auth-provider": {"name": "gcp"}}, "left kubectl with 1.26"),
    "a provider's old token": ({"auth-provider": {"name": "oidc", "config": {"id-token": SECRET}}}, "has expired"),
    "no command": ({"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}, "exec needs a command"),
    "groups of nobody": ({"as-groups": ["g"]}, "need the key as"),
    "a name that splits a header": ({"token": SECRET, "as": "a\nImpersonate-Group: system:masters"}, "cannot be sent"),
    "a mapping of nothing": ({"exec": {"apiVersion": "v", "command": "x", "env": [{"nam": "a"}]}}, "exec has to have"),
}


@pytest.mark.parametrize(("user", "words"), BAD_USERS.values(), ids=BAD_USERS)
def test_a_user_that_cannot_be_read(write: Callable[..., Path], user: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        access_of(write(SERVER, user))
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


BAD_FILES = {
    "no YAML": f"users: [{{token: {SECRET}\n",
    "no mapping": f"- {SECRET}\n",
    "no list": "contexts: 7\n",
    "no name": f"users: [{{user: {{token: {SECRET}}}}}]\n",
    "no cluster": "contexts: [{name: it, context: {user: u}}]\nusers: [{name: u, user: {}}]\n",
    "a cluster that is not there": "contexts: [{name: it, context: {cluster: c}}]\n",
    "no server": "contexts: [{name: it, context: {cluster: c}}]\nclusters: [{name: c, cluster: {}}]\n",
    "no UTF-8": b"\xff",
}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "config"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileError) as caught:
        access_of(file)
    assert str(file) in str(caught.value)
    assert SECRET not in str(caught.value)


PLUGINS = {
    "it fails": (f"import sys; sys.exit('log in again, not {SECRET}')", "log in again, not (left out)"),
    "it gives no JSON": (f"print('{SECRET}')", "failed to decode"),
    "it gives another kind": ("print('{}')", "missing key"),
    "it gives nothing": ("print(json.dumps(base | {'status': {}}))", "neither a token nor a certificate"),
    "it gives a bad date": ("print(json.dumps(base | {'status': {'token': 't', 'expirationTimestamp': 'x'}}))", "date"),
    "it gives half a pair": ("print(json.dumps(base | {'status': {'clientKeyData': 'k'}}))", "with key"),
}  # fmt: skip


@pytest.mark.parametrize(("script", "words"), PLUGINS.values(), ids=PLUGINS)
def test_a_credential_plugin_that_does_not_do_its_work(write: Callable[..., Path], script: str, words: str) -> None:
    version = "client.authentication.k8s.io/v1"
    head = f"import json; base = {{'apiVersion': '{version}', 'kind': 'ExecCredential'}}; "
    user = {"exec": {"apiVersion": version, "command": sys.executable, "args": ["-c", head + script]}}
    with pytest.raises(ClusterError) as caught:
        access_of(write(SERVER, user))
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_credential_plugin_that_is_not_installed(write: Callable[..., Path]) -> None:
    user = {"exec": {"apiVersion": "v", "command": "no-such-plugin", "installHint": "get it from the shop"}}
    with pytest.raises(ConformanceError, match=r"no-such-plugin of user u cannot be run: .*; get it from the shop"):
        access_of(write(SERVER, user))


def test_nothing_that_is_shown_holds_a_credential(write: Callable[..., Path]) -> None:
    file = write(SERVER, {"token": SECRET, "client-key-data": b64(SECRET.encode())})
    config = kubeconfig.read(file)
    for value in (config, config.users["u"], config.access("it"), kubeconfig.cluster(file, "it")):
        assert SECRET not in repr(value)
        assert b64(SECRET.encode()) not in repr(value)
