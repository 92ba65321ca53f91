from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from matrices import HOSTILE, hostile, realistic, reviewed, small

from conformance.checks import catalogue
from conformance.model import Answer, Matrix, Verdict
from conformance.oracles.causes import CAUSES
from conformance.report.html import render
from conformance.report.summary import SEVERITIES

# What a string of the cluster would need to become markup; everything between these is ours.
OURS = {
    *("html", "head", "meta", "link", "title", "style", "script", "body", "a", "header", "div", "h1"),
    *("h2", "span", "button", "kbd", "section", "p", "dl", "dt", "dd", "code", "nav", "b"),
    *("small", "main", "form", "label", "input", "datalist", "output", "details", "summary", "select", "option", "ul"),
    *("table", "thead", "tbody", "tr", "th", "td", "aside", "dialog", "h3"),
    *("svg", "defs", "marker", "path", "g", "rect", "text"),
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


@pytest.mark.parametrize("matrix", [hostile(), small(), reviewed()], ids=["hostile", "small", "reviewed"])
def test_no_string_of_the_cluster_is_markup(matrix: Matrix) -> None:
    shown = page(matrix)
    assert {tag for tag, _ in shown.tags} <= OURS
    assert not [name for _, attributes in shown.tags for name in attributes if name.startswith("on") or name == "style"]
    assert not any("src" in attributes for _, attributes in shown.tags)
    assert {attributes["href"] for _, attributes in shown.tags if "href" in attributes} <= {
        *("data:,", "#main", "#view=checks&q=is:fail,error", "#q=is:disagree", "#q=is:not-evaluated,error"),
        *("#view=findings", *(f"#view=findings&q=risk:{severity}" for severity in SEVERITIES)),
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
    assert chunk[0][:2] == [0, [[], [first.witness.kind, first.witness.text, *first.witness.path]]]


class Stored:
    """Evidence as a store would give it, with a hostile message."""

    def exchange(self, endpoint_id: str, identity_name: str) -> dict[str, Any] | None:
        if endpoint_id != "v1/pods:get":
            return None
        asked: dict[str, Any] = {"method": "GET", "path": "/api/v1/x", "query": [["limit", "1"]], "status": 403}
        return asked | ({"message": HOSTILE[2], "review": "no"} if identity_name == "view" else {"message": "y" * 9000})


def test_the_request_of_a_row_is_kept_once_and_the_answer_of_each_cell() -> None:
    rows = json.loads(page(small(), Stored()).block("chunk-0"))
    asked, view, jane = rows[0]
    assert asked == {"method": "GET", "path": "/api/v1/x", "query": [["limit", "1"]]}
    assert view[3] == {"message": "\\x1b[2J\\x1b]0;owned\\x07", "review": "no"}
    assert len(jane[3]["message"]) == 4096
    assert [row[0] for row in rows[1:]] == [0, 0, 0]
    assert all(len(cell) < 4 for row in rows[1:] for cell in row[1:])


def test_a_cell_that_was_not_asked_is_absent_not_denied() -> None:
    matrix = small()
    without = Matrix(matrix.run, matrix.identities, matrix.endpoints, matrix.cells[1:])
    shown = page(without)
    assert shown.block("states")[4 * 8] == 0xFF
    assert json.loads(shown.block("chunk-0"))[0][1] == 0


def test_the_strip_and_the_document_say_it_without_scripts() -> None:
    text = " ".join(page(small()).text.split())
    assert "Result: failed 1 cell failed, 1 check failed, 1 error, 1 not evaluated" in text
    assert "kube-conformance audit --cluster embedded --kubernetes-version 1.37.2" in text
    assert "404 NotFound: deployments.apps {absent} not found" in text
    assert "(groups unknown: own bindings only)" in text


def test_an_empty_matrix_is_a_page_and_no_pass() -> None:
    matrix = small()
    content = render(Matrix(matrix.run, (), (), ()))
    assert b"</html>" in content
    assert b"Partial" in content
    assert b"checks were not part of this run" in content
    assert b"risks were not part of this run" in content
    asked = render(Matrix(replace(matrix.run, fail_on="high"), (), (), ()))
    assert b"<b>0</b> <span>Findings</span></a><small>no risk rule found anything</small>" in asked
    assert b'<div class="counter none"><a href="#view=checks&amp;q=is:fail,error"><b>\xe2\x80\x94</b>' in content


def test_what_was_not_part_of_the_run_is_said_so_and_never_empty() -> None:
    leaves = json.loads(page(small()).block("leaves"))
    assert leaves["paths"] is None
    assert leaves["differences"] is None
    assert leaves["gate"] is None
    text = page(small()).text
    assert "Differences to a baselineNot part of this run." in text
    assert "Escalation pathsNot part of this run." in text
    assert "no baseline" in text


def test_the_gate_speaks_first_and_its_differences_are_told() -> None:
    shown = page(reviewed())
    text = " ".join(shown.text.split())
    assert "Gate: failed 1 permission newly allowed that is part of a finding of severity high" in text
    assert "1 failing, 1 to look at, 1 accepted, 1 waived against 20261101-080000-c3d4" in text
    leaves = json.loads(shown.block("leaves"))
    assert [one["outcome"] for one in leaves["differences"]] == ["fail", "warn", "pass", "waived"]
    matrix = reviewed()
    first = leaves["differences"][0]
    assert matrix.endpoints[first["row"]].id == "v1/secrets:list"
    assert matrix.identities[first["column"]].name == "view"
    assert leaves["findings"][0]["fix"].splitlines()[1] == "- verbs: [get, list]"


def test_every_check_of_the_catalogue_is_there_with_its_sentence() -> None:
    leaves = json.loads(page(small()).block("leaves"))["checks"]
    assert [entry[0] for entry in leaves["catalogue"]] == list(catalogue())
    assert all(entry[4] and entry[5].startswith("https://") for entry in leaves["catalogue"])
    results = [[leaves["texts"][one[0]], one[5]] for one in leaves["results"]]
    assert results == [["LIST-LIMIT", 0], ["SCALE-TYPE", 1]]


def test_every_state_verdict_and_cause_is_defined() -> None:
    words = page(small()).text.replace("-", " ")
    for word in (*Verdict, *Answer, "named", *(cause.id for cause in CAUSES), "proved", "reviewed", "inferred"):
        assert str(word).replace("-", " ") in words
