"""The objects that trials of escalation steps send: workloads, admission, volumes, requests for certificates.

Pods keep to Pod Security's `restricted`, so that admission refuses none of them by accident.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from conformance.rbac.escalation_kinds import ADMISSION, CERTIFICATES

if TYPE_CHECKING:
    from conformance.model import Json

IMAGE = "registry.k8s.io/pause:3.10"
# A request for a certificate of CN=kube-conformance-absent; its key was thrown away.
_PEM = """-----BEGIN CERTIFICATE REQUEST-----
MIHcMIGEAgEAMCIxIDAeBgNVBAMMF2t1YmUtY29uZm9ybWFuY2UtYWJzZW50MFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAErkX1fJAqBQE4B2Narzg69QcvkpNPSY2A
sW1qrxJ+rmMuQF22H10UqnOC+ZLje/sDiTFKs+vx90ArwTUCZh39XqAAMAoGCCqG
SM49BAMCA0cAMEQCIBwbLO+AGAL7UqoTuy+4dtwnBdaOVQVLHn6uB+/Vg4tsAiAi
/m5y0XmhnQOQ2wzAFLsHcQN1G/qSLwjZhE5X93DxKw==
-----END CERTIFICATE REQUEST-----
"""
_VERSIONS = {"": "/api/v1", "apps": "/apis/apps/v1", "batch": "/apis/batch/v1"}
_CLUSTER = frozenset({"clusterroles", "clusterrolebindings", "certificatesigningrequests", "nodes"})
_KINDS = {
    "pods": "Pod",
    "deployments": "Deployment",
    "daemonsets": "DaemonSet",
    "statefulsets": "StatefulSet",
    "replicasets": "ReplicaSet",
    "replicationcontrollers": "ReplicationController",
    "jobs": "Job",
    "cronjobs": "CronJob",
}


def collection(resource: str, namespace: str) -> str:
    """Give the path of `plural.group` in a namespace, or of one that lives in none."""
    plural, _, group = resource.partition(".")
    prefix = _VERSIONS.get(group) or f"/apis/{group}/v1"
    inside = namespace and plural not in _CLUSTER and group != ADMISSION
    return f"{prefix}/namespaces/{namespace}/{plural}" if inside else f"{prefix}/{plural}"


def pod_spec(account: str, *, restarts: str = "Always") -> Json:
    """Give the spec of a pod that runs as an account."""
    return {
        "serviceAccountName": account,
        "restartPolicy": restarts,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "main",
                "image": IMAGE,
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }


def workload(resource: str, name: str, account: str) -> Json:
    """Give a workload that runs as an account."""
    plural, _, group = resource.partition(".")
    labels = {"kube-conformance": "trial"}
    restarts = "Never" if group == "batch" else "Always"
    template = {"metadata": {"labels": labels}, "spec": pod_spec(account, restarts=restarts)}
    spec: Json = {"selector": {"matchLabels": labels}, "template": template}
    match plural:
        case "pods":
            spec = template["spec"]
        case "replicationcontrollers":
            spec = {"selector": labels, "template": template, "replicas": 0}
        case "deployments" | "replicasets":
            spec |= {"replicas": 0}
        case "statefulsets":
            spec |= {"replicas": 0, "serviceName": name}
        case "jobs":
            spec = {"template": template, "suspend": True}
        case "cronjobs":
            spec = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": template}}}
    version = f"{group}/v1" if group else "v1"
    return {"apiVersion": version, "kind": _KINDS[plural], "metadata": {"name": name, "labels": labels}, "spec": spec}


def admission(kind: str, name: str) -> Json:
    """Give a webhook configuration or a policy that does nothing."""
    metadata = {"name": name}
    if kind.endswith("webhook"):
        configuration = "MutatingWebhookConfiguration"
        return {"apiVersion": f"{ADMISSION}/v1", "kind": configuration, "metadata": metadata, "webhooks": []}
    match = {
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    }
    spec = {
        "matchConstraints": match,
        "reinvocationPolicy": "Never",
        "failurePolicy": "Ignore",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}],
    }
    return {"apiVersion": f"{ADMISSION}/v1", "kind": "MutatingAdmissionPolicy", "metadata": metadata, "spec": spec}


def of_volume(name: str, account: str) -> tuple[Json, Json, Json]:
    """Give a volume that is the node's root directory, a claim of it, and a pod of `baseline` that mounts it."""
    size = {"storage": "1Mi"}
    metadata = {"name": name}
    access: Json = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    volume_spec = {**access, "capacity": size, "hostPath": {"path": "/"}}
    claim_spec = {**access, "resources": {"requests": size}, "volumeName": name}
    pod = workload("pods", name, account)
    container = {"name": "main", "image": IMAGE, "volumeMounts": [{"name": "host", "mountPath": "/host"}]}
    held = {"name": "host", "persistentVolumeClaim": {"claimName": name}}
    pod["spec"] = {"serviceAccountName": account, "containers": [container], "volumes": [held]}
    return (
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": volume_spec},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim_spec},
        pod,
    )


def certificate_request(name: str, signer: str) -> Json:
    """Give a request for a certificate of nobody."""
    spec = {
        "request": base64.b64encode(_PEM.encode()).decode(),
        "signerName": signer,
        "usages": ["client auth", "digital signature"],
    }
    return {
        "apiVersion": f"{CERTIFICATES}/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": spec,
    }
