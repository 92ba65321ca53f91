"""An audit as users who stay: kubectl says the same of them, and no Secret that they may read is written."""

from __future__ import annotations

import base64
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from audits import RBAC, SEED, Audited, audit, kubeconfig, unpacked

from conformance import store
from conformance.clusters import assets
from conformance.model import Outcome
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conformance.model import Cluster

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.admin) as asking:
        yield asking


PLACE = "audit-of-names"
VALUE = "the-value-of-a-secret"
USERS = {
    "boss": ("admin", PLACE),
    "reader": ("view", ""),
    "worker": ("edit", PLACE),
    "dora": ("audit-dora", ""),
}


@pytest.fixture(scope="module")
def place(client: Client) -> Iterator[str]:
    """A namespace with users who stay when an audit is over, and a Secret that one of them may read by its name."""
    made: list[str] = []

    def make(path: str, **body: Any) -> None:
        response = client.ask("POST", path, body=body)
        assert response.status in {201, 409}, response.body
        made.append(f"{path}/{body['metadata']['name']}")

    make("/api/v1/namespaces", metadata={"name": PLACE})
    applied = {"kubectl.kubernetes.io/last-applied-configuration": VALUE}
    encoded = base64.b64encode(VALUE.encode()).decode()
    secrets = f"/api/v1/namespaces/{PLACE}/secrets"
    make(secrets, metadata={"name": "kept", "annotations": applied}, data={"password": encoded})
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["kept"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["*"], "resources": ["*/scale", "pods/log"], "verbs": ["*"]},
        {"nonResourceURLs": ["/metrics", "/debug/*"], "verbs": ["get"]},
    ]
    make(f"{RBAC}/clusterroles", metadata={"name": "audit-dora", "annotations": applied}, rules=rules)
    for user, (role, namespace) in USERS.items():
        kind = f"namespaces/{namespace}/rolebindings" if namespace else "clusterrolebindings"
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"audit-{user}"}]
        make(f"{RBAC}/{kind}", metadata={"name": f"audit-{user}"}, roleRef=ref, subjects=subjects)
    yield PLACE
    for path in reversed(made):
        client.ask("DELETE", path)


@pytest.fixture(scope="module")
def lasting(cluster: Cluster, place: str, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """An audit as users whose bindings are not the run's own."""
    folder = tmp_path_factory.mktemp("lasting")
    listed = [{"name": user, "kind": "impersonate", "user": f"audit-{user}"} for user in USERS]
    (folder / "identities.yaml").write_text(yaml.safe_dump({"identities": listed}), "utf-8")
    done = audit(
        cluster,
        folder,
        f"--identities={folder / 'identities.yaml'}",
        f"--namespaces={place}",
        "--oracles=request,rules",
        "--allow-partial",  # virtual rows need the review
    )
    assert done.code == 0, done.output[-3000:]
    return done


def test_no_secret_that_was_read_is_stored(lasting: Audited) -> None:
    named = [cell for cell in lasting.matrix()["cells"] if "kept" in cell["names"]]
    assert {cell["endpoint"] for cell in named} >= {
        f"v1/secrets:{verb}:ns.{PLACE}" for verb in ("get", "list", "watch")
    }
    answers = [
        answer
        for row in store.SavedRun(lasting.directory).rows()
        for (_, _, n), answer in row.answers.items()
        if n == "kept"
    ]
    assert any(isinstance(answer, Outcome) and answer.status == 200 for answer in answers), "it was really read"
    needles = [VALUE.encode(), base64.b64encode(VALUE.encode())]
    for file in lasting.directory.iterdir():
        content = unpacked(file)
        assert not [needle for needle in needles if needle in content], file


@pytest.mark.slow
def test_three_hundred_cells_equal_what_kubectl_says(lasting: Audited, cluster: Cluster, tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311  # to be had again
    sys.stdout.write(f"KUBE_CONFORMANCE_SEED={SEED}\n")
    found = lasting.matrix()
    endpoints = {endpoint["id"]: endpoint for endpoint in found["endpoints"]}
    cells = [c for c in found["cells"] if not endpoints[c["endpoint"]]["virtual"] and c["cause"] is None]
    allowed, denied = ([c for c in cells if c["effective"] == kind] for kind in ("allowed", "denied"))
    chosen = chance.sample(allowed, 150) + chance.sample(denied, 150)
    config = kubeconfig(cluster, tmp_path)
    kubectl = str(assets.find().program("kubectl"))

    def ask(cell: Any) -> str:
        endpoint, user = endpoints[cell["endpoint"]], f"audit-{cell['identity']}"
        command = [kubectl, f"--kubeconfig={config}", f"--cache-dir={tmp_path / 'cache'}", "auth", "can-i"]
        command += [endpoint["verb"], *of_kubectl(endpoint, found["run"]["id"]), f"--as={user}"]
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        said = asked.stdout.strip().splitlines()[-1:] or [asked.stderr]
        return {"yes": "allowed", "no": "denied"}.get(said[0].partition(" ")[0], said[0])

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, chosen))
    wrong = [
        (c["endpoint"], c["identity"], c["effective"], said)
        for c, said in zip(chosen, answers, strict=True)
        if c["effective"] != said
    ]
    assert wrong == []


def of_kubectl(endpoint: Any, run: str) -> list[str]:
    if endpoint["path"]:
        return [endpoint["path"]]
    named = (
        f"{endpoint['resource']}.{endpoint['version']}.{endpoint['group']}"
        if endpoint["group"]
        else endpoint["resource"]
    )
    parts = [named, *([f"--subresource={endpoint['subresource']}"] if endpoint["subresource"] else [])]
    places = {
        "own": [f"--namespace=kc-{run}-own"],
        "other": [f"--namespace=kc-{run}-other"],
        "all": ["--all-namespaces"],
    }
    scope = endpoint["scope"]
    return parts + ([f"--namespace={scope[3:]}"] if scope.startswith("ns.") else places.get(scope, []))
