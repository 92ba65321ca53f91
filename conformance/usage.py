"""What of an API is in use: read from managed fields and audit logs, names of fields and clients and never a value."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from conformance.errors import FileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from conformance.model import Json

# A key of a map that users fill is theirs; a field of the API is spelled like this.
_FIELD = re.compile(r"[a-z][A-Za-z0-9]*\Z")
_THEIRS = frozenset({"data", "binaryData", "stringData", "labels", "annotations", "matchLabels", "nodeSelector"})
_DEEPEST = 24
OWN_AGENT = "kube-conformance/"


def field_paths(managed: Json) -> frozenset[str]:
    """Give the paths (`spec.containers[].image`) that a `fieldsV1` names, but for metadata and what users name."""
    found: set[str] = set()
    for key, below in managed.items():
        if key.startswith("f:") and key != "f:metadata" and isinstance(below, dict):
            _walk(key[2:], below, key[2:], found, 0)
    return frozenset(found)


def _walk(name: str, below: Json, path: str, found: set[str], depth: int) -> None:
    found.add(path)
    if name in _THEIRS or depth > _DEEPEST:
        return
    for key, further in below.items():
        if not isinstance(further, dict):
            continue
        kind, _, word = key.partition(":")
        if kind in {"k", "i", "v"}:
            _walk("", further, f"{path}[]", found, depth + 1)
        elif kind == "f" and _FIELD.match(word):
            _walk(word, further, f"{path}.{word}", found, depth + 1)


class Uses:
    """Which fields of one resource's objects are set, in which version, and by whom."""

    def __init__(self) -> None:
        self.count = 0
        self.writers: dict[str, Counter[str]] = {}
        self.fields: dict[str, Counter[str]] = {}

    def add(self, metadata: Json) -> None:
        """Count one object by its metadata."""
        self.count += 1
        written: dict[str, set[str]] = {}
        for entry in metadata.get("managedFields") or ():
            version, manager = str(entry.get("apiVersion", "")), str(entry.get("manager", ""))
            if manager.startswith("kube-conformance"):
                continue
            self.writers.setdefault(version, Counter())[manager] += 1
            written.setdefault(version, set()).update(field_paths(entry.get("fieldsV1") or {}))
        for version, paths in written.items():
            self.fields.setdefault(version, Counter()).update(paths)

    def plain(self) -> Json:
        """Give it as JSON."""
        return {
            "count": self.count,
            "writers": {version: dict(sorted(found.items())) for version, found in sorted(self.writers.items())},
            "fields": {version: dict(sorted(found.items())) for version, found in sorted(self.fields.items())},
        }


def audited_calls(file: Path) -> list[Json]:
    """Read from an audit log who called which deprecated API: the server itself marks such events.

    One line is one event (JSON); a cut last line, as a rotated log has it, is passed over. Our own calls are left out.
    """
    found: Counter[tuple[str, ...]] = Counter()
    for event in _events(file):
        marks, ref = event.get("annotations") or {}, event.get("objectRef") or {}
        agent = str(event.get("userAgent", ""))
        if marks.get("k8s.io/deprecated") != "true" or agent.startswith(OWN_AGENT):
            continue
        if event.get("stage") not in {"ResponseComplete", "Panic"}:
            continue  # each request once; a watch that still runs has not ended
        user = event.get("impersonatedUser") or event.get("user") or {}
        key = (
            str(user.get("username", "")),
            agent,
            str(event.get("verb", "")),
            str(ref.get("apiGroup", "")),
            str(ref.get("apiVersion", "")),
            str(ref.get("resource", "")),
            str(ref.get("subresource", "")),
            str(marks.get("k8s.io/removed-release", "")),
        )
        found[key] += 1
    names = ("user", "userAgent", "verb", "group", "version", "resource", "subresource", "removedRelease")
    return [dict(zip(names, key, strict=True)) | {"count": count} for key, count in sorted(found.items())]


def _events(file: Path) -> Iterator[Json]:
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if b'"k8s.io/deprecated"' not in line:
                    continue  # most events are not worth being parsed
                try:
                    event: Any = orjson.loads(line)
                except orjson.JSONDecodeError:
                    if line.endswith(b"\n"):
                        raise FileError(file, number, "is no event of an audit log: one JSON object a line") from None
                    continue
                if isinstance(event, dict):
                    yield event
    except OSError as problem:
        raise UsageError(f"{file} cannot be read: {problem.strerror}") from None


def removal(warning: str) -> str:
    """Give the release that a server's warning names as the first without an API: `1.38`, or nothing."""
    found = re.search(r"unavailable in v?(\d+\.\d+)", warning)
    return found[1] if found else ""


def warning_text(header: str) -> str:
    """Give the text of a Warning header (RFC 7234, 5.5): `299 - "text"`."""
    found = re.search(r'"((?:[^"\\]|\\.)*)"', header)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else header


def release(version: str) -> tuple[int, int]:
    """Give major and minor of `v1.37.2`, `1.37`; (0, 0) where it is none."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def versions_in_use(uses: Json, calls: Iterable[Json]) -> dict[tuple[str, str], list[str]]:
    """Say of (group version, plural) by whom it is used, in words: objects written in it, and clients."""
    found: dict[tuple[str, str], list[str]] = {}
    for plural, entry in uses.items():
        name = plural.partition("/")[2]
        for version, managers in entry["writers"].items():
            said = f"{sum(managers.values())} objects of {name} were written in {version} by {', '.join(managers)}"
            found.setdefault((version, name), []).append(said)
    for call in calls:
        version = f"{call['group']}/{call['version']}" if call.get("group") else str(call.get("version", ""))
        name = call["resource"] + (f"/{call['subresource']}" if call.get("subresource") else "")
        if "user" in call:
            said = f"{call['user']} ({call['userAgent']}) called {call['verb']} {call['count']} times"
        else:
            said = "a client called it since the API server started (its metric does not say which)"
        found.setdefault((version, name), []).append(said)
    return found
