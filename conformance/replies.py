"""An answer of the server -> what a script learns of it and the store keeps, with placeholders for what runs differ in.

A script never sees a real uid, resourceVersion, moment, address or token, so it says the same of a saved run. Contents
of objects that it did not make itself, and of Secrets, never get this far.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from conformance.model import Request
from conformance.scripts import CASE_LABEL, JSON, RUN_LABEL, Ask, Memory, Reply, Seen, at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.model import Response
    from conformance.placeholders import Placeholders
    from conformance.scripts import Case

_MESSAGE = 4096
_KEPT_HEADERS = ("content-type", "etag", "allow", "location", "cache-control", "retry-after")
_ERRORS = 400
_UPGRADE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "a3ViZS1jb25mb3JtYW5jZQ=="),  # it proves that a WebSocket server answers, and nothing else
)
_UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_VOLUME = re.compile(r"\bkube-api-access-[a-z0-9]{5}\b")  # the name that admission gives to a pod's token volume
_STATES = re.compile(r"(?<=current: )\d+|(?<=version: )\d+ \(\d+\)")  # in messages: how far the server is by now
_PATTERNS = (("uid", _UID), ("time", _MOMENT), ("volume", _VOLUME))
# Keys whose values the server chooses; the word is the same for one value wherever it stands.
_CHOSEN = {
    "uid": "uid",
    "resourceVersion": "rv",
    "listVersion": "list",  # what a reading calls that of a list
    "continue": "continue",
    "token": "token",
    "clusterIP": "ip",
    "clusterIPs": "ip",
    "podIP": "ip",
    "hostIP": "ip",
    "nodePort": "port",
    "healthCheckNodePort": "port",
    "hash": "hash",  # of a document, which may hold the run's names
}
_STREAMED = "k8s.io/initial-events-end"  # on the bookmark that ends a streaming list
_WRITTEN = "{moment}"  # when a manager wrote: equal or not is chance, and nobody sends it back
_TOLD = frozenset({"rv", "list", "ip", "port", "continue", "generated", "hash"})  # what messages speak of
_SECRET = frozenset({"data", "stringData"})


class Ledger:
    """The placeholders of one script: what the server chose, numbered as it was first seen; both ways."""

    def __init__(self, placeholders: Placeholders) -> None:
        self._names = placeholders
        self._words: dict[tuple[str, Any], str] = {}
        self._reals: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._generated: list[tuple[str, str]] = []

    def word(self, kind: str, real: Any) -> str:
        """Give the placeholder of a real value."""
        known = self._words.get((kind, real))
        if known is None:
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            known = self._words[kind, real] = f"{{{kind}{number}}}"
            self._reals[known] = real
        return known

    def fill(self, value: Any) -> Any:
        """Put the real values in."""
        if isinstance(value, str):
            if "{" not in value:
                return value
            if value in self._reals:
                return self._reals[value]
            for word, real in self._reals.items():
                if word in value:
                    value = value.replace(word, str(real))
            return self._names.fill(value)
        if isinstance(value, dict):
            return {self.fill(key): self.fill(member) for key, member in value.items()}
        return [self.fill(member) for member in value] if isinstance(value, list) else value

    def mask_text(self, text: str) -> str:
        """Take real values out of a text."""
        text = self._names.mask(text)
        for real, word in self._generated:
            text = text.replace(real, word)
        if text.count("-") > 1:
            for kind, pattern in _PATTERNS:
                text = pattern.sub(lambda found, kind=kind: self.word(kind, found[0]), text)  # type: ignore[misc]
        return text

    def generated(self, real: str) -> str:
        """Give the placeholder of a name that the server made up; it stands in labels and messages, too."""
        word = self.word("generated", real)
        if not any(known == word for _, known in self._generated):
            self._generated.append((self._names.mask(real), word))
        return word

    def state(self, version: str, *, known: bool) -> str:
        """Give the placeholder of a list's resourceVersion: a new one, unless it is that of a list `known` before."""
        if known and ("list", version) in self._words:
            return self._words["list", version]
        self._words.pop(("list", version), None)
        return self.word("list", version)

    def moment(self, place: str, real: str) -> str:
        """Give the placeholder of a moment by where it stands: whether two are in one second is chance.

        An object has one moment of its creation; if it ever has another one, that is told.
        """
        if not place.endswith(".creationTimestamp"):
            word = f"{{time:{place}}}"
            self._reals[word] = real
            return word
        known = self._words.get((place, real))
        if known is None:
            number = self._counts[place] = self._counts.get(place, 0) + 1
            known = self._words[place, real] = f"{{time:{place}{f':{number}' if number > 1 else ''}}}"
            self._reals[known] = real
        return known

    def mask(self, value: Any, key: str = "", place: str = "") -> Any:
        """Take real values out of JSON. `place` is where it stands, for moments."""
        kind = _CHOSEN.get(key)
        if isinstance(value, str):
            if kind and value not in {"", "None"}:
                return self.word(kind, value)
            if _MOMENT.fullmatch(value):
                return _WRITTEN if key == "time" and ".managedFields" in place else self.moment(place, value)
            return self.mask_known(value) if key == "message" else self.mask_text(value)
        if isinstance(value, dict):
            uid = at(value, "metadata", "uid")
            inside = self.word("uid", uid).strip("{}") if isinstance(uid, str) and uid else place
            return {
                self.mask_text(name) if "-" in name else name: self.mask(member, name, f"{inside}.{name}")
                for name, member in value.items()
            }
        if isinstance(value, list):
            return [self.mask(member, key, f"{place}[{number}]") for number, member in enumerate(value)]
        return self.word(kind, value) if kind == "port" and type(value) is int and value else value

    def mask_known(self, text: str) -> str:
        """Take out of a message what the patterns do not tell: values that stand in the ledger already."""
        text = _STATES.sub("{now}", self.mask_text(text))
        for (kind, real), word in self._words.items():
            if kind in _TOLD and len(str(real)) > 1 and str(real) in text:
                text = re.sub(rf"(?<!\w){re.escape(str(real))}(?!\w)", word, text)
        return text


def request_of(ask: Ask, ledger: Ledger) -> Request:
    """Make the request that goes out: real names, compact JSON, and JSON asked for unless the script says otherwise."""
    body: bytes | None = None
    if isinstance(ask.body, bytes):
        body = ask.body
    elif isinstance(ask.body, str):
        body = str(ledger.fill(ask.body)).encode()
    elif ask.body is not None:
        body = orjson.dumps(ledger.fill(ask.body))
    given = {name.lower() for name, _ in ask.headers}
    headers = [(name, str(ledger.fill(value))) for name, value in ask.headers]
    if "accept" not in given:
        headers.append(("Accept", "*/*" if ask.upgrade else JSON))
    if body is not None and "content-type" not in given:
        headers.append(("Content-Type", JSON))
    if ask.upgrade:
        headers += [*_UPGRADE, ("Sec-WebSocket-Protocol", ask.upgrade)]
    query = tuple((name, str(ledger.fill(value))) for name, value in ask.query)
    return Request(ask.method, str(ledger.fill(ask.path)), query, tuple(headers), body)


class Reader:
    """Reads the answers of one script."""

    def __init__(self, case: Case, placeholders: Placeholders) -> None:
        self.ledger = Ledger(placeholders)
        self._prefix, self._reports = placeholders.fill(case.prefix), case.subject.reports
        self._names, self._run, self._number = placeholders, placeholders.run, f"{case.number:x}"
        self._memory: Memory = {}

    def reply(self, ask: Ask, response: Response, events: list[bytes] | None = None) -> Reply:
        """Make the reply of an answer."""
        if response.error:
            return Reply(0, error=self.ledger.mask_known(response.error))
        document = _json(response.body) if events is None else None
        reply = Reply(
            status=response.status,
            headers=self._headers(response),
            warnings=tuple(self.ledger.mask_known(warning[:512]) for warning in response.warnings[:16]),
            audited="audit-id" in response.headers,
        )
        if ask.identity == "@etcd":  # to have forgotten a state before is to have forgotten it
            return replace(reply, status=200 if b"has been compacted" in response.body else reply.status, body=None)
        if ask.read is not None:
            body = document if events is None else [message(e) if ask.upgrade else event(e) for e in events]
            if body is not None and self._run.encode() in response.body:
                # A reading compares with what the script knows, and these are the run's placeholders.
                body = orjson.loads(self._names.mask(orjson.dumps(body).decode()))
            kept = ask.read(Seen(response.status, response.headers, response.body, body), self._memory)
            return replace(reply, body=self.ledger.mask(kept))
        if events is not None and ask.upgrade and response.status < _ERRORS:
            heard = (message(each) for each in events)
            return replace(reply, events=tuple([channel, self.ledger.mask_text(text)] for channel, text in heard))
        if events is not None and response.status < _ERRORS:
            return replace(reply, events=tuple(self._events(ask, events)))
        return replace(reply, body=self._kept(ask, document, response))

    def _headers(self, response: Response) -> dict[str, str]:
        found = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        if "etag" in found:
            found["etag"] = self.ledger.word("etag", found["etag"])
        return {name: self.ledger.mask_known(value) for name, value in found.items()}

    def _events(self, ask: Ask, events: list[bytes]) -> list[Any]:
        kept = []
        last: dict[Any, tuple[Any, Any]] = {}  # of each object, as it was told last: version and content
        for found in map(_json, events):
            kind, shown = at(found, "type"), at(found, "object")
            if kind not in {"BOOKMARK", "ERROR"}:
                if not self._is_own(shown):
                    continue
                uid, version = at(shown, "metadata", "uid"), at(shown, "metadata", "resourceVersion")
                before, last[uid] = last.get(uid), (version, self._told(ask, shown))
                if kind == "MODIFIED" and before and before[0] != version and before[1] == last[uid][1]:
                    continue  # how often a controller wrote what nobody asked for is chance
            kept.append({"type": kind, "object": self._object(ask, shown)})
        return kept

    def _told(self, ask: Ask, shown: Any) -> Any:
        """Give what an event tells of an object: all but what is left out of it and what each write changes."""
        left = {"managedFields", "resourceVersion"}
        metadata = {key: value for key, value in shown["metadata"].items() if key not in left}
        status = {"status"} if self._reports and not ask.status else set()
        return {key: value for key, value in shown.items() if key not in status} | {"metadata": metadata}

    def _kept(self, ask: Ask, document: Any, response: Response) -> Any:
        if not isinstance(document, dict):
            if response.status >= _ERRORS:
                return {
                    "kind": "",
                    "message": self.ledger.mask_known(response.body[:_MESSAGE].decode("utf-8", "replace")),
                }
            return None
        if _is_status(document):
            return self._status(document)
        items = document.get("items")
        if isinstance(items, list) and "metadata" in document:
            return {
                "kind": document.get("kind"),
                "apiVersion": self.ledger.mask(document.get("apiVersion")),
                "metadata": self._of_list(ask, document["metadata"]),
                "items": [self._object(ask, item) for item in items if self._is_own(item)],
            }
        return self._object(ask, document)

    def _status(self, document: Mapping[str, Any]) -> Any:
        status = {key: value for key, value in document.items() if key != "metadata"}
        status["message"] = self.ledger.mask_known(str(document.get("message", ""))[:_MESSAGE])
        return self.ledger.mask(status)

    def _of_list(self, ask: Ask, metadata: Any) -> Any:
        """Mask what a list says of itself; whether two lists are of one state is chance, unless one follows another."""
        if not isinstance(metadata, dict):
            return None
        follows = any(name in {"continue", "resourceVersion"} for name, _ in ask.query)
        version = metadata.get("resourceVersion")
        # How many there are beside is the others' doing.
        left = {"resourceVersion", "remainingItemCount"}
        kept = self.ledger.mask({key: value for key, value in metadata.items() if key not in left})
        return kept | ({"resourceVersion": self.ledger.state(version, known=follows)} if version else {})

    def _foreign(self, item: Any) -> Any:
        """Keep of what others made its kind and name, and of a bookmark its resourceVersion and what it says."""
        kept: dict[str, Any] = {}
        name, version = at(item, "metadata", "name"), at(item, "metadata", "resourceVersion")
        if name:
            kept["name"] = self.ledger.mask(name)
        if version:
            kept["resourceVersion"] = self.ledger.state(str(version), known=False)
        if at(item, "metadata", "annotations", _STREAMED) is not None:
            kept["annotations"] = {_STREAMED: str(item["metadata"]["annotations"][_STREAMED])}
        return {key: self.ledger.mask(item[key]) for key in ("kind", "apiVersion") if key in item} | {"metadata": kept}

    def _is_own(self, item: Any) -> bool:
        metadata = at(item, "metadata")
        if not isinstance(metadata, dict):
            return False
        labels = metadata.get("labels")
        if isinstance(labels, dict) and labels.get(RUN_LABEL) == self._run and labels.get(CASE_LABEL) == self._number:
            return True
        return str(metadata.get("name", "")).startswith(self._prefix)

    def _object(self, ask: Ask, item: Any) -> Any:
        if not isinstance(item, dict):
            return None
        if _is_status(item):
            return self._status(item)
        if not self._is_own(item):
            return self._foreign(item)
        metadata = dict(item["metadata"])
        if ask.managed:  # they stand in the order of the seconds in which somebody wrote
            metadata["managedFields"] = sorted(metadata.get("managedFields") or (), key=_of_manager)
        else:
            metadata.pop("managedFields", None)
        if not ask.version:
            metadata.pop("resourceVersion", None)
        generated = metadata.get("generateName")
        if isinstance(generated, str) and generated and str(metadata.get("name", "")).startswith(generated):
            metadata["name"] = self.ledger.generated(metadata["name"])
        whole = item | {"metadata": metadata}
        if self._reports and not ask.status:
            whole.pop("status", None)
        if item.get("kind") == "Secret":
            whole |= {
                key: {name: self.ledger.word("secret", str(value)) for name, value in item[key].items()}
                for key in _SECRET
                if isinstance(item.get(key), dict)
            }
        return self.ledger.mask(whole)


def _of_manager(entry: Any) -> tuple[str, ...]:
    return tuple(str(at(entry, key) or "") for key in ("manager", "operation", "subresource", "apiVersion"))


def message(frame: bytes) -> list[Any]:
    """Read a message of a `channel.k8s.io` connection: its first byte says which channel it is of."""
    return [frame[0] if frame else -1, frame[1:].decode("utf-8", "replace")]


def event(line: bytes) -> Any:
    """Read a line of a watch; None where it is no JSON."""
    return _json(line)


def _is_status(document: Mapping[str, Any]) -> bool:
    """Whether it is the API's own Status, or means to be: a custom resource may be called so, too."""
    return document.get("kind") == "Status" and document.get("apiVersion") in {None, "v1"}


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
