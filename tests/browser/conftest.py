"""A real browser, Debian's Chromium, driven by Playwright; the session `browser` of noxfile.py installs both."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from matrices import Exchanges, Tiles, hostile, realistic, reviewed, tiles

from conformance import matrix, store
from conformance.report.html import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audits import Audited
    from playwright.sync_api import Browser, Dialog, Page, Request

    from conformance.model import Matrix
    from conformance.report import Evidence

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
MANY = 250_000


@dataclass(frozen=True, slots=True)
class Judged:
    """A matrix that a report is made of, and its stored exchanges."""

    matrix: Matrix
    evidence: Evidence | None = None
    tiles: Tiles | None = None


@cache
def judged(name: str) -> Judged:
    """A matrix by its name, those of a real server excepted."""
    if name == "tiled":
        many = tiles(MANY)
        return Judged(many.matrix, many.evidence(Exchanges(realistic())), many)
    made = {"realistic": realistic, "hostile": hostile, "reviewed": reviewed}[name]()
    return Judged(made, None if name == "hostile" else Exchanges(made))


@dataclass(slots=True)
class Report:
    """An open report, with all that its page complained of or asked for."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def go(self, state: str = "") -> Page:
        """Open the report anew in a state of its URL's hash."""
        self.page.goto("about:blank")
        self.page.goto(self.url + state)
        self.page.wait_for_selector("html.ready")
        return self.page


def listen(report: Report) -> None:
    """Keep what the page complains of, what it asks the network for, and any dialog that a script of a string opens."""

    def dialog(opened: Dialog) -> None:
        report.complaints.append(f"a dialog: {opened.message}")
        opened.dismiss()

    def request(asked: Request) -> None:
        if asked.url.split("#")[0] != report.url and not asked.url.startswith(("blob:", "about:")):
            report.complaints.append(asked.url)

    report.page.on("console", lambda message: report.complaints.append(f"{message.type}: {message.text}"))
    report.page.on("pageerror", lambda error: report.complaints.append(str(error)))
    report.page.on("dialog", dialog)
    report.page.on("request", request)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("the browser tests need Debian's chromium")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=program, args=list(QUIET))
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def real(audited: Audited) -> Callable[[str], Judged]:
    """The run of a real server, and the same tiled to a quarter of a million cells."""
    saved = store.SavedRun(audited.directory)
    once = matrix.judged(saved)

    @cache
    def made(name: str) -> Judged:
        if name == "real":
            return Judged(once, matrix.StoredEvidence(saved))
        many = tiles(MANY, once)
        return Judged(many.matrix, many.evidence(matrix.StoredEvidence(saved)), many)

    return made


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("reports")

    def file(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            one = request.getfixturevalue("real")(name) if name.startswith("real-") or name == "real" else judged(name)
            path.write_bytes(render(one.matrix, one.evidence))
        return path

    return file


@pytest.fixture
def report(
    browser: Browser, files: Callable[[str], Path], request: pytest.FixtureRequest
) -> Iterator[Callable[..., Report]]:
    """Opens a report by the matrix's name; at the end nothing may have been complained of or asked for."""
    opened: list[Report] = []

    def make(name: str = "realistic", *, width: int = 1440, height: int = 1000, dark: bool = False) -> Report:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        page = context.new_page()
        page.set_default_timeout(120_000)  # a busy machine is no failure
        made = Report(page, files(name).as_uri())
        listen(made)
        opened.append(made)
        made.go()
        return made

    yield make
    pictures = os.environ.get("SCREENSHOTS")
    for number, made in enumerate(opened):
        if pictures:
            Path(pictures).mkdir(parents=True, exist_ok=True)
            made.page.screenshot(path=f"{pictures}/{request.node.name.replace('/', '-')}-{number}.png")
        made.page.context.close()
        assert made.complaints == []
