from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from matrices import hostile, realistic, small

import conformance.report
from conformance.report import formats, write_all

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

ACTING = {chr(code) for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F), 0x200B, 0x2028, 0xFEFF)} - {
    "\n",
    "\r",
}


def test_a_run_folder_gets_each_file_of_the_contract(tmp_path: Path) -> None:
    written = {path.name for path in write_all(small(), tmp_path / "run")}
    assert written >= {"matrix.json", "matrix.csv", "junit.xml", "findings.sarif", "summary.md"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == written


def test_a_file_that_cannot_be_rendered_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(small(), tmp_path)
    before = (tmp_path / "summary.md").read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_all(realistic(), tmp_path)
    assert (tmp_path / "summary.md").read_bytes() == before
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_two_formats_of_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "second.py").write_text('NAME = "csv"\nFILE = None\ndef render(matrix, evidence=None): return b""\n')
    monkeypatch.setattr(conformance.report, "__path__", [*conformance.report.__path__, str(tmp_path)])
    with pytest.raises(RuntimeError, match="csv"):
        formats()
    sys.modules.pop("conformance.report.second", None)


@pytest.mark.parametrize("name", sorted(formats()))
def test_rendering_is_the_same_each_time(name: str) -> None:
    rendering: ModuleType = formats()[name]  # type: ignore[assignment]
    assert rendering.render(hostile()) == rendering.render(hostile())


@pytest.mark.parametrize("name", sorted(set(formats()) - {"html", "json", "sarif"}))
def test_nothing_that_acts_or_hides_is_left_of_hostile_strings(name: str) -> None:
    text = formats()[name].render(hostile()).decode("utf-8")
    assert not ACTING & set(text)
