"""Clusters of the provider kind: made, used again, several at once, and those of others left alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
from kindplaces import nodes

from conformance.clusters import engines

if TYPE_CHECKING:
    from kindplaces import Place


def test_a_cluster_of_several_nodes_is_there_and_used_again(place: Place, lasting: str) -> None:
    done = place.run("cluster", "kubeconfig", "--provider", "kind", "--name", lasting)
    file = Path(done.output.strip())
    assert sorted(nodes(file)) == [f"{lasting}-control-plane", f"{lasting}-worker"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not Path(os.environ["HOME"], ".kube", "config").exists() or lasting not in Path(
        os.environ["HOME"], ".kube", "config"
    ).read_text("utf-8")
    again = place.run("cluster", "up", "--provider", "kind", "--name", lasting)
    assert (again.code, Path(again.output.strip())) == (0, file)
    assert "is there already" in again.errors
    assert "made by others" not in again.errors


def test_another_version_is_not_taken_for_the_one_that_is_there(place: Place, lasting: str) -> None:
    done = place.run("cluster", "up", "--provider", "kind", "--name", lasting, "--kubernetes-version", "1.30")
    assert done.code == 4, done.said
    assert "not 1.30" in done.errors


def test_several_are_there_at_once_by_name(place: Place, lasting: str, foreign: str) -> None:
    done = place.run("cluster", "status", "--provider", "kind")
    running = {line.split("\t")[0]: line for line in done.output.splitlines()}
    assert {lasting, foreign} <= running.keys()
    assert "running" in running[lasting]
    assert "Kubernetes v1." in running[foreign]
    servers = {line.split("\t")[2] for name, line in running.items() if name in {lasting, foreign}}
    assert len(servers) == 2


def test_what_others_made_is_used_and_never_deleted(place: Place, foreign: str, engine: str, tmp_path: Path) -> None:
    before = engines.nodes(engine, foreign)
    used = place.run("cluster", "up", "--provider", "kind", "--name", foreign)
    assert used.code == 0, used.said
    assert "made by others" in used.errors
    down = place.run("cluster", "down", "--provider", "kind", "--name", foreign)
    assert (down.code, "was not made by kube-conformance" in down.errors) == (4, True), down.said
    audit = place.run(
        "audit",
        "--cluster=kind",
        f"--context={foreign}",
        f"--reports={tmp_path}",
        "--no-checks",
        "--",
        "-k",
        "configmaps",
    )
    assert audit.code == 0, audit.said
    verdicts = orjson.loads((tmp_path / "latest" / "matrix.json").read_bytes())["summary"]["verdicts"]
    assert (verdicts["fail"], verdicts["error"]) == (0, 0), audit.said
    assert "mode dry-run" in audit.errors  # as on any cluster that we did not make
    assert engines.nodes(engine, foreign) == before != ()


def test_a_version_or_a_name_that_is_none_is_one_error(place: Place) -> None:
    named = place.run("cluster", "up", "--provider", "kind", "--name", "No_Name")
    assert (named.code, "is no name for a kind cluster" in named.errors) == (4, True), named.said
    both = place.run(
        "cluster", "up", "--provider", "kind", "--name", place.name("both"), "--nodes", "2", "--config", "x"
    )
    assert (both.code, "say" in both.errors) == (4, True), both.said


@pytest.mark.parametrize("wanted", ["podman", "nerdctl"])
def test_the_engine_that_the_environment_names_is_the_one(place: Place, engine: str, wanted: str) -> None:
    if wanted == engine:
        pytest.skip("it is the one that is here")
    done = place.run("cluster", "status", "--provider", "kind", KIND_EXPERIMENTAL_PROVIDER=wanted)
    assert done.code == 5, done.said
    assert wanted in done.errors
    fine = place.run("cluster", "status", "--provider", "kind", KIND_EXPERIMENTAL_PROVIDER=engine)
    assert fine.code in {0, 5}, fine.said
    assert "no container engine" not in fine.errors
