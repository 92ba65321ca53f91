"""The kinds of escalation steps: which rights each needs together, and whom it lets somebody become.

A table and nothing else. A kind holds several ways, any of which does; a way holds rights, all of which are needed.
Sources: the RBAC good practices and the authorization pages of kubernetes.io, and where the server checks twice
pkg/registry/rbac/escalation_check.go, plugin/pkg/admission/certificates and
k8s.io/apiserver/pkg/endpoints/filters/impersonation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RBAC, CERTIFICATES, ADMISSION = "rbac.authorization.k8s.io", "certificates.k8s.io", "admissionregistration.k8s.io"
AUTHENTICATION = "authentication.k8s.io"
ANY_RESOURCE = "?"  # the right is one on some resource, whichever the rule names

# What the name of the object is: none is in the request; any will do; it is whom one becomes; that of the other rights
# of the way that say `same`; or one of those in `names`.
Naming = Literal["none", "any", "target", "same", "listed"]
# Whom a step makes one: accounts of the place by name, users, groups, nodes; everything in the place; a role's rights;
# cluster-admin; nobody new, the step being part of others.
Becomes = Literal["account", "accounts", "user", "anybody", "group", "node", "role", "self-role", "admin", "nobody"]


@dataclass(frozen=True, slots=True)
class Right:
    """One of `verbs` on a resource. `cluster`: only a cluster-wide binding gives it, wherever the step is taken."""

    verbs: tuple[str, ...]
    group: str
    plural: str
    naming: Naming = "none"
    names: tuple[str, ...] = ()
    cluster: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of step. `needs_there` says what the cluster has to hold beside the rights, where rules can't tell.

    A `limited` step lets one do single things as somebody, and not go on from there.
    """

    id: str
    title: str
    becomes: Becomes
    ways: tuple[tuple[Right, ...], ...]
    needs_there: str = ""
    limited: bool = False

    @property
    def namespaced(self) -> bool:
        """Whether the step is taken in a namespace."""
        return any(not right.cluster for way in self.ways for right in way)

    def __hash__(self) -> int:
        return hash(self.id)


def _right(verbs: str, resource: str, naming: Naming = "none", *names: str, cluster: bool = False) -> Right:
    """Read `get|list plural.group/sub`."""
    name, slash, subresource = resource.partition("/")
    plural, _, group = name.partition(".")
    return Right(tuple(verbs.split("|")), group, plural + slash + subresource, naming, names, cluster)


def _wide(verbs: str, resource: str, naming: Naming = "none", *names: str) -> Right:
    return _right(verbs, resource, naming, *names, cluster=True)


def _creating(resource: str, *also: Right, cluster: bool = False) -> tuple[tuple[Right, ...], ...]:
    """By POST, or by applying an object of a name for which rules give both verbs; `also` is needed beside."""
    applying = tuple(_right(verb, resource, "same", cluster=cluster) for verb in ("create", "patch"))
    return ((_right("create", resource, cluster=cluster), *also), (*applying, *also))


WORKLOADS = (
    "pods",
    "deployments.apps",
    "daemonsets.apps",
    "statefulsets.apps",
    "replicasets.apps",
    "replicationcontrollers",
    "jobs.batch",
    "cronjobs.batch",
)
_SIGNERS = ("kubernetes.io/kube-apiserver-client", "kubernetes.io/*")
_KUBELET_SIGNERS = ("kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/*")
_ACTS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


def _on(mode: str, *, cluster: bool = False) -> Right:
    return Right(
        tuple(f"impersonate-on:{mode}:{verb}" for verb in _ACTS), ANY_RESOURCE, ANY_RESOURCE, "any", (), cluster
    )


def _workload_kinds() -> tuple[Kind, ...]:
    made = tuple(
        Kind(
            f"create-{it.partition('.')[0]}", f"create {it}, which run as any account there", "accounts", _creating(it)
        )
        for it in WORKLOADS
    )
    changed = tuple(
        Kind(
            f"change-{it.partition('.')[0]}",
            f"change {it}, whose {'image' if it == 'pods' else 'template'} runs as an account there",
            "accounts",
            ((_right("update|patch", it, "any"),),),
            needs_there=f"one of {it} there",
        )
        for it in WORKLOADS
        if it != "jobs.batch"  # a job's template can't be changed
    )
    return made + changed


_CSRS = "certificatesigningrequests.certificates.k8s.io"


def _certificate(*signers: str) -> tuple[tuple[Right, ...], ...]:
    approval = _wide("update|patch", f"{_CSRS}/approval", "any")
    approve = _wide("approve", f"signers.{CERTIFICATES}", "listed", *signers)
    return _creating(_CSRS, approval, approve, cluster=True)


_BINDINGS, _CLUSTER_BINDINGS = f"rolebindings.{RBAC}", f"clusterrolebindings.{RBAC}"
_ROLES, _CLUSTER_ROLES = f"roles.{RBAC}", f"clusterroles.{RBAC}"

KINDS = (
    Kind(
        "token-request",
        "ask for a token of an account",
        "account",
        ((_right("create", "serviceaccounts/token", "target"),),),
    ),
    Kind(
        "token-secret",
        "create a Secret that is filled with a token of any account there, and read it",
        "accounts",
        (
            (_right("create", "secrets"), _right("get|list|watch", "secrets", "any")),
            tuple(_right(verbs, "secrets", "same") for verbs in ("create", "patch", "get|list|watch")),
        ),
    ),
    Kind(
        "read-secrets",
        "read a Secret that holds a token of an account",
        "accounts",
        ((_right("get|list|watch", "secrets", "any"),),),
        needs_there="a Secret with a token of the account",
    ),
    *_workload_kinds(),
    Kind(
        "privileged-pods",
        "create a pod that owns the node it runs on",
        "node",
        _creating("pods"),
        needs_there="a node, and nothing that forbids privileged pods",
    ),
    Kind(
        "hostpath-volume",
        "create a pod with a volume that is a directory of its node, which Pod Security does not see",
        "node",
        _creating("pods", _right("create", "persistentvolumeclaims"), _wide("create", "persistentvolumes")),
        needs_there="a node, and nothing that forbids pods that run as root",
    ),
    Kind(
        "exec",
        "run a command in a pod, as its account",
        "accounts",
        ((_right("create", "pods/exec", "any"),),),
        needs_there="a pod of the account",
    ),
    Kind(
        "attach",
        "attach to a pod, as its account",
        "accounts",
        ((_right("create", "pods/attach", "any"),),),
        needs_there="a pod of the account",
    ),
    Kind(
        "ephemeral-containers",
        "add a container to a running pod, as its account",
        "accounts",
        ((_right("update|patch", "pods/ephemeralcontainers", "any"),),),
        needs_there="a pod of the account",
    ),
    Kind(
        "node-proxy",
        "reach the kubelets, which run commands in every pod of their node",
        "node",
        ((_wide("get|create", "nodes/proxy", "any"),),),
        needs_there="a node",
    ),
    Kind("impersonate-user", "impersonate a user", "user", ((_wide("impersonate", "users", "target"),),)),
    Kind(
        "impersonate-serviceaccount",
        "impersonate an account",
        "account",
        ((_right("impersonate", "serviceaccounts", "target"),),),
    ),
    Kind(
        "impersonate-group",
        "impersonate a member of a group",
        "group",
        (
            (_wide("impersonate", "groups", "target"), _wide("impersonate", "users", "any")),
            (_wide("impersonate", "groups", "target"), _right("impersonate", "serviceaccounts", "any")),
        ),
    ),
    Kind(
        "impersonate-uid",
        "impersonate a user with any uid",
        "nobody",
        ((_wide("impersonate", f"uids.{AUTHENTICATION}", "target"), _wide("impersonate", "users", "any")),),
    ),
    Kind(
        "impersonate-extra",
        "impersonate a user with extra attributes",
        "nobody",
        (
            (
                _wide("impersonate", f"userextras.{AUTHENTICATION}/scopes", "target"),
                _wide("impersonate", "users", "any"),
            ),
        ),
    ),
    Kind(
        "constrained-user",
        "impersonate a user for single verbs",
        "user",
        (
            (_wide("impersonate:user-info", f"users.{AUTHENTICATION}", "target"), _on("user-info", cluster=True)),
            (_wide("impersonate:user-info", f"users.{AUTHENTICATION}", "target"), _on("user-info")),
        ),
        limited=True,
    ),
    Kind(
        "constrained-serviceaccount",
        "impersonate an account for single verbs",
        "account",
        ((_right("impersonate:serviceaccount", f"serviceaccounts.{AUTHENTICATION}", "target"), _on("serviceaccount")),),
        limited=True,
    ),
    Kind(
        "constrained-node",
        "impersonate a node for single verbs",
        "node",
        (
            (
                _wide("impersonate:arbitrary-node", f"nodes.{AUTHENTICATION}", "any"),
                _on("arbitrary-node", cluster=True),
            ),
            (_wide("impersonate:arbitrary-node", f"nodes.{AUTHENTICATION}", "any"), _on("arbitrary-node")),
        ),
        limited=True,
    ),
    Kind(
        "bind-cluster",
        "bind oneself to a ClusterRole for the whole cluster",
        "role",
        _creating(_CLUSTER_BINDINGS, _wide("bind", _CLUSTER_ROLES, "target"), cluster=True),
    ),
    Kind(
        "bind-clusterrole",
        "bind oneself to a ClusterRole in a namespace",
        "role",
        _creating(_BINDINGS, _right("bind", _CLUSTER_ROLES, "target")),
    ),
    Kind(
        "bind-role",
        "bind oneself to a Role",
        "role",
        _creating(_BINDINGS, _right("bind", _ROLES, "target")),
    ),
    Kind(
        "change-clusterrolebinding",
        "add oneself to a ClusterRoleBinding",
        "role",
        ((_wide("update|patch", _CLUSTER_BINDINGS, "any"), _wide("bind", _CLUSTER_ROLES, "target")),),
        needs_there="a binding to that role",
    ),
    Kind(
        "change-rolebinding",
        "add oneself to a RoleBinding",
        "role",
        ((_right("update|patch", _BINDINGS, "any"), _right("bind", _CLUSTER_ROLES, "target")),),
        needs_there="a binding to that role",
    ),
    Kind(
        "change-rolebinding-role",
        "add oneself to a RoleBinding of a Role",
        "role",
        ((_right("update|patch", _BINDINGS, "any"), _right("bind", _ROLES, "target")),),
        needs_there="a binding to that role",
    ),
    Kind(
        "escalate-clusterrole",
        "add rules to a ClusterRole that one has",
        "self-role",
        ((_wide("update|patch", _CLUSTER_ROLES, "target"), _wide("escalate", _CLUSTER_ROLES, "target")),),
    ),
    Kind(
        "escalate-role",
        "add rules to a Role that one has",
        "self-role",
        ((_right("update|patch", _ROLES, "target"), _right("escalate", _ROLES, "target")),),
    ),
    Kind(
        "aggregate",
        "have rules aggregated into a ClusterRole that one has",
        "self-role",
        (
            (_wide("create", _CLUSTER_ROLES), _wide("escalate", _CLUSTER_ROLES)),
            tuple(_wide(verb, _CLUSTER_ROLES, "same") for verb in ("create", "patch", "escalate")),
            tuple(_wide(verbs, _CLUSTER_ROLES, "same") for verbs in ("update|patch", "escalate")),
        ),
    ),
    Kind(
        "sign-client",
        "have a certificate of any user or group made, but for system:masters",
        "anybody",
        _certificate(*_SIGNERS),
    ),
    Kind(
        "sign-node",
        "have a certificate of a node made",
        "node",
        _certificate(*_KUBELET_SIGNERS),
    ),
    Kind(
        "mutating-webhook",
        "have everybody's requests changed by a webhook",
        "admin",
        _creating(f"mutatingwebhookconfigurations.{ADMISSION}", cluster=True),
        needs_there="somebody with more rights who goes on to write",
    ),
    Kind(
        "mutating-policy",
        "have everybody's requests changed by a policy",
        "admin",
        (
            (
                _wide("create", f"mutatingadmissionpolicies.{ADMISSION}"),
                _wide("create", f"mutatingadmissionpolicybindings.{ADMISSION}"),
            ),
        ),
        needs_there="somebody with more rights who goes on to write",
    ),
    Kind(
        "change-mutating-webhook",
        "have everybody's requests changed by a webhook that is there",
        "admin",
        ((_wide("update|patch", f"mutatingwebhookconfigurations.{ADMISSION}", "any"),),),
        needs_there="such a webhook, and somebody with more rights who goes on to write",
    ),
    Kind(
        "change-mutating-policy",
        "have everybody's requests changed by a policy that is there",
        "admin",
        ((_wide("update|patch", f"mutatingadmissionpolicies.{ADMISSION}", "any"),),),
        needs_there="such a policy with a binding, and somebody with more rights who goes on to write",
    ),
)
BY_ID = {kind.id: kind for kind in KINDS}
