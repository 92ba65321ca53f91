"""What a question's resource means: which group, and whether its objects live in namespaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from conformance.errors import UsageError
from conformance.files import data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.model import Catalog

FILE = "resources.yaml"


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked about: a resource (`namespaced` is None where nobody knows), or a path."""

    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespaced: bool | None = None
    path: str = ""


class Served:
    """Resources by name, those of the core group first, then in the server's order."""

    def __init__(self, resources: Mapping[tuple[str, str], bool]) -> None:
        self._namespaced = dict(resources)
        self._groups: dict[str, list[str]] = {}
        for group, plural in resources:
            groups = self._groups.setdefault(plural, [])
            groups.insert(0 if not group else len(groups), group)

    @property
    def resources(self) -> Mapping[tuple[str, str], bool]:
        """Every (group, plural), and whether its objects live in namespaces."""
        return self._namespaced

    @classmethod
    def of(cls, catalog: Catalog) -> Served:
        """Take what a server serves."""
        listed = {(it.group, it.name): it.namespaced for it in catalog.resources if not it.subresource}
        return cls(listed | {key: scope for key, scope in _built_in().items() if key not in listed})

    @classmethod
    def without_server(cls, defined: Mapping[tuple[str, str], bool]) -> Served:
        """Take what Kubernetes itself serves, and custom resources that are defined in files."""
        return cls({**_built_in(), **defined})

    def target(self, text: str) -> Target:
        """Read `plural[.group][/subresource]` or a path; a plural without a group is that of the first that has it."""
        if text.startswith("/"):
            return Target(path=text)
        name, _, subresource = text.partition("/")
        plural, dot, group = name.partition(".")
        if not plural or "/" in subresource:
            raise UsageError(f"{text!r} is no resource: write PLURAL[.GROUP][/SUBRESOURCE], or a path such as /metrics")
        if not dot:
            group = self._groups.get(plural, [""])[0]
        return Target(group, plural, subresource, self._namespaced.get((group, plural)))


def _built_in() -> dict[tuple[str, str], bool]:
    listed = yaml.safe_load((data("fixtures") / FILE).read_text("utf-8"))
    return {
        (entry["group"], plural): kind == "namespaced"
        for entry in listed
        for kind in ("namespaced", "cluster")
        for plural in entry.get(kind, ())
    }
