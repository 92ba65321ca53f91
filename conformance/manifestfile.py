"""The objects of one file of manifests, each with its line: YAML or JSON, documents and lists.

A dump of a large cluster is read in seconds by the quick way; what that can't tell, and what is wrong, the long way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import yaml

from conformance.errors import FileError
from conformance.wellformed import DEEPEST, twice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conformance.model import Json

_TEXT = "tag:yaml.org,2002:str"


class Item(NamedTuple):
    """An object and the line that it begins at; `double` is a key that stands twice in it, with that key's line."""

    value: Json
    line: int
    double: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class _Document:
    """A document as it was read; `lines` and `doubles` are those of mappings in it, by their `id`.

    `spots` are the lines of a list's items by the list's `id` and their number, also of those that are no mappings.
    """

    value: Any
    line: int
    lines: dict[int, int] = field(default_factory=dict)
    doubles: dict[int, tuple[str, int]] = field(default_factory=dict)
    spots: dict[tuple[int, int], int] = field(default_factory=dict)


def items(file: Path, text: str) -> Iterator[Item]:
    """Give the objects of a file; lists are opened, those in lists too."""
    for document in _quickly(text) or _documents(file, text):
        if document.value is not None:
            yield from _opened(file, document, document.value, document.line)


def _opened(file: Path, document: _Document, value: object, line: int, depth: int = 0) -> Iterator[Item]:
    if not isinstance(value, dict):
        raise FileError(file, line, "is no Kubernetes object: it has to be a mapping")
    if not _is_list(value):
        yield Item(value, line, document.doubles.get(id(value)))
        return
    if depth > DEEPEST:
        raise FileError(file, line, "lists stand in lists without an end")
    # Items of a typed list say neither kind nor version; the list does.
    kind = str(value["kind"]).removesuffix("List")
    of_list = {"kind": kind, "apiVersion": value.get("apiVersion")} if kind else {}
    for number, item in enumerate(value["items"]):
        where = document.lines.get(id(item), document.spots.get((id(value["items"]), number), line))
        for found in _opened(file, document, item, where, depth + 1):
            yield found._replace(value=of_list | found.value) if found.value is item else found


def _is_list(value: Json) -> bool:
    return str(value.get("kind", "")).endswith("List") and isinstance(value.get("items"), list)


# --- the quick way ----------------------------------------------------------------------------------------------------


def _quickly(text: str) -> list[_Document] | None:
    """Read plain documents; None where something is wrong, or is not plain."""
    try:
        from conformance.quickyaml import NotPlainError, Plain  # noqa: PLC0415  # it needs libyaml
    except ImportError:
        return None
    try:
        found = [_Document(*it) for it in Plain(_scalar).documents(text)]
    except (NotPlainError, yaml.YAMLError, RecursionError):
        return None
    return found if all(_of_mappings(it.value) for it in found) else None


def _of_mappings(value: Any, depth: int = 0) -> bool:
    if not isinstance(value, dict) or depth > DEEPEST:
        return value is None
    return not _is_list(value) or all(_of_mappings(it, depth + 1) and it is not None for it in value["items"])


def _scalar(text: str) -> Any:
    """Say what a scalar without quotes is, the long way."""
    for tag, pattern in _Loader.yaml_implicit_resolvers.get(text[:1], ()):
        if pattern.match(text) and tag != _TEXT:
            loader = _Loader(text)
            try:
                return loader.get_single_data()
            finally:
                loader.dispose()
    return text


# --- the long way -----------------------------------------------------------------------------------------------------


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # whichever there is
    """Reads what JSON has: a date that nobody quoted is a text, as it is to kubectl."""

    yaml_implicit_resolvers: ClassVar = {
        letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _documents(file: Path, text: str) -> Iterator[_Document]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node: Any = loader.get_node()
            document = _Document(loader.construct_document(node), node.start_mark.line + 1)
            _note(document, node, document.value)
            yield document
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        what = getattr(problem, "problem", None) or getattr(problem, "reason", None) or "it can't be read"
        hint = "; a template has to be rendered first" if "{{" in text else ""
        raise FileError(file, mark.line + 1 if mark else None, f"is no YAML: {what}{hint}") from None
    except RecursionError:
        raise FileError(file, None, "is nested too deeply") from None
    finally:
        loader.dispose()


def _note(document: _Document, node: yaml.Node, value: object, depth: int = 0) -> None:
    """Note the lines of an object, or of a list's items, and what stands twice."""
    if not isinstance(value, dict) or not isinstance(node, yaml.MappingNode) or depth > DEEPEST:
        return
    document.lines[id(value)] = node.start_mark.line + 1
    if not _is_list(value):
        if double := twice(node):
            document.doubles[id(value)] = double
        return
    below = [it for key, it in node.value if key.value == "items" and isinstance(it, yaml.SequenceNode)]
    for number, (item, its) in enumerate(zip(value["items"], below[-1].value if below else (), strict=False)):
        document.spots[id(value["items"]), number] = its.start_mark.line + 1
        _note(document, its, item, depth + 1)
