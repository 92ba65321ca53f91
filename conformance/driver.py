"""A script on its way: what it asks next, what came back, and the removal of all that it made.

Knows no connection: the engine takes requests from here and brings the answers. No write leaves here that could touch
what the run did not make.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from conformance.model import Request
from conformance.placeholders import OTHER, OWN
from conformance.replies import Reader, event, message, request_of
from conformance.scripts import CASE_LABEL, HOLD, Ask, Ending, Exchange, at, ending, lost, shows

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from conformance.model import Response
    from conformance.placeholders import Placeholders
    from conformance.scripts import Case, Planned, Script

    # What is wrong with an answer; of a stream its lines are given beside it.
    Validate = Callable[[Request, Response, list[bytes] | None], tuple[str, ...]]

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_CREATED, _OK, _ERRORS, _BROKEN = 201, 200, 400, 500
_BUSY = frozenset({429, 502, 503, 504})
# What makes a 504, 429 or 503 an answer: asking again would bring the same one. The last is services/proxy's for an
# absent service.
_ANSWERS = (b"ResourceVersionTooLarge", b"DisruptionBudget", b"no endpoints available for service")
_STORE_FAILED = b"etcdserver: "  # in a 500: its store did not answer in time, or has no leader just now
_FINALIZE = "/finalize"
_REVIEWS = ("reviews",)  # kinds that are asked by POST and store nothing
_SECONDS = 10.0
_REMOVAL, _SETTLING = -1, -2  # places of what no script asked for
_SETTLED_AFTER = 45.0  # seconds at most; the controllers that are waited for take a fraction of one
_REST = 0.4  # seconds in which a controller that has not seen its own write yet may write the same once more
# Finalizers that controllers of every cluster take away by themselves, and when they like.
_LET_GO = frozenset({"customresourcecleanup.apiextensions.k8s.io", "foregroundDeletion", "orphan"})
_MERGE = (("Content-Type", "application/merge-patch+json"), ("Accept", "application/json"))
_BOTH = (("Content-Type", "application/json"), ("Accept", "application/json"))


@dataclass(slots=True, eq=False)
class Sending:
    """One request of a script. `place` is that among those that are asked at once, or says what else it is for."""

    driven: Driven
    place: int
    ask: Ask
    request: Request
    opened: bool = False
    repeated: bool = False  # it was sent before, and whether that had an effect nobody knows

    @property
    def waits(self) -> bool:
        """Whether it is open for long without any work for the server."""
        return self.ask.is_watch or self.ask.slow

    @property
    def seconds(self) -> float:
        """How long a stream is followed."""
        return self.ask.seconds or _SECONDS

    def enough(self, lines: list[bytes]) -> bool:
        """Say whether a stream has brought what it is followed for."""
        assert self.ask.ends is not None  # noqa: S101  # a watch
        return self.ask.ends([message(line) if self.ask.upgrade else event(line) for line in lines])

    def is_open(self) -> None:
        """Let what waits for the stream go."""
        self.opened = True
        self.driven.release()


@dataclass(slots=True)
class _Made:
    path: str
    uid: str
    finalized: bool = False


class Driven:
    """A script with its case; `ending` is there when it has ended and all that it made is gone."""

    def __init__(
        self, planned: Planned, case: Case, script: Script, placeholders: Placeholders, validate: Validate | None = None
    ) -> None:
        self.planned, self.case = planned, case
        self.exchanges: list[Exchange] = []
        self.ending: Ending | None = None
        self.ready: deque[Sending] = deque()  # to be sent now
        self.rests = 0.0  # seconds until it goes on by itself
        self.left_behind: list[str] = []
        self._placeholders, self._validate = placeholders, validate
        self._reader = Reader(case, placeholders)
        self._steps = script(case)
        self._made: dict[str, _Made] = {}
        self._ended: Ending | None = None
        self._group: list[Sending] = []  # what is asked at once
        self._held: list[Sending] = []  # of those, what waits for a stream to open
        self._several = False
        self._unsettled: list[Sending] = []  # what new objects are waited for with
        self._answers: dict[int, tuple[Response, list[bytes] | None, str]] = {}
        self._step(None)

    # --- the script ---

    def _step(self, given: Any) -> None:
        try:
            wanted: Ask | tuple[Ask, ...] = self._steps.send(given)
            self._several = isinstance(wanted, tuple)
            asks: tuple[Ask, ...] = wanted if isinstance(wanted, tuple) else (wanted,)
            self._group = [self._sending(place, ask) for place, ask in enumerate(asks)]
        except StopIteration:
            self._end(ending(None))
            return
        except Exception as raised:  # noqa: BLE001  # whatever a check raises is its ending
            self._end(ending(raised))
            return
        self._answers = {}
        watches = [each for each in self._group if each.ask.is_watch]
        others = [each for each in self._group if not each.ask.is_watch]
        self.ready.extend(watches or others)
        self._held = others if watches else []

    def release(self) -> None:
        """Send what waited until every stream of its group is open (or was refused)."""
        if all(each.opened or each.place in self._answers for each in self._group if each.ask.is_watch):
            self.ready.extend(self._held)
            self._held = []

    def _sending(self, place: int, ask: Ask) -> Sending:
        request = request_of(ask, self._reader.ledger)
        problem = hazard(ask, request, self.case, self._placeholders, self._made)
        if problem:
            raise RuntimeError(f"{ask.method} {ask.path} is not sent: {problem}")
        return Sending(self, place, ask, request)

    def arrived(self, sending: Sending, response: Response, lines: list[bytes] | None = None, ended: str = "") -> None:
        """Take an answer; goes on when it is the last one of its group."""
        if sending.place == _REMOVAL:
            self._removed(sending, response)
            return
        if sending.place == _SETTLING:
            self._unsettled.remove(sending)
            self.rests = 0.0 if self._unsettled else _REST
            return
        self._note(sending.request, response)
        self._answers[sending.place] = (response, lines, ended)
        if sending.ask.is_watch and self._held:
            self.release()
        if len(self._answers) < len(self._group):
            return
        if self._unsettled:
            self.ready.extend(self._unsettled)
        else:
            self._reply()

    def rested(self) -> None:
        """Go on: the time to rest is over."""
        self.rests = 0.0
        self._reply()

    def _reply(self) -> None:
        """Give the script what it asked for."""
        replies = []
        for each in self._group:
            answer, events, how = self._answers[each.place]
            try:
                reply = replace(self._reader.reply(each.ask, answer, events), ended=how)
                if said := unheard(each, answer):
                    reply = replace(reply, error=said)
            except Exception as raised:  # noqa: BLE001  # a reading that breaks is a check that breaks
                self._steps.close()
                self._end(ending(raised))
                return
            if self._validate is not None and "audit-id" in answer.headers:
                problems = self._validate(each.request, answer, events)
                if problems and each.ask.schema:
                    reply = replace(reply, problems=tuple(sorted(map(self._reader.ledger.mask_text, problems))))
            self.exchanges.append(Exchange(each.ask, reply, answer.seconds))
            replies.append(reply)
        unanswered = lost((each.ask for each in self._group), replies)
        if unanswered is not None:
            self._steps.close()
            self._end(unanswered)
            return
        self._step(tuple(replies) if self._several else replies[0])

    # --- what it made ---

    def _note(self, request: Request, response: Response) -> None:
        """Remember what came to be by a request, and what went by it."""
        if request.method not in _WRITES or (("dryRun", "All") in request.query and request.method != "DELETE"):
            return
        collection, name, sub = _parts(request.path)
        if sub or not collection:
            return
        if request.method == "DELETE":
            return  # the removal finds out whether it is gone
        if response.status != _CREATED:
            return
        try:
            document = orjson.loads(response.body)
            metadata = document["metadata"]
            path = f"{collection}/{name or metadata['name']}"
            self._made[path] = _Made(path, str(metadata["uid"]))
            self._settle(collection, document)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            # An answer that names nothing: what was asked for may be there all the same.
            wanted = name or str(at(_body(request), "metadata", "name") or "")
            if wanted:
                self._made[f"{collection}/{wanted}"] = _Made(f"{collection}/{wanted}", "")

    def _settle(self, collection: str, document: Any) -> None:
        """Have a new object waited for, if controllers write into each of its kind: the script sees what they left."""
        sample = self.case.subject.sample
        if sample is None or sample.settled is None or self._reader.ledger.fill(self.case.collection()) != collection:
            return
        if shows(sample.settled, document):
            return
        metadata = document["metadata"]
        query = (
            ("watch", "true"),
            ("fieldSelector", f"metadata.name={metadata['name']}"),
            ("resourceVersion", str(metadata["resourceVersion"])),
            ("timeoutSeconds", str(int(_SETTLED_AFTER))),
        )
        wanted = sample.settled

        def ends(events: list[Any]) -> bool:
            return any(shows(wanted, at(event, "object")) or at(event, "type") == "ERROR" for event in events)

        ask = Ask("GET", collection, query, ends=ends, seconds=_SETTLED_AFTER)
        self._unsettled.append(Sending(self, _SETTLING, ask, request_of(ask, self._reader.ledger)))

    def _end(self, ended: Ending) -> None:
        self._ended = ended
        self._remove()

    def _remove(self) -> None:
        """Ask for the removal of what was made last, or be done."""
        if not self._made:
            self.ending = self._ended
            return
        made = next(reversed(self._made.values()))
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        options |= {"gracePeriodSeconds": 0} | ({"preconditions": {"uid": made.uid}} if made.uid else {})
        self.ready.append(self._removal("DELETE", made.path, options, _BOTH))

    def _removal(self, method: str, path: str, body: Any, headers: tuple[tuple[str, str], ...]) -> Sending:
        request = Request(method, path, (), headers, orjson.dumps(body))
        return Sending(self, _REMOVAL, Ask(method, path), request)

    def _removed(self, sending: Sending, response: Response) -> None:
        if self._validate is not None and "audit-id" in response.headers:
            self._validate(sending.request, response, None)
        made = self._made[sending.request.path.removesuffix(_FINALIZE)]
        if sending.request.method == "DELETE" and response.status == _OK and _kind(response) != "Status":
            metadata = at(_body(response), "metadata")
            if not made.finalized and not _LET_GO.issuperset(at(metadata, "finalizers") or ()):
                # Nobody else is there to finish it: of objects of ours only.
                made.finalized = True
                body = {"metadata": {"finalizers": None} | ({"uid": made.uid} if made.uid else {})}
                self.ready.append(self._removal("PATCH", made.path, body, _MERGE))
                return
            held = at(_body(response), "spec", "finalizers") or []
            if [each for each in held if each.startswith(HOLD)]:
                # What holds a namespace by its spec goes by another way, for which the rest of the object is needed.
                document = _body(response)
                document["spec"]["finalizers"] = [each for each in held if not each.startswith(HOLD)]
                self.ready.append(self._removal("PUT", f"{made.path}{_FINALIZE}", document, _BOTH))
                return
        elif response.status not in {_OK, 202, 404, 409}:
            self.left_behind.append(f"{made.path}: {response.error or response.status}")
        del self._made[made.path]
        self._remove()


def is_busy(response: Response, expects: Container[int] = ()) -> bool:
    """Whether an answer only says that the server cannot just now: asked again it would say something else."""
    if response.status in expects:
        return False
    if response.status == _BROKEN:
        return _STORE_FAILED in response.body
    return response.status in _BUSY and not any(answer in response.body for answer in _ANSWERS)


def unheard(sending: Sending, response: Response) -> str:
    """Say why an answer that came in the end tells nothing of what was asked; empty when it does."""
    if is_busy(response, sending.ask.expects):
        return f"{response.status}, again and again"
    if response.cut and not sending.ask.is_watch:
        return "the answer was too long, or took too long"
    if sending.repeated and response.status >= _ERRORS:
        return f"{response.status}, when it was sent again: whether the first time had an effect nobody knows"
    return ""


def writes(request: Request) -> bool:
    """Whether a request changes something, so that the same one sent again may be answered otherwise."""
    return request.method in _WRITES and ("dryRun", "All") not in request.query


def _body(message: Request | Response) -> Any:
    try:
        return orjson.loads(message.body or b"")
    except orjson.JSONDecodeError:
        return None


def _kind(response: Response) -> Any:
    return at(_body(response), "kind")


def _parts(path: str) -> tuple[str, str, str]:
    """Split a resource's path into collection, name and subresource; empty for what is no resource's."""
    parts = path.strip("/").split("/")
    head = 2 if parts[0] == "api" else 3 if parts[0] == "apis" else len(parts)
    rest = parts[head:]
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in {"status", "finalize"}:  # noqa: PLR2004
        head, rest = head + 2, rest[2:]
    if not rest:
        return "", "", ""
    collection = "/" + "/".join([*parts[:head], rest[0]])
    return collection, rest[1] if len(rest) > 1 else "", "/".join(rest[2:])


def hazard(ask: Ask, request: Request, case: Case, placeholders: Placeholders, made: Container[str] = ()) -> str:
    """Say why a request must not be sent: it could write to what the run did not make. Empty when it is harmless.

    `made` are paths of objects that this script made.
    """
    if request.method not in _WRITES or ask.identity == "@etcd":
        return ""
    collection, name, sub = _parts(request.path)
    plural = collection.rpartition("/")[2]
    if plural.endswith(_REVIEWS) and request.method == "POST":
        return ""
    dry = ("dryRun", "All") in request.query
    if request.method == "DELETE" and request.body:  # whose options count instead of the query's
        dry = at(_body(request), "dryRun") == ["All"]
    if case.world.mode == "observe":
        return "mode observe writes nothing"
    if dry and (plural, sub) != ("serviceaccounts", "token"):
        return ""
    if case.world.mode != "full":
        return "mode dry-run sends writes with dryRun=All only"
    run = placeholders.run
    inside = any(f"/namespaces/{placeholders.fill(place)}/" in request.path for place in (OWN, OTHER))
    if not name and request.method == "DELETE":
        selected = dict(request.query).get("labelSelector", "")
        return "" if inside and f"{CASE_LABEL}={case.number:x}" in selected else "it deletes what others made"
    if inside or run in request.path or placeholders.address in request.path or f"{collection}/{name}" in made:
        return ""
    if not name and run.encode() in (request.body or b""):
        return ""  # a new object that bears the run's name
    return "it names what the run did not make"
