"""Waivers: a difference or failure that somebody accepted, with the reason, who answers for it, and until when.

The last day is part of it. An expired waiver waives nothing, one that matches nothing is told, too.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from conformance.yamlfile import Key, date, each, line, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from conformance.model import Json
    from conformance.yamlfile import Node


@dataclass(frozen=True, slots=True)
class Waiver:
    """One waiver; in `id` a `*` stands for any text. `until` is its last day."""

    id: str
    reason: str
    owner: str
    until: dt.date
    file: str
    line: int

    @property
    def place(self) -> str:
        """Where it stands: `waivers.yaml:3`."""
        return f"{self.file}:{self.line}"

    @property
    def sentence(self) -> str:
        """Say it as a report shows it."""
        return f"{self.reason} ({self.owner}, until {self.until})"

    def expired(self, today: dt.date) -> bool:
        """Whether its last day is over."""
        return today > self.until

    def covers(self, name: str) -> bool:
        """Whether it means the difference or failure of this id."""
        return self.id == name or fnmatchcase(name, self.id.replace("[", "[[]"))


class Waivers:
    """The waivers of a file, as they are used up on one day."""

    def __init__(self, waivers: Sequence[Waiver] = (), today: dt.date | None = None) -> None:
        self.all = tuple(waivers)
        self.today = today or dt.datetime.now(dt.UTC).date()
        self._used: set[Waiver] = set()

    def waive(self, name: str) -> Waiver | None:
        """Give the waiver that accepts something, if one does; an expired one accepts nothing, but was not unused.

        A waiver's id may leave out what happened: `v1/pods:get[viewer]` is meant by `cell-failed:v1/pods:get[viewer]`.
        """
        subject = name.partition(":")[2]
        for waiver in self.all:
            if waiver.covers(name) or waiver.covers(subject):
                self._used.add(waiver)
                if not waiver.expired(self.today):
                    return waiver
        return None

    def complaints(self) -> tuple[str, ...]:
        """Say which waivers are expired or were not needed, after everything was looked up."""
        found = []
        for waiver in self.all:
            if waiver.expired(self.today):
                found.append(f"{waiver.place}: the waiver for {waiver.id} expired on {waiver.until}: it waives nothing")
            elif waiver not in self._used:
                found.append(f"{waiver.place}: the waiver for {waiver.id} is not needed: nothing has that id")
        return tuple(found)


def load(path: Path) -> tuple[Waiver, ...]:
    """Read a file; a waiver without reason, owner or end date is a FileError."""
    table = read(path).table({"waivers": Key(each(_waiver), required=True)})
    found: tuple[Waiver, ...] = table["waivers"]
    return found


_TABLE = {
    "id": Key(line, required=True),
    "reason": Key(line, required=True),
    "owner": Key(line, required=True),
    "until": Key(date, required=True),
}


def _waiver(node: Node) -> Waiver:
    values: dict[str, Any] = node.table(_TABLE)
    return Waiver(**values, file=node.file.name, line=node.line)


def dump(waiver: Waiver) -> Json:
    """Give a waiver as a run stores it."""
    return {key: str(getattr(waiver, key)) if key == "until" else getattr(waiver, key) for key in Waiver.__slots__}


def restore(stored: Json) -> Waiver:
    """Read a stored waiver back."""
    return Waiver(**(stored | {"until": dt.date.fromisoformat(stored["until"])}))


def write(entries: Iterable[Waiver]) -> str:
    """Write a file of waivers: one block each, in order of ids, so that a change shows as its own lines."""
    import json  # noqa: PLC0415

    blocks = [
        "# Accepted differences and failures: each with its reason, who answers for it, and its last day.\nwaivers:"
    ]
    for each_one in sorted(entries, key=lambda it: it.id):
        words = [
            f"{key}: {json.dumps(getattr(each_one, key), ensure_ascii=False)}" for key in ("id", "reason", "owner")
        ]
        blocks.append("  - " + "\n    ".join([*words, f"until: {each_one.until}"]))
    return "\n".join(blocks if len(blocks) > 1 else [blocks[0] + " []"]) + "\n"
