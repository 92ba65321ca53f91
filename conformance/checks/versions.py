"""What several served versions of one resource promise: they are views of the same objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, SHOULD, check
from conformance.checks.asking import MERGE, OBJECT
from conformance.scripts import OWN, RUN, Ask, NotApplicable, Reply, collection_of, expect

if TYPE_CHECKING:
    from conformance.model import Resource
    from conformance.scripts import Case, Steps, Subject

_OVERVIEW = "https://kubernetes.io/docs/concepts/overview/kubernetes-api/"
_VERSIONING = f"{_OVERVIEW}#api-groups-and-versioning"
_POLICY = "https://kubernetes.io/docs/reference/using-api/deprecation-policy/"
_SAME = (
    "The API server handles the conversion between API versions transparently: all the different versions are actually"
    " representations of the same persisted data."
)
_OK = 200


def _elsewhere(other: Resource, name: str) -> str:
    return f"{collection_of(other, OWN)}/{name}"


def _kept(body: Any) -> Any:
    """Give what every version has to show alike: who the object is, and its labels."""
    metadata = body.get("metadata", {}) if isinstance(body, dict) else {}
    return {key: metadata.get(key) for key in ("name", "namespace", "uid", "labels", "creationTimestamp")}


def _several(subject: Subject) -> bool:
    return not subject.aggregated and any("get" in other.verbs for other in subject.others)


# Deprecated APIs that are still served, with the minor version that began to warn of them.
_DEPRECATED = {
    ("", "v1", "endpoints"): 33,
    ("", "v1", "componentstatuses"): 19,
    ("admissionregistration.k8s.io", "v1alpha1", ""): 37,
    ("admissionregistration.k8s.io", "v1beta1", ""): 37,
    ("certificates.k8s.io", "v1beta1", ""): 37,
    ("coordination.k8s.io", "v1alpha2", ""): 37,
    ("coordination.k8s.io", "v1beta1", ""): 37,
    ("resource.k8s.io", "v1beta1", ""): 37,
    ("resource.k8s.io", "v1beta2", ""): 37,
    ("resource.k8s.io", "v1alpha3", "devicetaintrules"): 37,
    ("storagemigration.k8s.io", "v1beta1", ""): 37,
    (f"kc-{RUN}.kube-conformance.io", "v1beta1", "gadgets"): 0,
}

# What came to a version that is deprecated otherwise, and is not itself.
_NOT_YET = frozenset({("resource.k8s.io", "v1beta2", "devicetaintrules")})


def _since(subject: Subject) -> int | None:
    """Say since which minor version a server warns of the resource; None where it does not."""
    if subject.resource is None:
        return None
    if (subject.group, subject.version, subject.resource.name) in _NOT_YET:
        return None
    exact = _DEPRECATED.get((subject.group, subject.version, subject.resource.name))
    return _DEPRECATED.get((subject.group, subject.version, "")) if exact is None else exact


@check(
    "VERSION-READ",
    MUST,
    "An object that is created through one served version can be read through each other, as the same object",
    url=_VERSIONING,
    quote=_SAME,
    on="resource",
    verbs=OBJECT,
    applies=_several,
    mode="full",
    needs=("object",),
)
def read_elsewhere(case: Case) -> Steps:
    """Create in this version, read in all others."""
    made: Reply = yield from case.created("a")
    for other in case.subject.others:
        reply: Reply = yield Ask("GET", _elsewhere(other, case.name_of(made.body)))
        expect(reply.status == _OK, f"through {other.version} it is answered {reply.said()}")
        expect(reply.get("apiVersion") == other.group_version, f"{other.version} brings {reply.get('apiVersion')}")
        expect(reply.get("kind") == other.kind, f"{other.version} brings a {reply.get('kind')}")
        expect(_kept(reply.body) == _kept(made.body), f"{other.version} shows other metadata")


@check(
    "VERSION-WRITE",
    MUST,
    "A change through one served version shows in each other",
    url=_VERSIONING,
    quote=_SAME,
    on="resource",
    verbs=("create", "get", "patch"),
    applies=_several,
    mode="full",
    needs=("object",),
)
def write_elsewhere(case: Case) -> Steps:
    """Label an object through each other version, and look through this one."""
    made: Reply = yield from case.created("a")
    name = case.name_of(made.body)
    for other in case.subject.others:
        if not {"get", "patch"} <= set(other.verbs):
            continue
        patch = {"metadata": {"labels": {"kube-conformance.io/version": other.version}}}
        changed: Reply = yield Ask("PATCH", _elsewhere(other, name), body=patch, headers=MERGE)
        expect(changed.status == _OK, f"through {other.version} a patch is answered {changed.said()}")
        read: Reply = yield Ask("GET", case.item(name))
        shown = read.get("metadata", "labels", "kube-conformance.io/version")
        expect(shown == other.version, f"what {other.version} changed does not show")


@check(
    "VERSION-WARNING",
    SHOULD,
    "A deprecated version that is served says so in a Warning header",
    url=_POLICY,
    quote="Starting in Kubernetes v1.19, making an API request to a deprecated REST API endpoint: Returns a Warning"
    " header",
    on="resource",
    verbs=("list",),
    applies=lambda subject: _since(subject) is not None,
)
def warning(case: Case) -> Steps:
    """List through a version that is known to be deprecated."""
    since = _since(case.subject)
    if since is None or case.world.minor < since:
        raise NotApplicable(f"servers warn of it from 1.{since} on")
    reply: Reply = yield Ask("GET", case.collection(), (("limit", "1"),), read=lambda _seen, _: None)
    expect(reply.status == _OK, f"it is answered {reply.status}")
    expect(any("deprecated" in each for each in reply.warnings), "no Warning header says that it is deprecated")
