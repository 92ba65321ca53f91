"""RBAC objects from files: manifests, or what `kubectl get -o yaml` printed, so that questions need no cluster."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from conformance.errors import FileError, UsageError
from conformance.model import Rbac

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.model import Json

_GROUP = "rbac.authorization.k8s.io"
_KINDS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class Manifests:
    """What files hold of permissions, and the custom resources that they define: (group, plural) -> namespaced.

    `places` tells for each object, by kind, namespace and name, the file and line that it stands in.
    """

    rbac: Rbac
    defined: dict[tuple[str, str], bool] = field(default_factory=dict)
    places: dict[tuple[str, str, str], tuple[Path, int]] = field(default_factory=dict)


def read(files: Iterable[Path], *, namespace: str = "") -> Manifests:
    """Read files, folders (their YAML and JSON files, recursively) and `-` for standard input.

    Objects of other kinds are passed over. `namespace` is that of Roles and RoleBindings that name none. A role that a
    binding refers to and that the files lack may well exist on the cluster: the kinds are `incomplete`, unless the
    files hold the roles that every cluster has and so are a whole cluster's.
    """
    found: dict[str, dict[tuple[str, str], Json]] = {kind: {} for kind in _KINDS}
    defined: dict[tuple[str, str], bool] = {}
    places: dict[tuple[str, str, str], tuple[Path, int]] = {}
    for file, line, item in _objects(files):
        kind, metadata = item.get("kind"), item.get("metadata")
        if kind == "CustomResourceDefinition":
            spec = _mapping(item.get("spec"))
            plural = str(_mapping(spec.get("names")).get("plural", ""))
            defined[str(spec.get("group", "")), plural] = spec.get("scope") != "Cluster"
        if kind not in _KINDS or str(item.get("apiVersion", "")).partition("/")[0] != _GROUP:
            continue
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
            raise FileError(file, line, f"a {kind} without metadata.name")
        place = ""
        if not kind.startswith("Cluster"):
            place = metadata.get("namespace") or namespace
            if not place:
                raise FileError(file, line, f"{kind} {metadata['name']} names no namespace; say which with -n")
        if problem := _wrong(item):
            raise FileError(file, line, f"{kind} {metadata['name']}: {problem}")
        key = place, metadata["name"]
        found[kind][key] = {**item, "metadata": {**metadata, "namespace": place} if place else metadata}
        places[kind, *key] = file, line
    whole = ("", "cluster-admin") in found["ClusterRole"] and ("", "system:basic-user") in found["ClusterRole"]
    ordered = {kind: tuple(item for _, item in sorted(items.items())) for kind, items in found.items()}
    rbac = Rbac(
        cluster_roles=ordered["ClusterRole"],
        cluster_role_bindings=ordered["ClusterRoleBinding"],
        roles=ordered["Role"],
        role_bindings=ordered["RoleBinding"],
        incomplete=() if whole else ("ClusterRoles: only those in the files", "Roles: only those in the files"),
    )
    return Manifests(rbac, defined, places)


def _objects(files: Iterable[Path]) -> Iterator[tuple[Path, int, Json]]:
    """Give each object with its file and line; lists are opened."""
    for file in files:
        if file.is_dir():
            yield from _objects(sorted(path for path in file.rglob("*") if path.suffix in _SUFFIXES and path.is_file()))
            continue
        for node, document in _documents(file, _text(file)):
            line = node.start_mark.line + 1
            if not isinstance(document, dict):
                if document is not None:
                    raise FileError(file, line, "is no Kubernetes object: it has to be a mapping")
                continue
            items = document.get("items")
            if not str(document.get("kind", "")).endswith("List") or not isinstance(items, list):
                yield file, line, document
                continue
            for item, item_line in zip(items, _lines_of_items(node), strict=True):
                if not isinstance(item, dict):
                    raise FileError(file, item_line, "is no Kubernetes object: it has to be a mapping")
                # Items of a typed list say neither kind nor version; the list does.
                kind, version = str(document["kind"]).removesuffix("List"), document.get("apiVersion")
                yield file, item_line, {"kind": kind, "apiVersion": version, **item}


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if file == _STDIN else file.read_text("utf-8")
    except OSError as problem:
        raise UsageError(f"{file} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise FileError(file, None, "is no UTF-8 text") from None


def _documents(file: Path, text: str) -> Iterator[tuple[yaml.Node, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        while loader.check_node():
            node: Any = loader.get_node()
            yield node, loader.construct_document(node)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        what = getattr(problem, "problem", None) or "it can't be read"
        raise FileError(file, mark.line + 1 if mark else None, f"is no YAML: {what}") from None
    finally:
        loader.dispose()


def _lines_of_items(node: yaml.Node) -> list[int]:
    if not isinstance(node, yaml.MappingNode):
        return []
    return [
        item.start_mark.line + 1
        for key, value in node.value
        if key.value == "items" and isinstance(value, yaml.SequenceNode)
        for item in value.value
    ]


def _mapping(value: object) -> Json:
    return value if isinstance(value, dict) else {}


_LISTS = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")


def _wrong(item: Json) -> str:
    """Say what keeps an object from being read, empty when nothing does."""
    if "roleRef" not in item and str(item["kind"]).endswith("Binding"):
        return "roleRef is missing"
    if not isinstance(item.get("roleRef", {}), dict):
        return "roleRef has to be a mapping"
    for key in ("rules", "subjects"):
        entries = item.get(key)
        if not isinstance(entries, list | None) or not all(isinstance(entry, dict) for entry in entries or ()):
            return f"{key} has to be a list of mappings"
    for number, rule in enumerate(item.get("rules") or ()):
        for key in _LISTS:
            words = rule.get(key)
            if not isinstance(words, list | None) or not all(isinstance(word, str) for word in words or ()):
                return f"rules[{number}].{key} has to be a list of texts"
    for number, subject in enumerate(item.get("subjects") or ()):
        if not all(isinstance(subject.get(key) or "", str) for key in ("kind", "name", "namespace")):
            return f"subjects[{number}]: kind, name and namespace have to be texts"
    return ""
