"""Answers against the server's schemas, and jsonschema-rs against jsonschema."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import jsonschema
import jsonschema_rs
import orjson
import pytest

from conformance import discovery, objects, openapi, quirks, schemas, strict
from conformance.model import Request, Response
from conformance.placeholders import Placeholders
from conformance.schemas import Document, Schemas, locate
from conformance.scripts import Case, Subject, World, filled
from conformance.transport import Client
from conformance.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cluster, Json

POD = "io.k8s.api.core.v1.Pod"
THING: Json = {
    "type": "object",
    "required": ["spec"],
    "x-kubernetes-group-version-kind": [{"group": "example.com", "version": "v1", "kind": "Thing"}],
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"allOf": [{"$ref": "#/components/schemas/Meta"}], "default": {}},
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "format": "int32"},
                "when": {"type": "string", "format": "date-time", "nullable": True},
                "data": {"type": "string", "format": "byte"},
                "level": {"type": "string", "enum": ["low", "high"], "nullable": True},
                "free": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "properties": {"a": {"type": "string"}},
                },
                "inner": {
                    "type": "object",
                    "x-kubernetes-embedded-resource": True,
                    "properties": {"spec": {"type": "object"}},
                },
                "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "either": {
                    "type": "object",
                    "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                    "oneOf": [{"required": ["a"], "properties": {"a": {"minLength": 2}}}, {"required": ["b"]}],
                },
                "go": {"type": "string", "pattern": r"^[[:alpha:]]+\z"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
    },
}
DOCUMENT: Json = {
    "paths": {
        "/apis/example.com/v1/namespaces/{namespace}/things/{name}": {
            method: {
                "x-kubernetes-group-version-kind": {"group": "example.com", "version": "v1", "kind": "Thing"},
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                    "401": {"description": "Unauthorized"},
                },
            }
            for method in ("get", "delete")
        },
    },
    "components": {
        "schemas": {
            "Thing": THING,
            "Meta": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
        },
    },
}
ITEM = "/apis/example.com/v1/namespaces/own/things/a"


class Held:
    """Documents that are not a server's."""

    def __init__(self, **documents: Json) -> None:
        self._documents = {key: orjson.dumps(document) for key, document in documents.items()}

    def __contains__(self, key: str) -> bool:
        return key in self._documents

    def raw(self, key: str) -> bytes:
        return self._documents.get(key, b"")

    def forget(self, key: str) -> None:
        pass


def held() -> Schemas:
    return Schemas(Held(**{"apis/example.com/v1": copy.deepcopy(DOCUMENT)}))  # type: ignore[arg-type]  # the same methods


def thing(**spec: Any) -> Json:
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"size": 1, **spec}}


def answer(body: Any, status: int = 200, content: str = "application/json") -> Response:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Response(status, {"content-type": content}, raw, 0.0)


def ask(method: str = "GET", path: str = ITEM, accept: str = "application/json") -> Request:
    return Request(method, path, (), (("Accept", accept),))


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"when": None, "level": None},
        {"when": "2026-01-01T00:00:00Z", "level": "low"},
        {"data": "YQ=="},
        {"free": {"a": "x", "b": 3}},
        {"inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}}},
        {"port": 3},
        {"port": "http"},
        {"either": {"a": "xx"}},
        {"either": {"b": ""}},
        {"go": "abc"},
        {"labels": {"anything/at-all": "x"}},
    ],
)
def test_what_is_documented_passes(spec: Json) -> None:
    assert held().problems(ask(), answer(thing(**spec))) == ()


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"size": "1"}, "Thing spec.size: string where integer is documented"),
        ({"size": 1 << 31}, "Thing spec.size: a number beyond the documented range"),
        ({"when": "yesterday"}, "Thing spec.when: not of the documented form"),
        ({"data": None}, "Thing spec.data: null where string is documented"),
        ({"data": "ä"}, "Thing spec.data: not of the documented form"),
        ({"level": "middle"}, "Thing spec.level: not one of the documented values"),
        ({"extra": 1}, "Thing spec: the field extra is not documented"),
        ({"inner": {"apiVersion": "v1", "status": {}}}, "Thing spec.inner: the field status is not documented"),
        ({"port": 1.5}, "Thing spec.port: none of the documented alternatives"),
        ({"either": {"a": "x"}}, "Thing spec.either: none of the documented alternatives"),
        ({"either": {"c": "x", "b": "x"}}, "Thing spec.either: the field c is not documented"),
        ({"labels": {"a\n<b>": 1}}, "Thing spec.labels.*: integer where string is documented"),
    ],
)
def test_what_is_not_documented_is_said_without_values(spec: Json, problem: str) -> None:
    assert held().problems(ask(), answer(thing(**spec))) == (problem,)


@pytest.mark.parametrize(
    ("request_", "response", "problems"),
    [
        (
            ask(),
            answer({"kind": "Thing", "spec": {"size": 1}}),
            ("GET answers Thing where example.com/v1 Thing is documented",),
        ),
        (ask(), answer([]), ("a list where an object is documented",)),
        (ask(), answer(b"{"), ("the body is no JSON: unexpected end of data",)),
        (
            ask(accept="application/yaml"),
            answer(b"apiVersion: example.com/v1\nkind: Thing\nspec: {1: 2}", content="application/yaml"),
            ("the body holds what JSON does not have",),
        ),
        (ask(), answer(thing(), 202), ("GET answers 202, which is not documented",)),
        (
            ask(),
            answer(thing(), content="application/yaml"),
            ("answers application/yaml where application/json was asked for",),
        ),
        (ask("PUT"), answer(thing()), ("PUT of this path is not documented",)),
        (ask(), answer("no", 404, "text/plain"), ("an error of type text/plain instead of a Status",)),
        (ask(path="/apis/nope.io/v1/x"), answer(b"404", 404, "text/plain"), ()),
        (ask(path="/healthz"), answer(b"ok", content="text/plain"), ()),
        (ask("HEAD"), answer(b"", 200), ()),
        (ask("HEAD"), answer(b"", 405), ()),
    ],
)
def test_what_surrounds_the_object_is_held_too(
    request_: Request, response: Response, problems: tuple[str, ...]
) -> None:
    tested = held()
    assert tuple(problem[:60] for problem in tested.problems(request_, response)) == tuple(p[:60] for p in problems)
    assert (tested.tally.received, tested.tally.validated) == (1, 1)
    assert len(tested.tally.micros) == 1


STATUS = {
    "apiVersion": "v1",
    "kind": "Status",
    "metadata": {},
    "status": "Failure",
    "message": 'things "a" not found',
    "reason": "NotFound",
    "details": {"name": "a", "kind": "things"},
    "code": 404,
}


@pytest.mark.parametrize(
    ("change", "code", "problem"),
    [
        ({}, 404, None),
        ({"code": 400}, 404, "Status code: not the code of the answer"),
        ({"reason": "Conflict"}, 404, "Status reason: Conflict does not belong to 404"),
        ({"reason": None}, 404, "Status reason: missing from a 404"),
        ({"message": ""}, 404, "Status message: missing from a 404"),
        ({"status": "Success"}, 404, "Status status: not Failure"),
        ({"extra": 1}, 404, "Status: the field extra is not documented"),
        ({"details": {"who": "me"}}, 404, "Status details: the field who is not documented"),
        ({"details": {"causes": [{"field": 1}]}}, 404, "Status details.causes: of another form than documented"),
        ({"kind": "Pod"}, 404, "an error is an object of another kind than v1 Status"),
    ],
)
def test_an_error_is_a_status_of_its_code(change: Json, code: int, problem: str | None) -> None:
    assert held().problems(ask(), answer(STATUS | change, code)) == ((problem,) if problem else ())


def test_a_status_where_the_object_is_documented_is_told() -> None:
    told = held().problems(ask("DELETE"), answer(STATUS | {"status": "Success"}, 200))
    assert told == ("DELETE answers a Status where the object is documented",)


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({"type": "ADDED", "object": thing()}, None),
        ({"type": "BOOKMARK", "object": {"apiVersion": "example.com/v1", "kind": "Thing"}}, None),
        ({"type": "ERROR", "object": STATUS | {"code": 410, "reason": "Expired"}}, None),
        ({"type": "GONE", "object": {}}, "WatchEvent type: not one of the documented values"),
        ({"type": "ADDED"}, "WatchEvent: the required field object is missing"),
        ({"type": "ADDED", "object": {"kind": "Pod"}}, "an event holds Pod where example.com/v1 Thing is documented"),
        ({"type": "MODIFIED", "object": thing(size="1")}, "Thing spec.size: string where integer is documented"),
    ],
)
def test_each_event_of_a_watch_is_held(event: Json, problem: str | None) -> None:
    assert held().event_problems(ITEM, event) == ((problem,) if problem else ())


@pytest.mark.parametrize(
    ("path", "key", "template"),
    [
        ("/api/v1", "api/v1", "/api/v1/"),
        ("/version", "version", "/version/"),
        ("/api/v1/namespaces", "api/v1", "/api/v1/namespaces"),
        ("/api/v1/namespaces/a", "api/v1", "/api/v1/namespaces/{name}"),
        ("/api/v1/namespaces/a/status", "api/v1", "/api/v1/namespaces/{name}/status"),
        ("/api/v1/namespaces/a/pods", "api/v1", "/api/v1/namespaces/{namespace}/pods"),
        (
            "/apis/apps/v1/namespaces/a/deployments/b/scale",
            "apis/apps/v1",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
        ),
        ("/api/v1/nodes/a/proxy/x/y", "api/v1", "/api/v1/nodes/{name}/proxy/{path}"),
    ],
)
def test_a_path_is_found_in_its_document(path: str, key: str, template: str) -> None:
    assert locate(path)[0] == key
    assert template in locate(path)[1]


def test_an_object_that_names_a_field_like_a_keyword_is_no_trouble() -> None:
    tricky = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("$ref", "not", "allOf", "default")},
    }
    document = Document({"components": {"schemas": {"T": tricky}}})
    assert document.wrong("T", {"$ref": "x", "not": "y"}, Words("T")) == []
    assert document.wrong("T", {"$ref": 1}, Words("T")) == ["T $ref: integer where string is documented"]


# --- on a real server -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers(cluster: Cluster) -> list[tuple[Request, Response]]:
    """Lists, Tables and dry-run creations of everything that the server has, and an error of each."""
    with Client(cluster.admin) as client:
        return list(_answers(client))


def _answers(client: Client) -> Iterator[tuple[Request, Response]]:
    catalog = discovery.discover(client)
    names = Placeholders("20261201t000000-ab12", "default", "kube-public", "absent")
    samples = objects.samples(catalog, lambda _: {})
    world = World(catalog, (), "full", "v1.37.2")
    kinds = (
        "application/json",
        "application/json;as=Table;g=meta.k8s.io;v=v1",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
    )
    for number, one in enumerate(catalog.resources):
        if one.subresource or not {"list", "create"} <= set(one.verbs):
            continue
        path = f"{one.prefix}/namespaces/default/{one.name}" if one.namespaced else f"{one.prefix}/{one.name}"
        case = Case(
            "X",
            Subject("x", one.group, one.version, one, None, samples[f"{one.group_version}/{one.name}"]),
            number,
            world,
        )
        body = filled(case.subject.sample.body, case, "a")  # type: ignore[union-attr,arg-type]  # test_objects.py sees to it
        sent = (("Accept", kinds[0]), ("Content-Type", kinds[0]))
        requests = [Request("GET", path, (("limit", "3"),), (("Accept", kind),)) for kind in kinds]
        requests.append(
            Request("POST", path, (("dryRun", "All"),), sent, names.fill(orjson.dumps(body).decode()).encode())
        )
        requests.append(ask(path=f"{path}/kc-absent"))
        for request in requests:
            yield request, client.send(request)


@pytest.mark.server
def test_a_healthy_server_keeps_to_its_documents_but_for_known_quirks(
    cluster: Cluster, answers: list[tuple[Request, Response]]
) -> None:
    with Client(cluster.admin) as client:
        tested = Schemas(openapi.Documents(client, openapi.index(client)))
        wrong = set()
        for request, response in answers:
            for problem in tested.problems(request, response):
                place = _resource(request.path)
                if quirks.known("SCHEMA-ANSWERS", place, problem, 37) is None:
                    wrong.add((place, request.method, problem))
    assert wrong == set()
    assert tested.tally.received == tested.tally.validated == len(answers)
    assert len(answers) > 300


def _resource(path: str) -> str:
    parts = locate(path)[1][0].replace("/namespaces/{namespace}", "").removesuffix("/{name}").split("/")
    return "/".join(parts[2:])


def _damaged(body: Any) -> Iterator[Any]:
    """The object itself, and with one thing wrong at a time, wherever that can be."""
    yield body
    damages: tuple[Any, ...] = (None, "text", 7, [], {}, {"undocumented": True})
    for path in list(_paths(body))[:40]:
        for damage in damages:
            changed = copy.deepcopy(body)
            at = changed
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = damage
            yield changed


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, member in members:
        yield from _paths(member, (*path, key))


@pytest.mark.server
def test_both_validators_say_the_same_in_the_same_words(
    cluster: Cluster, answers: list[tuple[Request, Response]]
) -> None:
    compared = invalid = 0
    with Client(cluster.admin) as client:
        documents = openapi.Documents(client, openapi.index(client))
        for key in ("api/v1", "apis/apps/v1", "apis/apiextensions.k8s.io/v1", "apis/networking.k8s.io/v1"):
            document = orjson.loads(documents.raw(key))
            components = document["components"]["schemas"]
            strict.close(components)
            declared = schemas.Document(orjson.loads(documents.raw(key)))
            for request, response in answers:
                if request.method != "POST" or locate(request.path)[0] != key or response.status != 201:
                    continue
                body = orjson.loads(response.body)
                name = declared.kinds[(body["apiVersion"], body["kind"])]
                whole = {
                    "$schema": strict.DRAFT,
                    "$ref": f"#/components/schemas/{name}",
                    "components": {"schemas": components},
                }
                quick, slow = jsonschema_rs.Draft4Validator(whole), jsonschema.Draft4Validator(whole)
                words = Words(body["kind"])
                for value in _damaged(body):
                    left = {words.of(error) for error in quick.iter_errors(value)}
                    right = {words.of(error) for error in slow.iter_errors(value)}
                    assert left == right, (name, value)
                    compared += 1
                    invalid += bool(left)
    assert compared > 2000
    assert invalid > 1000
