"""A real control plane without nodes: etcd, kube-apiserver and kube-controller-manager as processes of this machine.

It lives in a temporary directory, and neither it nor its processes outlive whoever asked for them. One that `up` made
lives until `down`; a record of it, in the user's state directory, says which process that is.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from platformdirs import user_state_path

from conformance.clusters import Status, announce, assets, controlplane, processes
from conformance.errors import UsageError
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conformance.clusters import Say
    from conformance.model import Cluster

NAME = "embedded"
PREFIX = "kube-conformance-embedded-"
_OK = 200


def is_available() -> str | None:
    """Say why this machine cannot run a control plane; where its programs come from is found out by `assets`."""
    return None if Path("/proc/self/stat").exists() else "the embedded control plane runs on Linux only"


@contextmanager
def running(
    version: str | None = None,
    *,
    audit_log: bool = False,
    runtime_config: str | None = None,
    extra_args: Sequence[str] = (),
    load: Callable[[Cluster], None] | None = None,
    allow_unpinned: bool = False,
    say: Say = announce,
) -> Iterator[Cluster]:
    """Have a control plane for as long as the block lasts, or this process, whichever is shorter.

    `version` is `1.37`, `1.37.2` or none for the default. `extra_args` go to kube-apiserver, after ours. `load` fills
    the server before it is started a second time.
    """
    programs = assets.find(version, allow_unpinned=allow_unpinned, say=say)
    with processes.Programs(Path(tempfile.gettempdir()), PREFIX) as home:
        yield controlplane.start(
            home, programs, NAME, audit_log=audit_log, flags=_flags(runtime_config, extra_args), load=load, say=say
        )


def up(
    name: str,
    version: str | None = None,
    *,
    audit_log: bool = False,
    runtime_config: str | None = None,
    extra_args: Sequence[str] = (),
    allow_unpinned: bool = False,
    say: Say = announce,
) -> Cluster:
    """Have a control plane that outlives this process; one of this name that runs already is used again."""
    with _record_lock(name):
        known = _read(name)
        if known is not None and _lives(known):
            if version is not None and not f"{known['version']}.".startswith(f"v{version.removeprefix('v')}."):
                raise UsageError(
                    f"the cluster {name} runs Kubernetes {known['version']}, not {version}:"
                    f" `kube-conformance cluster down --name {name}` first, or give another --name"
                )
            say(f"{name} is running already: Kubernetes {known['version']} at {known['server']}")
            return controlplane.cluster_in(Path(known["directory"]), name, known["server"])
        if known is not None:
            _end(name, known)
        programs = assets.find(version, allow_unpinned=allow_unpinned, say=say)
        with processes.Programs(Path(tempfile.gettempdir()), PREFIX) as home:
            flags = _flags(runtime_config, extra_args)
            cluster = controlplane.start(home, programs, name, audit_log=audit_log, flags=flags, say=say)
            record = {
                "pid": home.pid,
                "born": processes.birth(home.pid),
                "directory": str(home.directory),
                "server": cluster.admin.server,
                "version": programs.version,
            }
            controlplane.write(_record(name), json.dumps(record, indent=1))
            home.detach()
        return cluster


def down(name: str, *, say: Say = announce) -> bool:
    """End the control plane of this name and leave nothing of it; False when there is none."""
    with _record_lock(name):
        known = _read(name)
        if known is None:
            return False
        _end(name, known)
    say(f"{name} is down")
    return True


def status(name: str) -> Status | None:
    """Look how the control plane of this name is; None when `up` did not make one."""
    known = _read(name)
    if known is None:
        return None
    directory = Path(known["directory"])
    problem = ""
    if not _lives(known):
        problem = "its processes are gone"
    else:
        with Client(controlplane.cluster_in(directory, name, known["server"]).admin) as client:
            answer = client.ask("GET", "/readyz")
        if answer.status != _OK:
            problem = answer.error or f"/readyz: {answer.status}"
    kubeconfig = directory / "kubeconfig"
    return Status(NAME, name, known["version"], known["server"], kubeconfig, running=not problem, problem=problem)


def names() -> tuple[str, ...]:
    """List the control planes that `up` made and `down` has not ended."""
    return tuple(sorted(record.stem for record in _state().glob("*.json")))


def _lives(known: dict[str, Any]) -> bool:
    """Say whether the processes and their directory are both there; a cleaner of /tmp may take the second."""
    return processes.birth(known["pid"]) == known["born"] and (Path(known["directory"]) / "kubeconfig").exists()


def _end(name: str, known: dict[str, Any]) -> None:
    processes.end(known["pid"], known["born"])
    processes.sweep(Path(known["directory"]).parent, PREFIX)  # it leaves a directory only where it was killed
    _record(name).unlink()


def _flags(runtime_config: str | None, extra_args: Sequence[str]) -> tuple[str, ...]:
    return (*([f"--runtime-config={runtime_config}"] if runtime_config else []), *extra_args)


def _state() -> Path:
    chosen = os.environ.get("KUBE_CONFORMANCE_STATE")
    return (Path(chosen) if chosen else user_state_path("kube-conformance")) / "clusters" / NAME


def _record(name: str) -> Path:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", name):
        raise UsageError(f"{name!r} is no name for a cluster: up to 40 lower case letters, digits and '-' between them")
    return _state() / f"{name}.json"


def _record_lock(name: str) -> FileLock:
    record = _record(name)
    record.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(record.with_suffix(".lock"))


def _read(name: str) -> dict[str, Any] | None:
    try:
        known: dict[str, Any] = json.loads(_record(name).read_text("utf-8"))
    except FileNotFoundError:
        return None
    return known
