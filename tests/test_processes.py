from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.clusters import processes
from conformance.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A program with a child of its own: both must go. Each says its number in a file of the directory.
FAMILY = ["sh", "-c", "sh -c 'echo $$ > child; exec sleep 300' & echo $$ > parent; wait"]
OWNER = """
import sys, time
from pathlib import Path
from conformance.clusters.processes import Programs
with Programs(Path(sys.argv[1]), "x-") as home:
    home.start("family", {family!r})
    print(home.directory, home.pid, flush=True)
    time.sleep(300)
"""


def until(holds: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


def family(directory: Path) -> list[int]:
    """Wait for both and give their numbers."""
    until(lambda: all((directory / name).exists() and (directory / name).read_text() for name in ("parent", "child")))
    return [int((directory / name).read_text()) for name in ("parent", "child")]


def gone(pids: list[int]) -> bool:
    return all(processes.birth(pid) is None for pid in pids)


def test_nothing_is_left_when_it_is_closed(tmp_path: Path) -> None:
    with processes.Programs(tmp_path, "x-") as home:
        assert home.directory.stat().st_mode & 0o777 == 0o700
        home.start("family", FAMILY)
        pids = family(home.directory)
        assert not gone(pids)
    assert gone([*pids, home.pid])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER.format(family=FAMILY), tmp_path], stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        yield started
        started.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_whoever_asked_for_it(owner: subprocess.Popen[str], tmp_path: Path, number: int) -> None:
    assert owner.stdout is not None
    directory, pid = owner.stdout.readline().split()
    pids = [*family(Path(directory)), int(pid)]
    owner.send_signal(number)
    owner.wait()
    until(lambda: gone(pids) and list(tmp_path.iterdir()) == [])


def test_a_killed_supervisor_takes_its_programs_along_and_the_next_one_sweeps(tmp_path: Path) -> None:
    home = processes.Programs(tmp_path, "x-")
    home.start("sleep", ["sh", "-c", "echo $$ > pid; exec sleep 300"])
    until(lambda: (home.directory / "pid").exists() and (home.directory / "pid").read_text())
    pid = int((home.directory / "pid").read_text())
    os.kill(home.pid, signal.SIGKILL)
    until(lambda: gone([pid]))
    with pytest.raises(ClusterError, match="is gone"):
        home.ended("sleep", 5)
    left = home.directory
    with processes.Programs(tmp_path, "x-") as next_one:
        assert not left.exists()
        assert next_one.directory.exists()  # a sweep leaves what lives
        processes.sweep(tmp_path, "x-")
        assert next_one.directory.exists()
    home.close()


@pytest.mark.parametrize(
    ("name", "age", "swept"), [("new-x-1", 0, False), ("new-x-1", 3600, True), ("y-1", 3600, False)]
)
def test_a_sweep_takes_only_what_is_nobodys(tmp_path: Path, name: str, age: float, *, swept: bool) -> None:
    (tmp_path / name).mkdir()
    then = time.time() - age
    os.utime(tmp_path / name, (then, then))
    processes.sweep(tmp_path, "x-")
    assert (tmp_path / name).exists() is not swept


def test_a_sweep_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "x-link").symlink_to(tmp_path / "precious")
    processes.sweep(tmp_path, "x-")
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["sh", "-c", "echo first; echo last >&2; exit 7"], 7, "first\nlast"),
        (["/nowhere/program"], 127, "No such file"),
        (["sh", "-c", "kill -9 $$"], -9, ""),
    ],
)
def test_the_end_of_a_program_is_told_with_its_last_words(
    tmp_path: Path, argv: list[str], code: int, words: str
) -> None:
    with processes.Programs(tmp_path, "x-") as home:
        home.start("it", argv)
        assert home.ended("it", 10) == code
        assert words in home.last_lines("it")
        home.start("other", ["sleep", "300"])
        assert home.ended("other") is None


def test_what_is_detached_lives_until_it_is_ended(tmp_path: Path) -> None:
    with processes.Programs(tmp_path, "x-") as home:
        home.start("family", FAMILY)
        pids, born = family(home.directory), processes.birth(home.pid)
        home.detach()
    assert born is not None
    assert not gone([*pids, home.pid])
    assert home.directory.exists()
    processes.end(home.pid, born)
    assert gone([*pids, home.pid])
    assert list(tmp_path.iterdir()) == []


def test_a_process_of_the_same_number_and_another_birth_is_never_ended() -> None:
    with subprocess.Popen(["sleep", "300"]) as foreign:
        born = processes.birth(foreign.pid)
        assert born is not None
        processes.end(foreign.pid, born + "1")
        assert foreign.poll() is None
        processes.end(foreign.pid, born)
        assert gone([foreign.pid])


def test_a_folder_that_takes_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((ClusterError, FileExistsError, NotADirectoryError)):
        processes.Programs(tmp_path / "file", "x-")
