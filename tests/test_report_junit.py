from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from matrices import hostile, realistic, small

from conformance.compare import differs
from conformance.model import Gate, Verdict
from conformance.report.junit import render

if TYPE_CHECKING:
    from conformance.model import Matrix

# The common schema (Jenkins, xUnit plugin): element -> allowed attributes, required ones, allowed children.
SHAPE = {
    "testsuites": ({"name", "time", "tests", "failures", "errors", "disabled"}, set(), {"testsuite"}),
    "testsuite": (
        {
            "name",
            "tests",
            "failures",
            "errors",
            "time",
            "disabled",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
        },
        {"name", "tests"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "testcase": (
        {"name", "assertions", "time", "classname", "status"},
        {"name", "classname"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": ({"message", "type"}, set(), set()),
    "error": ({"message", "type"}, set(), set()),
    "skipped": ({"message", "type"}, set(), set()),
    "system-out": (set(), set(), set()),
}


def parsed(matrix: Matrix) -> ET.Element:
    return ET.fromstring(render(matrix))  # noqa: S314  # our own output


@pytest.mark.parametrize("matrix", [small(), hostile(), realistic()], ids=["small", "hostile", "realistic"])
def test_the_shape_is_the_common_schema(matrix: Matrix) -> None:
    for element in parsed(matrix).iter():
        attributes, required, children = SHAPE[element.tag]
        assert required <= set(element.attrib) <= attributes, element.tag
        assert {child.tag for child in element} <= children, element.tag
        if element.tag == "testsuite":
            cases = element.findall("testcase")
            kinds = Counter(child.tag for case in cases for child in case)
            for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                assert int(element.get(name, "")) == kinds[tag]
            assert int(element.get("tests", "")) == len(cases)


def test_verdicts_become_results() -> None:
    suite = parsed(small()).find("testsuite")
    assert suite is not None
    results = {
        (case.get("classname"), case.get("name")): [(child.tag, child.get("message")) for child in case]
        for case in suite.findall("testcase")
    }
    drawn = "allowed: request allowed (404), review denied, rules denied"
    assert results == {
        ("core/v1", "v1/pods:get [view]"): [],
        ("core/v1", "v1/pods:get [jane]"): [],
        ("apps/v1", "apps/v1/deployments/scale:patch [view]"): [("failure", f"oracles disagree: {drawn}")],
        ("apps/v1", "apps/v1/deployments/scale:patch [jane]"): [("system-out", None)],
        ("core/v1", "v1/configmaps:get [view]"): [],
        ("core/v1", "v1/configmaps:get [jane]"): [("skipped", "not-evaluated: policy changed")],
        ("paths", "/metrics:get [view]"): [("error", "connection reset")],
        ("paths", "/metrics:get [jane]"): [("skipped", "not-applicable: virtual")],
    }


def test_the_reasons_are_in_the_text() -> None:
    text = {child.tag: child.text or "" for child in parsed(small()).iter() if child.text}
    assert "cause: second-check" in text["system-out"]
    failures = [element.text or "" for element in parsed(small()).iter("failure")]
    assert "because 404 NotFound: deployments.apps {absent} not found" in failures[0]
    assert failures[1].startswith("SHOULD SCALE-TYPE")


def test_checks_have_the_folder_of_their_resource() -> None:
    checks = parsed(small()).findall("testsuite")[1]
    assert [case.get("classname") for case in checks.findall("testcase")] == ["core/v1", "apps/v1"]


def test_what_is_waived_is_skipped_with_its_reason() -> None:
    matrix = small()
    cell = next(cell for cell in matrix.cells if cell.verdict is Verdict.FAIL)
    subject = f"{cell.endpoint}[{cell.identity}]"
    agreed = "agreed (team, until 2999-01-31)"
    one = replace(differs("cell-failed", subject, "run", "high", subject), outcome="waived", waiver=agreed)
    before, after = (
        parsed(replace(matrix, gate=Gate(passed=True, reason="", differences=found))) for found in ((), (one,))
    )
    name = f"{cell.endpoint} [{cell.identity}]"
    case = next(case for case in after.iter("testcase") if case.get("name") == name)
    assert [child.tag for child in case] == ["skipped"]
    assert f"waived: {agreed}" in case[0].get("message", "")
    assert int(after.get("failures", 0)) == int(before.get("failures", 0)) - 1
    assert int(after[0].get("skipped", 0)) == int(before[0].get("skipped", 0)) + 1
