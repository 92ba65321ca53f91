"""An audit looks for risks in the cluster's own roles and bindings, and --fail-on says what fails it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import audits
import pytest

from conformance import matrix
from conformance.rbac.escalation_paths import OF_RUN
from conformance.report import markdown, review, terminal
from conformance.store import SavedRun
from conformance.transport import Client

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster

API = "/apis/rbac.authorization.k8s.io/v1"
NAME = "risky-of-a-test"
FINDING = f"NODES-STATUS:Group/{NAME}:ClusterRoleBinding/{NAME}"
ROLE = {
    "metadata": {"name": NAME},
    "rules": [{"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]}],
}
BINDING = {
    "metadata": {"name": NAME},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": NAME}],
}
EXCLUSIONS = f"exclusions:\n  - {{finding: '{FINDING}', reason: a test}}\n"


@pytest.mark.server
def test_a_finding_of_the_severity_of_fail_on_fails_the_audit(cluster: Cluster, tmp_path: Path) -> None:
    accepted = tmp_path / "exclusions.yaml"
    accepted.write_text(EXCLUSIONS)
    chosen = ("--identity", "unbound", "--", "-k", "test_risks or v1/nodes/status:patch")
    with Client(cluster.admin) as client:
        try:
            assert client.ask("POST", f"{API}/clusterroles", body=ROLE).status == 201
            assert client.ask("POST", f"{API}/clusterrolebindings", body=BINDING).status == 201
            failed = audits.audit(cluster, tmp_path / "failed", "--fail-on", "medium", *chosen)
            passed = audits.audit(
                cluster, tmp_path / "passed", "--fail-on", "medium", "--exclusions", str(accepted), *chosen
            )
        finally:
            client.ask("DELETE", f"{API}/clusterrolebindings/{NAME}")
            client.ask("DELETE", f"{API}/clusterroles/{NAME}")
    assert failed.code == 1, failed.output
    assert "test_risks[NODES-STATUS]" in failed.output
    (finding,) = (it for it in failed.matrix()["findings"] if it["id"] == FINDING)
    assert (finding["severity"], finding["evidence"]) == ("medium", ["v1/nodes/status:patch"])
    assert sorted(finding) == ["evidence", "id", "identity", "severity", "title", "witness"]
    assert passed.code == 0, passed.output
    assert FINDING not in {it["id"] for it in passed.matrix()["findings"]}


@pytest.mark.server
def test_what_the_run_made_for_itself_is_none_of_the_clusters_dangers(audited: audits.Audited) -> None:
    made = matrix.judged(SavedRun(audited.directory))
    assert made.paths
    own = {path.source: path for path in made.paths if path.made}
    assert {"ServiceAccount {own}/edit", "ServiceAccount {own}/admin"} <= set(own)
    assert {path.severity for path in own.values()} == {"info"}
    # Whatever else there is on a fresh cluster comes with every cluster.
    assert {path.severity for path in made.paths} == {"info"}
    assert {it.severity for it in made.findings} == {"info"}
    for page in (review.render(made), markdown.render(made), terminal.render(made)):
        assert f"{len(own):,} {OF_RUN}" in page.decode()
    assert "escalation paths\n" not in terminal.render(made).decode()  # which are listed where they are dangerous
    assert markdown.render(made).decode().count("critical") == 0
