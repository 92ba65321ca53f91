"""That a run is alive: a Lease in its own namespace, renewed while the run goes on, with the process that holds it."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.clusters.processes import birth
from conformance.errors import ConformanceError

if TYPE_CHECKING:
    from conformance.model import Json, Response
    from conformance.transport import Client

SECONDS = 300  # without a renewal a run counts as interrupted
GRACE = 600  # and as dead, so that its objects may be removed, ten minutes later
RENEW = 60
AGAIN = 20  # after a renewal that failed
_OK = 200


def path(namespace: str, run_id: str) -> str:
    """Give the path of a run's Lease."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{run_id}"


def holder() -> str:
    """Name this process so that no other, on any machine, ever has the name: host, PID namespace, number, birth."""
    return f"{_here()} {os.getpid()} {birth(os.getpid())}"


def is_gone(name: str) -> bool:
    """Say whether the holder of this name was a process of this machine and is no more; elsewhere nobody can tell."""
    here, born = holder().split(" "), name.split(" ")
    if len(born) != len(here) or born[:2] != here[:2] or not born[2].isdigit():
        return False
    # A process's birth begins with the id of the machine's boot: another boot may be another machine of this name.
    return born[3].split("/")[0] == here[3].split("/")[0] and birth(int(born[2])) != born[3]


def _here() -> str:
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = "unknown"
    return f"{socket.gethostname()} {namespace}"


def server_time(response: Response) -> dt.datetime:
    """Read the server's clock off an answer, because several machines' clocks differ; ours where it does not say."""
    try:
        return parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return dt.datetime.now(dt.UTC)


def lapsed(lease: Json, now: dt.datetime) -> bool:
    """Say whether a Lease has not been renewed for so long that its run is dead."""
    spec = lease.get("spec") or {}
    renewed = spec.get("renewTime") or lease["metadata"]["creationTimestamp"]
    seconds = spec.get("leaseDurationSeconds") or SECONDS
    return dt.datetime.fromisoformat(renewed) + dt.timedelta(seconds=seconds + GRACE) < now


class Lease:
    """The Lease of a run that goes on in this process."""

    def __init__(self, client: Client, namespace: str, run_id: str, now: dt.datetime) -> None:
        self._client, self._path = client, path(namespace, run_id)
        self._ahead = now - dt.datetime.now(dt.UTC)  # of the server's clock
        self._due = time.monotonic() + RENEW

    def spec(self) -> Json:
        """Give what the Lease says now."""
        now = self._now()
        return {
            "holderIdentity": holder(),
            "leaseDurationSeconds": SECONDS,
            "acquireTime": now,
            "renewTime": now,
        }

    def beat(self) -> None:
        """Renew the Lease if that is due; a server that does not answer is asked again a little later."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + AGAIN
        with contextlib.suppress(ConformanceError):  # the admin's credential cannot be renewed just now
            if self.renewed().status == _OK:
                self._due = time.monotonic() + RENEW

    def renewed(self) -> Response:
        """Renew the Lease, and give the answer."""
        return self._client.ask(
            "PATCH",
            self._path,
            body={"spec": {"renewTime": self._now()}},
            headers={"Content-Type": "application/merge-patch+json"},
        )

    def _now(self) -> str:
        return (dt.datetime.now(dt.UTC) + self._ahead).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
