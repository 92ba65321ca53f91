"""What is promised of states that are gone: a 410 that says so, forced by compacting the store of a server of ours."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson

from conformance.checks import MUST, check
from conformance.checks.asking import CONCEPTS, PARAMETERS
from conformance.scripts import Ask, Reply, at, expect, need

if TYPE_CHECKING:
    from collections.abc import Generator

    from conformance.scripts import Case, Memory, Seen, Steps, Subject

_OK, _GONE = 200, 410
_OLD = 2  # a revision of the time before the server was ready, so that nobody else asks for it
_NEEDS = ("@etcd",)


def _is_read_from_the_store(subject: Subject) -> bool:
    # Of all others the server holds states in memory, and may serve those after the store forgot them.
    return subject.resource is not None and subject.resource.name == "events" and not subject.aggregated


def _compacted() -> Generator[Any, Any, None]:
    """Forget all states up to the old one; where that was done before, etcd says so and all is well."""
    reply: Reply = yield Ask(
        "POST", "/v3/kv/compaction", body={"revision": _OLD + 1, "physical": True}, identity="@etcd"
    )
    need(reply.status in {_OK, 400}, f"the store could not be compacted: {reply.status}")


def _of_the_past(seen: Seen, _: Memory) -> Any:
    """Read what a refusal says."""
    return {
        "reason": at(seen.document, "reason"),
        "continues": bool(at(seen.document, "metadata", "continue")),
    }


def _is_expired(reply: Reply) -> None:
    expect(reply.status == _GONE, f"it is answered {reply.said() or reply.status}")


@check(
    "LIST-VERSION-EXPIRED",
    MUST,
    "A list at an exact state that is gone is a 410",
    url=f"{CONCEPTS}#410-gone-responses",
    quote="Servers are not required to serve all older resource versions and may return a HTTP 410 (Gone) status code"
    " if a client requests a resourceVersion older than the server has retained.",
    on="resource",
    verbs=("list",),
    applies=_is_read_from_the_store,
    mode="full",
    needs=_NEEDS,
)
def list_version_expired(case: Case) -> Steps:
    """Compact the store, and ask for what it forgot."""
    yield from _compacted()
    query = (("resourceVersion", str(_OLD)), ("resourceVersionMatch", "Exact"), ("limit", "1"))
    reply: Reply = yield Ask("GET", case.collection(""), query, read=_of_the_past)
    _is_expired(reply)
    expect(reply.reason in {"Expired", "Gone"}, f"the reason is {reply.reason or 'missing'}")


@check(
    "LIST-CONTINUE-EXPIRED",
    MUST,
    "A continue token of a state that is gone is a 410",
    url=f"{PARAMETERS}#continue",
    quote="If the specified continue value is no longer valid whether due to expiration (generally five to fifteen"
    " minutes) or a configuration change on the server, the server will respond with a 410 ResourceExpired error"
    " together with a continue token.",
    on="resource",
    verbs=("list",),
    applies=_is_read_from_the_store,
    mode="full",
    needs=_NEEDS,
)
def list_continue_expired(case: Case) -> Steps:
    """Compact the store, and continue a list of the state that it forgot."""
    yield from _compacted()
    plain = orjson.dumps({"v": "meta.k8s.io/v1", "rv": _OLD, "start": "a\u0000"})
    token = base64.urlsafe_b64encode(plain).decode().rstrip("=")
    reply: Reply = yield Ask("GET", case.collection(""), (("limit", "1"), ("continue", token)), read=_of_the_past)
    _is_expired(reply)
    expect(reply.get("continues"), "it gives no token to go on with from the present state")
