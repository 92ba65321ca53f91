from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from matrices import hostile, realistic, small

import conformance
from conformance.report.matrix_json import render

SCHEMA = Path(conformance.__file__).parent / "schema" / "matrix.schema.json"
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_bytes()))
VERDICTS = ["pass", "fail", "info", "not-applicable", "not-evaluated", "error"]


def document() -> Any:
    return json.loads(render(small()))


def test_the_schema_is_valid_and_published() -> None:
    Draft202012Validator.check_schema(VALIDATOR.schema)
    published = Path(__file__).parent.parent / "reports" / "schema" / SCHEMA.name
    assert published.read_bytes() == SCHEMA.read_bytes()


def test_every_key_of_the_schema_is_described() -> None:
    def undescribed(node: Any, where: str) -> list[str]:
        if not isinstance(node, dict):
            return []
        below = [
            finding
            for key, value in node.get("properties", {}).items()
            for finding in ([f"{where}.{key}"] if not {"description", "$ref"} & set(value) else [])
            + undescribed(value, f"{where}.{key}")
        ]
        return below + undescribed(node.get("items"), f"{where}[]")

    assert undescribed(VALIDATOR.schema, "") == []


@pytest.mark.parametrize("matrix", [small(), hostile(), realistic()], ids=["small", "hostile", "realistic"])
def test_what_is_written_is_valid(matrix: Any) -> None:
    VALIDATOR.validate(json.loads(render(matrix)))


def test_the_keys_and_their_order_are_the_contract() -> None:
    whole = document()
    assert list(whole) == [
        *("schemaVersion", "schemaMinor", "run", "cluster", "identities", "endpoints"),
        *("cells", "checks", "findings", "summary"),
    ]
    assert list(whole["cells"][0]) == [
        *("endpoint", "identity", "request", "review", "rules", "effective", "status", "reason", "names"),
        *("witness", "cause", "verdict", "note"),
    ]
    assert whole["run"]["tool"] == {"name": "kube-conformance", "version": "0.1.0"}
    assert whole["run"]["requests"] == {"sent": 16, "retried": 0, "failed": 0}
    assert whole["run"]["namespaces"] == {"own": ["audit-own"], "other": ["audit-other"]}
    assert whole["cells"][0]["witness"] == {
        "kind": "rbac",
        "text": "RBAC: allowed by RoleBinding audit-own/view of ClusterRole view",
        "path": ["User audit:view", "RoleBinding audit-own/view", "ClusterRole view", "rule 3"],
    }
    assert whole["cells"][1]["witness"] is None
    assert whole["cells"][5]["review"] is None
    assert whole["cells"][4]["names"] == ["extension-apiserver-authentication"]
    assert whole["endpoints"][1] == {
        "id": "apps/v1/deployments/scale:patch",
        "group": "apps",
        "version": "v1",
        "resource": "deployments",
        "subresource": "scale",
        "verb": "patch",
        "namespaced": True,
        "scope": "own",
        "path": "",
        "virtual": False,
    }


def test_the_summary_counts_the_cells() -> None:
    cells = json.loads(render(realistic()))
    counted = Counter(cell["verdict"] for cell in cells["cells"])
    summary = cells["summary"]
    assert summary["cells"] == len(cells["cells"]) == 7260
    assert summary["verdicts"] == {verdict: counted[verdict] for verdict in VERDICTS}
    assert list(summary["verdicts"]) == VERDICTS
    assert (summary["disagreements"], summary["explained"], summary["notEvaluated"]) == (
        counted["fail"],
        counted["info"],
        counted["not-evaluated"],
    )


def test_one_cell_is_one_line() -> None:
    lines = render(small()).decode().splitlines()
    assert sum('"effective":' in line for line in lines) == 8


def test_an_empty_matrix_is_valid() -> None:
    empty = json.loads(render(replace(small(), identities=(), endpoints=(), cells=(), checks=(), findings=())))
    VALIDATOR.validate(empty)
    assert empty["summary"]["verdicts"] == dict.fromkeys(VERDICTS, 0)


def test_a_lone_surrogate_is_replaced_and_the_rest_kept() -> None:
    texts = [identity["user"] for identity in json.loads(render(hostile()))["identities"]]
    assert "? lone surrogate" in texts
    assert "\x1b[2J\x1b]0;owned\x07" in texts


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("extra",), 1),
        (("cells", 0, "extra"), 1),
        (("cells", 0, "verdict"), "skipped"),
        (("cells", 0, "effective"), None),
        (("run", "tool", "name"), 3),
        (("summary", "verdicts", "waived"), 0),
    ],
)
def test_the_schema_refuses(path: tuple[Any, ...], value: object) -> None:
    whole = document()
    place = whole
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not VALIDATOR.is_valid(whole)
