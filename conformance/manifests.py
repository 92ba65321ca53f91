"""RBAC objects from files: manifests, or what `kubectl get -o yaml` printed, so that questions need no cluster."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.errors import FileError, UsageError
from conformance.manifestfile import items
from conformance.model import Rbac
from conformance.wellformed import mapping, wrong

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.manifestfile import Item
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

    Objects of other kinds are passed over; it is an error when there is none of ours, or one twice that differs.
    `namespace` is that of Roles and RoleBindings that name none. A role that a binding refers to and that the files
    lack may well exist on the cluster: the kinds are `incomplete`, unless the files hold the roles that every cluster
    has and so are a whole cluster's.
    """
    files = tuple(files)
    found: dict[str, dict[tuple[str, str], Json]] = {kind: {} for kind in _KINDS}
    defined: dict[tuple[str, str], bool] = {}
    places: dict[tuple[str, str, str], tuple[Path, int]] = {}
    for file, (item, line, double) in _objects(files):
        kind = item.get("kind")
        if kind == "CustomResourceDefinition":
            spec = mapping(item.get("spec"))
            plural = str(mapping(spec.get("names")).get("plural", ""))
            defined[str(spec.get("group", "")), plural] = spec.get("scope") != "Cluster"
        if kind not in _KINDS or not _is_ours(file, line, item):
            continue
        if double is not None:
            raise FileError(file, double[1], f"a {kind}: the key {double[0]!r} stands twice")
        made = _placed(file, line, item, namespace)
        key = made["metadata"].get("namespace", ""), made["metadata"]["name"]
        if key in found[kind] and _meant(found[kind][key]) != _meant(made):
            name = "/".join(part for part in key if part)
            first, number = places[kind, *key]
            raise FileError(file, line, f"{kind} {name} stands in {first}:{number} too and differs; which is meant?")
        found[kind][key] = made
        places[kind, *key] = file, line
    if not any(found.values()):
        raise UsageError(f"no role or binding stands in {', '.join(map(str, files))}")
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


def _is_ours(file: Path, line: int, item: Json) -> bool:
    """Whether a Role or binding is Kubernetes' own: others (OpenShift's) have kinds of the same names."""
    version = item.get("apiVersion")
    if not version or version == "v1":
        said = f"has the apiVersion {version}" if version else "names no apiVersion"
        raise FileError(file, line, f"a {item['kind']} {said}; {_GROUP}/v1 is wanted")
    return str(version).partition("/")[0] == _GROUP


def _placed(file: Path, line: int, item: Json, namespace: str) -> Json:
    """Give a role or binding with the namespace that it is in; one that no server would take is an error."""
    kind, metadata = item["kind"], item.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise FileError(file, line, f"a {kind} without metadata.name")
    for word in ("name", "namespace"):
        if not isinstance(metadata.get(word) or "", str):
            raise FileError(file, line, f"a {kind}: metadata.{word} has to be a text; put {metadata[word]} in quotes")
    if problem := wrong(item):
        raise FileError(file, line, f"{kind} {metadata['name']}: {problem}")
    if kind.startswith("Cluster"):
        return {**item, "metadata": {key: value for key, value in metadata.items() if key != "namespace"}}
    place = metadata.get("namespace") or namespace
    if not place:
        raise FileError(file, line, f"{kind} {metadata['name']} names no namespace; say which with -n")
    return {**item, "metadata": {**metadata, "namespace": place}}


def _meant(item: Json) -> Json:
    """Give what an object says of rights, without what a server adds to it."""
    labels = mapping(item.get("metadata")).get("labels") or {}
    return {"labels": labels} | {
        key: item.get(key) or None for key in ("rules", "aggregationRule", "subjects", "roleRef")
    }


def _objects(files: Iterable[Path]) -> Iterator[tuple[Path, Item]]:
    """Give each object with its file; lists are opened, those in lists too."""
    for file in files:
        if file.is_dir():
            yield from _objects(sorted(path for path in file.rglob("*") if path.suffix in _SUFFIXES and path.is_file()))
        else:
            yield from ((file, item) for item in items(file, _text(file)))


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if file == _STDIN else file.read_text("utf-8")
    except OSError as problem:
        raise UsageError(f"{file} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise FileError(file, None, "is no UTF-8 text") from None
