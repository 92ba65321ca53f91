"""What a validator found, in words that name fields and types and never a value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_FIELD = re.compile(r"[a-zA-Z$][a-zA-Z0-9]*")
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_RANGES = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_COUNTS = {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "uniqueItems"}


@dataclass(frozen=True, slots=True)
class Words:
    """Says errors of objects of one kind; `inside` leaves out that a list holds it."""

    kind: str
    inside: bool = True

    def of(self, error: Any) -> str:
        """Say one error of jsonschema or jsonschema-rs: `LimitRange spec.limits: null where array is documented`."""
        path = [*_path(error)]
        if self.inside and path[:2] == ["items", "[]"]:
            path = path[2:]
        keyword = [*getattr(error, "schema_path", ())][-1]
        where = _joined(path)
        return f"{self.kind}{' ' if where else ''}{where}: {_said(str(keyword), error)}"


def _path(error: Any) -> list[str]:
    steps = getattr(error, "instance_path", None)
    steps = error.absolute_path if steps is None else steps
    return ["[]" if isinstance(step, int) else (step if _FIELD.fullmatch(step) else "*") for step in steps]


def _joined(path: list[str]) -> str:
    return "".join(step if step == "[]" or number == 0 else f".{step}" for number, step in enumerate(path))


def _said(keyword: str, error: Any) -> str:
    if keyword == "type":
        return f"{_TYPES.get(type(error.instance), 'null')} where {_wanted(error)} is documented"
    if keyword == "required":
        return f"the required field {_missing(error)} is missing"
    if keyword == "additionalProperties":
        return f"{_unexpected(error)} not documented"
    if keyword == "enum":
        return "not one of the documented values"
    if keyword == "pattern":
        return "not of the documented form"
    if keyword in _RANGES:
        return "a number beyond the documented range"
    if keyword in _COUNTS:
        return "not as long as documented"
    return "none of the documented alternatives"


def _wanted(error: Any) -> str:
    kind = getattr(error, "kind", None)
    types = error.validator_value if kind is None else kind.types
    return " or ".join(sorted(types)) if isinstance(types, list | tuple | set) else str(types)


def _missing(error: Any) -> str:
    kind = getattr(error, "kind", None)
    if kind is not None:
        return str(kind.property)
    return str(error.message).partition("' is a required property")[0][1:]  # where jsonschema says which


def _unexpected(error: Any) -> str:
    kind = getattr(error, "kind", None)
    if kind is not None:
        names = list(kind.unexpected)
    else:
        names = [name for name in error.instance if name not in error.schema.get("properties", {})]
    named = sorted(name if _FIELD.fullmatch(name) else "*" for name in names)
    return f"the field{'s' if len(named) > 1 else ''} {', '.join(named[:3])} {'are' if len(named) > 1 else 'is'}"
