from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from matrices import hostile, small

from conformance.report.matrix_csv import COLUMNS, render, safe

if TYPE_CHECKING:
    from conformance.model import Matrix


def rows(matrix: Matrix) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render(matrix).decode(), newline=""), strict=True))


def test_one_row_a_cell() -> None:
    read = rows(small())
    assert [(row["endpoint"], row["identity"], row["state"], row["verdict"]) for row in read] == [
        ("v1/pods:get", "view", "allowed", "pass"),
        ("v1/pods:get", "jane", "denied (own bindings only)", "pass"),
        ("apps/v1/deployments/scale:patch", "view", "allowed", "fail"),
        ("apps/v1/deployments/scale:patch", "jane", "denied (own bindings only)", "info"),
        ("v1/configmaps:get", "view", "named", "pass"),
        ("v1/configmaps:get", "jane", "unknown", "not-evaluated"),
        ("/metrics:get", "view", "unknown", "error"),
        ("/metrics:get", "jane", "denied (own bindings only)", "not-applicable"),
    ]
    assert read[4]["names"] == "extension-apiserver-authentication"
    assert read[0]["witness_path"] == "User audit:view > RoleBinding audit-own/view > ClusterRole view > rule 3"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1"])  # noqa: RUF001
def test_a_formula_gets_an_apostrophe(text: str) -> None:
    assert safe(text).startswith("'")


@pytest.mark.parametrize("text", ["", "a=b", "v1/pods:get", "1-1", "'x"])
def test_other_values_stay(text: str) -> None:
    assert safe(text) == text


def test_no_hostile_value_is_a_formula() -> None:
    read = rows(hostile())
    assert len(read) == len(hostile().cells)
    for row in read:
        assert list(row) == list(COLUMNS)
        for value in row.values():
            assert not value.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
