"""An audit of a fresh kind cluster in mode full: nothing fails, nothing wants a node, and it agrees with embedded."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import yaml

from conformance.clusters import engines
from conformance.files import data
from conformance.risks.hit import BY_KUBEADM

if TYPE_CHECKING:
    from kindplaces import Done, Place

COMPARED = ("effective", "request", "review", "rules", "verdict", "names", "cause")
FIRST_LINES = 3000


@pytest.fixture(scope="session")
def run_on_kind(place: Place) -> tuple[Done, Any]:
    """An audit that has its own cluster, with checks, and its matrix."""
    reports = place.folder / "kind-reports"
    done = place.run("audit", "--cluster=kind", f"--reports={reports}")
    file = reports / "latest" / "matrix.json"
    assert file.exists(), done.said[-FIRST_LINES:]
    return done, orjson.loads(file.read_bytes())


@pytest.fixture(scope="session")
def on_kind(run_on_kind: tuple[Done, Any]) -> Any:
    """The matrix of the fresh kind cluster."""
    return run_on_kind[1]


@pytest.fixture(scope="session")
def on_embedded(place: Place, on_kind: Any) -> Any:
    """The matrix of the embedded control plane of the same version."""
    reports, version = place.folder / "embedded-reports", on_kind["cluster"]["version"].removeprefix("v")
    done = place.run("audit", f"--kubernetes-version={version}", "--no-checks", f"--reports={reports}")
    assert done.code == 0, done.said[-FIRST_LINES:]
    return orjson.loads((reports / "latest" / "matrix.json").read_bytes())


def test_no_cell_and_no_check_fails_and_nothing_is_left(run_on_kind: tuple[Done, Any], engine: str) -> None:
    done, matrix = run_on_kind
    assert done.code == 0, done.said[-FIRST_LINES:]
    assert (matrix["run"]["mode"], matrix["run"]["complete"]) == ("full", True)
    assert matrix["cluster"]["provider"] == "kind"
    wrong = [each for each in (*matrix["cells"], *matrix["checks"]) if each["verdict"] in {"fail", "error"}]
    assert not wrong, wrong[:3]
    assert not [name for name in engines.clusters(engine) if name.startswith("kube-conformance-")]


def test_what_kubeadm_binds_is_listed_and_fails_nothing(on_kind: Any) -> None:
    made = {each["id"].partition(":")[0] for each in on_kind["findings"] if BY_KUBEADM in each["witness"]["text"]}
    assert {"CLUSTER-ADMIN", "NODES-PROXY", "SUBJECT-ANONYMOUS", "SUBJECT-NODES"} <= made
    assert {each["severity"] for each in on_kind["findings"]} <= {"info", "low", "medium"}


def test_no_cell_and_no_check_wants_a_node(on_kind: Any) -> None:
    assert matrix_verdicts(on_kind["cells"])["not-evaluated"] == 0
    wanting = [check for check in on_kind["checks"] if check["verdict"] == "not-evaluated"]
    assert not wanting, wanting[:3]
    live = Counter(check["verdict"] for check in on_kind["checks"] if check["id"].startswith("NODE-"))
    assert set(live) == {"pass"}, live
    assert live["pass"] >= 10


def test_every_cell_that_both_have_agrees_but_named_ones(on_kind: Any, on_embedded: Any) -> None:
    assert on_kind["cluster"]["version"] == on_embedded["cluster"]["version"]
    theirs, ours = cells(on_kind), cells(on_embedded)
    assert ours.keys() <= theirs.keys(), "cells that kind has not"
    named = yaml.safe_load((data("fixtures") / "kind-differences.yaml").read_text("utf-8"))["differences"]
    differing = {key for key in ours if any(ours[key][what] != theirs[key][what] for what in COMPARED)}
    assert differing == {(each["endpoint"], each["identity"]) for each in named}
    assert all(each["reason"] for each in named)


def test_what_kind_has_beside_is_about_namespaces_of_kubeadm(on_kind: Any, on_embedded: Any) -> None:
    more = {endpoint.rpartition(":")[2] for endpoint, _ in cells(on_kind).keys() - cells(on_embedded).keys()}
    assert more <= {"ns.kube-public", "ns.kube-system"}


def cells(matrix: Any) -> dict[tuple[str, str], Any]:
    """Give the cells of a matrix by endpoint and identity."""
    return {(cell["endpoint"], cell["identity"]): cell for cell in matrix["cells"]}


def matrix_verdicts(found: Any) -> Counter[str]:
    """Count verdicts."""
    return Counter(each["verdict"] for each in found)
