"""What a server promises of media types: the same object in each encoding it knows, and a refusal of all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import media
from conformance.checks import MUST, SHOULD, check
from conformance.checks.asking import CONCEPTS, OBJECT, dry_run, get
from conformance.placeholders import ABSENT, ADDRESS, OTHER, OWN, RUN
from conformance.scripts import Ask, NotEvaluated, Reply, at, expect, need

if TYPE_CHECKING:
    from collections.abc import Generator

    from conformance.scripts import Case, Memory, Seen, Steps, Subject

_ENCODINGS = f"{CONCEPTS}#alternate-representations-of-resources"
_PROTOBUF_PAGE = f"{CONCEPTS}#protobuf-encoding"
_NEGOTIATED = "If you request an available media type, the API server returns a response with a suitable Content-Type"
_OK, _CREATED, _NOT_ACCEPTABLE = 200, 201, 406
_TRIES = 8  # at an object that a controller writes, too
# Field numbers of k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto, the same since the first release.
_METADATA, _NAME, _UID = 1, 1, 5
_ITEMS = 2
_WORDS = (RUN, OWN, OTHER, ABSENT, ADDRESS)
# What may change between two readings of one object, by nobody's fault.
_MOVING = ("resourceVersion", "managedFields", "generation")


def _is_built_in(subject: Subject) -> bool:
    return not subject.custom and not subject.aggregated


def _steady(document: Any) -> Any:
    """Give what two readings of one object have in common."""
    if not isinstance(document, dict):
        return document
    metadata = {key: value for key, value in document.get("metadata", {}).items() if key not in _MOVING}
    return {key: value for key, value in document.items() if key != "status"} | {"metadata": metadata}


def _remember(seen: Seen, memory: Memory) -> Any:
    memory["json"] = seen.document
    return {"kind": at(seen.document, "kind")}


def _same(seen: Seen, memory: Memory) -> Any:
    """Compare an object in another encoding with the JSON of it that was read before."""
    content = seen.headers.get("content-type", "")
    told = {"type": media.kind_of(content)}
    if seen.status != _OK:
        return told | {"kind": "", "problem": f"it is answered {seen.status}"}
    try:
        document = media.decode(content, seen.body)
    except media.Unreadable as why:
        return told | {"problem": str(why)}
    # The JSON was seen with placeholders for the run's names: whatever holds them is compared without.
    ours, theirs = _steady(memory["json"]), _steady(document)
    versions = (at(each, "metadata", "resourceVersion") for each in (memory["json"], document))
    moved = len(set(versions)) > 1
    return told | {"kind": at(document, "kind"), "problem": _difference(ours, theirs), "moved": moved}


def _difference(one: Any, other: Any, path: str = "") -> str:
    """Say where two values differ first, without saying how; texts that hold a name of the run are let be."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys() and not any("{run}" in str(key) for key in one):
            return f"other fields in {path or 'it'}"
        found = (_difference(one[key], other[key], f"{path}.{key}".lstrip(".")) for key in one if key in other)
        return next((each for each in found if each), "")
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"another number of entries in {path}"
        found = (_difference(left, right, f"{path}[]") for left, right in zip(one, other, strict=True))
        return next((each for each in found if each), "")
    if isinstance(one, str) and any(word in one for word in _WORDS):
        return "" if isinstance(other, str) else f"another type in {path}"
    return "" if one == other and type(one) is type(other) else f"another value in {path}"


def _compared(case: Case, accept: str) -> Generator[Ask | tuple[Ask, ...], Any, Reply]:
    made: Reply = yield from case.created("a")
    name = case.name_of(made.body)
    for _ in range(_TRIES):
        plain: Reply = yield get(case, name, read=_remember)
        need(plain.status == _OK, f"the object is answered {plain.status}")
        reply: Reply = yield get(case, name, headers=(("Accept", accept),), read=_same)
        if not reply.get("moved"):
            return reply  # else a controller wrote in between: two states of it need not be the same
    raise NotEvaluated(f"a controller wrote to it between two reads, {_TRIES} times")


@check(
    "MEDIA-JSON",
    MUST,
    "JSON is served by default: without an Accept header, for any, and as the second choice",
    url=_ENCODINGS,
    quote="By default, Kubernetes returns objects in JSON serialization, using the application/json media type.",
    on="resource",
    verbs=("list",),
)
def json_by_default(case: Case) -> Steps:
    """Ask as clients do that do not care."""
    for accept in ("*/*", "application/xml, application/json;q=0.5"):
        headers = (("Accept", accept),)
        reply: Reply = yield Ask("GET", case.collection(), (("limit", "1"),), headers=headers, read=_of_kind)
        expect(reply.status == _OK, f"Accept: {accept} is answered {reply.status}")
        expect(reply.get("type") == media.JSON, f"Accept: {accept} brings {reply.get('type') or 'no type'}")
        expect(reply.get("kind") == f"{case.resource.kind}List", f"Accept: {accept} brings a {reply.get('kind')}")


def _of_kind(seen: Seen, _: Memory) -> Any:
    return {"type": media.kind_of(seen.headers.get("content-type", "")), "kind": at(seen.document, "kind")}


@check(
    "MEDIA-YAML",
    MUST,
    "An object as YAML is the same object",
    url=f"{CONCEPTS}#yaml-encoding",
    quote="Kubernetes also supports the application/yaml media type for both requests and responses.",
    on="resource",
    verbs=OBJECT,
    mode="full",
    needs=("object",),
)
def yaml_object(case: Case) -> Steps:
    """Read an object twice."""
    reply: Reply = yield from _compared(case, media.YAML)
    expect(reply.status == _OK, f"it is answered {reply.status}")
    expect(reply.get("type") == media.YAML, f"its type is {reply.get('type') or 'missing'}")
    expect(not reply.get("problem"), f"YAML and JSON differ: {reply.get('problem')}")


@check(
    "MEDIA-YAML-WRITE",
    MUST,
    "An object can be created from YAML",
    url=f"{CONCEPTS}#yaml-encoding",
    quote="Kubernetes also supports the application/yaml media type for both requests and responses.",
    on="resource",
    verbs=OBJECT,
    mode="dry-run",
    needs=("object",),
)
def yaml_write(case: Case) -> Steps:
    """Send the object in block style."""
    yield from case.needed()
    body = media.written_as_yaml(case.object("a"))
    reply: Reply = yield dry_run(case, body, headers=(("Content-Type", media.YAML),))
    expect(reply.status == _CREATED, f"it is answered {reply.said()}")
    expect(reply.get("kind") == case.resource.kind, f"the answer is a {reply.get('kind')}")


def _envelope(seen: Seen, _: Memory) -> Any:
    """Look into the envelope, and in it at the one name and uid, or at the number of items."""
    told: dict[str, Any] = {"type": media.kind_of(seen.headers.get("content-type", ""))}
    if seen.status != _OK:
        return told
    try:
        read = media.envelope(seen.body)
        told |= {"apiVersion": read.api_version, "kind": read.kind, "encoding": read.content_encoding}
        if read.kind.endswith("List"):
            told["items"] = len(media.texts_of(read.raw, _ITEMS))
            told["names"] = [text.decode() for text in media.texts_of(read.raw, _ITEMS, _METADATA, _NAME)]
        else:
            told["name"] = b"".join(media.texts_of(read.raw, _METADATA, _NAME)).decode()
            told["uid"] = b"".join(media.texts_of(read.raw, _METADATA, _UID)).decode()
    except (media.Unreadable, UnicodeDecodeError) as why:
        told["problem"] = str(why)
    return told


_AS_PROTOBUF = (("Accept", media.PROTOBUF),)


@check(
    "MEDIA-PROTOBUF",
    MUST,
    "An object as protobuf is framed as documented, says its type, and is the same object",
    url=_PROTOBUF_PAGE,
    quote="Kubernetes uses an envelope wrapper to encode Protobuf responses. That wrapper starts with a 4 byte magic"
    " number",
    on="resource",
    verbs=OBJECT,
    applies=_is_built_in,
    mode="full",
    needs=("object",),
)
def protobuf_object(case: Case) -> Steps:
    """Read an object in its envelope."""
    made: Reply = yield from case.created("a")
    reply: Reply = yield get(case, case.name_of(made.body), headers=_AS_PROTOBUF, read=_envelope)
    expect(reply.status == _OK, f"it is answered {reply.status}")
    expect(reply.get("type") == media.PROTOBUF, f"its type is {reply.get('type') or 'missing'}")
    expect(not reply.get("problem"), str(reply.get("problem")))
    said = (reply.get("apiVersion"), reply.get("kind"))
    expect(said == (made.get("apiVersion"), made.get("kind")), f"the envelope says {said[0]} {said[1]}")
    expect(reply.get("name") == made.get("metadata", "name"), "it holds an object of another name")
    expect(reply.get("uid") == made.get("metadata", "uid"), "it holds an object of another uid")


@check(
    "MEDIA-PROTOBUF-LIST",
    MUST,
    "A list as protobuf holds the same objects",
    url=_PROTOBUF_PAGE,
    quote="raw will hold the complete serialized object in protobuf.",
    on="resource",
    verbs=("create", "delete", "list"),
    applies=_is_built_in,
    mode="full",
    needs=("object",),
)
def protobuf_list(case: Case) -> Steps:
    """List the script's own object in an envelope."""
    made: Reply = yield from case.created("a")
    asked = Ask("GET", case.collection(), (case.selector,), headers=_AS_PROTOBUF, read=_envelope)
    reply: Reply = yield asked
    expect(reply.status == _OK, f"it is answered {reply.status}")
    expect(not reply.get("problem"), str(reply.get("problem")))
    expect(reply.get("kind") == f"{case.resource.kind}List", f"the envelope says {reply.get('kind')}")
    expect(reply.get("items") == 1, f"it holds {reply.get('items')} objects, and one was selected")
    expect(reply.get("names") == [made.get("metadata", "name")], "it holds an object of another name")


@check(
    "MEDIA-PROTOBUF-CUSTOM",
    SHOULD,
    "Custom resources have no protobuf: it is a 406, and JSON where that is accepted, too",
    url=_PROTOBUF_PAGE,
    quote="Protobuf isn't available for resources that are defined as CustomResourceDefinitions",
    on="resource",
    verbs=("list",),
    applies=lambda subject: subject.custom,
)
def protobuf_custom(case: Case) -> Steps:
    """Ask for protobuf alone, and with a second choice."""
    query = (("limit", "1"),)
    alone: Reply = yield Ask("GET", case.collection(), query, headers=_AS_PROTOBUF, read=_of_kind)
    expect(alone.status == _NOT_ACCEPTABLE, f"it is answered {alone.status}")
    either = (("Accept", f"{media.PROTOBUF}, {media.JSON}"),)
    both: Reply = yield Ask("GET", case.collection(), query, headers=either, read=_of_kind)
    expect(both.status == _OK and both.get("type") == media.JSON, f"with JSON beside it {both.status} comes")


@check(
    "MEDIA-CBOR",
    MUST,
    "An object as CBOR, where that is served, is the same object",
    url=f"{CONCEPTS}#cbor-encoding",
    quote="request and response bodies for all built-in resource types and all resources defined by a"
    " CustomResourceDefinition may be encoded to the CBOR binary data format",
    on="resource",
    verbs=OBJECT,
    mode="full",
    needs=("object", "cbor"),
)
def cbor_object(case: Case) -> Steps:
    """Read an object twice."""
    reply: Reply = yield from _compared(case, media.CBOR)
    expect(reply.status == _OK, f"it is answered {reply.status}")
    expect(reply.get("type") == media.CBOR, f"its type is {reply.get('type') or 'missing'}")
    expect(not reply.get("problem"), f"CBOR and JSON differ: {reply.get('problem')}")


@check(
    "MEDIA-NOT-ACCEPTABLE",
    MUST,
    "A media type that a server does not have is a 406 Status NotAcceptable",
    url=_ENCODINGS,
    quote="if none of the media types you request are supported, the API server returns a 406 Not acceptable error"
    " message.",
    on="resource",
    verbs=("list",),
)
def not_acceptable(case: Case) -> Steps:
    """Ask for what no API server has."""
    for accept in ("text/html", "application/json;as=Nothing;g=meta.k8s.io;v=v1"):
        headers = (("Accept", accept),)
        reply: Reply = yield Ask("GET", case.collection(), (("limit", "1"),), headers=headers)
        expect(reply.status == _NOT_ACCEPTABLE, f"Accept: {accept} is answered {reply.said()}")
        expect(reply.get("kind") == "Status" and reply.reason == "NotAcceptable", "it is no Status NotAcceptable")


@check(
    "MEDIA-TABLE-GET",
    MUST,
    "An object as a Table is one row, of that object",
    url=f"{CONCEPTS}#receiving-resources-as-tables",
    quote="clients may request the Table representation of objects, delegating specific details of printing to the"
    " server",
    on="resource",
    verbs=OBJECT,
    mode="full",
    needs=("object",),
)
def table_get(case: Case) -> Steps:
    """Ask for an object as kubectl prints it."""
    made: Reply = yield from case.created("a")
    headers = (("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1"),)
    reply: Reply = yield get(case, case.name_of(made.body), headers=headers, read=_row)
    expect(reply.status == _OK, f"it is answered {reply.status}")
    expect(reply.get("kind") == "Table", f"it is a {reply.get('kind')}")
    expect(reply.get("rows") == 1, f"it has {reply.get('rows')} rows")
    expect(reply.get("uid") == made.get("metadata", "uid"), "its row is of another object")


def _row(seen: Seen, _: Memory) -> Any:
    rows = at(seen.document, "rows") or []
    return {
        "kind": at(seen.document, "kind"),
        "rows": len(rows),
        "uid": at(rows, 0, "object", "metadata", "uid"),
    }
