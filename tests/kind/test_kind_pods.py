"""Pods of kind clusters: their network, and an audit that runs in one of them as its service account."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from kindplaces import HOST, admin, made, mounted

from conformance.clusters import kind, kindmaking
from conformance.identities.ground import until

if TYPE_CHECKING:
    from kindplaces import Place

    from conformance.transport import Client

SPACE = "kct-pods"
PODS = f"/api/v1/namespaces/{SPACE}/pods"
PATIENCE = 180.0
MARK = "the matrix: "
INSIDE = f"""
import os, pathlib, subprocess, sys, tempfile
os.chdir(tempfile.mkdtemp())
audit = [sys.executable, "-m", "conformance", "audit", "--cluster=kubeconfig", "--context=in-cluster", "--identity=you"]
subprocess.run([*audit, "--no-checks", "--reports=reports", "--", "-k", "configmaps"], check=False)
print({MARK!r} + pathlib.Path("reports/latest/matrix.json").read_text())
"""


def has_account(client: Client) -> bool:
    return client.ask("GET", f"/api/v1/namespaces/{SPACE}/serviceaccounts/default").status == 200


def phase(client: Client, name: str) -> str:
    return str(client.get_json(f"{PODS}/{name}")["status"].get("phase"))


def pod(client: Client, name: str, node: str, *command: str, **more: Any) -> None:
    """Start a pod on a node."""
    volumes = more.pop("volumes", [])
    container = {"name": "it", "image": kind.POD_IMAGE, "command": list(command)} | more
    spec = {"nodeName": node, "restartPolicy": "Never", "containers": [container], "volumes": volumes}
    made(client, PODS, "Pod", name, spec=spec)


def ended(client: Client, name: str) -> str:
    """Wait for a pod, and give what it said, without its errors."""
    assert until(lambda: phase(client, name) in {"Succeeded", "Failed"}, PATIENCE), client.get_json(f"{PODS}/{name}")
    return client.ask("GET", f"{PODS}/{name}/log").body.decode()


def test_a_pod_reaches_those_of_other_nodes_and_services(place: Place, lasting: str) -> None:
    file = place.run("cluster", "kubeconfig", "--provider", "kind", "--name", lasting).output.strip()
    with admin(Path(file)) as client:
        made(client, "/api/v1/namespaces", "Namespace", SPACE)
        assert until(lambda: has_account(client), PATIENCE)
        pod(client, "serves", f"{lasting}-worker", "httpd", "-f", "-p", "8080", "-h", "/bin")
        assert until(lambda: phase(client, "serves") == "Running", PATIENCE)
        address = client.get_json(f"{PODS}/serves")["status"]["podIP"]
        service = made(
            client,
            f"/api/v1/namespaces/{SPACE}/services",
            "Service",
            "api",
            spec={"ports": [{"port": 80, "targetPort": 8080}]},
        )
        made(
            client,
            f"/apis/discovery.k8s.io/v1/namespaces/{SPACE}/endpointslices",
            "EndpointSlice",
            "api",
            metadata={"name": "api", "labels": {"kubernetes.io/service-name": "api"}},
            addressType="IPv4",
            ports=[{"name": "", "port": 8080, "protocol": "TCP"}],
            endpoints=[{"addresses": [address], "conditions": {"ready": True}}],
        )
        ask = "until printf 'HEAD /busybox HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {} | grep 'HTTP/1'; do sleep 1; done"
        for name, target in (("pod", f"{address} 8080"), ("service", f"{service['spec']['clusterIP']} 80")):
            pod(client, f"asks-{name}", f"{lasting}-control-plane", "sh", "-c", ask.format(target))
        said = [ended(client, f"asks-{name}") for name in ("pod", "service")]
        assert client.ask("DELETE", f"/api/v1/namespaces/{SPACE}").status == 200
    assert all("HTTP/1." in each for each in said), said


def test_an_audit_in_a_pod_is_made_as_the_pods_own_account(place: Place, foreign: str) -> None:
    with admin(place.folder / "foreign.yaml") as client:
        load = [kindmaking.program(), "load", "docker-image", kind.POD_IMAGE, "--name", foreign]
        subprocess.run(load, check=True, capture_output=True)
        made(client, "/api/v1/namespaces", "Namespace", SPACE)
        assert until(lambda: has_account(client), PATIENCE)
        made(
            client,
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            "ClusterRoleBinding",
            SPACE,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            subjects=[{"kind": "ServiceAccount", "namespace": SPACE, "name": "default"}],
        )
        places = [*mounted(), *(link for link in ("/lib", "/lib64") if Path(link).is_symlink())]
        volumes = {f"v{number}": it for number, it in enumerate(places)}
        where = {name: f"{HOST}{Path(it).resolve() if it.startswith('/lib') else it}" for name, it in volumes.items()}
        pod(
            client,
            "auditor",
            f"{foreign}-control-plane",
            *(sys.executable, "-c", INSIDE),
            env=[{"name": "PYTHONPATH", "value": os.pathsep.join(sys.path)}, {"name": "HOME", "value": "/tmp"}],
            volumeMounts=[{"name": name, "mountPath": it, "readOnly": True} for name, it in volumes.items()],
            volumes=[{"name": name, "hostPath": {"path": it}} for name, it in where.items()],
        )
        said = ended(client, "auditor")
        for path in (f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{SPACE}", f"/api/v1/namespaces/{SPACE}"):
            assert client.ask("DELETE", path).status == 200
    assert MARK in said, said[-3000:]
    matrix = orjson.loads(said.partition(MARK)[2])
    assert matrix["identities"][0]["user"] == f"system:serviceaccount:{SPACE}:default"
    assert matrix["cluster"]["server"] == "https://10.96.0.1:443"
    assert matrix["run"]["mode"] == "dry-run"
    verdicts = matrix["summary"]["verdicts"]
    assert (verdicts["fail"], verdicts["error"]) == (0, 0)
    effective = {cell["endpoint"]: cell["effective"] for cell in matrix["cells"]}
    assert (effective["v1/configmaps:list:all"], effective["v1/configmaps:create"]) == ("allowed", "denied")
