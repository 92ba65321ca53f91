from __future__ import annotations

from dataclasses import replace

import pytest
from matrices import hostile, realistic, small

from conformance.model import CheckResult, Finding, Verdict, Witness
from conformance.report.review import MOST_FINDINGS, render


def finding(number: int, severity: str = "high") -> Finding:
    witness = Witness("rbac", "because", ("User a", "RoleBinding x/b", "Role x/r", "rules[0]"))
    return Finding(f"RULE:User/{number}:RoleBinding/x/b", severity, "Can do it", f"User {number}", witness, ())


@pytest.mark.parametrize("matrix", [small(), hostile(), realistic()], ids=["small", "hostile", "realistic"])
def test_it_fits_on_a_page_and_shows_no_control_characters(matrix: object) -> None:
    text = render(matrix).decode()  # type: ignore[arg-type]
    assert len(text.splitlines()) <= 70
    assert "## Signed" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script" not in text.replace("`", "\n").splitlines()[0]


def test_it_names_the_worst_and_counts_the_rest() -> None:
    findings = tuple(finding(number, "medium" if number % 2 else "critical") for number in range(30))
    text = render(replace(small(), findings=(*findings, finding(99, "info")))).decode()
    rows = [line for line in text.splitlines() if line.startswith(("| `critical`", "| `medium`"))]
    assert len(rows) == MOST_FINDINGS
    assert all("`critical`" in row for row in rows)
    assert f"And {30 - MOST_FINDINGS} more of severity medium or worse." in text
    assert "kube-conformance fix RULE:User/0:RoleBinding/x/b" in text


def test_expectations_that_do_not_hold_are_listed() -> None:
    results = tuple(
        CheckResult("EXPECTATION", "MUST", f"e.yaml:{n}", "", (), verdict, "so")
        for n, verdict in enumerate((Verdict.PASS, Verdict.FAIL))
    )
    text = render(replace(small(), checks=results)).decode()
    assert "2 lines, 1 of them hold." in text
    assert "- `e.yaml:1` `fail`: `so`" in text
