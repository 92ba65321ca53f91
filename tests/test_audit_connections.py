"""Whole audits of somebody's cluster, by each way in that a kubeconfig knows: as a user runs them, to their end."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import kubeconfigs
import pytest
import yaml
from audits import RBAC
from kubeconfigs import V1, admin_of, server_of, token_of, write

from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conformance.model import Cluster

pytestmark = pytest.mark.server

ACCOUNTS = "/api/v1/namespaces/kube-system/serviceaccounts"


@dataclass(slots=True)
class Way:
    """How a cluster is reached: both parts of a kubeconfig, the environment, and what the audit has to say of it."""

    server: dict[str, Any]
    user: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    used: Callable[[], bool] = lambda: True


def command(reports: Path, *arguments: str) -> list[str]:
    """Give the command that audits somebody's cluster and writes nothing there."""
    asked = ["--cluster=kubeconfig", "--mode=observe", "--no-checks", f"--reports={reports}"]
    return [sys.executable, "-m", "conformance", "audit", *asked, *arguments]


def environment(**more: str) -> dict[str, str]:
    """Give the environment, without what may lead elsewhere."""
    proxies = {f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "NO", "ALL")}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in {*proxies, "KUBECONFIG"}}
    return kept | {"PYTHONPATH": os.pathsep.join(sys.path)} | more


def by_several_files(cluster: Cluster, folder: Path, _: ExitStack) -> Way:
    """Have cluster and user in two files, after one that is lost, and before one with another user of that name."""
    document = yaml.safe_load(write(folder, server_of(cluster), admin_of(cluster), "whole").read_text("utf-8"))
    for name, parts in (("users", ("users",)), ("rest", ("clusters", "contexts"))):
        (folder / name).write_text(yaml.safe_dump({part: document[part] for part in parts}), "utf-8")
    write(folder, kubeconfigs.SERVER, {"token": "of somebody else"}, "last")
    listed = os.pathsep.join(str(folder / name) for name in ("absent", "users", "rest", "last"))
    return Way(server_of(cluster), {}, {"KUBECONFIG": listed})


def by_certificate_files(cluster: Cluster, folder: Path, _: ExitStack) -> Way:
    for name, content in (("ca", cluster.admin.ca), ("crt", cluster.admin.certificate), ("key", cluster.admin.key)):
        (folder / name).write_bytes(content or b"")
    server = {"server": cluster.admin.server, "certificate-authority": "ca"}
    return Way(server, {"client-certificate": "crt", "client-key": "key"})


def unverified(cluster: Cluster, _: Path, __: ExitStack) -> Way:
    server = {"server": cluster.admin.server, "insecure-skip-tls-verify": True}
    return Way(server, admin_of(cluster), says=("is not verified (insecure-skip-tls-verify)",))


def by_proxy_url(cluster: Cluster, _: Path, stack: ExitStack) -> Way:
    proxy = stack.enter_context(kubeconfigs.tunnel(cluster.admin))
    server = server_of(cluster) | {"proxy-url": f"http://127.0.0.1:{proxy.port}"}
    return Way(server, admin_of(cluster), says=("(proxy-url)",), used=lambda: bool(proxy.heads))


def by_the_environments_proxy(cluster: Cluster, _: Path, stack: ExitStack) -> Way:
    """Reach a name that only the proxy knows, and that is not the one in the server's certificate."""
    proxy = stack.enter_context(kubeconfigs.tunnel(cluster.admin))
    name = f"https://api.lab.invalid:{urlsplit(cluster.admin.server).port}"
    server = server_of(cluster) | {"server": name, "tls-server-name": "localhost"}
    variables = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
    return Way(server, admin_of(cluster), variables, ("(HTTPS_PROXY)",), lambda: bool(proxy.heads))


def below_a_path(cluster: Cluster, folder: Path, stack: ExitStack) -> Way:
    address = stack.enter_context(kubeconfigs.below("/k8s/clusters/one", cluster, folder))
    token = token_of(cluster, "namespace-controller")
    return Way(server_of(cluster) | {"server": address}, {"token": token})


@pytest.mark.parametrize(
    "made", [by_several_files, by_certificate_files, unverified, by_proxy_url, by_the_environments_proxy, below_a_path]
)
def test_an_audit_goes_this_way(
    cluster: Cluster, tmp_path: Path, made: Callable[[Cluster, Path, ExitStack], Way]
) -> None:
    with ExitStack() as stack:
        way = made(cluster, tmp_path, stack)
        named = [] if "KUBECONFIG" in way.environment else [f"--kubeconfig={write(tmp_path, way.server, way.user)}"]
        done = subprocess.run(
            [*command(tmp_path, *named, "--context=it", "--identity=you"), "--", "-k", "configmaps"],
            env=environment(**way.environment),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert way.used()
    assert done.returncode == 0, done.stdout + done.stderr
    for words in way.says:
        assert words in done.stderr
    found = json.loads((tmp_path / "latest" / "matrix.json").read_bytes())
    assert found["cluster"]["server"] == way.server["server"]
    assert found["summary"]["verdicts"]["pass"] == found["summary"]["cells"] > 10


@pytest.mark.parametrize("arguments", [(), ("--plan",)], ids=["run", "plan"])
def test_a_cluster_that_nobody_named_is_not_even_connected_to(
    cluster: Cluster, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = server_of(cluster) | {"server": f"https://127.0.0.1:{listener.getsockname()[1]}"}
        ambient = str(write(tmp_path, server, admin_of(cluster)))
        done = subprocess.run(
            command(tmp_path, *arguments),
            env=environment(KUBECONFIG=ambient),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert done.returncode == 4, done.stdout + done.stderr
    assert "say which cluster is meant: --context NAME" in done.stderr
    assert not (tmp_path / "latest").exists()


@contextmanager
def account(cluster: Cluster) -> Iterator[Callable[[], tuple[str, Callable[[], None]]]]:
    """Have an account that may read the rules; gives what makes a token of it, beside what ends that token."""
    name = f"kct-{secrets.token_hex(3)}"
    with Client(cluster.admin) as client:

        def post(path: str, body: Any) -> Any:
            answer = client.ask("POST", path, body=body)
            assert answer.status == 201, answer
            return json.loads(answer.body)

        def token() -> tuple[str, Callable[[], None]]:
            bound = f"{name}-{secrets.token_hex(3)}"
            held = "/api/v1/namespaces/kube-system/secrets"
            made = post(held, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": bound}})
            to = {"apiVersion": "v1", "kind": "Secret", "name": bound, "uid": made["metadata"]["uid"]}
            asked = {"spec": {"expirationSeconds": 3600, "boundObjectRef": to}}
            request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"} | asked
            given = post(f"{ACCOUNTS}/{name}/token", request)["status"]["token"]

            def end() -> None:
                with Client(cluster.admin) as admin:
                    assert admin.ask("DELETE", f"{held}/{bound}").status == 200

            return given, end

        post(ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        subject = {"kind": "ServiceAccount", "namespace": "kube-system", "name": name}
        post(f"{RBAC}/clusterrolebindings", kind | {"roleRef": role, "subjects": [subject]})
        try:
            yield token
        finally:
            for path in (f"{RBAC}/clusterrolebindings/{name}", f"{ACCOUNTS}/{name}"):
                assert client.ask("DELETE", path).status == 200


def test_tokens_that_rotate_while_an_audit_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    """One user reads a token file, that of another context asks a plugin; the server ends the tokens of both."""
    printed = {"apiVersion": V1, "kind": "ExecCredential"}
    plugin = tmp_path / "give"
    plugin.write_text(
        f"#!{sys.executable}\nimport json, pathlib\nhere = pathlib.Path(__file__).parent\n"
        f"open(here / 'asked', 'a').write('.')\nstatus = {{'token': (here / 'second').read_text()}}\n"
        f"print(json.dumps({printed} | {{'status': status}}))\n"
    )
    plugin.chmod(0o700)
    execs = {"apiVersion": V1, "command": str(plugin), "interactiveMode": "Never"}
    write(tmp_path, server_of(cluster), {"exec": execs}, "other")
    identities = tmp_path / "identities.yaml"
    other = "{name: exec, kind: context, kubeconfig: other, context: it}"
    identities.write_text(f"identities:\n- {{name: file, kind: context}}\n- {other}\n")
    with account(cluster) as token:
        ends = []
        for name in ("first", "second"):
            given, end = token()
            (tmp_path / name).write_text(given)
            ends.append(end)
        file = write(tmp_path, server_of(cluster), {"tokenFile": "first"})
        named = [f"--kubeconfig={file}", "--context=it", f"--identities={identities}"]
        process = subprocess.Popen(
            [*command(tmp_path, *named, "--qps=12"), "--", "-k", "configmaps or pods"],
            env=environment(),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        said: list[str] = []
        while not said or "asking:" not in said[-1]:  # who they are was told before the first item
            said.append(process.stderr.readline())
            assert said[-1], said
        for name in ("first", "second"):
            (tmp_path / name).write_text(token()[0])
        for end in ends:
            end()
        output, errors = process.communicate(timeout=300)
    found = json.loads((tmp_path / "latest" / "matrix.json").read_bytes())
    assert found["run"]["complete"], output + errors
    assert found["summary"]["verdicts"]["pass"] == found["summary"]["cells"], output + errors
    assert len((tmp_path / "asked").read_text()) >= 2, "the plugin was asked once"
