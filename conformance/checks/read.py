"""What reading promises: lists, single objects, and what is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.checks import MUST, check
from conformance.scripts import Ask, Reply, at, expect

if TYPE_CHECKING:
    from conformance.scripts import Case, Memory, Seen, Steps

_CONCEPTS = "https://kubernetes.io/docs/reference/using-api/api-concepts/"
_CONVENTIONS = (
    "https://github.com/kubernetes/community/blob/main/contributors/devel/sig-architecture/api-conventions.md"
)


def _envelope(seen: Seen, _: Memory) -> object:
    document = seen.document
    items = at(document, "items")
    return {
        "kind": at(document, "kind"),
        "apiVersion": at(document, "apiVersion"),
        "hasResourceVersion": bool(at(document, "metadata", "resourceVersion")),
        "items": isinstance(items, list),
    }


@check(
    "LIST-ENVELOPE",
    MUST,
    "A list is an object of kind <Kind>List with metadata.resourceVersion and items",
    url=_CONVENTIONS,
    quote="Every list or simple kind SHOULD have the following metadata in a nested object field called metadata",
    on="resource",
    verbs=("list",),
    applies=lambda subject: subject.resource is not None and subject.resource.name != "componentstatuses",
)
def list_envelope(case: Case) -> Steps:
    """Look at the frame of a list, not at what is in it."""
    reply: Reply = yield Ask("GET", case.collection(), (("limit", "1"),), read=_envelope)
    expect(reply.status == 200, f"the list is answered {reply.said()}")  # noqa: PLR2004
    expect(reply.get("kind") == f"{case.resource.kind}List", f"its kind is {reply.get('kind')}")
    expect(reply.get("items"), "items is no list")
    expect(reply.get("hasResourceVersion"), "metadata.resourceVersion is missing")


@check(
    "GET-ABSENT",
    MUST,
    "An object that is not there is a 404 Status with its name and kind",
    url=_CONVENTIONS,
    quote="Indicates that the requested resource does not exist.",
    on="resource",
    verbs=("get",),
)
def get_absent(case: Case) -> Steps:
    """Ask for a name that no object has."""
    reply: Reply = yield Ask("GET", case.item("{absent}"))
    expect(reply.status == 404, f"the answer is {reply.said() or reply.status}")  # noqa: PLR2004
    expect(reply.get("kind") == "Status" and reply.reason == "NotFound", f"it is no Status NotFound: {reply.said()}")
    expect(reply.get("details", "name") == "{absent}", "details.name does not name it")
    expect(reply.get("details", "kind"), "details.kind is missing")
