"""What server-side apply promises: who wants a field owns it, and nobody takes it from another unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, check
from conformance.checks.asking import APPLY, APPLY_PATCH, CONCEPTS, MARK, OBJECT, PARAMETERS, get, mark_of, read_back
from conformance.scripts import DRY_RUN, Ask, Reply, at, expect, need

if TYPE_CHECKING:
    from conformance.model import Json
    from conformance.scripts import Case, Steps

_OK, _CREATED, _BAD, _NOT_FOUND, _CONFLICT, _INVALID = 200, 201, 400, 404, 409, 422
_APPLIED = (*OBJECT, "patch")
_ONE, _TWO = "kube-conformance-one", "kube-conformance-two"
_UPDATES = frozenset({"Apply", "Update"})


def apply(
    case: Case, name: str, body: Json, manager: str = _ONE, *query: tuple[str, str], managed: bool = False
) -> Ask:
    """Apply what a manager wants of an object."""
    wanted = (("fieldManager", manager), *query) if manager else query
    return Ask("PATCH", case.item(name), wanted, body, APPLY_PATCH, managed=managed)


def wish(case: Case, value: str | None) -> Json:
    """Say what a manager wants: the label, and to know whose object it is."""
    body = case.object("a")
    labels = {} if value is None else {MARK: value}
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": {"name": case.name_of(body), "labels": labels},
    }


def owners(body: Any, label: str = MARK) -> set[str]:
    """Name the managers that own a label."""
    entries = at(body, "metadata", "managedFields") or ()
    return {
        str(at(entry, "manager"))
        for entry in entries
        if at(entry, "fieldsV1", "f:metadata", "f:labels", f"f:{label}") is not None
    }


@check(
    "APPLY-CREATE",
    MUST,
    "Applying an object that is not there creates it, with its manager as owner",
    url=f"{CONCEPTS}#patch-and-apply",
    quote="For Server-Side Apply, Kubernetes treats the request as a create if the object does not yet exist, and a"
    " patch otherwise.",
    on="resource",
    verbs=_APPLIED,
    applies=lambda subject: not subject.aggregated,
    mode="full",
    needs=("object",),
)
def apply_create(case: Case) -> Steps:
    """Apply a whole object."""
    body = case.object("a")
    yield from case.needed("a")
    name = case.name_of(body)
    made: Reply = yield apply(case, name, body, managed=True)
    expect(made.status == _CREATED, f"it is answered {made.said()}")
    managers = {(at(entry, "manager"), at(entry, "operation")) for entry in made.get("metadata", "managedFields") or ()}
    expect((_ONE, "Apply") in managers, "managedFields does not name the manager with operation Apply")
    again: Reply = yield apply(case, name, body)
    expect(again.status == _OK, f"applying it once more is answered {again.said()}")


@check(
    "APPLY-UPDATE",
    MUST,
    "Applying changes the fields that are sent and leaves all others",
    url=APPLY,
    quote="Clients can create and modify objects declaratively by submitting their fully specified intent.",
    on="resource",
    verbs=_APPLIED,
    applies=lambda subject: not subject.aggregated,
    mode="full",
    needs=("object",),
)
def apply_update(case: Case) -> Steps:
    """Apply a label to an object that somebody else made."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    reply: Reply = yield apply(case, name, wish(case, "one"), managed=True)
    expect(reply.status == _OK, f"it is answered {reply.said()}")
    expect(owners(reply.body) == {_ONE}, "managedFields does not name the manager as the label's owner")
    current = yield from read_back(case, name)
    expect(mark_of(current) == "one", "the change is not stored")
    labels = at(current, "metadata", "labels") or {}
    expect(case.labels.items() <= labels.items(), "labels that were not sent are gone")


@check(
    "APPLY-CONFLICT",
    MUST,
    "Applying another value of a field that somebody else applied is a 409 whose causes name field and manager",
    url=f"{APPLY}#conflicts",
    quote="A conflict is a special status error that occurs when an Apply operation tries to change a field that"
    " another manager also claims to manage.",
    on="resource",
    verbs=_APPLIED,
    applies=lambda subject: not subject.aggregated,
    mode="full",
    needs=("object",),
)
def apply_conflict(case: Case) -> Steps:
    """Apply a label as one manager, and another value of it as a second."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    first: Reply = yield apply(case, name, wish(case, "one"))
    need(first.ok, f"the first apply is answered {first.said()}")
    second: Reply = yield apply(case, name, wish(case, "two"), _TWO)
    expect(second.status == _CONFLICT, f"it is answered {second.said()}")
    causes = second.get("details", "causes") or ()
    expect([at(c, "reason") for c in causes] == ["FieldManagerConflict"], "no cause has reason FieldManagerConflict")
    expect(MARK in str(at(causes, 0, "field")), "the cause does not name the field")
    expect(_ONE in str(at(causes, 0, "message")), "the cause does not name the other manager")
    current = yield from read_back(case, name)
    expect(mark_of(current) == "one", "the refused value is stored")


@check(
    "APPLY-FORCE",
    MUST,
    "Applying with force takes the field over: value and ownership",
    url=f"{APPLY}#conflicts",
    quote="This forces the operation to succeed, changes the value of the field, and removes the field from all other"
    " managers' entries in managedFields.",
    on="resource",
    verbs=_APPLIED,
    applies=lambda subject: not subject.aggregated,
    mode="full",
    needs=("object",),
)
def apply_force(case: Case) -> Steps:
    """Take a label over."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    first: Reply = yield apply(case, name, wish(case, "one"))
    need(first.ok, f"the first apply is answered {first.said()}")
    second: Reply = yield apply(case, name, wish(case, "two"), _TWO, ("force", "true"), managed=True)
    expect(second.status == _OK, f"it is answered {second.said()}")
    expect(mark_of(second.body) == "two", "the value is not changed")
    expect(owners(second.body) == {_TWO}, "the field's owner is not the one that forced")


@check(
    "APPLY-GIVE-UP",
    MUST,
    "A field that its only owner applies no longer is removed",
    url=f"{APPLY}#merge-strategy",
    quote="If the set of items present in the applied config is not a superset of the items applied by the same user"
    " last time, each missing item not managed by any other appliers is removed.",
    on="resource",
    verbs=_APPLIED,
    applies=lambda subject: not subject.aggregated,
    mode="full",
    needs=("object",),
)
def apply_give_up(case: Case) -> Steps:
    """Apply a label, then apply without it."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    first: Reply = yield apply(case, name, wish(case, "one"))
    need(first.ok, f"the first apply is answered {first.said()}")
    second: Reply = yield apply(case, name, wish(case, None))
    expect(second.status == _OK, f"it is answered {second.said()}")
    current = yield from read_back(case, name)
    expect(mark_of(current) is None, "the field is still there")


@check(
    "APPLY-SHARED",
    MUST,
    "Managers that apply one value share the field, and it stays when one of them gives it up",
    url=f"{APPLY}#conflicts",
    quote="Doing so leaves the value unchanged, and causes that field's management to be shared by the applier along"
    " with all other field managers that already claimed to manage it.",
    on="resource",
    verbs=_APPLIED,
    applies=lambda subject: not subject.aggregated,
    mode="full",
    needs=("object",),
)
def apply_shared(case: Case) -> Steps:
    """Apply one label by two managers, then give it up by one."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    for manager in (_ONE, _TWO):
        reply: Reply = yield apply(case, name, wish(case, "one"), manager, managed=True)
        expect(reply.status == _OK, f"applying the same value as {manager} is answered {reply.said()}")
    expect(owners(reply.body) == {_ONE, _TWO}, "managedFields does not name both")
    reply = yield apply(case, name, wish(case, None), managed=True)
    expect(reply.status == _OK, f"giving it up is answered {reply.said()}")
    expect(mark_of(reply.body) == "one", "the field is gone although another manager wants it")
    expect(owners(reply.body) == {_TWO}, "managedFields still names who gave it up")


@check(
    "APPLY-MANAGER",
    MUST,
    "Applying without a fieldManager is refused",
    url=f"{PARAMETERS}#fieldManager",
    quote="This field is required for apply requests (application/apply-patch) but optional for non-apply patch types",
    on="resource",
    verbs=("patch", "get"),
    applies=lambda subject: not subject.aggregated and subject.has("create"),
    mode="dry-run",
    needs=("object",),
)
def apply_manager(case: Case) -> Steps:
    """Apply as nobody."""
    body = case.object("a")
    reply: Reply = yield apply(case, case.name_of(body), body, "", DRY_RUN)
    expect(reply.status in {_BAD, _INVALID}, f"it is answered {reply.said()}")


@check(
    "APPLY-DRY-RUN",
    MUST,
    "A dry run of an apply answers with the object and persists nothing",
    url=f"{CONCEPTS}#dry-run",
    quote="Kubernetes guarantees that dry-run requests will not be persisted in storage or have any other side"
    " effects.",
    on="resource",
    verbs=("create", "patch", "get"),
    applies=lambda subject: not subject.aggregated,
    mode="dry-run",
    needs=("object",),
)
def apply_dry_run(case: Case) -> Steps:
    """Try to apply an object that is not there."""
    body = case.object("a")
    name = case.name_of(body)
    tried: Reply = yield apply(case, name, body, _ONE, DRY_RUN)
    expect(tried.status == _CREATED, f"the dry run is answered {tried.said()}")
    got: Reply = yield get(case, name)
    expect(got.status == _NOT_FOUND, f"after the dry run the object is answered {got.said() or got.status}")


@check(
    "MANAGED-FIELDS",
    MUST,
    "managedFields tells of each writer its name, operation, version and fields",
    url=f"{APPLY}#field-management",
    quote="The Kubernetes API server tracks managed fields for all newly created objects.",
    on="resource",
    verbs=OBJECT,
    mode="full",
    needs=("object",),
)
def managed_fields(case: Case) -> Steps:
    """Make an object and look at who is said to have written what."""
    body = case.object("a")
    yield from case.needed("a")
    made: Reply = yield Ask("POST", case.collection(), (("fieldManager", _ONE),), body, managed=True)
    need(made.status == _CREATED, f"no object could be created: {made.said()}")
    entries = made.get("metadata", "managedFields") or []
    expect(_ONE in {at(entry, "manager") for entry in entries}, "who created the object is not among the managers")
    for entry in entries:
        expect(at(entry, "operation") in _UPDATES, f"an operation is {at(entry, 'operation')}")
        expect(at(entry, "apiVersion"), "an entry has no apiVersion")
        expect(at(entry, "fieldsType") == "FieldsV1", f"a fieldsType is {at(entry, 'fieldsType')}")
        fields = at(entry, "fieldsV1")
        expect(isinstance(fields, dict) and all(_is_path(key) for key in fields), "fieldsV1 is no tree of fields")


def _is_path(key: str) -> bool:
    return key == "." or key[:2] in {"f:", "k:", "v:", "i:"}
