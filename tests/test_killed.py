"""An audit that is killed at any moment leaves no process, no temporary data, and nothing on the cluster for long."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.clusters import embedded
from conformance.identities import leftovers
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cluster

pytestmark = pytest.mark.server

KILLS = int(os.environ.get("KUBE_CONFORMANCE_KILLS", "4"))  # `nox -s kills` kills twenty times
SEED = int(os.environ.get("KUBE_CONFORMANCE_SEED", str(time.time_ns() % 100_000)))
SOON = 20.0
ROWS = "v1/pods and not other"


def audit(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start an audit whose temporary files are in a folder of their own, by which its processes are known as well."""
    (folder / "tmp").mkdir(exist_ok=True, parents=True)
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "conformance",
            "audit",
            "--reports",
            str(folder / "reports"),
            "--no-checks",
            *arguments,
            "--",
            "-k",
            ROWS,
        ],
        env=os.environ | {"TMPDIR": str(folder / "tmp"), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )


def alive(folder: Path) -> list[str]:
    """Give the processes whose environment or working directory is the folder's."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and f"TMPDIR={folder / 'tmp'}".encode() in environment:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def whole_run(folder: Path, *arguments: str) -> float:
    """Give the seconds that an audit takes when nobody kills it."""
    began = time.monotonic()
    assert audit(folder, *arguments).wait(timeout=300) == 0
    return time.monotonic() - began


def moments(seconds: float) -> list[float]:
    """Spread the kills over the whole run, each at random within its part of it."""
    drawn = random.Random(SEED)  # noqa: S311  # moments, no secrets
    return [(part + drawn.random()) * seconds / KILLS for part in range(KILLS)]


def until(deadline: float, reached: object) -> None:
    """Poll until `reached` gives something false, and fail with what is left."""
    assert callable(reached)
    while left := reached():
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_killed_with_its_own_control_plane(tmp_path: Path) -> None:
    seconds = whole_run(tmp_path)
    for moment in moments(seconds):
        process = audit(tmp_path)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(time.monotonic() + SOON, lambda: alive(tmp_path))
        until(time.monotonic() + SOON, lambda: [str(path) for path in (tmp_path / "tmp").iterdir()])
        reports = tmp_path / "reports"
        assert not [path.name for path in reports.iterdir() if path.name.startswith(".partial")], (SEED, moment)


@pytest.fixture
def named() -> Iterator[tuple[str, Cluster]]:
    """A control plane that outlives the audits which are killed."""
    name = f"killed-{os.getpid()}"
    try:
        yield name, embedded.up(name, say=lambda _: None)
    finally:
        embedded.down(name, say=lambda _: None)


def test_killed_on_a_cluster_that_lives_on(tmp_path: Path, named: tuple[str, Cluster]) -> None:
    name, cluster = named
    seconds = whole_run(tmp_path, "--context", name)
    for moment in moments(seconds):
        process = audit(tmp_path, "--context", name)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(time.monotonic() + SOON, lambda: alive(tmp_path))
    whole_run(tmp_path, "--context", name)  # the next run removes what they left
    with Client(cluster.admin) as client:

        def left() -> list[str]:
            found = leftovers.find(client, ours=True)
            return [each.name for each in (*found.dead, *found.alive)]

        until(time.monotonic() + SOON, left)
