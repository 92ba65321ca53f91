"""What a server serves, as its discovery says: server -> catalog.

Two ways lead there and give equal catalogs: `aggregated` reads two documents (API `apidiscovery.k8s.io`, v2 or v2beta1,
asked for by content negotiation), `legacy` walks every group and version. A group version whose backend does not
answer, or answers with something that is no discovery, is named in `Catalog.unavailable` and hides nothing else.

Names come from whoever serves a group. One that is no segment of a path (`..`, `a/b`, control characters) is not
taken into the catalog, because a request for it would ask something else; it is named as unavailable, too.

Source: k8s.io/api/apidiscovery/v2 and k8s.io/apimachinery/pkg/apis/meta/v1 (APIGroup, APIResource).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from conformance import listing
from conformance.errors import ClusterError
from conformance.model import Catalog, Group, Resource, Unavailable
from conformance.transport import expect_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.model import Json
    from conformance.transport import Client

_LIST = "as=APIGroupDiscoveryList"
_ACCEPT = ",".join(
    (*(f"application/json;g=apidiscovery.k8s.io;v={v};{_LIST}" for v in ("v2", "v2beta1")), "application/json")
)
_NOT_FOUND = 404

# The groups that kube-apiserver itself serves. Where APIServices can't be read, any other group has to be taken for
# somebody else's server, to which a dry run may be no dry run.
_OWN_GROUPS = frozenset({"", "apps", "autoscaling", "batch", "extensions", "policy"}) | {
    f"{name}.k8s.io"
    for name in (
        *("admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization"),
        *("certificates", "coordination", "discovery", "events", "flowcontrol.apiserver", "internal.apiserver"),
        *("networking", "node", "rbac.authorization", "resource", "scheduling", "storage", "storagemigration"),
    )
}


class _MalformedError(ValueError):
    """A document that isn't what its API promises; says which part."""


@dataclass(frozen=True, slots=True)
class _Version:
    """One group version as read: its resources, or why there are none."""

    name: str
    resources: tuple[Resource, ...] = ()
    failure: str = ""
    refused: tuple[str, ...] = ()  # names that are no segment of a path


class _Listed(NamedTuple):
    group: Group
    versions: tuple[_Version, ...]


def discover(client: Client) -> Catalog:
    """Read the catalog the short way, or the long one where the server does not know the short one."""
    found = aggregated(client)
    return legacy(client) if found is None else found


def aggregated(client: Client) -> Catalog | None:
    """Read the catalog from aggregated discovery; None where the server does not offer it."""
    listed: list[_Listed] = []
    for root in ("/api", "/apis"):
        response = client.ask("GET", root, headers={"Accept": _ACCEPT})
        if response.status == _NOT_FOUND:
            continue
        document = expect_json(response, f"GET {root}")
        if _LIST.lower() not in response.headers.get("content-type", "").replace(" ", "").lower():
            return None
        try:
            listed += [_group_v2(item) for item in _dicts(document, "items")]
        except _MalformedError as problem:
            raise ClusterError(f"GET {root}: {problem}") from problem
    return _assemble(client, listed)


def legacy(client: Client) -> Catalog:
    """Read the catalog from the discovery that every server has: one document for each group version."""
    listed: list[_Listed] = []
    for root, read in (("/api", _core_versions), ("/apis", _named_groups)):
        response = client.ask("GET", root)
        if response.status == _NOT_FOUND:
            continue
        try:
            groups = read(expect_json(response, f"GET {root}"))
        except _MalformedError as problem:
            raise ClusterError(f"GET {root}: {problem}") from problem
        listed += [_Listed(group, tuple(_walk(client, group.name, v) for v in group.versions)) for group in groups]
    return _assemble(client, listed)


# --- aggregated discovery ---------------------------------------------------------------------------------------------


def _group_v2(item: Json) -> _Listed:
    group = _text(_dict(item, "metadata"), "name")
    versions = [(_text(version, "version"), version) for version in _dicts(item, "versions")]
    names = tuple(name for name, _ in versions)
    return _Listed(
        Group(group, names, names[0] if names else ""), tuple(_version_v2(group, name, raw) for name, raw in versions)
    )


def _version_v2(group: str, name: str, raw: Json) -> _Version:
    try:
        # What a stale version lists is what its backend served once: nobody vouches for it now.
        if _text(raw, "freshness") == "Stale":
            return _Version(name, failure="stale: its server did not answer the last discovery")
        return _version(group, name, [entry for one in _dicts(raw, "resources") for entry in _entries_v2(one)])
    except _MalformedError as problem:
        return _Version(name, failure=f"malformed discovery: {problem}")


def _entries_v2(raw: Json) -> Iterator[_Entry]:
    name, namespaced = _text(raw, "resource"), _text(raw, "scope") == "Namespaced"
    subresources, verbs = _dicts(raw, "subresources"), _texts(raw, "verbs")
    kind = _dict(raw, "responseKind")
    # A parent without kind and verbs is there only to carry subresources (pods of metrics adapters, for one).
    if verbs or not subresources or _text(kind, "kind"):
        yield _Entry(
            *(name, "", namespaced, verbs, _text(kind, "group"), _text(kind, "version"), _text(kind, "kind")),
            _text(raw, "singularResource"),
            _texts(raw, "shortNames"),
            _texts(raw, "categories"),
        )
    for sub in subresources:
        kind = _dict(sub, "responseKind")
        identity = _text(kind, "group"), _text(kind, "version"), _text(kind, "kind")
        yield _Entry(name, _text(sub, "subresource") or "/", namespaced, _texts(sub, "verbs"), *identity)


# --- legacy discovery -------------------------------------------------------------------------------------------------


def _core_versions(document: Any) -> list[Group]:
    versions = _texts(document, "versions")
    return [Group("", versions, versions[0] if versions else "")]


def _named_groups(document: Any) -> list[Group]:
    found = []
    for group in _dicts(document, "groups"):
        versions = tuple(_text(version, "version") for version in _dicts(group, "versions"))
        preferred = _text(_dict(group, "preferredVersion"), "version")
        found.append(Group(_text(group, "name"), versions, preferred or (versions[0] if versions else "")))
    return found


def _walk(client: Client, group: str, version: str) -> _Version:
    if not _is_group_version(group, version):
        return _Version(version)  # nothing to ask; _assemble refuses it by name
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        return _version(group, version, [_entry_v1(raw) for raw in _dicts(client.get_json(path), "resources")])
    except ClusterError as problem:
        return _Version(version, failure=str(problem))
    except _MalformedError as problem:
        return _Version(version, failure=f"malformed discovery: {problem}")


def _entry_v1(raw: Json) -> _Entry:
    name, slash, subresource = _text(raw, "name").partition("/")
    namespaced = raw.get("namespaced", False)
    if not isinstance(namespaced, bool):
        raise _MalformedError("`namespaced` is neither true nor false")
    kind = _text(raw, "group"), _text(raw, "version"), _text(raw, "kind")
    if slash:
        return _Entry(name, subresource or "/", namespaced, _texts(raw, "verbs"), *kind)
    return _Entry(
        *(name, "", namespaced, _texts(raw, "verbs"), *kind),
        *(_text(raw, "singularName"), _texts(raw, "shortNames"), _texts(raw, "categories")),
    )


# --- both -------------------------------------------------------------------------------------------------------------


class _Entry(NamedTuple):
    """One line of a discovery document, of either way. Subresources have no names beside their own."""

    name: str
    subresource: str
    namespaced: bool
    verbs: tuple[str, ...]
    kind_group: str
    kind_version: str
    kind: str
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


def _version(group: str, version: str, entries: Iterable[_Entry]) -> _Version:
    """Make the resources of a group version: sorted by name; of one that is listed twice the verbs are joined."""
    found: dict[tuple[str, str], Resource] = {}
    refused = []
    for e in entries:
        plural = f"{e.name}/{e.subresource}" if e.subresource else e.name
        if not (_is_segment(e.name) and (not e.subresource or all(map(_is_segment, e.subresource.split("/"))))):
            refused.append(plural)
            continue
        refused += [f"{plural}:{verb}" for verb in e.verbs if not _is_segment(verb)]
        earlier = found.get((e.name, e.subresource))
        verbs = {verb for verb in e.verbs if _is_segment(verb)} | set(earlier.verbs if earlier else ())
        found[e.name, e.subresource] = (
            replace(earlier, verbs=tuple(sorted(verbs)))
            if earlier
            else Resource(
                group=group,
                version=version,
                name=e.name,
                subresource=e.subresource,
                kind=e.kind,
                # An empty group or version of a kind stands for that of the list (APIResource.group, .version).
                kind_group=e.kind_group or group,
                kind_version=e.kind_version or version,
                namespaced=e.namespaced,
                verbs=tuple(sorted(verbs)),
                singular=e.singular,
                short_names=e.short_names,
                categories=e.categories,
            )
        )
    return _Version(version, tuple(found[key] for key in sorted(found)), refused=tuple(refused))


def _assemble(client: Client, listed: Iterable[_Listed]) -> Catalog:
    groups: dict[str, Group] = {}
    resources: list[Resource] = []
    unavailable: list[Unavailable] = []
    foreign, down, note = _api_services(client)
    read: set[str] = set()
    for group, versions in listed:
        usable = list(groups[group.name].versions) if group.name in groups else []
        for version in versions:
            name = f"{group.name}/{version.name}" if group.name else version.name
            if not _is_group_version(group.name, version.name):
                unavailable.append(Unavailable(name, "this is no name of a group and version"))
            elif version.name in usable:
                unavailable.append(Unavailable(name, "listed again: only what the first entry says was taken"))
            else:
                usable.append(version.name)
                if version.failure:
                    unavailable.append(Unavailable(name, down.pop(name, version.failure)))
                    continue
                read.add(name)
                resources += version.resources
                unavailable += [Unavailable(name, f"the name {bad!r} can't be asked for") for bad in version.refused]
        if usable:
            preferred = group.preferred if group.preferred in usable else usable[0]
            groups[group.name] = Group(group.name, tuple(usable), preferred)
    if not read:
        first = f"{unavailable[0].group_version}: {unavailable[0].reason}" if unavailable else "there is none"
        raise ClusterError(f"discovery: no group version could be read; {first}")
    unavailable += [Unavailable(name, down[name]) for name in sorted(down) if name not in read]
    if foreign is None:
        foreign = frozenset(r.group_version for r in resources if r.group not in _OWN_GROUPS)
    return Catalog(
        groups=tuple(groups.values()),
        resources=tuple(resources),
        unavailable=tuple(unavailable),
        aggregated=foreign & read,
        notes=(note,) if note else (),
    )


def _api_services(client: Client) -> tuple[frozenset[str] | None, dict[str, str], str]:
    """Ask which group versions other servers answer for (None: can't be read), which of those are down, and why."""
    foreign, down = set(), {}
    try:
        for service in listing.items(client, "/apis/apiregistration.k8s.io/v1/apiservices"):
            spec = _dict(service, "spec")
            if not _dict(spec, "service"):
                continue
            name = f"{_text(spec, 'group')}/{_text(spec, 'version')}".removeprefix("/")
            foreign.add(name)
            for condition in _dicts(_dict(service, "status"), "conditions"):
                if _text(condition, "type") == "Available" and _text(condition, "status") != "True":
                    down[name] = f"{_text(condition, 'reason')}: {_text(condition, 'message')}"
    except (ClusterError, _MalformedError) as problem:
        note = "APIServices could not be read, so each group that is not Kubernetes' own counts as another server's"
        return None, {}, f"{note} ({problem})"
    return frozenset(foreign), down, ""


def _is_group_version(group: str, version: str) -> bool:
    return (not group or _is_segment(group)) and _is_segment(version)


def _is_segment(text: str) -> bool:
    """Tell whether a name stays one segment of a path when it is asked for (upstream: IsValidPathSegmentName)."""
    return text not in {"", ".", ".."} and text.isprintable() and not any(letter in text for letter in "/%")


def _dict(document: Any, key: str) -> Json:
    value = _field(document, key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _MalformedError(f"`{key}` is no object")
    return value


def _dicts(document: Any, key: str) -> list[Json]:
    value = _field(document, key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _MalformedError(f"`{key}` is no list of objects")
    return value


def _text(document: Any, key: str) -> str:
    value = _field(document, key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _MalformedError(f"`{key}` is no string")
    return value


def _texts(document: Any, key: str) -> tuple[str, ...]:
    value = _field(document, key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _MalformedError(f"`{key}` is no list of strings")
    return tuple(value)


def _field(document: Any, key: str) -> Any:
    if not isinstance(document, dict):
        raise _MalformedError("the document is no object")
    return document.get(key)
