"""What patching promises: each form of a patch does what its RFC says, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.checks import MUST, check
from conformance.checks.asking import (
    CONCEPTS,
    CONVENTIONS,
    JSON_PATCH,
    MARK,
    MERGE,
    OBJECT,
    STRATEGIC,
    label_patch,
    mark_of,
    merge,
    read_back,
    version_of,
)
from conformance.scripts import DRY_RUN, Ask, Reply, at, expect, need

if TYPE_CHECKING:
    from conformance.scripts import Case, Steps

_OK, _BAD, _NOT_FOUND, _CONFLICT, _MEDIA, _INVALID = 200, 400, 404, 409, 415, 422
_PATCHED = (*OBJECT, "patch")
_POINTER = "/metadata/labels/" + MARK.replace("~", "~0").replace("/", "~1")


@check(
    "PATCH-MERGE",
    MUST,
    "A merge patch changes the fields that it names, removes those that are null, and leaves all others",
    url=CONVENTIONS,
    quote='The submitted JSON is "merged" with the current resource to create a new one, then the new one is saved.',
    on="resource",
    verbs=_PATCHED,
    mode="full",
    needs=("object",),
)
def patch_merge(case: Case) -> Steps:
    """Add a label, and remove it again."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    added: Reply = yield merge(case, name, label_patch("changed"))
    expect(added.status == _OK, f"the patch is answered {added.said()}")
    current = yield from read_back(case, name)
    expect(mark_of(current) == "changed", "the change is not stored")
    kept = {key: value for key, value in (at(current, "metadata", "labels") or {}).items() if key in case.labels}
    expect(kept == case.labels, "labels that the patch does not name are gone")
    expect(version_of(added.body) != version_of(made.body), "the resourceVersion is the same as before")
    removed: Reply = yield merge(case, name, label_patch(None))
    expect(removed.status == _OK, f"the second patch is answered {removed.said()}")
    current = yield from read_back(case, name)
    expect(mark_of(current) is None, "null does not remove the field")


@check(
    "PATCH-JSON",
    MUST,
    "A JSON patch does its operations in order, all of them or none",
    url=CONVENTIONS,
    quote="As defined in RFC6902, a JSON Patch is a sequence of operations that are executed on the resource",
    on="resource",
    verbs=_PATCHED,
    mode="full",
    needs=("object",),
)
def patch_json(case: Case) -> Steps:
    """Add a label after a test that holds; then change it behind a test that does not."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    right = [
        {"op": "test", "path": "/metadata/name", "value": name},
        {"op": "add", "path": _POINTER, "value": "first"},
    ]
    added: Reply = yield Ask("PATCH", case.item(name), body=right, headers=JSON_PATCH)
    expect(added.status == _OK, f"the patch is answered {added.said()}")
    current = yield from read_back(case, name)
    expect(mark_of(current) == "first", "the operation is not stored")
    wrong = [
        {"op": "replace", "path": _POINTER, "value": "second"},
        {"op": "test", "path": "/metadata/name", "value": "other"},
    ]
    refused: Reply = yield Ask("PATCH", case.item(name), body=wrong, headers=JSON_PATCH)
    expect(refused.status == _INVALID, f"a patch whose test fails is answered {refused.said()}")
    current = yield from read_back(case, name)
    expect(mark_of(current) == "first", "a patch whose test fails is stored in part")


@check(
    "PATCH-STRATEGIC",
    MUST,
    "A strategic merge patch is taken for built-in kinds and refused as 415 for custom resources",
    url=CONVENTIONS,
    quote="Strategic Merge Patch is a custom implementation of Merge Patch.",
    on="resource",
    verbs=_PATCHED,
    applies=lambda subject: not subject.aggregated,
    mode="full",
    needs=("object",),
)
def patch_strategic(case: Case) -> Steps:
    """Add a label."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    reply: Reply = yield Ask("PATCH", case.item(name), body=label_patch("changed"), headers=STRATEGIC)
    if case.subject.custom:
        expect(reply.status == _MEDIA, f"for a custom resource it is answered {reply.said()}")
        return
    expect(reply.status == _OK, f"it is answered {reply.said()}")
    current = yield from read_back(case, name)
    expect(mark_of(current) == "changed", "the change is not stored")


@check(
    "PATCH-DRY-RUN",
    MUST,
    "A dry run of a patch answers with the changed object and stores nothing",
    url=f"{CONCEPTS}#dry-run",
    quote="Kubernetes guarantees that dry-run requests will not be persisted in storage or have any other side"
    " effects.",
    on="resource",
    verbs=_PATCHED,
    mode="full",
    needs=("object",),
)
def patch_dry_run(case: Case) -> Steps:
    """Try to add a label, and read the object again."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    tried: Reply = yield merge(case, name, label_patch("changed"), DRY_RUN)
    expect(tried.status == _OK, f"the dry run is answered {tried.said()}")
    expect(mark_of(tried.body) == "changed", "the answer does not show the change")
    current = yield from read_back(case, name)
    expect(mark_of(current) is None, "the dry run is stored")


@check(
    "PATCH-STALE",
    MUST,
    "A patch that names a resourceVersion which is no longer the object's is a 409 Conflict",
    url=CONVENTIONS,
    quote="When a record is about to be updated, its version is checked against a pre-saved value, and if it doesn't"
    " match, the update fails with a StatusConflict (HTTP status code 409).",
    on="resource",
    verbs=_PATCHED,
    mode="full",
    needs=("object",),
)
def patch_stale(case: Case) -> Steps:
    """Change an object, and patch it as it was before."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    first: Reply = yield merge(case, name, label_patch("first"))
    need(first.ok, f"the first patch is answered {first.said()}")
    stale = {"metadata": {"resourceVersion": version_of(made.body), "labels": {MARK: "second"}}}
    reply: Reply = yield merge(case, name, stale)
    expect(reply.status == _CONFLICT, f"it is answered {reply.said()}")
    current = yield from read_back(case, name)
    expect(mark_of(current) == "first", "the stale patch is stored")


@check(
    "PATCH-ABSENT",
    MUST,
    "A patch of an object that is not there is a 404",
    url=CONVENTIONS,
    quote="404 StatusNotFound: Indicates that the requested resource does not exist.",
    on="resource",
    verbs=("patch", "get"),
    mode="dry-run",
)
def patch_absent(case: Case) -> Steps:
    """Patch a name that no object has."""
    reply: Reply = yield merge(case, "{absent}", label_patch("changed"), DRY_RUN)
    expect(reply.status == _NOT_FOUND, f"it is answered {reply.said()}")


@check(
    "PATCH-MEDIA-TYPE",
    MUST,
    "A patch of a media type that is none of a patch is refused as 415",
    url=CONVENTIONS,
    quote="The API supports three different PATCH operations, determined by their corresponding Content-Type header",
    on="resource",
    verbs=("patch", "get"),
    mode="dry-run",
)
def patch_media_type(case: Case) -> Steps:
    """Send a patch as plain JSON."""
    headers = (("Content-Type", "application/json"),)
    reply: Reply = yield Ask("PATCH", case.item("{absent}"), (DRY_RUN,), label_patch("changed"), headers)
    expect(reply.status == _MEDIA, f"it is answered {reply.said()}")


@check(
    "PATCH-MALFORMED",
    MUST,
    "A patch that is no JSON is refused as 400",
    url=CONVENTIONS,
    quote="400 StatusBadRequest: Indicates the requested is invalid.",
    on="resource",
    verbs=_PATCHED,
    mode="full",
    needs=("object",),
)
def patch_malformed(case: Case) -> Steps:
    """Send half a patch to an object that is there."""
    made: Reply = yield from case.created("a")
    path = case.item(made.get("metadata", "name"))
    reply: Reply = yield Ask("PATCH", path, (DRY_RUN,), '{"metadata":', MERGE)
    expect(reply.status == _BAD, f"it is answered {reply.said()}")
