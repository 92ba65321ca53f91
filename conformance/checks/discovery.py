"""What discovery promises: it tells of all that is served, twice the same, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, SHOULD, check
from conformance.checks.asking import CONVENTIONS, DEFINITION, OVERVIEW, pause
from conformance.scripts import Ask, NotEvaluated, Reply, at, expect, need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Resource
    from conformance.scripts import Case, Memory, Reading, Seen, Steps

_OK, _NOT_MODIFIED, _NOT_FOUND = 200, 304, 404
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_DISCOVERY = f"{OVERVIEW}#discovery-api"
_OPENAPI = f"{OVERVIEW}#openapi-v3"
_SHOWN = 5
_TRIES = 4  # while somebody registers or removes something
_ACTIONS = {
    "get": {"get"},
    "list": {"get"},
    "watch": {"get"},
    "create": {"post"},
    "update": {"put"},
    "patch": {"patch"},
    "delete": {"delete"},
    "deletecollection": {"delete"},
}
_CONNECT = frozenset({"exec", "attach", "portforward", "proxy"})


def _few(names: Iterator[str] | set[str]) -> list[str]:
    return sorted(names)[:_SHOWN]


# --- two ways, one catalog --------------------------------------------------------------------------------------------


def _flat_v2(document: Any) -> set[str]:
    """Give one line for each resource of aggregated discovery: group version, name, scope, kind and verbs."""
    lines = set()
    for group in at(document, "items") or ():
        for version in at(group, "versions") or ():
            where = f"{at(group, 'metadata', 'name') or ''}/{at(version, 'version')}".removeprefix("/")
            for item in at(version, "resources") or ():
                namespaced = at(item, "scope") == "Namespaced"
                kind = at(item, "responseKind", "kind")
                verbs = ",".join(sorted(at(item, "verbs") or ()))
                lines.add(f"{where} {at(item, 'resource')} {kind} {namespaced} {verbs}")
                for sub in at(item, "subresources") or ():
                    verbs = ",".join(sorted(at(sub, "verbs") or ()))
                    kind = at(sub, "responseKind", "kind")
                    lines.add(f"{where} {at(item, 'resource')}/{at(sub, 'subresource')} {kind} {namespaced} {verbs}")
    return lines


def _remember_v2(where: str) -> Reading:
    def read(seen: Seen, memory: Memory) -> Any:
        memory["v2"] = _flat_v2(seen.document)
        stale = {
            f"{at(group, 'metadata', 'name')}/{at(version, 'version')}"
            for group in at(seen.document, "items") or ()
            for version in at(group, "versions") or ()
            if at(version, "freshness") == "Stale"
        }
        return {"kind": at(seen.document, "kind"), "stale": where in stale}

    return read


def _legacy(where: str) -> Reading:
    def read(seen: Seen, memory: Memory) -> Any:
        known = memory["v2"]
        lines = set()
        for item in at(seen.document, "resources") or ():
            verbs = ",".join(sorted(at(item, "verbs") or ()))
            lines.add(f"{where} {at(item, 'name')} {at(item, 'kind')} {at(item, 'namespaced')} {verbs}")
        mine = {line for line in known if line.startswith(f"{where} ")}
        return {"groupVersion": at(seen.document, "groupVersion"), "differs": _few(lines ^ mine)}

    return read


@check(
    "DISCOVERY-AGREE",
    MUST,
    "Aggregated and unaggregated discovery tell of the same resources, scopes, kinds and verbs",
    url=_DISCOVERY,
    quote="The API is available both aggregated and unaggregated form. The aggregated discovery serves two endpoints"
    " while the unaggregated discovery serves a separate endpoint for each group version.",
    on="group version",
)
def discovery_agree(case: Case) -> Steps:
    """Read the group version both ways."""
    root = "/apis" if case.subject.group else "/api"
    where = case.subject.id
    for attempt in range(_TRIES):
        short: Reply = yield Ask("GET", root, headers=(("Accept", _AGGREGATED),), read=_remember_v2(where))
        if short.status != _OK or short.get("kind") != "APIGroupDiscoveryList":
            return  # this server has the one way only
        if short.get("stale"):
            return
        reply: Reply = yield Ask("GET", f"{root}/{where}", read=_legacy(where))
        expect(reply.status == _OK, f"the document of the group version is answered {reply.status}")
        expect(reply.get("groupVersion") == where, f"its groupVersion is {reply.get('groupVersion')}")
        differs = reply.get("differs")
        if not differs:
            return
        # Somebody registers something now, of which each way learns at its own time.
        expect(attempt < _TRIES - 1, f"they differ in {', '.join(differs)}")
        yield pause(case, attempt + 1)


def _group(seen: Seen, _: Memory) -> Any:
    document = seen.document
    return {
        "kind": at(document, "kind"),
        "name": at(document, "name"),
        "versions": [at(version, "groupVersion") for version in at(document, "versions") or ()],
        "preferred": at(document, "preferredVersion", "groupVersion"),
    }


@check(
    "DISCOVERY-PREFERRED",
    MUST,
    "The preferred version of a group is one of its versions, and the first of them",
    url="https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#APIGroup",
    quote="preferredVersion is the version preferred by the API server",
    on="group version",
    applies=lambda subject: bool(subject.group),
)
def discovery_preferred(case: Case) -> Steps:
    """Read the group."""
    reply: Reply = yield Ask("GET", f"/apis/{case.subject.group}", read=_group)
    expect(reply.status == _OK, f"the group is answered {reply.status}")
    expect(reply.get("kind") == "APIGroup", f"its kind is {reply.get('kind')}")
    expect(reply.get("name") == case.subject.group, f"its name is {reply.get('name')}")
    versions = reply.get("versions") or []
    expect(case.subject.id in versions, "the version is not among its versions")
    expect(reply.get("preferred") in versions, "the preferred version is not among its versions")
    expect(reply.get("preferred") == versions[0], "the preferred version is not its first")


def rank(version: str) -> tuple[int, int, int]:
    """Order versions as Kubernetes does: GA, beta, alpha, each the higher number first."""
    head, _, rest = version.removeprefix("v").partition("beta")
    if rest or version.endswith("beta"):
        return (1, -int(head or 0), -int(rest or 0))
    head, _, rest = version.removeprefix("v").partition("alpha")
    if rest:
        return (2, -int(head or 0), -int(rest or 0))
    return (0, -int(head), 0) if head.isdigit() else (3, 0, 0)


@check(
    "DISCOVERY-PRIORITY",
    SHOULD,
    "The versions of a group stand in the order of their maturity",
    url=f"{DEFINITION}#CustomResourceDefinitionSpec",
    quote="These are sorted first by GA > beta > alpha (where GA is a version with no suffix such as beta or alpha),"
    " and then by comparing major version, then minor version.",
    on="group version",
    applies=lambda subject: bool(subject.group) and not subject.aggregated,
)
def discovery_priority(case: Case) -> Steps:
    """Read the group and sort its versions."""
    reply: Reply = yield Ask("GET", f"/apis/{case.subject.group}", read=_group)
    need(reply.status == _OK, f"the group is answered {reply.status}")
    versions = [str(version).rpartition("/")[2] for version in reply.get("versions") or ()]
    expect(versions == sorted(versions, key=rank), f"they stand as {', '.join(versions)}")


def _names(seen: Seen, _: Memory) -> Any:
    items = [item for item in at(seen.document, "resources") or () if "/" not in str(at(item, "name"))]
    plurals = [str(at(item, "name")) for item in items]
    shorts = [str(short) for item in items for short in at(item, "shortNames") or ()]
    singulars = [str(at(item, "singularName")) for item in items if at(item, "singularName")]
    kinds = [str(at(item, "kind")) for item in items]

    def twice(names: list[str]) -> list[str]:
        return _few({name for name in names if names.count(name) > 1})

    return {
        "plurals": twice(plurals),
        "kinds": twice(kinds),
        "singulars": twice(singulars),
        "shorts": twice(shorts),
        "mixed": _few({short for short in shorts if short in plurals or short in singulars}),
        "cased": _few({name for name in plurals if name != name.lower()}),
    }


@check(
    "DISCOVERY-NAMES",
    MUST,
    "Plurals, singulars, short names and kinds are unique within a group version",
    url=CONVENTIONS,
    quote='each combination of "group" and "resource" must be unique within Kubernetes',
    on="group version",
)
def discovery_names(case: Case) -> Steps:
    """Count the names."""
    root = "/apis" if case.subject.group else "/api"
    reply: Reply = yield Ask("GET", f"{root}/{case.subject.id}", read=_names)
    need(reply.status == _OK, f"the document of the group version is answered {reply.status}")
    for what in ("plurals", "kinds", "singulars", "shorts"):
        expect(not reply.get(what), f"two resources share {', '.join(reply.get(what) or ())}")
    expect(not reply.get("mixed"), f"{', '.join(reply.get('mixed') or ())} is short for one and the name of another")
    expect(not reply.get("cased"), f"{', '.join(reply.get('cased') or ())} is not lower case")


@check(
    "DISCOVERY-ETAG",
    MUST,
    "Aggregated discovery has an ETag, and who has that state already gets 304",
    url=_DISCOVERY,
    quote="The endpoint also supports ETag and protobuf encoding.",
    on="server",
)
def discovery_etag(case: Case) -> Steps:
    """Ask twice, the second time for what is new; of the core group, to which nobody adds anything meanwhile."""
    for attempt in range(2 * _TRIES):
        first: Reply = yield Ask("GET", "/api", headers=(("Accept", _AGGREGATED),), read=_remember_v2(""))
        need(first.get("kind") == "APIGroupDiscoveryList", "this server has no aggregated discovery")
        tag = first.headers.get("etag")
        expect(tag, "it has no ETag")
        headers = (("Accept", _AGGREGATED), ("If-None-Match", str(tag)))
        again: Reply = yield Ask("GET", "/api", headers=headers, read=lambda seen, _: {"bytes": len(seen.body)})
        if again.status == _OK and again.headers.get("etag") != tag:
            yield pause(case, attempt + 1)
            continue  # somebody registered something meanwhile
        expect(again.status == _NOT_MODIFIED, f"asked again it is answered {again.status}")
        expect(again.get("bytes") == 0, "a 304 has a body")
        return
    raise NotEvaluated("somebody registers something again and again")


# --- OpenAPI ----------------------------------------------------------------------------------------------------------


def _index(served: set[str]) -> Reading:
    def read(seen: Seen, _: Memory) -> Any:
        paths = at(seen.document, "paths")
        return {"paths": isinstance(paths, dict), "lacking": _few(served - set(paths or ()))}

    return read


@check(
    "OPENAPI-INDEX",
    MUST,
    "The OpenAPI v3 index has the document of each group version that is served",
    url=_OPENAPI,
    quote="A discovery endpoint /openapi/v3 is provided to see a list of all group/versions available.",
    on="server",
)
def openapi_index(case: Case) -> Steps:
    """Hold the index against the catalog."""
    served = {resource.prefix.strip("/") for resource in case.world.catalog.resources}
    served -= {f"apis/{name}" for name in case.world.catalog.aggregated}
    for attempt in range(_TRIES):
        reply: Reply = yield Ask("GET", "/openapi/v3", read=_index(served))
        expect(reply.status == _OK, f"the index is answered {reply.status}")
        expect(reply.get("paths"), "paths is missing")
        lacking = reply.get("lacking")
        if not lacking:
            return
        expect(attempt < _TRIES - 1, f"it has no document of {', '.join(lacking)}")
        yield pause(case, attempt + 1)


def _address(key: str) -> Reading:
    def read(seen: Seen, _: Memory) -> Any:
        return {"hash": str(at(seen.document, "paths", key, "serverRelativeURL")).partition("hash=")[2]}

    return read


@check(
    "OPENAPI-HASH",
    MUST,
    "A hashed OpenAPI document may be kept for ever, and another hash leads to the right one",
    url=_OPENAPI,
    quote="The relative URLs are pointing to immutable OpenAPI descriptions, in order to improve client-side caching.",
    on="group version",
    applies=lambda subject: not subject.aggregated,
)
def openapi_hash(case: Case) -> Steps:
    """Ask for the document by its hash, and by a wrong one."""
    key = f"apis/{case.subject.id}" if case.subject.group else f"api/{case.subject.version}"
    path = f"/openapi/v3/{key}"
    index: Reply = yield Ask("GET", "/openapi/v3", read=_address(key))
    for attempt in range(_TRIES):
        digest = index.get("hash")
        expect(digest, "the index gives no hash")
        right: Reply = yield Ask("GET", path, (("hash", digest),), read=lambda seen, _: at(seen.document, "openapi"))
        wrong: Reply = yield Ask("GET", path, (("hash", "0" * 16),), read=lambda _seen, _: None)
        index = yield Ask("GET", "/openapi/v3", read=_address(key))
        if index.get("hash") == digest or attempt == _TRIES - 1:
            break  # else somebody has registered something in between
    expect(right.status == _OK, f"by its hash it is answered {right.status}")
    expect(str(right.body).startswith("3."), f"its openapi is {right.body}")
    kept = right.headers.get("cache-control", "")
    expect("immutable" in kept, f"it may not be kept: cache-control is {kept or 'missing'}")
    expect(wrong.status == 301, f"by a wrong hash it is answered {wrong.status}")  # noqa: PLR2004  # Moved Permanently
    expect(digest in wrong.headers.get("location", ""), "it does not lead to the right hash")


def _operations(document: Any) -> set[tuple[str, str]]:
    """Give path and method of each operation of a document, without trailing slashes."""
    return {
        (path.rstrip("/"), method)
        for path, item in (at(document, "paths") or {}).items()
        for method in item
        if method in {"get", "put", "post", "delete", "patch", "head", "options"}
    }


def _wanted(resources: list[Resource]) -> set[tuple[str, str, str]]:
    """Give what OpenAPI has to have for discovery's verbs: path, method, and verb for the note."""
    wanted: set[tuple[str, str, str]] = set()
    for resource in resources:
        base = resource.prefix + ("/namespaces/{namespace}" if resource.namespaced else "")
        item = f"{base}/{resource.name}/{{name}}"
        if resource.subresource:
            item += f"/{resource.subresource}"
        for verb in resource.verbs:
            on_collection = not resource.subresource and verb in {"list", "watch", "create", "deletecollection"}
            path = f"{base}/{resource.name}" if on_collection else item
            methods = {"get", "post"} if resource.subresource in _CONNECT else _ACTIONS.get(verb, set())
            wanted.update((path, method, f"{resource.plural}:{verb}") for method in methods)
    return wanted


def _covered(resources: list[Resource]) -> Reading:
    def read(seen: Seen, _: Memory) -> Any:
        operations = _operations(seen.document)
        wanted = _wanted(resources)
        # Of a connect verb the one method is enough that its HTTP form has.
        connect = {f"{r.plural}:{verb}" for r in resources if r.subresource in _CONNECT for verb in r.verbs}
        missing = {label for path, method, label in wanted if (path, method) not in operations and label not in connect}
        paths = {(path, method) for path, method, _ in wanted}
        extra = {
            f"{method} {path}"
            for path, method in operations
            if (path, method) not in paths and _is_of_resource(path) and not _is_variant(path, method, resources)
        }
        return {"openapi": at(seen.document, "openapi"), "missing": _few(missing), "extra": _few(extra)}

    return read


def _is_of_resource(path: str) -> bool:
    """Whether a path is one of a resource: not discovery's, not a deprecated watch, not below a proxy."""
    parts = path.strip("/").split("/")
    head = 2 if parts[0] == "api" else 3
    return len(parts) > head and "watch" not in parts[head : head + 1] and "{path}" not in parts


def _is_variant(path: str, method: str, resources: list[Resource]) -> bool:
    """Whether an operation is another way to something that discovery lists: across namespaces, or a connection."""
    if method in {"head", "options"}:
        return True
    if any(f"/{name}" in path for name in _CONNECT):
        return True
    across = {f"{r.prefix}/{r.name}" for r in resources if r.namespaced}
    return path in across and method in {"get", "post"}


@check(
    "DISCOVERY-OPENAPI",
    MUST,
    "Each verb that discovery lists has its path and method in OpenAPI v3, and the reverse",
    url=_OPENAPI,
    quote="Kubernetes supports publishing a description of its APIs as OpenAPI v3.",
    on="group version",
    applies=lambda subject: not subject.aggregated,
)
def discovery_openapi(case: Case) -> Steps:
    """Read the document and hold it against the catalog."""
    mine = [it for it in case.world.catalog.resources if it.group_version == case.subject.id]
    key = f"apis/{case.subject.id}" if case.subject.group else f"api/{case.subject.version}"
    for attempt in range(_TRIES):
        reply: Reply = yield Ask("GET", f"/openapi/v3/{key}", read=_covered(mine))
        expect(reply.status == _OK, f"the document is answered {reply.status}")
        missing, extra = reply.get("missing") or (), reply.get("extra") or ()
        if not missing and not extra:
            return
        if attempt < _TRIES - 1:
            yield pause(case, attempt + 1)
    expect(not missing, f"OpenAPI lacks {', '.join(missing)}")
    expect(not extra, f"discovery lacks {', '.join(extra)}")


def _remember_v3(key: str) -> Reading:
    def read(seen: Seen, memory: Memory) -> Any:
        memory.setdefault("v3", {})[key] = _operations(seen.document)
        return at(seen.document, "openapi")

    return read


def _held_against_v2(prefixes: tuple[str, ...]) -> Reading:
    def read(seen: Seen, memory: Memory) -> Any:
        mine = {(path, method) for path, method in _operations(seen.document) if path.startswith(prefixes)}
        every = set().union(*memory["v3"].values())
        theirs = {(path, method) for path, method in every if path.startswith(prefixes)}
        return {
            "swagger": at(seen.document, "swagger"),
            "onlyV2": _few({f"{method} {path}" for path, method in mine - theirs}),
            "onlyV3": _few({f"{method} {path}" for path, method in theirs - mine}),
        }

    return read


@check(
    "OPENAPI-VERSIONS",
    MUST,
    "OpenAPI v2 and v3 describe the same paths and methods",
    url=f"{OVERVIEW}#openapi-interface-definition",
    quote="Kubernetes serves both OpenAPI v2.0 and OpenAPI v3.0.",
    on="server",
)
def openapi_versions(case: Case) -> Steps:
    """Read every document of v3, then the one of v2."""
    local = [it for it in case.world.catalog.resources if it.group_version not in case.world.catalog.aggregated]
    keys = dict.fromkeys(resource.prefix.strip("/") for resource in local)
    prefixes = tuple(f"/{key}/" for key in keys)
    for attempt in range(_TRIES):
        for key in keys:
            reply: Reply = yield Ask("GET", f"/openapi/v3/{key}", read=_remember_v3(key))
            expect(reply.status == _OK, f"the document {key} is answered {reply.status}")
        whole: Reply = yield Ask("GET", "/openapi/v2", read=_held_against_v2(prefixes))
        expect(whole.status == _OK, f"the document of v2 is answered {whole.status}")
        expect(whole.get("swagger") == "2.0", f"its swagger is {whole.get('swagger')}")
        if not whole.get("onlyV2") and not whole.get("onlyV3"):
            return
        if attempt < _TRIES - 1:  # somebody registers something now
            yield pause(case, attempt + 1)
    only = whole.get("onlyV2") or ()
    expect(not only, f"v3 lacks {', '.join(only)}")
    only = whole.get("onlyV3") or ()
    expect(not only, f"v2 lacks {', '.join(only)}")


@check(
    "VERSION-INFO",
    MUST,
    "/version tells major, minor and gitVersion, and they agree",
    url="https://kubernetes.io/releases/version-skew-policy/",
    quote="Kubernetes versions are expressed as x.y.z, where x is the major version, y is the minor version, and z is"
    " the patch version",
    on="server",
)
def version_info(case: Case) -> Steps:
    """Read the version."""
    reply: Reply = yield Ask("GET", "/version", read=lambda seen, _: seen.document)
    expect(reply.status == _OK, f"it is answered {reply.status}")
    for key in ("major", "minor", "gitVersion", "platform", "goVersion"):
        expect(reply.get(key), f"{key} is missing")
    whole = f"v{reply.get('major')}.{str(reply.get('minor')).rstrip('+')}."
    expect(str(reply.get("gitVersion")).startswith(whole), "gitVersion is of another version than major and minor")
    expect(reply.get("gitVersion") == case.world.server_version, "it is another version than the run began with")
