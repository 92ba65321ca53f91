"""Known departures of real servers from their own documents (fixtures/known-quirks.yaml): shown, never hidden."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING

from conformance import files, yamlfile
from conformance.yamlfile import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from conformance.yamlfile import Node


@dataclass(frozen=True, slots=True)
class Quirk:
    """One departure: where it is, why, on which versions it was seen, and which violations it explains."""

    id: str
    where: str
    reason: str
    seen: tuple[str, ...]
    checks: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    note: re.Pattern[str] | None = None
    mended: str = ""

    def explains(self, check_id: str, resource: str, note: str, minor: int) -> bool:
        """Say whether it is the reason of a violation on a server of this minor version."""
        if self.mended and minor >= int(self.mended.partition(".")[2]):
            return False
        return (
            self.note is not None
            and any(fnmatchcase(check_id, pattern) for pattern in self.checks)
            and any(fnmatchcase(resource, pattern) for pattern in self.resources)
            and self.note.fullmatch(note) is not None
        )


def known(check_id: str, resource: str, note: str, minor: int) -> Quirk | None:
    """Find the quirk that explains a violation, None where it is one."""
    return next((quirk for quirk in catalogue().values() if quirk.explains(check_id, resource, note, minor)), None)


def split(
    check_id: str, resource: str, problems: Iterable[str], minor: int
) -> tuple[tuple[str, ...], tuple[tuple[Quirk, str], ...]]:
    """Tell violations from what quirks explain, each with its quirk."""
    violations, explained = [], []
    for problem in problems:
        quirk = known(check_id, resource, problem, minor)
        if quirk is None:
            violations.append(problem)
        else:
            explained.append((quirk, problem))
    return tuple(violations), tuple(explained)


@cache
def catalogue() -> Mapping[str, Quirk]:
    """Give all quirks by their ids."""
    return read(files.data("fixtures") / "known-quirks.yaml")


def read(file: Path) -> dict[str, Quirk]:
    """Read a file of quirks."""
    found: dict[str, Quirk] = {}
    for node in yamlfile.read(file).items():
        quirk = Quirk(**node.table(_KEYS))
        if found.setdefault(quirk.id, quirk) is not quirk:
            raise node.wrong(f"the id {quirk.id} stands twice")
        if (quirk.note is None) != (not quirk.checks) or bool(quirk.checks) != bool(quirk.resources):
            raise node.wrong("checks, resources and note go together: give all or none of them")
    return found


def _version(node: Node) -> str:
    text = yamlfile.line(node)
    if not re.fullmatch(r"1\.\d+", text):
        raise node.wrong(f"{text!r} is no version such as 1.37")
    return text


def _pattern(node: Node) -> re.Pattern[str]:
    text = yamlfile.line(node)
    try:
        return re.compile(text)
    except re.error as problem:
        raise node.wrong(f"no regular expression: {problem}") from None


_KEYS: Mapping[str, Key] = {
    "id": Key(yamlfile.line, required=True),
    "where": Key(yamlfile.line, required=True),
    "reason": Key(yamlfile.line, required=True),
    "seen": Key(yamlfile.each(_version), required=True),
    "checks": Key(yamlfile.texts, default=()),
    "resources": Key(yamlfile.texts, default=()),
    "note": Key(_pattern),
    "mended": Key(_version, default=""),
}
