"""Who asks: ways to be somebody, one file a kind, found by walking this package.

A file of identities is read into Specs here; stage.py turns them into columns of the matrix on a cluster. A new kind is
one new module with the attributes of `Kind`, and no edit elsewhere.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

import yaml

from conformance.errors import FileError, UsageError
from conformance.files import data
from conformance.yamlfile import Key, Node, choice, each, line, read, table, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from conformance.identities.ground import Ground
    from conformance.model import Access, Expect, Json

PLACEHOLDERS = ("{run}", "{own}", "{other}")
OWN, OTHER, CLUSTER = "own", "other", "cluster"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_BRACED = re.compile(r"\{\w*\}")


class LeftOutError(Exception):
    """This cluster or this mode cannot have such an identity; the message is the reason that the report gives."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What an identity is to be bound to: a role that exists, by name, or one of these rules that the run creates.

    `place` is where: `own`, `other`, a namespace's name, or `cluster` for a ClusterRoleBinding. With `group` the
    subject is that group, of which the identity is a member, and not its user.
    """

    kind: str  # Role or ClusterRole
    role: str
    rules: tuple[Json, ...]
    place: str
    group: str
    line: int


@dataclass(frozen=True, slots=True)
class Spec:
    """An identity as a file describes it. `settings` are its kind's own; they can hold a credential."""

    name: str
    kind: str
    settings: Mapping[str, Any] = field(repr=False)
    bind: tuple[Binding, ...]
    expect: Expect
    file: Path
    line: int

    def filled(self, fill: Callable[[str], str]) -> Spec:
        """Give the same with real names for placeholders."""
        bind = tuple(
            replace(each, role=fill(each.role), rules=_filled(each.rules, fill), group=fill(each.group))
            for each in self.bind
        )
        return replace(self, settings=_filled(self.settings, fill), bind=bind)

    def wrong(self, problem: str, line: int | None = None) -> FileError:
        """Make the error that says what is wrong with this entry."""
        return FileError(self.file, line or self.line, f"identity {self.name}: {problem}")


@dataclass(frozen=True, slots=True)
class Who:
    """Whom we expect the server to see; the server may know of more groups."""

    user: str
    groups: tuple[str, ...] = ()
    groups_known: bool = True


class Kind(Protocol):
    """One way to be somebody: what a module of this package has when it is a kind."""

    NAME: str
    KEYS: Mapping[str, Key]  # beside those that every identity has

    def problem(self, spec: Spec) -> str:
        """Say what is wrong with the settings taken together; empty when nothing is."""

    def hindrance(self, spec: Spec, ground: Ground) -> str:
        """Say why this cluster or mode can't have it; empty when nothing is in the way."""

    def who(self, spec: Spec, ground: Ground) -> Who | None:
        """Say whom the server will see; None when only the server knows."""

    def access(self, spec: Spec, ground: Ground) -> Access:
        """Prepare the credential; what this creates on the cluster, `ground` removes."""


@cache
def kinds() -> Mapping[str, Kind]:
    """Give every kind by its name."""
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    found = [cast("Kind", module) for module in modules if hasattr(module, "NAME") and hasattr(module, "KEYS")]
    by_name = {kind.NAME: kind for kind in found}
    if len(by_name) != len(found):
        raise RuntimeError("two kinds of identity have one name")
    return dict(sorted(by_name.items()))


def default_path(*, elsewhere: bool = False) -> Path:
    """Give the packaged set: for where a run may make what it needs, or `elsewhere`, where it makes nothing."""
    return data("fixtures") / ("identities-elsewhere.yaml" if elsewhere else "identities.yaml")


def load(path: Path) -> tuple[Spec, ...]:
    """Read a file of identities; every mistake is one FileError with line, key and what would be valid."""
    document = read(path)
    _check_placeholders(document)
    specs: tuple[Spec, ...] = document.table({"identities": Key(each(_spec), required=True)})["identities"]
    if not specs:
        raise document.wrong("identities: names nobody")
    first: dict[str, Spec] = {}
    for spec in specs:
        if (earlier := first.setdefault(spec.name, spec)) is not spec:
            raise FileError(path, spec.line, f"the name {spec.name!r} stands in line {earlier.line} already")
    return specs


def select(specs: Sequence[Spec], names: Iterable[str]) -> tuple[Spec, ...]:
    """Keep the identities of these names, all when none is given; a name that nobody has is an error."""
    wanted = tuple(names)
    known = [spec.name for spec in specs]
    for name in wanted:
        if name not in known:
            raise UsageError(f"there is no identity {name!r}; there are {', '.join(known)}")
    return tuple(spec for spec in specs if not wanted or spec.name in wanted)


# --- reading ----------------------------------------------------------------------------------------------------------


def _spec(node: Node) -> Spec:
    pairs = node.pairs()
    common = {
        "name": Key(_name, required=True),
        "kind": Key(choice(*kinds()), required=True),
        "bind": Key(each(_binding), default=()),
        "expect": Key(choice("authenticated", "unauthenticated"), default="authenticated"),
    }
    if "kind" not in pairs:
        raise node.wrong(f"the key 'kind' is missing; valid: {', '.join(kinds())}")
    kind = kinds()[common["kind"].read(pairs["kind"])]
    values = node.table({**common, **kind.KEYS})
    fixed = {key: values.pop(key) for key in common}
    spec = Spec(**fixed, settings={k: v for k, v in values.items() if v is not None}, file=node.file, line=node.line)
    if spec.expect == "unauthenticated" and spec.bind:
        raise pairs["bind"].wrong("who is not authenticated cannot be bound; bind nothing, or drop `expect`")
    for binding in spec.bind:
        groups = spec.settings.get("groups", ())
        if binding.group and binding.group not in groups:
            raise spec.wrong(
                f"bind: it is no member of the group {binding.group!r}; its groups: {', '.join(groups) or 'none'}",
                binding.line,
            )
    if problem := kind.problem(spec):
        raise spec.wrong(problem)
    return spec


def _name(node: Node) -> str:
    value = line(node)
    if not _NAME.fullmatch(value):
        raise node.wrong(f"{value!r} is no name: up to 40 lower case letters, digits and '-' between them")
    return value


def _place(node: Node) -> str:
    value = line(node)
    if not _NAMESPACE.fullmatch(value):
        raise node.wrong(f"{value!r} is no place; valid: own, other, cluster, or the name of a namespace")
    return value


def _binding(node: Node) -> Binding:
    keys = {
        "role": Key(_role),
        "clusterRole": Key(_role),
        "in": Key(_place, default=OWN),
        "group": Key(line, default=""),
    }
    values = node.table(keys)
    named = [key for key in ("role", "clusterRole") if values[key] is not None]
    if len(named) != 1:
        raise node.wrong("has to have one of the keys role, clusterRole")
    role, rules = values[named[0]]
    if named == ["role"]:
        if values["in"] == CLUSTER:
            raise node.wrong("a role is bound in a namespace; `in: cluster` takes a clusterRole")
        if any("nonResourceURLs" in rule for rule in rules):
            raise node.wrong("nonResourceURLs are granted by a clusterRole with `in: cluster` only")
    kind = {"role": "Role", "clusterRole": "ClusterRole"}[named[0]]
    return Binding(kind, role, rules, values["in"], values["group"], node.line)


def _role(node: Node) -> tuple[str, tuple[Json, ...]]:
    if isinstance(node.node, yaml.MappingNode):
        rules = table({"rules": Key(each(_rule), required=True)})(node)["rules"]
        if not rules:
            raise node.wrong("rules: has to hold a rule")
        return "", rules
    return line(node), ()


_RULE = {
    "apiGroups": Key(each(lambda node: "" if node.node.value == "" else line(node))),
    "resources": Key(texts),
    "resourceNames": Key(texts),
    "nonResourceURLs": Key(texts),
    "verbs": Key(texts, required=True),
}


def _rule(node: Node) -> Json:
    rule = {key: value for key, value in node.table(_RULE).items() if value is not None}
    if not rule["verbs"]:
        raise node.wrong('verbs: names nothing; all verbs are "*"')
    if "nonResourceURLs" in rule:
        if len(rule) != len({"verbs", "nonResourceURLs"}):
            raise node.wrong("a rule with nonResourceURLs has verbs and nothing else")
    elif not rule.get("resources") or not rule.get("apiGroups"):
        raise node.wrong('has to name apiGroups (the core group is "") and resources, or nonResourceURLs')
    return rule


def _check_placeholders(document: Node) -> None:
    nodes = [document.node]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.ScalarNode):
            for found in _BRACED.findall(node.value):
                if found not in PLACEHOLDERS:
                    problem = f"unknown placeholder {found}; valid: {', '.join(PLACEHOLDERS)}"
                    raise FileError(document.file, node.start_mark.line + 1, problem)
        elif isinstance(node, yaml.MappingNode):
            nodes.extend(child for pair in node.value for child in pair)
        elif isinstance(node, yaml.SequenceNode):
            nodes.extend(node.value)


def _filled(value: Any, fill: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return fill(value)
    if isinstance(value, tuple):
        return tuple(_filled(item, fill) for item in value)
    if isinstance(value, dict):
        return {fill(key): _filled(item, fill) for key, item in value.items()}
    return value
