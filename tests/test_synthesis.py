"""Objects out of schemas: each keyword, and whole definitions that a server has to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance import schemas, synthesis

if TYPE_CHECKING:
    from conformance.model import Json


def document(spec: Json, **more: Json) -> Json:
    thing = {
        "type": "object",
        "required": ["spec"],
        "x-kubernetes-group-version-kind": [{"group": "example.com", "version": "v1", "kind": "Thing"}],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
        },
    }
    return {"components": {"schemas": {"Thing": thing, **more}}}


def made(spec: Json, **more: Json) -> Any:
    described = document(spec, **more)
    valid = schemas.validity(described, "example.com", "v1", "Thing")
    return synthesis.make(described, "example.com", "v1", "Thing", valid=valid)["spec"]


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ({"type": "object"}, {}),
        ({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {}}}, {"a": "a"}),
        ({"type": "string", "enum": ["x", "y"]}, "x"),
        ({"type": "string", "minLength": 5}, "aaaaa"),
        ({"type": "string", "maxLength": 0}, ""),
        ({"type": "string", "format": "date-time"}, "2026-01-01T00:00:00Z"),
        ({"type": "string", "pattern": "^[A-Z]{3}$"}, "AAA"),
        ({"type": "string", "pattern": "^[a-z.]+$", "minLength": 4}, "aaaa"),
        ({"type": "string", "pattern": "^(x|xyz)$", "minLength": 2}, "xyz"),
        ({"type": "string", "pattern": "^a+$", "minLength": 2, "format": "byte"}, "aa"),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True, "multipleOf": 5}, 5),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "format": "int32"}, 1),
        ({"type": "number", "minimum": 0, "maximum": 1}, 0.5),
        ({"type": "boolean", "enum": [True]}, True),
        ({"type": "string", "nullable": True}, "a"),
        ({"x-kubernetes-int-or-string": True}, 1),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, 1),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 2]),
        ({"type": "array", "x-kubernetes-list-type": "set", "minItems": 2, "items": {"type": "string"}}, ["a", "a1"]),
        (
            {
                "type": "array",
                "minItems": 2,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {"required": ["name"], "properties": {"name": {"type": "string", "enum": ["p", "q"]}}},
            },
            [{"name": "p"}, {"name": "q"}],
        ),
        (
            {
                "type": "array",
                "minItems": 2,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["port", "protocol"],
                "items": {
                    "type": "object",
                    "required": ["port"],
                    "properties": {"port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}},
                },
            },
            [{"port": 1}, {"port": 2}],
        ),
        ({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2}, {"k0": 1, "k1": 2}),
        ({"type": "object", "minProperties": 1, "properties": {"a": {"type": "boolean"}}}, {"a": False}),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
                "oneOf": [{"required": ["a"], "not": {"required": ["a"]}}, {"required": ["b"]}],
            },
            {"b": 1},
        ),
        ({"type": "string", "allOf": [{"minLength": 2}, {"pattern": "^b"}]}, "ba"),
        ({"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
         {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "none"}}),
        ({"x-kubernetes-preserve-unknown-fields": True}, {}),
        ({"type": "string", "default": "given"}, "given"),
        ({"type": "string", "not": {"enum": ["a"]}, "pattern": "^[ab]$"}, "b"),
        ({"allOf": [{"$ref": "#/components/schemas/Other"}], "default": {}}, {"x": 2}),
    ],
)  # fmt: skip
def test_the_least_that_a_schema_allows(spec: Json, value: Any) -> None:
    other: Json = {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer", "minimum": 2}}}
    assert made(spec, Other=other) == value


@pytest.mark.parametrize("form", sorted(synthesis._FORMATS))
def test_every_format_is_made_in_several_forms(form: str) -> None:
    items = {"type": "string", "format": form}
    assert len(made({"type": "array", "minItems": 2, "items": items})) == 2


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"$ref": "#/components/schemas/Gone"}, "refers to Gone, which is not there"),
        ({"$ref": "#/components/schemas/Self"}, "within itself|contains itself"),
        ({"type": "string", "minLength": 1 << 20, "pattern": "^a+$"}, "too long"),
        ({"type": "array", "minItems": 1 << 20, "items": {}}, "more than is worth"),
        ({"type": "object", "minProperties": 3, "properties": {"a": {}}}, "has only 1"),
        ({"type": "string", "pattern": "^a$", "enum": ["b"]}, "no attempt was valid"),
    ],
)
def test_what_cannot_be_made_is_told(spec: Json, words: str) -> None:
    itself: Json = {"type": "object", "required": ["s"], "properties": {"s": {"$ref": "#/components/schemas/Self"}}}
    with pytest.raises(synthesis.Unknown, match=words):
        made(spec, Self=itself)


def test_a_kind_without_a_schema_is_told() -> None:
    with pytest.raises(synthesis.Unknown, match=r"no schema of example\.com/v2 Thing"):
        synthesis.make(document({}), "example.com", "v2", "Thing")
