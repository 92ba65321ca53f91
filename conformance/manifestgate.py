"""Manifests held against the version that they are meant for: its served APIs, its schemas (strict), its permissions.

Equal objects are held once. What a file's own CRD defines is not called unknown, and what no server of this version
serves under a group of Kubernetes' own is called gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from conformance.compare import differs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from conformance.model import Difference, Json, Resource
    from conformance.moments import Moment
    from conformance.sources import Object

KIND = "manifest"
_SHOWN = 10
_RBAC = "rbac.authorization.k8s.io"
_KINDS = {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


@dataclass(frozen=True, slots=True)
class Held:
    """What came out: how many objects were looked at, and what is wrong with which."""

    objects: int
    problems: tuple[Difference, ...]


def hold(files: Iterable[Path], target: Moment, *, namespace: str = "default") -> Held:
    """Hold every object of these files against a snapshot of the target."""
    from conformance import sources  # noqa: PLC0415  # its parser is wanted here only

    found = list(sources.objects(files))
    gate = _Gate(target, _defined(found))
    problems = [problem for each in found for problem in gate.problems(each)]
    problems += _permissions(found, target, namespace)
    return Held(len(found), tuple(problems))


class _Gate:
    """What one target says of objects; each distinct object is asked about once."""

    def __init__(self, target: Moment, defined: frozenset[tuple[str, str]]) -> None:
        catalog = target.snapshot.catalog
        self._target, self._defined = target, defined
        self._served = {(it.group_version, it.kind): it for it in catalog.resources if not it.subresource}
        self._groups = {group.name for group in catalog.groups}
        self._documents: dict[str, Any] = {}

    def problems(self, item: Object) -> Iterator[Difference]:
        """Say what is wrong with an object in the target."""
        content = item.content
        version, kind = content.get("apiVersion"), content.get("kind")
        name = _name(content)
        if not isinstance(version, str) or not isinstance(kind, str) or not version or not kind:
            yield _problem("manifest-untyped", item, name, "high", "it has no apiVersion or no kind")
            return
        resource = self._served.get((version, kind))
        if resource is None:
            yield from self._unserved(item, version, kind, name)
            return
        yield from self._of_served(item, resource, name)

    def _of_served(self, item: Object, resource: Resource, name: str) -> Iterator[Difference]:
        version, kind = resource.group_version, resource.kind
        said = (self._target.evidence.get("deprecations") or {}).get(f"{version}/{resource.name}")
        if said:
            yield _problem(
                "manifest-deprecated", item, name, "medium", said["warning"], advice="do as the warning says"
            )
        document = self._document(f"apis/{version}" if "/" in version else f"api/{version}")
        if document is None:
            yield _problem("manifest-unchecked", item, name, "medium", f"there is no schema of {version} to hold it by")
            return
        schema = document.kinds.get((version, kind))
        if schema is not None:
            for words in _wrong(document, schema, item.content)[:_SHOWN]:
                yield _problem("manifest-invalid", item, name, "high", words, advice="write it as the schema wants it")

    def _unserved(self, item: Object, version: str, kind: str, name: str) -> Iterator[Difference]:
        group = version.partition("/")[0] if "/" in version else ""
        if (version, kind) in self._defined:
            return
        others = sorted(known for known, what in self._served if what == kind and _group(known) == group)
        if others:
            yield _problem(
                "manifest-gone",
                item,
                name,
                "critical",
                f"{version} {kind} is not served in {self._target.version}",
                advice=f"write it as {', '.join(others)}",
            )
        elif group in self._groups or group == "" or group.endswith(".k8s.io") or "." not in group:
            title = f"{version} {kind} is not served in {self._target.version}, in no version"
            yield _problem("manifest-gone", item, name, "critical", title, advice="there is nothing to write it as")
        else:
            title = f"{version} {kind} is unknown to the target: no CRD there or in the files defines it"
            yield _problem("manifest-unknown", item, name, "medium", title, advice="install its CRD first")

    def _document(self, key: str) -> Any:
        if key not in self._documents:
            from conformance.schemas import Document  # noqa: PLC0415  # objects that are gone need no schema

            raw = self._target.document(key)
            self._documents[key] = Document(raw) if raw else None
        return self._documents[key]


def _wrong(document: Any, schema: str, content: Json) -> list[str]:
    from conformance.words import Words  # noqa: PLC0415

    found: list[str] = document.wrong(schema, content, Words(str(content["kind"]), inside=False))
    # Tools write it, every server takes it, and no schema describes it.
    return [words for words in found if "creationTimestamp: null" not in words]


def _problem(change: str, item: Object, name: str, severity: str, title: str, *, advice: str = "") -> Difference:
    return differs(
        change,
        f"{item.file}|{name}|{title}",
        KIND,
        severity,
        f"{item.file}:{item.line}: {name}: {title}",
        affected=[f"{item.file}:{item.line}"],
        endpoint=f"{item.file}:{item.line}",
        advice=advice,
    )


def _name(content: Json) -> str:
    metadata = content.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    name = str(metadata.get("name") or metadata.get("generateName") or "without a name")
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{content.get('kind', 'object')} {place}{name}"


def _group(version: str) -> str:
    return version.partition("/")[0] if "/" in version else ""


def _defined(found: Iterable[Object]) -> frozenset[tuple[str, str]]:
    """Give the versions and kinds that CRDs among the files define."""
    names = set()
    for item in found:
        if item.content.get("kind") == "CustomResourceDefinition":
            spec = item.content.get("spec") or {}
            kind = (spec.get("names") or {}).get("kind", "")
            for each in spec.get("versions") or ():
                names.add((f"{spec.get('group', '')}/{each.get('name', '')}", kind))
    return frozenset(names)


# --- permissions ------------------------------------------------------------------------------------------------------


def _permissions(found: Iterable[Object], target: Moment, namespace: str) -> list[Difference]:
    """Say what subjects would gain by the roles and bindings among the files."""
    objects: dict[str, list[Json]] = {}
    for item in found:
        if item.content.get("kind") in _KINDS and str(item.content.get("apiVersion", "")).startswith(f"{_RBAC}/"):
            objects.setdefault(item.content["kind"], []).append(_placed(item.content, namespace))
    if not objects:
        return []
    from conformance.compare import permissions  # noqa: PLC0415  # only files with roles need it
    from conformance.rbac.resolver import aggregated  # noqa: PLC0415

    rbac = target.snapshot.rbac
    wanted = replace(
        rbac,
        cluster_roles=_laid(rbac.cluster_roles, objects.get("ClusterRole", [])),
        cluster_role_bindings=_laid(rbac.cluster_role_bindings, objects.get("ClusterRoleBinding", [])),
        roles=_laid(rbac.roles, objects.get("Role", [])),
        role_bindings=_laid(rbac.role_bindings, objects.get("RoleBinding", [])),
    )
    if any((role["metadata"].get("labels") or role.get("aggregationRule")) for role in objects.get("ClusterRole", [])):
        wanted = aggregated(wanted)
    after = replace(target, snapshot=replace(target.snapshot, rbac=wanted), matrix=None)
    told = permissions.differences(replace(target, matrix=None), after)
    return [it for it in told if it.id.startswith(("permission-gained", "role-widened"))]


def _placed(content: Json, namespace: str) -> Json:
    metadata = content.get("metadata") or {}
    if content["kind"].startswith("Cluster"):
        return {**content, "metadata": metadata}
    return {**content, "metadata": {**metadata, "namespace": metadata.get("namespace") or namespace}}


def _laid(there: Iterable[Json], more: Iterable[Json]) -> tuple[Json, ...]:
    """Lay objects over those that are there, by namespace and name."""
    by_name = {(it["metadata"].get("namespace", ""), it["metadata"].get("name", "")): it for it in (*there, *more)}
    return tuple(by_name[key] for key in sorted(by_name))
