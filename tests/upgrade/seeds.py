"""Breakages to be found: what stands on the cluster before and after, and the id and kind under which it must show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conformance.model import Json

RBAC, ADMISSION = "rbac.authorization.k8s.io/v1", "admissionregistration.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Seed:
    """One breakage: objects on both sides, in the order of their creation."""

    id: str
    kind: str
    before: tuple[Json, ...] = ()
    after: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class CRD:
    """A CRD of one kind, a version of it being a name and how it differs from the usual one."""

    plural: str
    versions: tuple[tuple[str, Json], ...] = (("v1", {}),)
    spec: Json = field(default_factory=dict)
    scope: str = "Namespaced"
    properties: Json = field(default_factory=dict)
    more: Json = field(default_factory=dict)  # of the schema of `spec`

    def document(self) -> Json:
        schema = {
            "type": "object",
            "properties": {"spec": {"type": "object", "properties": self.properties} | self.more},
        }
        versions = [
            {"name": name, "served": True, "storage": number == 0, "schema": {"openAPIV3Schema": schema}} | more
            for number, (name, more) in enumerate(self.versions)
        ]
        kind = self.plural.capitalize()
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self.plural}.seed.example.org"},
            "spec": {
                "group": "seed.example.org",
                "names": {"plural": self.plural, "kind": kind, "listKind": f"{kind}List", "singular": kind.lower()},
                "scope": self.scope,
                "versions": versions,
            }
            | self.spec,
        }


def custom(plural: str, version: str = "v1", spec: Json | None = None) -> Json:
    return {
        "apiVersion": f"seed.example.org/{version}",
        "kind": plural.capitalize(),
        "metadata": {"name": "one", "namespace": "default"},
        "spec": spec or {},
    }


def _field(plural: str, change: str, mine: Json, theirs: Json | None, value: Any = None, **more: Json) -> Seed:
    """Make a seed of one field `a` of a custom resource."""
    name = f"org.example.seed.v1.{plural.capitalize()}.spec.a"
    objects = (custom(plural, spec={"a": value}),) if value is not None else ()
    return Seed(
        f"{change}:{name}",
        "schema",
        (CRD(plural, properties={"a": mine}).document(), *objects),
        (CRD(plural, properties={} if theirs is None else {"a": theirs}, more=more.get("spec", {})).document(),),
    )


def _role(name: str, verbs: str, resource: str, labels: Json | None = None, **more: Any) -> Json:
    rule = more.get("rule") or {"verbs": verbs.split(), "apiGroups": [""], "resources": [resource]}
    return {
        "apiVersion": RBAC,
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": labels or {}},
        "rules": [rule],
    }


def _binding(name: str, role: str, subject: Json, namespace: str = "") -> Json:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    return {"apiVersion": RBAC, "kind": kind, "metadata": metadata, "roleRef": reference, "subjects": [subject]}


def _account(name: str) -> Json:
    return {"kind": "ServiceAccount", "name": name, "namespace": "default"}


def _deployed(name: str) -> tuple[Json, ...]:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}}
    spec = {"serviceAccountName": name, "containers": [{"name": "a", "image": "a"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}
    return account, pod


def _user(name: str) -> Json:
    return {"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}


def _hook(name: str, **more: Any) -> Json:
    hook = {
        "name": f"{name}.seed.example.org",
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["replicationcontrollers"],
            }
        ],
        "failurePolicy": "Ignore",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://192.0.2.9/hook"},
        "timeoutSeconds": 1,
    } | more
    kind = "ValidatingWebhookConfiguration"
    return {"apiVersion": ADMISSION, "kind": kind, "metadata": {"name": name}, "webhooks": [hook]}


def _policy(name: str, expression: str = "true") -> Json:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["limitranges"]}]
    spec = {"matchConstraints": {"resourceRules": rules}, "validations": [{"expression": expression}]}
    return {"apiVersion": ADMISSION, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec}


_HPA = {
    "apiVersion": "autoscaling/v1",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "seed", "namespace": "default"},
    "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}},
}
_PDB = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "seed", "namespace": "default"},
    "spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}},
}
_SERVICE = {
    "apiVersion": "apiregistration.k8s.io/v1",
    "kind": "APIService",
    "metadata": {"name": "v1.down.example.org"},
    "spec": {
        "group": "down.example.org",
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 1,
        "insecureSkipTLSVerify": True,
        "service": {"namespace": "default", "name": "nobody"},
    },
}
_NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "seed"},
    "status": {"nodeInfo": dict.fromkeys(
        ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion", "kubeProxyVersion",
         "operatingSystem", "architecture"), "x") | {"kubeletVersion": "v1.30.1"}},
}  # fmt: skip
_ONE: tuple[tuple[str, Json], ...] = (("v1", {}), ("v1beta1", {}))
_TWO: tuple[tuple[str, Json], ...] = (("v1", {}), ("v1beta1", {"served": False}))
_STATUS: Json = {"subresources": {"status": {}}}
_TEXT, _NUMBER = {"type": "string"}, {"type": "integer"}
_SELECTED = {"namespaceSelector": {"matchLabels": {"a": "b"}}}
_READER = _user("reader-of-secrets")
_CLOSED = {
    "failurePolicy": "Fail",
    "clientConfig": {"service": {"namespace": "default", "name": "nobody", "path": "/"}},
}
_WEBHOOK_CONVERSION = {
    "conversion": {
        "strategy": "Webhook",
        "webhook": {"clientConfig": {"url": "https://192.0.2.9/convert"}, "conversionReviewVersions": ["v1"]},
    }
}

SEEDS = (
    # served APIs; which the server after is started without stands in test_seeds.py
    Seed("api-gone:autoscaling/v1/horizontalpodautoscalers", "api", (_HPA,)),
    Seed("api-gone:policy/v1/poddisruptionbudgets", "api", (_PDB,)),
    Seed(
        "api-gone:seed.example.org/v1beta1/unserveds",
        "api",
        (CRD("unserveds", _ONE).document(), custom("unserveds", "v1beta1")),
        (CRD("unserveds", _TWO).document(),),
    ),
    Seed(
        "subresource-gone:seed.example.org/v1/parts/status",
        "api",
        (CRD("parts", (("v1", _STATUS),)).document(),),
        (CRD("parts").document(),),
    ),
    Seed(
        "scope-changed:seed.example.org/v1/places",
        "api",
        (CRD("places").document(),),
        (CRD("places", scope="Cluster").document(),),
    ),
    Seed(
        "api-deprecated:seed.example.org/v1/agings",
        "api",
        (CRD("agings").document(), custom("agings")),
        (CRD("agings", (("v1", {"deprecated": True}),)).document(),),
    ),
    # CRDs
    Seed("crd-gone:leavers.seed.example.org", "cluster", (CRD("leavers").document(), custom("leavers"))),
    Seed(
        "crd-version-unserved:stoppeds.seed.example.org/v1beta1",
        "cluster",
        (CRD("stoppeds", _ONE).document(), custom("stoppeds")),
        (CRD("stoppeds", _TWO).document(),),
    ),
    Seed(
        "crd-storage:movers.seed.example.org",
        "cluster",
        (CRD("movers", _ONE).document(),),
        (CRD("movers", (("v1beta1", {}), ("v1", {}))).document(),),
    ),
    Seed(
        "crd-conversion:converts.seed.example.org",
        "cluster",
        (CRD("converts", _ONE).document(),),
        (CRD("converts", _ONE, spec=_WEBHOOK_CONVERSION).document(),),
    ),
    Seed(
        "stored-version-unserved:stucks.seed.example.org",
        "cluster",
        (CRD("stucks", _ONE).document(),),
        # Created with the old storage version and changed: both are in status.storedVersions.
        (
            CRD("stucks", (("v1beta1", {}), ("v1", {}))).document(),
            CRD("stucks", (("v1", {}), ("v1beta1", {"served": False}))).document(),
        ),
    ),
    # schemas
    _field("goners", "field-gone", _TEXT, None, "x"),
    _field("types", "type-changed", _TEXT, _NUMBER, "x"),
    _field("musts", "field-required", _TEXT, _TEXT, None, spec={"required": ["a"]}),
    _field("enums", "enum-narrowed", _TEXT | {"enum": ["x", "y"]}, _TEXT | {"enum": ["x"]}, "x"),
    _field("presets", "default-changed", _TEXT | {"default": "x"}, _TEXT | {"default": "y"}, "x"),
    _field("limits", "validation-tightened", _NUMBER | {"maximum": 9}, _NUMBER | {"maximum": 3}, 5),
    _field("patterns", "validation-tightened", _TEXT, _TEXT | {"pattern": "^a"}, "x"),
    _field("nulls", "validation-tightened", _TEXT | {"nullable": True}, _TEXT, "x"),
    _field(
        "merges",
        "merge-changed",
        {"type": "array", "items": _TEXT, "x-kubernetes-list-type": "set"},
        {"type": "array", "items": _TEXT, "x-kubernetes-list-type": "atomic"},
        ["x"],
    ),
    _field(
        "rules",
        "validation-tightened",
        _NUMBER,
        _NUMBER | {"x-kubernetes-validations": [{"rule": "self > 1"}]},
        5,
    ),
    # permissions
    Seed(
        "role-widened:view",
        "permission",
        (),
        (_role("seed-aggregated", "get list", "secrets", {"rbac.authorization.k8s.io/aggregate-to-view": "true"}),),
    ),
    Seed(
        "permission-lost:ServiceAccount default/loser@*:configmaps:list",
        "permission",
        (*_deployed("loser"), _role("loser", "get list", "configmaps"), _binding("loser", "loser", _account("loser"))),
        (_role("loser", "get", "configmaps"), _binding("loser", "loser", _account("loser"))),
    ),
    Seed(
        "permission-gained:User reader-of-secrets@*:secrets:get+list",
        "permission",
        (
            _role("reader-of-secrets", "get list", "configmaps"),
            _binding("reader-of-secrets", "reader-of-secrets", _READER),
        ),
        (
            _role("reader-of-secrets", "get list", "secrets"),
            _binding("reader-of-secrets", "reader-of-secrets", _READER),
        ),
    ),
    Seed(
        "permission-lost:User unbound@default:configmaps:get",
        "permission",
        (_role("unbound", "get", "configmaps"), _binding("unbound", "unbound", _user("unbound"), "default")),
        (_role("unbound", "get", "configmaps"),),
    ),
    Seed(
        "permission-gained:User pather@*:/metrics:get",
        "permission",
        (),
        (
            _role("pather", "", "", rule={"verbs": ["get"], "nonResourceURLs": ["/metrics"]}),
            _binding("pather", "pather", _user("pather")),
        ),
    ),
    # admission
    Seed(
        "webhook-rules:validating/ruled/ruled.seed.example.org",
        "cluster",
        (_hook("ruled"),),
        (
            _hook(
                "ruled",
                rules=[{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CONNECT"], "resources": ["*/exec"]}],
            ),
        ),
    ),
    Seed(
        "webhook-failure-policy:validating/failing/failing.seed.example.org",
        "cluster",
        (_hook("failing"),),
        (_hook("failing", failurePolicy="Fail"),),
    ),
    Seed(
        "webhook-namespace-selector:validating/choosing/choosing.seed.example.org",
        "cluster",
        (_hook("choosing"),),
        (_hook("choosing", **_SELECTED),),
    ),
    Seed("webhook-gone:validating/leaving/leaving.seed.example.org", "cluster", (_hook("leaving"),)),
    Seed(
        "webhook-without-endpoints:validating/alone/alone.seed.example.org", "cluster", (), (_hook("alone", **_CLOSED),)
    ),
    Seed(
        "policy-changed:validatingadmissionpolicies/seed-changed",
        "cluster",
        (_policy("seed-changed"),),
        (_policy("seed-changed", "object.metadata.name != 'x'"),),
    ),
    Seed("policy-gone:validatingadmissionpolicies/seed-gone", "cluster", (_policy("seed-gone"),)),
    # around it
    Seed("apiservice-down:v1.down.example.org", "cluster", (), (_SERVICE,)),
    Seed("version-skew:kubelet/seed", "cluster", (_NODE,)),
)
