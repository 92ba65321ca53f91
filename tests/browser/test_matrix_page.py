from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from matrices import HOSTILE, READS, escalations, realistic

from conformance.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from browser.conftest import Report
    from conformance.model import Cell, Endpoint


def active(page: Page, grid: str = "#grid") -> str:
    """What a screen reader says of the active cell."""
    label: str = page.evaluate(
        """(grid) => {
          const view = document.querySelector(`${grid} .grid`);
          const cell = document.getElementById(view.getAttribute('aria-activedescendant'));
          return cell.getAttribute('aria-label') || cell.title;
        }""",
        grid,
    )
    return label


def wait_for(page: Page, selector: str, start: str) -> None:
    """Wait until an element's text starts like this; in a function, as the policy stops `eval` of an expression."""
    page.wait_for_function(
        "([selector, start]) => document.querySelector(selector)?.textContent.startsWith(start)", arg=[selector, start]
    )


def text(page: Page, selector: str) -> str:
    return page.inner_text(selector)


def test_the_verdict_reads_without_scripts(browser: Browser, files: Callable[[str], Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(files("realistic").as_uri())
    assert " ".join(text(page, ".verdict").split()).startswith(
        "✕ Result: failed 2 cells failed, 10 not evaluated of 7,260 cells"
    )
    assert "kube-conformance audit --cluster embedded" in text(page, ".again")
    assert page.locator("#document .access td").count() == 22 * 11
    assert not page.locator("#search").is_visible()
    context.close()


def test_a_search_shows_what_matches_and_says_how_many(report: Callable[..., Report]) -> None:
    page = report().page
    page.keyboard.press("/")
    page.keyboard.type("identity:edit verb:delete is:allowed")
    matrix = realistic()
    rows = {endpoint.id: endpoint for endpoint in matrix.endpoints}
    wanted = [
        cell
        for cell in matrix.cells
        if cell.identity == "edit" and rows[cell.endpoint].verb == "delete" and cell.effective == "allowed"
    ]
    assert wanted
    wait_for(page, "#count", f"{len(wanted)} of 7,260")
    # The address follows when typing has rested.
    page.wait_for_function("() => location.hash === '#q=identity:edit%20verb:delete%20is:allowed'")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("is:disagree", lambda cell, _: cell.verdict is Verdict.FAIL),
        ("is:fail,not-evaluated", lambda cell, _: cell.verdict in (Verdict.FAIL, Verdict.NOT_EVALUATED)),
        ("is:named", lambda cell, _: bool(cell.names)),
        (
            "group:apps -verb:get,list,watch",
            lambda _, row: row.group == "apps" and row.verb not in READS,
        ),
        ("group:*.k8s.io scope:cluster", lambda _, row: row.group.endswith(".k8s.io") and row.scope == "cluster"),
        ("resource:secrets is:allowed", lambda cell, row: row.resource == "secrets" and cell.effective == "allowed"),
        ("status:401", lambda cell, _: cell.status == 401),
        ("-status:403 identity:ed*", lambda cell, _: cell.status != 403 and cell.identity == "edit"),
        ("cause:second-check", lambda cell, _: cell.cause == "second-check"),
        ("request:allowed rules:denied", lambda cell, _: (cell.request, cell.rules) == ("allowed", "denied")),
        ("review:none", lambda cell, _: cell.review is None),
        ("v1/pods/log:get", lambda _, row: row.id == "v1/pods/log:get"),
        ('in:"system:masters"', lambda cell, _: cell.identity == "cluster-admin"),
        ("anonymous", lambda cell, _: cell.identity == "anonymous"),
        ("core is:nonsense", None),
    ],
)
def test_the_grammar(
    report: Callable[..., Report], query: str, expected: Callable[[Cell, Endpoint], bool] | None
) -> None:
    page = report().page
    page.fill("#query", query)
    if expected is None:
        wait_for(page, "#problem", "is: is one of allowed")
        return
    rows = {endpoint.id: endpoint for endpoint in realistic().endpoints}
    number = sum(bool(expected(cell, rows[cell.endpoint])) for cell in realistic().cells)
    wait_for(page, "#count", f"{number:,} of")


def test_from_the_heatmap_into_a_cell_and_its_evidence(report: Callable[..., Report]) -> None:
    page = report().page
    page.click("#heatmap [aria-label^='apps as edit: 49 of 61 allowed']")
    assert page.input_value("#mode") == "verbs"
    assert page.input_value("#first") == "edit"
    page.click("#grid [aria-label^='apps/v1/deployments/scale:patch as edit']")
    page.wait_for_selector("#evidence h3")
    shown = text(page, "#evidence")
    for part in ("apps/v1/deployments/scale:patch", "404 NotFound", "RoleBinding audit-own/edit", "ClusterRole edit"):
        assert part in shown
    assert "kubectl auth can-i patch deployments.apps --subresource=scale -n audit-own --as=audit:edit" in shown
    page.click("#evidence .chip:has-text('view')")
    wait_for(page, "#evidence .as b", "view")
    page.click("#evidence .close")
    assert not page.is_visible("#evidence")


def test_named_and_unknown_groups_are_said_in_words(report: Callable[..., Report]) -> None:
    opened = report()
    page = opened.go("#cell=v1/configmaps:get|node")
    page.wait_for_selector("#evidence h3")
    assert "named" in text(page, "#evidence .verdict-line")
    assert "extension-apiserver-authentication" in text(page, "#evidence")
    page = opened.go("#cell=v1/pods:get|impersonated")
    page.wait_for_selector("#evidence h3")
    assert "denied (own bindings only)" in text(page, "#evidence .verdict-line")


def test_the_keyboard_alone_is_enough(report: Callable[..., Report]) -> None:
    page = report().page
    page.keyboard.press("/")
    page.keyboard.type("group:apps")
    page.keyboard.press("Enter")
    assert active(page).startswith("apps/v1/controllerrevisions:create as cluster-admin")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert active(page).startswith("apps/v1/controllerrevisions:delete as edit")
    page.keyboard.press("Enter")
    page.wait_for_selector("#evidence h3")
    assert "apps/v1/controllerrevisions:delete" in text(page, "#evidence h2")
    page.keyboard.press("Escape")
    assert page.is_hidden("#evidence")
    page.keyboard.press("Control+End")
    assert active(page).startswith("apps/v1/statefulsets/status:update as invalid-token")
    page.keyboard.press("Escape")
    wait_for(page, "#count", "7,260")
    for expected in [cell for cell in realistic().cells if cell.verdict in (Verdict.FAIL, Verdict.NOT_EVALUATED)][:3]:
        page.keyboard.press("n")
        assert active(page).startswith(f"{expected.endpoint} as {expected.identity}")
    page.keyboard.press("p")
    page.keyboard.press("p")
    page.keyboard.press("t")
    assert page.get_attribute("#transpose", "aria-pressed") == "true"
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    assert page.is_hidden("#help")


def test_columns_are_sorted_and_pinned(report: Callable[..., Report]) -> None:
    page = report().page
    page.click("#grid .column-head:has-text('cluster-reader')")
    assert page.get_attribute("#grid .column-head:has-text('cluster-reader')", "aria-sort") == "descending"
    failed = next(
        cell for cell in realistic().cells if cell.verdict is Verdict.FAIL and cell.identity == "cluster-reader"
    )
    first = page.locator("#grid .row:not(.head)").first.locator(".row-head").get_attribute("title")
    assert first == failed.endpoint
    page.click("#grid .column-head:has-text('node')", modifiers=["Shift"])
    assert page.locator("#grid .column-head").first.inner_text().startswith("node")
    assert "pin=node" in page.url


def test_two_identities_are_compared(report: Callable[..., Report]) -> None:
    page = report().page
    page.select_option("#mode", "compare")
    page.select_option("#first", "admin")
    page.select_option("#second", "edit")
    cells = {(cell.endpoint, cell.identity): cell for cell in realistic().cells}
    differ = sum(
        (cells[row.id, "admin"].effective, cells[row.id, "admin"].verdict)
        != (cells[row.id, "edit"].effective, cells[row.id, "edit"].verdict)
        for row in realistic().endpoints
    )
    assert text(page, "#count").endswith(f"{differ} rows shown")


def test_a_link_opens_what_it_was_copied_from(report: Callable[..., Report]) -> None:
    opened = report()
    page = opened.go("#q=resource:secrets&mode=verbs&first=view&cell=v1/secrets:list|view")
    page.wait_for_selector("#evidence h3")
    assert page.input_value("#query") == "resource:secrets"
    assert text(page, "#evidence h2") == "v1/secrets:list"
    assert active(page).startswith("v1/secrets:list as view")
    page.go_back()
    page.goto(opened.url + "#view=findings")
    page.wait_for_selector("#view-findings .finding")
    page.click(".counter:has-text('Oracle disagreements')")
    wait_for(page, "#count", "2 of")
    page.go_back()
    assert page.is_visible("#view-findings .finding")


def test_what_matches_is_saved(report: Callable[..., Report]) -> None:
    page = report().page
    page.fill("#query", "is:disagree")
    with page.expect_download() as saved:
        page.click("#export-csv")
    rows = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text())))
    failed = [cell for cell in realistic().cells if cell.verdict is Verdict.FAIL]
    assert [(row["endpoint"], row["identity"], row["verdict"]) for row in rows] == [
        (cell.endpoint, cell.identity, "fail") for cell in failed
    ]
    with page.expect_download() as saved:
        page.click("#export-json")
    assert [row["endpoint"] for row in json.loads(Path(saved.value.path()).read_bytes())] == [
        cell.endpoint for cell in failed
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    "state",
    [
        "",
        "#mode=verbs&first=edit&cell=v1/pods/exec:get|admin",
        "#view=findings",
        "#view=checks",
        "#view=identities",
        "#view=paths",
        "#view=differences",
        "#view=glossary",
        "#mode=resource&resource=pods",
        "#q=is:not-evaluated,disagree&turn=1",
    ],
)
def test_axe_finds_nothing_serious(report: Callable[..., Report], state: str, dark: bool) -> None:  # noqa: FBT001
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    opened = report("reviewed", dark=dark)
    page = opened.go(state)
    if "cell=" in state:
        page.wait_for_selector("#evidence h3")
    found = axe.Axe().run(page).response["violations"]
    assert [
        (one["id"], node["html"][:200], node.get("failureSummary", "")[:300])
        for one in found
        if one["impact"] in ("serious", "critical", "moderate")
        for node in one["nodes"][:3]
    ] == []


def test_a_theme_can_be_chosen(report: Callable[..., Report]) -> None:
    page = report().page

    def ground() -> str:
        colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    light = ground()
    page.click("#theme")
    assert ground() != light
    page.click("#theme")
    assert ground() == light


def test_paper_gets_the_review_document(report: Callable[..., Report], tmp_path: Path) -> None:
    page = report().page
    page.emulate_media(media="print")
    assert page.is_visible("#document .access")
    assert not page.is_visible("#grid")
    content = page.pdf(path=tmp_path / "report.pdf", format="A4", landscape=True)
    assert content.startswith(b"%PDF")


def test_a_small_screen_shows_all_of_it(report: Callable[..., Report]) -> None:
    page = report(width=390, height=800).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("#grid .cell >> nth=0")
    page.wait_for_selector("#evidence h3")


def test_hostile_strings_stay_text(report: Callable[..., Report]) -> None:
    opened = report("hostile")
    page = opened.page
    assert page.locator("img").count() == 0
    for number in range(len(HOSTILE)):
        page.locator("#grid .row:not(.head)").nth(number % 20).locator(".cell").nth(number % 10).click()
        page.wait_for_selector("#evidence h3")
    for view in ("findings", "checks", "identities"):
        page = opened.go(f"#view={view}")
        assert page.locator(f"#view-{view}").is_visible()
        shown = page.inner_text("body")
        assert not {char for char in shown if not char.isprintable() and char not in "\n\t\xa0"} - {"\ufffe", "\uffff"}
    opened.go("#q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&cell=%3Cscript%3E|x&sort=%22&first='")
    assert page.locator("img").count() == 0


def test_the_other_pages_are_searched_with_the_same_grammar(report: Callable[..., Report]) -> None:
    opened = report("reviewed")
    page = opened.page
    page.click(".counter a:has-text('3 high')")
    wait_for(page, "#count", "3 of 6 findings")
    assert "Take `get` and `list` of secrets out of the role." in text(page, "#view-findings .fix")
    assert page.get_attribute("#view-findings .references a", "href", strict=False) is not None
    page.fill("#query", "identity:edit risk:medium")
    wait_for(page, "#count", "1 of 6 findings")
    page.fill("#query", "outcome:fail")
    wait_for(page, "#problem", "this page has no outcome:")
    page = opened.go("#view=differences&q=outcome:fail,warn -kind:api")
    wait_for(page, "#count", "1 of 4 differences")
    assert "view may list Secrets" in text(page, "#view-differences")
    page.click("#view-differences .chip")
    wait_for(page, "#evidence h2", "v1/secrets:list")
    page = opened.go("#view=checks&q=is:info")
    wait_for(page, "#count", "1 of 130 results")


def test_the_paths_are_drawn_and_one_can_be_picked_out(report: Callable[..., Report]) -> None:
    opened = report("reviewed")
    page = opened.go("#view=paths")
    wait_for(page, "#count", "6 of 6 paths")
    assert page.is_visible("#graph svg")
    for path in escalations():
        assert path.source in text(page, "#list-paths")
    page.click("#list-paths article >> nth=1 >> text=Show in the drawing")
    assert page.locator("#graph .edge.chosen").count() == 2
    page.click("#graph .subject:has-text('deployer')")
    wait_for(page, "#count", "2 of 6 paths")


def test_what_was_not_part_of_the_run_says_so(report: Callable[..., Report]) -> None:
    opened = report("realistic")
    for view, where in (("paths", "#list-paths"), ("differences", "#view-differences")):
        page = opened.go(f"#view={view}")
        wait_for(page, f"{where} .nothing-here", "Not part of this run.")


def test_one_resource_across_identities(report: Callable[..., Report]) -> None:
    page = report().page
    page.select_option("#mode", "resource")
    page.fill("#resource", "deployments.apps")
    number = sum(row.resource == "deployments" for row in realistic().endpoints)
    page.wait_for_function(
        "(end) => document.querySelector('#count').textContent.endsWith(end)", arg=f"{number} rows shown"
    )
    page.locator("#grid .row:not(.head) .cell").first.click()
    page.wait_for_selector("#evidence h3")
    assert text(page, "#evidence h2") == "apps/v1/deployments:get"


def test_a_cell_tells_what_was_asked_and_answered(report: Callable[..., Report]) -> None:
    page = report("reviewed").go("#cell=v1/secrets:create|view")
    page.wait_for_selector("#evidence h3")
    shown = text(page, "#evidence")
    assert "kubectl create --raw '/api/v1/namespaces/{own}/secrets?dryRun=All' -f - --as=audit:view" in shown
    assert "curl --cacert ca.crt -X POST --cert client.crt --key client.key" in shown
    assert 'secrets is forbidden: User "view" cannot create "secrets"' in shown
    assert "HTTP 403 Forbidden" in shown
    assert "put a name of yours there" in shown
    assert page.get_attribute("#evidence .permalink a", "href") == page.url


def test_forced_colours_keep_every_mark(browser: Browser, files: Callable[[str], Path]) -> None:
    context = browser.new_context(forced_colors="active")
    page = context.new_page()
    page.goto(files("realistic").as_uri() + "#q=is:disagree,not-evaluated")
    page.wait_for_selector("html.ready")
    assert page.locator("#grid .cell:has-text('≠')").count() > 0
    border = page.locator("#grid .cell").first.evaluate("(cell) => getComputedStyle(cell).borderTopWidth")
    assert border == "1px"
    context.close()
