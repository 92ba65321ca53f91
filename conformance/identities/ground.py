"""What a run makes on a cluster for itself: two namespaces, a Lease, and what its identities need in them."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import orjson

from conformance.errors import ClusterError, ConformanceError, IdentityError, UsageError
from conformance.identities import LeftOutError, leftovers
from conformance.identities import lease as leases
from conformance.transport import expect_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conformance.identities import Spec
    from conformance.identities.leftovers import Leftover
    from conformance.model import Cluster, Json, Mode, Response
    from conformance.transport import Client

WAIT = 20.0  # seconds for what controllers do
GONE = 30.0  # seconds for namespaces to go
SETTLED = 5.0  # seconds for the ConfigMap of the cluster's authority
HELD = 5.0  # seconds after which something in them seems to be held by a finalizer
_RUN_ID = re.compile(r"[a-z0-9]([-a-z0-9]{0,28}[a-z0-9])?")
_TRIES = 4
_FORBIDDEN, _NOT_FOUND = 403, 404
_AGAIN = frozenset({429, 503, 504})
_SUCCESS = range(200, 300)


class Ground:
    """The names of a run on a cluster, and what it made there. Without `creates` nothing is made."""

    def __init__(self, client: Client, cluster: Cluster, run_id: str, mode: Mode) -> None:
        if not _RUN_ID.fullmatch(run_id):
            raise UsageError(f"{run_id!r} is no run id: up to 30 lower case letters, digits and '-' between them")
        self.client, self.cluster, self.run_id = client, cluster, run_id
        self.creates = mode == "full"
        # Authorization comes before existence, so asking in a namespace that isn't there is harmless and tells as much.
        self.own = leftovers.own_namespace(run_id) if self.creates else "default"
        self.other = leftovers.other_namespace(run_id)
        self.lease: leases.Lease | None = None
        self.stack = contextlib.ExitStack()  # what has to end with the run: programs that a kind starts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def user_of(self, spec: Spec) -> str:
        """Give the user that a spec names, or one that nobody else has."""
        return str(spec.settings.get("user") or f"kube-conformance:{self.run_id}:{spec.name}")

    def namespace(self, place: str) -> str:
        """Give the namespace that `own`, `other` or a name stands for."""
        return {"own": self.own, "other": self.other}.get(place, place)

    def ask(self, method: str, path: str, **how: Any) -> Response:
        """Ask as the admin; a server that is busy is asked again."""
        for attempt in range(_TRIES):
            response = self.client.ask(method, path, **how)
            if response.status not in _AGAIN:
                break
            after = response.headers.get("retry-after", "")
            time.sleep(min(float(after) if after.isdigit() else 0.2 * 2**attempt, 5.0))
        return response

    def create(self, path: str, body: Json) -> Json:
        """Create an object, marked as this run's.

        A refusal on a cluster that is not ours is a reason to do without the identity; anything else is an error.
        """
        metadata = body.get("metadata", {})
        labels = {leftovers.MANAGED_BY: leftovers.MANAGER, leftovers.RUN: self.run_id}
        body = body | {"metadata": metadata | {"labels": metadata.get("labels", {}) | labels}}
        return self.sent("POST", path, body)

    def sent(self, method: str, path: str, body: Json) -> Json:
        """Send a body that the server has to accept, and give its answer."""
        response = self.ask(method, path, query={"fieldManager": leftovers.MANAGER}, body=body)
        if response.status == _FORBIDDEN and not self.cluster.ours:
            raise LeftOutError(message_of(response))
        if response.error or response.status not in _SUCCESS:
            what = response.error or f"{response.status} {message_of(response)}"
            raise IdentityError(f"{method} {path}: {what}")
        document: Json = orjson.loads(response.body)
        return document

    def claim(self) -> None:
        """Make sure that no other run has the id: what is cleared in the end has to be this run's own."""
        if self.ask("GET", f"{leftovers.NAMESPACES}/{self.own}").status in _SUCCESS:
            raise UsageError(f"the run id {self.run_id} is in use on this cluster: the namespace {self.own} is there")

    def lay(self) -> None:
        """Make the namespaces and the Lease."""
        try:
            holder = {leftovers.HOLDER: leases.holder()}
            self._namespace(self.own, {"annotations": holder})
            version = self.ask("GET", "/version")
            self.lease = leases.Lease(self.client, self.own, self.run_id, leases.server_time(version))
            metadata = {"name": self.run_id, "namespace": self.own}
            self.create(
                leases.path(self.own, self.run_id).rpartition("/")[0],
                {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": metadata,
                    "spec": self.lease.spec(),
                },
            )
            self._renewable(self.lease)
            self._namespace(self.other, {})
        except LeftOutError as refusal:
            raise ClusterError(
                f"mode full makes namespaces of its own, and may not: {refusal}; --mode dry-run makes nothing"
            ) from None

    def _renewable(self, lease: leases.Lease) -> None:
        """Renew the Lease once: a run that cannot would be taken for dead while it goes on."""
        response = lease.renewed()
        if response.status == _FORBIDDEN:
            raise LeftOutError(message_of(response))

    def settle(self) -> None:
        """Wait for what controllers make in a new namespace: without it a pod's creation is refused with 403."""
        for namespace in (self.own, self.other):
            path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
            if not until(lambda path=path: self.ask("GET", path).status != _NOT_FOUND, WAIT):  # type: ignore[misc]
                raise ClusterError(
                    f"no controller made the ServiceAccount `default` in {namespace} within {WAIT:.0f} s;"
                    " is kube-controller-manager running?"
                )
            certificate = f"/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt"
            # Some clusters have another way to hand it out: whoever has none goes on.
            until(lambda path=certificate: self.ask("GET", path).status != _NOT_FOUND, SETTLED)  # type: ignore[misc]

    def _namespace(self, name: str, metadata: Json) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name} | metadata}
        self.create(leftovers.NAMESPACES, body)

    def clear(self, *, wait: bool, say: Callable[[str], None]) -> None:
        """Remove all that the run made, whatever signal comes meanwhile; says what could not be removed.

        With `wait` it goes on until the namespaces are really gone; only that is cut short by a signal.
        """
        with _undisturbed() as signals:
            try:
                objects = leftovers.of_run(self.client, self.run_id)
                if not self.cluster.ours:  # who may not list them there may get its own
                    objects = (*objects, *leftovers.namespaces_of_run(self.client, self.run_id))
                    objects = tuple({each.path: each for each in objects}.values())
                problems = leftovers.delete(self.client, objects)
            except ConformanceError as failure:
                objects, problems = (), (str(failure),)
            for problem in problems:
                say(f"could not be removed: {problem}; `kube-conformance cleanup` removes it later")
            if wait and not until_gone(self.client, objects, lambda: bool(signals)):
                say(f"the namespaces of run {self.run_id} are still being deleted after {GONE:.0f} s")


def message_of(response: Response) -> str:
    """Give what a server says of a refusal, on one line."""
    try:
        document = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return ""
    return " ".join(str(document.get("message", "")).split()) if isinstance(document, dict) else ""


def read(response: Response, what: str) -> Json:
    """Read an object that has to be there."""
    document: Json = expect_json(response, what)
    return document


def until(done: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again, less and less often, until it is done; False when the time is over."""
    deadline, pause = time.monotonic() + seconds, 0.01
    while not done():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)
    return True


def until_gone(client: Client, objects: Sequence[Leftover], enough: Callable[[], bool] = lambda: False) -> bool:
    """Wait until the namespaces and definitions among deleted objects are really gone; False if that takes too long."""
    slow = (f"{leftovers.NAMESPACES}/kc-", f"{leftovers.DEFINITIONS}/")
    paths = [each.path for each in objects if each.path.startswith(slow)]

    def is_there(path: str) -> bool:
        return client.ask("GET", path).status in _SUCCESS  # no answer will not become one by waiting

    def all_gone() -> bool:
        return enough() or not any(map(is_there, paths))

    if until(all_gone, HELD):
        return True
    for path in paths:
        if path.startswith(leftovers.NAMESPACES):
            leftovers.let_namespace_go(client, path)
    leftovers.free(client, dict.fromkeys(each.run for each in objects))
    return until(all_gone, GONE - HELD)


@contextlib.contextmanager
def _undisturbed() -> Iterator[list[int]]:
    """Hold SIGINT and SIGTERM back for as long as the block lasts, then let them act; gives those that came."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came  # signals act on the main thread only
        return
    before = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield came
    finally:
        for held, handler in before.items():
            signal.signal(held, handler)
        for late in dict.fromkeys(came):
            signal.raise_signal(late)
