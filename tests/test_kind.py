"""The provider kind where there is no engine to ask: what is missing is one sentence that says how it is had."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from conformance.clusters import engines, keeper, kind, kindmaking
from conformance.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEAKS = """#!/bin/sh
[ "$1" = info ] && {{ echo "{said}" >&2; exit {code}; }}
[ "$1" = images ] && {{ printf '{images}'; exit 0; }}
exit 0
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH, but for the shell that the programs of a test are written in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(engines.CHOICE, raising=False)
    for variable in (kindmaking.IMAGE, kindmaking.CONFIG, kindmaking.NODES):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KUBE_CONFORMANCE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("KUBE_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    return folder


def program(folder: Path, name: str, code: int = 0, said: str = "", images: str = "") -> None:
    """Have a container engine that says this."""
    file = folder / name
    file.write_text(SPEAKS.format(code=code, said=said, images=images), "utf-8")
    file.chmod(0o755)


@pytest.mark.usefixtures("path")
def test_without_any_engine_all_that_would_do_are_named() -> None:
    assert kind.is_available() == (
        "kind needs a container engine, and there is no docker, nerdctl or podman on PATH; install one of them"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("docker", "start its daemon (`systemctl start docker`), or set DOCKER_HOST to one that runs"),
        ("nerdctl", "start containerd"),
        ("podman", "see what `podman info` says"),
    ],
)
def test_an_engine_that_does_not_run_says_what_it_says_and_how_it_is_started(path: Path, name: str, words: str) -> None:
    program(path, name, 1, "cannot connect to the daemon")
    problem = kind.is_available() or ""
    assert problem.startswith(f"{name} is there and does not answer (cannot connect to the daemon): ")
    assert words in problem


def test_the_first_engine_that_answers_is_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(path, "docker", 1, "no daemon")
    program(path, "podman")
    assert engines.engine() == "podman"
    monkeypatch.setenv(engines.CHOICE, "docker")  # the user's word wins over what would work
    with pytest.raises(ClusterError, match="docker is there and does not answer"):
        engines.engine()
    monkeypatch.setenv(engines.CHOICE, "nerdctl")
    with pytest.raises(ClusterError, match=f"there is no nerdctl, which {engines.CHOICE} names, on PATH"):
        engines.engine()
    monkeypatch.setenv(engines.CHOICE, "lxc")
    with pytest.raises(ClusterError, match="'lxc' is no container engine; valid: docker, nerdctl, podman"):
        engines.engine()


def test_without_kind_and_go_it_is_said_what_to_install(path: Path) -> None:
    program(path, "docker")
    assert (
        kind.is_available()
        == f"there is no kind on PATH, and no go to build it with; install kind {kindmaking.VERSION} or newer"
    )
    program(path, "kind")
    assert kind.is_available() is None


@pytest.mark.parametrize(
    ("version", "image"),
    [
        (None, "local/kind-node:v1.37.2"),
        ("1.37", "local/kind-node:v1.37.2"),
        ("v1.36.3", "local/kind-node:v1.36.3"),
        ("1.35.1", "kindest/node:v1.35.1"),
    ],
)
def test_an_image_of_this_machine_is_taken_before_a_published_one(path: Path, version: str | None, image: str) -> None:
    program(path, "docker", images="local/kind-node:v1.37.2\\nlocal/kind-node:v1.36.3\\n")
    assert kindmaking.node_image("docker", version) == image


def test_a_version_that_names_no_image_is_refused_with_those_that_are_here(path: Path) -> None:
    program(path, "docker", images="local/kind-node:v1.37.2\\n")
    with pytest.raises(UsageError, match=r"which patch of 1\.3\?.*local/kind-node:v1\.37\.2"):
        kindmaking.node_image("docker", "1.3")
    program(path, "docker")
    assert kindmaking.node_image("docker", None) is None


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("write /x: no space left on device", "the disk is full"),
        (
            'ERROR: command "docker run --name x" failed with error: exit status 125\nbind: address already in use',
            "a port",
        ),
        ("ERROR: failed to pull image: no such host", "nox -s node-image"),
        ('ERROR: could not find a log line that matches "x"', "let the machine do less"),
        ("something else", "kind said: something else"),
    ],
)
def test_a_failure_of_kind_says_how_it_is_mended(said: str, words: str) -> None:
    sentence = kindmaking.failure("lab", said)
    assert sentence.startswith("the kind cluster lab could not be made")
    assert words in sentence
    assert "docker run" not in sentence
    assert "\n" not in sentence


@pytest.mark.usefixtures("path")
def test_a_configuration_and_a_number_of_nodes_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give it, or a number of nodes"):
        kindmaking._configuration(kindmaking.Wanted("x", config="f", nodes=2), tmp_path)
    with pytest.raises(UsageError, match="there is no kind configuration"):
        kindmaking._configuration(kindmaking.Wanted("x", config=str(tmp_path / "none")), tmp_path)
    file = kindmaking._configuration(kindmaking.Wanted("x", nodes=3), tmp_path)
    assert file is not None
    assert file.read_text("utf-8").count("role: worker") == 2


KIND = """#!/bin/sh
echo "$1 $2" >> {folder}/asked
[ "$1" = create ] && [ ! -e {folder}/{until} ] && {{ : > {folder}/once; echo 'ERROR: {said}'; exit 1; }}
[ "$1" = get ] && {{ echo 'ERROR: unknown cluster' >&2; exit 1; }}
exit 0
"""
SLOW = 'could not find a log line that matches "Reached target .*Multi-User System.*"'


@pytest.fixture
def asked(path: Path, tmp_path: Path) -> Callable[[str, str], list[str]]:
    """Have a command kind whose creations fail until a file is there; gives what it was asked."""
    program(path, "docker")

    def made(said: str, until: str) -> list[str]:
        file = path / "kind"
        file.write_text(KIND.format(folder=tmp_path, said=said, until=until), "utf-8")
        file.chmod(0o755)
        with kindmaking.making(kindmaking.Wanted("lab"), tmp_path, lambda _: None) as cluster:
            assert cluster.name == "lab"
            with pytest.raises(ClusterError, match="kind gives nothing: ERROR: unknown cluster"):
                kindmaking.told("docker", ("get", "kubeconfig"), "kind gives nothing")
        return (tmp_path / "asked").read_text("utf-8").splitlines()

    return made


def test_a_node_that_is_slow_to_boot_is_made_once_more(asked: Callable[[str, str], list[str]]) -> None:
    assert asked(SLOW, "once") == [
        "create cluster",
        "delete cluster",
        "create cluster",
        "get kubeconfig",
        "delete cluster",
    ]


@pytest.mark.parametrize(("said", "times"), [(SLOW, 2), ("node(s) already exist for a cluster", 1)])
def test_nothing_is_made_again_and_again(
    asked: Callable[[str, str], list[str]], tmp_path: Path, said: str, times: int
) -> None:
    with pytest.raises(ClusterError, match=r"the kind cluster lab could not be made.* kind said: "):
        asked(said, "never")
    assert (tmp_path / "asked").read_text("utf-8").splitlines() == ["create cluster", "delete cluster"] * times


def test_what_is_cut_short_is_unmade_until_nothing_is_seen(tmp_path: Path) -> None:
    """A daemon goes on with what it was asked for: what appears late has to go as well."""
    made, late = tmp_path / "made", f"sleep 1; touch {tmp_path}/made"
    make = ["sh", "-c", f"setsid sh -c '{late}' & sleep 600"]
    commands = (make, ["rm", "-f", str(made)], ["sh", "-c", f"ls {made} 2>/dev/null"])
    arguments = [*map(json.dumps, commands), str(tmp_path / "log")]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", keeper.__file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    time.sleep(0.3)
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()
    assert not made.exists()
    assert [left.name for left in tmp_path.iterdir()] == ["log"]
