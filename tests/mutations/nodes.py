"""A node that is played, and what one can do wrong: pods that run are more than a control plane alone can have.

The scripts are driven with replies as the store holds them, so that what they make of an answer is tested, while that
real nodes answer so is what `nox -s kind` asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from conformance.scripts import Reply

if TYPE_CHECKING:
    from conformance.scripts import Ask

_POD = {"phase": "Running", "address": True, "bound": True, "started": True}
_ENDED = {
    "0": '{"status":"Success"}',
    "3": '{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}',
}
_PROTECTED = {"kind": "Status", "reason": "TooManyRequests", "details": {"causes": [{"reason": "DisruptionBudget"}]}}

When: TypeAlias = Callable[["Ask"], bool]


@dataclass(frozen=True, slots=True)
class Fault:
    """What a node does wrong: on which requests, what it answers instead, and which check has to notice.

    The first `spared` of these requests are answered rightly.
    """

    says: str
    caught_by: str
    when: When
    answer: Callable[[Reply], Reply]
    spared: int = 0


def answer(ask: Ask) -> Reply:
    """Answer as a server does whose node is well."""
    if ask.upgrade:
        return Reply(101, _heard(ask))
    if ask.is_watch:
        return Reply(200, {"seen": True})
    last = ask.path.rpartition("/")[2]
    if ask.method == "POST":
        if last == "eviction" and "-b/" in ask.path:
            return Reply(429, _PROTECTED)
        return Reply(201, {"allowed": True} if last == "subjectaccessreviews" else {"metadata": {"name": last}})
    if ask.method == "PATCH":
        return Reply(200, {})
    if last == "log":
        words = dict(ask.query)
        return Reply(400 if "container" in words else 200, {"words": ["the first line"], "another": True})
    if "/proxy" in ask.path:
        return Reply(200, {"words": ["the page"], "ok": True})
    return Reply(200, {"name": "one", "spec": {"clusterIP": "{ip1}"}} | _POD)


def _heard(ask: Ask) -> Any:
    words = dict(ask.query)
    if ask.path.endswith("/portforward"):
        return {"words": {"0": ["the greeting"]} if words["ports"] == "8081" else {"1": ["refused"]}, "status": ""}
    if ask.path.endswith("/attach"):
        return {"words": {"1": ["another line"]}, "status": ""}
    command = words.get("command", "")
    said = "an answer" if "echo" in command else "the page"
    return {"words": {"1": [said]}, "status": _ENDED["3" if "exit 3" in command else "0"]}


def _below(word: str) -> When:
    return lambda ask: ask.path.endswith(f"/{word}") or f"/{word}/" in ask.path


def _body(**changed: Any) -> Callable[[Reply], Reply]:
    return lambda reply: replace(reply, body=reply.body | changed)


def _status(status: int) -> Callable[[Reply], Reply]:
    return lambda reply: replace(reply, status=status)


def _command(word: str) -> When:
    return lambda ask: any(word in value for name, value in ask.query if name == "command")


def _gets_pod(ask: Ask) -> bool:
    return ask.method == "GET" and not ask.is_watch and "/pods/" in ask.path


def _watches(ask: Ask) -> bool:
    return ask.is_watch and not ask.upgrade


FAULTS = (
    Fault("says that a pod is pending that runs", "NODE-POD-RUNS|server", _gets_pod, _body(phase="Pending")),
    Fault("does not say that a pod is bound", "NODE-POD-RUNS|server", _gets_pod, _body(bound=False)),
    Fault("loses the beginning of a log", "NODE-LOG|server", _below("log"), _body(words=["another line"])),
    Fault("gives more of a log than was asked for", "NODE-LOG|server", _below("log"), _body(another=False)),
    Fault("has a log of a container that is not there", "NODE-LOG|server", _below("log"), _status(200)),
    Fault("loses what a command writes", "NODE-EXEC|server", _command("echo"), _body(words={})),
    Fault("calls a command that failed a success", "NODE-EXEC|server", _command("exit"), _body(status=_ENDED["0"])),
    Fault("loses what a container writes", "NODE-ATTACH|server", _below("attach"), _body(words={})),
    Fault("leads to no port", "NODE-PORT-FORWARD|server", _below("portforward"), _body(words={"1": ["refused"]})),
    Fault("tells of a port that is not there", "NODE-PORT-FORWARD|server", _below("portforward"), _body(words={})),
    Fault("leads to no pod", "NODE-POD-PROXY|server", _below("proxy"), _status(503)),
    Fault("has no healthy kubelet", "NODE-NODE-PROXY|server", _below("proxy"), _body(ok=False)),
    Fault("leads to another page", "NODE-SERVICE-PROXY|server", _below("proxy"), _body(words=[])),
    Fault("knows no endpoint of a service", "NODE-SERVICE-PROXY|server", _below("proxy"), _status(503)),
    Fault("leads from a service nowhere", "NODE-KUBE-PROXY|server", _command("wget"), _body(words={})),
    Fault("starts no ephemeral container", "NODE-EPHEMERAL-CONTAINER|server", _watches, _body(seen=False), 1),
    Fault("refuses a resize", "NODE-RESIZE|server", _below("resize"), _status(500)),
    Fault("evicts a pod that is protected", "NODE-EVICTION|server", _below("eviction"), _status(201)),
    Fault("keeps a pod that was evicted", "NODE-EVICTION|server", _watches, _body(seen=False), 2),
    Fault(
        "refuses who may",
        "NODE-WHO-MAY|v1/pods/log",
        _below("log"),
        lambda reply: replace(reply, status=403, body={"message": "alice cannot get pods/log"}),
    ),
    Fault("lets in who may not", "NODE-WHO-MAY|v1/pods/exec", _below("subjectaccessreviews"), _body(allowed=False)),
)
