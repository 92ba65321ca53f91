"""Which container engine kind is to use, and whether it answers.

kind itself takes the first of docker, nerdctl and podman that is there, whether its daemon runs or not; here one that
answers is taken, and kind is told which (KIND_EXPERIMENTAL_PROVIDER, which is honoured when it is set).
"""

from __future__ import annotations

import os
import shutil
import subprocess

from conformance.errors import ClusterError

ENGINES = ("docker", "nerdctl", "podman")
CHOICE = "KIND_EXPERIMENTAL_PROVIDER"
CLUSTER_LABEL = "io.x-k8s.kind.cluster"
_SECONDS = 20
_START = {
    "docker": "start its daemon (`systemctl start docker`), or set DOCKER_HOST to one that runs",
    "podman": "see what `podman info` says",
    "nerdctl": "start containerd (`systemctl start containerd`)",
}


def problem() -> str | None:
    """Say why no container can be started here; None when one can."""
    try:
        engine()
    except ClusterError as found:
        return str(found)
    return None


def engine() -> str:
    """Give the engine to use: the one that KIND_EXPERIMENTAL_PROVIDER names, else the first that answers."""
    wanted = os.environ.get(CHOICE, "")
    if wanted and wanted not in ENGINES:
        raise ClusterError(f"{CHOICE}: {wanted!r} is no container engine; valid: {', '.join(ENGINES)}")
    there = [name for name in ((wanted,) if wanted else ENGINES) if shutil.which(name)]
    if not there:
        what = f"{wanted}, which {CHOICE} names," if wanted else ", ".join(ENGINES[:-1]) + f" or {ENGINES[-1]}"
        raise ClusterError(f"kind needs a container engine, and there is no {what} on PATH; install one of them")
    silent = []
    for name in there:
        said = _asked([name, "info"])
        if said is None:
            return name
        silent.append(f"{name} is there and does not answer ({said}): {_START[name]}")
    raise ClusterError("; ".join(silent))


def nodes(name: str, cluster: str) -> tuple[str, ...]:
    """Give the ids of the containers that are a cluster's nodes, sorted; `name` is the engine."""
    return tuple(sorted(_words(listing(name, cluster))))


def listing(name: str, cluster: str) -> list[str]:
    """Give the command that prints the ids of a cluster's nodes."""
    return [name, "ps", "-a", "--no-trunc", "--filter", f"label={CLUSTER_LABEL}={cluster}", "--format", "{{.ID}}"]


def clusters(name: str) -> tuple[str, ...]:
    """List the names of all kind clusters that an engine has, whoever made them."""
    command = [name, "ps", "-a", "--filter", f"label={CLUSTER_LABEL}", "--format", f'{{{{.Label "{CLUSTER_LABEL}"}}}}']
    if name == "podman":
        command[-1] = f'{{{{index .Labels "{CLUSTER_LABEL}"}}}}'
    return tuple(sorted(set(_words(command))))


def images(name: str, repository: str) -> tuple[str, ...]:
    """List the local images of a repository, as `repository:tag`, the newest first."""
    command = [name, "images", repository, "--format", "{{.Repository}}:{{.Tag}}"]
    return tuple(_words(command))


def read(name: str, container: str, path: str) -> bytes | None:
    """Read a file of a container; None when it is not there."""
    found = subprocess.run([name, "exec", container, "cat", path], capture_output=True, check=False, timeout=_SECONDS)
    return found.stdout if found.returncode == 0 else None


def _words(command: list[str]) -> list[str]:
    """Give the words that a command prints; none where it fails."""
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    return found.stdout.split() if found.returncode == 0 else []


def _asked(command: list[str]) -> str | None:
    """Ask; give the last line of what went wrong, or None."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as found:
        return f"{type(found).__name__}"
    if done.returncode == 0:
        return None
    lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
    return lines[-1][:200]
