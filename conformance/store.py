"""A run to disk and back.

`run.jsonl.gz` is one JSON document a line: a head (who, where, how), the snapshot, one line for each row in plan order
with every answer, what scripts knew and one line for each with its exchanges, the server's OpenAPI documents without
their prose, and a tail (how it ended). What the run made stands in it as placeholders; timings are apart in `t`, so
that two equal runs differ in the head, the tail and `t` alone.

While a run goes on its rows lie in an unnamed temporary file, which the kernel removes with the process that made it.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import tempfile
import zlib
from dataclasses import dataclass, field, fields
from typing import IO, TYPE_CHECKING, Any, TypeVar

import orjson

from conformance.errors import RunFileError
from conformance.model import Endpoint, Identity, Outcome, Request, Review, Snapshot
from conformance.plan import Row
from conformance.probe import attributes_of
from conformance.scripts import Ask, Exchange, Reply, Sample, Trial, World
from conformance.snapshot_json import dump, load

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence
    from pathlib import Path

    from conformance.model import Json, Mode
    from conformance.scripts import Ending, Planned

FILE = "run.jsonl.gz"
VERSION = 1

_Read = TypeVar("_Read")

Answers = dict[tuple[str, str, str], Outcome | Review]


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a run before its first probe."""

    id: str
    started_at: str
    mode: str
    selection: str
    oracles: tuple[str, ...]
    namespaces: dict[str, tuple[str, ...]]
    identities: tuple[Identity, ...]
    left_out: tuple[tuple[str, str], ...]
    tool_version: str
    provider: str
    server: str
    server_version: str
    again: tuple[str, ...] = ()
    expectations: tuple[Json, ...] = ()  # the lines that the run is held against
    risks: tuple[tuple[str, str], ...] = ()  # files of the user's own risk rules: name and content
    exclusions: tuple[Json, ...] = ()  # the findings that the user accepts
    fail_on: str = "high"  # the least severity of a finding that fails the run


@dataclass(frozen=True, slots=True)
class Tail:
    """How a run ended. `interrupted` says by what, empty when it came to its end."""

    seconds: float
    sent: int
    retried: int
    failed: int
    planned: int
    interrupted: str = ""
    answers: dict[str, Any] = field(default_factory=dict)  # how many were validated, and what was wrong with which


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row with its answers; `asked` is false when the run ended before its turn, `again` when it was asked anew."""

    row: Row
    answers: Answers
    asked: bool = True
    again: bool = False


def row_line(row: Row, answers: Answers, *, asked: bool = True, again: bool = False) -> bytes:
    """Write a row with its answers as one line, without its newline."""
    line: dict[str, Any] = {"row": row.id, "endpoint": _filled(row.endpoint)}
    if row.request is not None:
        request = row.request
        line["request"] = {"method": request.method, "path": request.path, "query": request.query}
        if request.headers:
            line["request"]["headers"] = request.headers
        if request.body:
            line["request"]["body"] = request.body.decode()
    if row.refused:
        line["refused"] = row.refused
    if row.names:
        line["names"] = row.names
    if not asked:
        line["asked"] = False
    if again:
        line["again"] = True
    # Answers come in the order in which the server gave them; the store keeps the plan's.
    ordered = sorted(answers.items())
    line["answers"] = [[*key, _answer(answer)] for key, answer in ordered]
    line["t"] = [round(answer.seconds * 1000, 1) if isinstance(answer, Outcome) else 0 for _, answer in ordered]
    return orjson.dumps(line)


def _answer(answer: Outcome | Review) -> dict[str, Any]:
    return _filled(answer, leave=("seconds",))


_FIELDS = {kind: fields(kind) for kind in (Outcome, Review, Endpoint)}


def _filled(value: Outcome | Review | Endpoint, leave: tuple[str, ...] = ()) -> dict[str, Any]:
    """Give the fields that differ from their default: most answers are short."""
    named = ((field.name, getattr(value, field.name), field.default) for field in _FIELDS[type(value)])
    return {name: held for name, held, default in named if held != default and name not in leave}


def read_row(line: bytes, without_answers: Container[str] = ()) -> StoredRow:
    """Read a row's line back."""
    raw = orjson.loads(line)
    if raw["row"] in without_answers and not raw.get("again"):
        raw |= {"answers": [], "t": []}
    endpoint = Endpoint(**raw["endpoint"])
    asked = raw.get("request")
    request = None
    if asked is not None:
        request = Request(
            asked["method"],
            asked["path"],
            tuple((k, v) for k, v in asked["query"]),
            tuple((k, v) for k, v in asked.get("headers", ())),
            asked["body"].encode() if "body" in asked else None,
        )
    names = {identity: tuple(found) for identity, found in raw.get("names", {}).items()}
    row = Row(raw["row"], endpoint, attributes_of(endpoint), request, raw.get("refused", ""), None, names)
    answers: Answers = {}
    for (identity, oracle, name, answer), milliseconds in zip(raw["answers"], raw["t"], strict=True):
        if oracle == "review":
            answers[identity, oracle, name] = Review(**answer)
        else:
            for key in ("causes", "warnings"):
                if key in answer:
                    answer[key] = tuple(answer[key])
            answers[identity, oracle, name] = Outcome(**answer, seconds=milliseconds / 1000)
    return StoredRow(row, answers, raw.get("asked", True), raw.get("again", False))


def script_line(planned: Planned, exchanges: Sequence[Exchange], ended: Ending) -> bytes:
    """Write a script with its exchanges as one line, without its newline."""
    line = {
        "script": planned.id,
        "check": planned.check,
        "subject": planned.subject.id,
        "number": planned.number,
        "verdict": ended.verdict,
        "exchanges": [[_asked(each.ask), _replied(each.reply)] for each in exchanges],
        "t": [round(each.seconds * 1000, 1) for each in exchanges],
    }
    return orjson.dumps(line)


def _asked(ask: Ask) -> dict[str, Any]:
    body = ask.body.decode("utf-8", "replace") if isinstance(ask.body, bytes) else ask.body
    if isinstance(body, str) and len(body) > _LONG:
        body = f"{body[:_LONG]}... ({len(body)} characters)"
    named = {"query": ask.query, "headers": ask.headers, "identity": ask.identity, "body": body}
    return {"method": ask.method, "path": ask.path} | {key: value for key, value in named.items() if value}


def _replied(reply: Reply) -> dict[str, Any]:
    return {name: held for name in _REPLY if (held := getattr(reply, name)) not in (None, "", (), {}, True)}


_LONG = 4096  # characters of a request's body that are kept: some are large on purpose
_REPLY = tuple(field.name for field in fields(Reply))


@dataclass(frozen=True, slots=True)
class StoredScript:
    """A script with its exchanges, by the ids of its check and subject."""

    check: str
    subject: str
    number: int
    exchanges: tuple[Exchange, ...]
    asked: bool = True

    @property
    def id(self) -> str:
        """The id of the script."""
        return f"{self.check}|{self.subject}"


def read_script(line: bytes, without: Container[str] = ()) -> StoredScript:
    """Read a script's line back; of some their exchanges may not be wanted."""
    raw = orjson.loads(line)
    exchanges: list[Exchange] = []
    if raw["script"] not in without:
        for (asked, replied), milliseconds in zip(raw["exchanges"], raw["t"], strict=True):
            ask = Ask(asked["method"], asked["path"], body=asked.get("body"), identity=asked.get("identity", ""))
            for key in ("warnings", "events", "problems"):
                if key in replied:
                    replied[key] = tuple(replied[key])
            reply = Reply(**({"status": 0} | replied))
            exchanges.append(Exchange(ask, reply, milliseconds / 1000))
    return StoredScript(raw["check"], raw["subject"], raw["number"], tuple(exchanges), raw.get("asked", True))


def document_line(key: str, raw: bytes) -> bytes:
    """Write an OpenAPI document as one line, without its newline and its prose; `raw` is JSON as the server gave it.

    Descriptions are most of a document, nothing is compared by them, and they speak of keys and certificates, which
    whoever looks for secrets in a run would find.
    """
    bare = _PROSE.sub(b'"description":""', raw.replace(b"\n", b" "))
    return b"".join((_DOCUMENT, orjson.dumps(key), _CONTENTS, bare, b"}"))


def _read_document(line: bytes) -> tuple[str, bytes]:
    key, contents, raw = line.removeprefix(_DOCUMENT).removesuffix(b"}").partition(_CONTENTS)
    if not contents:
        raise ValueError("an OpenAPI document is damaged")
    return orjson.loads(key), raw


_PROSE = re.compile(rb'"description":\s*"(?:[^"\\]|\\.)*"')
_DOCUMENT, _CONTENTS = b'{"openapi":', b',"contents":'
_DOCUMENT_ID = "openapi "  # what the id of a document's line begins with in a segment; no row's and no script's does


class Segment:
    """The rows of a run that is going on, as they come in; given back in the plan's order."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the run
        self._places: dict[str, list[tuple[int, int]]] = {}
        self._end = 0

    def add(self, row_id: str, line: bytes) -> None:
        """Keep a row's line."""
        self._file.seek(self._end)
        self._file.write(line)
        self._places.setdefault(row_id, []).append((self._end, len(line)))
        self._end += len(line)

    def add_document(self, key: str, raw: bytes) -> None:
        """Keep an OpenAPI document."""
        self.add(f"{_DOCUMENT_ID}{key}", document_line(key, raw))

    def documents(self) -> Iterator[bytes]:
        """Give the lines of the OpenAPI documents, in the order in which they came."""
        for each in self._places:
            if each.startswith(_DOCUMENT_ID):
                yield from self.lines(each)

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._places

    def lines(self, row_id: str) -> Iterator[bytes]:
        """Give a row's lines: the first asking, then the one after the policy changed."""
        for offset, length in self._places.get(row_id, ()):
            self._file.seek(offset)
            yield self._file.read(length)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


def write(
    path: Path,
    head: Head,
    snapshot: Snapshot,
    rows: Sequence[Row],
    segment: Segment,
    *,
    tail: Tail,
    after: Snapshot | None = None,
    scripts: Sequence[Planned] = (),
    world: World | None = None,
) -> None:
    """Write a whole run.

    `world` is what the scripts knew beside the snapshot; `after` the snapshot whose RBAC was read once more, where it
    changed meanwhile.
    """
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=3, fileobj=raw, mtime=0) as file:
        for name, value in (("head", _head(head)), ("snapshot", dump(snapshot))):
            file.write(orjson.dumps({name: value}) + b"\n")
        if after is not None:
            file.write(orjson.dumps({"after": dump(after)}) + b"\n")
        for row in rows:
            for line in segment.lines(row.id) if row.id in segment else (row_line(row, {}, asked=False),):
                file.write(line + b"\n")
        if world is not None:
            file.write(orjson.dumps({"world": _world(world)}) + b"\n")
        for each in scripts:
            unasked = {"script": each.id, "check": each.check, "subject": each.subject.id, "number": each.number}
            unasked |= {"asked": False, "exchanges": [], "t": []}
            for line in segment.lines(each.id) if each.id in segment else (orjson.dumps(unasked),):
                file.write(line + b"\n")
        for line in segment.documents():
            file.write(line + b"\n")
        file.write(orjson.dumps({"tail": {f.name: getattr(tail, f.name) for f in fields(Tail)}}) + b"\n")


def _world(world: World) -> dict[str, Any]:
    return {
        "features": sorted(world.features),
        "custom": sorted(world.custom),
        "samples": {key: _shown(sample) for key, sample in world.samples.items()},
        "podImage": world.pod_image,
        "trials": [{f.name: getattr(trial, f.name) for f in fields(Trial)} for trial in world.trials],
    }


def _shown(sample: Sample) -> dict[str, Any]:
    return {f.name: held for f in fields(Sample) if (held := getattr(sample, f.name)) not in (None, "", ())}


def _read_trial(raw: dict[str, Any]) -> Trial:
    return Trial(**(raw | {"role": tuple(raw["role"]), "rights": tuple(raw["rights"])}))


def _read_sample(raw: dict[str, Any]) -> Sample:
    needs = tuple((path, body) for path, body in raw.get("needs", ()))
    return Sample(**(raw | {"needs": needs}))


def _head(head: Head) -> dict[str, Any]:
    plain = {field.name: getattr(head, field.name) for field in fields(Head)}
    plain["identities"] = [{f.name: getattr(i, f.name) for f in fields(Identity)} for i in head.identities]
    return {"version": VERSION} | plain


# What comes of reading JSON that is not ours.
_WRONG = (ValueError, KeyError, TypeError, AttributeError, RunFileError)


class SavedRun:
    """A run read from its file; rows are read anew, one at a time, whenever they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path / FILE if path.is_dir() else path
        lines = self._lines()
        try:
            self.head = _read_head(_expect(next(lines, b""), "head"))
            self.snapshot = load(_expect(next(lines, b""), "snapshot"))
            self.after: Snapshot | None = None
            self.world: World | None = None
            last = b""
            for number, line in enumerate(lines):
                if number == 0 and line.startswith(b'{"after"'):
                    self.after = load(_expect(line, "after"))
                elif line.startswith(b'{"world"'):
                    self.world = self._read_world(_expect(line, "world"))
                last = line
            self.tail = Tail(**_expect(last, "tail"))
        except _WRONG as problem:
            raise self._foreign(problem) from None
        finally:
            lines.close()

    def rows(self, without_answers: Container[str] = ()) -> Iterator[StoredRow]:
        """Read every row, in the plan's order; of some rows their answers may not be wanted."""
        return self._each(b'{"row"', lambda line: read_row(line, without_answers))

    def scripts(self, without: Container[str] = ()) -> Iterator[StoredScript]:
        """Read every script, in the plan's order; of some their exchanges may not be wanted."""
        return self._each(b'{"script"', lambda line: read_script(line, without))

    def documents(self) -> dict[str, bytes]:
        """Read the OpenAPI documents: key of the index -> JSON."""
        return dict(self._each(_DOCUMENT, _read_document))

    def _each(self, beginning: bytes, read: Callable[[bytes], _Read]) -> Iterator[_Read]:
        with contextlib.closing(self._lines()) as lines:
            for line in lines:
                if line.startswith(beginning):
                    try:
                        stored = read(line)
                    except _WRONG as problem:
                        raise self._foreign(problem) from None
                    yield stored

    def _read_world(self, raw: dict[str, Any]) -> World:
        mode: Mode = self.head.mode  # type: ignore[assignment]  # one of the three
        return World(
            catalog=self.snapshot.catalog,
            identities=self.head.identities,
            mode=mode,
            server_version=self.head.server_version,
            openapi=self.snapshot.openapi,
            features=frozenset(raw["features"]),
            custom=frozenset(raw["custom"]),
            samples={key: _read_sample(sample) for key, sample in raw["samples"].items()},
            pod_image=raw.get("podImage", ""),
            trials=tuple(_read_trial(trial) for trial in raw.get("trials", ())),
        )

    def _foreign(self, problem: Exception) -> RunFileError:
        why = problem if isinstance(problem, ValueError | RunFileError) else f"{type(problem).__name__} {problem}"
        return RunFileError(
            f"{self.path} is no run of kube-conformance, or not a whole one: {why}; "
            "give the folder of a run, such as reports/latest, or audit again"
        )

    def _lines(self) -> Any:
        try:
            with gzip.open(self.path, "rb") as file:
                for line in file:
                    yield line.rstrip(b"\n")
        except FileNotFoundError:
            raise RunFileError(
                f"there is no run at {self.path}; give the folder of a run, such as reports/latest"
            ) from None
        except (OSError, EOFError, zlib.error) as problem:
            raise RunFileError(f"{self.path} cannot be read: {problem}; audit again, or give another run") from None


def _expect(line: bytes, name: str) -> Any:
    document = orjson.loads(line)
    if not isinstance(document, dict) or name not in document:
        raise ValueError(f"its {name} is missing")
    return document[name]


def _read_head(raw: dict[str, Any]) -> Head:
    version = raw.pop("version")
    if version != VERSION:
        raise ValueError(f"it is of version {version}, this kube-conformance reads version {VERSION}")
    raw["identities"] = tuple(
        Identity(
            **(
                i
                | {
                    "groups": tuple(i["groups"]),
                    "extra": tuple((key, tuple(values)) for key, values in i["extra"]),
                }
            ),
        )
        for i in raw["identities"]
    )
    raw["oracles"] = tuple(raw["oracles"])
    raw["again"] = tuple(raw.get("again", ()))
    raw["expectations"] = tuple(raw.get("expectations", ()))
    raw["risks"] = tuple((name, content) for name, content in raw.get("risks", ()))
    raw["exclusions"] = tuple(raw.get("exclusions", ()))
    raw["namespaces"] = {scope: tuple(names) for scope, names in raw["namespaces"].items()}
    raw["left_out"] = tuple((name, why) for name, why in raw["left_out"])
    return Head(**raw)
