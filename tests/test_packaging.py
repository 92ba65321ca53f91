"""What users get is the wheel: it holds all that is needed, and works where no checkout is."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import conformance

ROOT = Path(__file__).resolve().parents[1]
# Where a folder of the checkout stands in the wheel.
PLACES = {
    "conformance": "conformance",
    "fixtures": "conformance/_data/fixtures",
    "controlplane": "conformance/_data/controlplane",
}
HEAVY = {"kubernetes", "jsonschema", "pycurl"}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    # A safe path: the checkout may have a folder `build`, which is not the program of that name.
    subprocess.run([sys.executable, "-P", "-m", "build", "--outdir", str(folder), str(ROOT)], check=True)
    return folder


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with the wheel and what it depends on, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    (wheel,) = distributions.glob("*.whl")
    subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    return folder / "bin"


def run(installed: Path, cwd: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment, away from the checkout and without what this test run has set."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON"))}
    return subprocess.run(
        [installed / argv[0], *argv[1:]], cwd=cwd, env=environment, capture_output=True, text=True, check=True
    )


def imported(installed: Path, cwd: Path, statement: str) -> set[str]:
    """Give the modules that are imported after a statement; -X importtime would miss those of importlib itself."""
    report = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    return set(run(installed, cwd, "python", "-c", f"{report}\n{statement}").stderr.split())


@pytest.mark.skipif(
    os.environ.get("KUBE_CONFORMANCE_EXPECT_WHEEL") != "1", reason="only `nox -s tests` promises to test the wheel"
)
def test_what_is_tested_is_the_wheel() -> None:
    package = Path(conformance.__file__)
    assert "site-packages" in package.parts
    assert ROOT / "conformance" not in package.parents


def test_the_wheel_holds_every_file_of_the_checkout(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder, place in PLACES.items():
        files = [file for file in (ROOT / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
        assert files, f"{folder}/ is empty"
        missing = [str(file) for file in files if f"{place}/{file.relative_to(ROOT / folder).as_posix()}" not in held]
        assert not missing
    assert {
        "conformance/py.typed",
        "conformance/schema/matrix.schema.json",
        "conformance/_data/fixtures/identities.yaml",
        "conformance/_data/controlplane/go.mod",
        "conformance/_data/controlplane/go.sum",
        "conformance/_data/controlplane/main.go",
    } <= held
    assert not [name for name in held if name.endswith(".pyc") or name.startswith("tests/")]
    assert [name for name in held if name.endswith("licenses/LICENSE")]


def test_the_sdist_holds_what_developers_need(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "noxfile.py", "tox.ini", "README.md", "LICENSE", "tests/test_packaging.py"} <= held


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["doctor", "--help"]])
def test_help_is_quick_to_import(installed: Path, tmp_path: Path, arguments: list[str]) -> None:
    assert "kube-conformance" in run(installed, tmp_path, "kube-conformance", *arguments).stdout
    modules = imported(installed, tmp_path, f"from conformance.cli import run; run({arguments})")
    assert "conformance.cli" in modules
    assert not HEAVY & modules


@pytest.mark.parametrize("question", ["--version", "--help", "--markers"])
def test_the_plugin_costs_users_of_pytest_nothing(installed: Path, tmp_path: Path, question: str) -> None:
    modules = imported(installed, tmp_path, f"import pytest; pytest.main([{question!r}])")
    assert not modules & (HEAVY | {"yaml", "orjson", "click", "cryptography"})
    if question != "--version":  # which pytest answers without its plugins
        assert "conformance.plugin" in modules


def test_doctor_works_without_a_checkout(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "python", "-c", "from conformance.files import data; print(data('controlplane'))")
    assert done.stdout.strip().endswith("site-packages/conformance/_data/controlplane")
    assert "Control plane" in run(installed, tmp_path, "kube-conformance", "doctor").stdout


@pytest.mark.server
def test_the_wheel_brings_a_cluster_up(installed: Path, tmp_path: Path) -> None:
    name = f"wheel-{os.getpid()}"
    run(installed, tmp_path, "kube-conformance", "cluster", "up", "--name", name)
    try:
        assert "running" in run(installed, tmp_path, "kube-conformance", "cluster", "status", "--name", name).stdout
    finally:
        run(installed, tmp_path, "kube-conformance", "cluster", "down", "--name", name)
