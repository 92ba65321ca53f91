"""Schemas of two moments: what breaks, what does not, and whom it concerns."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from moments_made import GVK, found, moment, uses

from conformance.compare import change_of, compared

if TYPE_CHECKING:
    from conformance.model import Json

BASE: Json = {
    "io.Thing": {
        "type": "object",
        "x-kubernetes-group-version-kind": GVK,
        "properties": {"spec": {"allOf": [{"$ref": "#/components/schemas/io.Spec"}], "default": {}}},
    },
    "io.Spec": {
        "type": "object",
        "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 9},
            "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "name": {"type": "string", "maxLength": 9},
            "parts": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "free": {"type": "object", "additionalProperties": {"type": "string"}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "maybe": {"type": "string", "nullable": True},
        },
        "required": ["name"],
    },
}


def _changed(path: str, value: Any) -> Json:
    """Give the schemas with one thing set, or (None) taken away."""
    made = deepcopy(BASE)
    place: Any = made["io.Spec"]
    *way, last = path.split("/")
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return made


BREAKING = [
    ("properties/size", None, "field-gone", "io.Spec.size"),
    ("properties/size", {"type": "string"}, "type-changed", "io.Spec.size"),
    ("properties/size/minimum", 2, "validation-tightened", "io.Spec.size"),
    ("properties/size/maximum", 8, "validation-tightened", "io.Spec.size"),
    ("properties/size/multipleOf", 2, "validation-tightened", "io.Spec.size"),
    ("properties/colour/enum", ["red"], "enum-narrowed", "io.Spec.colour"),
    ("properties/name/enum", ["a"], "enum-narrowed", "io.Spec.name"),
    ("properties/colour/default", "blue", "default-changed", "io.Spec.colour"),
    ("properties/name/maxLength", 5, "validation-tightened", "io.Spec.name"),
    ("properties/name/pattern", "^a", "validation-tightened", "io.Spec.name"),
    ("properties/name/format", "uuid", "validation-tightened", "io.Spec.name"),
    ("required", ["name", "size"], "field-required", "io.Spec.size"),
    ("properties/parts/x-kubernetes-list-type", "atomic", "merge-changed", "io.Spec.parts"),
    ("properties/parts/x-kubernetes-patch-strategy", "merge", "merge-changed", "io.Spec.parts"),
    ("properties/parts/items", {"type": "integer"}, "type-changed", "io.Spec.parts[]"),
    ("properties/parts/maxItems", 3, "validation-tightened", "io.Spec.parts"),
    ("properties/free/additionalProperties", {"type": "integer"}, "type-changed", "io.Spec.free{}"),
    ("properties/open", {"type": "object"}, "validation-tightened", "io.Spec.open"),
    ("properties/maybe/nullable", None, "validation-tightened", "io.Spec.maybe"),
    ("x-kubernetes-validations", [{"rule": "self.size > 1"}], "validation-tightened", "io.Spec"),
    ("properties/name/oneOf", [{"minLength": 2}], "validation-tightened", "io.Spec.name"),
]
COMPATIBLE = [
    ("properties/new", {"type": "string"}, "field-new", "io.Spec.new"),
    ("properties/size/minimum", None, "validation-loosened", "io.Spec.size"),
    ("properties/size/maximum", 10, "validation-loosened", "io.Spec.size"),
    ("properties/size/type", "number", "type-changed", "io.Spec.size"),
    ("properties/colour/enum", ["red", "blue", "green"], "enum-widened", "io.Spec.colour"),
    ("properties/colour/enum", None, "enum-widened", "io.Spec.colour"),
    ("required", None, "field-optional", "io.Spec.name"),
    ("properties/free/default", {}, "default-changed", "io.Spec.free"),
]


@pytest.mark.parametrize(("path", "value", "change", "subject"), BREAKING)
def test_what_breaks(path: str, value: object, change: str, subject: str) -> None:
    told = compared(moment(schemas=BASE), moment(schemas=_changed(path, value)))
    assert [it.id for it in told] == [f"{change}:{subject}"]
    assert told[0].kind == "schema"
    assert told[0].severity in {"high", "medium", "low"}


@pytest.mark.parametrize(("path", "value", "change", "subject"), COMPATIBLE)
def test_what_does_not(path: str, value: object, change: str, subject: str) -> None:
    told = compared(moment(schemas=BASE), moment(schemas=_changed(path, value)))
    assert [(it.id, it.severity) for it in told] == [(f"{change}:{subject}", "info")]


def test_a_new_field_that_has_to_be_set() -> None:
    changed = _changed("properties/new", {"type": "string"})
    changed["io.Spec"]["required"] = ["name", "new"]
    told = found(moment(schemas=BASE), moment(schemas=changed))
    assert set(told) == {"field-required:io.Spec.new"}
    assert told["field-required:io.Spec.new"].severity == "high"


def test_objects_that_set_the_field_are_named_and_raise_its_severity() -> None:
    changed = _changed("properties/size", None)
    unused = found(moment(schemas=BASE), moment(schemas=changed))["field-gone:io.Spec.size"]
    fields = ("spec", "spec.size", "spec.name")
    before = moment(schemas=BASE, evidence={"objects": {"/things": uses(4, fields=fields)}})
    used = found(before, moment(schemas=changed))["field-gone:io.Spec.size"]
    assert (unused.severity, used.severity) == ("medium", "high")
    assert used.affected == ("4 of 4 things set spec.size",)


def test_a_schema_is_told_once_however_many_documents_hold_it() -> None:
    before, after = moment(schemas=BASE), moment(schemas=_changed("properties/size", None))
    assert len(compared(before, after)) == 1
    assert not compared(before, moment(schemas=BASE))


def test_a_list_of_objects_is_walked_into() -> None:
    def with_items(kind: str) -> Json:
        return _changed("properties/list", {"type": "array", "items": {"properties": {"a": {"type": kind}}}})

    told = compared(moment(schemas=with_items("string")), moment(schemas=with_items("integer")))
    assert [(change_of(it), it.id.partition(":")[2]) for it in told] == [("type-changed", "io.Spec.list[].a")]
