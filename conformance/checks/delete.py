"""What deleting promises: what was meant is gone, nothing else is, and finalizers are waited for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, check
from conformance.checks.asking import (
    COLLECTING,
    CONCEPTS,
    CONVENTIONS,
    FINALIZERS,
    MARK,
    OBJECT,
    get,
    merge,
    names_in,
    version_of,
)
from conformance.scripts import DRY_RUN, Ask, Reply, at, expect, fail, need

if TYPE_CHECKING:
    from conformance.model import Json
    from conformance.scripts import Case, Memory, Seen, Steps

_OK, _ACCEPTED, _BAD, _NOT_FOUND, _CONFLICT, _INVALID = 200, 202, 400, 404, 409, 422
_OPTIONS = "https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/delete-options/"
_HOLD = "kube-conformance.io/hold"
_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_TRIES = 6


def delete(case: Case, name: str, *query: tuple[str, str], **options: Any) -> Ask:
    """Delete an object of the script, at once."""
    # What it owns goes after it: else some kinds are orphaned by default, and held until the collector has done that.
    how = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"} | options
    return Ask("DELETE", case.item(name), query, {"kind": "DeleteOptions", "apiVersion": "v1", **how})


def cleaned_up(case: Case, gone: Reply) -> Steps:
    """Wait until the server has taken off the finalizer that it gives to definitions itself: it does so when it can."""
    if _CLEANUP not in (gone.get("metadata", "finalizers") or ()):
        return

    def ends(events: list[Any]) -> bool:
        return any(
            at(event, "type") in {"DELETED", "ERROR"}
            or _CLEANUP not in (at(event, "object", "metadata", "finalizers") or ())
            for event in events
        )

    query = (
        ("watch", "true"),
        ("fieldSelector", f"metadata.name={gone.get('metadata', 'name')}"),
        ("resourceVersion", version_of(gone.body)),
        ("timeoutSeconds", "45"),
    )
    yield Ask("GET", case.collection(), query, ends=ends, seconds=45.0, read=lambda _seen, _: None)


def _going(seen: Seen, _: Memory) -> Any:
    """Read how far an object is that is going, while controllers are at work on it; of a refusal what it says."""
    if seen.status >= _BAD:
        return {key: at(seen.document, key) for key in ("kind", "reason", "message")}
    metadata = at(seen.document, "metadata")
    finalizers = at(metadata, "finalizers") or []
    held = finalizers or at(seen.document, "spec", "finalizers") or at(metadata, "deletionGracePeriodSeconds")
    return {"going": bool(at(metadata, "deletionTimestamp")), "held": _HOLD in finalizers, "waits": bool(held)}


@check(
    "DELETE-REMOVES",
    MUST,
    "A deleted object without finalizers is gone: 404, and in no list",
    url=f"{CONCEPTS}#resource-deletion",
    quote="Once the last finalizer is removed, the resource is actually removed from etcd.",
    on="resource",
    verbs=OBJECT,
    mode="full",
    needs=("object",),
)
def delete_removes(case: Case) -> Steps:
    """Make an object, delete it, and look for it."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    gone: Reply = yield delete(case, name)
    expect(gone.status in {_OK, _ACCEPTED}, f"it is answered {gone.said()}")
    yield from cleaned_up(case, gone)
    got: Reply = yield get(case, name, read=_going)
    if got.status == _OK:
        # Some kinds get finalizers from the server itself, and namespaces are emptied first.
        expect(got.get("going"), "it is still there, and nothing says that it is going")
        expect(got.get("waits"), "it is still there, held by no finalizer")
        return
    expect(got.status == _NOT_FOUND, f"afterwards it is answered {got.said()}")
    listed: Reply = yield Ask("GET", case.collection(), (case.selector,))
    expect(name not in names_in(listed.body), "it is still in the list")


@check(
    "DELETE-ABSENT",
    MUST,
    "The deletion of an object that is not there is a 404",
    url=CONVENTIONS,
    quote="404 StatusNotFound: Indicates that the requested resource does not exist.",
    on="resource",
    verbs=("delete", "get"),
    mode="dry-run",
)
def delete_absent(case: Case) -> Steps:
    """Delete a name that no object has."""
    reply: Reply = yield Ask("DELETE", case.item("{absent}"), (DRY_RUN,))
    expect(reply.status == _NOT_FOUND, f"it is answered {reply.said()}")


@check(
    "DELETE-DRY-RUN",
    MUST,
    "A dry run of a deletion removes nothing",
    url=f"{CONCEPTS}#dry-run",
    quote="Kubernetes guarantees that dry-run requests will not be persisted in storage or have any other side"
    " effects.",
    on="resource",
    verbs=OBJECT,
    mode="full",
    needs=("object",),
)
def delete_dry_run(case: Case) -> Steps:
    """Try to delete an object, as the query says and as the options say, and read it again."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    for way in (Ask("DELETE", case.item(name), (DRY_RUN,)), delete(case, name, DRY_RUN, dryRun=["All"])):
        tried: Reply = yield way
        expect(tried.status in {_OK, _ACCEPTED}, f"the dry run is answered {tried.said()}")
        got: Reply = yield get(case, name)
        expect(got.status == _OK, f"after the dry run it is answered {got.said()}")
        expect(got.get("metadata", "uid") == made.get("metadata", "uid"), "after the dry run it is another object")
        expect(got.get("metadata", "deletionTimestamp") is None, "after the dry run it is going")


@check(
    "DELETE-PRECONDITION-UID",
    MUST,
    "A deletion that means another object of the same name, by its uid, is a 409 and removes nothing",
    url=_OPTIONS,
    quote="Must be fulfilled before a deletion is carried out. If not possible, a 409 Conflict status will be"
    " returned.",
    on="resource",
    verbs=OBJECT,
    mode="full",
    needs=("object",),
)
def delete_precondition_uid(case: Case) -> Steps:
    """Delete an object by the uid of one that never was, then by its own."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    wrong = {"uid": "11111111-2222-3333-4444-555555555555"}
    reply: Reply = yield delete(case, name, preconditions=wrong)
    expect(reply.status == _CONFLICT, f"it is answered {reply.said()}")
    got: Reply = yield get(case, name)
    expect(got.ok and not got.get("metadata", "deletionTimestamp"), "the object is gone, or going")
    right: Reply = yield delete(case, name, preconditions={"uid": made.get("metadata", "uid")})
    expect(right.status in {_OK, _ACCEPTED}, f"with the right uid it is answered {right.said()}")


@check(
    "DELETE-PRECONDITION-VERSION",
    MUST,
    "A deletion that means another state of the object, by its resourceVersion, is a 409 and removes nothing",
    url=_OPTIONS,
    quote="Must be fulfilled before a deletion is carried out. If not possible, a 409 Conflict status will be"
    " returned.",
    on="resource",
    verbs=(*OBJECT, "patch"),
    mode="full",
    needs=("object",),
)
def delete_precondition_version(case: Case) -> Steps:
    """Change an object and delete it as it was before."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    changed: Reply = yield merge(case, name, {"metadata": {"labels": {MARK: "changed"}}})
    need(changed.ok, f"the change is answered {changed.said()}")
    reply: Reply = yield delete(case, name, preconditions={"resourceVersion": version_of(made.body)})
    expect(reply.status == _CONFLICT, f"it is answered {reply.said()}")
    got: Reply = yield get(case, name)
    expect(got.ok and not got.get("metadata", "deletionTimestamp"), "the object is gone, or going")


@check(
    "DELETE-FINALIZER",
    MUST,
    "An object with a finalizer stays, marked as going, until the finalizer is removed",
    url=FINALIZERS,
    quote="When you tell Kubernetes to delete an object that has finalizers specified for it, the Kubernetes API marks"
    " the object for deletion by populating .metadata.deletionTimestamp, and returns a 202 status code (HTTP"
    ' "Accepted").',
    on="resource",
    verbs=(*OBJECT, "patch"),
    mode="full",
    needs=("object",),
)
def delete_finalizer(case: Case) -> Steps:
    """Make an object with a finalizer, delete it, look at it, and let it go."""
    body = case.object("a", finalizers=[_HOLD])
    yield from case.needed("a")
    made: Reply = yield Ask("POST", case.collection(), body=body)
    need(made.status == 201, f"no object could be created: {made.said()}")  # noqa: PLR2004  # Created
    name = case.name_of(body)
    gone: Reply = yield delete(case, name)
    expect(gone.status in {_OK, _ACCEPTED}, f"the deletion is answered {gone.said()}")
    yield from cleaned_up(case, gone)
    got: Reply = yield get(case, name, read=_going)
    expect(got.status == _OK, f"with its finalizer it is answered {got.said()}")
    expect(got.get("going"), "metadata.deletionTimestamp is missing")
    expect(got.get("held"), "the finalizer is gone by itself")
    again: Reply = yield replace(delete(case, name), read=_going)
    expect(again.status in {_OK, _ACCEPTED, _CONFLICT}, f"a second deletion is answered {again.said()}")
    let_go: Reply = yield replace(merge(case, name, {"metadata": {"finalizers": None}}), read=_going)
    expect(let_go.status == _OK, f"the removal of the finalizer is answered {let_go.said()}")
    if case.subject.id == "v1/namespaces":
        return  # its own finalizer is the namespace controller's
    got = yield get(case, name)
    expect(got.status == _NOT_FOUND, f"without the finalizer it is answered {got.said()}")


@check(
    "DELETE-FINALIZER-LATE",
    MUST,
    "An object that is going gets no new finalizer",
    url=FINALIZERS,
    quote="After the deletion is requested, you can not resurrect this object.",
    on="resource",
    verbs=(*OBJECT, "patch"),
    applies=lambda subject: subject.id != "v1/namespaces",
    mode="full",
    needs=("object",),
)
def delete_finalizer_late(case: Case) -> Steps:
    """Add a second finalizer to an object that is going."""
    body = case.object("a", finalizers=[_HOLD])
    yield from case.needed("a")
    made: Reply = yield Ask("POST", case.collection(), body=body)
    need(made.status == 201, f"no object could be created: {made.said()}")  # noqa: PLR2004  # Created
    name = case.name_of(body)
    gone: Reply = yield delete(case, name)
    need(gone.status in {_OK, _ACCEPTED}, f"the deletion is answered {gone.said()}")
    late: Reply = yield merge(case, name, {"metadata": {"finalizers": [_HOLD, f"{_HOLD}-late"]}})
    expect(late.status in {_INVALID, 403, _CONFLICT}, f"it is answered {late.said()}")


@check(
    "DELETE-FOREGROUND",
    MUST,
    "A foreground deletion leaves the object, going, with the finalizer foregroundDeletion",
    url=f"{COLLECTING}#foreground-deletion",
    quote="The Kubernetes API server also sets the metadata.finalizers field to foregroundDeletion.",
    on="resource",
    verbs=(*OBJECT, "patch"),
    applies=lambda subject: subject.id != "v1/namespaces",
    mode="full",
    needs=("object",),
)
def delete_foreground(case: Case) -> Steps:
    """Delete an object that another finalizer holds, so that nobody is faster than the look at it."""
    yield from _policy(case, "Foreground", "foregroundDeletion")


@check(
    "DELETE-ORPHAN",
    MUST,
    "A deletion that orphans leaves the object, going, with the finalizer orphan",
    url=_OPTIONS,
    quote="Acceptable values are: 'Orphan' - orphan the dependents",
    on="resource",
    verbs=(*OBJECT, "patch"),
    applies=lambda subject: subject.id != "v1/namespaces",
    mode="full",
    needs=("object",),
)
def delete_orphan(case: Case) -> Steps:
    """Delete an object that another finalizer holds, and look for the finalizer that orphans."""
    yield from _policy(case, "Orphan", "orphan")


def _policy(case: Case, policy: str, finalizer: str) -> Steps:
    body = case.object("a", finalizers=[_HOLD])
    yield from case.needed("a")
    made: Reply = yield Ask("POST", case.collection(), body=body)
    need(made.status == 201, f"no object could be created: {made.said()}")  # noqa: PLR2004  # Created
    gone: Reply = yield delete(case, case.name_of(body), propagationPolicy=policy)
    expect(gone.status in {_OK, _ACCEPTED}, f"the deletion is answered {gone.said()}")
    expect(gone.get("metadata", "deletionTimestamp"), "the answer is no object that is going")
    expect(finalizer in (gone.get("metadata", "finalizers") or ()), f"it has no finalizer {finalizer}")


@check(
    "DELETE-POLICY-INVALID",
    MUST,
    "A propagation policy that is none is refused",
    url=_OPTIONS,
    quote="Acceptable values are: 'Orphan' - orphan the dependents; 'Background' - allow the garbage collector to"
    " delete the dependents in the background; 'Foreground' - a cascading policy",
    on="resource",
    verbs=("delete", "get"),
    mode="dry-run",
)
def delete_policy_invalid(case: Case) -> Steps:
    """Delete by a policy of our own making."""
    reply: Reply = yield Ask("DELETE", case.item("{absent}"), (DRY_RUN, ("propagationPolicy", "Sideways")))
    expect(reply.status in {_BAD, _INVALID}, f"it is answered {reply.said()}")


@check(
    "DELETE-RECREATE",
    MUST,
    "An object that is made again under its old name has another uid",
    url="https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#uids",
    quote="Every object created over the whole lifetime of a Kubernetes cluster has a distinct UID.",
    on="resource",
    verbs=OBJECT,
    applies=lambda subject: subject.id != "v1/namespaces",
    mode="full",
    needs=("object",),
)
def delete_recreate(case: Case) -> Steps:
    """Make, delete and make an object."""
    first: Reply = yield from case.created("a")
    name = first.get("metadata", "name")
    gone: Reply = yield delete(case, name)
    need(gone.status in {_OK, _ACCEPTED}, f"the deletion is answered {gone.said()}")
    yield from cleaned_up(case, gone)
    got: Reply = yield get(case, name)
    if got.ok:
        freed: Reply = yield merge(case, name, {"metadata": {"finalizers": None}})
        need(freed.ok or freed.status == _NOT_FOUND, f"it could not be freed: {freed.said()}")
    second: Reply = yield Ask("POST", case.collection(), body=case.object("a"))
    expect(second.status == 201, f"the second creation is answered {second.said()}")  # noqa: PLR2004  # Created
    expect(second.get("metadata", "uid") != first.get("metadata", "uid"), "it has the uid of the object that is gone")


# --- collections ------------------------------------------------------------------------------------------------------


@check(
    "DELETECOLLECTION-SELECTION",
    MUST,
    "Deleting a collection deletes the selected objects, all of them and no others",
    url=CONVENTIONS,
    quote="DELETE /<resourceNamePlural> - Deletes a list of type <resourceName>",
    on="resource",
    verbs=(*OBJECT, "deletecollection", "list"),
    applies=lambda subject: subject.resource is not None and subject.resource.namespaced,
    mode="full",
    needs=("object",),
)
def deletecollection_selection(case: Case) -> Steps:
    """Make three objects, two of them with a label, and delete by the label."""
    names: dict[str, str] = {}
    for letter in "abc":
        body: Json = case.object(letter)
        if letter != "c":
            body["metadata"]["labels"][MARK] = "go"
        yield from case.needed(letter)
        made: Reply = yield Ask("POST", case.collection(), body=body)
        need(made.status == 201, f"no object could be created: {made.said()}")  # noqa: PLR2004  # Created
        names[letter] = made.get("metadata", "name")
    key, own = case.selector
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "propagationPolicy": "Background"}
    # Options in a body count instead of the query's, so a dry run of the query goes without one.
    tried: Reply = yield Ask("DELETE", case.collection(), ((key, f"{own},{MARK}=go"), DRY_RUN))
    expect(tried.ok, f"the dry run is answered {tried.said()}")
    listed: Reply = yield Ask("GET", case.collection(), (case.selector,))
    expect(sorted(names_in(listed.body)) == sorted(names.values()), "the dry run deleted something")
    gone: Reply = yield Ask("DELETE", case.collection(), ((key, f"{own},{MARK}=go"),), options)
    expect(gone.ok, f"it is answered {gone.said()}")
    for _ in range(_TRIES):
        listed = yield Ask("GET", case.collection(), (case.selector,))
        left = [item for item in listed.get("items") or () if not at(item, "metadata", "deletionTimestamp")]
        found = sorted(str(at(item, "metadata", "name")) for item in left)
        expect(names["c"] in found, "an object that was not selected is gone")
        if found == [names["c"]]:
            return
    fail("a selected object is still there")


@check(
    "DELETECOLLECTION-DRY-RUN",
    MUST,
    "A dry run of the deletion of a collection answers and removes nothing",
    url=f"{CONCEPTS}#dry-run",
    quote="Kubernetes guarantees that dry-run requests will not be persisted in storage or have any other side"
    " effects.",
    on="resource",
    verbs=(*OBJECT, "deletecollection", "list"),
    mode="full",
    needs=("object",),
)
def deletecollection_dry_run(case: Case) -> Steps:
    """Make two objects, and try to delete both."""
    names = []
    for letter in "ab":
        made: Reply = yield from case.created(letter)
        names.append(made.get("metadata", "name"))
    # Options in a body count instead of the query's, so a dry run of the query goes without one.
    tried: Reply = yield Ask("DELETE", case.collection(), (case.selector, DRY_RUN))
    expect(tried.ok, f"it is answered {tried.said()}")
    listed: Reply = yield Ask("GET", case.collection(), (case.selector,))
    expect(sorted(names_in(listed.body)) == sorted(names), "an object is gone")
    going = [item for item in listed.get("items") or () if at(item, "metadata", "deletionTimestamp")]
    expect(not going, "an object is going")
