"""A risk rule: what is dangerous to hold, said as data, with one example that matches and one that does not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import yaml

from conformance import yamlfile
from conformance.model import Rbac
from conformance.rbac.resolver import SERVICE_ACCOUNT_PREFIX
from conformance.risks.severity import SEVERITIES, Severity
from conformance.yamlfile import Key, Node, choice, each, line, table, text, texts

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Json
    from conformance.rbac.resolver import Subject

SUBJECT_KINDS = ("User", "Group", "ServiceAccount")
LISTS = ("verbs", "groups", "resources", "urls")
CHECKS = (
    "missing-role",
    "unused-role",
    "empty-binding",
    "right-twice",
    "ineffective-rule",
    "default-role-changed",
    "feeds-default-role",
    "foreign-account",
)
_ID = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Rights of which one is enough: a verb on a resource (`PLURAL[.GROUP][/SUBRESOURCE]`) or on a path.

    `names` are the only objects that matter, `namespaces` the only places; both empty where all do. `cluster` says that
    a resource that no server lists is asked for outside of namespaces.
    """

    verbs: tuple[str, ...]
    resources: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    cluster: bool = False


@dataclass(frozen=True, slots=True)
class Subjects:
    """Subjects of a kind whose name, for accounts without their namespace, one of the shell patterns means."""

    kind: str
    names: tuple[str, ...] = ("*",)
    but: tuple[str, ...] = ()

    def means(self, subject: Subject) -> bool:
        """Say whether a binding's subject is meant; a service account may be spelled as a user."""
        kind, name = subject.kind, subject.name
        if kind == "User" and name.startswith(SERVICE_ACCOUNT_PREFIX):
            kind, name = "ServiceAccount", name.rpartition(":")[2]
        if kind != self.kind or any(fnmatchcase(name, pattern) for pattern in self.but):
            return False
        return any(fnmatchcase(name, pattern) for pattern in self.names)


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule looks for. All that is given has to be true of one subject of one binding.

    `any`: one pattern is held; `all`: each is, by the subject's bindings in one place together. `wildcard`: one entry
    of the role's rules has `*` in each of these lists. `roles`: the binding's role. `check`: a check made in code.
    """

    any: tuple[Pattern, ...] = ()
    all: tuple[Pattern, ...] = ()
    wildcard: tuple[str, ...] = ()
    subjects: tuple[Subjects, ...] = ()
    roles: tuple[str, ...] = ()
    but_roles: tuple[str, ...] = ()
    check: str = ""


@dataclass(frozen=True, slots=True)
class Risk:
    """A risk rule. `attacker` says what it lets an attacker do, `fix` what to do about it."""

    id: str
    title: str
    severity: Severity
    attacker: str
    fix: str
    references: tuple[str, ...]
    match: Match
    matches: Rbac
    passes: Rbac
    file: str
    line: int


def read(file: Path, *, quick: bool = False) -> Risk:
    """Read a rule's file. `quick` is for files that are known to be right: the faster parser says less of mistakes."""
    return _risk(yamlfile.read(file, quick=quick))


def parse(file: Path, content: str) -> Risk:
    """Read a rule from what its file held."""
    return _risk(yamlfile.parse(file, content))


def _risk(node: Node) -> Risk:
    return Risk(**node.table(_KEYS), file=str(node.file), line=node.line)


# --- the form ---------------------------------------------------------------------------------------------------------


def _rule_id(node: Node) -> str:
    found = line(node)
    if not _ID.fullmatch(found):
        raise node.wrong(f"{found!r} is no id: capital letters, digits and single hyphens, such as SECRETS-READ")
    return found


def _severity(node: Node) -> Severity:
    severity = choice(*SEVERITIES)
    keys = {"cluster": Key(severity, required=True), "namespace": Key(severity), "named": Key(severity)}
    found = node.table(keys)
    namespace = found["namespace"] or found["cluster"]
    return Severity(found["cluster"], namespace, found["named"] or namespace)


_PATTERN = {
    "verbs": Key(texts, required=True),
    "resources": Key(texts, default=()),
    "paths": Key(texts, default=()),
    "names": Key(texts, default=()),
    "namespaces": Key(texts, default=()),
    "cluster": Key(yamlfile.flag, default=False),
}


def _pattern(node: Node) -> Pattern:
    found = Pattern(**node.table(_PATTERN))
    if bool(found.resources) == bool(found.paths):
        raise node.wrong("needs either resources or paths")
    for resource in found.resources:
        if resource.count("/") > 1 or resource.startswith("/") or resource.endswith("/"):
            raise node.wrong(f"{resource!r} is no resource: write PLURAL[.GROUP][/SUBRESOURCE]")
    for path in found.paths:
        if not path.startswith("/"):
            raise node.wrong(f"{path!r} is no path: it has to begin with /")
    return found


def _subjects(node: Node) -> Subjects:
    keys = {
        "kind": Key(choice(*SUBJECT_KINDS), required=True),
        "names": Key(texts, default=("*",)),
        "but": Key(texts, default=()),
    }
    return Subjects(**node.table(keys))


def _match(node: Node) -> Match:
    keys = {
        "any": Key(each(_pattern), default=()),
        "all": Key(each(_pattern), default=()),
        "wildcard": Key(each(choice(*LISTS)), default=()),
        "subjects": Key(each(_subjects), default=()),
        "roles": Key(texts, default=()),
        "but_roles": Key(texts, default=()),
        "check": Key(choice(*CHECKS), default=""),
    }
    found = Match(**node.table(keys))
    if not any((found.any, found.all, found.wildcard, found.subjects, found.roles, found.check)):
        raise node.wrong(f"looks for nothing; valid keys: {', '.join(keys)}")
    if found.check and found != Match(check=found.check):
        raise node.wrong("check can't be joined with other keys")
    return found


def _document(node: Node) -> Any:
    return yaml.SafeLoader("").construct_document(node.node)


_RULE_LISTS = {key: Key(each(text)) for key in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")}
_SUBJECT = {
    "kind": Key(choice(*SUBJECT_KINDS), required=True),
    "name": Key(line, required=True),
    "namespace": Key(line),
}


def _rules(node: Node) -> list[Json]:
    return [{key: [*held] for key, held in it.table(_RULE_LISTS).items() if held is not None} for it in node.items()]


def _example(node: Node) -> Rbac:
    """Read an example: whole objects, or the rules of a role that is bound to somebody (`in` a namespace, or not)."""
    keys = {
        "objects": Key(each(_object)),
        "rules": Key(_rules),
        "in": Key(line, default=""),
        "subject": Key(table(_SUBJECT), default={"kind": "ServiceAccount", "name": "app", "namespace": "web"}),
    }
    found = node.table(keys)
    if (found["objects"] is None) == (found["rules"] is None):
        raise node.wrong("needs either objects or rules")
    return rbac_of(found["objects"] or _bound(found["rules"], found["in"], found["subject"]))


def _object(node: Node) -> Json:
    found = _document(node)
    kinds = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    if not isinstance(found, dict) or found.get("kind") not in kinds:
        raise node.wrong(f"has to be an object of kind {', '.join(kinds)}")
    if not isinstance(found.get("metadata"), dict) or not isinstance(found["metadata"].get("name"), str):
        raise node.wrong("metadata.name is missing")
    document: Json = found
    return document


def _bound(rules: list[Json], namespace: str, subject: Json) -> tuple[Json, ...]:
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": "example"} | ({"namespace": namespace} if namespace else {})
    subject = {key: value for key, value in subject.items() if value}
    return (
        {"kind": kind, "metadata": metadata, "rules": rules},
        {
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "example"},
            "subjects": [subject],
        },
    )


def rbac_of(objects: tuple[Json, ...], incomplete: tuple[str, ...] = ()) -> Rbac:
    """Sort objects by their kinds."""

    def of(kind: str) -> tuple[Json, ...]:
        return tuple(it for it in objects if it["kind"] == kind)

    return Rbac(of("ClusterRole"), of("ClusterRoleBinding"), of("Role"), of("RoleBinding"), incomplete)


_KEYS = {
    "id": Key(_rule_id, required=True),
    "title": Key(line, required=True),
    "severity": Key(_severity, required=True),
    "attacker": Key(line, required=True),
    "fix": Key(line, required=True),
    "references": Key(texts, default=()),
    "match": Key(_match, required=True),
    "matches": Key(_example, required=True),
    "passes": Key(_example, required=True),
}
