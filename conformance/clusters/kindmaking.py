"""How a kind cluster is made: the command, the node image, the wait, and what is said when it fails.

The process that asked for a cluster may be killed: a keeper deletes then what was made.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from conformance.clusters import announce, assets, engines, gomodule, keeper, processes
from conformance.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.clusters import Say

VERSION = "v0.33.0"  # of the kind command that is built where PATH has none
MODULE = "sigs.k8s.io/kind"
REPOSITORY = "local/kind-node"  # of node images that tools/node-image builds
PUBLISHED = "kindest/node"
IMAGE, CONFIG, NODES = (f"KUBE_CONFORMANCE_KIND_{what}" for what in ("IMAGE", "CONFIG", "NODES"))
WAIT = "3m"  # for the node to be ready
_WORD_SECONDS = 15
_WORDS = 600  # characters of what kind said
_SLOW = "could not find a log line that matches"
# What kind or the engine say of a failure, and how it is mended.
_MENDS = (
    (
        r"no space left on device|disk quota exceeded",
        "the disk is full: free space where the container engine keeps its data",
    ),
    (
        r"port is already allocated|address already in use|ports are not available",
        "a port that the configuration maps is in use: choose another hostPort, or end what listens there",
    ),
    (
        r"pull access denied|manifest unknown|failed to pull|no such host|dial tcp|Client.Timeout",
        f"the node image is neither here nor pulled: build one (nox -s node-image), or name one (--image, {IMAGE})",
    ),
    (r"already exist", "a cluster of this name is there already"),
    (
        _SLOW,
        "its node did not boot in the half minute that kind gives it, twice: let the machine do less",
    ),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a cluster is to be like; what is None is chosen here, or by kind."""

    name: str
    version: str | None = None
    image: str | None = None
    config: str | None = None
    nodes: int | None = None


class Made:
    """A cluster that was just made, and is deleted unless somebody keeps it."""

    def __init__(self, name: str, engine: str, file: Path, process: subprocess.Popen[str]) -> None:
        self.name, self.engine, self.kubeconfig, self._process = name, engine, file, process

    def keep(self) -> None:
        """Let it outlive this process."""
        assert self._process.stdin is not None  # noqa: S101  # it is a pipe
        self._process.stdin.write("keep\n")
        self._process.stdin.flush()


@contextmanager
def making(wanted: Wanted, folder: Path, say: Say) -> Iterator[Made]:
    """Make a cluster, and delete it when the block ends, however that comes, unless it is kept."""
    engine, name, file, log = engines.engine(), wanted.name, folder / "kubeconfig", folder / "kind.log"
    command = program(say)
    image = wanted.image or os.environ.get(IMAGE) or node_image(engine, wanted.version)
    make = [command, "create", "cluster", "--name", name, "--kubeconfig", str(file), "--wait", WAIT]
    make += ["--image", image] if image else []
    config = _configuration(wanted, folder)
    make += ["--config", str(config)] if config else []
    unmake = [command, "delete", "cluster", "--name", name, "--kubeconfig", str(file)]
    look = engines.listing(engine, name)
    say(f"making the kind cluster {name} of {image or 'the image that kind chooses'} (about half a minute)")
    process = _keeper(make, unmake, look, log, engine)
    try:
        said = _ended(process, log, say)
        if said is not None and re.search(_SLOW, said):
            # kind gives a node half a minute to boot, which a busy machine may not be able to.
            say("  the node did not boot in the time that kind gives it; once more")
            _let_go(process)
            log.unlink(missing_ok=True)
            process = _keeper(make, unmake, look, log, engine)
            said = _ended(process, log, say)
        if said is not None:
            raise ClusterError(failure(name, said))
        yield Made(name, engine, file, process)
    finally:
        _let_go(process)


def _keeper(make: list[str], unmake: list[str], look: list[str], log: Path, engine: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", keeper.__file__, *map(json.dumps, (make, unmake, look)), str(log)],
        env=os.environ | {engines.CHOICE: engine},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _ended(process: subprocess.Popen[str], log: Path, say: Say) -> str | None:
    """Wait until kind has made a cluster (None), or give what it said."""
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    begun = time.monotonic()
    while not select.select([process.stdout], [], [], _WORD_SECONDS)[0]:
        say(f"  kind: {time.monotonic() - begun:.0f} s, {_last(log) or 'starting'}")
    if process.stdout.readline().strip() == "0":
        return None
    return log.read_text("utf-8", "replace") if log.exists() else ""


def _let_go(process: subprocess.Popen[str]) -> None:
    """Wait until what was made is deleted, unless it is kept."""
    assert process.stdin is not None  # noqa: S101  # both are pipes
    assert process.stdout is not None  # noqa: S101
    process.stdin.close()
    process.wait()
    process.stdout.close()


def load(name: str, engine: str, image: str) -> None:
    """Give the nodes of a cluster an image of this machine, where it is here."""
    if engines.images(engine, image):
        told(engine, ("load", "docker-image", image, "--name", name), f"kind could not load {image} into {name}")


def failure(name: str, said: str) -> str:
    """Say in one sentence why kind failed and how that is mended."""
    mend = next((f": {how}" for pattern, how in _MENDS if re.search(pattern, said)), "")
    _, error, why = said.rpartition("ERROR: ")
    # Which command of the engine failed is kind's business, what the engine said is the user's.
    why = re.sub(r'command ".*?" failed with error: exit status \d+\s*(Command Output:)?', "", why, flags=re.DOTALL)
    words = " ".join((why if error else said).split("Stack Trace:")[0].split())
    return f"the kind cluster {name} could not be made{mend}; kind said: {words[-_WORDS:]}"


def _last(log: Path) -> str:
    lines = [line for line in (log.read_text("utf-8", "replace") if log.exists() else "").splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _configuration(wanted: Wanted, folder: Path) -> Path | None:
    """Give kind's own configuration: the file that is named, or one that lists so many nodes."""
    named, nodes = wanted.config or os.environ.get(CONFIG), wanted.nodes or _number(os.environ.get(NODES))
    if named and nodes:
        raise UsageError("a kind configuration says itself which nodes there are: give it, or a number of nodes")
    if named:
        if not Path(named).is_file():
            raise UsageError(f"there is no kind configuration {named}")
        return Path(named).resolve()
    if not nodes:
        return None
    roles = ["control-plane", *["worker"] * (nodes - 1)]
    written = folder / "kind.yaml"
    listed = "".join(f"- role: {role}\n" for role in roles)
    written.write_text(f"kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n{listed}", "utf-8")
    return written


def _number(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"{NODES}: {text!r} is no number of nodes, such as 2")
    return int(text)


def node_image(engine: str, version: str | None) -> str | None:
    """Choose the node image: one of ours on this machine, else the published one of the version, else none (kind's)."""
    local = engines.images(engine, REPOSITORY)
    wanted = None if version is None else f"v{version.removeprefix('v')}"
    fitting = [image for image in local if wanted is None or f"{image.rpartition(':')[2]}.".startswith(f"{wanted}.")]
    if fitting:
        return fitting[0]
    if wanted is None:
        return None
    if wanted.count(".") < 2:  # noqa: PLR2004  # v1.37: an image needs the patch, too
        have = ", ".join(local) or "none"
        raise UsageError(
            f"which patch of {version}? a published node image is named by it, as in --kubernetes-version {version}.2;"
            f" images of this machine: {have}"
        )
    return f"{PUBLISHED}:{wanted}"


def told(engine: str, arguments: tuple[str, ...], failed: str, say: Say = lambda _: None) -> str:
    """Run kind with an engine and give what it prints; where it fails, the error says `failed` and kind's own words."""
    command, environment = [program(say), *arguments], os.environ | {engines.CHOICE: engine}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{failed}: {done.stderr.strip()[-300:]}")
    return done.stdout


def program(say: Say = announce) -> str:
    """Give the kind command: of PATH, else built from its Go module once and kept in the cache."""
    found = shutil.which("kind")
    if found:
        return found
    there = built()
    if not there.exists():
        there.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(there.with_suffix(".lock")):
            if not there.exists():
                say(f"building kind {VERSION} from its Go module (about a minute)")
                with processes.Programs(there.parent, gomodule.UNFINISHED) as home:
                    go = gomodule.compiler(there.parent, say)
                    home.start(
                        "install",
                        [go, "install", f"{MODULE}@{VERSION}"],
                        os.environ | {"GOBIN": str(home.directory), "GOWORK": "off", "CGO_ENABLED": "0"},
                    )
                    while (code := home.ended("install", _WORD_SECONDS)) is None:
                        say("  still building kind")
                    if code:
                        raise ClusterError(f"kind {VERSION} could not be built: {home.last_lines('install')}")
                    (home.directory / "kind").rename(there)
    return str(there)


def built() -> Path:
    """Say where the kind command that was built here is kept."""
    return assets.cache().parent / "kind" / f"kind-{VERSION}"
