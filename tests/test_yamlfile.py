"""Mistakes in users' files are told with file, line, key and what would be valid."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from conformance.errors import FileError
from conformance.yamlfile import Key, choice, date, each, every, flag, line, plain, read, table, text, texts

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {
    "name": Key(line, required=True),
    "groups": Key(texts, default=()),
    "until": Key(date),
    "on": Key(flag, default=False),
    "level": Key(choice("low", "high"), default="low"),
    "extra": Key(every(texts), default={}),
    "note": Key(text, default=""),
}
FILE = {"entries": Key(each(table(KEYS)), required=True)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "entries.yaml"


def parse(file: Path, content: str | bytes) -> Any:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(file).table(FILE)["entries"]


def test_each_kind_of_value_is_read(file: Path) -> None:
    entries = parse(
        file,
        """\
entries:
  - {name: a, groups: [x, "1"], until: 2027-01-31, "on": yes, level: high, extra: {k: [v, w]}, note: "two\\nlines"}
  - name: b
""",
    )
    assert entries[0] == {
        "name": "a",
        "groups": ("x", "1"),
        "until": dt.date(2027, 1, 31),
        "on": True,
        "level": "high",
        "extra": {"k": ("v", "w")},
        "note": "two\nlines",
    }
    assert entries[1] == {
        "name": "b", "groups": (), "until": None, "on": False, "level": "low", "extra": {}, "note": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "value"),
    [("3", 3), ("2.5", 2.5), ("'3'", "3"), ("words", "words"), ("off", False), ("[a, 1, [true]]", ["a", 1, [True]])],
)
def test_a_plain_value_keeps_its_type(file: Path, content: str, value: object) -> None:
    file.write_text(content)
    read_back = plain(read(file))
    assert (read_back, type(read_back)) == (value, type(value))


@pytest.mark.parametrize("content", ["{a: 1}", "2027-01-31", "~", "!!python/name:os.system"])
def test_what_is_not_plain_is_refused(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(FileError, match="has to be text"):
        plain(read(file))


MISTAKES = {
    "unknown key": ("entries:\n- name: a\n  grups: [x]\n", 3, ["entries[1]", "'grups'", "name, groups, until"]),
    "missing key": ("entries:\n- name: a\n- level: low\n", 3, ["entries[2]", "'name' is missing", "groups"]),
    "key twice": ("entries:\n- name: a\n  name: b\n", 3, ["'name' stands twice"]),
    "not a list": ("entries:\n  name: a\n", 2, ["entries", "a list", "a mapping"]),
    "not a mapping": ("entries:\n- a\n", 2, ["entries[1]", "a mapping", "text"]),
    "a number for a text": ("entries:\n- name: 12\n", 2, ["entries[1].name", "a number", "quotes"]),
    "a truth value for a text": ("entries:\n- name: no\n", 2, ["true or false", "quotes"]),
    "nothing for a text": ("entries:\n- name:\n", 2, ["nothing"]),
    "a list for a text": ("entries:\n- name: [a]\n", 2, ["text", "a list"]),
    "an empty line": ('entries:\n- name: " "\n', 2, ["one line"]),
    "two lines for one": ('entries:\n- name: "a\\nb"\n', 2, ["one line"]),
    "a control character": ('entries:\n- name: "a\\e[2J"\n', 2, ["control characters"]),
    "no such choice": ("entries:\n- name: a\n  level: mid\n", 3, ["'mid'", "low, high"]),
    "no date": ("entries:\n- {name: a, until: soon}\n", 2, ["2027-01-31"]),
    "a date and time": ("entries:\n- {name: a, until: 2027-01-31T00:00:00Z}\n", 2, ["2027-01-31"]),
    "an item of a list": ("entries:\n- name: a\n  groups:\n  - x\n  - 3\n", 5, ["entries[1].groups[2]"]),
    "a key that is no text": ("entries:\n- 1: a\n", 2, ["entries[1]: a key"]),
    "a foreign tag": ("entries:\n- name: !!python/name:os.system x\n", 2, ["python/name"]),
    "a local tag": ("entries:\n- name: !secret x\n", 2, ["!secret"]),
    "broken YAML": ("entries:\n- name: [a\n", 3, ["no YAML"]),
    "a tab": ("entries:\n\t- name: a\n", 2, ["no YAML"]),
    "two documents": ("entries: []\n---\nentries: []\n", 2, ["no YAML"]),
    "an unknown alias": ("entries:\n- *a\n", 2, ["no YAML"]),
    "a forbidden character": ("entries:\n- name: \x00\n", 2, ["'\\x00'"]),
    "nothing at all": ("# empty\n", None, ["is empty"]),
    "no UTF-8": (b"entries: \xff\n", None, ["UTF-8"]),
    "too deep": ("[" * 1500, None, ["nested"]),
}


@pytest.mark.parametrize(("content", "line_number", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place(
    file: Path, content: str | bytes, line_number: int | None, words: list[str]
) -> None:
    with pytest.raises(FileError) as caught:
        parse(file, content)
    assert caught.value.line == line_number
    message = str(caught.value)
    assert message.startswith(f"{file}:{line_number}: " if line_number else f"{file}: ")
    for word in words:
        assert word in message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read(tmp_path / "absent.yaml")
    with pytest.raises(FileError, match="directory"):
        read(tmp_path)
