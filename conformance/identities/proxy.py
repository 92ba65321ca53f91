"""A path through `kubectl proxy`: whoever the run's admin or a context is, by a proxy that shows the credential itself.

kubectl runs in a private directory and listens on a Unix socket there: a port would lend the credential to every user
of the machine. Nothing of it outlives us, however we end (clusters/processes.py). It filters paths as it does by
default: exec and attach are refused, without an Audit-Id.

A context is read by kubectl from the files that it stands in. The admin of a cluster of ours stands in none that
kubectl could be given, so its kubeconfig is handed over in memory (memfd): kubectl opens it by the path
/proc/OUR-PID/fd/N, which no other user can, and it is gone when we close it. A file of mode 0600, even one that is
removed at once, would be left behind by a SIGKILL at the wrong moment.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.clusters import assets, kubeconfig
from conformance.clusters.processes import Programs
from conformance.errors import IdentityError
from conformance.identities.context import chosen
from conformance.identities.ground import until
from conformance.model import Access
from conformance.transport import Client
from conformance.yamlfile import Key, line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from conformance.identities import Spec, Who
    from conformance.identities.ground import Ground

NAME = "proxy"
KEYS = {"kubeconfig": Key(line), "context": Key(line)}
PREFIX = "kube-conformance-proxy-"
READY_SECONDS = 30  # a credential plugin may have to run first
_LONGEST = 107  # bytes in the path of a Unix socket
_SOCKET = "s"


def problem(spec: Spec) -> str:
    """Check that a kubeconfig comes with a context, and that nothing is bound to a user whom only the server knows."""
    if "kubeconfig" in spec.settings and "context" not in spec.settings:
        return "the key 'context' is missing; `current` takes the current one"
    if spec.bind:
        return "bind: who is behind the proxy only the server knows; bind a serviceaccount, certificate or impersonate"
    return ""


def hindrance(spec: Spec, ground: Ground) -> str:
    """Say why no kubectl can be started here."""
    del spec, ground
    if sys.platform != "linux":
        return "kubectl proxy is started on Linux only"
    return "" if kubectl() else f"there is no kubectl on PATH and none in {assets.cache()}"


def who(spec: Spec, ground: Ground) -> Who | None:
    """Only the server knows."""
    del spec, ground
    return None


def access(spec: Spec, ground: Ground) -> Access:
    """Start the proxy and go through it, showing nothing; it ends with the run."""
    return accesses(spec, ground, {_SOCKET: ()})[_SOCKET]


def accesses(spec: Spec, ground: Ground, filters: Mapping[str, Sequence[str]]) -> dict[str, Access]:
    """Start proxies of one credential that differ in their filters: the name of a socket -> kubectl's flags for it."""
    program = kubectl()
    if program is None:
        raise IdentityError(f"identity {spec.name}: there is no kubectl any more")
    home = ground.stack.enter_context(Programs(_folder(), PREFIX))
    found = {socket: Access("http://localhost", unix_socket=str(home.directory / socket)) for socket in filters}
    with _credential(spec, ground) as (files, context):
        for socket, flags in filters.items():
            home.start(
                f"kubectl-{socket}",
                [program, "proxy", f"--unix-socket={socket}", "--append-server-path", f"--context={context}", *flags],
                {**os.environ, "KUBECONFIG": files},
            )
        for socket, known in found.items():
            _wait(spec, home, f"kubectl-{socket}", known)
    return found


def kubectl() -> Path | None:
    """Find a kubectl: beside the control plane's programs that were named or made last, else on PATH."""
    named = [Path(given) for variable in assets.DIRECTORIES if (given := os.environ.get(variable))]
    made = sorted(assets.cache().glob("v*"), key=lambda entry: entry.stat().st_mtime, reverse=True)
    for folder in (*named, *made):
        if os.access(folder / "kubectl", os.X_OK):
            return (folder / "kubectl").absolute()
    found = shutil.which("kubectl")
    return Path(found).absolute() if found else None


@contextlib.contextmanager
def _credential(spec: Spec, ground: Ground) -> Iterator[tuple[str, str]]:
    """Give the kubeconfig files and the context that kubectl is to read; they need to be there only until it has."""
    cluster = ground.cluster
    if "context" in spec.settings:
        config, name = chosen(spec, ground)
        if name in config.contexts:
            yield config.files, name
            return
        content = kubeconfig.written(config.access(name))  # a pod's own account
    elif cluster.kubeconfig:
        yield cluster.kubeconfig, cluster.name
        return
    else:
        content = kubeconfig.written(cluster.admin)
    memory = os.memfd_create("kubeconfig", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(memory), "wb") as file:
            file.write(content)
        yield f"/proc/{os.getpid()}/fd/{memory}", kubeconfig.WRITTEN
    finally:
        os.close(memory)


def _wait(spec: Spec, home: Programs, program: str, known: Access) -> None:
    """Wait until the proxy answers, whatever it says."""
    with Client(known) as client:

        def answers() -> bool:
            if home.ended(program) is not None:
                raise IdentityError(f"identity {spec.name}: kubectl proxy ended:\n{home.last_lines(program)}")
            return client.ask("GET", "/version").error is None

        if not until(answers, READY_SECONDS):
            words = home.last_lines(program)
            raise IdentityError(f"identity {spec.name}: kubectl proxy did not answer in {READY_SECONDS} s:\n{words}")


def _folder() -> Path:
    """Give the place for temporary things, if the path of a socket in it is short enough."""
    folder = Path(tempfile.gettempdir())
    longest = folder / f"{PREFIX}12345678" / _SOCKET
    return folder if len(os.fsencode(longest)) <= _LONGEST else Path("/tmp")  # noqa: S108  # a directory of mode 0700
