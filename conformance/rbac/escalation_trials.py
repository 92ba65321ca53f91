"""The harmless requests that try an escalation step: what an attacker would send, as a dry run or about nothing.

Each attempt is one way to take the step: requests that all have to be accepted. Pods keep to Pod Security's
`restricted`, so that admission refuses none of them by accident; the one that is privileged is meant to be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from conformance.model import Request
from conformance.rbac.escalation_bodies import (
    admission,
    certificate_request,
    collection,
    of_volume,
    pod_spec,
    workload,
)
from conformance.rbac.escalation_kinds import ADMISSION, CERTIFICATES, RBAC, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from conformance.model import Json

Attempt = tuple[Request, ...]

DRY = (("dryRun", "All"),)
APPLY = (("dryRun", "All"), ("fieldManager", "kube-conformance"), ("force", "true"))
_WHO_AM_I: Json = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
ADMISSION_RESOURCES = {
    "change-mutating-webhook": f"mutatingwebhookconfigurations.{ADMISSION}",
    "change-mutating-policy": f"mutatingadmissionpolicies.{ADMISSION}",
}
_NOBODY = [{"apiGroup": RBAC, "kind": "User", "name": "kube-conformance-absent"}]


@dataclass(frozen=True, slots=True)
class There:
    """What a trial may refer to: `absent` is a name of nothing, `name` one for what is created in a dry run.

    `account` is an account that is there. `objects` are those that are there to be changed, by plural.group and
    namespace, as the server gave them; a RoleBinding of a Role stands under `rolebindings.GROUP/role`. `role` is the
    (kind, name) of the role to bind or change, `user` somebody whom one may impersonate, where the step is to be a
    member of a group.
    """

    absent: str = "kube-conformance-absent"
    name: str = "kube-conformance-absent"
    account: str = "default"
    objects: Mapping[tuple[str, str], Json] = field(default_factory=dict)
    role: tuple[str, str] = ("ClusterRole", "cluster-admin")
    user: str = "kube-conformance-absent"


def attempts(kind: str, namespace: str, target: str, there: There) -> tuple[Attempt, ...]:
    """Give every way to try a step in a namespace, towards a target (an account, user, group); none where none is."""
    action, _, what = kind.partition("-")
    resource = next((it for it in WORKLOADS if it.partition(".")[0] == what), "")
    if action == "create" and resource:
        return _creations(resource, namespace, workload(resource, there.name, target or there.account))
    if action == "change" and resource:
        found = there.objects.get((resource, namespace))
        return _changes(resource, namespace, found, _template_change(resource, found, target or there.account))
    if kind.startswith(("impersonate-", "constrained-")):
        return _impersonations(kind, namespace, target, there)
    if kind.startswith("sign-"):
        return _certificates(kind, there)
    if resource := ADMISSION_RESOURCES.get(kind, ""):
        mark: Json = {"metadata": {"labels": {"kube-conformance": "trial"}}}
        return _changes(resource, "", there.objects.get((resource, "")), mark)
    if (made := _of_roles(kind, namespace, there)) is not None:
        return made
    return _volume(namespace, there) if kind == "hostpath-volume" else _others(kind, namespace, target, there)


# --- requests -------------------------------------------------------------------------------------------------------


def _send(
    method: str, path: str, body: Json | None = None, query: Iterable[tuple[str, str]] = (), kind: str = ""
) -> Request:
    types = {"": "application/json"}
    headers = (("Content-Type", kind or types[""]),) if body is not None else ()
    return Request(method, path, tuple(query), headers, orjson.dumps(body) if body is not None else None)


def _creations(resource: str, namespace: str, body: Json, *also: Request) -> tuple[Attempt, ...]:
    """By POST, and by applying."""
    path = collection(resource, namespace)
    applied = _send("PATCH", f"{path}/{body['metadata']['name']}", body, APPLY, "application/apply-patch+yaml")
    return ((_send("POST", path, body, DRY), *also), (applied, *also))


def _changes(resource: str, namespace: str, found: Json | None, change: Json) -> tuple[Attempt, ...]:
    """By PATCH, and by PUT of what is there with the change."""
    if found is None:
        return ()
    path = f"{collection(resource, namespace)}/{found['metadata']['name']}"
    strategic = "application/strategic-merge-patch+json"
    kind = strategic if "spec" in change else "application/merge-patch+json"
    return ((_send("PATCH", path, change, DRY, kind),), (_send("PUT", path, _merged(found, change), DRY),))


def _merged(found: Any, change: Any) -> Any:
    if isinstance(found, dict) and isinstance(change, dict):
        return {**found, **{key: _merged(found.get(key), value) for key, value in change.items()}}
    if (
        isinstance(found, list)
        and isinstance(change, list)
        and found
        and isinstance(found[0], dict)
        and "name" in found[0]
    ):
        return [_merged(found[0], change[0]), *found[1:]]
    return change


def _template_change(resource: str, found: Json | None, account: str) -> Json:
    if resource == "pods":
        name = found["spec"]["containers"][0]["name"] if found else "main"
        return {"spec": {"containers": [{"name": name, "image": "registry.k8s.io/pause:3.9"}]}}
    spec: Json = {"template": {"spec": {"serviceAccountName": account}}}
    return {"spec": {"jobTemplate": {"spec": spec}} if resource.startswith("cronjobs") else spec}


# --- one kind after the other -----------------------------------------------------------------------------------------


def _others(kind: str, namespace: str, target: str, there: There) -> tuple[Attempt, ...]:
    core = f"/api/v1/namespaces/{namespace}"
    name = there.absent
    match kind:
        case "token-request":
            # Bound to a pod that is not there, no token is made of it.
            pod = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "00000000-0000-0000-0000-000000000000"}
            bound = {"audiences": ["kube-conformance"], "boundObjectRef": pod}
            body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": bound}
            return ((_send("POST", f"{core}/serviceaccounts/{target or name}/token", body),),)
        case "token-secret":
            annotations = {"kubernetes.io/service-account.name": target or there.account}
            secret = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": there.name, "annotations": annotations},
                "type": "kubernetes.io/service-account-token",
            }
            reads = (
                _send("GET", f"{core}/secrets/{there.name}"),
                _send(
                    "GET", f"{core}/secrets", query=(("limit", "1"), ("fieldSelector", f"metadata.name={there.name}"))
                ),
                _watch(f"{core}/secrets", there.name),
            )
            return tuple(it for read in reads for it in _creations("secrets", namespace, secret, read))
        case "read-secrets":
            found = there.objects.get(("secrets", namespace))
            held = found["metadata"]["name"] if found else name
            one = (("limit", "1"), ("fieldSelector", f"metadata.name={held}"))
            return (
                (_send("GET", f"{core}/secrets/{held}"),),
                (_send("GET", f"{core}/secrets", query=one),),
                (_watch(f"{core}/secrets", held),),
            )
        case "privileged-pods":
            owning = workload("pods", there.name, there.account)
            spec: Json = owning["spec"]
            spec |= {"hostPID": True, "volumes": [{"name": "host", "hostPath": {"path": "/"}}]}
            spec["containers"][0]["volumeMounts"] = [{"name": "host", "mountPath": "/host"}]
            return _creations("pods", namespace, owning)
        case "exec" | "attach":
            query = (("command", "true"), ("stdout", "true"), ("container", "main"))
            found = there.objects.get(("pods", namespace))
            pod_name = found["metadata"]["name"] if found else name
            return ((_send("POST", f"{core}/pods/{pod_name}/{kind}", query=query[0 if kind == "exec" else 1 :]),),)
        case "ephemeral-containers":
            found = there.objects.get(("pods", namespace))
            pod_name = found["metadata"]["name"] if found else name
            container = {**pod_spec("")["containers"][0], "name": "more"}
            change = {"spec": {"ephemeralContainers": [container]}}
            path = f"{core}/pods/{pod_name}/ephemeralcontainers"
            patch = _send("PATCH", path, change, DRY, "application/strategic-merge-patch+json")
            body = _merged(found or workload("pods", pod_name, there.account), change)
            return ((patch,), (_send("PUT", path, body, DRY),))
        case "node-proxy":
            path = f"/api/v1/nodes/{name}/proxy/run/x/y/z"
            return ((_send("GET", path),), (_send("POST", path),))
        case "mutating-webhook":
            return _creations(f"mutatingwebhookconfigurations.{ADMISSION}", "", admission(kind, there.name))
        case "mutating-policy":
            return _policy(there)
    return ()


def _watch(path: str, name: str) -> Request:
    query = (("watch", "true"), ("timeoutSeconds", "1"), ("fieldSelector", f"metadata.name={name}"))
    return Request("GET", path, query, headers_only=True)


def _volume(namespace: str, there: There) -> tuple[Attempt, ...]:
    """Make a volume, claim it, and run a pod with it."""
    volume, claim, pod = of_volume(there.name, there.account)
    claimed = _send("POST", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", claim, DRY)
    return _creations("pods", namespace, pod, claimed, _send("POST", "/api/v1/persistentvolumes", volume, DRY))


def _policy(there: There) -> tuple[Attempt, ...]:
    policy = admission("mutating-policy", there.name)
    binding: Json = {
        "apiVersion": f"{ADMISSION}/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": there.name},
        "spec": {"policyName": there.name},
    }
    second = _send("POST", f"/apis/{ADMISSION}/v1/mutatingadmissionpolicybindings", binding, DRY)
    return ((_send("POST", f"/apis/{ADMISSION}/v1/mutatingadmissionpolicies", policy, DRY), second),)


def _impersonations(kind: str, namespace: str, target: str, there: There) -> tuple[Attempt, ...]:
    user = target
    more: tuple[tuple[str, str], ...] = ()
    match kind:
        case "impersonate-serviceaccount" | "constrained-serviceaccount":
            user = f"system:serviceaccount:{namespace}:{target}"
        case "impersonate-group":
            user, more = there.user, (("Impersonate-Group", target),)
        case "impersonate-uid":
            user, more = there.user, (("Impersonate-Uid", target or "0"),)
        case "impersonate-extra":
            user, more = there.user, (("Impersonate-Extra-scopes", target or "all"),)
        case "constrained-node":
            user = f"system:node:{target or there.absent}"
    headers = (("Impersonate-User", user), *more)
    if kind.startswith("constrained-"):
        # Whoever may impersonate for single verbs is refused all others: this is the one that is tried.
        path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
        return ((Request("GET", path, (("limit", "1"),), headers),),)
    body = orjson.dumps(_WHO_AM_I)
    return ((Request("POST", _WHO, (), (("Content-Type", "application/json"), *headers), body),),)


def _certificates(kind: str, there: There) -> tuple[Attempt, ...]:
    signer = "kubernetes.io/kube-apiserver-client" + ("-kubelet" if kind == "sign-node" else "")
    made = certificate_request(there.name, signer)
    resource = f"certificatesigningrequests.{CERTIFICATES}"
    found = there.objects.get((resource, signer))
    if found is None:
        return ()
    condition = {"type": "Approved", "status": "True", "reason": "KubeConformance", "message": "a trial"}
    change = {"status": {"conditions": [condition]}}
    path = f"{collection(resource, '')}/{found['metadata']['name']}/approval"
    approvals = (
        _send("PATCH", path, change, DRY, "application/merge-patch+json"),
        _send("PUT", path, {**found, **change}, DRY),
    )
    return tuple(it for approval in approvals for it in _creations(resource, "", made, approval))


def _of_roles(kind: str, namespace: str, there: There) -> tuple[Attempt, ...] | None:
    version = f"{RBAC}/v1"
    role_kind, role = there.role
    reference = {"apiGroup": RBAC, "kind": role_kind, "name": role}
    role_resource = f"{role_kind.lower()}s.{RBAC}"
    wide = kind in {"bind-cluster", "change-clusterrolebinding"}
    resource = f"{'clusterrolebindings' if wide else 'rolebindings'}.{RBAC}"
    match kind:
        case "bind-cluster" | "bind-clusterrole" | "bind-role":
            binding = {
                "apiVersion": version,
                "kind": "ClusterRoleBinding" if wide else "RoleBinding",
                "metadata": {"name": there.name},
                "subjects": _NOBODY,
                "roleRef": reference,
            }
            return _creations(resource, "" if wide else namespace, binding)
        case "change-clusterrolebinding" | "change-rolebinding" | "change-rolebinding-role":
            place = "" if wide else namespace
            held = f"{resource}/role" if kind.endswith("-role") else resource
            return _changes(resource, place, there.objects.get((held, place)), {"subjects": _NOBODY})
        case "escalate-clusterrole" | "escalate-role":
            place = namespace if kind == "escalate-role" else ""
            return _changes(role_resource, place, there.objects.get((role_resource, place)), {"rules": EVERYTHING})
        case "aggregate":
            made = {
                "apiVersion": version,
                "kind": "ClusterRole",
                "metadata": {"name": there.name, "labels": {"kube-conformance/trial": "true"}},
                "rules": EVERYTHING,
            }
            changed = {"metadata": {"labels": {"kube-conformance/trial": "true"}}, "rules": EVERYTHING}
            found = there.objects.get((role_resource, ""))
            return (*_creations(f"clusterroles.{RBAC}", "", made), *_changes(role_resource, "", found, changed))
    return None
