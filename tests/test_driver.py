"""Scripts on their way: steps, streams, the removal of what was made, and what is never sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from conformance.driver import Driven, hazard
from conformance.model import Catalog, Request, Resource, Response, Verdict
from conformance.placeholders import Placeholders
from conformance.replies import Ledger, request_of
from conformance.scripts import (
    DRY_RUN,
    Ask,
    Case,
    Exchange,
    NotApplicable,
    NotEvaluated,
    Planned,
    Quirk,
    Reply,
    Sample,
    Steps,
    Subject,
    World,
    expect,
    replay,
)

if TYPE_CHECKING:
    from conformance.model import Mode
    from conformance.scripts import Script

RUN = "20260101t000000-abcd"
NAMES = Placeholders(RUN, f"kc-{RUN}-own", f"kc-{RUN}-other", f"kc-{RUN}-absent")
MAPS = Resource("", "v1", "configmaps", "", "ConfigMap", "", "v1", True, ("create", "get", "list"))  # noqa: FBT003
SAMPLE = Sample(body={"apiVersion": "v1", "kind": "ConfigMap"})
UID = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


def case(mode: Mode = "full", sample: Sample = SAMPLE, *, reports: bool = False) -> Case:
    world = World(Catalog((), (MAPS,)), (), mode, "v1.37.2", features=frozenset({"ours"}))
    return Case("A-CHECK", Subject("v1/configmaps", "", "v1", MAPS, None, sample, reports=reports), 0x2A, world)


def driven(script: Script, mode: Mode = "full", sample: Sample = SAMPLE) -> Driven:
    mine = case(mode, sample)
    return Driven(Planned("A-CHECK", mine.subject, 0x2A), mine, script, NAMES)


def answer(status: int, document: Any = None, **headers: str) -> Response:
    body = orjson.dumps(document) if document is not None else b""
    return Response(status, {"content-type": "application/json", "audit-id": "x"} | headers, body, 0.01)


def made(name: str, **more: Any) -> dict[str, Any]:
    labels = {"kube-conformance.io/run": RUN, "kube-conformance.io/case": "2a"}
    metadata = {"name": name, "uid": UID, "resourceVersion": "41", "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata | more}


def create_and_get(it: Case) -> Steps:
    reply: Reply = yield from it.created("a")
    got: Reply = yield Ask("GET", it.item(reply.get("metadata", "name")))
    expect(got.get("metadata", "uid") == reply.get("metadata", "uid"), "another uid")


def serve(it: Driven, *answers: Response) -> list[Request]:
    """Answer what is asked, one after the other; give what was asked."""
    asked = []
    for each in answers:
        sending = it.ready.popleft()
        asked.append(sending.request)
        it.arrived(sending, each)
    return asked


def test_a_script_is_driven_and_what_it_made_is_removed_by_uid() -> None:
    it = driven(create_and_get)
    name = f"kc-{RUN}-2a-a"
    asked = serve(
        it, answer(201, made(name)), answer(200, made(name)), answer(200, {"kind": "Status", "status": "Success"})
    )
    assert [request.method for request in asked] == ["POST", "GET", "DELETE"]
    assert orjson.loads(asked[0].body or b"")["metadata"]["name"] == name
    assert asked[1].path.endswith(name)
    assert orjson.loads(asked[2].body or b"")["preconditions"] == {"uid": UID}
    assert it.ending is not None
    assert it.ending.verdict is Verdict.PASS
    # What is stored holds neither the run's name nor the server's uid, and says the same again.
    stored = str([(each.ask, each.reply) for each in it.exchanges])
    assert RUN not in stored
    assert UID not in stored
    assert "{uid1}" in stored
    assert replay(create_and_get, case(), it.exchanges).verdict is Verdict.PASS


def test_what_is_held_by_a_finalizer_is_let_go() -> None:
    it = driven(create_and_get)
    name = f"kc-{RUN}-2a-a"
    held = made(name, finalizers=["a/b"], deletionTimestamp="2026-01-01T00:00:00Z")
    asked = serve(it, answer(201, made(name)), answer(500), answer(200, held), answer(200, made(name)))
    assert [request.method for request in asked] == ["POST", "GET", "DELETE", "PATCH"]
    assert orjson.loads(asked[3].body or b"") == {"metadata": {"finalizers": None, "uid": UID}}
    assert it.ending is not None
    assert it.ending.verdict is Verdict.FAIL


def test_what_the_server_lets_go_itself_is_left_to_it() -> None:
    it = driven(create_and_get)
    name = f"kc-{RUN}-2a-a"
    held = made(name, finalizers=["foregroundDeletion"], deletionTimestamp="2026-01-01T00:00:00Z")
    asked = serve(it, answer(201, made(name)), answer(200, made(name)), answer(200, held))
    assert [request.method for request in asked] == ["POST", "GET", "DELETE"]
    assert it.ending is not None


def test_a_script_goes_on_when_controllers_have_written_into_what_it_made() -> None:
    it = driven(create_and_get, sample=Sample(SAMPLE.body, settled={"status": {"conditions": [{"type": "Ready"}]}}))
    name = f"kc-{RUN}-2a-a"
    serve(it, answer(201, made(name)))
    waiting = it.ready.popleft()
    assert dict(waiting.request.query)["fieldSelector"] == f"metadata.name={name}"
    assert dict(waiting.request.query)["resourceVersion"] == "41"
    events = [
        orjson.dumps({"type": "MODIFIED", "object": made(name) | {"status": {"conditions": [{"type": kind}, {}]}}})
        for kind in ("Other", "Ready")
    ]
    assert [waiting.enough(events[:1]), waiting.enough(events)] == [False, True]
    assert not it.exchanges
    it.arrived(waiting, answer(200), events)
    assert it.rests
    assert not it.ready
    it.rested()
    asked = serve(it, answer(200, made(name)), answer(404))
    assert [request.method for request in asked] == ["GET", "DELETE"]
    assert it.ending is not None
    assert it.ending.verdict is Verdict.PASS
    # Nothing of the wait is stored: what it takes, and how often somebody wrote, is chance.
    assert [each.ask.method for each in it.exchanges] == ["POST", "GET"]


def test_what_is_settled_when_it_is_made_is_not_waited_for() -> None:
    it = driven(create_and_get, sample=Sample(SAMPLE.body, settled={"metadata": {"uid": UID}}))
    name = f"kc-{RUN}-2a-a"
    asked = serve(it, answer(201, made(name)), answer(200, made(name)))
    assert [request.method for request in asked] == ["POST", "GET"]


def test_a_creation_whose_answer_names_nothing_is_removed_all_the_same() -> None:
    it = driven(create_and_get)
    asked = serve(it, answer(201, {"kind": "Nonsense"}), answer(404), answer(404))
    assert asked[2].method == "DELETE"
    assert asked[2].path.endswith(f"kc-{RUN}-2a-a")


def watch_and_create(it: Case) -> Steps:
    watch = Ask("GET", it.collection(), (("watch", "true"),), ends=lambda events: len(events) > 0)
    seen, reply = yield (watch, Ask("POST", it.collection(), body=it.object("a")))
    expect(reply.status == 201, "not created")
    expect([event["type"] for event in seen.events] == ["ADDED"], "not told")


def test_what_is_asked_with_a_watch_waits_until_it_is_open() -> None:
    it = driven(watch_and_create)
    watch = it.ready.popleft()
    assert not it.ready
    watch.is_open()
    create = it.ready.popleft()
    assert create.request.method == "POST"
    name = f"kc-{RUN}-2a-a"
    it.arrived(create, answer(201, made(name)))
    event = orjson.dumps({"type": "ADDED", "object": made(name)})
    foreign = orjson.dumps({"type": "ADDED", "object": {"kind": "ConfigMap", "metadata": {"name": "other"}}})
    assert watch.enough([event])
    it.arrived(watch, answer(200), [foreign, event])
    serve(it, answer(404))
    assert it.ending is not None
    assert it.ending.verdict is Verdict.PASS, it.ending


def test_a_watch_that_is_refused_holds_nothing_up() -> None:
    it = driven(watch_and_create)
    it.arrived(it.ready.popleft(), answer(410, {"kind": "Status", "apiVersion": "v1", "code": 410}), [])
    assert it.ready.popleft().request.method == "POST"


@pytest.mark.parametrize(
    ("raised", "verdict", "note"),
    [
        (NotEvaluated("why"), Verdict.NOT_EVALUATED, "why"),
        (NotApplicable("why"), Verdict.NOT_APPLICABLE, "why"),
        (Quirk("Q1", "why"), Verdict.INFO, "Q1: why"),
        (KeyError("why"), Verdict.ERROR, "the check itself broke: KeyError: 'why'"),
    ],
)
def test_each_way_to_end_has_its_verdict(raised: Exception, verdict: Verdict, note: str) -> None:
    def script(_: Case) -> Steps:
        yield Ask("GET", "/version")
        raise raised

    it = driven(script)
    serve(it, answer(200, {}))
    assert it.ending is not None
    assert (it.ending.verdict, it.ending.note) == (verdict, note)


def test_a_run_that_ended_early_is_not_evaluated_when_it_is_said_again() -> None:
    assert replay(create_and_get, case(), []).verdict is Verdict.NOT_EVALUATED
    other = [Exchange(Ask("GET", "/other"), Reply(200))]
    assert replay(create_and_get, case(), other).verdict is Verdict.ERROR


OWN = "/api/v1/namespaces/{own}/configmaps"


@pytest.mark.parametrize(
    ("ask", "mode", "sent"),
    [
        (Ask("GET", "/api/v1/secrets"), "observe", True),
        (Ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body={}), "observe", True),
        (Ask("POST", OWN, (DRY_RUN,), {}), "observe", False),
        (Ask("POST", OWN, (DRY_RUN,), {}), "dry-run", True),
        (Ask("POST", OWN, body={}), "dry-run", False),
        (Ask("POST", OWN, body={}), "full", True),
        (Ask("POST", "/api/v1/nodes", body={}), "full", False),
        (Ask("POST", "/api/v1/nodes", body={"metadata": {"name": "kc-{run}-2a-a"}}), "full", True),
        (Ask("DELETE", "/api/v1/nodes/worker"), "full", False),
        (Ask("DELETE", "/api/v1/nodes/worker", (DRY_RUN,)), "full", True),
        # Options in a body count instead of the query's.
        (Ask("DELETE", "/api/v1/nodes/worker", (DRY_RUN,), {"kind": "DeleteOptions"}), "full", False),
        (Ask("DELETE", "/api/v1/nodes/kc-{run}-2a-a"), "full", True),
        (Ask("PATCH", "/api/v1/namespaces/default/configmaps/x", body={}), "full", False),
        (Ask("PUT", "/api/v1/namespaces/kc-{run}-2a-ns/finalize", body={}), "full", True),
        (Ask("DELETE", OWN), "full", False),
        (Ask("DELETE", OWN, (("labelSelector", "kube-conformance.io/case=2a"),)), "full", True),
        (Ask("DELETE", "/api/v1/nodes", (("labelSelector", "kube-conformance.io/case=2a"),)), "full", False),
        # A token is minted for real, whatever a dry run says.
        (Ask("POST", "/api/v1/namespaces/default/serviceaccounts/x/token", (DRY_RUN,), {}), "dry-run", False),
        (Ask("DELETE", "/apis/networking.k8s.io/v1/ipaddresses/{address}1"), "full", True),
    ],
)
def test_no_write_leaves_that_could_touch_what_the_run_did_not_make(ask: Ask, mode: Mode, *, sent: bool) -> None:
    why = hazard(ask, request_of(ask, Ledger(NAMES)), case(mode), NAMES)
    assert (why == "") is sent, why


def test_a_hazard_is_an_error_of_the_check_and_is_not_sent() -> None:
    def script(_: Case) -> Steps:
        yield Ask("DELETE", "/api/v1/nodes/worker")

    it = driven(script)
    assert not it.ready
    assert it.ending is not None
    assert it.ending.verdict is Verdict.ERROR


def get_and_expect(it: Case) -> Steps:
    reply: Reply = yield Ask("GET", it.item("x"))
    expect(reply.status == 200, f"it is answered {reply.status}")


NO_LEADER = {"kind": "Status", "message": "etcdserver: leader changed"}


@pytest.mark.parametrize(
    ("response", "note"),
    [
        (Response(0, {}, b"", 0.0, error="Operation timed out"), "Operation timed out"),
        (answer(503), "503, again and again"),
        (answer(429), "429, again and again"),
        (answer(500, NO_LEADER), "500, again and again"),
        (Response(200, {}, b"{", 0.0, cut=True), "the answer was too long, or took too long"),
    ],
)
def test_whoever_gets_no_answer_accuses_nobody_live_or_said_again(response: Response, note: str) -> None:
    it = driven(get_and_expect)
    serve(it, response)
    assert it.ending is not None
    assert it.ending.verdict is Verdict.NOT_EVALUATED
    assert it.ending.note.endswith(note)
    assert replay(get_and_expect, it.case, it.exchanges) == it.ending


@pytest.mark.parametrize(
    ("response", "note"),
    [
        (answer(500, {"kind": "Status"}), "it is answered 500"),
        (answer(404, {"kind": "Status"}), "it is answered 404"),
        (answer(504, {"details": {"causes": [{"reason": "ResourceVersionTooLarge"}]}}), "it is answered 504"),
    ],
)
def test_an_answer_that_counts_is_held_against_the_server(response: Response, note: str) -> None:
    it = driven(get_and_expect)
    serve(it, response)
    assert it.ending is not None
    assert (it.ending.verdict, it.ending.note) == (Verdict.FAIL, note)


def test_a_script_may_want_to_know_that_no_answer_came() -> None:
    def refused(it: Case) -> Steps:
        reply: Reply = yield Ask("GET", it.item("x"), expects=frozenset({0}))
        expect(reply.status == 0, "it is answered")

    it = driven(refused)
    serve(it, Response(0, {}, b"", 0.0, error="refused"))
    assert it.ending is not None
    assert it.ending.verdict is Verdict.PASS


@pytest.mark.parametrize(("status", "verdict"), [(409, Verdict.NOT_EVALUATED), (201, Verdict.PASS)])
def test_a_write_that_was_sent_twice_accuses_nobody(status: int, verdict: Verdict) -> None:
    def create(it: Case) -> Steps:
        reply: Reply = yield Ask("POST", it.collection(), body=it.object("a"))
        expect(reply.status == 201, f"it is answered {reply.status}")

    it = driven(create)
    sending = it.ready.popleft()
    sending.repeated = True
    it.arrived(sending, answer(status, made(f"kc-{RUN}-2a-a")))
    while it.ready:
        it.arrived(it.ready.popleft(), answer(200, {"kind": "Status"}))
    assert it.ending is not None
    assert it.ending.verdict is verdict
