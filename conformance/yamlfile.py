"""YAML files that users write: read with the line of each value, so that a mistake is told where it is.

`read` gives the document as a Node. A node is turned into a value by a reader (`text`, `texts`, `flag`, `choice(...)`,
`each(...)`, `table(...)`), and a table's keys are declared as `Key`s; whatever does not fit is one FileError that names
file, line, key and what would be valid.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from conformance.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Reader: TypeAlias = "Callable[[Node], Any]"

_TAG = "tag:yaml.org,2002:"
_DEEPEST = 64  # levels of a tree; an anchor within itself would have no end
_KINDS = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "timestamp": "a date",
    "map": "a mapping",
    "seq": "a list",
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key that a table may have: how its value is read, and whether it has to be there."""

    read: Reader
    required: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a file, not yet read. `place` says where it stands: `identities[2].bind`."""

    file: Path
    place: str
    node: yaml.Node

    @property
    def line(self) -> int:
        """The line that the value begins at, counted from 1."""
        return int(self.node.start_mark.line) + 1

    def wrong(self, problem: str) -> FileError:
        """Make the error that says what is wrong with this value."""
        return FileError(self.file, self.line, f"{self.place}: {problem}" if self.place else problem)

    def found(self) -> str:
        """Say what kind of value this is, in a word or two."""
        tag = self.node.tag or ""
        return _KINDS.get(tag.removeprefix(_TAG), f"a value tagged {tag}") if tag.startswith(_TAG) else f"the tag {tag}"

    def items(self) -> tuple[Node, ...]:
        """Read a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong(f"has to be a list, not {self.found()}")
        return tuple(Node(self.file, f"{self.place}[{i}]", item) for i, item in enumerate(self.node.value, 1))

    def pairs(self) -> dict[str, Node]:
        """Read a mapping with any keys; a key that stands twice is an error."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong(f"has to be a mapping, not {self.found()}")
        pairs: dict[str, Node] = {}
        for key_node, value in self.node.value:
            key = text(Node(self.file, f"{self.place}: a key" if self.place else "a key", key_node))
            if key in pairs:
                raise Node(self.file, self.place, key_node).wrong(f"the key {key!r} stands twice")
            pairs[key] = Node(self.file, f"{self.place}.{key}" if self.place else key, value)
        return pairs

    def table(self, keys: Mapping[str, Key]) -> dict[str, Any]:
        """Read a mapping with these keys and no others; each that is not there has its default."""
        pairs = self.pairs()
        valid = f"valid keys: {', '.join(keys)}"
        for key, value in pairs.items():
            if key not in keys:
                here = f"{self.place}: " if self.place else ""
                raise FileError(self.file, self._line_of(key) or value.line, f"{here}unknown key {key!r}; {valid}")
        for key, declared in keys.items():
            if declared.required and key not in pairs:
                raise self.wrong(f"the key {key!r} is missing; {valid}")
        return {key: declared.read(pairs[key]) if key in pairs else declared.default for key, declared in keys.items()}

    def _line_of(self, key: str) -> int | None:
        for node, _ in self.node.value:
            if node.value == key:
                return int(node.start_mark.line) + 1
        return None


def read(path: Path, *, quick: bool = False) -> Node:
    """Read a file that holds one YAML document; `quick` is for our own files: libyaml says less of what is wrong."""
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is no UTF-8 text"
        raise FileError(path, None, f"cannot be read: {reason}") from None
    return parse(path, content, quick=quick)


def parse(path: Path, content: str, *, quick: bool = False) -> Node:
    """Read what a file held."""
    try:
        # The stubs of PyYAML know no C loader here; both make the same nodes.
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if quick else yaml.SafeLoader
        node = yaml.compose(content, loader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        words = problem.problem or problem.context or "it does not parse"
        raise FileError(path, mark.line + 1 if mark else None, f"no YAML: {words}") from None
    except yaml.reader.ReaderError as problem:
        line = content.count("\n", 0, problem.position) + 1
        raise FileError(path, line, f"no YAML: the character {chr(problem.character)!r} may not occur") from None
    except RecursionError:
        raise FileError(path, None, "no YAML that a person writes: too deeply nested") from None
    if node is None:
        raise FileError(path, None, "is empty")
    return Node(path, "", node)


def text(node: Node) -> str:
    """Read a text. What YAML takes for a number, a date or a truth value has to be quoted."""
    value = _scalar(node, "str", "text")
    if any(ord(letter) < ord(" ") and letter not in "\n\t" for letter in value):
        raise node.wrong("control characters may not occur in it")
    return value


def line(node: Node) -> str:
    """Read a text that is not empty and has no line break."""
    value = text(node)
    if not value.strip() or "\n" in value or "\t" in value:
        raise node.wrong("has to be one line of text that is not empty")
    return value


def flag(node: Node) -> bool:
    """Read true or false."""
    return _scalar(node, "bool", "true or false").lower() in {"true", "yes", "on"}


def plain(node: Node) -> str | float | bool | list[Any]:
    """Read a text, a number, true or false, or a list of such, for somebody who decides later what it has to be."""
    if isinstance(node.node, yaml.SequenceNode):
        return [plain(entry) for entry in node.items()]
    if node.node.tag in {f"{_TAG}int", f"{_TAG}float"}:
        number: float = yaml.safe_load(node.node.value)
        return number
    return flag(node) if node.node.tag == f"{_TAG}bool" else text(node)


def tree(node: Node, depth: int = 0) -> Any:
    """Read whatever JSON has, nested as it may be, as an object of an API is."""
    if depth > _DEEPEST:
        raise node.wrong("is nested too deeply")
    if isinstance(node.node, yaml.MappingNode):
        return {key: tree(value, depth + 1) for key, value in node.pairs().items()}
    if isinstance(node.node, yaml.SequenceNode):
        return [tree(entry, depth + 1) for entry in node.items()]
    return None if node.node.tag == f"{_TAG}null" else plain(node)


def date(node: Node) -> dt.date:
    """Read a day, as 2027-01-31."""
    value = _scalar(node, "timestamp", "a date such as 2027-01-31")
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        raise node.wrong(f"has to be a date such as 2027-01-31, not {value!r}") from None


def choice(*valid: str) -> Reader:
    """Read one of these words."""

    def reader(node: Node) -> str:
        value = text(node)
        if value not in valid:
            raise node.wrong(f"{value!r} is not one of: {', '.join(valid)}")
        return value

    return reader


def each(item: Reader) -> Reader:
    """Read a list of values that one reader reads; gives a tuple."""
    return lambda node: tuple(item(entry) for entry in node.items())


def every(value: Reader) -> Reader:
    """Read a mapping with any keys, its values with one reader; gives a dict."""
    return lambda node: {key: value(entry) for key, entry in node.pairs().items()}


def table(keys: Mapping[str, Key]) -> Reader:
    """Read a mapping with these keys; gives a dict."""
    return lambda node: node.table(keys)


texts = each(line)


def _scalar(node: Node, kind: str, wanted: str) -> str:
    if not isinstance(node.node, yaml.ScalarNode) or node.node.tag != _TAG + kind:
        quoted = "; put it in quotes" if kind == "str" and isinstance(node.node, yaml.ScalarNode) else ""
        raise node.wrong(f"has to be {wanted}, not {node.found()}{quoted}")
    return str(node.node.value)
