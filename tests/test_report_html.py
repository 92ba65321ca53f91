from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from typing import Any

import pytest
from matrices import HOSTILE, hostile, realistic, small

from conformance.model import Matrix, Verdict
from conformance.report.html import render

# What a string of the cluster would need to become markup; everything between these is ours.
OURS = {
    *("html", "head", "meta", "link", "title", "style", "script", "body", "a", "header", "div", "h1"),
    *("h2", "span", "button", "kbd", "section", "p", "dl", "dt", "dd", "code", "nav", "b"),
    *("small", "main", "form", "label", "input", "datalist", "output", "details", "summary", "select", "option", "ul"),
    *("table", "thead", "tbody", "tr", "th", "td", "aside", "dialog"),
}


class Page(HTMLParser):
    """The tags of a page with their attributes, and the text of each element that has an id or is a script or style."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, dict[str, str | None], str]] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.last = (tag, dict(attrs))

    def handle_data(self, data: str) -> None:
        if self.tags and self.cdata_elem:
            self.raw.append((*self.last, data))
        else:
            self.text += data

    def block(self, name: str) -> Any:
        text = next(data for _, attributes, data in self.raw if attributes.get("id") == name)
        return zlib.decompress(base64.b64decode(text, validate=True), -zlib.MAX_WBITS)


def page(matrix: Matrix, evidence: Any = None) -> Page:
    return Page(render(matrix, evidence))


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_allows_these_scripts_and_this_style_alone() -> None:
    shown = page(hostile())
    policy = next(
        (attributes["content"] or "")
        for tag, attributes in shown.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    scripts = [data for tag, attributes, data in shown.raw if tag == "script" and "type" not in attributes]
    styles = [data for tag, _, data in shown.raw if tag == "style"]
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [digest(script) for script in scripts]
    assert rules["style-src"].split() == [digest(style) for style in styles]
    assert len(scripts) == 2


@pytest.mark.parametrize("matrix", [hostile(), small()], ids=["hostile", "small"])
def test_no_string_of_the_cluster_is_markup(matrix: Matrix) -> None:
    shown = page(matrix)
    assert {tag for tag, _ in shown.tags} <= OURS
    assert not [name for _, attributes in shown.tags for name in attributes if name.startswith("on") or name == "style"]
    assert not any("src" in attributes for _, attributes in shown.tags)
    assert {attributes["href"] for _, attributes in shown.tags if "href" in attributes} == {
        *("data:,", "#main", "#view=checks", "#q=is:disagree", "#view=findings", "#q=is:not-evaluated,error"),
    }


def test_the_page_has_no_address_of_another_place() -> None:
    ours = re.sub(rb'<script type="text/plain".*?</script>', b"", render(small()), flags=re.DOTALL)
    addresses = set(re.findall(rb"(?:https?:)?//[\w.:-]+", re.sub(rb"^\s*//.*$", b"", ours, flags=re.MULTILINE)))
    assert addresses == {b"https://127.0.0.1:6443"}


def test_the_data_is_the_matrix() -> None:
    matrix = realistic()
    shown = page(matrix)
    index = json.loads(shown.block("index"))
    states = shown.block("states")
    cells = len(matrix.cells)
    assert len(states) == 6 * cells
    assert index["endpoints"]["id"] == [endpoint.id for endpoint in matrix.endpoints]
    verdicts = [states[4 * cells + place] >> 2 for place in range(cells)]
    assert verdicts == [list(Verdict).index(cell.verdict) for cell in matrix.cells]
    kinds = [index["kinds"][int.from_bytes(states[4 * place : 4 * place + 4], "little")] for place in range(cells)]
    assert kinds == [[cell.status, cell.reason, cell.cause or ""] for cell in matrix.cells]
    chunk = json.loads(shown.block("chunk-1"))
    first = matrix.cells[index["rowsAChunk"] * len(matrix.identities)]
    assert first.witness
    assert chunk[0] == [[], [first.witness.kind, first.witness.text, *first.witness.path], ""]


class Stored:
    """Evidence as a store would give it, with a hostile message."""

    def exchange(self, endpoint_id: str, identity_name: str) -> dict[str, Any] | None:
        if endpoint_id != "v1/pods:get" or identity_name != "view":
            return None
        return {"method": "GET", "path": "/api/v1/x", "query": [["limit", "1"]], "status": 403, "message": HOSTILE[2]}


def test_the_exchange_of_a_cell_is_kept_where_it_is_stored() -> None:
    chunk = json.loads(page(small(), Stored()).block("chunk-0"))
    assert chunk[0][3] == {
        "method": "GET",
        "path": "/api/v1/x",
        "query": [["limit", "1"]],
        "status": 403,
        "message": "\\x1b[2J\\x1b]0;owned\\x07",
    }
    assert all(len(cell) == 3 for cell in chunk[1:])


def test_a_cell_that_was_not_asked_is_absent_not_denied() -> None:
    matrix = small()
    without = Matrix(matrix.run, matrix.identities, matrix.endpoints, matrix.cells[1:])
    shown = page(without)
    assert shown.block("states")[4 * 8] == 0xFF
    assert json.loads(shown.block("chunk-0"))[0] == 0


def test_the_strip_and_the_document_say_it_without_scripts() -> None:
    text = " ".join(page(small()).text.split())
    assert "Failed 1 cell failed, 1 check failed, 1 error, 1 not evaluated" in text
    assert "kube-conformance audit --cluster embedded --kubernetes-version 1.37.2" in text
    assert "404 NotFound: deployments.apps {absent} not found" in text
    assert "(groups unknown: own bindings only)" in text


def test_an_empty_matrix_is_a_page_and_no_pass() -> None:
    matrix = small()
    content = render(Matrix(matrix.run, (), (), ()))
    assert b"</html>" in content
    assert b"Partial" in content
    assert b"no checks in this run" in content
    assert b'<a class="counter none" href="#view=checks">' in content
