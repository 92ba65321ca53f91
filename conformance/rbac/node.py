"""What the Node authorizer adds for kubelets, as far as RBAC objects tell.

Upstream: plugin/pkg/auth/authorizer/node/node_authorizer.go. It stands before RBAC and allows a kubelet its own Node
and lease, and objects that a graph of the cluster's pods ties to the node. That graph isn't in a snapshot, so what
hangs on it is None, "can't be told". What doesn't hang on it comes from rules that are compiled into the server and
that it also publishes as ClusterRole `system:node` (bound to nobody): read from there, they are right for any version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.placeholders import ABSENT
from conformance.rbac.predicates import Rule, rules_allow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.model import Attributes
    from conformance.rbac.resolver import Who

PREFIX = "system:node:"
GROUP = "system:nodes"
ROLE = "system:node"
READ = frozenset({"get", "list", "watch"})

# Objects that a node reaches only through the graph: with which verbs it looks there. All else about them is denied.
BY_GRAPH: dict[tuple[str, str], frozenset[str]] = {
    ("", "secrets"): READ,
    ("", "configmaps"): READ,
    ("", "persistentvolumeclaims"): frozenset({"get"}),
    ("", "persistentvolumeclaims/status"): frozenset({"update", "patch"}),
    ("", "persistentvolumes"): frozenset({"get"}),
    ("", "pods"): READ,
    ("", "serviceaccounts"): frozenset({"get"}),
    ("", "serviceaccounts/token"): frozenset({"create"}),
    ("resource.k8s.io", "resourceclaims"): frozenset({"get"}),
    ("resource.k8s.io", "resourceslices"): frozenset({"get", "update", "patch", "delete"}),
    ("storage.k8s.io", "volumeattachments"): frozenset({"get"}),
    ("certificates.k8s.io", "podcertificaterequests"): frozenset({"get"}),
}
# What a node may do to any such object: admission (NodeRestriction) narrows it, authorization doesn't.
ANY: dict[tuple[str, str], frozenset[str]] = {
    ("", "nodes"): frozenset({"create", "update", "patch"}),
    ("", "nodes/status"): frozenset({"update", "patch"}),
    ("", "pods"): frozenset({"create", "delete"}),
    ("", "pods/status"): frozenset({"update", "patch"}),
    ("", "pods/eviction"): frozenset({"create"}),
    ("resource.k8s.io", "resourceslices"): frozenset({"create"}),
    ("certificates.k8s.io", "podcertificaterequests"): frozenset({"create"}),
    ("coordination.k8s.io", "leases"): frozenset({"create"}),
    ("storage.k8s.io", "csinodes"): frozenset({"create"}),
}
# What a node may do to the object of its own name.
OWN: dict[tuple[str, str], frozenset[str]] = {
    ("", "nodes"): READ,
    ("coordination.k8s.io", "leases"): frozenset({"get", "update", "patch", "delete"}),
    ("storage.k8s.io", "csinodes"): frozenset({"get", "update", "patch", "delete"}),
    ("storage.k8s.io", "csinodes/status"): frozenset({"get", "update", "patch"}),
}
SUBDIVIDED = frozenset((group, plural.partition("/")[0]) for group, plural in (*BY_GRAPH, *ANY, *OWN))
# Features of some servers only: served as far as the published rules name them.
FEATURES = frozenset(
    {("storage.k8s.io", "csinodes/status"), ("certificates.k8s.io", "podcertificaterequests"), ("", "serviceaccounts")}
)
NAMESPACED = frozenset({("", "secrets"), ("", "configmaps")})
LEASES = ("coordination.k8s.io", "leases")
LEASE_NAMESPACE = "kube-node-lease"


def node_name(who: Who) -> str | None:
    """Give the node's name where somebody is a kubelet."""
    if not who.user.startswith(PREFIX) or GROUP not in who.groups:
        return None
    return who.user.removeprefix(PREFIX) or None


def node_allows(node: str, attributes: Attributes, rules: Sequence[Rule]) -> bool | None:
    """Say whether the Node authorizer allows a request; None where only the graph knows.

    `rules` are those of ClusterRole `system:node`. Requests that depend on a field selector are taken without one.
    """
    if attributes.path or (attributes.group, attributes.resource) not in SUBDIVIDED:
        return rules_allow(attributes, rules)
    plural = f"{attributes.resource}/{attributes.subresource}" if attributes.subresource else attributes.resource
    key, verb = (attributes.group, plural), attributes.verb
    served = key not in FEATURES or rules_allow(attributes, rules)
    if not served or (key == LEASES and attributes.namespace != LEASE_NAMESPACE):
        return False
    if verb in ANY.get(key, ()):
        return True
    if verb in OWN.get(key, ()):
        return attributes.name == node
    # What does not exist is tied to no node.
    named = attributes.name not in {"", ABSENT} and (attributes.namespace or key not in NAMESPACED)
    return None if named and verb in BY_GRAPH.get(key, ()) else False
