from __future__ import annotations

import contextlib
import resource as usage
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from catalogs import OWN, Granting, identity, resource, snapshot
from faultproxy import Answered, before
from faultproxy import Asked as Seen
from faultyserver import AUDIT, Asked, Deed, Server, answer, counting, serving

from conformance import engine, plan, transport
from conformance.engine import Engine, Limits
from conformance.model import Access, Cluster, Outcome, Request, Review
from conformance.placeholders import Placeholders
from conformance.snapshot import take
from conformance.transport import Client, impersonation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conformance.engine import Answers
    from conformance.model import Identity
    from conformance.plan import Plan

NAMES = Placeholders("run-7", "kc-run-7-own", "kc-run-7-other", "kc-run-7-absent")
FINE = Deed(answer(404, b'{"kind":"Status","reason":"NotFound"}'))
YES = answer(201, b'{"status":{"allowed":true,"reason":"RBAC: allowed by X"}}')
REQUEST = ("alice", "request", "")


def laid(*plurals: str, identities: tuple[Identity, ...] = (), oracles: tuple[str, ...] = ("request",)) -> Plan:
    """Have one row for each resource, asked as each identity."""
    made = plan.make(
        snapshot(*(resource(plural, "get") for plural in plurals)),
        identities or (identity(),),
        grants=Granting(),
        mode="dry-run",
        oracles=oracles,
        namespaces=OWN,
    )
    return replace(made, rows=tuple(row for row in made.rows if not row.endpoint.virtual))


@contextlib.contextmanager
def asking(made: Plan, access: Access | Mapping[str, Access], limits: Limits | None = None) -> Iterator[Engine]:
    accesses = dict.fromkeys((i.name for i in made.identities), access) if isinstance(access, Access) else dict(access)
    reviewer = next(iter(accesses.values()))
    asker = Engine(made, accesses, reviewer, NAMES, limits or Limits())
    try:
        yield asker
    finally:
        asker.close()


def asked(made: Plan, access: Access, limits: Limits | None = None) -> tuple[list[Answers], Engine]:
    """Ask a whole plan as an audit does, in order and running ahead."""
    with asking(made, access, limits) as asker:
        asker.run_ahead(made.rows)
        return [asker.answers(row) for row in made.rows], asker


def one(handler: Callable[[Asked], Deed], *, oracles: tuple[str, ...] = ("request",)) -> tuple[Any, Engine, Server]:
    """Ask one cell of a server that does what `handler` says."""
    with serving(handler) as server:
        found, asker = asked(laid("pods", oracles=oracles), Access(server.url))
        ((_, outcome),) = found[0].items()
        return outcome, asker, server


def counted(asker: Engine) -> tuple[int, int, int]:
    return asker.counters.sent, asker.counters.retried, asker.counters.failed


def first(deed: Deed, then: Deed = FINE, times: int = 1) -> Callable[[Asked], Deed]:
    return lambda it: deed if it.nth <= times else then


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ANSWER_SECONDS", 1)


# --- what is asked again ----------------------------------------------------------------------------------------------

RESET, BUSY = Deed(reset=True), Deed(answer(503, b"{}"))


@pytest.mark.parametrize(
    "deed",
    [
        BUSY,
        Deed(answer(502, b"bad gateway")),
        Deed(answer(504, b"{}")),
        Deed(answer(429, b"{}", AUDIT + b"Retry-After: 0\r\n")),
        Deed(answer(429, b"{}", AUDIT + b"Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n")),
        RESET,
        Deed(b"HTTP/1.1 404 X\r\nContent-", reset=True),
        Deed(b"\x00\x01 garbage\r\n\r\n", reset=True),
    ],
)
def test_what_passes_is_asked_again(deed: Deed) -> None:
    outcome, asker, server = one(first(deed))
    assert (outcome.status, outcome.reason, outcome.audited) == (404, "NotFound", True)
    assert counted(asker) == (1, 1, 0)
    assert len(server.asked) == 2


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("deed", [Deed(stall=True), Deed(b"HTTP/1.1 404 X\r\n", stall=True)])
def test_who_never_answers_is_given_up_and_asked_again(deed: Deed) -> None:
    outcome, asker, _ = one(first(deed))
    assert outcome.status == 404
    assert counted(asker) == (1, 1, 0)


@pytest.mark.parametrize("status", [200, 201, 204, 301, 400, 401, 403, 404, 409, 422, 500, 501])
def test_an_answer_is_not_asked_again(status: int) -> None:
    outcome, asker, server = one(first(Deed(answer(status, b"" if status == 204 else b"{}")), BUSY))
    assert outcome.status == status
    assert counted(asker) == (1, 0, 0)
    assert len(server.asked) == 1


@pytest.mark.parametrize(("status", "cause"), [(504, "ResourceVersionTooLarge"), (429, "DisruptionBudget")])
def test_a_refusal_with_a_cause_is_an_answer(status: int, cause: str) -> None:
    body = orjson.dumps({"kind": "Status", "details": {"causes": [{"reason": cause}]}})
    outcome, asker, _ = one(first(Deed(answer(status, body))))
    assert (outcome.status, outcome.causes) == (status, (cause,))
    assert counted(asker) == (1, 0, 0)


def test_who_stays_busy_is_asked_four_times_and_not_for_ever() -> None:
    outcome, asker, server = one(lambda _: BUSY)
    assert outcome.status == 503
    assert counted(asker) == (1, 3, 0)
    assert len(server.asked) == 4
    waits = [b.at - a.at for a, b in zip(server.asked, server.asked[1:], strict=False)]
    assert waits[0] < waits[2], "each wait is longer"


def test_who_resets_for_ever_has_no_answer() -> None:
    outcome, asker, _ = one(lambda _: RESET)
    assert (outcome.status, outcome.audited) == (0, False)
    assert outcome.error
    assert counted(asker) == (1, 3, 1)


def test_retry_after_is_waited_for_but_not_at_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    later = Deed(answer(429, b"{}", AUDIT + b"Retry-After: 1\r\n"))
    _, _, server = one(first(later))
    assert server.asked[1].at - server.asked[0].at >= 1.0
    monkeypatch.setattr(engine, "WAIT_AT_MOST", 0.2)
    begun = time.monotonic()
    outcome, _, _ = one(first(Deed(answer(429, b"{}", AUDIT + b"Retry-After: 86400\r\n"))))
    assert outcome.status == 404
    assert time.monotonic() - begun < 10


def test_nobody_answers_at_all() -> None:
    with serving(lambda _: FINE) as server:
        pass
    found, asker = asked(laid("pods"), Access(server.url))
    outcome = found[0][REQUEST]
    assert isinstance(outcome, Outcome)
    assert outcome.error
    assert counted(asker) == (1, 3, 1)


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe\x00", b"[1]", b"null", b'"x"', b'{"message": 7}', b'{"details": []}', b"<html>"]
)
@pytest.mark.parametrize("status", [200, 403, 500])
def test_a_body_that_is_no_status_is_still_an_answer(status: int, body: bytes) -> None:
    outcome, _, _ = one(lambda _: Deed(answer(status, body)))
    assert outcome.status == status
    assert orjson.dumps(outcome.message)


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"null", b"{}", b'{"status": []}', b'{"status": "x"}'])
def test_a_body_that_is_no_review_is_no_denial(body: bytes) -> None:
    made = laid("pods", oracles=("review",))
    with serving(lambda _: Deed(answer(201, body))) as server:
        found, _ = asked(made, Access(server.url))
    review = found[0]["alice", "review", ""]
    assert isinstance(review, Review)
    assert review.error


def test_a_review_that_breaks_off_is_asked_again() -> None:
    torn = Deed(YES[:-10], reset=True)
    outcome, asker, _ = one(first(torn, Deed(YES)), oracles=("review",))
    assert outcome == Review(allowed=True, reason="RBAC: allowed by a binding")
    assert counted(asker) == (1, 1, 0)


def test_a_refusal_that_breaks_off_is_asked_again() -> None:
    whole = answer(403, b'{"kind":"Status","reason":"Forbidden","message":"why"}')
    outcome, asker, _ = one(first(Deed(whole[:-10], reset=True), Deed(whole)))
    assert (outcome.status, outcome.message) == (403, "why")
    assert counted(asker) == (1, 1, 0)


def peak() -> int:
    return usage.getrusage(usage.RUSAGE_SELF).ru_maxrss // 1024


MEGABYTE = b"x" * (1 << 20)


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize("length", [b"Content-Length: 209715200\r\n", b""], ids=["told", "untold"])
def test_a_huge_body_is_not_kept(status: int, length: bytes) -> None:
    before_it = peak()
    head = b"HTTP/1.1 %d X\r\n%s%s\r\n" % (status, AUDIT, length)
    outcome, asker, server = one(lambda _: Deed(head, more=MEGABYTE, times=200))
    assert (outcome.status, outcome.audited) == (status, True)
    assert counted(asker) == (1, 0, 0)
    assert server.sent < 50 << 20
    assert peak() - before_it < 40
    assert len(outcome.message) <= 4096


def test_a_body_that_never_ends_is_ended() -> None:
    head = b"HTTP/1.1 200 X\r\n" + AUDIT + b"Transfer-Encoding: chunked\r\n\r\n"
    begun = time.monotonic()
    outcome, asker, _ = one(lambda _: Deed(head, more=b"10000\r\n" + b"x" * 0x10000 + b"\r\n"))
    assert outcome.status == 200
    assert counted(asker) == (1, 0, 0)
    assert time.monotonic() - begun < 10


@pytest.mark.usefixtures("hasty")
def test_a_body_that_trickles_does_not_hold_up_the_rest() -> None:
    head = b"HTTP/1.1 200 X\r\n" + AUDIT + b"\r\n"
    begun = time.monotonic()
    outcome, _, _ = one(lambda _: Deed(head, stall=True))
    assert outcome.status == 200
    assert time.monotonic() - begun < 10


def test_what_a_status_says_is_cut() -> None:
    long = "é" * 10_000
    causes = [{"reason": long[:5_000]}] * 60
    body = orjson.dumps({"kind": long, "reason": long, "message": long, "details": {"causes": causes}})
    warnings = b"".join(b'Warning: 299 - "%d"\r\n' % number for number in range(200))
    outcome, _, _ = one(lambda _: Deed(answer(403, body, AUDIT + warnings)))
    assert isinstance(outcome, Outcome)
    said = (outcome.kind, outcome.reason, outcome.message, *outcome.causes, *outcome.warnings)
    assert sum(len(text.encode()) for text in said) < 20_000
    assert outcome.message.startswith("é" * 2000)


# --- how much at once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 4, 16])
def test_no_more_is_in_flight_than_is_allowed(concurrency: int) -> None:
    made = laid(*(f"r{number:02}" for number in range(40)))
    slow = replace(FINE, wait=0.02)
    with serving(lambda _: slow) as server:
        found, asker = asked(made, Access(server.url), Limits(concurrency))
    assert len(found) == 40
    assert counted(asker) == (40, 0, 0)
    assert concurrency / 2 <= server.most <= concurrency
    assert server.connections <= concurrency


def test_every_answer_comes_to_its_own_cell_in_whatever_order_they_come() -> None:
    who = tuple(identity(name) for name in "abc")
    made = laid(*(f"r{number}" for number in range(12)), identities=who)
    waits = iter([0.05, 0.0, 0.02] * 100)

    def handler(it: Asked) -> Deed:
        user = it.headers.lower().partition("impersonate-user: ")[2][:1]
        body = orjson.dumps({"kind": "Status", "message": f"{user} {it.target.split('/')[-2]}"})
        return Deed(answer(404, body), wait=next(waits))

    with serving(handler) as server:
        accesses = {i.name: Access(server.url, headers=impersonation(i.user)) for i in who}
        with asking(made, accesses) as asker:
            asker.run_ahead(made.rows)
            for row in made.rows:
                expected = {(i.name, "request", ""): f"{i.name} {row.endpoint.resource}" for i in who}
                assert {key: it.message for key, it in asker.answers(row).items()} == expected  # type: ignore[union-attr]


def test_a_rate_is_held() -> None:
    made = laid(*(f"r{number:02}" for number in range(30)))
    with serving(lambda _: FINE) as server:
        asked(made, Access(server.url), Limits(8, qps=20.0))
        times = [it.at for it in server.asked]
    # A second's worth may be saved up, no more.
    assert times[-1] - times[0] >= (30 - 20) / 20.0 - 0.2
    for begin in times:
        assert sum(1 for at in times if begin <= at < begin + 1.0) <= 2 * 20 + 1


def test_a_gentle_engine_gives_way_to_a_server_that_is_busy() -> None:
    made = laid(*(f"r{number:03}" for number in range(120)))
    calls = iter(range(10_000))

    def handler(_: Asked) -> Deed:
        return replace(FINE, wait=0.005 if next(calls) < 50 else 0.06)

    with serving(handler) as server, asking(made, Access(server.url), Limits(8, gentle=True)) as asker:
        asker.run_ahead(made.rows)
        for row in made.rows:
            asker.answers(row)
        assert asker._window < 8
        assert server.most <= 8


def test_only_so_many_rows_are_begun_ahead() -> None:
    made = laid(*(f"r{number:02}" for number in range(60)))
    with serving(lambda _: FINE) as server, asking(made, Access(server.url)) as asker:
        asker.run_ahead(made.rows)
        asker.answers(made.rows[0])
        assert len(asker._begun) <= engine.AHEAD
        assert len(server.asked) <= engine.AHEAD + 1


def test_a_cell_is_asked_once_whoever_wants_it() -> None:
    made = laid("a", "b", "c")
    with serving(lambda _: FINE) as server, asking(made, Access(server.url)) as asker:
        asker.begin(made.rows[1])
        asker.run_ahead(made.rows)
        asker.begin(made.rows[1])
        for row in made.rows:
            asker.answers(row)
        assert Counter(it.target for it in server.asked).most_common(1)[0][1] == 1


# --- credentials ------------------------------------------------------------------------------------------------------


class Rotating:
    """A token that lapses: each renewal gives the next one."""

    def __init__(self, url: str) -> None:
        self.url, self.renewals = url, 0
        self.access = Access(url, token="token-0", renew=self.renew)

    def renew(self) -> Access:
        self.renewals += 1
        return replace(self.access, token=f"token-{self.renewals}")


def test_a_lapsed_credential_is_renewed_once_and_the_request_asked_again() -> None:
    made = laid(*(f"r{number:02}" for number in range(30)))

    def handler(it: Asked) -> Deed:
        return Deed(answer(401), wait=0.01) if "token-0" in it.headers else FINE

    with serving(handler) as server:
        rotating = Rotating(server.url)
        found, asker = asked(made, rotating.access, Limits(8))
    assert {outcome.status for answers in found for outcome in answers.values()} == {404}  # type: ignore[union-attr]
    assert asker.counters.sent == 30
    assert rotating.renewals == 1, "those that were on their way together need one renewal"


def test_a_credential_that_is_refused_for_good_is_renewed_once_for_a_request() -> None:
    with serving(lambda _: Deed(answer(401))) as server:
        rotating = Rotating(server.url)
        found, _ = asked(laid("pods"), rotating.access)
        assert len(server.asked) == 2
    outcome = found[0][REQUEST]
    assert isinstance(outcome, Outcome)
    assert outcome.status == 401
    assert rotating.renewals == 1


# --- placeholders -----------------------------------------------------------------------------------------------------


def test_names_are_put_in_on_the_way_out_and_taken_out_on_the_way_back() -> None:
    def handler(it: Asked) -> Deed:
        return Deed(answer(404, orjson.dumps({"message": f"{it.target} at 2026-11-22T16:37:27Z"})))

    outcome, _, server = one(handler)
    assert server.asked[0].target == "/api/v1/namespaces/kc-run-7-own/pods/kc-run-7-absent"
    assert outcome.message == "/api/v1/namespaces/{own}/pods/{absent} at {time1}"


def test_a_review_asks_for_whom_the_probe_is_sent() -> None:
    who = identity("system:serviceaccount:{own}:view", uid="u-1", extra=(("scopes", ("a", "b")),))
    made = laid("pods/log", identities=(who,), oracles=("review",))
    with serving(lambda _: Deed(YES)) as server:
        asked(made, Access(server.url))
    assert server.asked[0].target == "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert orjson.loads(server.asked[0].body) == {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": "system:serviceaccount:kc-run-7-own:view",
            "groups": ["system:authenticated"],
            "uid": "u-1",
            "extra": {"scopes": ["a", "b"]},
            "resourceAttributes": {
                "verb": "get",
                "version": "v1",
                "resource": "pods",
                "subresource": "log",
                "namespace": "kc-run-7-own",
                "name": "kc-run-7-absent",
            },
        },
    }


def test_who_may_not_review_others_is_reviewed_by_itself() -> None:
    made = laid("pods", oracles=("review",))
    with serving(lambda _: Deed(YES)) as server:
        asker = Engine(made, {"alice": Access(server.url)}, None, NAMES, Limits())
        asker.answers(made.rows[0])
        asker.close()
    assert server.asked[0].target == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert set(orjson.loads(server.asked[0].body)["spec"]) == {"resourceAttributes"}


# --- a real server ----------------------------------------------------------------------------------------------------


class Watched:
    """Sees what goes through the fault proxy; may change it."""

    def __init__(self, change: Callable[[Seen, int], Answered | None] | None = None) -> None:
        self.seen: list[Seen] = []
        self._change = change
        self._times: Counter[tuple[str, str, bytes]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, asked: Seen, _: Answered) -> Answered | None:
        with self._lock:
            self.seen.append(asked)
            key = asked.method, asked.target, asked.body
            self._times[key] += 1
        return self._change(asked, self._times[key]) if self._change else None


@pytest.fixture(scope="module")
def whole(cluster: Cluster) -> Plan:
    with Client(cluster.admin) as client:
        frozen = take(client)
    return plan.make(
        frozen,
        (identity("cluster-admin"),),
        grants=Granting(),
        mode="full",
        oracles=("request", "review"),
        namespaces=OWN,
    )


@pytest.mark.server
def test_a_real_server_is_asked_over_few_connections(cluster: Cluster, whole: Plan) -> None:
    with counting(cluster.admin.server) as (address, connections):
        found, asker = asked(whole, replace(cluster.admin, server=address))
    assert counted(asker) == (whole.count(), 0, 0)
    # A watch ends with its connection; every other request leaves its own to the next.
    watches = sum(1 for row in whole.rows if row.request is not None and row.request.headers_only)
    assert len(connections) <= watches + engine.CONCURRENCY
    statuses = Counter(o.status for answers in found for o in answers.values() if isinstance(o, Outcome))
    assert not {status for status in statuses if status >= 500} - {503}, statuses
    assert not any(o.error for answers in found for o in answers.values())


@pytest.mark.server
def test_watches_end_with_their_headers(cluster: Cluster, whole: Plan) -> None:
    watches = replace(whole, rows=tuple(r for r in whole.rows if r.endpoint.verb == "watch"), oracles=("request",))
    begun = time.monotonic()
    found, asker = asked(watches, cluster.admin, Limits(1))
    spent = time.monotonic() - begun
    assert len(found) > 80
    assert {o.status for answers in found for o in answers.values()} <= {200, 405}  # type: ignore[union-attr]
    assert asker.counters.failed == 0
    assert spent < len(found) * 0.5, "one after the other, none waits for its five seconds"


@pytest.mark.server
def test_faults_between_us_and_a_real_server_change_no_answer(cluster: Cluster, whole: Plan) -> None:
    rows = [row for row in whole.rows if row.endpoint.group == "apps"]
    some = replace(whole, rows=tuple(rows))
    expected, _ = asked(some, cluster.admin)

    def change(it: Seen, nth: int) -> Answered | None:
        if nth > 1 or hash((it.target, it.body)) % 5:
            return None
        return Answered(503, (("Retry-After", "0"),), b"busy")

    flips = Watched(change)
    with before(cluster, flips) as behind:
        found, asker = asked(some, behind.admin)
    assert len(flips.seen) == asker.counters.sent + asker.counters.retried
    assert asker.counters.retried > 5
    assert asker.counters.failed == 0

    def bare(answers: Answers) -> dict[Any, Any]:
        return {k: replace(a, seconds=0.0) if isinstance(a, Outcome) else a for k, a in answers.items()}

    assert [bare(answers) for answers in found] == [bare(answers) for answers in expected]


@pytest.mark.server
def test_an_intermediarys_answer_is_told_by_the_audit_id_that_it_lacks(cluster: Cluster, whole: Plan) -> None:
    row = next(row for row in whole.rows if row.id == "v1/pods:get")
    flips = Watched(lambda _it, _nth: Answered(404, (), b"{}"))
    with before(cluster, flips) as behind, asking(whole, behind.admin) as asker:
        outcome = asker.answers(row)["cluster-admin", "request", ""]
    assert isinstance(outcome, Outcome)
    assert not outcome.audited
    with asking(whole, cluster.admin) as asker:
        outcome = asker.answers(row)["cluster-admin", "request", ""]
    assert isinstance(outcome, Outcome)
    assert outcome.audited


def test_a_request_of_headers_only_keeps_an_error_whole() -> None:
    def handler(_: Asked) -> Deed:
        return Deed(answer(403, b'{"kind":"Status","message":"why"}'))

    with serving(handler) as server, Client(Access(server.url)) as client:
        response = client.send(Request("GET", "/watch", headers_only=True))
    assert (response.status, response.body) == (403, b'{"kind":"Status","message":"why"}')
