from __future__ import annotations

import gzip
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest
from catalogs import endpoint, path, resource, snapshot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance import moments, store
from conformance.errors import RunFileError
from conformance.model import Identity, Outcome, Rbac, Request, Review
from conformance.plan import Row
from conformance.probe import attributes_of, refusal, request_of
from conformance.store import Head, SavedRun, Segment, StoredRow, Tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conformance.model import Endpoint, Snapshot
    from conformance.store import Answers

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
WORDS = st.lists(TEXT, max_size=3).map(tuple)
OUTCOMES = st.builds(
    Outcome,
    status=st.integers(0, 599),
    reason=TEXT,
    message=TEXT,
    kind=TEXT,
    causes=WORDS,
    audited=st.booleans(),
    seconds=st.integers(0, 300_000).map(lambda tenths: tenths / 10 / 1000),
    error=TEXT,
    warnings=WORDS,
)
REVIEWS = st.builds(Review, st.booleans(), st.booleans(), TEXT, TEXT, TEXT)
ANSWERS = st.dictionaries(st.tuples(TEXT, st.just("request"), TEXT), OUTCOMES, max_size=3).flatmap(
    lambda asked: st.dictionaries(st.tuples(TEXT, st.just("review"), TEXT), REVIEWS, max_size=3).map(
        lambda reviewed: asked | reviewed
    )
)
VERBS = st.sampled_from(["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "odd"])
ROWS = st.builds(
    lambda e, names, request: replace(row_of(e), names=names, request=request or row_of(e).request),
    st.builds(endpoint, TEXT.map(lambda t: f"p{t}".replace("/", "")), VERBS, scope=st.sampled_from(["own", "cluster"])),
    st.dictionaries(TEXT, st.lists(TEXT, min_size=1, max_size=3).map(tuple), max_size=2),
    st.none() | st.builds(Request, TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple)),
)


def row_of(of: Endpoint) -> Row:
    why = refusal(of, "dry-run", aggregated=False)
    of_resource = None if of.path else resource(of.plural)
    return Row(of.id, of, attributes_of(of), None if why else request_of(of, of_resource), why, of_resource)


def stored(row: Row) -> Row:
    """Give the row as a file has it: without its resource, and without what only the sending of a request needs."""
    request = row.request and replace(row.request, headers_only=False, body=row.request.body or None)
    return replace(row, resource=None, request=request)


HEAD = Head(
    id="20261122t163727-b476",
    started_at="2026-11-22T16:37:27Z",
    mode="dry-run",
    selection='-k "pods and get"',
    oracles=("request", "review", "rules"),
    namespaces={"own": ("{own}",), "other": ("{other}", "default")},
    identities=(Identity("alice", "impersonate", "alice@x", ("dev",), "u1", (("scopes", ("a", "b")),)),),
    left_out=(("bob", "no CSR signer"),),
    tool_version="0.1",
    provider="embedded",
    server="https://127.0.0.1:6443",
    server_version="v1.37.2",
)
TAIL = Tail(seconds=1.5, sent=10, retried=1, failed=0, planned=2)
FROZEN = snapshot(resource("pods"), rbac=Rbac(roles=({"metadata": {"name": "r", "namespace": "n"}, "rules": None},)))


def written(
    file: Path,
    lines: Sequence[tuple[Row, Answers]],
    *,
    left: Sequence[Row] = (),
    after: Snapshot | None = None,
    tail: Tail = TAIL,
) -> SavedRun:
    segment = Segment()
    for row, answers in lines:
        segment.add(row.id, store.row_line(row, answers))
    store.write(file, HEAD, FROZEN, [*(row for row, _ in lines), *left], segment, tail=tail, after=after)
    segment.close()
    return SavedRun(file)


@given(ROWS, ANSWERS, st.booleans(), st.booleans())
def test_a_row_comes_back_as_it_was(row: Row, answers: Answers, asked: bool, again: bool) -> None:  # noqa: FBT001
    line = store.row_line(row, answers, asked=asked, again=again)
    assert store.read_row(line) == StoredRow(stored(row), answers, asked, again)
    assert b"\n" not in line


@given(ROWS, ANSWERS, st.randoms())
def test_equal_answers_are_equal_bytes_in_whatever_order_they_came(row: Row, answers: Answers, chance: object) -> None:
    shuffled = list(answers.items())
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    slower = {k: replace(a, seconds=a.seconds + 1) if isinstance(a, Outcome) else a for k, a in shuffled}
    one, two = orjson.loads(store.row_line(row, answers)), orjson.loads(store.row_line(row, slower))
    assert len(one.pop("t")) == len(two.pop("t")) == len(answers)
    assert orjson.dumps(one) == orjson.dumps(two)


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = [row_of(endpoint("pods", "get")), row_of(path("/metrics"))]
    answers: Answers = {
        ("alice", "request", ""): Outcome(404, "NotFound"),
        ("alice", "review", ""): Review(allowed=True),
    }
    changed = replace(FROZEN, rbac=Rbac())
    saved = written(tmp_path / store.FILE, [(row, answers) for row in rows], after=changed)
    assert (saved.head, saved.snapshot, saved.after, saved.tail) == (HEAD, FROZEN, changed, TAIL)
    assert list(saved.rows()) == [StoredRow(stored(row), answers) for row in rows]
    assert list(saved.rows()) == list(SavedRun(tmp_path).rows()), "a folder is as good as its file"


def test_what_is_not_wanted_is_not_read(tmp_path: Path) -> None:
    row = row_of(path("/metrics"))
    saved = written(tmp_path / "r", [(row, {("alice", "request", ""): Outcome(200)})])
    assert [found.answers for found in saved.rows(without_answers={row.id})] == [{}]


def test_rows_stand_in_the_plans_order_and_their_second_asking_beside_the_first(tmp_path: Path) -> None:
    one, two = row_of(path("/a")), row_of(path("/b"))
    segment = Segment()
    segment.add(two.id, store.row_line(two, {}))
    segment.add(one.id, store.row_line(one, {}))
    segment.add(two.id, store.row_line(two, {}, again=True))
    store.write(tmp_path / "r", HEAD, FROZEN, [one, two], segment, tail=TAIL)
    segment.close()
    found = [(it.row.id, it.again) for it in SavedRun(tmp_path / "r").rows()]
    assert found == [("/a:get", False), ("/b:get", False), ("/b:get", True)]


def test_openapi_documents_come_back_without_their_prose(tmp_path: Path) -> None:
    text = (
        b'{\n "a": "}",\n "b": [1], "description": "of a \\"PRIVATE KEY\\"", "c": {"description": {"type": "string"}}}'
    )
    given = {"api/v1": text, 'apis/odd"key': b"{}", "apis/broken": b"no JSON"}
    segment = Segment()
    for key, raw in given.items():
        segment.add_document(key, raw)
    store.write(tmp_path / "r", HEAD, FROZEN, [], segment, tail=TAIL)
    segment.close()
    saved = SavedRun(tmp_path / "r")
    assert saved.tail == TAIL
    assert list(saved.rows()) == []
    assert saved.documents().keys() == given.keys()
    moment = moments.of_run(saved, None)
    assert moment.document("api/v1") == {
        "a": "}",
        "b": [1],
        "description": "",
        "c": {"description": {"type": "string"}},
    }
    assert moment.document("apis/broken") == moment.document("absent") == {}


def test_an_interrupted_run_holds_what_was_asked_and_names_the_rest(tmp_path: Path) -> None:
    asked, left = row_of(path("/a")), row_of(path("/b"))
    tail = replace(TAIL, interrupted="interrupted")
    saved = written(tmp_path / "r", [(asked, {})], left=[left], tail=tail)
    assert saved.tail.interrupted == "interrupted"
    assert [(it.row.id, it.asked) for it in saved.rows()] == [("/a:get", True), ("/b:get", False)]


def test_equal_runs_are_equal_bytes(tmp_path: Path) -> None:
    rows = [(row_of(endpoint("pods", "get")), {("alice", "request", ""): Outcome(404, seconds=0.1)})]
    for name in ("one", "two"):
        written(tmp_path / name, rows)  # type: ignore[arg-type]
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


# --- files that are no run --------------------------------------------------------------------------------------------

MENDS = re.compile(r"audit again|give the folder of a run")


def whole(tmp_path: Path) -> bytes:
    written(tmp_path / "whole", [(row_of(path("/a")), {("alice", "request", ""): Outcome(404, message="x" * 100)})])
    return (tmp_path / "whole").read_bytes()


def lines_of(data: bytes) -> list[bytes]:
    return gzip.decompress(data).splitlines()


def complaint(file: Path) -> str:
    with pytest.raises(RunFileError, match=MENDS) as caught:
        list(SavedRun(file).rows())
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_file_at_all(tmp_path: Path) -> None:
    assert "there is no run at" in complaint(tmp_path / "nothing")
    with pytest.raises(RunFileError, match=store.FILE):
        SavedRun(tmp_path)


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", b"PK\x03\x04", b"{}", b"not a run\n" * 9], ids=repr)
def test_a_file_that_is_no_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "r").write_bytes(data)
    complaint(tmp_path / "r")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_was_cut_short_anywhere(tmp_path: Path, share: float) -> None:
    data = whole(tmp_path)
    (tmp_path / "r").write_bytes(data[: int(len(data) * share)])
    complaint(tmp_path / "r")


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_seen_or_does_not_matter(tmp_path: Path, share: float, bit: int) -> None:
    data = bytearray(whole(tmp_path))
    data[int(len(data) * share)] ^= 1 << bit
    (tmp_path / "r").write_bytes(data)
    try:
        saved = SavedRun(tmp_path / "r")
    except RunFileError:
        return
    assert list(saved.rows()) == list(SavedRun(tmp_path / "whole").rows())
    assert (saved.head, saved.tail) == (HEAD, TAIL)


FOREIGN = {
    "an empty list": [b"[]"],
    "numbers": [b"1", b"2"],
    "deep": [b"[" * 100_000],
    "another program's": [b'{"event": "start"}', b'{"event": "end"}'],
    "a head alone": [0],
    "without a tail": [0, 1, 2],
    "without a snapshot": [0, 2, 3],
    "a head that is a list": [b'{"head": [1]}', 1, 2, 3],
    "a head that is a text": [b'{"head": "x"}', 1, 2, 3],
    "a head without fields": [b'{"head": {"version": 1}}', 1, 2, 3],
    "identities that are texts": [b'{"head": {"version": 1, "identities": ["x"]}}', 1, 2, 3],
    "a newer version": [b'{"head": {"version": 99}}', 1, 2, 3],
    "a snapshot that is a text": [0, b'{"snapshot": "x"}', 2, 3],
    "a snapshot that is empty": [0, b'{"snapshot": {}}', 2, 3],
    "a tail with more in it": [0, 1, 2, b'{"tail": {"more": 1}}'],
    "a tail that is null": [0, 1, 2, b'{"tail": null}'],
    "a row without an endpoint": [0, 1, b'{"row": "x"}', 3],
    "a row that is cut": [0, 1, b'{"row": "x', 3],
    "a row with a wrong answer": [0, 1, b'{"row": "x", "endpoint": {}, "answers": [[1]], "t": []}', 3],
    "a row whose request is a text": [0, 1, b'{"row": "x", "endpoint": {}, "request": "x"}', 3],
}


@pytest.mark.parametrize("made", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_another_kind(tmp_path: Path, made: list[int | bytes]) -> None:
    ours = lines_of(whole(tmp_path))
    lines = [ours[part] if isinstance(part, int) else part for part in made]
    (tmp_path / "r").write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    complaint(tmp_path / "r")


def test_a_newer_version_is_named(tmp_path: Path) -> None:
    ours = lines_of(whole(tmp_path))
    (tmp_path / "r").write_bytes(gzip.compress(b"\n".join([b'{"head": {"version": 99}}', *ours[1:]])))
    assert "it is of version 99, this kube-conformance reads version 1" in complaint(tmp_path / "r")


def test_rows_of_a_run_that_goes_on_are_in_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not named can't be left behind by a process that is killed."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    segment = Segment()
    segment.add("x", b"line")
    assert list(tmp_path.iterdir()) == []
    assert list(segment.lines("x")) == [b"line"]
    segment.close()
