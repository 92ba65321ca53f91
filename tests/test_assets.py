"""Where programs come from, with programs that are scripts: one real build is shown by every server test."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from conformance.clusters import assets, gomodule, processes, releases
from conformance.errors import AssetsError, UsageError
from conformance.files import data

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = gomodule.default_version()
QUIET: list[str] = []

# Does what `go build -o PATH` does, after saying its number, and its child's, in a file beside itself.
FAKE_GO = """#!/bin/sh
echo "$@" >> {log}
case "$*" in *" build "*) ;; *) exit 0;; esac
while [ "$1" != -o ]; do shift; done
sh -c 'echo $$ >> {pids}; exec sleep {seconds}'
echo $$ >> {pids}
[ {code} = 0 ] && printf '#!/bin/sh\\necho built\\n' > "$2" && chmod +x "$2"
echo "what the compiler says"
exit {code}
"""


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*assets.DIRECTORIES, "KUBE_CONFORMANCE_MIRROR", "KUBE_CONFORMANCE_GO"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KUBE_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KUBE_CONFORMANCE_OFFLINE", "1")


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def fake_go(folder: Path, monkeypatch: pytest.MonkeyPatch, *, seconds: float = 0, code: int = 0) -> Path:
    """Put a compiler in place; gives the file in which it logs its calls."""
    log = folder / "log"
    go = script(folder / "fake-go", FAKE_GO.format(log=log, pids=folder / "pids", seconds=seconds, code=code))
    monkeypatch.setenv("KUBE_CONFORMANCE_GO", str(go))
    return log


def directory(folder: Path, *without: str, version: str = "v1.35.1") -> Path:
    for name in set(gomodule.PROGRAMS) - set(without):
        script(folder / name, f"#!/bin/sh\necho Kubernetes {version}\n")
    return folder


def until(holds: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not (callable(holds) and holds()):
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


def entries() -> list[str]:
    """Give what the cache holds but for its locks."""
    return sorted(entry.name for entry in assets.cache().iterdir() if entry.suffix != ".lock")


@pytest.mark.parametrize("variable", assets.DIRECTORIES)
@pytest.mark.parametrize("version", [None, "1.35", "v1.35.1"])
def test_a_directory_that_the_user_names_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, version: str | None
) -> None:
    monkeypatch.setenv(variable, str(directory(tmp_path / "own")))
    found = assets.find(version, say=QUIET.append)
    assert found == assets.Assets("v1.35.1", tmp_path / "own")
    assert found.program("etcd") == tmp_path / "own" / "etcd"


def test_our_variable_comes_before_the_one_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBE_CONFORMANCE_ASSETS", str(directory(tmp_path / "own")))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(directory(tmp_path / "other")))
    assert assets.find(say=QUIET.append).directory == tmp_path / "own"


def test_a_directory_may_lack_the_controller_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(directory(tmp_path, assets.MANAGER)))
    assert not assets.find(say=QUIET.append).controllers


@pytest.mark.parametrize(
    ("without", "says", "message"),
    [
        ("etcd", "v1.36.1", "lacks etcd"),
        ("kubectl", "v1.36.1", "lacks kubectl"),
        ("", "nothing known", "--version says"),
        ("", "v1.35.1", "holds Kubernetes v1.35.1, not 1.36.1"),
        ("", "v1.36.10", "holds Kubernetes v1.36.10, not 1.36.1"),
    ],
)
def test_a_wrong_directory_is_an_error_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str, says: str, message: str
) -> None:
    monkeypatch.setenv("KUBE_CONFORMANCE_ASSETS", str(directory(tmp_path, without, version=says)))
    with pytest.raises(AssetsError, match=message):
        assets.find("1.36.1", say=QUIET.append)


@pytest.mark.parametrize("version", ["", "2.0", "1", "latest", "1.37.2.1", "1.37.2-rc.1", "../1.37"])
def test_what_is_no_version_is_told(version: str) -> None:
    with pytest.raises(UsageError, match="no version of Kubernetes"):
        assets.find(version, say=QUIET.append)


@pytest.mark.parametrize("version", [None, DEFAULT, DEFAULT[1:], DEFAULT[1:].rpartition(".")[0]])
def test_it_is_built_once_and_found_in_the_cache_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    log, said = fake_go(tmp_path, monkeypatch), list[str]()
    first = assets.find(version, say=said.append)
    assert first.version == DEFAULT
    for name in gomodule.PROGRAMS:
        assert subprocess.check_output([first.program(name)], text=True) == "built\n"
    assert assets.find(version, say=said.append) == first
    assert log.read_text().count(" build ") == 1
    assert entries() == [first.directory.name]
    assert any("about 10 minutes on 2 cores" in sentence for sentence in said)


def test_the_build_is_for_this_version_and_reproducible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = fake_go(tmp_path, monkeypatch)
    assets.find(say=QUIET.append)
    assert f"build -v -trimpath -ldflags {gomodule.link_flags(DEFAULT)} -o " in log.read_text()


def test_other_sources_are_another_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(tmp_path, monkeypatch)
    first = assets.find(say=QUIET.append)
    changed = tmp_path / "controlplane"
    changed.mkdir()
    for name in gomodule.SOURCES:
        (changed / name).write_bytes((data("controlplane") / name).read_bytes())
    (changed / "main.go").write_text("package main\n")
    monkeypatch.setattr(assets, "data", lambda _: changed)
    assert assets.find(say=QUIET.append).directory != first.directory


@pytest.mark.parametrize("minor", ["1.36"])
def test_a_minor_version_is_resolved_by_whoever_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minor: str
) -> None:
    fake_go(tmp_path, monkeypatch)  # lists no version
    monkeypatch.setattr(releases, "newest", refuse)
    with pytest.raises(AssetsError, match=r"newest patch of Kubernetes 1\.36 is not known"):
        assets.find(minor, say=QUIET.append)
    for patch in ("v1.36.9", "v1.36.10", "v1.35.11"):
        (assets.cache() / f"{patch}-linux-amd64-{assets._key(patch).rpartition('-')[2]}").mkdir(parents=True)
    assert assets._exact(minor, QUIET.append) == "v1.36.10"
    monkeypatch.setattr(releases, "newest", lambda _: "v1.36.12")
    assert assets._exact(minor, QUIET.append) == "v1.36.12"
    monkeypatch.setattr(gomodule, "newest", lambda *_: "v1.36.11")
    assert assets._exact(minor, QUIET.append) == "v1.36.11"
    assert assets._exact("1.36.1", QUIET.append) == "v1.36.1"


def refuse(*_: object, **__: object) -> Path:
    raise AssetsError("not today")


def test_a_failed_download_falls_through_to_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    fake_go(tmp_path, monkeypatch)
    monkeypatch.setattr(releases, "download", refuse)
    assert assets.find(say=said.append).program("etcd").exists()
    assert "download: not today" in said


def test_a_download_makes_a_build_needless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(home: processes.Programs, *_: object, **__: object) -> Path:
        return directory(home.directory / "programs")

    log = fake_go(tmp_path, monkeypatch)
    monkeypatch.setattr(releases, "download", download)
    assert assets.find(say=QUIET.append).program("etcd").exists()
    assert not log.exists()


def test_when_nothing_helps_the_error_lists_what_was_tried_and_what_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_go(tmp_path, monkeypatch, code=1)
    with pytest.raises(AssetsError) as caught:
        assets.find(say=QUIET.append)
    for words in (
        "KUBE_CONFORMANCE_ASSETS and KUBEBUILDER_ASSETS: not set",
        "download: KUBE_CONFORMANCE_OFFLINE is set",
        "build: build ended with code 1:\nwhat the compiler says",
        "https://go.dev/dl",
        "--allow-unpinned",
    ):
        assert words in str(caught.value)
    assert entries() == []


def test_two_at_once_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = fake_go(tmp_path, monkeypatch, seconds=0.5)
    found = list[assets.Assets]()
    both = [threading.Thread(target=lambda: found.append(assets.find(say=QUIET.append))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert found[0] == found[1]
    assert log.read_text().count(" build ") == 1


def test_a_killed_build_leaves_nothing_and_the_next_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_go(tmp_path, monkeypatch, seconds=300)
    with subprocess.Popen(
        [sys.executable, "-c", "from conformance.clusters import assets; assets.find()"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    ) as killed:
        until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text())
        killed.kill()
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    until(lambda: all(processes.birth(pid) is None for pid in pids) and entries() == [])
    fake_go(tmp_path, monkeypatch)
    assert assets.find(say=QUIET.append).program("etcd").exists()
