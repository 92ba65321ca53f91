"""Manifests as they lie in files: text -> documents with their places, each distinct text parsed once.

YAML is read as a Kubernetes server reads it: no dates, `yes` and `on` are true. What Helm and kustomize put out is one
stream of documents; Helm's `# Source:` comment names the file that a document came from.
"""

from __future__ import annotations

import contextlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from conformance.errors import FileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.model import Json

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_BOUNDARY = re.compile(r"^---(?:[ \t].*)?(?:\n|\Z)", re.MULTILINE)
_SOURCE = re.compile(r"^# Source: (\S.*)$", re.MULTILINE)
_STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class Object:
    """One object and where it stands."""

    file: str
    line: int
    content: Json


def objects(files: Iterable[Path]) -> Iterator[Object]:
    """Give each object of files, of folders (their YAML and JSON files, recursively) and of `-`, standard input."""
    read = _Reader()
    for file in files:
        for path in _expanded(file):
            text = _text(path)
            for line, chunk in _chunks(text):
                source = _SOURCE.search(chunk)
                place = source[1] if source else str(path)
                for content in _opened(read.content(path, line, chunk), path, line):
                    yield Object(place, line, content)


def _expanded(file: Path) -> Iterator[Path]:
    if file == _STDIN or not file.is_dir():
        yield file
    else:
        yield from sorted(path for path in file.rglob("*") if path.suffix in _SUFFIXES and path.is_file())


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if file == _STDIN else file.read_text("utf-8")
    except OSError as problem:
        raise UsageError(f"{file} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise FileError(file, None, "is no UTF-8 text") from None


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Give each document with the line that it begins at; a line of `---` ends one, whatever it is in."""
    if text.lstrip().startswith("{"):
        yield 1, text
        return
    start, line = 0, 1
    for boundary in _BOUNDARY.finditer(text):
        chunk = text[start : boundary.start()]
        if chunk.strip():
            yield line + _leading(chunk), chunk
        line += text.count("\n", start, boundary.end())
        start = boundary.end()
    if text[start:].strip():
        yield line + _leading(text[start:]), text[start:]


def _leading(chunk: str) -> int:
    """Count the lines of comments and nothing before a document's first line."""
    lines = (line.strip() for line in chunk.split("\n"))
    return next((number for number, line in enumerate(lines) if line and not line.startswith("#")), 0)


class _Reader:
    """Parses, and remembers what a text came to: releases of one chart repeat themselves."""

    def __init__(self) -> None:
        import yaml  # noqa: PLC0415  # who gives JSON does not wait for it

        base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._yaml_error = yaml.YAMLError

        class Loader(base):  # type: ignore[misc]
            """A server's YAML: a date is a text."""

        Loader.yaml_implicit_resolvers = {
            letter: [(tag, pattern) for tag, pattern in pairs if not tag.endswith(":timestamp")]
            for letter, pairs in base.yaml_implicit_resolvers.items()
        }
        self._load, self._loader = yaml.load, Loader
        self._plain: Any = None
        if hasattr(yaml, "CSafeLoader"):
            from conformance.quickyaml import Plain  # noqa: PLC0415  # it needs libyaml

            self._plain = Plain(lambda text: yaml.load(text, Loader))  # noqa: S506  # a safe loader's own
        self._known: dict[str, Any] = {}

    def content(self, file: Path, line: int, chunk: str) -> Any:
        """Give the document; a FileError says where a text is none."""
        found = self._known.get(chunk, self)
        if found is self:
            found = self._known[chunk] = self._parsed(file, line, chunk)
        return found

    def _read(self, chunk: str) -> Any:
        if self._plain is not None:
            from conformance.quickyaml import NotPlainError  # noqa: PLC0415

            with contextlib.suppress(NotPlainError):
                return self._plain.read(chunk)
        return self._load(chunk, self._loader)

    def _parsed(self, file: Path, line: int, chunk: str) -> Any:
        if chunk.lstrip().startswith("{"):
            try:
                return orjson.loads(chunk)
            except orjson.JSONDecodeError:
                pass  # it may be YAML's own way to write a mapping
        try:
            return self._read(chunk)
        except self._yaml_error as problem:
            mark = getattr(problem, "problem_mark", None)
            what = getattr(problem, "problem", None) or "it can't be read"
            raise FileError(file, line + (mark.line if mark else 0), f"is no YAML: {what}") from None
        except (ValueError, RecursionError) as problem:
            raise FileError(file, line, f"is no YAML that a person writes: {problem}") from None


def _opened(content: Any, file: Path, line: int) -> Iterator[Json]:
    """Open lists; what is no object is a FileError."""
    if content is None:
        return
    if not isinstance(content, dict):
        raise FileError(file, line, "is no Kubernetes object: it has to be a mapping")
    items = content.get("items")
    if str(content.get("kind", "")).endswith("List") and isinstance(items, list):
        kind, version = str(content["kind"]).removesuffix("List"), content.get("apiVersion")
        typed = {"kind": kind, "apiVersion": version} if kind else {}
        for item in items:
            yield from _opened({**typed, **item} if isinstance(item, dict) else item, file, line)
        return
    yield content
