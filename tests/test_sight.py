"""An auditor who may see little is told what, and audits the rest; nothing that is unseen looks denied."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from audits import RBAC
from kubeconfigs import server_of, write

from conformance import sight
from conformance.identities.ground import until
from conformance.model import Access
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conformance.model import Cluster

pytestmark = pytest.mark.server

HOME, ACCOUNT = "kct-sight", "auditor"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class Auditor(NamedTuple):
    """A kubeconfig of somebody, and a client of the cluster's admin."""

    kubeconfig: Path
    admin: Client


@pytest.fixture(scope="module")
def auditor(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Auditor]:
    """An account in a namespace of its own, without any binding yet."""
    with Client(cluster.admin) as admin:
        post(admin, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})
        accounts = f"/api/v1/namespaces/{HOME}/serviceaccounts"
        post(admin, accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}})
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        }
        token = post(admin, f"{accounts}/{ACCOUNT}/token", request)["status"]["token"]
        folder = tmp_path_factory.mktemp("auditor")
        yield Auditor(write(folder, server_of(cluster), {"token": token}, namespace=HOME), admin)
        assert admin.ask("DELETE", f"/api/v1/namespaces/{HOME}").status == 200


def post(admin: Client, path: str, body: Any) -> Any:
    answer = admin.ask("POST", path, body=body)
    assert answer.status == 201, answer
    return json.loads(answer.body)


@pytest.fixture
def read_only(auditor: Auditor) -> Iterator[None]:
    """The auditor may read everything that the role `view` reads, in all namespaces."""
    yield from bound(auditor, "ClusterRoleBinding", f"{RBAC}/clusterrolebindings", "")


@pytest.fixture
def at_home(auditor: Auditor) -> Iterator[None]:
    """The auditor may read what `view` reads in one namespace, and nothing elsewhere."""
    yield from bound(auditor, "RoleBinding", f"{RBAC}/namespaces/{HOME}/rolebindings", HOME)


def bound(auditor: Auditor, kind: str, path: str, namespace: str) -> Iterator[None]:
    """Have the auditor bound to view, and the authorizer know it; afterwards that it is not any more."""
    subject = {"kind": "ServiceAccount", "namespace": HOME, "name": ACCOUNT}
    body = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": ACCOUNT},
        "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    }
    post(auditor.admin, path, body)

    def may() -> bool:
        asked = {"verb": "list", "resource": "configmaps", "namespace": namespace}
        spec = {"user": f"system:serviceaccount:{HOME}:{ACCOUNT}", "resourceAttributes": asked}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        return bool(post(auditor.admin, REVIEWS, review)["status"]["allowed"])

    try:
        assert until(may, 30)
        yield
    finally:
        assert auditor.admin.ask("DELETE", f"{path}/{ACCOUNT}").status == 200
        assert until(lambda: not may(), 30)


def audit(auditor: Auditor, folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], Any]:
    """Audit what has to do with configmaps as the auditor alone."""
    command = ["audit", "--cluster=kubeconfig", f"--kubeconfig={auditor.kubeconfig}", "--context=it", "--no-checks"]
    command += [f"--reports={folder}", "--identity=you", *arguments, "--", "-k", "configmaps"]
    done = subprocess.run(
        [sys.executable, "-m", "conformance", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, json.loads((folder / "latest" / "matrix.json").read_bytes())


@pytest.mark.usefixtures("read_only")
def test_a_read_only_auditor_is_told_what_it_cannot_see_and_sees_the_rest(auditor: Auditor, tmp_path: Path) -> None:
    done, matrix = audit(auditor, tmp_path)
    assert "RBAC could not be read (ClusterRoles, ClusterRoleBindings, Roles, RoleBindings)" in done.stderr
    assert "namespaces are not asked, as it cannot be read who is bound there" in done.stderr
    assert "others cannot be reviewed" in done.stderr
    cells = {cell["endpoint"]: cell for cell in matrix["cells"]}
    for endpoint in ("v1/configmaps:list", "v1/configmaps:list:all", f"v1/configmaps:get:ns.{HOME}"):
        assert (cells[endpoint]["effective"], cells[endpoint]["verdict"]) == ("allowed", "pass"), cells[endpoint]
    assert cells["v1/configmaps:create"]["effective"] == "denied"
    assert {cell["rules"] for cell in matrix["cells"]} == {"unknown"}
    assert matrix["summary"]["verdicts"]["fail"] == 0
    # No namespace stands for another where nobody can tell who is bound in it.
    assert matrix["run"]["namespaces"]["other"] == ["{other}"]


@pytest.mark.usefixtures("at_home")
def test_an_auditor_of_one_namespace_audits_that_namespace(auditor: Auditor, tmp_path: Path) -> None:
    done, matrix = audit(auditor, tmp_path)
    assert "the namespaces could not be read" in done.stderr
    assert matrix["run"]["namespaces"][f"ns.{HOME}"] == [HOME]
    cells = {cell["endpoint"]: cell["effective"] for cell in matrix["cells"]}
    assert cells[f"v1/configmaps:list:ns.{HOME}"] == "allowed"
    assert cells[f"v1/configmaps:create:ns.{HOME}"] == "denied"
    assert cells["v1/configmaps:list"] == "denied"
    assert cells["v1/configmaps:list:all"] == "denied"
    named, matrix = audit(auditor, tmp_path, f"--namespaces={HOME}")
    assert "the namespaces could not be read" in named.stderr
    assert matrix["run"]["namespaces"].keys() == {"own", f"ns.{HOME}"}
    assert matrix["summary"]["verdicts"]["fail"] == 0


def test_whoever_answers_anything_is_not_gone(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sight.silence(cluster.admin) == ""
    monkeypatch.setattr(sight, "SILENCE", 0.2)
    gone = sight.silence(Access("https://127.0.0.1:1"))
    assert gone.startswith("https://127.0.0.1:1 does not answer any more (")
