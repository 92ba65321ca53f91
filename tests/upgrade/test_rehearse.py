"""An upgrade rehearsed: what a restart of the target's server does to roles, what is carried over, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance import cli, rehearsal
from conformance.clusters import embedded
from conformance.compare import compared
from conformance.transport import Client
from upgrade.conftest import OLD
from upgrade.seeds import CRD
from upgrade.test_versions import cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conformance.model import Cluster, Json
    from conformance.moments import Moment

ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
MERGE = {"Content-Type": "application/merge-patch+json"}
EXTRA = {"verbs": ["get"], "apiGroups": ["extra.example.org"], "resources": ["things"]}


def _rules(cluster: Cluster) -> dict[str, list[Any]]:
    with Client(cluster.admin) as client:
        items = client.get_json(ROLES)["items"]
    return {item["metadata"]["name"]: item.get("rules") or [] for item in items}


@pytest.fixture(scope="module")
def grown(old: Cluster, new: Cluster) -> list[str]:
    """Name default roles that the newer version gives more rules: two are needed."""
    was, now = _rules(old), _rules(new)
    names = sorted(
        name
        for name in was.keys() & now.keys()
        if name.startswith("system:") and not cells(now[name]) <= cells(was[name])
    )
    assert len(names) >= 2
    return names


@pytest.fixture(scope="module")
def source(grown: list[str], frozen: Callable[..., tuple[Path, Moment]]) -> Iterator[tuple[Path, Moment]]:
    """Give a cluster of the old version that people have worked on."""
    hook: Json = {
        "metadata": {"name": "hook"},
        "webhooks": [
            {
                "name": "hook.example.org",
                "clientConfig": {"url": "https://192.0.2.9/"},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Ignore",
            }
        ],
    }
    with embedded.running(OLD) as cluster, Client(cluster.admin) as client:
        off = {"metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}}
        assert client.ask("PATCH", f"{ROLES}/{grown[0]}", body=off, headers=MERGE).status == 200
        added = {"rules": [*_rules(cluster)[grown[1]], EXTRA]}
        assert client.ask("PATCH", f"{ROLES}/{grown[1]}", body=added, headers=MERGE).status == 200
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        made = (
            ("/api/v1/namespaces", {"metadata": {"name": "web", "labels": labels}}),
            ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD("carrieds").document()),
            ("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", hook),
            (ROLES, {"metadata": {"name": "own"}, "rules": [EXTRA]}),
        )
        for path, body in made:
            assert client.ask("POST", path, body=body).status == 201, path
        yield frozen(cluster)


def test_a_rehearsed_upgrade(source: tuple[Path, Moment], grown: list[str], new: Cluster) -> None:
    fresh = _rules(new)
    before = {role["metadata"]["name"]: role.get("rules") or [] for role in source[1].snapshot.rbac.cluster_roles}
    with rehearsal.rehearsed(source[1], "1.37", say=lambda _: None) as done:
        after = _rules(done.cluster)
        with Client(done.cluster.admin) as client:
            web = client.get_json("/api/v1/namespaces/web")
            served = client.ask("GET", "/apis/seed.example.org/v1/carrieds").status
    assert after[grown[0]] == before[grown[0]]  # autoupdate is off: it stays what it was
    assert cells(fresh[grown[1]]) <= cells(after[grown[1]])  # it gained what the new version adds
    assert not cells(fresh[grown[1]]) <= cells(before[grown[1]])
    assert EXTRA in after[grown[1]]  # and keeps what somebody added
    assert after["own"] == [EXTRA]
    assert fresh.keys() <= after.keys()
    assert web["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert served == 200
    assert "the webhook hook/hook.example.org" in done.left_behind
    told = {it.id for it in compared(done.before, done.after)}
    assert f"role-widened:{grown[0]}" not in told
    assert not {it for it in told if it.startswith(("webhook-", "crd-", "apiservice-"))}
    assert "role-new:system:controller:storage-version-migrator-controller" in told or any(
        it.startswith("role-new:") for it in told
    )


def test_an_emulated_target_says_so(after: tuple[Path, Moment], old: Cluster) -> None:
    """Going back to the older version's APIs: what the newer one brought is gone again."""
    with rehearsal.rehearsed(after[1], OLD, emulate=True, say=lambda _: None) as done:
        assert any("emulated" in sentence for sentence in done.left_behind)
        assert done.emulated == OLD
        gone = {it.id for it in compared(done.before, done.after) if it.id.startswith("api-gone:")}
    with Client(old.admin) as client:
        known = client.get_json("/apis/certificates.k8s.io/v1")["resources"]
    if not any(each["name"] == "clustertrustbundles" for each in known):
        assert "api-gone:certificates.k8s.io/v1/clustertrustbundles" in gone


def test_the_command(
    source: tuple[Path, Moment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    audit = ("--audit", "--", "--no-checks", "--identity", "view", "--", "-k", "configmaps")
    code = cli.run(["rehearse", "--to", "1.37", "--from", str(source[0]), *audit])
    out = capfd.readouterr().out
    assert code == 1
    assert "→ rehearsal (v1.37.2)" in out or "→ rehearsal (v1.37" in out
    assert "not carried over: the webhook hook/hook.example.org" in out
    assert (tmp_path / "reports" / "latest" / "matrix.json").exists()
