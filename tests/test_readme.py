"""What the pages tell users to type is what tests and CI run."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from conformance import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CI = (ROOT / ".ci/run").read_text("utf-8")
TESTS = "\n".join(
    file.read_text("utf-8") for file in sorted((ROOT / "tests").rglob("test_*.py")) if file != Path(__file__).resolve()
)
SESSIONS = {
    node.name: ast.unparse(node)
    for node in ast.parse((ROOT / "noxfile.py").read_text("utf-8")).body
    if isinstance(node, ast.FunctionDef) and "nox.session" in map(ast.unparse, node.decorator_list)
}
SUBCOMMANDS = cli.Subcommands()
NAMES = SUBCOMMANDS.list_commands(click.Context(SUBCOMMANDS))


def commands(page: Path) -> list[str]:
    """The command lines of a page's `sh` blocks, those joined by && apart."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]
    return [command for line in lines for command in line.split(" && ")]


@pytest.mark.parametrize(
    ("page", "command"), [pytest.param(page, command, id=command) for page in PAGES for command in commands(page)]
)
def test_a_command_line_is_run_by_ci_or_by_a_test(page: Path, command: str) -> None:
    if command in (line.strip() for line in re.split(r" && |\n", CI)):
        return
    program, *arguments = shlex.split(command, comments=True)
    if program == ".venv/bin/nox":
        sessions = _sessions(arguments)
        assert sessions <= set(SESSIONS), f"{page.name}: no such session"
        # A session that CI does not run is one call of a subcommand, which a test has to run.
        for session in sessions - {"tests", "lint", "types"}:
            (program, subcommand) = re.findall(r"session\.run\('(\S+?)', '(\S+?)'", SESSIONS[session])[0]
            assert program == "kube-conformance"
            _is_run_by_a_test(subcommand)
        return
    assert program == "kube-conformance", f"{page.name}: who runs this?"
    assert arguments[0] in NAMES, f"{page.name}: no such subcommand"
    subcommand = SUBCOMMANDS.get_command(click.Context(SUBCOMMANDS), arguments[0])
    assert subcommand is not None
    with subcommand.make_context(arguments[0], arguments[1:]):  # which refuses flags that are not there
        _is_run_by_a_test(arguments[0])


def _sessions(arguments: list[str]) -> set[str]:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return set(own) - {"-s"}


def _is_run_by_a_test(subcommand: str) -> None:
    assert re.search(rf"""["']{subcommand}["'],""", TESTS), f"no test runs `kube-conformance {subcommand}`"


def test_ci_runs_the_readme_s_test_command() -> None:
    readme = commands(ROOT / "README.md")
    assert ".venv/bin/nox -s tests" in readme
    assert ".venv/bin/nox -s tests" in CI.splitlines()
    assert "python3 -m venv .venv" in readme


def test_the_readme_does_not_deny_what_is_there() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for paragraph in re.findall(r"^\*\*Not there yet\*\*.*?\n\n", readme, re.MULTILINE | re.DOTALL):
        denied = set(re.findall(r"`(\S+)`", paragraph))
        assert denied
        assert not denied & set(NAMES)
    assert "| not yet |" not in readme or "**Not there yet**" in readme


@pytest.mark.parametrize("page", [ROOT / "ARCHITECTURE.md", *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_architecture_fits_on_a_page() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text("utf-8").splitlines()) <= 60


def test_every_dependency_is_accounted_for() -> None:
    wanted = re.findall(r'^  "([a-z0-9-]+)>=', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    table = re.findall(r"^\| ([A-Za-z0-9-]+) \|", (ROOT / "docs/dependencies.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(name.lower() for name in table[2:]) == sorted(wanted)


def test_nothing_names_the_machine_that_it_was_written_on() -> None:
    files = [file for file in ROOT.iterdir() if file.is_file() and file.suffix in {".md", ".toml", ".ini", ".py"}]
    for folder in ("conformance", "docs", "fixtures", "controlplane", ".ci"):
        files += [file for file in (ROOT / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert not [str(file) for file in files if re.search(rb"(?<![\w.])/(work|root)/", file.read_bytes())]
