"""Whether an answer is what the server's own OpenAPI v3 documents say that it is.

Every answer of a run passes through `Schemas.problems`: a success is held against the schema that its operation
declares (made strict: an undocumented field is a problem), an error against the shape of a Status. What is found is
said in short sentences without any value of the object, so that equal problems have equal words.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from conformance import media, strict
from conformance.statuses import status_problems
from conformance.words import Words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from conformance.model import Json, Request, Response
    from conformance.openapi import Documents

_GVK = "x-kubernetes-group-version-kind"
_ERRORS, _OK, _REDIRECT = 400, 200, 300
_NO_CONTENT = 204
_METHODS = ("get", "put", "post", "patch", "delete", "options", "head")
_OF_NAMESPACES = frozenset({"status", "finalize"})  # subresources of namespaces themselves
_SHOWN = 5  # problems of one answer that are told
STATUS = ("v1", "Status")
SERVER = "server"
_TRANSFORMED = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(slots=True)
class Tally:
    """How many answers came and how many of them could be validated, what was found, and what that took.

    `answered` counts answers, and `problems` holds what is wrong with any of them, by the subject that was asked for
    (`subject_of`). `micros` are the microseconds of each validation.
    """

    received: int = 0
    validated: int = 0
    answered: dict[str, int] = field(default_factory=dict)
    problems: dict[str, set[str]] = field(default_factory=dict)
    micros: array[float] = field(default_factory=lambda: array("f"))

    def note(self, subject: str, problems: list[str] | None) -> None:
        """Count an answer; None where it could not be validated."""
        self.received += 1
        self.validated += problems is not None
        self.answered[subject] = self.answered.get(subject, 0) + 1
        if problems:
            self.problems.setdefault(subject, set()).update(problems)

    def plain(self, mask: Callable[[str], str]) -> Json:
        """Give what is stored of it, and what one process tells another; `mask` takes the run's own names out."""
        return {
            "received": self.received,
            "validated": self.validated,
            "answered": dict(sorted((mask(subject), count) for subject, count in self.answered.items())),
            "problems": dict(sorted((mask(it), sorted(map(mask, found))) for it, found in self.problems.items())),
        }


def added(one: Json, other: Json) -> Json:
    """Put what two processes tell of their answers together."""
    if not one or not other:
        return one or other
    answered = {
        key: one["answered"].get(key, 0) + other["answered"].get(key, 0)
        for key in {*one["answered"], *other["answered"]}
    }
    problems = {
        key: sorted({*one["problems"].get(key, ()), *other["problems"].get(key, ())})
        for key in {*one["problems"], *other["problems"]}
    }
    return {
        "received": one["received"] + other["received"],
        "validated": one["validated"] + other["validated"],
        "answered": dict(sorted(answered.items())),
        "problems": dict(sorted(problems.items())),
    }


@dataclass(frozen=True, slots=True)
class Operation:
    """What a document says of one method of one path: the name of the schema (empty: a text) and the statuses."""

    schema: str
    statuses: frozenset[int]
    kind: tuple[str, str]  # of the object that it is about, as apiVersion and kind


class Document:
    """One OpenAPI document, compiled schema by schema as they are needed."""

    def __init__(self, document: Json) -> None:
        import jsonschema_rs  # noqa: PLC0415  # only those who have answers need it

        schemas = document.get("components", {}).get("schemas", {})
        self.operations = dict(_operations(document.get("paths", {})))
        self.kinds: dict[tuple[str, str], str] = {}
        self.types: dict[str, tuple[tuple[str, str], ...]] = {}
        for name, schema in schemas.items():
            self.types[name] = types = tuple(_typed(entry) for entry in schema.get(_GVK, ()))
            for each in types:
                self.kinds.setdefault(each, name)
        strict.close(schemas)
        described = {"$schema": strict.DRAFT, "components": {"schemas": schemas}}
        self._registry = jsonschema_rs.Registry([(_URN, described)], draft=jsonschema_rs.Draft4)
        self._make = jsonschema_rs.Draft4Validator
        self._compiled: dict[str, Any] = {}

    def operation(self, templates: tuple[str, ...], method: str) -> Operation | None:
        """Find the operation of a method on the path that one of these templates stands for."""
        found = (self.operations.get((template, method)) for template in templates)
        return next((operation for operation in found if operation is not None), None)

    def validator(self, name: str) -> Any:
        """Give the compiled schema of a name."""
        if name not in self._compiled:
            self._compiled[name] = self._make({"$ref": _ref(name)}, registry=self._registry)
        return self._compiled[name]

    def wrong(self, name: str, value: Any, words: Words) -> list[str]:
        """Say how a value departs from a schema; nothing where it does not."""
        validator = self.validator(name)
        if validator.is_valid(value):
            return []
        return list(dict.fromkeys(words.of(error) for error in validator.iter_errors(value)))


class Schemas:
    """All schemas of a server, and those of what no document describes (fixtures/schemas/meta.yaml)."""

    def __init__(self, documents: Documents) -> None:
        self.tally = Tally()
        self._documents = documents
        self._ready: dict[str, Document | None] = {}
        self._own: Document | None = None

    def problems(self, request: Request, response: Response, lines: list[bytes] | None = None) -> tuple[str, ...]:
        """Say how an answer departs from what is documented; nothing where it does not.

        Of a watch that was followed, `lines` are what it brought.
        """
        begun = time.thread_time()  # what it costs, not what others took meanwhile
        try:
            if lines is not None and response.status == _OK:
                found: list[str] | None = self._events(request.path, lines)
            else:
                found = None if response.cut else self._problems(request, response)
        except media.Unreadable as why:
            found = [str(why)]
        except (TypeError, ValueError):  # of the validator: CBOR and YAML have more than JSON has
            found = ["the body holds what JSON does not have"]
        subject = subject_of(request.path)
        if found:
            found = [f"{request.path}: {each}" if subject == SERVER else each for each in found[:_SHOWN]]
        self.tally.note(subject, found)
        self.tally.micros.append((time.thread_time() - begun) * 1e6)
        return tuple(found or ())

    def _problems(self, request: Request, response: Response) -> list[str]:
        if request.method == "HEAD":
            return []  # whose answer has no body, an error's neither
        key, templates = locate(request.path)
        document = self._document(key)
        if response.status >= _ERRORS:
            return self._error(response, known=document is not None)
        if response.status < _OK or response.status >= _REDIRECT or request.headers_only:
            return []  # an upgrade, a way elsewhere, or headers only: there is no body to look at
        if document is None:
            return []  # a path that no document describes: health, metrics, the documents themselves
        operation = document.operation(templates, request.method.lower())
        if operation is None:
            return self._undescribed(request, response)
        found = []
        if response.status not in operation.statuses:
            found.append(f"{request.method} answers {response.status}, which is not documented")
        if response.status == _NO_CONTENT and not response.body:
            return found
        return found + self._success(document, operation, request, response)

    def _success(self, document: Document, operation: Operation, request: Request, response: Response) -> list[str]:
        content = response.headers.get("content-type", "")
        if not operation.schema and media.kind_of(content) != media.JSON:
            return []  # a text, as documented
        if ("watch", "true") in request.query or ("watch", "1") in request.query:
            return []  # a stream, whose events are looked at one by one
        value = media.decode(content, response.body)
        if not operation.schema:
            return [] if isinstance(value, str) else [f"{_a(value)} where a text is documented"]
        if not isinstance(value, dict):
            return [f"{_a(value)} where an object is documented"]
        accepts = _accepted(request)
        found = list(_negotiated(accepts, content))
        if value.get("kind") in _TRANSFORMED and f"as={value['kind']}" in accepts.replace(" ", ""):
            return found + self._meta(str(value["kind"]), value)
        if media.kind_of(content) == media.PROTOBUF:
            return found + self._typed_only(document, operation, value)
        return found + self._of_kind(document, operation, value, request.method)

    def _of_kind(self, document: Document, operation: Operation, value: Json, method: str) -> list[str]:
        """Hold an object against the declared schema, or, where it is of another kind, against that kind's."""
        typed = (str(value.get("apiVersion", "")), str(value.get("kind", "")))
        declared = document.types.get(operation.schema, ())
        found = []
        if declared and typed not in declared:
            if typed != STATUS and typed not in document.kinds:
                return [f"{method} answers {_type(typed)} where {_type(declared[0])} is documented"]
            found.append(f"{method} answers {_general(typed)} where {_general(declared[0])} is documented")
        if typed == STATUS:
            return found + status_problems(value, None)
        name = operation.schema if not found else document.kinds[typed]
        is_list = typed[1].endswith("List") and "items" in value
        return found + document.wrong(name, value, Words(typed[1].removesuffix("List") if is_list else typed[1]))

    def _typed_only(self, document: Document, operation: Operation, value: Json) -> list[str]:
        typed = (str(value["apiVersion"]), str(value["kind"]))
        declared = document.types.get(operation.schema, ())
        if not declared or typed in declared:
            return []
        return [f"protobuf says {_type(typed)} where {_type(declared[0])} is documented"]

    def _undescribed(self, request: Request, response: Response) -> list[str]:
        """Look at an answer of an operation that the document of its group and version does not have."""
        value = media.decode(response.headers.get("content-type", ""), response.body)
        accepts = _accepted(request).replace(" ", "")
        if isinstance(value, dict) and f"as={value.get('kind')}" in accepts:
            return self._meta(str(value["kind"]), value)
        return [f"{request.method} of this path is not documented"]

    def _error(self, response: Response, *, known: bool) -> list[str]:
        content = response.headers.get("content-type", "")
        if media.kind_of(content) not in {media.JSON, media.YAML, media.CBOR, media.PROTOBUF}:
            # Outside of the groups that are served there are texts.
            return [f"an error of type {media.kind_of(content) or 'none'} instead of a Status"] if known else []
        value = media.decode(content, response.body)
        if media.kind_of(content) == media.PROTOBUF:
            typed = (value["apiVersion"], value["kind"])
            return [] if typed == STATUS else [f"an error is {_type(typed)} instead of a Status"]
        return status_problems(value, response.status)

    def _events(self, path: str, lines: list[bytes]) -> list[str]:
        found: dict[str, None] = {}
        for line in lines:
            found |= dict.fromkeys(self.event_problems(path, media.decode(media.JSON, line)))
        return list(found)

    def event_problems(self, path: str, event: Any) -> tuple[str, ...]:
        """Say what is wrong with one event of a watch of this path."""
        found = self._meta("WatchEvent", event)
        if found:
            return tuple(found)
        value = event["object"]
        if event["type"] == "ERROR":
            return tuple(status_problems(value, None))
        typed = (str(value.get("apiVersion", "")), str(value.get("kind", "")))
        if typed[1] in _TRANSFORMED:
            return tuple(self._meta(typed[1], value))
        key, templates = locate(path)
        document = self._document(key)
        if document is None:
            return ()
        operation = document.operation(templates, "get")
        if operation is not None and operation.kind != typed:
            return (f"an event holds {_type(typed)} where {_type(operation.kind)} is documented",)
        name = document.kinds.get(typed, "")
        if event["type"] == "BOOKMARK" or not name:
            return ()  # of which only the resourceVersion counts
        return tuple(document.wrong(name, value, Words(typed[1]))[:_SHOWN])

    def _meta(self, kind: str, value: Any) -> list[str]:
        if self._own is None:
            self._own = Document({"components": {"schemas": _shipped()}})
        if kind not in self._own.types:
            return [f"{kind} is not known"]
        return self._own.wrong(kind, value, Words(kind, inside=False))

    def _document(self, key: str) -> Document | None:
        if key not in self._ready:
            raw = self._documents.raw(key) if key in self._documents else b""
            self._ready[key] = Document(orjson.loads(raw)) if raw else None
            self._documents.forget(key)
        return self._ready[key]


_URN = "urn:openapi"


def _ref(name: str) -> str:
    return f"{_URN}#/components/schemas/{name.replace('~', '~0').replace('/', '~1')}"


def validity(document: Json, group: str, version: str, kind: str) -> Callable[[Any], bool]:
    """Make the question whether an object is a valid one of this kind."""
    ready = Document(orjson.loads(orjson.dumps(document)))
    name = ready.kinds.get((f"{group}/{version}" if group else version, kind))
    return lambda value: name is not None and bool(ready.validator(name).is_valid(value))


@lru_cache(maxsize=4096)
def locate(path: str) -> tuple[str, tuple[str, ...]]:
    """Say in which document a path is described, and under which templates it may stand there."""
    parts = path.strip("/").split("/")
    length = {"api": 2, "apis": 3}.get(parts[0], len(parts))
    key, rest = "/".join(parts[:length]), parts[length:]
    if not rest or len(parts) < length:
        return key, (f"/{key}/", f"/{key}")
    if rest[0] == "namespaces" and len(rest) > 2:  # noqa: PLR2004  # namespaces, its name, and more
        inside = f"/{key}/namespaces/{{namespace}}/{_template(rest[2:])}"
        return key, (inside, f"/{key}/{_template(rest)}")
    return key, (f"/{key}/{_template(rest)}",)


@lru_cache(maxsize=4096)
def subject_of(path: str) -> str:
    """Name what a path is about, as checks name their subjects: `apps/v1/deployments/scale`; else it is the server."""
    parts = path.strip("/").split("/")
    length = {"api": 2, "apis": 3}.get(parts[0], 0)
    rest = parts[length:]
    if not length or not rest:
        return SERVER
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in _OF_NAMESPACES:  # noqa: PLR2004  # what lies in one
        rest = rest[2:]
    return "/".join([*parts[1:length], rest[0], *rest[2:3]])


def _template(parts: list[str]) -> str:
    if len(parts) < 2:  # noqa: PLR2004  # a collection
        return parts[0]
    further = "/{path}" if len(parts) > 3 else ""  # noqa: PLR2004  # what a proxy is asked for
    return "/".join([parts[0], "{name}", *parts[2:3]]) + further


def _operations(paths: Json) -> Any:
    for path, methods in paths.items():
        for method in _METHODS:
            if method not in methods:
                continue
            described = methods[method]
            schema, statuses = "", set()
            for status, answer in described.get("responses", {}).items():
                if not status.startswith("2"):
                    continue
                statuses.add(int(status))
                for content in answer.get("content", {}).values():
                    schema = content.get("schema", {}).get("$ref", "").rpartition("/")[2] or schema
            yield (path, method), Operation(schema, frozenset(statuses), _typed(described.get(_GVK) or {}))


def _typed(entry: Mapping[str, str]) -> tuple[str, str]:
    group, version = entry.get("group", ""), entry.get("version", "")
    return (f"{group}/{version}" if group else version, entry.get("kind", ""))


def _type(typed: tuple[str, str]) -> str:
    return " ".join(part for part in typed if part) or "an object without kind"


def _general(typed: tuple[str, str]) -> str:
    """Say a kind so that it has the same words for every resource: which one it is stands beside it anyway."""
    if typed == STATUS:
        return "a Status"
    return "the list" if typed[1].endswith("List") else "the object"


def _accepted(request: Request) -> str:
    return next((value for name, value in request.headers if name == "Accept"), "")


@lru_cache(maxsize=256)
def _negotiated(accepts: str, content: str) -> tuple[str, ...]:
    """Hold the media type against the one that was asked for, where only one was."""
    asked = {media.kind_of(each) for each in accepts.split(",") if each.strip()}
    got = media.kind_of(content)
    if len(asked) != 1 or got in asked or "*" in accepts:
        return ()
    return (f"answers {got or 'no media type'} where {next(iter(asked))} was asked for",)


def _a(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _shipped() -> dict[str, Json]:
    import yaml  # noqa: PLC0415

    from conformance import files  # noqa: PLC0415

    text = (files.data("fixtures") / "schemas" / "meta.yaml").read_text("utf-8")
    read: dict[str, Json] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # safe
    return read
