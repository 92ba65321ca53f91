"""The lives of a control plane: as long as a block, as a process, or until `down`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.clusters import assets, embedded, processes
from conformance.errors import ClusterError, UsageError
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET: list[str] = []
OWNER = """
import time
from conformance.clusters import embedded
with embedded.running():
    time.sleep(300)
"""


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("KUBE_CONFORMANCE_STATE", str(tmp_path / "state"))


def until(holds: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


def programs_in(folder: Path) -> list[str]:
    """List what runs in a folder, by its working directory, or was told of it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where, command = (process / "cwd").readlink(), (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder) in str(where) or os.fsencode(folder) in command:
            found.append(f"{process.name} {command!r}")
    return found


def left(folder: Path) -> list[str]:
    """List what there is of control planes below this folder: processes, directories, files."""
    return [*programs_in(folder), *(str(path) for path in (folder / "tmp").iterdir())]


@pytest.mark.server
def test_nothing_is_left_after_the_block(tmp_path: Path) -> None:
    said = list[str]()
    with embedded.running(runtime_config="api/all=true", extra_args=["--v=1"], say=said.append) as cluster:
        with Client(cluster.admin) as client:
            versions = client.get_json("/apis")["groups"]
        assert any(group["name"] == "internal.apiserver.k8s.io" for group in versions)  # an alpha one
        assert cluster.ours
        assert cluster.audit_log is None
        assert not others_may_enter(tmp_path / "tmp")
        assert len(left(tmp_path)) >= 4
    assert left(tmp_path) == []
    assert any(sentence.startswith("ready after") for sentence in said)


@pytest.mark.server
def test_a_directory_without_the_controller_manager_serves_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    whole = assets.find(say=QUIET.append)
    for name in assets.NEEDED:
        (programs / name).symlink_to(whole.program(name).resolve())
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(programs))
    monkeypatch.delenv("KUBE_CONFORMANCE_ASSETS", raising=False)
    said = list[str]()
    with embedded.running(say=said.append) as cluster, Client(cluster.admin) as client:
        assert not client.get_json("/apis/rbac.authorization.k8s.io/v1/clusterroles/admin")["rules"]
    assert "without kube-controller-manager the roles admin, edit and view grant nothing" in said


def others_may_enter(folder: Path) -> bool:
    return any(path.stat().st_mode & 0o077 for path in folder.iterdir())


@pytest.mark.server
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"extra_args": ["--no-such-flag"]}, "kube-apiserver ended with code 1.*unknown flag: --no-such-flag"),
        ({"runtime_config": "nonsense.example/v1=true"}, "kube-apiserver ended with code .*nonsense"),
    ],
)
def test_a_program_that_ends_is_named_with_its_last_words(
    tmp_path: Path, arguments: dict[str, list[str]], words: str
) -> None:
    with (
        pytest.raises(ClusterError, match=f"(?s){words}"),
        embedded.running(say=QUIET.append, **arguments),  # type: ignore[arg-type]  # one of two
    ):
        pass
    assert left(tmp_path) == []


@pytest.mark.server
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("etcd.log", signal.SIGKILL),
        ("ca.crt", signal.SIGKILL),
        ("kube-apiserver.log", signal.SIGKILL),
        ("kube-controller-manager.log", signal.SIGKILL),
        ("kube-apiserver.log", signal.SIGINT),
        ("kube-controller-manager.log", signal.SIGTERM),
    ],
)
def test_nothing_outlives_a_process_that_ends_while_it_starts(tmp_path: Path, moment: str, number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd="/", stderr=subprocess.DEVNULL, env=environment()
    ) as owner:
        until(lambda: list((tmp_path / "tmp").glob(f"*/{moment}")))
        owner.send_signal(number)
    until(lambda: left(tmp_path) == [])


@pytest.mark.server
def test_a_killed_supervisor_ends_the_servers_and_the_next_one_sweeps(tmp_path: Path) -> None:
    embedded.up("one", say=QUIET.append)
    record = embedded._read("one")
    assert record is not None
    os.kill(record["pid"], signal.SIGKILL)
    until(lambda: programs_in(tmp_path) == [])
    status = embedded.status("one")
    assert status is not None
    assert (status.running, status.problem) == (False, "its processes are gone")
    assert embedded.down("one", say=QUIET.append)
    assert left(tmp_path) == []
    assert embedded.names() == ()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "conformance", "cluster", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.server
def test_a_cluster_of_the_command_lives_until_down(tmp_path: Path) -> None:
    up = command("up", "--name", "one")
    assert up.returncode == 0, up.stderr
    path = Path(up.stdout.strip())
    running = set(programs_in(tmp_path))
    again = command("up", "--name", "one")
    assert again.stdout == up.stdout
    assert "is running already" in again.stderr
    assert set(programs_in(tmp_path)) == running
    assert command("kubeconfig", "--name", "one").stdout == up.stdout
    assert command("kubeconfig", "--name", "one", "--content").stdout == path.read_text("utf-8")
    listed = command("status")
    assert (listed.returncode, listed.stdout.split("\t")[0]) == (0, "one")
    other = command("up", "--name", "one", "--kubernetes-version", "1.30")
    assert other.returncode == 4
    assert "not 1.30" in other.stderr
    down = command("down", "--name", "one")
    assert down.returncode == 0, down.stderr
    assert left(tmp_path) == []
    assert command("down", "--name", "one").returncode == 0
    assert command("status", "--name", "one").returncode == 4


@pytest.mark.server
def test_two_of_different_names_live_side_by_side(tmp_path: Path) -> None:
    first, second = (embedded.up(name, say=QUIET.append) for name in ("one", "two"))
    assert first.admin.server != second.admin.server
    assert embedded.names() == ("one", "two")
    assert embedded.down("one", say=QUIET.append)
    status = embedded.status("two")
    assert status is not None
    assert status.running
    assert embedded.down("two", say=QUIET.append)
    assert left(tmp_path) == []


def test_down_ends_no_process_that_only_has_the_number() -> None:
    with subprocess.Popen(["sleep", "300"]) as foreign:
        embedded._record("one").parent.mkdir(parents=True)
        embedded._record("one").write_text(
            f'{{"pid": {foreign.pid}, "born": "another boot/1", "directory": "/nowhere/at-all", "server": "https://x",'
            ' "version": "v1.37.2"}'
        )
        assert embedded.down("one", say=QUIET.append)
        assert processes.birth(foreign.pid) is not None
        foreign.kill()
    assert embedded.status("one") is None


@pytest.mark.parametrize("name", ["", "../one", "One", "a" * 41, "-a", "a/b"])
def test_a_name_that_is_no_name_is_told(name: str) -> None:
    with pytest.raises(UsageError, match="no name for a cluster"):
        embedded.status(name)
