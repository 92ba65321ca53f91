"""What a mutation is: one violation of the Kubernetes API, planted between the suite and a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import orjson
from faultproxy import Answered, Asked

from conformance.scripts import Ask


class Call:
    """A request read as the API reads it: verb, resource, name, query, body."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        split = urlsplit(asked.target)
        self.path = split.path
        self.query = parse_qsl(split.query, keep_blank_values=True)
        parts = split.path.strip("/").split("/")
        head = {"api": 2, "apis": 3}.get(parts[0], len(parts))
        self.group, rest = parts[1] if head == 3 and len(parts) > 1 else "", parts[head:]
        self.namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in {"status", "finalize"}:
            self.namespace, rest = rest[1], rest[2:]
        self.resource, self.name, self.sub = (*rest[:3], "", "", "")[:3]

    @property
    def verb(self) -> str:
        """The verb as RBAC names it; the method in lower case where no resource is asked."""
        method = self.asked.method
        if not self.resource:
            return method.lower()
        if method == "GET" and self.says("watch") in {"1", "true"}:
            return "watch"
        several = {"GET": "list", "DELETE": "deletecollection"}
        one = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
        return (one if self.name else one | several).get(method, method.lower())

    def says(self, parameter: str) -> str:
        """Give a parameter of the query."""
        return next((value for name, value in self.query if name == parameter), "")

    def header(self, name: str) -> str:
        """Give a header."""
        return next((value for held, value in self.asked.headers if held.lower() == name), "")

    @cached_property
    def body(self) -> Any:
        """The JSON that was sent, None where it is none."""
        return parsed(self.asked.body)


Edit: TypeAlias = Callable[[Any], Any]
"""Takes a JSON document; gives another one, or None when it changed the one that it was given."""
When: TypeAlias = Callable[[Call], bool]
Bend: TypeAlias = Callable[[Call], Asked | None]
Flip: TypeAlias = Callable[[Call, Answered], Answered | None]
Events: TypeAlias = Callable[[Any], Iterable[Any]]
Turn: TypeAlias = Callable[[Ask], Ask]


class Stream(NamedTuple):
    """What becomes of the watches that it concerns: `fresh` gives, for each, what an event turns into."""

    when: When
    fresh: Callable[[], Events]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One violation. `says` is what such a server does wrong, `caught_by` are the checks that have to notice.

    Each is named with what it is asked of, as in `LIST-LIMIT|v1/configmaps`. `bend` changes what the server is asked,
    so that it really does the wrong thing; `flip` changes what it answered, `stream` the events of a watch. Of what
    lies before the proxy, `turn` sends a request another way.
    """

    id: str
    says: str
    caught_by: tuple[str, ...] = ()
    bend: Bend | None = None
    flip: Flip | None = None
    stream: Stream | None = None
    turn: Turn | None = None


def parsed(data: bytes) -> Any:
    """Read JSON, None where it is none."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


# --- which requests ---------------------------------------------------------------------------------------------------


def calls(*verbs: str, sub: str | None = None, when: When | None = None) -> When:
    """Choose by verb, and by subresource: any, when it isn't said."""
    return lambda call: call.verb in verbs and (sub is None or call.sub == sub) and (when is None or when(call))


def asks(parameter: str, value: str | None = None) -> When:
    """Choose requests with a parameter, of this value where one is said."""
    return lambda call: any(n == parameter and value in {None, v} for n, v in call.query)


def path(prefix: str) -> When:
    """Choose what is asked below a path."""
    return lambda call: call.path.startswith(prefix)


# --- what the server is asked instead ---------------------------------------------------------------------------------


def requery(call: Call, query: Iterable[tuple[str, str]]) -> Asked:
    """Ask the same with another query."""
    written = urlencode(list(query), quote_via=quote)
    return call.asked._replace(target=f"{call.path}?{written}" if written else call.path)


def deaf_to(*parameters: str, when: When = lambda _: True) -> Bend:
    """Be a server that doesn't look at some parameters of the query."""

    def bend(call: Call) -> Asked | None:
        kept = [(name, value) for name, value in call.query if name not in parameters]
        return requery(call, kept) if len(kept) < len(call.query) and when(call) else None

    return bend


def hears(parameter: str, value: str, when: When) -> Bend:
    """Be a server that takes a parameter for another."""

    def bend(call: Call) -> Asked | None:
        if not when(call):
            return None
        return requery(call, [*(pair for pair in call.query if pair[0] != parameter), (parameter, value)])

    return bend


def moved(
    when: When,
    path: Callable[[str], str] = lambda it: it,
    *,
    query: Iterable[str] = (),
    values: Callable[[str, str], str] = lambda _, value: value,
    add: tuple[str, str] | None = None,
) -> Bend:
    """Be a server that serves another path for the one asked, without some parameters, or with other values."""
    left_out = frozenset(query)

    def bend(call: Call) -> Asked | None:
        if not when(call):
            return None
        kept = [(name, values(name, value)) for name, value in call.query if name not in left_out]
        call.path = path(call.path)
        asked = requery(call, [*kept, add] if add else kept)
        return None if asked.target == call.asked.target else asked

    return bend


def sends(when: When, edit: Edit) -> Bend:
    """Be a server that reads something else in a body than what it says."""

    def bend(call: Call) -> Asked | None:
        if not when(call) or call.body is None:
            return None
        body = parsed(call.asked.body)
        changed = edit(body)
        data = orjson.dumps(body if changed is None else changed)
        return None if parsed(data) == call.body else call.asked._replace(body=data)

    return bend


def reads_header(name: str, value: str | None, when: When = lambda _: True) -> Bend:
    """Be a server that reads another value in a header, or none."""

    def bend(call: Call) -> Asked | None:
        if not call.header(name) or not when(call):
            return None
        kept = tuple(pair for pair in call.asked.headers if pair[0].lower() != name)
        return call.asked._replace(headers=kept if value is None else (*kept, (name, value)))

    return bend


# --- what the client is answered instead ------------------------------------------------------------------------------


def answers(when: When, edit: Edit, *, status: int | None = None, only: Iterable[int] = range(200, 300)) -> Flip:
    """Be a server whose documents are wrong: those of answers with a status among `only`."""
    among = frozenset(only)

    def flip(call: Call, answered: Answered) -> Answered | None:
        body = parsed(answered.body)
        if body is None or answered.status not in among or not when(call):
            return None
        changed = edit(body)
        data = orjson.dumps(body if changed is None else changed)
        if parsed(data) == parsed(answered.body) and status in {None, answered.status}:
            return None
        return answered._replace(status=status or answered.status, body=data)

    return flip


def without_header(name: str, when: When = lambda _: True) -> Flip:
    """Be a server that leaves a header out."""

    def flip(call: Call, answered: Answered) -> Answered | None:
        kept = tuple(pair for pair in answered.headers if pair[0].lower() != name)
        return answered._replace(headers=kept) if len(kept) < len(answered.headers) and when(call) else None

    return flip


def instead(when: When, status: int, body: Any, *, only: Iterable[int]) -> Flip:
    """Be a server that answers something else altogether where its own status is among `only`."""
    among = frozenset(only)

    def flip(call: Call, answered: Answered) -> Answered | None:
        if answered.status not in among or not when(call):
            return None
        data = body(call) if callable(body) else body
        return answered._replace(status=status, body=orjson.dumps(data))

    return flip


def status(reason: str, code: int) -> Any:
    """Build a Status."""
    said = "Success" if code < 400 else "Failure"  # where errors begin
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": said, "reason": reason, "code": code}


def each_item(edit: Edit) -> Edit:
    """Edit each item of a list, and an object that comes by itself."""

    def walk(document: Any) -> None:
        for item in document.get("items", [document]) or ():
            edit(item)

    return walk


def put(*way: str, to: Any) -> Edit:
    """Put a value somewhere into a document, where the place is there."""

    def edit(document: Any) -> None:
        for key in way[:-1]:
            document = document.get(key) if isinstance(document, dict) else None
        if isinstance(document, dict):
            document[way[-1]] = to(document.get(way[-1])) if callable(to) else to

    return edit


def lose(*way: str) -> Edit:
    """Take something out of a document."""

    def edit(document: Any) -> None:
        for key in way[:-1]:
            document = document.get(key) if isinstance(document, dict) else None
        if isinstance(document, dict):
            document.pop(way[-1], None)

    return edit


# --- what becomes of the events of a watch ----------------------------------------------------------------------------


def stream(fresh: Callable[[], Events], when: When = lambda _: True) -> Stream:
    """Be a server whose watches bring something else."""
    return Stream(when, fresh)


def drops(kind: str) -> Callable[[], Events]:
    """Leave out events of a type."""
    return lambda: lambda event: [] if event["type"] == kind else [event]


def doubles(kind: str) -> Callable[[], Events]:
    """Send events of a type twice."""
    return lambda: lambda event: [event, event] if event["type"] == kind else [event]


def calls_it(kind: str, other: str) -> Callable[[], Events]:
    """Give events of one type another type."""
    return lambda: lambda event: [event | {"type": other} if event["type"] == kind else event]


def swaps(kind: str) -> Callable[[], Events]:
    """Hold each event of a type back until the next one has gone."""

    def fresh() -> Events:
        held: list[Any] = []

        def events(event: Any) -> Iterable[Any]:
            if event["type"] == kind and not held:
                held.append(event)
                return []
            out = [event, *held]
            held.clear()
            return out

        return events

    return fresh
