"""Somebody changes RBAC while an audit is under way: its cells are asked again, and no change looks like a failure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from audits import RBAC, end, start
from faultproxy import Answered, Asked, before

from conformance.transport import Client, expect_json

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster

pytestmark = pytest.mark.server

NAME = "kc-test-policy-change"
BINDING: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": NAME},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}],
}


def effective(client: Client) -> bool:
    """Say whether the binding counts by now."""
    spec = {"user": "u", "groups": ["system:authenticated"], "resourceAttributes": {"verb": "list", "resource": "pods"}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    answer = client.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review)
    return bool(expect_json(answer, "review")["status"]["allowed"])


def test_a_binding_that_comes_while_it_asks(cluster: Cluster, tmp_path: Path) -> None:
    changed = False

    def change_once(asked: Asked, _: Answered) -> None:
        """Bind everybody to `view` when about half of the rows were asked."""
        nonlocal changed
        if changed or "/serviceaccounts?limit" not in asked.target:
            return
        changed = True
        with Client(cluster.admin) as client:
            expect_json(client.ask("POST", f"{RBAC}/clusterrolebindings", body=BINDING), "binding")
            deadline = time.monotonic() + 20
            while not effective(client) and time.monotonic() < deadline:
                time.sleep(0.05)

    selected = "v1 and (configmaps or pods or serviceaccounts or services) and (list or watch) and not other"
    try:
        with before(cluster, change_once) as proxied:
            done = end(start(proxied, tmp_path, "--", "-k", selected), tmp_path)
    finally:
        with Client(cluster.admin) as client:
            client.ask("DELETE", f"{RBAC}/clusterrolebindings/{NAME}")
    assert changed
    matrix = done.matrix()
    assert done.code == 0, done.output
    assert matrix["summary"]["verdicts"]["fail"] == 0
    noted = {cell["endpoint"] for cell in matrix["cells"] if "policy changed" in cell["note"]}
    assert {"v1/configmaps:list:all", "v1/pods:list:all"} <= noted  # asked before the change, and again after it
    by_cell = {(cell["endpoint"], cell["identity"]): cell for cell in matrix["cells"]}
    # What is in force in the end is what the matrix says.
    assert by_cell["v1/configmaps:list:all", "unbound"]["effective"] == "allowed"
    assert by_cell["v1/services:list:all", "unbound"]["effective"] == "allowed"
    assert by_cell["v1/configmaps:list:all", "anonymous"]["effective"] == "denied"
