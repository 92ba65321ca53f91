"""A snapshot in a run file: to plain JSON values and back, exactly. Apart, because saved runs are read without HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from conformance.errors import RunFileError
from conformance.model import Catalog, Group, Rbac, Resource, Snapshot, Unavailable

if TYPE_CHECKING:
    from conformance.model import Json


def dump(snapshot: Snapshot) -> Json:
    """Give the snapshot as plain JSON values."""
    return {key: _plain(value) for key, value in asdict(snapshot).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def load(document: Json) -> Snapshot:
    """Make the snapshot that `dump` was given; a RunFileError when the document is none."""
    try:
        catalog, rbac = document["catalog"], document["rbac"]
        calls = document["deprecated_calls"]
        return Snapshot(
            server_version=document["server_version"],
            catalog=Catalog(
                groups=tuple(Group(**_tuples(group)) for group in catalog["groups"]),
                resources=tuple(Resource(**_tuples(resource)) for resource in catalog["resources"]),
                paths=tuple(catalog["paths"]),
                unavailable=tuple(Unavailable(**item) for item in catalog["unavailable"]),
                aggregated=frozenset(catalog["aggregated"]),
                notes=tuple(catalog["notes"]),
            ),
            rbac=Rbac(**_tuples(rbac)),
            namespaces=tuple(document["namespaces"]),
            openapi=dict(document["openapi"]),
            deprecated_calls=None if calls is None else tuple(calls),
            notes=tuple(document["notes"]),
        )
    except (KeyError, TypeError, AttributeError) as problem:
        raise RunFileError(f"the snapshot of a run can't be read: {type(problem).__name__} {problem}") from problem


def _tuples(fields: Json) -> Json:
    """Turn the lists of a flat value's fields into the tuples that its dataclass holds."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
