"""What paths promise that are no resources, and what every answer bears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, SHOULD, check
from conformance.checks.accounts import MAY_I, may_review, nothing
from conformance.checks.asking import pause
from conformance.scripts import Ask, Reply, at, expect

if TYPE_CHECKING:
    from conformance.scripts import Case, Memory, Seen, Steps

_OK, _CREATED, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 201, 401, 403, 404
_AUDIT_EVENT = "https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/#audit-k8s-io-v1-Event"
_HEALTH = "https://kubernetes.io/docs/reference/using-api/health-checks/"
_ISSUER = "https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/"
_PATHS = (
    *("/healthz", "/livez", "/readyz", "/version", "/api", "/apis", "/openapi/v3", "/metrics", "/debug/pprof/"),
    *("/.well-known/openid-configuration", "/openid/v1/jwks", "/logs/"),
)
_ANY = (("Accept", "*/*"),)
_TRIES = 5


def _word(seen: Seen, _: Memory) -> Any:
    return seen.body[:20].decode("utf-8", "replace")


def _allowed(seen: Seen, _: Memory) -> Any:
    return at(seen.document, "status", "allowed")


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
    for identity in filter(may_review, case.world.identities):
        for path in _PATHS:
            spec = {"nonResourceAttributes": {"path": path, "verb": "get"}}
            body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
            may, got = yield (
                Ask("POST", MAY_I, body=body, identity=identity.name, read=_allowed),
                Ask("GET", path, headers=_ANY, identity=identity.name, read=nothing, expects=frozenset({0, 503})),
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
    """Ask each of them, short and verbose; a server that is not ready for a moment, and says so, is asked again."""
    for path in ("/livez", "/readyz", "/healthz"):
        for _ in range(_TRIES):
            short: Reply = yield Ask("GET", path, headers=_ANY, read=_word)
            if short.status == _OK:
                break
            yield pause(case, 2)
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
    url=_AUDIT_EVENT,
    quote="Unique audit ID, generated for each request.",
    on="server",
)
def audit_id(case: Case) -> Steps:
    """Bring about answers of every class, and look at their headers."""
    asked = (
        Ask("GET", "/version", read=nothing),
        Ask("GET", "/api/v1/namespaces/{absent}", read=nothing),
        Ask("GET", "/apis/kube-conformance.invalid/v1", read=nothing),
        Ask("GET", "/api/v1/namespaces", (("limit", "-x"),), read=nothing),
        Ask("HEAD", "/api/v1/namespaces", read=nothing),
        Ask("GET", "/api/v1/namespaces", headers=(("Accept", "image/png"),), read=nothing),
    )
    replies = yield asked
    for ask, reply in zip(asked, replies, strict=True):
        expect(reply.audited, f"{ask.method} {ask.path}, answered {reply.status}, has none")
    if "@bad-token" in case.world.features:
        refused: Reply = yield Ask("GET", "/api", identity="@bad-token", read=nothing)
        expect(refused.audited, f"a request with a bad token, answered {refused.status}, has none")
