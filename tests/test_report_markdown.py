from __future__ import annotations

import re
from dataclasses import replace

import pytest
from matrices import IDENTITIES, cell, endpoint, hostile, realistic, small

from conformance.model import Matrix, Verdict
from conformance.report.markdown import code, render


def text(matrix: Matrix) -> str:
    return render(matrix).decode()


def test_the_verdict_is_the_first_line() -> None:
    assert text(small()).startswith("# ❌ Failed: 1 cell failed, 1 check failed, 1 error, 1 not evaluated of 8 cells")
    good = tuple(one for one in realistic().cells if one.verdict is Verdict.PASS)
    assert text(replace(realistic(), cells=good)).startswith("# ✅ Passed: 7,230 cells of 11 identities, none failed")
    partial = replace(realistic(), cells=good, run=replace(realistic().run, complete=False))
    assert text(partial).startswith("# ❔ Partial: the run is not complete")


def test_it_says_what_failed_and_why_and_how_to_see_it_again() -> None:
    shown = text(small())
    assert "`apps/v1/deployments/scale:patch` as `view`: request allowed (404), review denied, rules denied" in shown
    assert "because `404 NotFound: deployments.apps {absent} not found`" in shown
    assert "1 cell: `policy changed`" in shown
    assert "kube-conformance audit --cluster embedded --kubernetes-version 1.37.2 --mode full" in shown
    assert "Groups unknown for `jane`: denials hold for the user's own bindings only." in shown


def test_the_table_has_allowed_of_all_named_apart() -> None:
    assert "| `core` | ✅ 1/2 +1 | ❔ 0/2 |" in text(small())
    assert "| `apps` | ❌ 1/1 | 🔹 0/1 |" in text(small())


def test_long_lists_are_cut_and_counted() -> None:
    rows = tuple(endpoint(f"r{number}", "get", gv=f"g{number}.io/v1") for number in range(3000))
    cells = tuple(cell(row, IDENTITIES[0], verdict=Verdict.FAIL, note=f"n{row.group}") for row in rows)
    shown = text(replace(small(), identities=IDENTITIES * 9, endpoints=rows, cells=cells))
    assert shown.count("\n") < 500
    assert "… and 2,941 more failures" in shown  # with the failed check of the small matrix
    assert "Not shown here: 2,940 groups and 85 identities." in shown


@pytest.mark.parametrize(
    ("given", "span"),
    [("a", "`a`"), ("`a`", "`` `a` ``"), ("a``b", "```a``b```"), ("a|b", "`a¦b`"), ("", "` `"), ("\n", "`\\n`")],
)
def test_a_code_span_holds_any_text(given: str, span: str) -> None:
    assert code(given) == span


def test_hostile_strings_stand_in_code_spans_only() -> None:
    shown = text(hostile())
    shown = re.sub(r"```sh\n.*?\n```\n", "", shown, flags=re.DOTALL)
    bare = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", shown)
    assert not re.search(r"[<>\[\]]|javascript|@everyone|cmd", bare)
