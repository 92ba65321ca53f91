from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import cli
from conformance.clusters import assets, gomodule, releases
from conformance.commands import doctor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it: the programs that it has are put into the folder `bin`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in (*assets.DIRECTORIES, "KUBE_CONFORMANCE_GO", "KUBE_CONFORMANCE_MIRROR", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("KUBE_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KUBE_CONFORMANCE_OFFLINE", "1")
    return tmp_path


def install(machine: Path, name: str, script: str) -> None:
    file = machine / "bin" / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def states() -> dict[str, str]:
    return {found.subject: found.state for found in doctor.examine()}


@pytest.mark.usefixtures("machine")
def test_an_empty_machine_lacks_the_control_plane_and_says_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "MISSING  Control plane" in said
    assert "install Go, or unset KUBE_CONFORMANCE_OFFLINE" in said
    assert said.endswith("Missing: Control plane\n")
    assert states() == {
        "Python": "ok",
        "Control plane": "missing",
        "Go": "optional",
        "Downloads": "ok",
        "Space": "ok",
        "kubectl": "optional",
        "Containers": "optional",
        "kind": "optional",
    }


@pytest.mark.parametrize("version", ["go1.26.0", "go1.26.8", "go1.27rc1", "go2.0"])
def test_a_compiler_is_enough(machine: Path, capsys: pytest.CaptureFixture[str], version: str) -> None:
    install(machine, "go", f"echo {version}")
    assert cli.run(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("Ready: kube-conformance audit\n")


@pytest.mark.parametrize("script", ["echo go1.25.9", "echo devel", "exit 1"])
def test_an_old_compiler_is_not(machine: Path, script: str) -> None:
    install(machine, "go", script)
    assert states()["Go"] == "optional"
    assert cli.run(["doctor"]) == 1


@pytest.mark.usefixtures("machine")
def test_downloads_are_enough(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBE_CONFORMANCE_OFFLINE", "0")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.invalid")
    assert cli.run(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "from dl.k8s.io, through HTTPS_PROXY" in said
    assert said.endswith("Ready: kube-conformance audit --allow-unpinned\n")
    assert "secret" not in said


@pytest.mark.usefixtures("machine")
def test_downloads_with_pinned_sums_need_no_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBE_CONFORMANCE_OFFLINE", "0")
    version, platform = gomodule.default_version(), assets.platform()
    known = {each.file: "0" * 64 for each in releases.releases(version, platform)}
    monkeypatch.setattr(releases, "pins", lambda *_: known)
    assert not any(found.unpinned for found in doctor.examine())


def test_a_named_folder_without_the_programs_is_missing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(machine, "go", "echo go1.26.0")
    monkeypatch.setenv("KUBE_CONFORMANCE_ASSETS", str(machine))
    assert states()["Control plane"] == "missing"


@pytest.mark.usefixtures("machine")
def test_a_full_disk_is_missing_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "BUILD_GIGABYTES", 1e9)
    assert states()["Space"] == "missing"


@pytest.mark.parametrize(("script", "state"), [("exit 0", "ok"), ("exit 1", "optional")])
def test_a_container_engine_has_to_answer(machine: Path, script: str, state: str) -> None:
    install(machine, "podman", script)
    assert states()["Containers"] == state


@pytest.mark.usefixtures("machine")
def test_a_control_plane_in_the_cache_is_enough() -> None:
    assets.entry(gomodule.default_version()).mkdir(parents=True)
    assert states()["Control plane"] == "ok"
