"""What every way to a server has in common: direct TLS, a bearer token, and `kubectl proxy` with its own filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, check
from conformance.checks.accounts import account, nothing, status_of, token_of
from conformance.checks.asking import AUTHENTICATION
from conformance.scripts import DRY_RUN, OWN, Ask, Reply, expect

if TYPE_CHECKING:
    from conformance.scripts import Case, Steps

_OK, _FORBIDDEN, _NOT_FOUND = 200, 403, 404
_PROXY = "https://kubernetes.io/docs/tasks/extend-kubernetes/http-proxy-access-api/"
_PROXY_FLAGS = "https://kubernetes.io/docs/reference/kubectl/generated/kubectl_proxy/"
_IMPERSONATION = f"{AUTHENTICATION}#user-impersonation"
_KUBECTL, _FILTERED = "@kubectl-proxy", "@kubectl-proxy-filtered"  # identities/odd.py says what it filters
_TAKEN = (("Host", "kube-conformance.invalid"),)  # the one that the filtered proxy takes


def _questions() -> tuple[dict[str, Any], ...]:
    """Give requests of several outcomes that tell one way from another."""
    claim = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-conformance"}}
    return (
        {"method": "GET", "path": "/version"},
        {"method": "GET", "path": "/api/v1/namespaces/{own}/configmaps/{absent}"},
        {"method": "GET", "path": "/api/v1/namespaces/{own}/secrets", "query": (("limit", "1"),)},
        {"method": "GET", "path": "/api/v1/nodes", "query": (("limit", "1"),)},
        {"method": "GET", "path": "/apis/kube-conformance.invalid/v1"},
        {"method": "GET", "path": "/api/v1/namespaces/{own}/pods/{absent}/log"},
        {"method": "POST", "path": "/api/v1/namespaces/{own}/configmaps", "query": (DRY_RUN,), "body": claim},
        {"method": "DELETE", "path": "/api/v1/namespaces/{own}/configmaps/{absent}", "query": (DRY_RUN,)},
    )


@check(
    "PATH-KUBECTL-PROXY",
    MUST,
    "A request through kubectl proxy is decided and answered as the same request by direct TLS",
    url=_PROXY,
    quote="When the proxy server is running, you can explore the API using curl, wget, or a browser.",
    on="server",
    mode="dry-run",
    needs=(_KUBECTL,),
)
def path_kubectl_proxy(case: Case) -> Steps:
    """Ask the same both ways."""
    del case
    for question in _questions():
        direct, through = yield (
            Ask(**question, read=status_of),
            Ask(**question, read=status_of, identity=_KUBECTL),
        )
        where = f"{question['method']} {question['path']}"
        expect(direct.status == through.status, f"{where}: {direct.status} directly, {through.status} through it")
        expect(direct.reason == through.reason, f"{where}: another reason through it")
        expect(through.audited, f"{where}: through it the answer bears no Audit-Id")


@check(
    "PATH-TOKEN",
    MUST,
    "A bearer token is decided as its account that is impersonated",
    url=_IMPERSONATION,
    quote="A user can act as another user through impersonation headers.",
    on="server",
    mode="full",
    needs=("@none",),
)
def path_token(case: Case) -> Steps:
    """Ask the same by an account's token, and as the account by impersonation."""
    name = yield from account(case)
    token = yield from token_of(name)
    user = f"system:serviceaccount:{OWN}:{name}"
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{OWN}", "system:authenticated")
    acting = (("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups))
    for question in _questions():
        bearer, impersonated = yield (
            Ask(**question, read=status_of, identity="@none", headers=(("Authorization", f"Bearer {token}"),)),
            Ask(**question, read=status_of, headers=acting),
        )
        where = f"{question['method']} {question['path']}"
        expect(bearer.status == impersonated.status, f"{where}: {bearer.status} and {impersonated.status}")


@check(
    "KUBECTL-PROXY-PATHS",
    MUST,
    "kubectl proxy refuses by itself the paths that it rejects: exec and attach",
    url=_PROXY_FLAGS,
    quote="Regular expression for paths that the proxy should reject. Paths specified here will be"
    " rejected even accepted by --accept-paths.",
    on="server",
    needs=(_KUBECTL,),
)
def kubectl_proxy_paths(case: Case) -> Steps:
    """Ask for both through it, for a pod that is not there."""
    del case
    for verb in ("exec", "attach"):
        path = f"/api/v1/namespaces/{OWN}/pods/{{absent}}/{verb}"
        reply: Reply = yield Ask("GET", path, (("command", "true"),), identity=_KUBECTL, read=nothing)
        expect(reply.status == _FORBIDDEN, f"{verb} is answered {reply.status}")
        expect(not reply.audited, f"{verb} went on to the API server")


@check(
    "KUBECTL-PROXY-HOSTS",
    MUST,
    "kubectl proxy refuses by itself a Host that it does not accept",
    url=_PROXY_FLAGS,
    quote="Regular expression for hosts that the proxy should accept.",
    on="server",
    needs=(_KUBECTL,),
)
def kubectl_proxy_hosts(case: Case) -> Steps:
    """Ask as a page of another site would, whose name leads here."""
    del case
    headers = (("Host", "kube-conformance.invalid"),)
    reply: Reply = yield Ask("GET", "/version", headers=headers, identity=_KUBECTL, read=nothing)
    expect(reply.status == _FORBIDDEN, f"it is answered {reply.status}")
    expect(not reply.audited, "it went on to the API server")


def _refused_by_itself(reply: Reply, what: str) -> None:
    expect(reply.status == _FORBIDDEN, f"{what} is answered {reply.status}")
    expect(not reply.audited, f"{what} went on to the API server")


def _let_through(reply: Reply, what: str, status: int) -> None:
    expect(reply.status == status and reply.audited, f"{what} is answered {reply.status}, and not by the API server")


@check(
    "KUBECTL-PROXY-METHODS",
    MUST,
    "kubectl proxy refuses by itself the methods that it was told to reject, and no others",
    url=_PROXY_FLAGS,
    quote="Regular expression for HTTP methods that the proxy should reject (example"
    " --reject-methods='POST,PUT,PATCH').",
    on="server",
    mode="dry-run",
    needs=(_FILTERED,),
)
def kubectl_proxy_methods(case: Case) -> Steps:
    """Read, patch and delete, without effect, what is not there, through one that rejects the last two."""
    del case
    path = f"/api/v1/namespaces/{OWN}/configmaps/{{absent}}"
    read: Reply = yield Ask("GET", path, headers=_TAKEN, identity=_FILTERED, read=nothing)
    _let_through(read, "GET", _NOT_FOUND)
    for method, body in (("DELETE", None), ("PATCH", {})):
        merge = (("Content-Type", "application/merge-patch+json"),) if body is not None else ()
        asked = Ask(method, path, (DRY_RUN,), body, (*_TAKEN, *merge), _FILTERED, read=nothing)
        reply: Reply = yield asked
        _refused_by_itself(reply, method)


@check(
    "KUBECTL-PROXY-ACCEPTED-PATHS",
    MUST,
    "kubectl proxy lets through the paths that it was told to accept, but for those that it rejects",
    url=_PROXY_FLAGS,
    quote="Regular expression for paths that the proxy should reject. Paths specified here will be rejected even"
    " accepted by --accept-paths.",
    on="server",
    needs=(_FILTERED,),
)
def kubectl_proxy_accepted_paths(case: Case) -> Steps:
    """Ask for a path that is accepted, one that is not, and one that is accepted and rejected."""
    del case
    below = f"/api/v1/namespaces/{OWN}"
    within: Reply = yield Ask("GET", f"{below}/pods/{{absent}}", headers=_TAKEN, identity=_FILTERED, read=nothing)
    _let_through(within, "a path that it accepts", _NOT_FOUND)
    for path, what in (
        ("/version", "a path that it does not accept"),
        ("/apis/apps/v1", "a group that it does not accept"),
        (f"{below}/secrets/{{absent}}", "a path that it accepts and rejects"),
    ):
        reply: Reply = yield Ask("GET", path, headers=_TAKEN, identity=_FILTERED, read=nothing)
        _refused_by_itself(reply, what)


@check(
    "KUBECTL-PROXY-ACCEPTED-HOSTS",
    MUST,
    "kubectl proxy takes the Hosts that it was told to accept, and no others, its own included",
    url=_PROXY_FLAGS,
    quote="Regular expression for hosts that the proxy should accept.",
    on="server",
    needs=(_FILTERED,),
)
def kubectl_proxy_accepted_hosts(case: Case) -> Steps:
    """Ask by the name that it accepts, by one that only begins so, and by localhost."""
    del case
    path = f"/api/v1/namespaces/{OWN}/pods/{{absent}}"
    taken: Reply = yield Ask("GET", path, headers=_TAKEN, identity=_FILTERED, read=nothing)
    _let_through(taken, "the Host that it accepts", _NOT_FOUND)
    for host in ("localhost", "kube-conformance.invalid.example"):
        reply: Reply = yield Ask("GET", path, headers=(("Host", host),), identity=_FILTERED, read=nothing)
        _refused_by_itself(reply, f"Host {host}")
