"""What killed runs left goes, and nothing else."""

from __future__ import annotations

import datetime as dt
import pickle
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from conformance.clusters import kubeconfig
from conformance.clusters.processes import birth
from conformance.commands.cleanup import command
from conformance.identities import default_path, lease, leftovers, load, select
from conformance.identities.stage import prepare
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cluster

pytestmark = pytest.mark.server
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
NUMBERS = count(int(time.time()))
OLD = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)


@pytest.fixture
def run() -> str:
    """The id of a run; another for each test, so that none waits until a namespace is gone."""
    return f"dead{next(NUMBERS)}"


@pytest.fixture
def admin(cluster: Cluster, run: str) -> Iterator[Client]:
    with Client(cluster.admin) as client:
        yield client
        for name in (f"kc-{run}-x", f"kc-{run}-y", f"{run}-z"):
            client.ask("DELETE", f"{ROLES}/{name}")
        for name in (leftovers.own_namespace(run), leftovers.own_namespace(f"not{run}")):
            client.ask("DELETE", f"{leftovers.NAMESPACES}/{name}")


@pytest.fixture
def arguments(cluster: Cluster, tmp_path: Path) -> list[str]:
    (tmp_path / "config").write_bytes(kubeconfig.written(cluster.admin))
    return ["--kubeconfig", str(tmp_path / "config"), "--context", "current"]


def there(client: Client, path: str) -> bool:
    return client.ask("GET", path).status != 404


def make(
    client: Client, collection: str, name: str, run: str, *, manager: str = leftovers.MANAGER, **body: Any
) -> None:
    labels = {leftovers.MANAGED_BY: leftovers.MANAGER, leftovers.RUN: run}
    answer = client.ask(
        "POST", collection, query={"fieldManager": manager}, body={"metadata": {"name": name, "labels": labels}, **body}
    )
    assert answer.status == 201, answer.body


def make_run(client: Client, run: str, renewed: dt.datetime, holder: str = "somebody elsewhere") -> None:
    own = leftovers.own_namespace(run)
    make(client, leftovers.NAMESPACES, own, run)
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": 300,
        "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    make(client, lease.path(own, run).rpartition("/")[0], run, run, spec=spec)


def test_only_what_a_dead_run_made_is_removed(admin: Client, run: str, arguments: list[str]) -> None:
    make_run(admin, run, OLD)
    make(admin, ROLES, f"kc-{run}-x", run)
    make(admin, ROLES, f"kc-{run}-y", run, manager="kubectl")  # somebody else made it, whatever its label says
    make(admin, ROLES, f"{run}-z", run)  # no name of ours
    make_run(admin, f"not{run}", dt.datetime.now(dt.UTC) - dt.timedelta(seconds=400))  # not lapsed for long enough

    listed = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert listed.return_value == 0
    ours = [line for line in listed.stdout.splitlines() if run in line]
    assert ours == [f"clusterroles/kc-{run}-x", f"namespaces/kc-{run}-own"]
    assert f"left alone: run not{run}," in listed.stderr
    assert "--yes" in listed.stderr
    assert there(admin, f"{ROLES}/kc-{run}-x")

    deleted = CliRunner().invoke(command, [*arguments, "--yes"], standalone_mode=False)
    assert (deleted.return_value, deleted.stdout) == (0, listed.stdout)
    assert not there(admin, f"{ROLES}/kc-{run}-x")
    namespace = admin.ask("GET", f"{leftovers.NAMESPACES}/kc-{run}-own")
    assert namespace.status == 404 or b'"Terminating"' in namespace.body
    for path in (f"{ROLES}/kc-{run}-y", f"{ROLES}/{run}-z", lease.path(f"kc-not{run}-own", f"not{run}")):
        assert there(admin, path)


def test_what_went_and_a_finalizer_of_ours_holds_is_let_go(admin: Client, run: str, arguments: list[str]) -> None:
    hold = {"metadata": {"finalizers": [f"{leftovers.HOLD}hold"]}}
    merge = {"Content-Type": "application/merge-patch+json"}
    role, held, bound = (
        f"{ROLES}/kc-{run}-x",
        f"{leftovers.NAMESPACES}/kc-{run}-a",
        f"{leftovers.NAMESPACES}/kc-{run}-b",
    )
    make_run(admin, run, OLD)
    make(admin, ROLES, f"kc-{run}-x", run)
    for name in "ab":
        make(admin, leftovers.NAMESPACES, f"kc-{run}-{name}", run)
    own = f"{leftovers.NAMESPACES}/kc-{run}-own"
    inside = f"/apis/rbac.authorization.k8s.io/v1/namespaces/kc-{run}-own/roles"
    make(admin, inside, f"kc-{run}-c", run)
    for path in (role, held, f"{inside}/kc-{run}-c"):
        assert admin.ask("PATCH", path, body=hold, headers=merge).status == 200
    document = admin.get_json(bound)
    document["spec"]["finalizers"].append(f"{leftovers.HOLD}hold")
    assert admin.ask("PUT", f"{bound}/finalize", body=document).status == 200
    for path in (role, held, bound):
        assert admin.ask("DELETE", path).status == 200
        assert there(admin, path)
    done = CliRunner().invoke(command, [*arguments, "--yes"], standalone_mode=False)
    assert done.return_value == 0
    until = time.monotonic() + 60
    gone = (role, held, bound, own)
    while any(there(admin, path) for path in gone) and time.monotonic() < until:
        time.sleep(0.1)
    assert not [path for path in gone if there(admin, path)]


def found_of(admin: Client, run: str) -> tuple[list[str], list[str]]:
    found = leftovers.find(admin, ours=False)
    return [each.name for each in found.dead if each.run == run], [each.name for each in found.alive if each.run == run]


def test_without_a_lease_the_youngest_object_tells(admin: Client, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make(admin, ROLES, f"kc-{run}-x", run)
    assert found_of(admin, run) == ([], [f"clusterroles/kc-{run}-x"])
    monkeypatch.setattr(lease, "GRACE", -lease.SECONDS - 1)
    assert found_of(admin, run) == ([f"clusterroles/kc-{run}-x"], [])


def test_another_object_of_the_same_name_stays(admin: Client, run: str) -> None:
    make_run(admin, run, OLD)
    make(admin, ROLES, f"kc-{run}-y", run)
    found = leftovers.find(admin, ours=False)
    admin.ask("DELETE", f"{ROLES}/kc-{run}-y")
    make(admin, ROLES, f"kc-{run}-y", run)
    assert leftovers.delete(admin, (each for each in found.dead if each.run == run)) == ()
    assert there(admin, f"{ROLES}/kc-{run}-y")


def test_what_cannot_be_deleted_is_said(admin: Client, cluster: Cluster, run: str) -> None:
    make(admin, ROLES, f"kc-{run}-x", run)
    found = leftovers.find(admin, ours=False)
    mine = [each for each in (*found.dead, *found.alive) if each.run == run]
    specs = select(load(default_path()), ["authenticated"])
    with prepare(cluster, specs, run_id="unread", mode="dry-run") as ready, Client(ready.columns[0].access) as client:
        assert len(leftovers.find(client, ours=False).unread) >= len(leftovers.COLLECTIONS)
        (problem,) = leftovers.delete(client, mine)
    assert problem.startswith(f"clusterroles/kc-{run}-x: 403 ")


def test_the_next_run_on_a_cluster_of_ours_removes_what_a_killed_one_left(
    cluster: Cluster, admin: Client, run: str
) -> None:
    process = subprocess.Popen(["sleep", "600"])
    host, space, _, _ = lease.holder().split(" ")
    make_run(admin, run, dt.datetime.now(dt.UTC), holder=f"{host} {space} {process.pid} {birth(process.pid)}")
    make(admin, ROLES, f"kc-{run}-x", run)
    said: list[str] = []
    specs = select(load(default_path()), ["anonymous"])
    try:
        with prepare(cluster, specs, run_id=f"{run}-next1", mode="full", wait=False, say=said.append):
            assert there(admin, f"{ROLES}/kc-{run}-x")  # its process lives
    finally:
        process.kill()
        process.wait()
    with prepare(cluster, specs, run_id=f"{run}-next2", mode="full", wait=False, say=said.append):
        assert not there(admin, f"{ROLES}/kc-{run}-x")
    with prepare(cluster, specs, run_id=f"{run}-next3", mode="full", wait=False, say=said.append):
        pass  # what is on its way out is nobody's leftover, even if it takes a while
    assert [sentence for sentence in said if run in sentence] == [f"removing what the interrupted run {run} left"]


PREPARING = """
import pickle, sys, time
from conformance.identities import default_path, load
from conformance.identities.stage import prepare
cluster, run = pickle.load(sys.stdin.buffer)
print("begun", flush=True)
with prepare(cluster, load(default_path()), run_id=run, mode="full", wait=False, say=print):
    print("ready", flush=True)
"""


def test_a_run_that_is_killed_at_any_moment_leaves_nothing_to_the_next(
    cluster: Cluster, admin: Client, run: str
) -> None:
    runs = [f"{run}-{number}" for number in range(8)]
    for number, killed in enumerate(runs):
        process = subprocess.Popen(
            [sys.executable, "-c", PREPARING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process, process.stdin as stdin, process.stdout as stdout:
            pickle.dump((cluster, killed), stdin)
            stdin.flush()
            stdout.readline()
            # The whole takes about half a second: in the midst of it, once when all is there, once when it is going.
            while number > 5 and b"ready" not in stdout.readline():
                pass
            time.sleep(number * 0.05 if number < 6 else (number - 6) * 0.02)
            process.kill()
    before = leftovers.find(admin, ours=True)
    # Each run sweeps what the one before it left; what the last one left is there, or still on its way out.
    assert {each.run for each in (*before.dead, *before.going)} & set(runs)
    assert not {each.run for each in before.alive} & set(runs)
    with prepare(cluster, (), run_id=f"{run}-next", mode="full", say=lambda _: None):
        pass
    after = leftovers.find(admin, ours=True)
    assert not {each.run for each in (*after.dead, *after.alive, *after.going)} & set(runs)
