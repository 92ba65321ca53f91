"""Schemas of two servers: what an object may hold no more, must hold now, or means something else.

Told once a schema, not once for each operation that uses it. A document whose schemas are the same bytes on both sides
is not looked at. Who is affected is read from the fields that live objects have set (managed fields).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from conformance.compare import differs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Difference, Json
    from conformance.moments import Moment

KIND = "schema"
_PREFIX = "#/components/schemas/"
_GVK = "x-kubernetes-group-version-kind"
# Keyword -> how a number of it tightens: a lower bound by rising, an upper one by falling.
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LIST = ("x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type")
_PATCH = ("x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key")
_SHOWN, _LONG = 6, 120
_Walked = tuple[str, str]  # schema, path in it


@dataclass(frozen=True, slots=True)
class _Change:
    change: str
    severity: str  # where objects that were seen use the field; one less where none does
    title: str
    before: Any = None
    after: Any = None
    advice: str = ""


def differences(before: Moment, after: Moment) -> Iterator[Difference]:
    """Compare the documents that both have."""
    old, new = _schemas(before, after)
    affected: dict[_Walked, list[str]] | None = None
    for name in sorted(old.keys() & new.keys()):
        if old[name] == new[name]:
            continue
        for path, change in sorted(_compare(old[name], new[name], ""), key=lambda it: (it[0], it[1].change)):
            if affected is None:
                affected = _in_use(before)
            users = affected.get((name, path), [])
            yield _difference(name, path, change, users)


def _difference(name: str, path: str, change: _Change, users: list[str]) -> Difference:
    short = name.rpartition(".")[2]
    where = f"{short}.{path}" if path else short
    # A field that must be there now concerns every object, whether it sets it or not.
    sure = users or change.severity in {"info", "low"} or change.change in {"field-required", "scope-changed"}
    lesser = {"critical": "high", "high": "medium", "medium": "low"}
    return differs(
        change.change,
        f"{name}.{path}" if path else name,
        KIND,
        change.severity if sure else lesser[change.severity],
        f"{where}: {change.title}",
        before=_shown(change.before),
        after=_shown(change.after),
        affected=users[:_SHOWN],
        advice=change.advice,
    )


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"


def _schemas(before: Moment, after: Moment) -> tuple[dict[str, Json], dict[str, Json]]:
    """Give the schemas of all documents that differ, by name; a name says the same in every document."""
    old: dict[str, Json] = {}
    new: dict[str, Json] = {}
    for key in sorted(before.digests.keys() & after.digests.keys()):
        if before.digests[key] != after.digests[key]:
            old |= before.document(key).get("components", {}).get("schemas", {})
            new |= after.document(key).get("components", {}).get("schemas", {})
    return old, new


# --- one schema against the other -------------------------------------------------------------------------------------


def _compare(old: Json, new: Json, path: str) -> Iterator[tuple[str, _Change]]:
    was, now = _type(old), _type(new)
    if was != now:
        yield path, _typed(was, now)
        return
    yield from ((path, change) for change in (*_values(old, new), *_bounds(old, new), *_lists(old, new)))
    yield from _fields(old, new, path)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        mine_below, their_below = old.get(key), new.get(key)
        if isinstance(mine_below, dict) and isinstance(their_below, dict) and mine_below != their_below:
            yield from _compare(mine_below, their_below, f"{path}{mark}")


def _fields(old: Json, new: Json, path: str) -> Iterator[tuple[str, _Change]]:
    mine, theirs = _properties(old), _properties(new)
    required = sorted({*new.get("required", ())} - {*old.get("required", ())})
    for field in sorted(mine.keys() | theirs.keys()):
        below = f"{path}.{field}" if path else field
        if field not in theirs:
            kept = bool(new.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in new)
            yield below, _gone_field(mine[field], kept=kept)
            continue
        if field in required and field not in ("apiVersion", "kind"):
            yield below, _required_field(existed=field in mine)
        elif field not in mine:
            yield below, _Change("field-new", "info", "the field is new", after=_type(theirs[field]))
        if field in mine and mine[field] != theirs[field]:
            yield from _compare(mine[field], theirs[field], below)
    for field in sorted(({*old.get("required", ())} - {*new.get("required", ())}) & theirs.keys()):
        below = f"{path}.{field}" if path else field
        yield below, _Change("field-optional", "info", "the field need not be set any more")


def _typed(was: str, now: str) -> _Change:
    # A number where there was an integer takes every integer that there was.
    wider = was == "integer" and now == "number"
    return _Change(
        "type-changed",
        "info" if wider else "critical",
        f"the type is {now or 'any'} now",
        was,
        now,
        "write it in the new type; stored objects of the old one may not be readable by clients",
    )


def _gone_field(old: Json, *, kept: bool) -> _Change:
    if kept:
        return _Change("field-undescribed", "low", "the field is not described any more, but kept", _type(old))
    return _Change(
        "field-gone",
        "high",
        "the field is gone: servers drop it, or refuse it where validation is strict",
        _type(old),
        "",
        "take it out of manifests and clients",
    )


def _required_field(*, existed: bool) -> _Change:
    title = "the field has to be set now" + ("" if existed else ", and is new")
    return _Change(
        "field-required", "high", title, "optional" if existed else "", "required", "set it before upgrading"
    )


def _values(old: Json, new: Json) -> Iterator[_Change]:
    """Compare what values may be, and what they are where none is given."""
    mine, theirs = old.get("enum"), new.get("enum")
    if mine != theirs:
        lost = [each for each in mine or () if theirs is not None and each not in theirs]
        if lost or (mine is None and theirs is not None):
            yield _Change("enum-narrowed", "high", f"fewer values are valid, without {lost}", mine, theirs)
        else:
            yield _Change("enum-widened", "info", "more values are valid", mine, theirs)
    if old.get("default") != new.get("default"):
        was, now = old.get("default"), new.get("default")
        # Go's empty struct, which an object gets anyway: documents say it here and leave it out there.
        empty = {} in (was, now) and None in (was, now)
        advice = "" if empty else "write the value out where the old one is meant"
        word = "info" if empty else "medium"
        yield _Change("default-changed", word, "the default is another", was, now, advice)
    if old.get("nullable") and not new.get("nullable"):
        yield _Change("validation-tightened", "high", "null is not valid any more", "nullable", "not nullable")


def _bounds(old: Json, new: Json) -> Iterator[_Change]:
    for keys, sign in ((_LOWER, 1), (_UPPER, -1)):
        for key in keys:
            mine, theirs = old.get(key), new.get(key)
            if mine == theirs:
                continue
            tighter = theirs is not None and (mine is None or (theirs - mine) * sign > 0)
            yield _validation(key, mine, theirs, tighter=tighter)
    for key in ("pattern", "format", "multipleOf", "uniqueItems"):
        mine, theirs = old.get(key), new.get(key)
        if mine != theirs:
            yield _validation(key, mine, theirs, tighter=bool(theirs))
    rules = "x-kubernetes-validations"
    mine_rules = {each.get("rule") for each in old.get(rules) or ()}
    their_rules = {each.get("rule") for each in new.get(rules) or ()}
    if more := sorted(their_rules - mine_rules):
        yield _validation("rule (CEL)", None, "; ".join(map(str, more)), tighter=True)
    if fewer := sorted(mine_rules - their_rules):
        yield _validation("rule (CEL)", "; ".join(map(str, fewer)), None, tighter=False)
    if _open(old) and not _open(new):
        yield _Change("validation-tightened", "high", "unknown fields are not kept any more", "kept", "dropped")
    yield from _branches(old, new)


def _branches(old: Json, new: Json) -> Iterator[_Change]:
    for key in ("anyOf", "oneOf", "not"):
        if old.get(key) != new.get(key):
            title = f"the alternatives ({key}) are others"
            yield _Change("validation-tightened", "medium", title, old.get(key), new.get(key))


def _validation(key: str, mine: Any, theirs: Any, *, tighter: bool) -> _Change:
    if tighter:
        return _Change("validation-tightened", "high", f"{key} is stricter: {_shown(theirs)}", mine, theirs)
    return _Change("validation-loosened", "info", f"{key} is less strict", mine, theirs)


def _lists(old: Json, new: Json) -> Iterator[_Change]:
    """Compare how apply and patches merge."""
    for keys, word in ((_LIST, "apply"), (_PATCH, "strategic merge patches")):
        mine, theirs = {k: old[k] for k in keys if k in old}, {k: new[k] for k in keys if k in new}
        if mine != theirs:
            title = f"{word} merge it in another way"
            advice = "look at who applies parts of it: fields of other managers may be replaced"
            yield _Change("merge-changed", "medium", title, mine or "none", theirs or "none", advice)


def _open(schema: Json) -> bool:
    return bool(schema.get("x-kubernetes-preserve-unknown-fields"))


def _properties(schema: Json) -> dict[str, Json]:
    found: dict[str, Json] = schema.get("properties") or {}
    return found


def _reference(schema: Json) -> str:
    """Give the name of the schema that one stands for, alone or beside its default (`allOf` of one)."""
    parts: list[Json] = schema.get("allOf") or []
    reference = schema.get("$ref") or (parts[0].get("$ref", "") if len(parts) == 1 else "")
    return str(reference).removeprefix(_PREFIX)


def _type(schema: Json) -> str:
    name = _reference(schema)
    if name:
        return name
    if schema.get("x-kubernetes-int-or-string") or (schema.get("oneOf") and not schema.get("type")):
        return "integer or string"
    return str(schema.get("type", ""))


# --- which objects set which field ------------------------------------------------------------------------------------


def _in_use(before: Moment) -> dict[_Walked, list[str]]:
    """Walk each field path that live objects have set through the schemas: (schema, path in it) -> who sets it."""
    found: dict[_Walked, list[str]] = {}
    kinds = {(each.group, each.version, each.name): each.kind for each in before.snapshot.catalog.resources}
    documents: dict[str, Json] = {}
    for plural, entry in (before.evidence.get("objects") or {}).items():
        group, _, name = plural.partition("/")
        for version, paths in entry["fields"].items():
            short = version.rpartition("/")[2]
            key = f"apis/{group}/{short}" if group else f"api/{short}"
            if before.digests.get(key) is None or version.rpartition("/")[0] != group:
                continue
            if key not in documents:
                documents[key] = before.document(key).get("components", {}).get("schemas", {})
            root = _root(documents[key], group, short, kinds.get((group, short, name), ""))
            for path, count in paths.items():
                for walked in _walk(documents[key], root, path) if root else ():
                    said = f"{count} of {entry['count']} {name} set {path}"
                    users = found.setdefault(walked, [])
                    if said not in users:
                        users.append(said)
    return found


def _root(schemas: dict[str, Json], group: str, version: str, kind: str) -> str:
    wanted = {"group": group, "version": version, "kind": kind}
    return next((name for name, schema in schemas.items() if wanted in schema.get(_GVK, ())), "")


def _walk(schemas: dict[str, Json], name: str, path: str) -> Iterator[_Walked]:
    """Give the last step of a path in each schema that it goes through to its end: there alone it is set."""
    schema, inside = schemas.get(name, {}), ""
    for step in path.replace("[]", ".[]").split("."):
        if reference := _reference(schema):
            name, schema, inside = reference, schemas.get(reference, {}), ""
        if step == "[]":
            schema, inside = schema.get("items") or {}, f"{inside}[]"
        else:
            schema = _properties(schema).get(step, {})
            inside = f"{inside}.{step}" if inside else step
    yield name, inside
