"""Every command that developers and CI run, once. Versions of tools stand in pyproject.toml's dependency groups."""

import os
import shutil
from pathlib import Path

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests"]


@nox.session
def audit(session: nox.Session) -> None:
    """Audit a cluster (the embedded control plane): nox -s audit -- ARGS OF kube-conformance audit."""
    session.install(".")
    session.run("kube-conformance", "audit", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Build the wheel and test what is installed from it, not the checkout: nox -s tests -- PYTEST ARGS."""
    folder = Path(session.create_tmp(), "wheel")
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), ".")
    wheel = max(folder.glob("*.whl"), key=lambda file: file.stat().st_mtime)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.install(str(wheel), *groups("test"))
    # A safe path keeps the working directory, and so the checkout's conformance/, off sys.path.
    session.run("pytest", *session.posargs, env={"PYTHONSAFEPATH": "1", "KUBE_CONFORMANCE_EXPECT_WHEEL": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """Hold style, format and the layers of ARCHITECTURE.md."""
    session.install(*groups("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check types strictly, tests included."""
    session.install(*PYPROJECT["project"]["dependencies"], *groups("types"))
    session.run("mypy")


@nox.session
def oracle(session: nox.Session) -> None:
    """Hold the RBAC evaluators against upstream's own authorizer in a million decisions, and a server's reviews."""
    session.install(".", *groups("test"))
    session.run("python", "tests/upstream.py", *session.posargs)
    session.run("python", "tests/reviews.py", "--policies", "220", "--questions", "110")


@nox.session
def bench(session: nox.Session) -> None:
    """Print what an audit costs here: nox -s bench -- --rounds 5; or another of bench/: nox -s bench -- rbac_scale."""
    session.install(*PYPROJECT["project"]["dependencies"], *groups("test", "bench", "browser"))
    name, *rest = session.posargs or ("",)
    if name.isidentifier():
        session.run("python", "-m", f"bench.{name}", *rest)
    else:
        session.run("python", "-m", "bench", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Drive matrix.html in a real Chromium (Debian's; installed where it is missing): pictures in build/screenshots."""
    if shutil.which("chromium") is None:
        session.run("apt-get", "update", "-q", external=True)
        session.run("apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium", external=True)
    session.install(".", *groups("test", "browser"))
    pictures = os.environ.get("SCREENSHOTS") or str(Path("build/screenshots").absolute())
    session.run("pytest", "tests/browser", *session.posargs, env={"SCREENSHOTS": pictures})


@nox.session
def whole(session: nox.Session) -> None:
    """Hold the whole catalogue against healthy servers: the default, every API on, an older minor, two runs at once."""
    session.install(".", *groups("test"))
    for arguments in ((), ("--all",), ("--version", "1.36")):
        session.run("python", "tests/whole.py", *arguments, *session.posargs)
    session.run("python", "tests/residue.py", "--together")


@nox.session
def pages(session: nox.Session) -> None:
    """Write the pages of docs/ that are made of the code: nox -s pages."""
    session.install(".")
    for name in ("checks", "risks"):
        page = session.run("kube-conformance", name, "-o", "markdown", silent=True)
        Path("docs", f"{name}.md").write_text(str(page), encoding="utf-8")


@nox.session
def objects(session: nox.Session) -> None:
    """Create one object of every kind that a server has, by dry run: stable, beta, alpha and custom ones."""
    session.install(".", *groups("test"))
    session.run("pytest", "tests/test_objects_everywhere.py", *session.posargs)


@nox.session
def upgrade(session: nox.Session) -> None:
    """Compare and gate two real versions, thirty seeded breakages, a rehearsal: nox -s upgrade -- PYTEST ARGS."""
    session.install(".", *groups("test"))
    session.run("pytest", "tests/upgrade", *session.posargs)


@nox.session
def kills(session: nox.Session) -> None:
    """Kill audits at twenty random moments: with their own control plane, on one that lives on, and with all checks."""
    session.install(".", *groups("test"))
    session.run("pytest", "tests/test_killed.py", *session.posargs, env={"KUBE_CONFORMANCE_KILLS": "20"})
    session.run("python", "tests/residue.py", "--kills", "20")


@nox.session(name="node-image", venv_backend="none")
def node_image(session: nox.Session) -> None:
    """Build a kind node image from Debian packages and Go modules, without any image registry."""
    session.run("bash", "tools/node-image/build.sh", external=True)


@nox.session
def kind(session: nox.Session) -> None:
    """Audit a fresh kind cluster with a live node, and try the provider's faults: nox -s kind -- PYTEST ARGS."""
    session.install(".", *groups("test"))
    session.run("pytest", "tests/kind", *session.posargs)


def groups(*names: str) -> tuple[str, ...]:
    """What pyproject.toml lists in its dependency groups of these names."""
    return nox.project.dependency_groups(PYPROJECT, *names)
