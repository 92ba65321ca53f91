"""What authentication promises: who is let in, as whom, by which way; and what every way has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, SHOULD, check
from conformance.checks.asking import AUTHENTICATION, CONVENTIONS
from conformance.scripts import DRY_RUN, OWN, Ask, Reply, at, expect, need

if TYPE_CHECKING:
    from collections.abc import Generator

    from conformance.model import Identity
    from conformance.scripts import Case, Memory, Seen, Steps

_OK, _CREATED, _BAD, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 201, 400, 401, 403, 404
_SECRETS = "/api/v1/namespaces/{other}/secrets"
_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_MAY_I = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_WHO = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
_MASTERS = "system:masters"
_PROXY = "https://kubernetes.io/docs/tasks/extend-kubernetes/http-proxy-access-api/"
_PROXY_FLAGS = "https://kubernetes.io/docs/reference/kubectl/generated/kubectl_proxy/"
_FRONT = "https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/"
_AUDITING = "https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/"
_HEALTH = "https://kubernetes.io/docs/reference/using-api/health-checks/"
_IMPERSONATION = f"{AUTHENTICATION}#user-impersonation"
_ACCOUNTS = "https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/"
_ISSUER = "https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/"
_PATHS = (
    *("/healthz", "/livez", "/readyz", "/version", "/api", "/apis", "/openapi/v3", "/metrics", "/debug/pprof/"),
    *("/.well-known/openid-configuration", "/openid/v1/jwks", "/logs/"),
)
_ANY = (("Accept", "*/*"),)


def _nothing(_seen: Seen, _memory: Memory) -> None:
    """Keep nothing of a body."""


def _kind(seen: Seen, _: Memory) -> Any:
    return {key: at(seen.document, key) for key in ("kind", "reason", "code", "message")}


def _user(seen: Seen, _: Memory) -> Any:
    user = at(seen.document, "status", "userInfo")
    if user is None:
        return _kind(seen, {})
    return {"username": at(user, "username"), "groups": at(user, "groups") or []}


def _granted(seen: Seen, _: Memory) -> Any:
    return {"token": at(seen.document, "status", "token")}


def _allowed(seen: Seen, _: Memory) -> Any:
    return at(seen.document, "status", "allowed")


def _word(seen: Seen, _: Memory) -> Any:
    return seen.body[:20].decode("utf-8", "replace")


def _is_401(reply: Reply) -> None:
    expect(reply.status == _UNAUTHORIZED, f"it is answered {reply.said() or reply.status}")
    expect(reply.get("kind") == "Status" and reply.reason == "Unauthorized", "the answer is no Status Unauthorized")


# --- nobody is let in who should not be -------------------------------------------------------------------------------


@check(
    "AUTH-NONE",
    MUST,
    "A request without any credential is nobody's: 401, or what system:anonymous may",
    url=f"{AUTHENTICATION}#anonymous-requests",
    quote="When enabled, requests that are not rejected by other configured authentication methods are treated as"
    " anonymous requests, and given a username of system:anonymous and a group of system:unauthenticated.",
    on="server",
    needs=("@none",),
)
def auth_none(case: Case) -> Steps:
    """List Secrets as nobody."""
    del case
    reply: Reply = yield Ask("GET", _SECRETS, (("limit", "1"),), identity="@none", read=_kind)
    expect(reply.status in {_UNAUTHORIZED, _FORBIDDEN}, f"it is answered {reply.status}")
    if reply.status == _FORBIDDEN:
        expect("system:anonymous" in reply.message, "the refusal does not name system:anonymous")


@check(
    "AUTH-BAD-TOKEN",
    MUST,
    "A bearer token that the server does not know is a 401",
    url=CONVENTIONS,
    quote="If the client has provided authorization, the server is indicating the provided authorization is unsuitable"
    " or invalid.",
    on="server",
    needs=("@bad-token",),
)
def auth_bad_token(case: Case) -> Steps:
    """Ask with a made-up token, also where everybody may ask."""
    del case
    for path in ("/api", "/version"):
        reply: Reply = yield Ask("GET", path, identity="@bad-token", read=_kind)
        _is_401(reply)


@check(
    "AUTH-FOREIGN-CERTIFICATE",
    MUST,
    "A client certificate of another authority is a 401",
    url=f"{AUTHENTICATION}#x509-client-certificates",
    quote="If a client certificate is presented and verified, the common name of the subject is used as the user name"
    " for the request.",
    on="server",
    needs=("@foreign-certificate",),
)
def auth_foreign_certificate(case: Case) -> Steps:
    """Ask with a certificate for system:masters that we signed ourselves."""
    del case
    reply: Reply = yield Ask("GET", "/api", identity="@foreign-certificate", read=_kind)
    if reply.status == 0:
        return  # the connection was refused, which is as good
    _is_401(reply)


@check(
    "AUTH-EXPIRED-CERTIFICATE",
    MUST,
    "A client certificate that has expired is a 401",
    url=f"{AUTHENTICATION}#x509-client-certificates",
    quote="If a client certificate is presented and verified, the common name of the subject is used as the user name"
    " for the request.",
    on="server",
    needs=("@expired-certificate",),
)
def auth_expired_certificate(case: Case) -> Steps:
    """Ask with a certificate of the server's own authority, of yesterday."""
    del case
    reply: Reply = yield Ask("GET", "/api", identity="@expired-certificate", read=_kind)
    if reply.status == 0:
        return
    _is_401(reply)


def _account(case: Case) -> Generator[Any, Any, str]:
    """Make a service account, and give its name."""
    name = case.name("sa")
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "labels": case.labels}}
    made: Reply = yield Ask("POST", f"/api/v1/namespaces/{OWN}/serviceaccounts", body=body)
    need(made.status == _CREATED, f"no service account could be made: {made.said()}")
    return name


def _token(name: str, **spec: Any) -> Generator[Any, Any, str]:
    """Have a token of an account; what comes is its placeholder."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = f"/api/v1/namespaces/{OWN}/serviceaccounts/{name}/token"
    reply: Reply = yield Ask(
        "POST", path, body=body, read=lambda seen, _: {"token": at(seen.document, "status", "token")}
    )
    need(reply.status == _CREATED and reply.get("token"), f"no token could be had: {reply.status}")
    return str(reply.get("token"))


def _with_token(token: str) -> Ask:
    headers = (("Authorization", f"Bearer {token}"),)
    return Ask("POST", _REVIEW, body=_WHO, headers=headers, identity="@none", read=_user)


@check(
    "AUTH-TOKEN",
    MUST,
    "A token of a service account is that account, in the groups of its namespace",
    url=f"{AUTHENTICATION}#service-account-tokens",
    quote="Service accounts authenticate with the username system:serviceaccount:(NAMESPACE):(SERVICEACCOUNT), and are"
    " assigned to the groups system:serviceaccounts and system:serviceaccounts:(NAMESPACE).",
    on="server",
    mode="full",
    needs=("@none",),
)
def auth_token(case: Case) -> Steps:
    """Make an account and ask the server who its token is."""
    name = yield from _account(case)
    token = yield from _token(name)
    reply: Reply = yield _with_token(token)
    expect(reply.status == _CREATED, f"it is answered {reply.said() or reply.status}")
    expect(reply.get("username") == f"system:serviceaccount:{OWN}:{name}", f"it is {reply.get('username')}")
    groups = set(reply.get("groups") or ())
    expect({"system:serviceaccounts", f"system:serviceaccounts:{OWN}"} <= groups, "a group is missing")


@check(
    "AUTH-TOKEN-AUDIENCE",
    MUST,
    "A token for another audience is a 401",
    url=_ACCOUNTS,
    quote="The token must be intended for one of the audiences of the API server.",
    on="server",
    mode="full",
    needs=("@none",),
)
def auth_token_audience(case: Case) -> Steps:
    """Have a token that is meant for somebody else."""
    name = yield from _account(case)
    token = yield from _token(name, audiences=["https://kube-conformance.invalid"])
    reply: Reply = yield _with_token(token)
    _is_401(reply)


@check(
    "AUTH-TOKEN-DELETED",
    MUST,
    "A token of an account that was deleted is a 401",
    url=_ACCOUNTS,
    quote="the token is invalidated when the ServiceAccount that it was issued for is deleted",
    on="server",
    mode="full",
    needs=("@none",),
)
def auth_token_deleted(case: Case) -> Steps:
    """Have two tokens of an account, show one, delete the account, and show the other."""
    name = yield from _account(case)
    first = yield from _token(name)
    second = yield from _token(name)
    reply: Reply = yield _with_token(first)
    need(reply.status == _CREATED, f"while the account is there its token is answered {reply.said()}")
    gone: Reply = yield Ask("DELETE", f"/api/v1/namespaces/{OWN}/serviceaccounts/{name}")
    need(gone.ok, f"the account could not be deleted: {gone.said()}")
    # What authenticates learns of it a moment later.
    query = (("watch", "true"), ("timeoutSeconds", "2"), case.selector)
    yield Ask("GET", f"/api/v1/namespaces/{OWN}/configmaps", query, ends=lambda _: False, seconds=10.0)
    reply = yield _with_token(second)
    _is_401(reply)


# --- who they are -----------------------------------------------------------------------------------------------------


def _may_review(identity: Identity) -> bool:
    return identity.expect == "authenticated" and identity.kind not in {"anonymous", "proxy"}


@check(
    "AUTH-WHO",
    MUST,
    "SelfSubjectReview tells each identity its own user and groups",
    url=f"{AUTHENTICATION}#self-subject-review",
    quote="the API responds with the user attributes that the API server has for the client after authentication",
    on="server",
)
def auth_who(case: Case) -> Steps:
    """Ask as each identity of the run."""
    for identity in filter(_may_review, case.world.identities):
        reply: Reply = yield Ask("POST", _REVIEW, body=_WHO, identity=identity.name, read=_user)
        if reply.status == _FORBIDDEN:
            continue  # who may not ask
        expect(reply.status == _CREATED, f"as {identity.name} it is answered {reply.said() or reply.status}")
        expect(reply.get("username") == identity.user, f"{identity.name} is {reply.get('username')}")
        lacking = set(identity.groups) - set(reply.get("groups") or ())
        expect(not lacking, f"{identity.name} is not in {', '.join(sorted(lacking))}")


@check(
    "IMPERSONATE-DENIED",
    MUST,
    "Nobody acts as somebody else without the right to impersonate them",
    url=_IMPERSONATION,
    quote="In clusters with the RBAC authorization plugin enabled, the following ClusterRole encompasses the rules"
    " needed to set user and group impersonation headers",
    on="server",
)
def impersonate_denied(case: Case) -> Steps:
    """Ask each identity whether it may, and let it try."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "impersonate", "resource": "users", "name": "kube-conformance-nobody"}},
    }
    headers = (("Impersonate-User", "kube-conformance-nobody"),)
    for identity in filter(_may_review, case.world.identities):
        if identity.kind == "impersonate":
            continue  # who is impersonated already can't go on to
        may: Reply = yield Ask(
            "POST",
            _MAY_I,
            body=review,
            identity=identity.name,
            read=lambda seen, _: at(seen.document, "status", "allowed"),
        )
        tried: Reply = yield Ask("POST", _REVIEW, body=_WHO, headers=headers, identity=identity.name, read=_user)
        if may.status != _CREATED:
            continue
        if may.body:
            expect(tried.get("username") == "kube-conformance-nobody", f"{identity.name} may and is not let")
        else:
            expect(tried.status == _FORBIDDEN, f"{identity.name} may not, and is answered {tried.status}")


@check(
    "IMPERSONATE-GROUP-ALONE",
    MUST,
    "Groups to impersonate without a user are refused",
    url=_IMPERSONATION,
    quote="Impersonate-Group: A group name to act as. Can be provided multiple times to set multiple groups. Optional."
    ' Requires "Impersonate-User".',
    on="server",
)
def impersonate_group_alone(case: Case) -> Steps:
    """Ask as a group, and nobody of it."""
    del case
    headers = (("Impersonate-Group", "kube-conformance-nobodies"),)
    reply: Reply = yield Ask("GET", "/api", headers=headers, read=_kind)
    expect(reply.status in {_BAD, _FORBIDDEN, 500}, f"it is answered {reply.status}")


@check(
    "FRONT-PROXY-SPOOFED",
    MUST,
    "Names in request headers count only with the certificate of an authenticating proxy",
    url=f"{AUTHENTICATION}#authenticating-proxy",
    quote="In order to prevent header spoofing, the authenticating proxy is required to present a valid client"
    " certificate to the API server for validation against the specified CA before the request headers are checked.",
    on="server",
    needs=("@none",),
)
def front_proxy_spoofed(case: Case) -> Steps:
    """Say that we are an administrator, in headers alone, as nobody and with a certificate that is none of a proxy."""
    headers = (("X-Remote-User", "kube-conformance-spoofed"), ("X-Remote-Group", _MASTERS))
    for identity in ("@none", "@foreign-certificate"):
        if identity not in case.world.features:
            continue
        reply: Reply = yield Ask("GET", _SECRETS, (("limit", "1"),), headers=headers, identity=identity, read=_kind)
        expect(reply.status in {0, _UNAUTHORIZED, _FORBIDDEN}, f"as {identity} it is answered {reply.status}")
        expect("kube-conformance-spoofed" not in reply.message, f"as {identity} the name in the header is believed")
    who: Reply = yield Ask("POST", _REVIEW, body=_WHO, headers=headers, read=_user)
    expect(who.get("username") != "kube-conformance-spoofed", "a client certificate is overruled by a header")


@check(
    "FRONT-PROXY-HEADERS",
    MUST,
    "With the certificate of an authenticating proxy the headers say who asks",
    url=_FRONT,
    quote="The Kubernetes apiserver will use the files indicated by --proxy-client-*-file to authenticate to the"
    " extension apiserver.",
    on="server",
    needs=("@front-proxy",),
)
def front_proxy_headers(case: Case) -> Steps:
    """Ask as a user whom a proxy vouches for, and once without a name."""
    del case
    headers = (("X-Remote-User", "kube-conformance-user"), ("X-Remote-Group", "kube-conformance-group"))
    reply: Reply = yield Ask("POST", _REVIEW, body=_WHO, headers=headers, identity="@front-proxy", read=_user)
    expect(reply.status == _CREATED, f"it is answered {reply.said() or reply.status}")
    expect(reply.get("username") == "kube-conformance-user", f"it is {reply.get('username')}")
    expect("kube-conformance-group" in (reply.get("groups") or ()), "the group is missing")
    nobody: Reply = yield Ask("GET", _SECRETS, (("limit", "1"),), identity="@front-proxy", read=_kind)
    expect(nobody.status in {_UNAUTHORIZED, _FORBIDDEN}, f"without a name it is answered {nobody.status}")


# --- paths that are no resources --------------------------------------------------------------------------------------


@check(
    "PATHS-DECISION",
    MUST,
    "Each identity is let to a path just when the review of it says so",
    url="https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb",
    quote="Non-resource requests: Requests to endpoints other than /api/v1/... or /apis/<group>/<version>/... are"
    " considered non-resource requests, and use the lower-cased HTTP method of the request as the verb.",
    on="server",
)
def paths_decision(case: Case) -> Steps:
    """Ask as each identity for health, version, metrics, OpenAPI, OIDC and debugging, and for the review of it."""
    for identity in filter(_may_review, case.world.identities):
        for path in _PATHS:
            spec = {"nonResourceAttributes": {"path": path, "verb": "get"}}
            body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
            may, got = yield (
                Ask("POST", _MAY_I, body=body, identity=identity.name, read=_allowed),
                Ask("GET", path, headers=_ANY, identity=identity.name, read=_nothing, expects=frozenset({503})),
            )
            if may.status != _CREATED or got.status == 0:
                continue
            let = got.status not in {_UNAUTHORIZED, _FORBIDDEN}
            expect(let == bool(may.body), f"{identity.name} on {path}: the review says {may.body}, it is {got.status}")


@check(
    "HEALTH-OK",
    MUST,
    "/livez, /readyz and /healthz say ok, and in full which checks they made",
    url=_HEALTH,
    quote="The Kubernetes API server provides 3 API endpoints (healthz, livez and readyz) to indicate the current"
    " status of the API server.",
    on="server",
)
def health(case: Case) -> Steps:
    """Ask each of them, short and verbose."""
    del case
    for path in ("/livez", "/readyz", "/healthz"):
        short: Reply = yield Ask(
            "GET", path, headers=_ANY, read=lambda seen, _: seen.body[:20].decode("utf-8", "replace")
        )
        expect(short.status == _OK, f"{path} is answered {short.status}")
        expect(short.body == "ok", f"{path} does not say ok")
        full: Reply = yield Ask(
            "GET",
            path,
            (("verbose", ""),),
            headers=_ANY,
            read=lambda seen, _: {"passed": b"[+]" in seen.body, "failed": b"[-]" in seen.body},
        )
        expect(full.get("passed"), f"{path}?verbose names no check")
        expect(not full.get("failed"), f"{path} is ok with a check that failed")


@check(
    "OIDC-DISCOVERY",
    SHOULD,
    "The issuer of service account tokens tells its name and where its keys are",
    url=f"{_ISSUER}#service-account-issuer-discovery",
    quote="When enabled, the Kubernetes API server publishes an OpenID Provider Configuration document via HTTP.",
    on="server",
)
def oidc_discovery(case: Case) -> Steps:
    """Read the issuer's document and its keys."""
    del case
    read = "/.well-known/openid-configuration"
    document: Reply = yield Ask("GET", read, headers=_ANY, read=lambda seen, _: sorted(seen.document or ()))
    if document.status == _NOT_FOUND:
        return  # it is not published
    expect(document.status == _OK, f"it is answered {document.status}")
    wanted = {"issuer", "jwks_uri", "response_types_supported", "subject_types_supported"}
    lacking = wanted - set(document.body or ())
    expect(not lacking, f"it lacks {', '.join(sorted(lacking))}")
    keys: Reply = yield Ask(
        "GET", "/openid/v1/jwks", headers=_ANY, read=lambda seen, _: len(at(seen.document, "keys") or ())
    )
    expect(keys.status == _OK, f"the keys are answered {keys.status}")
    expect(keys.body, "there is no key")


@check(
    "AUDIT-ID",
    SHOULD,
    "Every answer of the API server bears the Audit-Id of its request",
    url=_AUDITING,
    quote="Each request can be recorded with an associated stage; its audit ID is unique for each request",
    on="server",
)
def audit_id(case: Case) -> Steps:
    """Bring about answers of every class, and look at their headers."""
    asked = (
        Ask("GET", "/version", read=_nothing),
        Ask("GET", "/api/v1/namespaces/{absent}", read=_nothing),
        Ask("GET", "/apis/kube-conformance.invalid/v1", read=_nothing),
        Ask("GET", "/api/v1/namespaces", (("limit", "-x"),), read=_nothing),
        Ask("HEAD", "/api/v1/namespaces", read=_nothing),
        Ask("GET", "/api/v1/namespaces", headers=(("Accept", "image/png"),), read=_nothing),
    )
    replies = yield asked
    for ask, reply in zip(asked, replies, strict=True):
        expect(reply.audited, f"{ask.method} {ask.path}, answered {reply.status}, has none")
    if "@bad-token" in case.world.features:
        refused: Reply = yield Ask("GET", "/api", identity="@bad-token", read=_nothing)
        expect(refused.audited, f"a request with a bad token, answered {refused.status}, has none")


# --- ways to the server -----------------------------------------------------------------------------------------------


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
    quote="Use kubectl to start a proxy server: kubectl proxy; then explore the API with curl, wget, or a browser.",
    on="server",
    mode="dry-run",
    needs=("@kubectl-proxy",),
)
def path_kubectl_proxy(case: Case) -> Steps:
    """Ask the same both ways."""
    del case
    for question in _questions():
        direct, through = yield (
            Ask(**question, read=_kind),
            Ask(**question, read=_kind, identity="@kubectl-proxy"),
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
    name = yield from _account(case)
    token = yield from _token(name)
    user = f"system:serviceaccount:{OWN}:{name}"
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{OWN}", "system:authenticated")
    acting = (("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups))
    for question in _questions():
        bearer, impersonated = yield (
            Ask(**question, read=_kind, identity="@none", headers=(("Authorization", f"Bearer {token}"),)),
            Ask(**question, read=_kind, headers=acting),
        )
        where = f"{question['method']} {question['path']}"
        expect(bearer.status == impersonated.status, f"{where}: {bearer.status} and {impersonated.status}")


@check(
    "KUBECTL-PROXY-PATHS",
    MUST,
    "kubectl proxy refuses by itself the paths that it rejects: exec and attach",
    url=_PROXY_FLAGS,
    quote="--reject-paths: Regular expression for paths that the proxy should reject. Paths specified here will be"
    " rejected even accepted by --accept-paths.",
    on="server",
    needs=("@kubectl-proxy",),
)
def kubectl_proxy_paths(case: Case) -> Steps:
    """Ask for both through it, for a pod that is not there."""
    del case
    for verb in ("exec", "attach"):
        path = f"/api/v1/namespaces/{OWN}/pods/{{absent}}/{verb}"
        reply: Reply = yield Ask("GET", path, (("command", "true"),), identity="@kubectl-proxy", read=_nothing)
        expect(reply.status == _FORBIDDEN, f"{verb} is answered {reply.status}")
        expect(not reply.audited, f"{verb} went on to the API server")


@check(
    "KUBECTL-PROXY-HOSTS",
    MUST,
    "kubectl proxy refuses by itself a Host that it does not accept",
    url=_PROXY_FLAGS,
    quote="--accept-hosts: Regular expression for hosts that the proxy should accept.",
    on="server",
    needs=("@kubectl-proxy",),
)
def kubectl_proxy_hosts(case: Case) -> Steps:
    """Ask as a page of another site would, whose name leads here."""
    del case
    headers = (("Host", "kube-conformance.invalid"),)
    reply: Reply = yield Ask("GET", "/version", headers=headers, identity="@kubectl-proxy", read=_nothing)
    expect(reply.status == _FORBIDDEN, f"it is answered {reply.status}")
    expect(not reply.audited, "it went on to the API server")
