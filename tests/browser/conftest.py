"""A real browser, Debian's Chromium, driven by Playwright; the session `browser` of noxfile.py installs both."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from matrices import hostile, load, realistic, tiled

from conformance.report.html import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Dialog, Page, Request

    from conformance.model import Matrix

QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")
# A matrix.json of a real server, where one is given: it is opened, and tiled to a quarter of a million cells.
REAL = os.environ.get("REAL_MATRIX")
MATRICES: dict[str, Callable[[], Matrix]] = {
    "realistic": realistic,
    "hostile": hostile,
    "tiled": lambda: tiled(250_000),
    "real": lambda: load(Path(REAL or "")),
    "real-tiled": lambda: tiled(250_000, load(Path(REAL or ""))),
}


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
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("reports")

    def file(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            path.write_bytes(render(MATRICES[name]()))
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
        page.set_default_timeout(20_000)
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
