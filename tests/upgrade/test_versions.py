"""Two real versions compared and gated; what differs is asserted against a walk of the servers of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from audits import audit

from conformance import cli, moments
from conformance.compare import change_of, compared
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conformance.model import Cluster, Difference
    from conformance.moments import Moment

Side = tuple["Path", "Moment"]


@pytest.fixture(scope="module")
def differences(before: Side, after: Side) -> tuple[Difference, ...]:
    return compared(before[1], after[1])


def _subjects(differences: tuple[Difference, ...], *changes: str) -> set[str]:
    return {it.id.partition(":")[2] for it in differences if change_of(it) in changes}


def _served(cluster: Cluster) -> dict[str, tuple[str, ...]]:
    """Walk the discovery that every server has, group version by group version."""
    found = {}
    with Client(cluster.admin) as client:
        prefixes = [f"/api/{version}" for version in client.get_json("/api")["versions"]]
        for group in client.get_json("/apis")["groups"]:
            prefixes += [f"/apis/{version['groupVersion']}" for version in group["versions"]]
        for prefix in prefixes:
            document = client.get_json(prefix)
            for each in document["resources"]:
                found[f"{document['groupVersion']}/{each['name']}"] = tuple(sorted(each["verbs"]))
    return found


def test_served_apis(old: Cluster, new: Cluster, differences: tuple[Difference, ...]) -> None:
    was, now = _served(old), _served(new)
    came = _subjects(differences, "api-new", "subresource-new")
    parents = {name.rpartition("/")[0] for name in now.keys() - was.keys() if name.count("/") > 2} & came
    told = came | {name for name in now.keys() - was.keys() if name.rpartition("/")[0] in came}
    assert told == now.keys() - was.keys()
    assert parents <= came
    assert came, "a version that brings nothing is no version to try this on"
    gone = _subjects(differences, "api-gone", "subresource-gone")
    assert (
        gone | {name for name in was.keys() - now.keys() if name.rpartition("/")[0] in gone} == was.keys() - now.keys()
    )
    changed = {name for name in was.keys() & now.keys() if was[name] != now[name]}
    verbs = {it.rpartition(":")[0] for it in _subjects(differences, "verb-lost", "verb-gained")}
    assert verbs == changed


def _schemas(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with Client(cluster.admin) as client:
        for key in client.get_json("/openapi/v3")["paths"]:
            found |= client.get_json(f"/openapi/v3/{key}").get("components", {}).get("schemas", {})
    return found


def test_schemas(old: Cluster, new: Cluster, differences: tuple[Difference, ...]) -> None:
    was, now = _schemas(old), _schemas(new)
    gone, required, came = set(), set(), set()
    for name in was.keys() & now.keys():
        mine, theirs = (set(side[name].get("properties", {})) for side in (was, now))
        must, must_now = (set(side[name].get("required", ())) for side in (was, now))
        gone |= {f"{name}.{field}" for field in mine - theirs}
        required |= {f"{name}.{field}" for field in (must_now - must) & theirs}
        came |= {f"{name}.{field}" for field in theirs - mine - must_now}
    assert _subjects(differences, "field-gone", "field-undescribed") == gone
    assert _subjects(differences, "field-required") == required
    assert _subjects(differences, "field-new") == came
    assert gone | required | came, "versions without a difference are none to try this on"


def test_runs_hold_schemas_too(old: Cluster, new: Cluster, differences: tuple[Difference, ...], tmp_path: Path) -> None:
    sides = []
    for name, cluster in (("old", old), ("new", new)):
        done = audit(cluster, tmp_path / name, "--", "-k", "configmaps")
        assert done.code == 0, done.output[-2000:]
        sides.append(moments.read(done.directory))
    told = {it.id for it in compared(*sides) if it.kind == "schema"}
    assert told == {it.id for it in differences if it.kind == "schema"}


def test_default_roles(old: Cluster, new: Cluster, differences: tuple[Difference, ...]) -> None:
    roles = []
    for cluster in (old, new):
        with Client(cluster.admin) as client:
            items = client.get_json("/apis/rbac.authorization.k8s.io/v1/clusterroles")["items"]
            roles.append({each["metadata"]["name"]: each.get("rules") or [] for each in items})
    was, now = roles
    assert _subjects(differences, "role-new") == now.keys() - was.keys()
    assert _subjects(differences, "role-gone") == was.keys() - now.keys()
    told = _subjects(differences, "role-widened", "role-narrowed")
    changed = {name for name in was.keys() & now.keys() if cells(was[name]) != cells(now[name])}
    assert told == changed


def cells(rules: list[Any]) -> set[tuple[str, str, str]]:
    cells = set()
    for rule in rules:
        verbs = rule["verbs"]
        cells |= {(g, r, v) for g in rule.get("apiGroups", ()) for r in rule.get("resources", ()) for v in verbs}
        cells |= {("", url, verb) for url in rule.get("nonResourceURLs", ()) for verb in verbs}
    return cells


def test_the_gate_and_its_waivers(
    before: Side, after: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sides = str(before[0]), str(after[0])
    assert cli.run(["gate", *sides]) == 1
    assert "The gate says no" in capfd.readouterr().out
    assert cli.run(["gate", "init", *sides, "--owner", "team", "--until", "2999-01-01"]) == 0
    assert cli.run(["gate", *sides, "--waivers", "waivers.yaml"]) == 0
    assert cli.run(["compare", *sides]) == 0


def test_an_upgrade_that_changes_nothing(
    new: Cluster, after: Side, frozen: Callable[..., Side], capfd: pytest.CaptureFixture[str]
) -> None:
    again, _ = frozen(new)
    assert cli.run(["gate", str(after[0]), str(again)]) == 0
    assert "The gate passes" in capfd.readouterr().out


def test_clients_are_named_by_the_audit_log(old: Cluster, after: Side, frozen: Callable[..., Side]) -> None:
    from pathlib import Path  # noqa: PLC0415

    assert old.audit_log is not None
    with Client(old.admin, user_agent="legacy-controller/1.4") as client:
        assert client.ask("GET", "/api/v1/namespaces/default/endpoints").status == 200
    _, moment = frozen(old, Path(old.audit_log))
    agents = {call["userAgent"] for call in moment.evidence["audit"]}
    assert "legacy-controller/1.4" in agents
    assert not [agent for agent in agents if agent.startswith("kube-conformance")]
    told = {it.id: it for it in compared(moment, after[1])}["deprecated-in-use:v1/endpoints"]
    assert any("kube-conformance-admin (legacy-controller/1.4) called list 1 times" in who for who in told.affected)


def test_the_metric_is_that_of_before_our_own_reading(new: Cluster, after: Side, frozen: Callable[..., Side]) -> None:
    first = after[1].evidence["calls"]
    assert {"componentstatuses"} & {key.rpartition("/")[2] for key in after[1].evidence["deprecations"]}
    _, again = frozen(new)  # by now we have called every one of them ourselves
    assert again.evidence["calls"] == first
    assert not [call for call in first if call["resource"] == "componentstatuses"]


def test_a_reader_says_what_it_may_not_see(old: Cluster, tmp_path: Path) -> None:
    from dataclasses import replace  # noqa: PLC0415

    from conformance import freezing, moments  # noqa: PLC0415

    binding = {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    with Client(old.admin) as client:
        assert client.ask("POST", path, body=binding).status == 201
    reader = replace(old.admin, headers=(("Impersonate-User", "reader"),))
    try:
        with Client(reader) as client:
            unseen = freezing.freeze(client, tmp_path)
    finally:
        with Client(old.admin) as client:
            client.ask("DELETE", f"{path}/reader")
    moment = moments.read(tmp_path)
    assert any("secrets" in sentence for sentence in unseen)
    assert any("metric" in sentence for sentence in unseen)
    assert moment.evidence["calls"] is None
    assert moment.evidence["webhooks"] is None
    assert moment.evidence["objects"]["/configmaps"]["count"] > 0
    assert moment.snapshot.rbac.incomplete


def test_nothing_of_a_secret_is_kept(old: Cluster, frozen: Callable[..., Side]) -> None:
    import gzip  # noqa: PLC0415

    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "hidden-annotation"}
    metadata = {"name": "kept-secret", "annotations": annotations}
    secret = {"metadata": metadata, "stringData": {"hidden-key": "hidden-value"}}
    with Client(old.admin) as client:
        assert client.ask("POST", "/api/v1/namespaces/default/secrets", body=secret).status == 201
    folder, moment = frozen(old)
    content = gzip.decompress((folder / "snapshot.json.gz").read_bytes())
    assert moment.evidence["objects"]["/secrets"]["count"] >= 1
    assert b"hidden" not in content


def test_what_an_audit_made_is_no_part_of_the_cluster(new: Cluster, after: Side, frozen: Callable[..., Side]) -> None:
    run = "20990101t000000-ffff"
    labels = {"kube-conformance.io/run": run}
    role = {
        "metadata": {"name": f"kc-{run}-role", "labels": labels},
        "rules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }
    with Client(new.admin) as client:
        path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
        assert client.ask("POST", path, body=role).status == 201
        space = {"metadata": {"name": f"kc-{run}-own", "labels": labels}}
        assert client.ask("POST", "/api/v1/namespaces", body=space).status == 201
        _, again = frozen(new)
        client.ask("DELETE", f"{path}/kc-{run}-role")
        client.ask("DELETE", f"/api/v1/namespaces/kc-{run}-own")
    # Our own reading shows in what is used, and in nothing else.
    assert [it.id for it in compared(after[1], again) if it.kind in {"permission", "cluster", "risk"}] == []
    assert again.evidence["namespaces"] == after[1].evidence["namespaces"]
