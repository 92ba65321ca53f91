"""What subresources promise: status and spec kept apart, and one scale for every kind that has replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, check
from conformance.checks.asking import CONVENTIONS, MERGE, version_of
from conformance.checks.update import change_of, holds
from conformance.scripts import DRY_RUN, Ask, Case, NotApplicable, NotEvaluated, Reply, Subject, at, expect, fail, need

if TYPE_CHECKING:
    from collections.abc import Generator

    from conformance.scripts import Steps

_OK, _BAD, _NOT_FOUND, _CONFLICT, _INVALID = 200, 400, 404, 409, 422
_TRIES = 8  # at an object that controllers write, too
_CRD = "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/"
_MOMENT = "2026-01-01T00:00:00Z"
_CONDITION = {
    "type": "kube-conformance.io/Checked",
    "status": "True",
    "reason": "Checked",
    "message": "checked",
    "lastTransitionTime": _MOMENT,
}
# Something that may stand in a status, tried one after the other until one of them is taken and stored.
_STATUSES: tuple[Any, ...] = (
    {"conditions": [_CONDITION]},
    {"conditions": [{key: value for key, value in _CONDITION.items() if key != "lastTransitionTime"}]},
    {"conditions": [_CONDITION | {"type": "Failed"}]},
    {"observedGeneration": 7},
    {"replicas": 7},
    {"phase": "Failed"},
    {"lastScheduleTime": _MOMENT},
    {"used": {"pods": "7"}},
    {"hard": {"pods": "7"}},
    {"currentReplicas": 7, "desiredReplicas": 7},
    {"desiredNumberScheduled": 7, "currentNumberScheduled": 7, "numberMisscheduled": 0, "numberReady": 0},
    {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}},
    {"attached": True},
    {"allocation": {}},
    {"storageHealth": {}},
    {"poolCount": 7},
    {"message": "checked"},
)


def _is_status(subject: Subject) -> bool:
    resource, parent = subject.resource, subject.parent
    return (
        resource is not None
        and parent is not None
        and resource.subresource == "status"
        and {"create", "get", "delete", "patch"} <= set(parent.verbs)
    )


def _main(case: Case, name: str) -> str:
    return f"{case.collection()}/{name}"


def _stored_status(case: Case, name: str, *, version: bool = False) -> Generator[Any, Any, tuple[Any, Reply]]:
    """Find a status that the kind takes, and write it through the subresource; once more to learn the version."""
    taken, said = 0, ""
    there: Reply = yield Ask("GET", case.item(name), status=True, version=False)
    for wanted in _STATUSES:
        body = {"status": _beside(there.get("status"), wanted)}
        # Whether a patch of what the kind does not know is a write depends on the second in which it comes.
        reply: Reply = yield Ask("PATCH", case.item(name), body=body, headers=MERGE, status=True, version=False)
        taken += reply.status == _OK
        said = said if reply.status == _OK else reply.said()
        if reply.status == _OK and _shows(wanted, reply.get("status")):
            if version:
                reply = yield Ask("PATCH", case.item(name), body=body, headers=MERGE, status=True)
            return wanted, reply
    if case.main.name == "csinodes":
        raise NotApplicable("this kind has a status only with a feature that is off")
    expect(taken < len(_STATUSES), "a status that was written is taken and not stored")
    raise NotEvaluated(f"no status is known that this kind takes; one was answered {said}")


def _beside(there: Any, wanted: Any) -> Any:
    """Put a status beside what a controller has written by now, which it would write again where it is gone."""

    def together(old: Any, new: Any) -> Any:
        if not isinstance(old, list) or not isinstance(new, list):
            return new
        kinds = [at(each, "type") for each in new]
        return [each for each in old if at(each, "type") not in kinds] + new

    return {key: together(at(there, key), value) for key, value in wanted.items()}


def _shows(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(got, dict) and all(_shows(value, got.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(got, list) and all(any(_shows(one, other) for other in got) for one in wanted)
    return bool(wanted == got) or (wanted == _MOMENT and isinstance(got, str))


def _without(case: Case, wanted: Any) -> Generator[Any, Any, str]:
    """Make an object whose status is another one than that which a script is about to send."""
    made: Reply = yield from case.created("a")
    name = case.name_of(made.body)
    there: Reply = yield Ask("GET", case.item(name), status=True, version=False)
    if _shows(wanted, there.get("status")):
        raise NotEvaluated("the status that could be sent is the object's own already")
    return name


@check(
    "STATUS-GET",
    MUST,
    "The status subresource is read as the whole object",
    url=CONVENTIONS,
    quote="A /status subresource MUST be provided to enable system components to update statuses of resources they"
    " manage.",
    on="subresource",
    verbs=("get",),
    applies=_is_status,
    mode="full",
    needs=("object",),
)
def status_get(case: Case) -> Steps:
    """Make an object and read it both ways."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    got: Reply = yield Ask("GET", case.item(name))
    expect(got.status == _OK, f"it is answered {got.said()}")
    expect(got.get("kind") == made.get("kind"), f"its kind is {got.get('kind')}")
    expect(got.get("metadata", "uid") == made.get("metadata", "uid"), "it is another object")


@check(
    "STATUS-WRITES",
    MUST,
    "A status that is written through the subresource is stored, and changes no spec",
    url=CONVENTIONS,
    quote="/status: Used to write just the status portion of a resource.",
    on="subresource",
    verbs=("patch",),
    applies=_is_status,
    mode="full",
    needs=("object",),
)
def status_writes(case: Case) -> Steps:
    """Write a status together with a change of the spec, and read the object again."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    for _ in range(_TRIES):
        wanted, written = yield from _stored_status(case, name, version=True)
        got: Reply = yield Ask("GET", _main(case, name), status=True)
        if _shows(wanted, got.get("status")):
            break
        # Else somebody has written another one since.
        expect(version_of(got.body) != version_of(written.body), "the status that was written is not stored")
    else:
        raise NotEvaluated("somebody else keeps writing the status")
    sample = case.subject.sample
    if sample is None or sample.change is None or "spec" not in sample.change:
        return
    before = got.get("spec")
    both = {"spec": change_of(case, "change")["spec"], "status": _beside(got.get("status"), wanted)}
    reply: Reply = yield Ask("PATCH", case.item(name), body=both, headers=MERGE)
    need(reply.status in {_OK, _INVALID}, f"a status with a spec is answered {reply.said()}")
    got = yield Ask("GET", _main(case, name), version=False)
    # A controller may have changed another part of it.
    unchanged = got.get("spec") == before or not holds(both["spec"], got.get("spec"))
    expect(unchanged, "a spec that was sent with the status is stored")


@check(
    "STATUS-APART",
    MUST,
    "A status that is sent with the object itself is ignored",
    url=CONVENTIONS,
    quote="The PUT and POST verbs on objects MUST ignore the status values, to avoid accidentally overwriting the"
    " status in read-modify-write scenarios.",
    on="subresource",
    verbs=("patch",),
    applies=_is_status,
    mode="full",
    needs=("object",),
)
def status_apart(case: Case) -> Steps:
    """Learn which status the kind takes, and send it with the object: by an update and by a patch."""
    tried: Reply = yield from case.created("b")
    wanted, _ = yield from _stored_status(case, tried.get("metadata", "name"))
    name = yield from _without(case, wanted)
    patched: Reply = yield Ask("PATCH", _main(case, name), body={"status": wanted}, headers=MERGE, status=True)
    need(patched.status in {_OK, _INVALID}, f"a patch with a status is answered {patched.said()}")
    got: Reply = yield Ask("GET", _main(case, name), status=True)
    expect(not _shows(wanted, got.get("status")), "a status that was patched into the object is stored")
    for _ in range(_TRIES):
        body = got.body | {"status": wanted}
        put: Reply = yield Ask("PUT", _main(case, name), body=body, status=True)
        got = yield Ask("GET", _main(case, name), status=True)
        if put.status != _CONFLICT:
            need(put.status in {_OK, _INVALID}, f"an update with a status is answered {put.said()}")
            expect(not _shows(wanted, got.get("status")), "a status that was sent with an update is stored")
            return
    raise NotEvaluated("somebody else keeps writing the object")


@check(
    "STATUS-GENERATION",
    MUST,
    "generation, where it is served, stays when only the status changes",
    url=CONVENTIONS,
    quote="generation: a sequence number representing a specific generation of the desired state.",
    on="subresource",
    verbs=("patch",),
    applies=_is_status,
    mode="full",
    needs=("object",),
)
def status_generation(case: Case) -> Steps:
    """Write a status and compare generations."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    if not made.get("metadata", "generation"):
        return  # not served
    for _ in range(_TRIES):
        before: Reply = yield Ask("GET", _main(case, name), version=False)
        _, reply = yield from _stored_status(case, name)
        if before.get("metadata", "generation") == reply.get("metadata", "generation"):
            return  # else a controller may have changed its spec in between
    fail("it changed with the status")


@check(
    "STATUS-DRY-RUN",
    MUST,
    "A dry run on the status subresource stores nothing",
    url="https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run",
    quote="Kubernetes guarantees that dry-run requests will not be persisted in storage or have any other side"
    " effects.",
    on="subresource",
    verbs=("patch",),
    applies=_is_status,
    mode="full",
    needs=("object",),
)
def status_dry_run(case: Case) -> Steps:
    """Learn which status the kind takes, and try it on another object."""
    tried: Reply = yield from case.created("b")
    wanted, _ = yield from _stored_status(case, tried.get("metadata", "name"))
    name = yield from _without(case, wanted)
    dry: Reply = yield Ask("PATCH", case.item(name), (DRY_RUN,), {"status": wanted}, MERGE)
    expect(dry.status == _OK, f"it is answered {dry.said()}")
    got: Reply = yield Ask("GET", _main(case, name), status=True)
    expect(not _shows(wanted, got.get("status")), "the dry run is stored")


@check(
    "STATUS-UPDATE",
    MUST,
    "An update of the status subresource stores the status, and refuses a stale one",
    url=CONVENTIONS,
    quote="An automated process should be able to modify status for users to see by sending an updated Pod kind to the"
    ' server to the "/pods/<name>/status" endpoint',
    on="subresource",
    verbs=("update",),
    applies=_is_status,
    mode="full",
    needs=("object",),
)
def status_update(case: Case) -> Steps:
    """Learn which status the kind takes, send it with the whole of another object, and once more with the old one."""
    tried: Reply = yield from case.created("b")
    wanted, _ = yield from _stored_status(case, tried.get("metadata", "name"))
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    for _ in range(_TRIES):
        current: Reply = yield Ask("GET", _main(case, name), status=True)
        need(current.ok, f"the object is answered {current.said()}")
        # With what a controller has written by now, which may not be taken away (collisionCount).
        sent = (current.get("status") or {}) | _beside(current.get("status"), wanted)
        reply: Reply = yield Ask("PUT", case.item(name), body=current.body | {"status": sent})
        if reply.status == _CONFLICT:
            continue
        expect(reply.status == _OK, f"it is answered {reply.said()}")
        got: Reply = yield Ask("GET", _main(case, name), status=True)
        if not _shows(wanted, got.get("status")):
            expect(version_of(got.body) != version_of(reply.body), "it is not stored")
            continue  # somebody has written another one since
        if got.get("metadata", "resourceVersion") != current.get("metadata", "resourceVersion"):
            stale: Reply = yield Ask("PUT", case.item(name), body=current.body | {"status": {}})
            expect(stale.status == _CONFLICT, f"a stale one is answered {stale.said()}")
        return
    raise NotEvaluated("somebody else keeps writing the object")


# --- scale ------------------------------------------------------------------------------------------------------------


def _is_scale(subject: Subject) -> bool:
    resource, parent = subject.resource, subject.parent
    return (
        resource is not None
        and parent is not None
        and resource.subresource == "scale"
        and {"create", "get", "delete"} <= set(parent.verbs)
    )


@check(
    "SCALE-GET",
    MUST,
    "The scale of an object is a Scale with its name, uid, resourceVersion and replicas",
    url=CONVENTIONS,
    quote="/scale: Used to read and write the count of a resource in a manner that is independent of the specific"
    " resource schema.",
    on="subresource",
    verbs=("get",),
    applies=_is_scale,
    mode="full",
    needs=("object",),
)
def scale_get(case: Case) -> Steps:
    """Make an object and read its scale."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    got: Reply = yield Ask("GET", case.item(name))
    expect(got.status == _OK, f"it is answered {got.said()}")
    expect(got.get("kind") == "Scale" and got.get("apiVersion") == "autoscaling/v1", f"it is a {got.get('kind')}")
    expect(got.get("metadata", "name") == name, "it has another name")
    expect(got.get("metadata", "uid") == made.get("metadata", "uid"), "it has another uid")
    expect(got.get("metadata", "resourceVersion"), "metadata.resourceVersion is missing")
    wanted = made.get("spec", "replicas")
    if wanted is not None:
        expect((got.get("spec", "replicas") or 0) == wanted, "spec.replicas is another number than the object's")


@check(
    "SCALE-ROUND-TRIP",
    MUST,
    "replicas that are written through scale stand in the object, and the reverse",
    url=CONVENTIONS,
    quote="/scale: Used to read and write the count of a resource in a manner that is independent of the specific"
    " resource schema.",
    on="subresource",
    verbs=("get", "update"),
    applies=_is_scale,
    mode="full",
    needs=("object",),
)
def scale_round_trip(case: Case) -> Steps:
    """Write a scale, read the object, and the scale again."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    for _ in range(_TRIES):
        scale: Reply = yield Ask("GET", case.item(name))
        need(scale.ok, f"its scale is answered {scale.said()}")
        body = scale.body | {"spec": {"replicas": 2}}
        tried: Reply = yield Ask("PUT", case.item(name), (DRY_RUN,), body)
        got: Reply = yield Ask("GET", _main(case, name))
        expect(got.get("spec", "replicas") != 2, "the dry run is stored")  # noqa: PLR2004
        reply: Reply = yield Ask("PUT", case.item(name), body=body)
        if _CONFLICT in {reply.status, tried.status}:
            continue
        expect(reply.status == _OK, f"it is answered {reply.said()}")
        expect(reply.get("spec", "replicas") == 2, "the answer shows another number")  # noqa: PLR2004
        got = yield Ask("GET", _main(case, name))
        expect(got.get("spec", "replicas") == 2, "the object has another number")  # noqa: PLR2004
        stale: Reply = yield Ask("PUT", case.item(name), body=scale.body | {"spec": {"replicas": 3}})
        expect(stale.status == _CONFLICT, f"a stale scale is answered {stale.said()}")
        return
    raise NotEvaluated("somebody else keeps writing the object")


@check(
    "SCALE-PATCH",
    MUST,
    "A patch of the scale changes the object's replicas",
    url=CONVENTIONS,
    quote="/scale: Used to read and write the count of a resource in a manner that is independent of the specific"
    " resource schema.",
    on="subresource",
    verbs=("get", "patch"),
    applies=_is_scale,
    mode="full",
    needs=("object",),
)
def scale_patch(case: Case) -> Steps:
    """Patch the number, and read the object."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    reply: Reply = yield Ask("PATCH", case.item(name), body={"spec": {"replicas": 2}}, headers=MERGE)
    expect(reply.status == _OK, f"it is answered {reply.said()}")
    expect(reply.get("kind") == "Scale", f"the answer is a {reply.get('kind')}")
    got: Reply = yield Ask("GET", _main(case, name))
    expect(got.get("spec", "replicas") == 2, "the object has another number")  # noqa: PLR2004


@check(
    "SCALE-INVALID",
    MUST,
    "A scale of less than nothing is refused as 422",
    url=CONVENTIONS,
    quote="Invalid: Indicates that the requested create or update operation cannot be completed due to invalid data"
    " provided as part of the request.",
    on="subresource",
    verbs=("get", "update"),
    applies=_is_scale,
    mode="full",
    needs=("object",),
)
def scale_invalid(case: Case) -> Steps:
    """Write a negative number."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    scale: Reply = yield Ask("GET", case.item(name))
    need(scale.ok, f"its scale is answered {scale.said()}")
    reply: Reply = yield Ask("PUT", case.item(name), (DRY_RUN,), scale.body | {"spec": {"replicas": -1}})
    expect(reply.status == _INVALID, f"it is answered {reply.said()}")


@check(
    "SUBRESOURCE-ABSENT",
    MUST,
    "A subresource of an object that is not there is a 404",
    url=CONVENTIONS,
    quote="404 StatusNotFound: Indicates that the requested resource does not exist.",
    on="subresource",
    verbs=("get",),
    applies=lambda subject: subject.resource is not None and subject.resource.subresource in {"status", "scale", "log"},
)
def subresource_absent(case: Case) -> Steps:
    """Ask for one of a name that no object has."""
    reply: Reply = yield Ask("GET", case.item("{absent}"))
    expect(reply.status == _NOT_FOUND, f"it is answered {reply.said()}")
    expect(reply.get("kind") == "Status" and reply.reason == "NotFound", "it is no Status NotFound")
