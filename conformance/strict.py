"""OpenAPI v3 schemas of a server -> JSON Schemas (Draft 4) that allow nothing but what is documented.

Kubernetes publishes open schemas; here an object with named properties holds no others, formats become ranges and
patterns (so that every validator takes them alike), and what OpenAPI alone says (`nullable`, `x-kubernetes-*`) is put
in the words of JSON Schema. Sources: https://spec.openapis.org/oas/v3.0.0#schema-object and
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conformance.model import Json

DRAFT = "http://json-schema.org/draft-04/schema#"
_DAY = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)"
_ZONE = r"(Z|[+-]\d\d:\d\d)"
_PATTERNS = {
    "date": f"^{_DAY}$",
    "date-time": rf"^{_DAY}T{_CLOCK}(\.\d+)?{_ZONE}$",
    "byte": r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
_MICRO_TIME = rf"^{_DAY}T{_CLOCK}\.\d{{6}}{_ZONE}$"
_RANGES = {"int32": (-(1 << 31), (1 << 31) - 1), "int64": (-(1 << 63), (1 << 63) - 1)}
_DROPPED = ("default", "format", "description", "title", "example", "externalDocs", "nullable")
_OPEN = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"
_BRANCHES = ("allOf", "anyOf", "oneOf")
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_OBJECT_META = {"$ref": f"#/components/schemas/{_META}.ObjectMeta"}


def close(schemas: dict[str, Json]) -> None:
    """Make every schema of a document's components strict, in place."""
    for name, schema in schemas.items():
        _close(schema)
        if name == f"{_META}.MicroTime":
            schema["pattern"] = _MICRO_TIME
    if f"{_META}.ObjectMeta" not in schemas:
        _without_object_meta(schemas)


def _close(schema: Any, *, structural: bool = True) -> None:
    """Make one schema strict. Within a branch of a custom resource's `anyOf` nothing is closed: it only adds to it."""
    if not isinstance(schema, dict):
        return
    for value in schema.get("properties", {}).values():
        _close(value, structural=structural)
    for key in ("items", "additionalProperties"):
        _close(schema.get(key), structural=structural)
    # A reference in a branch is a whole schema of its own, whose definition is closed where it stands.
    for branch in (schema.get("not"), *(branch for key in _BRANCHES for branch in schema.get(key, ()))):
        _close(branch, structural=False)
    if structural and schema.get("properties") and "additionalProperties" not in schema and not schema.get(_OPEN):
        if schema.get(_EMBEDDED):
            typed = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _OBJECT_META}
            schema["properties"] = typed | schema["properties"]
        schema["additionalProperties"] = False
    _restrict(schema)
    if schema.pop("nullable", False):
        _let_be_null(schema)
    for key in _DROPPED:
        schema.pop(key, None)


def _restrict(schema: Json) -> None:
    """Say in patterns and ranges what a format says."""
    form = schema.get("format")
    if form in _RANGES and schema.get("type") == "integer":
        low, high = _RANGES[form]
        schema["minimum"] = max(low, schema.get("minimum", low))
        schema["maximum"] = min(high, schema.get("maximum", high))
    elif form in _PATTERNS and "pattern" not in schema:
        schema["pattern"] = _PATTERNS[form]
    elif "pattern" in schema and not _is_common(schema["pattern"]):
        del schema["pattern"]


def _is_common(pattern: Any) -> bool:
    """Say whether Go, Rust and Python read an expression alike; the server itself holds objects to the others."""
    if not isinstance(pattern, str) or re.search(r"\[\[:|\\[zZQEpPCAGkg]|\(\?[^:]", pattern):
        return False
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def _let_be_null(schema: Json) -> None:
    if "enum" in schema and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    for key in _BRANCHES:
        if key in schema:
            branches = {key: schema.pop(key)}
            schema.setdefault("allOf", []).append({"anyOf": [{"type": "null"}, branches]})


def _without_object_meta(schemas: dict[str, Json]) -> None:
    """Let embedded objects have any metadata where the document does not say what metadata is."""
    for schema in schemas.values():
        _open_metadata(schema)


def _open_metadata(value: Any) -> None:
    if isinstance(value, dict):
        for key, member in value.items():
            if member is _OBJECT_META:
                value[key] = {}
            else:
                _open_metadata(member)
    elif isinstance(value, list):
        for member in value:
            _open_metadata(member)
