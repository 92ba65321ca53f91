"""`audit --plan`: what a run would do is said before anything is made, and is what the run then does."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from audits import RBAC, audit

from conformance.transport import Client

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster

pytestmark = pytest.mark.server

FEW = ("--identity=admin", "--identity=view", "--identity=deployer", "--identity=cluster-reader", "--identity=invalid")


def test_in_mode_full_it_says_what_would_be_made_and_makes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    with Client(cluster.admin) as client:
        before = names(client)
        planned = audit(cluster, tmp_path, "--mode=full", "--plan", *FEW)
        assert names(client) - before == set()
    assert planned.code == 0, planned.output
    (written,) = re.findall(r"^written: (.*)$", planned.output, re.MULTILINE)
    assert written.startswith(
        "1 ClusterRole, 2 ClusterRoleBindings, 1 Lease, 2 Namespaces, 1 Role, 3 RoleBindings, 4 ServiceAccounts"
    )
    assert not (tmp_path / "latest").exists()


def names(client: Client) -> set[str]:
    """Name what runs make."""
    collections = ("/api/v1/namespaces", f"{RBAC}/clusterrolebindings", f"{RBAC}/clusterroles")
    items = [item for collection in collections for item in client.get_json(collection)["items"]]
    return {item["metadata"]["name"] for item in items if item["metadata"]["name"].startswith("kc-")}


@pytest.mark.parametrize(("mode", "words"), [("observe", "nothing; no request"), ("dry-run", "nothing; each write")])
def test_modes_that_write_nothing_say_so(cluster: Cluster, tmp_path: Path, mode: str, words: str) -> None:
    planned = audit(cluster, tmp_path, f"--mode={mode}", "--plan", "--qps=100", "--identity=invalid")
    assert planned.code == 0, planned.output
    assert f"written: {words}" in planned.output
    count, seconds = (int(re.findall(found, planned.output)[0]) for found in (r"(\d+) requests\n", r"about (\d+) s"))
    assert seconds >= count / 100 - 1  # a budget is what it takes at least


def test_the_numbers_are_those_of_the_run(cluster: Cluster, tmp_path: Path) -> None:
    planned = audit(cluster, tmp_path, "--mode=full", "--plan", *FEW)
    (cells,) = re.findall(r"= (\d+) cells, \d+ requests", planned.output)
    done = audit(cluster, tmp_path, "--mode=full", *FEW)
    assert done.code == 0, done.output[-2000:]
    found = json.loads((done.directory / "matrix.json").read_bytes())
    assert int(cells) == found["run"]["planned"] == len(found["cells"])
    (requests,) = re.findall(r"cells, (\d+) requests", planned.output)
    # Those that prepare, snapshot and settle come to them, and what is asked again.
    assert abs(found["run"]["requests"]["sent"] - int(requests)) < 0.02 * int(requests) + 50
