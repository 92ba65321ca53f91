"""Plain YAML documents read quickly: from libyaml's events, without a tree of nodes and a resolver's call for each.

What most manifests never have (anchors, tags, merge keys, keys that are no texts) raises `NotPlainError`, and the
document is read the long way: the outcome is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from yaml import events

if TYPE_CHECKING:
    from collections.abc import Callable

# With these a plain scalar may begin that is no text: numbers, true and false, null, a merge key.
_DOUBTFUL = frozenset("0123456789+-.~nNyYtTfFoO=<")


class NotPlainError(Exception):
    """The document has something in it that is read the long way."""


class Plain:
    """Reads plain documents; `resolve` says the long way what a scalar is, and is asked once for each."""

    def __init__(self, resolve: Callable[[str], Any]) -> None:
        self._resolve = resolve
        self._known: dict[str, Any] = {"": None}
        self._lines: dict[int, int] = {}

    def documents(self, text: str) -> list[tuple[Any, int, dict[int, int]]]:
        """Give each document of a text with its line, and the line of each mapping in it by its `id`."""
        loader = yaml.CSafeLoader(text)
        found = []
        try:
            event = loader.get_event
            event()  # the stream's start
            while type(event()) is events.DocumentStartEvent:
                self._lines = {}
                here: Any = event()
                found.append((self._value(here, event), here.start_mark.line + 1, self._lines))
                event()  # the document's end
        finally:
            loader.dispose()
        return found

    def read(self, text: str) -> Any:
        """Give the value of the one document of a text."""
        loader = yaml.CSafeLoader(text)
        try:
            event = loader.get_event
            event()  # the stream's start
            if type(event()) is not events.DocumentStartEvent:
                return None  # an empty stream
            value = self._value(event(), event)
            event()  # the document's end
            if type(event()) is not events.StreamEndEvent:
                raise NotPlainError
            return value
        finally:
            loader.dispose()

    def _value(self, here: Any, event: Callable[[], Any]) -> Any:
        kind = type(here)
        if kind is events.AliasEvent or here.anchor is not None or here.tag is not None:
            raise NotPlainError
        if kind is events.ScalarEvent:
            return self._scalar(here)
        if kind is events.MappingStartEvent:
            made = self._mapping(event)
            self._lines[id(made)] = here.start_mark.line + 1
            return made
        found = []
        while type(here := event()) is not events.SequenceEndEvent:
            found.append(self._value(here, event))
        return found

    def _mapping(self, event: Callable[[], Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (kind := type(key := event())) is not events.MappingEndEvent:
            if kind is not events.ScalarEvent or key.anchor is not None or key.tag is not None:
                raise NotPlainError
            name = key.value
            if name == "<<" or name in found:
                raise NotPlainError
            if key.implicit[0] and (not name or name[0] in _DOUBTFUL) and self._scalar(key) != name:
                raise NotPlainError
            found[name] = self._value(event(), event)
        return found

    def _scalar(self, here: Any) -> Any:
        text = here.value
        if not here.implicit[0] or (text and text[0] not in _DOUBTFUL):
            return text
        try:
            return self._known[text]
        except KeyError:
            value = self._known[text] = self._resolve(text)
            return value
