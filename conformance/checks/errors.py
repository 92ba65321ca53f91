"""What an error is: a Status that says the same as HTTP does, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, SHOULD, check
from conformance.checks.asking import CONVENTIONS, OBJECT, dry_run
from conformance.scripts import Ask, Reply, at, expect, need
from conformance.statuses import status_problems

if TYPE_CHECKING:
    from conformance.scripts import Case, Memory, Seen, Steps

_STATUS = f"{CONVENTIONS}#response-status-kind"
_ALWAYS = "Kubernetes will always return the Status kind from any API endpoint when an error occurs."
_NOT_FOUND, _CONFLICT, _INVALID, _ERRORS = 404, 409, 422, 400


def _shape(seen: Seen, _: Memory) -> Any:
    """Say how an error departs from a Status."""
    document = seen.document
    return {
        "problems": status_problems(document, seen.status) if seen.status >= _ERRORS else [],
        "reason": at(document, "reason"),
        "kind": at(document, "details", "kind"),
        "group": at(document, "details", "group"),
        "named": bool(at(document, "details", "name")),
        "causes": len(at(document, "details", "causes") or ()),
        "fields": sorted({str(at(each, "field")) for each in at(document, "details", "causes") or ()})[:4],
    }


@check(
    "STATUS-ERROR",
    MUST,
    "An error is a Status: Failure, with the code of HTTP, a reason that belongs to it, and a message",
    url=_STATUS,
    quote=_ALWAYS,
    on="resource",
    verbs=("list",),
)
def is_a_status(case: Case) -> Steps:
    """Ask wrongly in several ways that only read."""
    asks = (
        Ask("GET", f"{case.collection()}/{{absent}}/{{absent}}", read=_shape),
        Ask("GET", case.collection(), (("labelSelector", "!!"),), read=_shape),
        Ask("GET", case.collection(), (("resourceVersion", "x"),), read=_shape),
        Ask("GET", case.collection(), (("limit", "1"), ("continue", "x")), read=_shape),
    )
    for ask in asks:
        reply: Reply = yield ask
        problems = reply.get("problems") or ()
        expect(not problems, f"{reply.status}: {'; '.join(problems)}")


@check(
    "STATUS-NOT-FOUND",
    MUST,
    "The 404 of an absent object names the object and the resource",
    url=_STATUS,
    quote="kind string: The kind attribute of the missing resource (on some operations may differ from the requested"
    " resource). name string: The identifier of the missing resource.",
    on="resource",
    verbs=("get",),
)
def not_found(case: Case) -> Steps:
    """Ask for a name that no object has."""
    reply: Reply = yield Ask("GET", case.item("{absent}"), read=_shape)
    expect(reply.status == _NOT_FOUND, f"it is answered {reply.status}")
    problems = reply.get("problems") or ()
    expect(not problems, "; ".join(problems))
    expect(reply.get("named"), "details.name is missing")
    resource = case.resource
    expect(reply.get("kind") in {resource.name, resource.kind}, f"details.kind is {reply.get('kind')}")
    expect((reply.get("group") or "") == resource.group, f"details.group is {reply.get('group')}")


@check(
    "STATUS-CONFLICT",
    MUST,
    "The 409 of a name that is taken is AlreadyExists and names the object",
    url=_STATUS,
    quote="Indicates that the resource you are creating already exists.",
    on="resource",
    verbs=OBJECT,
    mode="full",
    needs=("object",),
)
def already_exists(case: Case) -> Steps:
    """Create an object twice."""
    made: Reply = yield from case.created("a")
    need(made.ok, f"it is answered {made.said()}")
    reply: Reply = yield dry_run(case, case.object("a"), read=_shape)
    expect(reply.status == _CONFLICT, f"it is answered {reply.status}")
    problems = reply.get("problems") or ()
    expect(not problems, "; ".join(problems))
    expect(reply.get("reason") == "AlreadyExists", f"its reason is {reply.get('reason')}")
    expect(reply.get("named"), "details.name is missing")


@check(
    "STATUS-INVALID",
    MUST,
    "The 422 of an invalid object lists its causes, each with the field",
    url=_STATUS,
    quote="One or more StatusCause entries indicating the data in the provided resource that was invalid.",
    on="resource",
    verbs=OBJECT,
    mode="dry-run",
    needs=("object",),
)
def invalid(case: Case) -> Steps:
    """Send a label that no label may be."""
    body = case.object("a")
    body["metadata"]["labels"] = {**body["metadata"].get("labels", {}), "not valid!": "x"}
    yield from case.needed()
    reply: Reply = yield dry_run(case, body, read=_shape)
    need(reply.status >= _ERRORS, f"it is answered {reply.status}")
    problems = reply.get("problems") or ()
    expect(not problems, "; ".join(problems))
    expect(reply.status == _INVALID, f"it is answered {reply.status} {reply.get('reason') or ''}".rstrip())
    expect(reply.get("reason") == "Invalid", f"its reason is {reply.get('reason')}")
    expect(reply.get("causes"), "details.causes is empty")
    expect(any("labels" in each for each in reply.get("fields")), "no cause names metadata.labels")


def _plain(seen: Seen, _: Memory) -> Any:
    told = {"problems": status_problems(seen.document, seen.status), "reason": at(seen.document, "reason")}
    return told | {"type": seen.headers.get("content-type", "").partition(";")[0]}


@check(
    "STATUS-ABSENT-RESOURCE",
    SHOULD,
    "A resource that a served group and version does not have is a 404 Status",
    url=_STATUS,
    quote=_ALWAYS,
    on="group version",
)
def absent_resource(case: Case) -> Steps:
    """Ask for a plural that nobody serves."""
    subject = case.subject
    root = f"/apis/{subject.group}/{subject.version}" if subject.group else f"/api/{subject.version}"
    reply: Reply = yield Ask("GET", f"{root}/kubeconformancenones", read=_plain)
    expect(reply.status == _NOT_FOUND, f"it is answered {reply.status}")
    # That a path without a resource is a text is known of custom groups and of the aggregator.
    if reply.get("type") == "application/json":
        problems = reply.get("problems") or ()
        expect(not problems, "; ".join(problems))
