"""What a script learns of an answer: its own objects whole, of all others next to nothing, and no real value."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from test_driver import NAMES, RUN, UID, answer, case, made

from conformance.model import Response
from conformance.replies import Ledger, Reader, request_of
from conformance.scripts import Ask, at

GET = Ask("GET", "/")


def read(document: Any, ask: Ask = GET, status: int = 200) -> Any:
    return Reader(case(), NAMES).reply(ask, answer(status, document)).body


def test_an_object_of_the_script_comes_whole_but_for_managed_fields_unless_they_are_wanted() -> None:
    document = made(f"kc-{RUN}-2a-a", managedFields=[{"manager": "x"}]) | {"data": {"a": "b"}}
    body = read(document)
    assert body["data"] == {"a": "b"}
    assert body["metadata"]["name"] == "kc-{run}-2a-a"
    assert body["metadata"]["uid"] == "{uid1}"
    assert body["metadata"]["resourceVersion"] == "{rv1}"
    assert "managedFields" not in body["metadata"]
    assert "managedFields" in read(document, Ask("GET", "/", managed=True))["metadata"]


def test_a_status_that_is_written_apart_comes_where_it_is_wanted() -> None:
    document = made(f"kc-{RUN}-2a-a") | {"status": {"phase": "Active"}}
    reader = Reader(case(reports=True), NAMES)
    assert "status" not in reader.reply(GET, answer(200, document)).body
    assert reader.reply(Ask("GET", "/", status=True), answer(200, document)).body["status"] == {"phase": "Active"}
    assert read(document)["status"] == {"phase": "Active"}, "a kind that has no such subresource"


@pytest.mark.parametrize("name", ["other", f"kc-{RUN}-2-a", f"kc-{RUN}-2b-a"])
def test_of_others_objects_only_kind_and_name_come(name: str) -> None:
    foreign = {"kind": "ConfigMap", "metadata": {"name": name, "annotations": {"a": "secret"}}, "data": {"a": "secret"}}
    assert "secret" not in str(read(foreign))
    listed = {"kind": "ConfigMapList", "metadata": {"resourceVersion": "7"}, "items": [foreign]}
    assert read(listed)["items"] == []


def test_the_contents_of_a_secret_never_come() -> None:
    body = read(made(f"kc-{RUN}-2a-a") | {"kind": "Secret", "data": {"a": "c2VjcmV0"}})
    assert body["data"] == {"a": "{secret1}"}


def test_what_the_server_chose_can_be_sent_back() -> None:
    reader = Reader(case(), NAMES)
    reply = reader.reply(GET, answer(200, made(f"kc-{RUN}-2a-a") | {"spec": {"ports": [{"nodePort": 30001}]}}))
    request = request_of(Ask("PUT", "/x/{uid1}", body=reply.body), reader.ledger)
    sent = orjson.loads(request.body or b"")
    assert request.path == f"/x/{UID}"
    assert sent["metadata"] == made(f"kc-{RUN}-2a-a")["metadata"]
    assert at(sent, "spec", "ports", 0, "nodePort") == 30001
    assert at(reply.body, "spec", "ports", 0, "nodePort") == "{port1}"


def test_one_value_has_one_word_and_another_value_another() -> None:
    ledger = Ledger(NAMES)
    assert ledger.mask({"a": UID, "uid": UID}) == {"a": "{uid1}", "uid": "{uid1}"}
    assert ledger.mask({"resourceVersion": "105"}) == {"resourceVersion": "{rv1}"}
    assert ledger.mask({"resourceVersion": "106"}) == {"resourceVersion": "{rv2}"}
    assert (
        ledger.mask_known("the object is at 106, not at 105 or 1065") == "the object is at {rv2}, not at {rv1} or 1065"
    )


def test_a_name_that_the_server_made_up_is_a_word() -> None:
    named = made(f"kc-{RUN}-2a-gx7k2p", generateName=f"kc-{RUN}-2a-g") | {"of": f"job of kc-{RUN}-2a-gx7k2p"}
    body = read(named)
    assert (body["metadata"]["name"], body["of"]) == ("{generated1}", "job of {generated1}")


def test_whether_two_moments_are_in_one_second_is_not_told() -> None:
    at_once = made(f"kc-{RUN}-2a-a") | {"spec": {"from": "2026-01-01T00:00:00Z"}}
    later = at_once | {"spec": {"from": "2026-01-01T00:00:01Z"}}
    reader = Reader(case(), NAMES)
    first, second = (reader.reply(GET, answer(200, document)).body for document in (at_once, later))
    assert first["spec"] == second["spec"] == {"from": "{time:uid1.spec.from}"}
    assert request_of(Ask("PUT", "/", body=second), reader.ledger).body == orjson.dumps(later)


def test_how_many_others_there_are_is_not_told() -> None:
    listed = {"kind": "ConfigMapList", "apiVersion": "v1", "items": [], "metadata": {"remainingItemCount": 7}}
    assert read(listed)["metadata"] == {}


def test_a_status_comes_with_its_message_masked() -> None:
    status = {"kind": "Status", "apiVersion": "v1", "message": f'"kc-{RUN}-2a-a" is {UID}', "reason": "NotFound"}
    assert read(status, status=404)["message"] == '"kc-{run}-2a-a" is {uid1}'


def test_what_is_no_json_is_a_message_of_an_error_and_nothing_of_a_success() -> None:
    reader = Reader(case(), NAMES)
    assert reader.reply(GET, Response(404, {}, b"404 page not found", 0.0)).message == "404 page not found"
    assert reader.reply(GET, Response(200, {}, b"text", 0.0)).body is None


def test_a_reading_says_what_is_kept_and_may_remember_what_is_not() -> None:
    reader = Reader(case(), NAMES)
    first = Ask("GET", "/", read=lambda seen, memory: memory.setdefault("all", at(seen.document, "items")) and None)
    second = Ask("GET", "/", read=lambda seen, memory: {"same": memory["all"] == at(seen.document, "items")})
    items = [{"metadata": {"name": "somebody's"}}]
    assert reader.reply(first, answer(200, {"items": items})).body is None
    assert reader.reply(second, answer(200, {"items": items})).body == {"same": True}


def test_a_status_is_one_without_its_version_and_a_custom_resource_of_that_name_is_none() -> None:
    assert read({"kind": "Status", "message": "no"}, status=500) == {"kind": "Status", "message": "no"}
    custom = {"kind": "Status", "apiVersion": "example.com/v1", "metadata": {"name": "x"}, "spec": {"key": "secret"}}
    assert "secret" not in str(read(custom))
