"""Through `kubectl proxy`: who that is, what is shown, what is filtered, and that nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import kubeconfigs
import pytest
from kubeconfigs import DEFAULT, admin_of, b64, server_of, token_of, whoami, write

from conformance.clusters import kubeconfig, processes
from conformance.errors import FileError, IdentityError
from conformance.identities import Spec, load, proxy
from conformance.identities.stage import prepare
from conformance.model import Access
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.model import Cluster


@pytest.fixture(autouse=True)
def _no_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)


def specs_of(folder: Path, *entries: str) -> tuple[Spec, ...]:
    file = folder / "identities.yaml"
    file.write_text("identities:\n" + "".join(f"- {entry}\n" for entry in entries), "utf-8")
    return load(file)


def until(holds: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


def started(socket: str) -> int:
    """Give the number of the kubectl that serves in this directory."""
    home = Path(socket).parent
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == home and b"proxy" in (entry / "cmdline").read_bytes().split(b"\0"):
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError(f"no kubectl in {home}")


def opened() -> list[str]:
    """Give what our descriptors are of; the one that lists them is gone when it is looked at."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names, not paths
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
    return found


@pytest.mark.server
def test_the_admin_behind_a_proxy(cluster: Cluster, tmp_path: Path) -> None:
    specs = specs_of(tmp_path, "{name: behind, kind: proxy}")
    with prepare(cluster, specs, run_id="proxy", mode="observe", say=pytest.fail) as ready:
        (column,) = ready.columns
        access = column.access
        assert (column.identity.user, list(column.identity.groups)) == whoami(cluster.admin)
        # Nothing is shown to the proxy, and nobody else of this machine can use it.
        assert access == Access("http://localhost", unix_socket=access.unix_socket)
        assert access.unix_socket is not None
        assert Path(access.unix_socket).parent.stat().st_mode & 0o777 == 0o700
        with Client(access) as client:
            listed = client.ask("GET", "/api/v1/namespaces")
            refused = client.ask("GET", "/api/v1/namespaces/default/pods/absent/exec")
            other_host = client.ask("GET", "/api", headers={"Host": "elsewhere.example"})
        assert (listed.status, "audit-id" in listed.headers) == (200, True)
        assert (refused.status, "audit-id" in refused.headers) == (403, False)
        assert (other_host.status, "audit-id" in other_host.headers) == (403, False)
        # The credential is in no file, argument or variable.
        number, home = started(access.unix_socket), Path(access.unix_socket).parent
        key = b64(cluster.admin.key)[64:128].encode()
        assert sorted(entry.name for entry in home.iterdir()) == ["kubectl-s.log", "s"]
        for place in ("cmdline", "environ"):
            assert key not in Path(f"/proc/{number}/{place}").read_bytes()
        assert key not in (home / "kubectl-s.log").read_bytes()
        assert not any("memfd:kubeconfig" in target for target in opened())
    assert not home.exists()
    assert processes.birth(number) is None


@pytest.mark.server
def test_a_context_behind_a_proxy(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token_of(cluster))
    write(tmp_path, server_of(cluster), {"tokenFile": "token"}, "account")
    runs = write(tmp_path, server_of(cluster), admin_of(cluster) | {"as": "jane"}, "runs")
    specs = specs_of(
        tmp_path,
        "{name: account, kind: proxy, kubeconfig: account, context: current}",
        "{name: run, kind: proxy}",
    )
    named = replace(cluster, name="it", kubeconfig=str(runs))
    with prepare(named, specs, run_id="proxy", mode="observe", say=pytest.fail) as ready:
        assert [column.identity.user for column in ready.columns] == [DEFAULT, "jane"]


@pytest.mark.server
def test_a_server_below_a_path_behind_a_proxy(cluster: Cluster, tmp_path: Path) -> None:
    with kubeconfigs.below("/one", cluster, tmp_path) as address:
        write(tmp_path, server_of(cluster) | {"server": address}, {"token": token_of(cluster)})
        specs = specs_of(tmp_path, "{name: a, kind: proxy, kubeconfig: config, context: it}")
        with prepare(cluster, specs, run_id="proxy", mode="observe", say=pytest.fail) as ready:
            assert ready.columns[0].identity.user == DEFAULT


@pytest.mark.server
def test_a_pods_own_account_behind_a_proxy(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeconfig, "IN_CLUSTER_FOLDER", tmp_path)
    host, _, port = cluster.admin.server.removeprefix("https://").partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    (tmp_path / "ca.crt").write_bytes(cluster.admin.ca or b"")
    (tmp_path / "token").write_text(token_of(cluster))
    inside = kubeconfig.open(None, "in-cluster")
    specs = specs_of(tmp_path, "{name: a, kind: proxy}", "{name: b, kind: proxy, context: in-cluster}")
    with prepare(inside, specs, run_id="proxy", mode="observe", say=pytest.fail) as ready:
        assert [column.identity.user for column in ready.columns] == [DEFAULT, DEFAULT]


@pytest.mark.server
def test_a_proxy_that_does_not_start_is_one_error_with_its_last_words(cluster: Cluster, tmp_path: Path) -> None:
    plugin = {"apiVersion": "no/such", "command": "/bin/false", "interactiveMode": "Never"}
    write(tmp_path, server_of(cluster), {"exec": plugin})
    specs = specs_of(tmp_path, "{name: a, kind: proxy, kubeconfig: config, context: it}")
    with (
        pytest.raises(IdentityError, match=r"identity a: kubectl proxy ended:\nerror: .*no/such"),
        prepare(cluster, specs, run_id="proxy", mode="observe", say=pytest.fail),
    ):
        pytest.fail("was prepared")


OWNER = """
import sys, time
from pathlib import Path
from conformance.clusters import kubeconfig
from conformance.identities import load
from conformance.identities.stage import prepare
cluster = kubeconfig.open(Path(sys.argv[1]), "it")
with prepare(cluster, load(Path(sys.argv[2])), run_id="proxy", mode="observe") as ready:
    print(ready.columns[0].access.unix_socket, flush=True)
    time.sleep(300)
"""


@pytest.mark.server
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_whoever_asked_for_it(cluster: Cluster, tmp_path: Path, number: int) -> None:
    file = write(tmp_path, server_of(cluster), admin_of(cluster))
    specs_of(tmp_path, "{name: a, kind: proxy}")
    argv = [sys.executable, "-c", OWNER, str(file), str(tmp_path / "identities.yaml")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as owner:
        assert owner.stdout is not None
        socket = owner.stdout.readline().strip()
        kubectl = started(socket)
        owner.send_signal(number)
        owner.wait()
    until(lambda: processes.birth(kubectl) is None and not Path(socket).parent.exists())


@pytest.mark.server
def test_a_long_path_for_temporary_things_is_no_hindrance(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = tmp_path / ("far" * 30)
    far.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(far))
    with prepare(cluster, specs_of(tmp_path, "{name: a, kind: proxy}"), run_id="p", mode="observe") as ready:
        assert ready.columns[0].identity.user == whoami(cluster.admin)[0]


def test_without_kubectl_it_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBE_CONFORMANCE_ASSETS", "KUBEBUILDER_ASSETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBE_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    (spec,) = specs_of(tmp_path, "{name: a, kind: proxy}")
    assert "there is no kubectl on PATH" in proxy.hindrance(spec, None)  # type: ignore[arg-type]  # it is not looked at
    for folder in ("bin", "cache/controlplane/v1.37.2-x"):
        (tmp_path / folder).mkdir(parents=True)
        program = tmp_path / folder / "kubectl"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o700)
    assert proxy.kubectl() == program
    monkeypatch.setenv("KUBE_CONFORMANCE_ASSETS", str(tmp_path / "bin"))
    assert proxy.kubectl() == tmp_path / "bin" / "kubectl"


MISTAKES = {
    "no context": ("{name: a, kind: proxy, kubeconfig: config}", "'context' is missing"),
    "bound": ("{name: a, kind: proxy, bind: [{clusterRole: view}]}", "only the server knows"),
    "another key": ("{name: a, kind: proxy, port: '8001'}", "valid keys: .*kubeconfig, context"),
}


@pytest.mark.parametrize(("entry", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found_when_the_file_is_read(tmp_path: Path, entry: str, words: str) -> None:
    with pytest.raises(FileError, match=words) as caught:
        specs_of(tmp_path, entry)
    assert caught.value.line == 2
