"""What tests of kind clusters share: the command in a place of its own, and looks at what is there."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.clusters import kubeconfig as files
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTES = 45 * 60.0
HOST = "/host"  # where nodes of a cluster have what `mounted` names


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    code: int
    output: str
    errors: str

    @property
    def said(self) -> str:
        """All that it said."""
        return self.output + self.errors


class Place:
    """A home and a state directory of one test session, and the command `kube-conformance` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.mark = f"kct{secrets.token_hex(2)}"
        (folder / "home").mkdir()

    def environment(self, **more: str) -> dict[str, str]:
        """Give what the command gets: its own state, and this session's packages."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "KUBECONFIG"))}
        return kept | {"KUBE_CONFORMANCE_STATE": str(self.state), "PYTHONPATH": os.pathsep.join(sys.path)} | more

    def start(self, *arguments: str, cwd: Path | None = None, **more: str) -> subprocess.Popen[str]:
        """Start the command."""
        return subprocess.Popen(
            [sys.executable, "-m", "conformance", *arguments],
            cwd=cwd or self.folder,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, cwd: Path | None = None, **more: str) -> Done:
        """Run the command to its end."""
        process = self.start(*arguments, cwd=cwd, **more)
        return end(process)

    def name(self, what: str) -> str:
        """Name a cluster of this session."""
        return f"{self.mark}-{what}"


def end(process: subprocess.Popen[str]) -> Done:
    """Wait for a command."""
    try:
        output, errors = process.communicate(timeout=MINUTES)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return Done(process.returncode, output, errors)


def kept(engine: str) -> tuple[str, ...]:
    """List the volumes that the engine keeps."""
    listed = subprocess.run([engine, "volume", "ls", "-q"], capture_output=True, text=True, check=True)
    return tuple(sorted(listed.stdout.split()))


def state_of(place: Place) -> list[str]:
    """List what the state directory holds of kind clusters."""
    folder = place.state / "clusters" / "kind"
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def nodes(kubeconfig: Path) -> list[str]:
    """Give the names of the ready nodes of a cluster."""
    with admin(kubeconfig) as client:
        listed = client.get_json("/api/v1/nodes")["items"]
    return [
        node["metadata"]["name"]
        for node in listed
        if any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])
    ]


@contextmanager
def admin(kubeconfig: Path) -> Iterator[Client]:
    """Have a client of a kubeconfig's current context."""
    config = files.read(kubeconfig)
    with Client(config.access(config.context("current"))) as client:
        yield client


def made(client: Client, path: str, kind: str, name: str, **rest: Any) -> Any:
    """Make an object."""
    group = path.removeprefix("/apis/").split("/")[:2] if path.startswith("/apis/") else ["v1"]
    body = {"apiVersion": "/".join(group), "kind": kind, "metadata": {"name": name}} | rest
    answer = client.ask("POST", path, body=body)
    assert answer.status == 201, (answer.status, answer.error, answer.body)
    return json.loads(answer.body)


def mounted() -> list[str]:
    """Name the folders that Python, its packages and their libraries lie in, without those below another of them."""
    named = {str(Path(name).resolve()) for name in ("/usr", sys.base_prefix, *sys.path) if Path(name or ".").is_dir()}
    # A virtual environment is known by the path that it is called by.
    named.add(sys.prefix)
    return sorted(name for name in named if not any(str(parent) in named for parent in Path(name).parents))
