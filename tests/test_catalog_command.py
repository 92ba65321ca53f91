from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from conformance import discovery, paths
from conformance.clusters import controlplane
from conformance.commands import catalog as module
from conformance.commands.catalog import document, table
from conformance.errors import UsageError
from conformance.model import Catalog, Group, Rbac, Resource, Unavailable
from conformance.transport import Client

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster

PODS = Resource(
    *("", "v1", "pods", "", "Pod", "", "v1"),
    namespaced=True,
    verbs=("create", "get", "list", "watch"),
    short_names=("po",),
)
EVICTION = replace(
    PODS, subresource="eviction", kind="Eviction", kind_group="policy", verbs=("create",), short_names=()
)
HOSTILE = replace(
    PODS, group="x.io", name="w", kind="\x1b[31m" + "K" * 200, kind_group="x.io", verbs=("get", "explode")
)
CATALOG = Catalog(
    groups=(Group("", ("v1",), "v1"), Group("x.io", ("v1", "v2"), "v1")),
    resources=(PODS, EVICTION, HOSTILE),
    paths=("/", "/*"),
    unavailable=(Unavailable("x.io/v2", "down\x1b"),),
    aggregated=frozenset({"x.io/v1"}),
    notes=("a note",),
)


def test_the_table_shows_what_is_served_and_what_is_not() -> None:
    assert list(table(CATALOG, 80)) == [
        "v1",
        "  pods (po)      glwc----          namespaced  Pod",
        "  pods/eviction  ---c----          namespaced  Eviction (policy/v1)",
        "",
        "x.io/v1 (preferred, another server's)",
        "  w (po)         g------- explode  namespaced  \\x1b[31mKKKKKKKKKKKKKKKKKKKKKKKK\u2026",
        "",
        "paths",
        "  /",
        "  /*",
        "",
        "not available: x.io/v2: down\\x1b",
        "a note",
        "2 groups, 2 resources, 1 subresource, 7 verbs on them",
        "verbs: g get, l list, w watch, c create, u update, p patch, d delete, x deletecollection",
    ]


def test_an_empty_catalog_is_no_crash() -> None:
    assert list(table(Catalog((), ()), 80))[-2].startswith("0 groups, 0 resources")


def test_json_says_all_of_the_catalog() -> None:
    found = document(CATALOG)
    assert found["resources"][1] == {
        "group": "",
        "version": "v1",
        "resource": "pods",
        "subresource": "eviction",
        "kind": {"group": "policy", "version": "v1", "kind": "Eviction"},
        "namespaced": True,
        "verbs": ["create"],
        "singular": "",
        "shortNames": [],
        "categories": [],
    }
    assert found["groups"][1] == {"name": "x.io", "versions": ["v1", "v2"], "preferred": "v1"}
    assert found["unavailable"] == [{"groupVersion": "x.io/v2", "reason": "down\x1b"}]
    assert (found["paths"], found["aggregated"], found["notes"]) == (["/", "/*"], ["x.io/v1"], ["a note"])


@pytest.mark.server
def test_every_form_shows_a_real_server(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(controlplane.kubeconfig(cluster), "utf-8")
    with Client(cluster.admin) as client:
        expected = document(replace(discovery.discover(client), paths=paths.rows(client, Rbac())))

    def run(form: str) -> str:
        options = ["--cluster", "kubeconfig", "--kubeconfig", str(kubeconfig), "--context", "current", "-o", form]
        done = CliRunner().invoke(module.command, options, catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    assert json.loads(run("json")) == expected
    assert yaml.safe_load(run("yaml")) == expected
    shown = run("table")
    assert "deployments/scale" in shown
    assert f"{len(expected['groups'])} groups" in shown


@pytest.mark.parametrize("option", ["--kubeconfig", "--context"])
def test_a_context_of_an_embedded_cluster_is_a_mistake(option: str) -> None:
    with pytest.raises(UsageError, match="--cluster kubeconfig"):
        CliRunner().invoke(module.command, [option, "x"], catch_exceptions=False)
