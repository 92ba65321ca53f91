"""Which context is meant, what several files say together, and how its server is reached."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import kubeconfigs
import pytest
import yaml
from kubeconfigs import DEFAULT, SECRET, SERVER, access_of, admin_of, b64, server_of, token_of, whoami, write

from conformance.clusters import kubeconfig
from conformance.errors import FileError, UsageError
from conformance.transport import Client

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster


@pytest.fixture(autouse=True)
def _no_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have a kubeconfig, sit behind a proxy, or in a pod."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# --- how the server is reached ----------------------------------------------------------------------------------------


@pytest.mark.server
def test_a_context_is_a_cluster_that_is_not_ours(cluster: Cluster, tmp_path: Path) -> None:
    file = write(tmp_path, server_of(cluster), admin_of(cluster), namespace="here")
    given = kubeconfig.open(file, "current")
    assert (given.provider, given.name, given.ours, given.signer) == ("kubeconfig", "it", False, None)
    assert given.kubeconfig == str(file)
    assert whoami(given.admin) == whoami(cluster.admin)
    assert kubeconfig.read(file).namespace("it") == "here"


@pytest.mark.server
def test_the_server_is_verified_by_the_name_that_the_kubeconfig_says(cluster: Cluster, tmp_path: Path) -> None:
    right = server_of(cluster) | {"tls-server-name": "localhost"}
    assert whoami(access_of(write(tmp_path, right, admin_of(cluster)))) == whoami(cluster.admin)
    wrong = server_of(cluster) | {"tls-server-name": "elsewhere.example"}
    with Client(access_of(write(tmp_path, wrong, admin_of(cluster)))) as client:
        assert "elsewhere.example" in (client.ask("GET", "/version").error or "")


@pytest.mark.server
def test_a_server_that_is_not_verified_is_spoken_of(cluster: Cluster, tmp_path: Path) -> None:
    said: list[str] = []
    server = {"server": cluster.admin.server, "insecure-skip-tls-verify": True}
    access = access_of(write(tmp_path, server, admin_of(cluster)), said)
    assert whoami(access) == whoami(cluster.admin)
    assert "insecure-skip-tls-verify" in said[0]


@pytest.mark.server
def test_without_an_authority_what_the_machine_trusts_is_trusted(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = access_of(write(tmp_path, {"server": cluster.admin.server}, admin_of(cluster)))
    with Client(access) as client:
        assert client.ask("GET", "/version").error
    (tmp_path / "trusted").write_bytes(cluster.admin.ca or b"")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted"))
    assert whoami(access) == whoami(cluster.admin)


@pytest.mark.server
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_proxy_of_the_kubeconfig(cluster: Cluster, tmp_path: Path, *, tls: bool) -> None:
    said: list[str] = []
    context = kubeconfigs.served(cluster, tmp_path) if tls else None
    with kubeconfigs.tunnel(cluster.admin, context) as proxy:
        url = f"{'https' if tls else 'http'}://me:{SECRET}@127.0.0.1:{proxy.port}"
        file = write(tmp_path, server_of(cluster) | {"proxy-url": url}, admin_of(cluster))
        access = access_of(file, said)
        assert whoami(access) == whoami(cluster.admin)
    assert proxy.heads[0].startswith(f"CONNECT {urlsplit(cluster.admin.server).netloc} HTTP/1.1")
    assert f"Proxy-Authorization: Basic {b64(f'me:{SECRET}'.encode())}" in proxy.heads[0]
    assert f"127.0.0.1:{proxy.port} (proxy-url)" in said[0]
    assert SECRET not in said[0] + repr(access)


@pytest.mark.server
def test_a_proxy_of_the_environment_and_a_name_that_is_not_the_servers(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    port = urlsplit(cluster.admin.server).port
    server = server_of(cluster) | {"server": f"https://api.lab.invalid:{port}", "tls-server-name": "localhost"}
    file = write(tmp_path, server, admin_of(cluster))
    with kubeconfigs.tunnel(cluster.admin) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert whoami(access_of(file, said)) == whoami(cluster.admin)
        assert proxy.heads[0].startswith(f"CONNECT api.lab.invalid:{port} HTTP/1.1")
        assert "(HTTPS_PROXY)" in said[0]
        # A server on this machine, or one that is excepted, is asked directly.
        assert whoami(access_of(write(tmp_path, server_of(cluster), admin_of(cluster), "direct")))
        monkeypatch.setenv("NO_PROXY", "lab.invalid")
        with Client(access_of(file)) as client:
            assert client.ask("GET", "/version").error
        assert len(proxy.heads) == 1


@pytest.mark.server
def test_a_server_below_a_path(cluster: Cluster, tmp_path: Path) -> None:
    with kubeconfigs.below("/k8s/clusters/one", cluster, tmp_path) as address:
        user = {"token": token_of(cluster)}
        access = access_of(write(tmp_path, server_of(cluster) | {"server": f"{address}/"}, user))
        assert whoami(access)[0] == DEFAULT
        with Client(replace(access, server=address.removesuffix("/one"))) as client:
            assert client.ask("GET", "/version").status == 404


@pytest.mark.server
def test_inside_a_pod_the_account_of_the_pod_is_used_when_it_is_named(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig, "IN_CLUSTER_FOLDER", tmp_path)
    address = urlsplit(cluster.admin.server)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", address.hostname or "")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    with pytest.raises(UsageError, match="there is no kubeconfig"):
        kubeconfig.open(None, "in-cluster")
    (tmp_path / "ca.crt").write_bytes(cluster.admin.ca or b"")
    (tmp_path / "token").write_text(token_of(cluster))
    assert kubeconfig.read().namespace("in-cluster") == "default"
    (tmp_path / "namespace").write_text("kube-system")
    with pytest.raises(UsageError, match=r"say which cluster is meant: .*; contexts: in-cluster"):
        kubeconfig.open(None, None)
    for name in ("in-cluster", "current"):
        found = kubeconfig.open(None, name)
        assert (found.name, found.ours, found.kubeconfig) == ("in-cluster", False, None)
        assert whoami(found.admin)[0] == DEFAULT
        assert found.admin.renew is not None
    assert kubeconfig.read().namespace("in-cluster") == "kube-system"
    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path, SERVER, {})))
    assert kubeconfig.open(None, "current").name == "it"
    assert kubeconfig.open(None, "in-cluster").admin.server == cluster.admin.server


# --- which files and which context ------------------------------------------------------------------------------------


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Three files of which the first is not there and the last two disagree."""
    first = write(tmp_path, {"server": "https://first"}, {"token": "t"}, "first")
    document = yaml.safe_load(first.read_text())
    document["clusters"] = [
        {"name": "c", "cluster": {"server": "https://hidden", "proxy-url": "http://hidden"}},
        {"name": "d", "cluster": {"server": "https://second/prefix"}},
    ]
    document["contexts"] += [{"name": "other", "context": {"cluster": "d", "user": "u", "namespace": "there"}}]
    document["current-context"] = "other"
    (tmp_path / "second").write_text(yaml.safe_dump(document))
    listed = os.pathsep.join(str(tmp_path / name) for name in ("absent", "first", "second"))
    monkeypatch.setenv("KUBECONFIG", listed)
    return listed


def test_of_several_files_the_first_that_names_a_thing_wins(several: str, tmp_path: Path) -> None:
    config = kubeconfig.read()
    assert config.access(config.context("current")).server == "https://first"
    assert config.access("it").proxy is None
    assert config.access("other").server == "https://second/prefix"
    assert (config.namespace("it"), config.namespace("other")) == ("default", "there")
    assert kubeconfig.read(several) == config
    assert kubeconfig.read(tmp_path / "second").access("it").server == "https://hidden"
    assert kubeconfig.open(None, "other").kubeconfig == os.pathsep.join(several.split(os.pathsep)[1:])


@pytest.mark.server
@pytest.mark.usefixtures("cluster", "several")
def test_kubectl_reads_several_files_the_same_way(kubectl: Path) -> None:
    done = subprocess.run([kubectl, "config", "view", "-o", "json"], capture_output=True, check=False)
    assert not done.returncode, done.stderr
    view, config = json.loads(done.stdout), kubeconfig.read()
    assert config.current == view["current-context"]
    assert {name: dict(entry.value) for name, entry in config.clusters.items()} == {
        entry["name"]: entry["cluster"] for entry in view["clusters"]
    }
    assert {name: dict(entry.value) for name, entry in config.contexts.items()} == {
        entry["name"]: entry["context"] for entry in view["contexts"]
    }


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("context", "words"),
    [
        (None, "say which cluster is meant: --context NAME, or --context current; contexts: it, other"),
        ("", "say which cluster is meant"),
        ("mine", r"no context 'mine' in .*; contexts: it, other"),
        ("in-cluster", r"no context 'in-cluster' in .*; contexts: it, other"),
    ],
)
def test_no_cluster_is_meant_by_accident(context: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        kubeconfig.open(None, context)


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(("answer", "named"), [("y\n", True), ("Yes\n", True), ("\n", False), ("other\n", False)])
def test_at_a_terminal_the_current_context_is_taken_when_somebody_says_so(
    answer: str, *, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, encoding="utf-8") as stdin, os.fdopen(os.dup(theirs), "w", encoding="utf-8") as stderr:
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("sys.stderr", stderr)
        os.write(ours, answer.encode())
        if named:
            assert kubeconfig.open(None, None).name == "it"
        else:
            with pytest.raises(UsageError, match="say which cluster is meant"):
                kubeconfig.open(None, None)
        said = ""
        while "[y/N]" not in said:
            said += os.read(ours, 4096).decode()
        monkeypatch.undo()
    os.close(ours)
    assert "is the current context 'it' meant (https://first)" in said


def test_no_kubeconfig_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for context in ("current", None):
        with pytest.raises(UsageError, match=r"there is no kubeconfig .*/\.kube/config"):
            kubeconfig.open(None, context)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "gone"))
    with pytest.raises(UsageError, match=r"there is no kubeconfig .*/gone"):
        kubeconfig.open(None, "current")
    with pytest.raises(UsageError, match=r"there is no kubeconfig .*/absent"):
        kubeconfig.open(tmp_path / "absent", "current")
    (tmp_path / "gone").write_text("")
    with pytest.raises(UsageError, match="gone names no current context; contexts: none"):
        kubeconfig.open(None, "current")


def test_the_usual_place(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    write(tmp_path / ".kube", SERVER, {})
    assert kubeconfig.open(None, "it").kubeconfig == str(tmp_path / ".kube" / "config")


# --- what is refused --------------------------------------------------------------------------------------------------

_TWICE = "{name: it, context: {cluster: c}}"
BAD_FILES: dict[str, tuple[str | bytes, str]] = {
    "no YAML": (f"users: [{{token: {SECRET}\n", "no YAML"),
    "no mapping": (f"- {SECRET}\n", "it has to be a mapping"),
    "no list": ("contexts: 7\n", "contexts has to be a list"),
    "no name": (f"users: [{{user: {{token: {SECRET}}}}}]\n", "each with a name and a user"),
    "no user's mapping": (f"users: [{{name: u, user: {SECRET}}}]\n", "each with a name and a user"),
    "a name twice": (f"contexts: [{_TWICE}, {_TWICE}]\n", "two entries of the name it"),
    "no cluster": ("contexts: [{name: it, context: {user: u}}]\n", "the key cluster is missing"),
    "a cluster that is not there": ("contexts: [{name: it, context: {cluster: c}}]\n", "no cluster 'c'"),
    "a user that is not there": (
        "contexts: [{name: it, context: {cluster: c, user: x}}]\nclusters: [{name: c, cluster: {server: a}}]\n",
        "no user 'x'",
    ),
    "no server": ("contexts: [{name: it, context: {cluster: c}}]\nclusters: [{name: c}]\n", "server has to be"),
    "no UTF-8": (b"\xff", "no UTF-8"),
}


@pytest.mark.parametrize(("content", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: str | bytes, words: str) -> None:
    file = tmp_path / "config"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileError) as caught:
        access_of(file)
    assert str(file) in str(caught.value)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


BAD_SERVERS: dict[str, tuple[dict[str, Any], str]] = {
    "a password": ({"server": f"https://me:{SECRET}@h"}, "server has to be an address"),
    "a query": ({"server": f"https://h/?token={SECRET}"}, "server has to be an address"),
    "another scheme": ({"server": "unix:///run/x"}, "server has to be an address"),
    "no port": ({"server": "https://h:x"}, "server has to be an address"),
    "a line break": ({"server": "https://h/\nHost: x"}, "server has to be an address"),
    "an authority and none": (
        SERVER | {"insecure-skip-tls-verify": True, "certificate-authority-data": b64(b"x")},
        "contradict each other",
    ),
    "no switch": (SERVER | {"insecure-skip-tls-verify": "true"}, "has to be true or false"),
    "no authority": (SERVER | {"certificate-authority-data": b64(b"x")}, "is not PEM"),
    "an authority that is not there": (SERVER | {"certificate-authority": "absent"}, "absent cannot be read"),
    "a name that is none": (SERVER | {"tls-server-name": "elsewhere.example/"}, "has to be the name of a host"),
    "no proxy": (SERVER | {"proxy-url": f"ftp://me:{SECRET}@h"}, "proxy-url is no proxy's address"),
}


@pytest.mark.parametrize(("server", "words"), BAD_SERVERS.values(), ids=BAD_SERVERS)
def test_a_server_that_cannot_be_meant(tmp_path: Path, server: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        access_of(write(tmp_path, server, {}))
    assert words in str(caught.value)
    assert str(tmp_path / "config") in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("h:6443", "https://h:6443"),
        ("http://127.0.0.1:8001/", "http://127.0.0.1:8001"),
        ("https://h/p/", "https://h/p"),
    ],
)
def test_how_a_server_may_be_written(tmp_path: Path, said: str, meant: str) -> None:
    assert access_of(write(tmp_path, {"server": said}, {})).server == meant


def test_a_server_without_tls_is_spoken_of(tmp_path: Path) -> None:
    said: list[str] = []
    access_of(write(tmp_path, {"server": "http://h"}, {}), said)
    assert "without TLS" in said[0]
