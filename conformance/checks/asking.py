"""What many checks ask, written once; and the documents that they cite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.scripts import DRY_RUN, OWN, Ask, NotApplicable, at, need

if TYPE_CHECKING:
    from collections.abc import Generator

    from conformance.model import Json
    from conformance.scripts import Case, Memory, Reply, Seen, Subject

CONCEPTS = "https://kubernetes.io/docs/reference/using-api/api-concepts/"
CONVENTIONS = (
    "https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md"
)
APPLY = "https://kubernetes.io/docs/reference/using-api/server-side-apply/"
AUTHENTICATION = "https://kubernetes.io/docs/reference/access-authn-authz/authentication/"
PARAMETERS = "https://kubernetes.io/docs/reference/kubernetes-api/common-parameters/common-parameters/"
DEFINITION = "https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/"
OVERVIEW = "https://kubernetes.io/docs/concepts/overview/kubernetes-api/"
LABELS_PAGE = "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/"
FIELDS_PAGE = "https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/"
FINALIZERS = "https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/"
COLLECTING = "https://kubernetes.io/docs/concepts/architecture/garbage-collection/"

MARK = "kube-conformance.io/mark"  # the label that checks change
MERGE = (("Content-Type", "application/merge-patch+json"),)
JSON_PATCH = (("Content-Type", "application/json-patch+json"),)
STRATEGIC = (("Content-Type", "application/strategic-merge-patch+json"),)
APPLY_PATCH = (("Content-Type", "application/apply-patch+yaml"),)
AND_OK = frozenset({200, 201, 202})

OBJECT = ("create", "get", "delete")  # the verbs of a resource whose objects a check makes itself


def is_named_freely(subject: Subject) -> bool:
    """Whether the name of its objects has no meaning, so that any will do."""
    body = subject.sample.body if subject.sample else None
    return "name" not in ((body or {}).get("metadata") or {})


def knows_its_fields(subject: Subject) -> bool:
    """Whether the schema of the resource says which fields there are."""
    return not (subject.sample and subject.sample.keeps_unknown)


def get(case: Case, name: str, **how: Any) -> Ask:
    """Ask for an object of the script."""
    return Ask("GET", case.item(name), **how)


def label_patch(value: str | None) -> Json:
    """Build a merge patch of the label that checks change."""
    return {"metadata": {"labels": {MARK: value}}}


def merge(case: Case, name: str, patch: Json, *query: tuple[str, str]) -> Ask:
    """Patch an object of the script."""
    return Ask("PATCH", case.item(name), query, patch, MERGE)


def dry_run(case: Case, body: Any, *query: tuple[str, str], **how: Any) -> Ask:
    """Try a creation that persists nothing."""
    return Ask("POST", case.collection(), (DRY_RUN, *query), body, **how)


def pause(case: Case, seconds: int) -> Ask:
    """Let some seconds go by: a watch of what never comes, which the server ends."""
    query = (("watch", "true"), ("timeoutSeconds", str(seconds)), case.selector)
    path = f"/api/v1/namespaces/{OWN}/configmaps"
    return Ask("GET", path, query, ends=lambda _: False, seconds=seconds + 30.0, read=lambda _seen, _memory: None)


def read_back(case: Case, name: str, **how: Any) -> Generator[Ask, Any, Any]:
    """Get an object that was made, which has to be there."""
    reply: Reply = yield get(case, name, **how)
    need(reply.status == 200, f"the object that was made is answered {reply.said()}")  # noqa: PLR2004
    return reply.body


def version_of(body: Any) -> str:
    """Give the resourceVersion in an object or list."""
    return str(at(body, "metadata", "resourceVersion") or "")


def mark_of(body: Any) -> Any:
    """Give the label that checks change."""
    return at(body, "metadata", "labels", MARK)


def count_of_items(seen: Seen, _: Memory) -> Any:
    """Read of a list that is refused only why, and else how many objects it holds."""
    items = at(seen.document, "items")
    return {"status": at(seen.document, "reason"), "count": len(items) if isinstance(items, list) else None}


Collection = tuple[str, tuple[tuple[str, str], ...]]  # a path, and what selects in it


def stock(case: Case, count: int, *, selected: bool = True) -> Generator[Ask | tuple[Ask, ...], Any, Collection]:
    """Make objects of our own to look at, so that it does not matter what others have there at the moment.

    What is there anyway has to do where the run makes nothing, or nothing of this kind.
    """
    anything: Collection = (case.collection(""), ())
    sample = case.subject.sample
    if case.world.mode != "full" or sample is None or sample.body is None or not case.subject.has(*OBJECT):
        return anything
    try:
        bodies = [(f"s{number}", case.object(f"s{number}")) for number in range(count)]
    except NotApplicable:
        return anything
    for suffix, body in bodies:
        yield from case.needed(suffix)
        made: Reply = yield Ask("POST", case.collection(), body=body)
        if made.status != 201:  # noqa: PLR2004  # Created
            return anything
    return case.collection(), (case.selector,) if selected else ()


def names_in(body: Any) -> list[str]:
    """Give the names of a list's objects, in its order."""
    items = at(body, "items")
    return [str(at(item, "metadata", "name")) for item in items] if isinstance(items, list) else []
