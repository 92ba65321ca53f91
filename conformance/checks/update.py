"""What updating promises: nothing is lost to somebody else's write, and nothing moves that may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, SHOULD, check
from conformance.checks.asking import (
    CONCEPTS,
    CONVENTIONS,
    MARK,
    OBJECT,
    get,
    label_patch,
    mark_of,
    merge,
    read_back,
    version_of,
)
from conformance.scripts import DRY_RUN, Ask, NotEvaluated, Reply, at, expect, fail, fill, need

if TYPE_CHECKING:
    from collections.abc import Generator

    from conformance.model import Json
    from conformance.scripts import Case, Steps, Subject

_OK, _CREATED, _BAD, _NOT_FOUND, _CONFLICT, _INVALID = 200, 201, 400, 404, 409, 422
_TRIES = 8  # at an object that controllers write, too
_WRITES = (*OBJECT, "update")


def marked(body: Json, value: str = "changed") -> Json:
    """Give an object with another label."""
    metadata = body["metadata"]
    return body | {"metadata": metadata | {"labels": (metadata.get("labels") or {}) | {MARK: value}}}


def put(case: Case, name: str, body: Json, *query: tuple[str, str]) -> Ask:
    """Replace an object of the script."""
    return Ask("PUT", case.item(name), query, body)


def written(case: Case, name: str) -> Generator[Any, Any, tuple[Json, Reply]]:
    """Read, mark and write an object; a controller that writes at the same time is given way to."""
    for _ in range(_TRIES):
        current = yield from read_back(case, name)
        reply: Reply = yield put(case, name, marked(current))
        if reply.status != _CONFLICT:
            return current, reply
    raise NotEvaluated("somebody else keeps writing the object")


@check(
    "UPDATE-WRITES",
    MUST,
    "An update writes the object, keeps its uid and gives it another resourceVersion",
    url=CONVENTIONS,
    quote="The resourceVersion is changed by the server every time an object is modified.",
    on="resource",
    verbs=_WRITES,
    mode="full",
    needs=("object",),
)
def update_writes(case: Case) -> Steps:
    """Read, change and write an object, and read it again."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    before, reply = yield from written(case, name)
    expect(reply.status == _OK, f"the update is answered {reply.said()}")
    expect(mark_of(reply.body) == "changed", "the answer does not show the change")
    expect(version_of(reply.body) not in {"", version_of(before)}, "the resourceVersion is the same as before")
    after = yield from read_back(case, name)
    expect(mark_of(after) == "changed", "the change is not stored")
    for key in ("uid", "creationTimestamp"):
        expect(at(after, "metadata", key) == made.get("metadata", key), f"metadata.{key} is another one")


@check(
    "UPDATE-STALE",
    MUST,
    "An update with a resourceVersion that is no longer the object's is a 409 Conflict",
    url=CONVENTIONS,
    quote="When a record is about to be updated, its version is checked against a pre-saved value, and if it doesn't"
    " match, the update fails with a StatusConflict (HTTP status code 409).",
    on="resource",
    verbs=_WRITES,
    mode="full",
    needs=("object",),
)
def update_stale(case: Case) -> Steps:
    """Write an object, and then write once more what was read before."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    before, reply = yield from written(case, name)
    need(reply.ok, f"the first update is answered {reply.said()}")
    stale: Reply = yield put(case, name, marked(before, "stale"))
    expect(stale.status == _CONFLICT, f"the stale update is answered {stale.said()}")
    expect(stale.reason == "Conflict", f"the reason is {stale.reason or 'missing'}")
    after = yield from read_back(case, name)
    expect(mark_of(after) == "changed", "the stale update is stored all the same")


@check(
    "UPDATE-NAME",
    MUST,
    "An update whose body has another name than the path is refused as 400",
    url=CONVENTIONS,
    quote="400 StatusBadRequest: Indicates the requested is invalid.",
    on="resource",
    verbs=_WRITES,
    mode="full",
    needs=("object",),
)
def update_name(case: Case) -> Steps:
    """Write an object under the name of another one."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    current = yield from read_back(case, name)
    other = current | {"metadata": current["metadata"] | {"name": case.name("b")}}
    reply: Reply = yield put(case, name, other)
    expect(reply.status == _BAD, f"it is answered {reply.said()}")


@check(
    "UPDATE-NAMESPACE",
    MUST,
    "An update whose body has another namespace than the path is refused as 400",
    url=CONVENTIONS,
    quote="400 StatusBadRequest: Indicates the requested is invalid.",
    on="resource",
    verbs=_WRITES,
    applies=lambda subject: subject.resource is not None and subject.resource.namespaced,
    mode="full",
    needs=("object",),
)
def update_namespace(case: Case) -> Steps:
    """Write an object as if it were in another namespace."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    current = yield from read_back(case, name)
    reply: Reply = yield put(case, name, current | {"metadata": current["metadata"] | {"namespace": "{other}"}})
    expect(reply.status == _BAD, f"it is answered {reply.said()}")


@check(
    "UPDATE-UID",
    MUST,
    "An update that means another object of the same name, by its uid, is a 409 Conflict",
    url=CONVENTIONS,
    quote="uid: a unique in time and space value (typically an RFC 4122 generated identifier, see the identifiers"
    " docs) used to distinguish between objects with the same name that have been deleted and recreated",
    on="resource",
    verbs=_WRITES,
    mode="full",
    needs=("object",),
)
def update_uid(case: Case) -> Steps:
    """Write an object with the uid of one that never was."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    current = yield from read_back(case, name)
    foreign = "11111111-2222-3333-4444-555555555555"
    reply: Reply = yield put(case, name, current | {"metadata": current["metadata"] | {"uid": foreign}})
    expect(reply.status in {_CONFLICT, _INVALID}, f"it is answered {reply.said()}")
    after = yield from read_back(case, name)
    expect(at(after, "metadata", "uid") == made.get("metadata", "uid"), "the uid was changed")


@check(
    "UPDATE-DRY-RUN",
    MUST,
    "A dry run of an update answers with the changed object and stores nothing",
    url=f"{CONCEPTS}#dry-run",
    quote="The changes are not persisted to the underlying storage, but the final object which would have been"
    " persisted is still returned to the user, along with the normal status code.",
    on="resource",
    verbs=_WRITES,
    mode="full",
    needs=("object",),
)
def update_dry_run(case: Case) -> Steps:
    """Try to change an object, and read it again."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    for _ in range(_TRIES):
        current = yield from read_back(case, name)
        reply: Reply = yield put(case, name, marked(current), DRY_RUN)
        if reply.status == _CONFLICT:
            continue
        expect(reply.status == _OK, f"the dry run is answered {reply.said()}")
        expect(mark_of(reply.body) == "changed", "the answer does not show the change")
        after = yield from read_back(case, name)
        expect(mark_of(after) is None, "the dry run is stored")
        return
    raise NotEvaluated("somebody else keeps writing the object")


@check(
    "UPDATE-ABSENT",
    MUST,
    "An update of an object that is not there is a 404, or creates it where the kind allows that",
    url=CONVENTIONS,
    quote="Whether a resource can be created with a PUT request depends on the particular resource's storage strategy"
    " configuration",
    on="resource",
    verbs=_WRITES,
    mode="dry-run",
    needs=("object",),
)
def update_absent(case: Case) -> Steps:
    """Try to write an object of a name that nobody has."""
    body = case.object("a")
    reply: Reply = yield put(case, case.name_of(body), body, DRY_RUN)
    # A kind that is never updated without a resourceVersion says so first.
    expect(reply.status in {_NOT_FOUND, _CREATED, _INVALID, _CONFLICT}, f"it is answered {reply.said()}")


def _has_immutable(subject: Subject) -> bool:
    # A definition may change in everything until it is established, which comes a moment after it is made.
    established = subject.resource is not None and subject.resource.name != "customresourcedefinitions"
    return established and subject.sample is not None and subject.sample.immutable is not None


@check(
    "UPDATE-IMMUTABLE",
    MUST,
    "A change of an immutable field is refused as 422 with the field as a cause",
    url=CONVENTIONS,
    quote="Invalid: Indicates that the requested create or update operation cannot be completed due to invalid data"
    " provided as part of the request.",
    on="resource",
    verbs=(*OBJECT, "patch"),
    applies=_has_immutable,
    mode="full",
    needs=("object",),
)
def update_immutable(case: Case) -> Steps:
    """Change a field that may not change."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    reply: Reply = yield merge(case, name, change_of(case, "immutable"))
    expect(reply.status == _INVALID, f"it is answered {reply.said()}")
    expect(reply.reason == "Invalid", f"the reason is {reply.reason or 'missing'}")
    expect(at(reply.get("details", "causes"), 0, "field"), "no cause names a field")


def change_of(case: Case, which: str) -> Json:
    """Give a patch of the sample, filled in."""
    sample = case.subject.sample

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return fill(value, case, "a")
        if isinstance(value, dict):
            return {walk(key): walk(member) for key, member in value.items()}
        return [walk(member) for member in value] if isinstance(value, list) else value

    patch: Json = walk(getattr(sample, which))
    return patch


# --- generation -------------------------------------------------------------------------------------------------------


def _has_change(subject: Subject) -> bool:
    return subject.sample is not None and subject.sample.change is not None


@check(
    "CHANGE-STORED",
    MUST,
    "A change of what the owner wants is stored as it was sent",
    url=CONVENTIONS,
    quote="The specification is a complete description of the desired state",
    on="resource",
    verbs=(*OBJECT, "patch"),
    applies=_has_change,
    mode="full",
    needs=("object",),
)
def change_stored(case: Case) -> Steps:
    """Change a field of the object's own, and read it again."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    patch = change_of(case, "change")
    reply: Reply = yield merge(case, name, patch)
    expect(reply.status == _OK, f"the change is answered {reply.said()}")
    after = yield from read_back(case, name, version=False)
    if "stringData" not in patch:  # which is written only, and never read
        expect(holds(patch, after), "what is stored is not what was sent")


def holds(sent: Any, got: Any) -> bool:
    """Whether what was sent stands in what is there, however it is spelled there."""
    if isinstance(sent, dict):
        return isinstance(got, dict) and all(holds(value, got.get(key)) for key, value in sent.items())
    if isinstance(sent, list):
        return isinstance(got, list) and len(got) >= len(sent) and all(map(holds, sent, got))
    if isinstance(got, str) and got.startswith("{time"):
        return True  # a moment may be spelled otherwise
    return bool(sent == got or str(sent) == str(got) or str(sent) == str(got).replace("k", "000"))


@check(
    "GENERATION-SPEC",
    MUST,
    "generation, where it is served, grows with a change of the spec",
    url=CONVENTIONS,
    quote="generation: a sequence number representing a specific generation of the desired state. Set by the system and"
    " monotonically increasing, per-resource.",
    on="resource",
    verbs=(*OBJECT, "patch"),
    applies=lambda subject: _has_change(subject) and "spec" in ((subject.sample and subject.sample.change) or {}),
    mode="full",
    needs=("object",),
)
def generation_spec(case: Case) -> Steps:
    """Change the spec and compare generations."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    first = made.get("metadata", "generation")
    if not first:
        return  # not served
    reply: Reply = yield merge(case, name, change_of(case, "change"))
    need(reply.ok, f"the change is answered {reply.said()}")
    after = yield from read_back(case, name, version=False)
    expect((at(after, "metadata", "generation") or 0) > first, "it did not grow")


@check(
    "GENERATION-METADATA",
    MUST,
    "generation, where it is served, stays when only metadata changes",
    url=CONVENTIONS,
    quote="generation: a sequence number representing a specific generation of the desired state.",
    on="resource",
    verbs=(*OBJECT, "patch"),
    mode="full",
    needs=("object",),
)
def generation_metadata(case: Case) -> Steps:
    """Change a label and compare generations."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    if not made.get("metadata", "generation"):
        return  # not served
    for attempt in range(_TRIES):
        before = yield from read_back(case, name)
        reply: Reply = yield merge(case, name, label_patch(f"changed-{attempt}"))
        need(reply.ok, f"the change is answered {reply.said()}")
        if at(before, "metadata", "generation") == reply.get("metadata", "generation"):
            return  # else a controller may have changed its spec in between
    fail("it changed with a label")


@check(
    "UPDATE-UNCHANGED",
    SHOULD,
    "An update that changes nothing keeps the resourceVersion",
    url=f"{CONCEPTS}#efficient-detection-of-changes",
    quote="Every Kubernetes object has a resourceVersion field representing the version of that resource as stored in"
    " the underlying persistence layer.",
    on="resource",
    verbs=_WRITES,
    mode="full",
    needs=("object",),
)
def update_unchanged(case: Case) -> Steps:
    """Write an object just as it was read."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    # The first write of this client enters it among the managers; the second has nothing to say.
    for _ in range(_TRIES):
        current: Reply = yield get(case, name)
        first: Reply = yield put(case, name, current.body)
        if first.status == _CONFLICT:
            continue
        need(first.ok, f"the update is answered {first.said()}")
        again: Reply = yield get(case, name)
        reply: Reply = yield put(case, name, again.body)
        if reply.status == _CONFLICT:
            continue
        need(reply.ok, f"the update is answered {reply.said()}")
        expect(version_of(reply.body) == version_of(again.body), "it has another resourceVersion")
        return
    raise NotEvaluated("somebody else keeps writing the object")
