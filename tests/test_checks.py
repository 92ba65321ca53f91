"""The catalogue of checks: each is a whole value, and no two have one id."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.checks import MUST, Check, catalogue, check
from conformance.checks import read as topic
from conformance.checks.page import render


def test_each_check_cites_a_document_and_a_sentence() -> None:
    assert catalogue()
    for each in catalogue().values():
        assert each.url.startswith("https://"), each.id
        assert len(each.quote.split()) >= 4, each.id
        assert len(each.title.split()) >= 4, each.id
        assert each.topic


def test_the_page_is_that_of_the_catalogue() -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "checks.md"
    assert page.read_text("utf-8") == render(), "run `nox -s pages`"


def test_an_id_is_made_of_words() -> None:
    with pytest.raises(ValueError, match="no id of a check"):
        check("list", MUST, "", url="", quote="", on="server")


def test_two_checks_of_one_id_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    first = next(iter(catalogue().values()))
    monkeypatch.setattr(topic, "ANOTHER", Check(**{f: getattr(first, f) for f in first.__slots__}), raising=False)
    catalogue.cache_clear()
    with pytest.raises(RuntimeError, match=first.id):
        catalogue()
    monkeypatch.undo()
    catalogue.cache_clear()
