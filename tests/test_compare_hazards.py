"""What stands around the API: each thing that can break in an upgrade, seeded alone."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from moments_made import changes, found, moment, uses

if TYPE_CHECKING:
    from conformance.model import Json

HOOK = {
    "name": "h.example.org",
    "of": "validatingwebhookconfigurations",
    "configuration": "c",
    "failurePolicy": "Ignore",
    "rules": [{"resources": ["pods"]}],
    "client": {"service": {"namespace": "web", "name": "hook"}},
    "caBundle": True,
    "endpoints": 1,
    "timeoutSeconds": 10,
}
CRD = {
    "name": "things.example.org",
    "group": "example.org",
    "plural": "things",
    "scope": "Namespaced",
    "versions": [{"name": "v1", "served": True, "storage": True}, {"name": "v2", "served": True, "storage": False}],
    "storedVersions": ["v1"],
    "conversion": {"strategy": "None", "service": None},
    "spec": {},
}
SERVICE = {"name": "v1.metrics", "service": {"name": "m"}, "insecure": False, "available": "True", "reason": ""}
EVIDENCE: Json = {
    "crds": [CRD],
    "webhooks": [HOOK],
    "policies": [{"of": "validatingadmissionpolicies", "name": "p", "spec": {"a": 1}}],
    "apiServices": [SERVICE],
    "components": [{"component": "kubelet", "instance": "n", "version": "v1.37.0"}],
    "objects": {"example.org/things": uses(2)},
    "unseen": [],
}
SEEDS: list[tuple[list[Any], Any, str, str]] = [
    (["crds"], [], "crd-gone", "critical"),
    (["crds", 0, "versions", 1, "served"], False, "crd-version-unserved", "high"),
    (["crds", 0, "versions"], [CRD["versions"][0]], "crd-version-unserved", "high"),  # type: ignore[index]
    (["crds", 0, "conversion", "strategy"], "Webhook", "crd-conversion", "high"),
    (["crds", 0, "storedVersions"], ["v0", "v1"], "stored-version-unserved", "high"),
    (["webhooks"], [], "webhook-gone", "medium"),
    (["webhooks", 0, "failurePolicy"], "Fail", "webhook-failure-policy", "high"),
    (["webhooks", 0, "rules"], [{"resources": ["*"]}], "webhook-rules", "medium"),
    (["webhooks", 0, "namespaceSelector"], {"matchLabels": {"a": "b"}}, "webhook-namespace-selector", "medium"),
    (["webhooks", 0, "timeoutSeconds"], 30, "webhook-changed", "low"),
    (["policies", 0, "spec"], {"a": 2}, "policy-changed", "medium"),
    (["policies"], [], "policy-gone", "medium"),
    (["apiServices", 0, "available"], "False", "apiservice-down", "high"),
    (["apiServices"], [], "apiservice-gone", "medium"),
    (["unseen"], ["pods: 403"], "unseen", "low"),
]


def _with(path: list[Any], value: Any) -> Json:
    made = deepcopy(EVIDENCE)
    place: Any = made
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return made


@pytest.mark.parametrize(("path", "value", "change", "severity"), SEEDS)
def test_one_thing_that_breaks(path: list[Any], value: Any, change: str, severity: str) -> None:
    told = found(moment(evidence=EVIDENCE), moment(evidence=_with(path, value)))
    assert [(it.id.partition(":")[0], it.kind, it.severity) for it in told.values()] == [(change, "cluster", severity)]


def test_no_change_is_none() -> None:
    assert not found(moment(evidence=EVIDENCE), moment(evidence=EVIDENCE))


def test_a_webhook_that_fails_closed_with_nobody_behind_it() -> None:
    evidence = _with(["webhooks", 0], HOOK | {"failurePolicy": "Fail", "endpoints": 0})
    assert changes(moment(evidence=evidence), moment(evidence=evidence)) == {"webhook-without-endpoints"}


@pytest.mark.parametrize(
    ("component", "version", "told"),
    [
        ("kubelet", "v1.34.9", False),
        ("kubelet", "v1.33.1", True),
        ("kubelet", "v1.38.0", True),
        ("kube-scheduler", "v1.36.0", False),
        ("kube-scheduler", "v1.35.0", True),
        ("etcd", "3.6", False),
    ],
)
def test_version_skew(component: str, version: str, *, told: bool) -> None:
    evidence = _with(["components"], [{"component": component, "instance": "n", "version": version}])
    assert ("version-skew" in changes(moment(evidence=evidence), moment(evidence=evidence))) is told


def test_minors_are_not_skipped() -> None:
    before = moment(evidence=EVIDENCE)
    old = replace(before, snapshot=replace(before.snapshot, server_version="v1.35.2"))
    assert changes(old, moment(evidence=EVIDENCE)) == {"minor-skipped"}
    assert "goes back" in found(moment(evidence=EVIDENCE), old)["minor-skipped:kube-apiserver"].title
