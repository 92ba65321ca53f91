"""Real clusters with live nodes, as containers: made, used again, looked at and deleted by the `kind` command.

A cluster is ours when this tool made it: a record in the user's state directory holds the ids of its nodes, so that
one that was deleted and made anew by somebody else is not. What is not ours is found and used, and never deleted.
Source: https://kind.sigs.k8s.io/docs/user/configuration/
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from platformdirs import user_state_path

from conformance.clusters import Status, announce, controlplane, engines, kindmaking, kubeconfig
from conformance.errors import ClusterError, UsageError
from conformance.model import Cluster
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.clusters import Say

NAME = "kind"
READY_SECONDS = 120
POD_IMAGE = "local/busybox:1"  # that tools/node-image builds; else one that the nodes have to fetch
PUBLISHED_POD_IMAGE = "docker.io/library/busybox:1.37"
_OK = 200
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_FEW = 512


def is_available() -> str | None:
    """Say why no kind cluster can be had here: no container engine that answers, no kind and no Go to build it."""
    missing = engines.problem()
    known = shutil.which("kind") or kindmaking.built().exists() or shutil.which("go")
    if missing is None and not known:
        missing = f"there is no kind on PATH, and no go to build it with; install kind {kindmaking.VERSION} or newer"
    return missing


@contextmanager
def running(version: str | None = None, *, allow_unpinned: bool = False, say: Say = announce) -> Iterator[Cluster]:
    """Have a cluster for as long as the block lasts, or this process, whichever is shorter.

    Image, configuration and number of nodes are those of the environment: KUBE_CONFORMANCE_KIND_IMAGE, _CONFIG, _NODES.
    """
    del allow_unpinned  # images are the container engine's business
    wanted = kindmaking.Wanted(f"kube-conformance-{os.getpid()}-{secrets.token_hex(2)}", version)
    with (
        tempfile.TemporaryDirectory(prefix="kube-conformance-kind-") as folder,
        kindmaking.making(wanted, Path(folder), say) as made,
    ):
        yield _settled(made, say)


def up(
    name: str,
    version: str | None = None,
    *,
    image: str | None = None,
    config: str | None = None,
    nodes: int | None = None,
    allow_unpinned: bool = False,
    say: Say = announce,
) -> Cluster:
    """Have a cluster that outlives this process; one of this name that is there already is used again.

    `image` is a node image, `config` a file of kind's own form, `nodes` how many nodes (one of them the control plane).
    """
    del allow_unpinned
    with _record_lock(name):
        engine = engines.engine()
        if there := engines.nodes(engine, name):
            return _again(name, engine, there, version, say)
        folder = _folder(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            wanted = kindmaking.Wanted(name, version, image, config, nodes)
            with kindmaking.making(wanted, folder, say) as made:
                cluster = _settled(made, say)
                with Client(cluster.admin) as client:
                    record = {"nodes": engines.nodes(engine, name), "engine": engine, "version": _version(client)}
                controlplane.write(folder / "record.json", json.dumps(record))
                made.keep()
        except BaseException as problem:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(problem, OSError):
                raise _unwritten(folder, problem) from None
            raise
        return cluster


def down(name: str, *, say: Say = announce) -> bool:
    """Delete a cluster that `up` made and leave nothing of it; False when there is none of ours."""
    with _record_lock(name):
        record, engine = _record(name), engines.engine()
        there = engines.nodes(engine, name)
        if there and (record is None or tuple(record["nodes"]) != there):
            raise UsageError(
                f"the kind cluster {name} was not made by kube-conformance, so it is not deleted here:"
                f" `kind delete cluster --name {name}` does"
            )
        if there:
            _deleted(name, engine, say)
        shutil.rmtree(_folder(name), ignore_errors=True)
        if record is not None:
            say(f"{name} is down")
        return record is not None


def status(name: str) -> Status | None:
    """Look how the cluster of this name is, whoever made it; None when there is none."""
    engine = engines.engine()
    there, record = engines.nodes(engine, name), _record(name)
    if not there and record is None:
        return None
    file = _folder(name) / "kubeconfig"
    if not there:
        return Status(
            NAME, name, record["version"] if record else "", "", file, running=False, problem="its nodes are gone"
        )
    _write_kubeconfig(name, engine, file)
    access = kubeconfig.read(file).access(f"kind-{name}", say=lambda _: None)
    with Client(access) as client:
        answer = client.ask("GET", "/readyz")
        version = _version(client)
    problem = "" if answer.status == _OK else answer.error or f"/readyz: {answer.status}"
    return Status(NAME, name, version, access.server, file, running=not problem, problem=problem)


def names() -> tuple[str, ...]:
    """List the kind clusters that are there, whoever made them, and those of ours whose nodes are gone."""
    ours = {record.parent.name for record in _state().glob("*/record.json")}
    return tuple(sorted(ours | set(engines.clusters(engines.engine()))))


# --- what is there ----------------------------------------------------------------------------------------------------


def _again(name: str, engine: str, there: tuple[str, ...], version: str | None, say: Say) -> Cluster:
    """Use a cluster that is there; it is ours when its nodes are those that we made."""
    record = _record(name)
    ours = record is not None and tuple(record["nodes"]) == there
    file = _folder(name) / "kubeconfig"
    _write_kubeconfig(name, engine, file)
    cluster = _cluster(name, engine, file, ours=ours)
    with Client(cluster.admin) as client:
        runs = _version(client)
    if version is not None and runs and not f"{runs}.".startswith(f"v{version.removeprefix('v')}."):
        raise UsageError(
            f"the kind cluster {name} runs Kubernetes {runs}, not {version}; delete it first, or give another --name"
        )
    say(f"{name} is there already: Kubernetes {runs} at {cluster.admin.server}" + ("" if ours else ", made by others"))
    return cluster


def _cluster(name: str, engine: str, file: Path, *, ours: bool) -> Cluster:
    access = kubeconfig.read(file).access(f"kind-{name}", say=lambda _: None)
    signer = _signer(engine, name) if ours else None
    image = POD_IMAGE if engines.images(engine, POD_IMAGE) else PUBLISHED_POD_IMAGE
    return Cluster(NAME, name, access, ours=ours, signer=signer, kubeconfig=str(file), pod_image=image if ours else "")


def _signer(engine: str, name: str) -> tuple[bytes, bytes] | None:
    """Read the cluster's authority from its control plane; it is ours to sign with."""
    pki = "/etc/kubernetes/pki/ca"
    certificate, key = (engines.read(engine, f"{name}-control-plane", f"{pki}.{end}") for end in ("crt", "key"))
    return (certificate, key) if certificate and key else None


def _settled(made: kindmaking.Made, say: Say) -> Cluster:
    """Wait until the controllers have done what every cluster has done before its first user comes."""
    made.kubeconfig.chmod(0o600)
    kindmaking.load(made.name, made.engine, POD_IMAGE)
    cluster = _cluster(made.name, made.engine, made.kubeconfig, ours=True)
    waiting: tuple[str, ...] = ()
    deadline = time.monotonic() + READY_SECONDS
    with Client(cluster.admin) as client:
        while not controlplane.settled(client) or (waiting := _unready(client)):
            if time.monotonic() > deadline:
                raise ClusterError(_late(made.name, waiting))
            time.sleep(0.5)
    say(f"the kind cluster {made.name} is ready at {cluster.admin.server}")
    return cluster


def _unready(client: Client) -> tuple[str, ...]:
    """Name what of the cluster itself does not run yet: kube-proxy and DNS come after the nodes are ready."""
    pods = client.get_json("/api/v1/namespaces/kube-system/pods")["items"]
    return tuple(pod["metadata"]["name"] for pod in pods if not _is_ready(pod))


def _is_ready(pod: Any) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _late(name: str, waiting: tuple[str, ...]) -> str:
    said = f"the kind cluster {name} was not ready after {READY_SECONDS} s"
    if waiting:
        said += f": {', '.join(waiting)} do not run"
    try:
        instances = int(_INOTIFY.read_text("ascii"))
    except (OSError, ValueError):
        return said
    if instances < _INOTIFY_FEW:
        said += f"; {_INOTIFY} is {instances}, which several nodes use up: raise it to {_INOTIFY_FEW} or more"
    return said


def _version(client: Client) -> str:
    answer = client.ask("GET", "/version")
    return str(json.loads(answer.body).get("gitVersion", "")) if answer.status == _OK else ""


def _write_kubeconfig(name: str, engine: str, file: Path) -> None:
    given = kindmaking.told(engine, ("get", "kubeconfig", "--name", name), f"kind gives no kubeconfig of {name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file() or file.read_text("utf-8") != given:
            controlplane.write(file, given)
    except OSError as problem:
        raise _unwritten(file, problem) from None


def _unwritten(path: Path, problem: OSError) -> ClusterError:
    """Make the error of a state directory that takes nothing; the most usual reason is named as users know it."""
    why = "the disk is full" if problem.errno in {errno.ENOSPC, errno.EDQUOT} else str(problem.strerror)
    return ClusterError(
        f"{path} could not be written: {why}; free space there, or set KUBE_CONFORMANCE_STATE to a folder"
    )


def _deleted(name: str, engine: str, say: Say) -> None:
    say(f"deleting the kind cluster {name}")
    arguments = ("delete", "cluster", "--name", name, "--kubeconfig", str(_folder(name) / "kubeconfig"))
    kindmaking.told(engine, arguments, f"kind could not delete {name}", say)


# --- records ----------------------------------------------------------------------------------------------------------


def _state() -> Path:
    chosen = os.environ.get("KUBE_CONFORMANCE_STATE")
    return (Path(chosen) if chosen else user_state_path("kube-conformance")) / "clusters" / NAME


def _folder(name: str) -> Path:
    if not re.fullmatch(r"[a-z0-9]([-.a-z0-9]{0,48}[a-z0-9])?", name):
        raise UsageError(f"{name!r} is no name for a kind cluster: up to 50 lower case letters, digits, '-' and '.'")
    return _state() / name


def _record(name: str) -> Any:
    try:
        return json.loads((_folder(name) / "record.json").read_text("utf-8"))
    except FileNotFoundError:
        return None


def _record_lock(name: str) -> FileLock:
    folder = _folder(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.parent / f".{name}.lock")
