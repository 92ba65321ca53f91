"""What definitions of custom resources promise, on those of fixtures/crds/ that a run brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, SHOULD, check
from conformance.checks.asking import CONCEPTS, DEFINITION, MERGE, STRATEGIC, dry_run, get
from conformance.scripts import RUN, Ask, Reply, at, expect, need

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.scripts import Case, Memory, Seen, Steps, Subject

_PAGE = "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/"
_GROUP = f"kc-{RUN}.kube-conformance.io"
_OK, _CREATED, _BAD, _UNSUPPORTED, _INVALID = 200, 201, 400, 415, 422


def _ours(name: str, version: str) -> Callable[[Subject], bool]:
    """Choose one of the definitions that the run brought along."""

    def chosen(subject: Subject) -> bool:
        resource = subject.resource
        return resource is not None and (resource.group, resource.version, resource.name) == (_GROUP, version, name)

    return chosen


_GADGET, _OLD_GADGET, _BAG = _ours("gadgets", "v1"), _ours("gadgets", "v1beta1"), _ours("bags", "v1alpha1")


def _gadget(case: Case, **spec: Any) -> Any:
    return case.object("a") | {"spec": {"color": "red", **spec}}


@check(
    "CRD-DEFAULTS",
    MUST,
    "Defaults of a custom resource's schema are set where a field is not given, and only there",
    url=f"{_PAGE}#defaulting",
    quote="Defaulting happens on the object: in the request to the API server using the request version defaults",
    on="resource",
    verbs=("create",),
    applies=_GADGET,
    mode="full",
    needs=("object",),
)
def defaults(case: Case) -> Steps:
    """Leave fields out, within a list, too."""
    body = _gadget(case, maximum=7, parts=[{"name": "x"}])
    reply: Reply = yield dry_run(case, body)
    need(reply.status == _CREATED, f"it is answered {reply.said()}")
    wanted = {"color": "red", "material": "wood", "maximum": 7, "replicas": 1, "parts": [{"name": "x", "count": 1}]}
    expect(reply.get("spec") == wanted, "spec does not have the defaults, and the given values")


@check(
    "CRD-PRUNING",
    MUST,
    "Fields that a custom resource's schema does not have are dropped",
    url=f"{_PAGE}#field-pruning",
    quote="if you specify a field that the API server does not recognize, the unknown field is pruned (removed)"
    " before being persisted",
    on="resource",
    verbs=("create", "get"),
    applies=_GADGET,
    mode="full",
    needs=("object",),
)
def pruning(case: Case) -> Steps:
    """Send unknown fields at several depths, and read what was stored."""
    body = _gadget(case, unknown=1, parts=[{"name": "x", "unknown": 2}]) | {"unknown": 3}
    made: Reply = yield Ask("POST", case.collection(), (("fieldValidation", "Ignore"),), body)
    need(made.status == _CREATED, f"it is answered {made.said()}")
    read: Reply = yield get(case, case.name_of(made.body))
    for where, reply in (("answer", made), ("store", read)):
        left = [reply.get("unknown"), reply.get("spec", "unknown"), reply.get("spec", "parts", 0, "unknown")]
        expect(left == [None, None, None], f"an unknown field is in the {where}")


@check(
    "CRD-PRESERVE",
    MUST,
    "Where a schema preserves unknown fields they are kept as they were sent",
    url=f"{_PAGE}#controlling-pruning",
    quote="By default, all unspecified fields for a custom resource, across all versions, are pruned. It is possible"
    " though to opt-out of that for specific sub-trees of fields by adding x-kubernetes-preserve-unknown-fields: true",
    on="resource",
    verbs=("create", "get"),
    applies=_BAG,
    mode="full",
    needs=("object",),
)
def preserve(case: Case) -> Steps:
    """Send what no schema knows, and read it back."""
    held = {"a": [1, {"b": None}, "c"], "deep": {"deeper": {"deepest": True}}}
    made: Reply = yield Ask("POST", case.collection(), (), case.object("a") | {"holds": held})
    need(made.status == _CREATED, f"it is answered {made.said()}")
    read: Reply = yield get(case, case.name_of(made.body))
    expect(read.get("holds") == held, "what it holds is not what was sent")


def _refusal(seen: Seen, _: Memory) -> Any:
    causes = at(seen.document, "details", "causes") or ()
    return {
        "reason": at(seen.document, "reason"),
        "fields": sorted({str(at(each, "field")) for each in causes}),
        "messages": sorted({str(at(each, "message"))[:120] for each in causes}),
    }


@check(
    "CRD-VALIDATION",
    MUST,
    "A value that a custom resource's schema does not allow is a 422 that names the field",
    url=f"{_PAGE}#validation",
    quote="Custom resources are validated via OpenAPI v3.0 schemas",
    on="resource",
    verbs=("create",),
    applies=_GADGET,
    mode="full",
    needs=("object",),
)
def validation(case: Case) -> Steps:
    """Send an object wrong in one field at a time."""
    wrong = {
        "spec.color": _gadget(case, color="grey"),
        "spec.replicas": _gadget(case, replicas=-1),
        "spec.note": _gadget(case, note="x" * 65),
        "spec.parts[1]": _gadget(case, parts=[{"name": "x"}, {"name": "x"}]),
    }
    for place, body in wrong.items():
        reply: Reply = yield dry_run(case, body, read=_refusal)
        expect(reply.status == _INVALID, f"with a wrong {place} it is answered {reply.status}")
        expect(reply.get("reason") == "Invalid", f"the reason is {reply.get('reason')}")
        expect(any(each.startswith(place) for each in reply.get("fields")), f"no cause names {place}")
    missing: Reply = yield dry_run(case, case.object("a") | {"spec": {}}, read=_refusal)
    expect(missing.status == _INVALID, f"without a required field it is answered {missing.status}")


@check(
    "CRD-NULLABLE",
    MUST,
    "A null is kept where the schema says nullable, and dropped where it does not",
    url=f"{_PAGE}#defaulting-and-nullable",
    quote="null values for fields that either don't have the nullable flag, or specify it as false, will be pruned"
    " before defaulting happens.",
    on="resource",
    verbs=("create",),
    applies=_GADGET,
    mode="full",
    needs=("object",),
)
def nullable(case: Case) -> Steps:
    """Send a null in a nullable field and one in a field with a default."""
    reply: Reply = yield dry_run(case, _gadget(case, note=None, material=None))
    need(reply.status == _CREATED, f"it is answered {reply.said()}")
    spec = reply.get("spec") or {}
    expect("note" in spec and spec["note"] is None, "the null of a nullable field is gone")
    expect(spec.get("material") == "wood", "the null of another field is not replaced by the default")


@check(
    "CRD-RULE",
    MUST,
    "A rule (CEL) of a custom resource's schema is held, and its message is told",
    url=f"{DEFINITION}#JSONSchemaProps",
    quote="x-kubernetes-validations describes a list of validation rules written in the CEL expression language.",
    on="resource",
    verbs=("create",),
    applies=_GADGET,
    mode="full",
    needs=("object",),
)
def rule(case: Case) -> Steps:
    """Break a rule over two fields, and then hold it."""
    broken: Reply = yield dry_run(case, _gadget(case, replicas=5, maximum=4), read=_refusal)
    expect(broken.status == _INVALID, f"it is answered {broken.status}")
    told = any("replicas may not exceed maximum" in each for each in broken.get("messages"))
    expect(told, "no cause has the rule's message")
    held: Reply = yield dry_run(case, _gadget(case, replicas=4, maximum=4))
    expect(held.status == _CREATED, f"where the rule holds it is answered {held.said()}")


@check(
    "CRD-TRANSITION-RULE",
    MUST,
    "A rule that speaks of oldSelf is held on updates and not on creation",
    url=f"{_PAGE}#transition-rules",
    quote="A rule that contains an expression referencing the identifier oldSelf is implicitly considered a"
    " transition rule.",
    on="resource",
    verbs=("create", "patch"),
    applies=_GADGET,
    mode="full",
    needs=("object",),
)
def transition_rule(case: Case) -> Steps:
    """Create with a value of one's own, and try to change it."""
    made: Reply = yield Ask("POST", case.collection(), (), _gadget(case, material="steel"))
    expect(made.status == _CREATED, f"its creation is answered {made.said()}")
    item = case.item(case.name_of(made.body))
    same: Reply = yield Ask("PATCH", item, body={"spec": {"color": "blue"}}, headers=MERGE)
    expect(same.status == _OK, f"a change of another field is answered {same.said()}")
    other: Reply = yield Ask("PATCH", item, body={"spec": {"material": "wood"}}, headers=MERGE, read=_refusal)
    expect(other.status == _INVALID, f"a change that the rule forbids is answered {other.status}")
    expect(any("immutable" in each for each in other.get("messages")), "no cause has the rule's message")


@check(
    "CRD-SELECTABLE-FIELDS",
    MUST,
    "A selectable field selects exactly the objects that have the value, and another field is refused as 400",
    url=f"{_PAGE}#crd-selectable-fields",
    quote="The spec.versions[*].selectableFields field of a CustomResourceDefinition may be used to declare which"
    " other fields in a custom resource may be used in field selectors",
    on="resource",
    verbs=("create", "list"),
    applies=_GADGET,
    mode="full",
    needs=("object",),
)
def selectable_fields(case: Case) -> Steps:
    """Make two objects of different colors."""
    for suffix, color in (("r", "red"), ("g", "green")):
        made: Reply = yield Ask("POST", case.collection(), (), case.object(suffix) | {"spec": {"color": color}})
        need(made.status == _CREATED, f"it is answered {made.said()}")
    query = (("fieldSelector", "spec.color=green"), case.selector)
    found: Reply = yield Ask("GET", case.collection(), query, read=_colors)
    expect(found.status == _OK, f"it is answered {found.status}")
    expect(found.get("colors") == ["green"], f"it selects {found.get('colors')}")
    query = (("fieldSelector", "spec.color!=green"), case.selector)
    rest: Reply = yield Ask("GET", case.collection(), query, read=_colors)
    expect(rest.get("colors") == ["red"], f"its opposite selects {rest.get('colors')}")
    other: Reply = yield Ask("GET", case.collection(), (("fieldSelector", "spec.material=wood"),), read=_colors)
    expect(other.status == _BAD, f"a field that isn't selectable is answered {other.status}")


def _colors(seen: Seen, _: Memory) -> Any:
    return {"colors": sorted(str(at(each, "spec", "color")) for each in at(seen.document, "items") or ())}


@check(
    "CRD-COLUMNS",
    MUST,
    "The Table of a custom resource has the columns of its definition, in order, with type and priority",
    url=f"{_PAGE}#additional-printer-columns",
    quote="The kubectl tool relies on server-side output formatting. Your cluster's API server decides which columns"
    " are shown by the kubectl get command.",
    on="resource",
    verbs=("create", "list"),
    applies=_GADGET,
    mode="full",
    needs=("object",),
)
def columns(case: Case) -> Steps:
    """List as kubectl prints it."""
    made: Reply = yield Ask("POST", case.collection(), (), _gadget(case, replicas=3))
    need(made.status == _CREATED, f"it is answered {made.said()}")
    headers = (("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1"),)
    table: Reply = yield Ask("GET", case.collection(), (case.selector,), headers=headers, read=_columns)
    expect(table.status == _OK, f"it is answered {table.status}")
    wanted = [["Name", "string", 0], ["Color", "string", 0], ["Replicas", "integer", 1], ["Age", "date", 0]]
    expect(table.get("columns") == wanted, f"the columns are {table.get('columns')}")
    expect(table.get("cells") == ["red", 3], f"the cells are {table.get('cells')}")


def _columns(seen: Seen, _: Memory) -> Any:
    found = at(seen.document, "columnDefinitions") or ()
    cells = at(seen.document, "rows", 0, "cells") or []
    return {
        "columns": [[at(each, "name"), at(each, "type"), at(each, "priority")] for each in found],
        "cells": cells[1:3],
    }


@check(
    "CRD-STRATEGIC",
    MUST,
    "A strategic merge patch of a custom resource is a 415",
    url=f"{CONCEPTS}#patch-and-apply",
    quote="You cannot use application/strategic-merge-patch+json with any API defined using a"
    " CustomResourceDefinition.",
    on="resource",
    verbs=("patch",),
    applies=lambda subject: subject.custom,
    mode="dry-run",
)
def strategic(case: Case) -> Steps:
    """Patch an absent object: the type is looked at before."""
    reply: Reply = yield Ask("PATCH", case.item("{absent}"), (("dryRun", "All"),), {}, STRATEGIC)
    expect(reply.status == _UNSUPPORTED, f"it is answered {reply.said()}")


def _described(seen: Seen, _: Memory) -> Any:
    names = at(seen.document, "status", "acceptedNames") or {}
    conditions = at(seen.document, "status", "conditions") or ()
    versions = at(seen.document, "spec", "versions") or ()
    return {
        "names": names,
        "stored": at(seen.document, "status", "storedVersions"),
        "conditions": {str(at(each, "type")): at(each, "status") for each in conditions},
        "served": sorted(at(each, "name") for each in versions if at(each, "served")),
    }


@check(
    "CRD-ACCEPTED",
    MUST,
    "A definition whose resource is served has accepted its names and is established, and all its versions are served",
    url=f"{_PAGE}#create-a-customresourcedefinition",
    quote="It might take a few seconds for the endpoint to be created. You can watch the Established condition of your"
    " CustomResourceDefinition to be true",
    on="resource",
    verbs=("list",),
    applies=lambda subject: subject.custom,
)
def accepted(case: Case) -> Steps:
    """Read the definition of a resource that discovery lists, and hold both side by side."""
    resource = case.resource
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{resource.name}.{resource.group}"
    reply: Reply = yield Ask("GET", path, read=_described)
    need(reply.status == _OK, f"the definition is answered {reply.status}")
    conditions = reply.get("conditions")
    for wanted in ("Established", "NamesAccepted"):
        expect(conditions.get(wanted) == "True", f"{wanted} is {conditions.get(wanted)}")
    names = reply.get("names")
    expect((names.get("plural"), names.get("kind")) == (resource.name, resource.kind), "its names are others")
    expect(sorted(names.get("shortNames") or ()) == sorted(resource.short_names), "its short names are others")
    expect(resource.version in reply.get("served"), "its version is not one that the definition serves")
    listed = {resource.version, *(other.version for other in case.subject.others)}
    expect(listed == set(reply.get("served")), "discovery lists other versions than the definition serves")


@check(
    "CRD-VERSION-DEFAULTS",
    SHOULD,
    "A custom resource has, read through a version, the defaults and the fields of that version's schema",
    url=f"{DEFINITION}#CustomResourceConversion",
    quote='"None": The converter only change the apiVersion and would not touch any other field in the custom'
    " resource.",
    on="resource",
    verbs=("create", "get"),
    applies=_OLD_GADGET,
    mode="full",
    needs=("object",),
)
def version_defaults(case: Case) -> Steps:
    """Create through the older version, whose schema says less, and read through the newer one."""
    made: Reply = yield Ask("POST", case.collection(), (), _gadget(case, replicas=2, extra="kept"))
    need(made.status == _CREATED, f"it is answered {made.said()}")
    name = case.name_of(made.body)
    newer = case.item(name).replace("/v1beta1/", "/v1/")
    read: Reply = yield Ask("GET", newer)
    expect(read.status == _OK, f"through the newer version it is answered {read.said()}")
    expect(read.get("spec", "replicas") == 2 and read.get("spec", "maximum") == 10, "its defaults are not set")  # noqa: PLR2004
    expect(read.get("spec", "extra") is None, "the newer version shows a field that its schema does not have")
