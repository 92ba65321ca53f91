"""What the user's policy expects: lines that say who must, or must not, be allowed what, each with its reason.

A file of them is read here; `judging` holds each line against what a run, a cluster or manifests allow, and `initial`
writes a first file from what is allowed now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from conformance.yamlfile import Key, Node, each, line, read, texts

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Json

CHECK = "EXPECTATION"  # the id under which they stand among the checks
KINDS = ("User", "Group", "ServiceAccount")


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line: each of `who` may (or may not) do each of `verbs` on each of `resources`, or on each of `paths`.

    In all but `verbs` a `*` stands for any text; the verb `*` for every verb. `names` are those of objects, empty for
    an object of no certain name; `namespaces` empty for everywhere.
    """

    allow: bool
    who: tuple[str, ...]
    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    names: tuple[str, ...]
    namespaces: tuple[str, ...]
    paths: tuple[str, ...]
    reason: str
    file: str
    line: int

    @property
    def id(self) -> str:
        """Where it stands, which names it: `expectations.yaml:12`."""
        return f"{self.file}:{self.line}"

    @property
    def title(self) -> str:
        """Say it in a sentence."""
        who, what = ", ".join(self.who), ", ".join((*self.resources, *self.paths))
        names = f" named {', '.join(self.names)}" if self.names else ""
        where = f" in {', '.join(self.namespaces)}" if self.namespaces else ""
        return f"{who} {'may' if self.allow else 'may not'} {', '.join(self.verbs)} {what}{names}{where}"


def load(path: Path) -> tuple[Expectation, ...]:
    """Read a file; every mistake is one FileError with line, key and what would be valid."""
    document = read(path)
    found: tuple[Expectation, ...] = document.table({"expectations": Key(each(_expectation), required=True)})[
        "expectations"
    ]
    if not found:
        raise document.wrong("expectations: expects nothing")
    return found


def dump(expectation: Expectation) -> Json:
    """Give a line as a run stores it."""
    return {key: getattr(expectation, key) for key in Expectation.__slots__}


def restore(stored: Json) -> Expectation:
    """Read a stored line back."""
    values: dict[str, Any] = {key: tuple(it) if isinstance(it, list) else it for key, it in stored.items()}
    return Expectation(**values)


def _expectation(node: Node) -> Expectation:  # noqa: C901  # a line for each mistake
    values: dict[str, Any] = node.table(_TABLE)
    pairs = node.pairs()
    if (values["allow"] is None) == (values["deny"] is None):
        raise node.wrong("has to have one of the keys allow, deny; it names identities or subjects")
    who = values["allow"] or values["deny"]
    if bool(values["resources"]) == bool(values["paths"]):
        raise node.wrong("has to have one of the keys resources, paths")
    for key in ("names", "namespaces"):
        if values["paths"] and values[key]:
            raise pairs[key].wrong("paths have neither names nor namespaces")
    for path in values["paths"]:
        if not path.startswith("/"):
            raise pairs["paths"].wrong(f"{path!r} is no path: it begins with '/'")
    for resource in values["resources"]:
        if resource.startswith("/") or resource.count("/") > 1:
            raise pairs["resources"].wrong(f"{resource!r} is no resource: write PLURAL[.GROUP][/SUBRESOURCE]")
    for name in who:
        kind, space, _ = name.partition(" ")
        if space and kind not in KINDS:
            key = "allow" if values["allow"] else "deny"
            raise pairs[key].wrong(f"{name!r} is nobody: an identity's name, or one of {', '.join(KINDS)} and its name")
    return Expectation(
        allow=values["allow"] is not None,
        who=who,
        verbs=values["verbs"],
        resources=values["resources"],
        names=values["names"],
        namespaces=values["namespaces"],
        paths=values["paths"],
        reason=values["reason"],
        file=node.file.name,
        line=node.line,
    )


def _some(node: Node) -> tuple[str, ...]:
    """Read one text, or a list of them that is not empty."""
    if isinstance(node.node, yaml.ScalarNode):
        return (line(node),)
    found: tuple[str, ...] = tuple(texts(node))
    if not found or not all(it.strip() for it in found):
        raise node.wrong("names nothing")
    return found


_TABLE = {
    "allow": Key(_some),
    "deny": Key(_some),
    "verbs": Key(_some, required=True),
    "resources": Key(_some, default=()),
    "names": Key(_some, default=()),
    "namespaces": Key(_some, default=()),
    "paths": Key(_some, default=()),
    "reason": Key(line, required=True),
}
