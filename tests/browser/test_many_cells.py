"""The page of a real run, and of a quarter of a million cells made of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from matrices import tiles

from conformance.model import Verdict
from conformance.report.html.data import pack
from conformance.report.text import display

from .conftest import MANY, Judged, judged
from .test_matrix_page import active, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from conformance.model import Cell

    from .conftest import Report

SHOWS = """([id, who, texts]) => {
  const panel = document.querySelector('#evidence');
  return panel.querySelector('h2')?.textContent === id && panel.querySelector('.as b')?.textContent === who
    && panel.getAttribute('aria-busy') === 'false' && texts.every((text) => panel.textContent.includes(text));
}"""


def opens(page: Page, cell: Cell, one: Judged) -> None:
    """Open a cell by its link; its own witness and its own answer have to be there."""
    page.evaluate(
        "(cell) => { location.hash = `cell=${encodeURIComponent(cell)}`; }", f"{cell.endpoint}|{cell.identity}"
    )
    texts = [cell.witness.text] if cell.witness else []
    exchange = one.evidence.exchange(cell.endpoint, cell.identity) if one.evidence else None
    if exchange:
        texts += [display(exchange[key]) for key in ("message", "review") if exchange.get(key)]
    page.wait_for_function(SHOWS, arg=[cell.endpoint, cell.identity, texts])


def counts(page: Page, one: Judged) -> None:
    for verdict in Verdict:
        number = sum(cell.verdict is verdict for cell in one.matrix.cells)
        page.fill("#query", f"is:{verdict}")
        wait_for(page, "#count", f"{number:,} of {len(one.matrix.cells):,}")


@pytest.mark.server
def test_a_run_of_a_real_server(report: Callable[..., Report], real: Callable[[str], Judged]) -> None:
    opened, one = report("real"), real("real")
    counts(opened.page, one)
    for cell in one.matrix.cells[:: len(one.matrix.cells) // 100]:
        opens(opened.page, cell, one)
    for view in ("findings", "checks", "identities", "glossary"):
        assert opened.go(f"#view={view}").is_visible(f"#view-{view}")


@pytest.mark.server
def test_tiles_of_a_real_run_are_no_more_compressible(real: Callable[[str], Judged]) -> None:
    once = real("real")
    few = tiles(5 * len(once.matrix.cells), once.matrix)
    assert once.evidence
    packed = [pack(once.matrix, once.evidence), pack(few.matrix, few.evidence(once.evidence))]
    bytes_a_cell = [
        sum(len(base64.b64decode(chunk)) for chunk in made.chunks) / len(matrix.cells)
        for made, matrix in zip(packed, (once.matrix, few.matrix), strict=True)
    ]
    assert bytes_a_cell[1] >= bytes_a_cell[0], bytes_a_cell


@pytest.mark.server
def test_a_quarter_million_cells_of_a_real_run(
    report: Callable[..., Report], files: Callable[[str], Path], real: Callable[[str], Judged]
) -> None:
    many(report("real-tiled"), files("real-tiled"), real("real-tiled"), sampled=1000)


def test_a_quarter_million_cells(report: Callable[..., Report], files: Callable[[str], Path]) -> None:
    many(report("tiled"), files("tiled"), judged("tiled"), sampled=100)


def many(opened: Report, file: Path, one: Judged, *, sampled: int) -> None:
    """All that a small report does, in a large one."""
    page, cells = opened.page, one.matrix.cells
    assert len(cells) >= MANY
    assert file.stat().st_size < 15_000_000
    counts(page, one)
    assert page.locator("#grid .cell, #heatmap .cell").count() < 2000
    page.fill("#query", "")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+End")
    assert active(page).startswith(f"{cells[-1].endpoint} as {cells[-1].identity}")
    page.keyboard.press("Enter")
    page.wait_for_function(SHOWS, arg=[cells[-1].endpoint, cells[-1].identity, []])
    page.keyboard.press("Escape")
    for cell in cells[:: len(cells) // sampled]:  # in the order of the stored run, which is then read once a tile
        opens(page, cell, one)
    for dark in (False, True):
        page = opened.go(f"#q=verb:delete&theme={'dark' if dark else 'light'}")
        assert page.evaluate("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    page.emulate_media(media="print")
    assert page.is_visible("#document .access")
    assert not page.is_visible("#grid")
    assert page.pdf(format="A4", landscape=True).startswith(b"%PDF")
