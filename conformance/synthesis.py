"""An object made out of nothing but its schema, for kinds that no file knows: custom and aggregated ones.

Only what is required is written, each value the least that its schema allows. Where a schema leaves a choice (`oneOf`,
`anyOf`, several texts of one pattern) one attempt after the other makes another choice, until what was made is valid.
What a schema does not say (CEL rules over several fields, webhooks) only the server can tell.
"""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

from conformance import patterns

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.model import Json

    Valid = Callable[[Any], bool]  # whether an object is one that its schema allows

ATTEMPTS = 48
_DEEPEST = 24  # levels of an object: a schema may contain itself
_MANY = 1024  # entries of a list or map that somebody asks for at least
_GVK = "x-kubernetes-group-version-kind"
_ANYTHING = "x-kubernetes-preserve-unknown-fields"
# What formats look like: those of k8s.io/apiextensions-apiserver's pkg/apiserver/validation/formats.go, and of built-in
# kinds. `{n}` is another digit each time that another text is needed.
_FORMATS = {
    "bsonobjectid": "507f1f77bcf86cd79943901{n}",
    "byte": "",
    "cidr": "192.0.2.{n}/32",
    "creditcard": "4111111111111111",
    "date": "2026-01-0{m}",
    "date-time": "2026-01-01T00:00:0{n}Z",
    "datetime": "2026-01-01T00:00:0{n}Z",
    "duration": "{m}s",
    "email": "a{n}@example.com",
    "hexcolor": "#00000{n}",
    "hostname": "a{n}.example.com",
    "ipv4": "192.0.2.{n}",
    "ipv6": "2001:db8::{m}",
    "ip": "192.0.2.{n}",
    "isbn": "0306406152",
    "isbn10": "0306406152",
    "isbn13": "9780306406157",
    "k8s-long-name": "a{n}",
    "k8s-short-name": "a{n}",
    "mac": "00:00:5e:00:53:0{n}",
    "micro-time": "2026-01-01T00:00:00.00000{n}Z",
    "quantity": "{m}",
    "rgbcolor": "rgb(0,0,{n})",
    "ssn": "111-22-333{n}",
    "uri": "https://example.com/{n}",
    "uuid": "00000000-0000-4000-8000-00000000000{n}",
    "uuid3": "00000000-0000-3000-8000-00000000000{n}",
    "uuid4": "00000000-0000-4000-8000-00000000000{n}",
    "uuid5": "00000000-0000-5000-8000-00000000000{n}",
}


class Unknown(Exception):  # noqa: N818  # a kind of which no object can be made is no error of anybody's
    """No object can be made, with the reason."""


def make(document: Json, group: str, version: str, kind: str, *, valid: Valid | None = None) -> Json:
    """Make the smallest object of a kind, without a name, out of an OpenAPI v3 document.

    `valid` looks at each attempt; without it the first is given.
    """
    schema = schema_of(document, group, version, kind)
    if schema is None:
        raise Unknown(f"the OpenAPI document has no schema of {group}/{version} {kind}".replace(" /", " "))
    own = {key: value for key, value in schema.items() if key != "required"}
    required = [key for key in schema.get("required", ()) if key not in {"apiVersion", "kind", "metadata"}]
    problem = "no attempt was valid"
    for attempt in range(ATTEMPTS):
        try:
            made = _Maker(document, attempt).value({**own, "required": required}, 0, 0)
        except (Unknown, ValueError, RecursionError) as why:
            problem = str(why) or "it contains itself"
            continue
        body: Json = {"apiVersion": f"{group}/{version}" if group else version, "kind": kind}
        body |= {key: value for key, value in made.items() if key not in body} if isinstance(made, dict) else {}
        if valid is None or valid({**body, "metadata": {"name": "a"}}):
            return body
    raise Unknown(f"no valid object of {kind} could be made from its schema: {problem}")


def schema_of(document: Json, group: str, version: str, kind: str) -> Json | None:
    """Find the schema of a kind in a document."""
    wanted = {"group": group, "version": version, "kind": kind}
    schemas = document.get("components", {}).get("schemas", {})
    found = (schema for schema in schemas.values() if wanted in schema.get(_GVK, ()))
    return next(found, None)


class _Maker:
    """One attempt: `attempt` decides wherever a schema leaves a choice."""

    def __init__(self, document: Json, attempt: int) -> None:
        self._schemas = document.get("components", {}).get("schemas", {})
        self._attempt = attempt

    def value(self, schema: Json, number: int, depth: int) -> Any:
        """Make a value; each `number` gives another one, as far as the schema allows."""
        if depth > _DEEPEST:
            raise Unknown("its schema asks for an object within itself, without an end")
        schema = self._flat(schema)
        if schema.get("enum"):
            choices = [choice for choice in schema["enum"] if choice is not None] or schema["enum"]
            return choices[(number + self._attempt) % len(choices)]
        if number == 0 and schema.get("default") not in (None, {}, [], "", 0):
            return schema["default"]
        if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
            return self._integer(schema, number) if self._attempt % 2 == 0 else self._text(schema, number)
        return self._typed(schema, number, depth)

    def _typed(self, schema: Json, number: int, depth: int) -> Any:
        match _type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._text(schema, number)
            case "integer":
                return self._integer(schema, number)
            case "number":
                return self._number(schema, number)
            case "boolean":
                return bool((number + self._attempt) % 2)
            case "null":
                return None
            case _:
                return {}

    def _flat(self, schema: Json) -> Json:
        """Follow references and put together what `allOf`, and one branch of `anyOf` and `oneOf`, add."""
        for _ in range(_DEEPEST):
            if "$ref" in schema:
                name = str(schema["$ref"]).rpartition("/")[2]
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                if name not in self._schemas:
                    raise Unknown(f"its schema refers to {name}, which is not there")
                schema = _merged(self._schemas[name], rest)
            elif "allOf" in schema:
                rest = {key: value for key, value in schema.items() if key != "allOf"}
                for part in schema["allOf"]:
                    rest = _merged(rest, self._flat(part))
                schema = rest
            else:
                branching = next((key for key in ("oneOf", "anyOf") if schema.get(key)), None)
                if branching is None:
                    return schema
                branches = schema[branching]
                rest = {key: value for key, value in schema.items() if key != branching}
                schema = _merged(rest, self._flat(branches[self._attempt % len(branches)]))
        raise Unknown("its schema refers to itself, without an end")

    def _object(self, schema: Json, depth: int) -> Json:
        properties = schema.get("properties", {})
        made: Json = {}
        if schema.get("x-kubernetes-embedded-resource"):
            made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "none"}}
        for key in schema.get("required", ()):
            if key not in made:
                made[key] = self.value(properties.get(key, {}), 0, depth + 1)
        least = _least(schema, "minProperties")
        for key, value in properties.items():
            if len(made) >= least:
                break
            if key not in made:
                made[key] = self.value(value, 0, depth + 1)
        extra = schema.get("additionalProperties")
        while len(made) < least:
            if not extra and not schema.get(_ANYTHING):
                raise Unknown(f"an object of at least {least} fields has only {len(properties)}")
            number = len(made)
            made[f"k{number}"] = self.value(extra if isinstance(extra, dict) else {}, number, depth + 1)
        return made

    def _array(self, schema: Json, depth: int) -> list[Any]:
        items = schema.get("items", {})
        made = [self.value(items, number, depth + 1) for number in range(_least(schema, "minItems"))]
        keys = schema.get("x-kubernetes-list-map-keys", ())
        if keys and len(made) > 1:
            # Entries differ in one key at least; the first that can take as many values is enough.
            properties = self._flat(items).get("properties", {})
            for number, entry in enumerate(made):
                for key in keys:
                    if key in entry or "default" not in properties.get(key, {}):
                        entry[key] = self.value(properties.get(key, {}), number, depth + 2)
        return made

    def _text(self, schema: Json, number: int) -> str:
        least = _least(schema, "minLength")
        most = schema.get("maxLength")
        pattern, variant = schema.get("pattern"), number + self._attempt // 2
        if pattern:
            text = patterns.example(pattern, least=least, variant=variant)
        elif (form := schema.get("format")) == "byte":
            text = base64.b64encode(b"a" * math.ceil(least * 3 / 4) + b"a" * number).decode() if least or number else ""
        elif form in _FORMATS:
            text = _FORMATS[form].replace("{n}", str(variant % 10)).replace("{m}", str(variant % 9 + 1))
        else:
            text = f"a{number}" if number else ("a" if least else "")
            text += "a" * (least - len(text))
            # Most texts that have no format are names of something: an empty one is seldom meant.
            text = text or ("a" if most != 0 else "")
        return text if most is None else text[:most]

    def _integer(self, schema: Json, number: int) -> int:
        step: int = max(1, math.ceil(schema.get("multipleOf", 1)))
        low, high = _bounds(schema)
        if low is not None:
            start = math.floor(low) + 1 if low != math.floor(low) or schema.get("exclusiveMinimum") else math.floor(low)
            start = math.ceil(start / step) * step
        elif high is not None and high < 1:
            top = math.floor(high) - (1 if schema.get("exclusiveMaximum") and high == math.floor(high) else 0)
            return math.floor(top / step) * step - number * step
        else:
            # Of what has no least value, one: a count of none is seldom meant.
            start = step if high is None or high >= step else 0
        return start + number * step

    def _number(self, schema: Json, number: int) -> float:
        low, high = _bounds(schema)
        step = schema.get("multipleOf") or 1
        if low is None and high is None:
            return float(step * (1 + number))
        if low is not None and high is not None and not schema.get("multipleOf"):
            return low + (high - low) * (number + 1) / (number + 2)
        if low is None:
            return float(math.floor(high or 0) - step * (number + 1))
        begun = math.ceil(low / step) * step
        skip = 1 if schema.get("exclusiveMinimum") and begun == low else 0
        return float(begun + step * (number + skip))


def _type_of(schema: Json) -> str:
    """Say what type a value has to have; of several the first, where none is given what the other words speak of."""
    kind = schema.get("type")
    if isinstance(kind, list):
        return str(next((one for one in kind if one != "null"), "null"))
    if kind is None and schema.keys() & {"pattern", "minLength", "format"}:
        return "string"
    return "object" if kind is None else str(kind)


def _least(schema: Json, key: str) -> int:
    least = int(schema.get(key, 0))
    if key != "minLength" and least > _MANY:
        raise Unknown(f"{key} {least} asks for more than is worth the making")
    return least


def _bounds(schema: Json) -> tuple[float | None, float | None]:
    return schema.get("minimum"), schema.get("maximum")


def _merged(one: Json, other: Json) -> Json:
    """Ask for both at once, as far as that can be written down without looking at values."""
    merged = dict(one)
    for key, value in other.items():
        there = merged.get(key)
        if key == "required":
            merged[key] = list(dict.fromkeys([*(there or ()), *value]))
        elif key == "properties":
            merged[key] = {
                name: _merged(there[name], value[name])
                if there and name in there and name in value
                else value.get(name, (there or {}).get(name))
                for name in {**(there or {}), **value}
            }
        elif key == "enum" and there:
            merged[key] = [choice for choice in there if choice in value] or value
        elif key in {"allOf", "oneOf", "anyOf"} and there and there != value:
            merged.setdefault("allOf", [])
            merged["allOf"] = [*merged["allOf"], {key: value}]
        elif key in {"minLength", "minItems", "minProperties", "minimum"} and there is not None:
            merged[key] = max(there, value)
        elif key in {"maxLength", "maxItems", "maxProperties", "maximum"} and there is not None:
            merged[key] = min(there, value)
        elif key != "default" or value not in ({}, [], ""):
            merged[key] = value
    return merged
