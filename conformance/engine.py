"""Sends what a plan holds: many requests in flight, one thread, answers handed out row by row.

The engine is pumped by whoever waits for a row, and goes on with the next rows meanwhile: while one row is judged, the
requests of the following ones are on the wire. Bounded: `concurrency` requests in flight and `AHEAD` rows begun.
"""

from __future__ import annotations

import contextlib
import heapq
import random
import time
from collections import deque
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import orjson
import pycurl

from conformance import transport
from conformance.driver import Driven, is_busy, writes
from conformance.model import Access, Attributes, Outcome, Request, Response, Review
from conformance.scripts import ADMIN_ACCESS, Planned
from conformance.transport import Exchange, Following, Messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from conformance.driver import Sending, Validate
    from conformance.model import Identity
    from conformance.placeholders import Placeholders
    from conformance.plan import Call, Plan, Row
    from conformance.scripts import Case, Script

CONCURRENCY = 16
AHEAD = 12
SCRIPTS_AHEAD = 64  # begun and not asked for yet: they take several steps each, and some wait for a stream
STREAMS = 32  # followed at once, beside the requests in flight: they wait more than they work
TRIES = 4
WAIT_AT_MOST = 10.0  # seconds that a server's Retry-After is honoured
_UNDONE = frozenset({429, 503})  # what was answered so had no effect
_KEEP = 8 << 20  # bytes of an answer: more than the largest object, which etcd limits, takes as JSON
_MESSAGE_BYTES = 4096
_WORD, _LIST = 256, 16  # of reasons and kinds, of causes and warnings: a server may send what it likes
_UNAUTHORIZED = 401
_ERRORS = 400

Key = tuple[str, str, str]  # identity, oracle, name
Answers = dict[Key, Outcome | Review]


@dataclass(slots=True)
class Counters:
    """What was sent: `sent` counts each request once, `retried` its repetitions, `failed` those without an answer."""

    sent: int = 0
    retried: int = 0
    failed: int = 0


@dataclass(slots=True)
class Limits:
    """How hard a server is asked. `qps` 0 means as fast as it answers; `gentle` gives way when it slows down."""

    concurrency: int = CONCURRENCY
    qps: float = 0.0
    gentle: bool = False


@dataclass(slots=True, eq=False)
class _Work:
    row: str
    key: Key
    access: str
    request: Request
    names: tuple[tuple[str, str], ...] = ()
    tries: int = 0
    renewed: bool = False
    shown: Access | None = None  # the credential that went with it: another may have been had since
    exchange: Exchange | None = None
    sending: Sending | None = None  # the step of a script that it is


@dataclass(slots=True)
class _Begun:
    left: int
    answers: Answers


class Engine:
    """Asks rows. `accesses` are the identities' own; `reviewer` asks the reviews (None: each identity for itself)."""

    def __init__(
        self,
        plan: Plan,
        accesses: Mapping[str, Access],
        reviewer: Access | None,
        placeholders: Placeholders,
        limits: Limits,
        *,
        user_agent: str = transport.USER_AGENT,
        scripts: Callable[[Planned], tuple[Script, Case]] | None = None,
        validate: Validate | None = None,
    ) -> None:
        self.counters = Counters()
        self._plan = plan
        self._accesses = dict(accesses)
        if reviewer is not None:
            self._accesses[_REVIEWER] = reviewer
        self._scripts, self._validate = scripts, validate
        self._driven: dict[str, Driven] = {}
        self._streams = 0
        self._self_review = reviewer is None
        self._identities = {identity.name: identity for identity in plan.identities}
        self._placeholders = placeholders
        self._limits = limits
        self._window = float(limits.concurrency)
        self._user_agent = user_agent
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, limits.concurrency * 4)
        self._idle: dict[str, list[pycurl.Curl]] = {}
        self._flying: dict[pycurl.Curl, _Work] = {}
        self._ready: deque[_Work] = deque()
        self._later: list[tuple[float, int, _Work]] = []
        self._resting: list[tuple[float, int, Driven]] = []
        self._finished: deque[tuple[pycurl.Curl, str | None, int]] = deque()  # and not looked at yet
        self._ticket = count()
        self._begun: dict[str, _Begun] = {}
        self._rows: Iterator[Row | Planned] = iter(())
        self._next_slot = 0.0
        self._last_plain: Request | None = None
        self._last_filled = Request("", "")
        self._last_attributes: Attributes | None = None
        self._last_asked = b""
        self._who: dict[str, bytes] = {}
        self._pace = _Pace()

    def close(self) -> None:
        """Drop every connection and whatever is still on its way."""
        for handle in list(self._flying):
            self._multi.remove_handle(handle)
            handle.close()
        for handles in self._idle.values():
            for handle in handles:
                handle.close()
        self._flying.clear()
        self._idle.clear()
        self._multi.close()

    def run_ahead(self, rows: Iterable[Row | Planned]) -> None:
        """Say which rows and scripts will be wanted, in this order: they are asked before they are waited for."""
        self._rows = iter(rows)

    def begin(self, row: Row | Planned) -> None:
        """Start asking a row, or a script, now."""
        if isinstance(row, Planned):
            if row.id not in self._driven:
                assert self._scripts is not None  # noqa: S101  # a plan with scripts comes with them
                script, case = self._scripts(row)
                driven = self._driven[row.id] = Driven(row, case, script, self._placeholders, self._validate)
                self._take(driven)
            return
        if row.id in self._begun:
            return
        works = [self._work(row, call) for call in self._plan.calls(row)]
        self._begun[row.id] = _Begun(len(works), {})
        self._ready.extend(works)

    def answers(self, row: Row) -> Answers:
        """Wait for all answers of a row, and hand them out once."""
        self.begin(row)
        while self._begun[row.id].left:
            self._pump()
        self._top_up()
        return self._begun.pop(row.id).answers

    def script(self, planned: Planned) -> Driven:
        """Wait until a script has ended and what it made is gone, and hand it out once."""
        self.begin(planned)
        while self._driven[planned.id].ending is None:
            self._pump()
        self._top_up()
        return self._driven.pop(planned.id)

    def _take(self, driven: Driven) -> None:
        """Take what a script wants to be sent; the steps that follow come before new rows and scripts."""
        if driven.rests:
            heapq.heappush(self._resting, (time.monotonic() + driven.rests, next(self._ticket), driven))
        while driven.ready:
            sending = driven.ready.popleft()
            key = (sending.ask.identity, "script", "")
            work = _Work(driven.planned.id, key, sending.ask.identity or ADMIN_ACCESS, sending.request, sending=sending)
            self._ready.append(work)

    # --- the pump ---

    def _pump(self) -> None:
        self._top_up()
        while True:
            status, _ = self._multi.perform()
            if status != pycurl.E_CALL_MULTI_PERFORM:
                break
        if self._collect():
            return  # there is room in the window again
        if self._flying:
            self._multi.select(min(0.5, self._until_later()))
        else:
            time.sleep(min(0.5, self._until_later()))  # for a repetition, or the next slot of the rate

    def _until_later(self) -> float:
        now = time.monotonic()
        soon = [waiting[0][0] - now for waiting in (self._later, self._resting) if waiting]
        if self._ready and self._limits.qps:
            soon.append(self._next_slot - now)
        return max(0.001, min(soon, default=0.5))

    def _top_up(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._ready.appendleft(heapq.heappop(self._later)[2])
        while self._resting and self._resting[0][0] <= now:
            driven = heapq.heappop(self._resting)[2]
            driven.rested()
            self._take(driven)
        window = int(self._window)
        while len(self._flying) - min(self._streams, STREAMS) < window:
            if not self._ready:
                if len(self._begun) >= AHEAD or len(self._driven) >= SCRIPTS_AHEAD:
                    return
                row = next(self._rows, None)
                if row is None:
                    return
                self.begin(row)
                continue
            if self._limits.qps:
                if now < self._next_slot:
                    return
                self._next_slot = max(self._next_slot, now - 1.0) + 1.0 / self._limits.qps
            self._send(self._ready.popleft())

    def _send(self, work: _Work) -> None:
        access = self._accesses[work.access]
        if access.renew is not None and access.expires is not None and time.time() >= access.expires:
            access = self._renewed(work.access, access)
        work.shown = access
        handles = self._idle.setdefault(work.access, [])
        if handles:
            handle = handles.pop()
        else:
            handle = pycurl.Curl()
            transport.prepare(handle, access, user_agent=self._user_agent)
        if work.sending is not None:
            work.exchange = self._step_of(handle, access, work.sending)
        else:
            work.exchange = Exchange(handle, access, work.request, keep=_KEEP)
        work.tries += 1
        self._flying[handle] = work
        self._multi.add_handle(handle)

    def _step_of(self, handle: pycurl.Curl, access: Access, sending: Sending) -> Exchange:
        self._streams += sending.waits
        if not sending.ask.is_watch:
            return Exchange(handle, access, sending.request)

        def opened() -> None:
            sending.is_open()
            self._take(sending.driven)

        kind = Messages if sending.ask.upgrade else Following
        return kind(handle, access, sending.request, enough=sending.enough, opened=opened, seconds=sending.seconds)

    def _collect(self) -> int:
        left = 1
        while left:
            left, fine, failed = self._multi.info_read()
            self._finished.extend((handle, None, 0) for handle in fine)
            self._finished.extend((handle, text or f"libcurl error {code}", code) for handle, code, text in failed)
        done = len(self._finished)
        while self._finished:  # what is left when one of them breaks is taken by the next look
            self._arrived(*self._finished.popleft())
        return done

    def _arrived(self, handle: pycurl.Curl, error: str | None, code: int) -> None:
        work = self._flying.pop(handle)
        exchange = work.exchange
        assert exchange is not None  # noqa: S101  # set when it was sent
        response = exchange.response(handle, error, code)
        work.exchange = None
        self._streams -= work.sending is not None and work.sending.waits
        self._multi.remove_handle(handle)
        if self._limits.gentle:
            self._window = self._pace.window(self._window, self._limits.concurrency, response)
        if self._again(work, response):
            handle.close()
            return
        if self._accesses[work.access] is work.shown:
            self._idle[work.access].append(handle)
        else:
            handle.close()  # it holds a certificate that is no longer shown
        self.counters.sent += 1
        self.counters.failed += response.error is not None
        if work.sending is not None:
            driven = work.sending.driven
            if isinstance(exchange, Following):
                driven.arrived(work.sending, response, exchange.lines, exchange.ended)
            else:
                driven.arrived(work.sending, response)
            self._take(driven)
            return
        begun = self._begun[work.row]
        begun.left -= 1  # first: nobody shall wait for an answer that could not be read
        begun.answers[work.key] = self._read(work, response)

    def _again(self, work: _Work, response: Response) -> bool:
        """Ask once more? After a lapse of the credential, a reset, a time-out or a server that is too busy."""
        access = self._accesses[work.access]
        if response.status == _UNAUTHORIZED and access.renew is not None and not work.renewed:
            work.renewed = True
            if access is work.shown:  # else another request that was refused has renewed it already
                self._renewed(work.access, access)
            self._later_by(work, 0.0)
            return True
        expects = work.sending.ask.expects if work.sending is not None else frozenset[int]()
        if response.error is not None and 0 in expects:
            return False
        if (response.error is None and not is_busy(response, expects)) or work.tries >= TRIES:
            return False
        if work.sending is not None and writes(work.sending.request) and response.status not in _UNDONE:
            work.sending.repeated = True
        asked_for = response.headers.get("retry-after", "")
        backoff = 0.1 * 2**work.tries * random.uniform(0.5, 1.5)  # noqa: S311  # spreads load, guards nothing
        self._later_by(work, min(float(asked_for), WAIT_AT_MOST) if asked_for.isdigit() else backoff)
        self.counters.retried += 1
        return True

    def _renewed(self, name: str, access: Access) -> Access:
        assert access.renew is not None  # noqa: S101  # the caller looked
        fresh = self._accesses[name] = access.renew()
        for handle in self._idle.pop(name, ()):
            handle.close()  # it holds the old certificate
        self._idle[name] = []
        return fresh

    def _later_by(self, work: _Work, seconds: float) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._ticket), work))

    # --- from calls to requests, from responses to outcomes ---

    def _work(self, row: Row, call: Call) -> _Work:
        key = (call.identity, call.oracle, call.name)
        if call.request is not None:
            return _Work(row.id, key, call.identity, self._filled(call.request))
        if self._self_review:
            return _Work(row.id, key, call.identity, self._review(call.attributes, None))
        return _Work(row.id, key, _REVIEWER, self._review(call.attributes, self._identities[call.identity]))

    def _filled(self, request: Request) -> Request:
        """Put the real names in; a row's request is the same object for all its identities."""
        if request is self._last_plain:
            return self._last_filled
        fill = self._placeholders.fill
        self._last_plain = request
        self._last_filled = replace(
            request,
            path=fill(request.path),
            query=tuple((name, fill(value)) for name, value in request.query) if request.query else (),
            body=fill(request.body.decode()).encode() if request.body else None,
        )
        return self._last_filled

    def _review(self, attributes: Attributes, identity: Identity | None) -> Request:
        """Build a review out of two halves that many reviews share."""
        if attributes is not self._last_attributes:
            self._last_attributes = attributes
            self._last_asked = self._placeholders.fill(_asked_json(attributes)).encode()
        name = identity.name if identity else ""
        who = self._who.get(name)
        if who is None:
            who = self._who[name] = self._placeholders.fill(_who_json(identity)).encode()
        kind = "SelfSubjectAccessReview" if identity is None else "SubjectAccessReview"
        return Request("POST", _REVIEW_PATHS[kind], (), _JSON_BOTH, b"".join((who, self._last_asked, b"}}")))

    def _read(self, work: _Work, response: Response) -> Outcome | Review:
        if self._validate is not None and response.error is None and "audit-id" in response.headers:
            self._validate(work.request, response, None)
        if work.key[1] == "review":
            return read_review(response, self._placeholders)
        return read_outcome(response, self._placeholders)


_REVIEWER = "\0reviewer"  # no identity can be named so


_REVIEW_PATHS = {
    kind: f"/apis/authorization.k8s.io/v1/{kind.lower()}s"
    for kind in ("SelfSubjectAccessReview", "SubjectAccessReview")
}
_JSON_BOTH = (("Accept", "application/json"), ("Content-Type", "application/json"))


def _who_json(identity: Identity | None) -> str:
    """Begin a review: its kind and who is asked about, up to what is asked."""
    kind = "SelfSubjectAccessReview" if identity is None else "SubjectAccessReview"
    spec: dict[str, object] = {}
    if identity is not None:
        spec |= {"user": identity.user, "groups": identity.groups}
        if identity.uid:
            spec["uid"] = identity.uid
        if identity.extra:
            spec["extra"] = dict(identity.extra)
    text = orjson.dumps({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}).decode()
    return text.removesuffix("}}") + ("," if spec else "")


def _asked_json(attributes: Attributes) -> str:
    """Say what is asked, as the second half of a review's spec."""
    if attributes.path:
        path = orjson.dumps({"path": attributes.path, "verb": attributes.verb}).decode()
        return f'"nonResourceAttributes":{path}'
    asked = {
        "verb": attributes.verb,
        "group": attributes.group,
        "version": attributes.version,
        "resource": attributes.resource,
        "subresource": attributes.subresource,
        "namespace": attributes.namespace,
        "name": attributes.name,
    }
    filled = orjson.dumps({key: value for key, value in asked.items() if value}).decode()
    return f'"resourceAttributes":{filled}'


def read_review(response: Response, placeholders: Placeholders) -> Review:
    """Read a review's answer; anything but a 201 with a status is a Review with `error`."""
    if response.error:
        return Review(allowed=False, error=response.error)
    mask = placeholders.mask_message
    try:
        document = orjson.loads(response.body)
        status = document["status"]
        if response.status >= _ERRORS or not isinstance(status, dict):
            return Review(allowed=False, error=mask(_cut(f"{response.status} {document.get('message', '')}".rstrip())))
        return Review(
            allowed=status.get("allowed") is True,
            denied=status.get("denied") is True,
            reason=_steady(mask(_cut(status.get("reason", "")))),
            evaluation_error=mask(_cut(status.get("evaluationError", ""))),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return Review(allowed=False, error=f"{response.status}, but not the answer of a review")


_BY_RBAC = "RBAC: allowed by "


def _steady(reason: str) -> str:
    """Leave out which binding RBAC named: where several allow it names any of them, another one each time."""
    return f"{_BY_RBAC}a binding" if reason.startswith(_BY_RBAC) else reason


def read_outcome(response: Response, placeholders: Placeholders) -> Outcome:
    """Keep of an answer what a Status says; the body of a success is dropped here and never stored."""
    if response.error:
        return Outcome(0, error=response.error, audited=False, seconds=response.seconds)
    mask = placeholders.mask_message
    reason = message = kind = ""
    causes: tuple[str, ...] = ()
    if response.status >= _ERRORS:
        document: object = None
        with contextlib.suppress(orjson.JSONDecodeError):
            document = orjson.loads(response.body)
        if isinstance(document, dict):
            reason, kind = _cut(document.get("reason", ""), _WORD), _cut(document.get("kind", ""), _WORD)
            message = mask(_cut(document.get("message", "")))
            details = document.get("details")
            listed = details.get("causes") if isinstance(details, dict) else None
            if isinstance(listed, list):
                causes = tuple(_cut(c.get("reason", ""), _WORD) for c in listed[:_LIST] if isinstance(c, dict))
        else:
            message = mask(response.body[:_MESSAGE_BYTES].decode("utf-8", "replace"))
    return Outcome(
        status=response.status,
        reason=reason,
        message=message,
        kind=kind,
        causes=causes,
        audited="audit-id" in response.headers,
        seconds=response.seconds,
        warnings=tuple(mask(_cut(warning, _WORD)) for warning in response.warnings[:_LIST]),
    )


def _cut(text: object, most: int = _MESSAGE_BYTES) -> str:
    whole = text if isinstance(text, str) else ""
    if len(whole) * 4 <= most:
        return whole
    return whole.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


class _Pace:
    """Gives way on a server that others use: halves the window when latency doubles or a 429 comes; recovers slowly."""

    def __init__(self) -> None:
        self._usual = 0.0
        self._recent = 0.0
        self._seen = 0

    def window(self, window: float, most: int, response: Response) -> float:
        self._seen += 1
        self._recent = response.seconds if self._seen == 1 else 0.9 * self._recent + 0.1 * response.seconds
        if self._seen <= _SETTLED:
            self._usual = self._recent
            return window
        if response.status == 429 or self._recent > 2 * self._usual:  # noqa: PLR2004  # as SEMANTICS says
            self._seen = 0
            return max(1.0, window / 2)
        return min(float(most), window + 0.05)


_SETTLED = 20
