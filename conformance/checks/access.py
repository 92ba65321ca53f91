"""What authentication promises: who is let in, and as whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.checks import MUST, check
from conformance.checks.accounts import (
    MAY_I,
    REVIEW,
    WHO,
    account,
    expect_unauthorized,
    may_review,
    shown,
    status_of,
    token_of,
    user_of,
    who,
)
from conformance.checks.asking import AUTHENTICATION, CONVENTIONS, pause
from conformance.scripts import OWN, Ask, Reply, at, expect, need

if TYPE_CHECKING:
    from conformance.scripts import Case, Steps

_OK, _CREATED, _BAD, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 201, 400, 401, 403, 404
_SECRETS = "/api/v1/namespaces/{other}/secrets"
_MASTERS = "system:masters"
_NO_ANSWER = frozenset({0})  # of a connection that is refused, as good as a 401
_TRIES = 5  # of a deleted account: one before, the others over twenty seconds
_IMPERSONATION = f"{AUTHENTICATION}#user-impersonation"
_CHECKED = "https://kubernetes.io/docs/concepts/security/service-accounts/#authenticating-credentials"
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
    reply: Reply = yield Ask("GET", _SECRETS, (("limit", "1"),), identity="@none", read=status_of)
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
        reply: Reply = yield Ask("GET", path, identity="@bad-token", read=status_of)
        expect_unauthorized(reply)


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
    reply: Reply = yield Ask("GET", "/api", identity="@foreign-certificate", read=status_of, expects=_NO_ANSWER)
    if reply.status == 0:
        return  # the connection was refused, which is as good
    expect_unauthorized(reply)


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
    reply: Reply = yield Ask("GET", "/api", identity="@expired-certificate", read=status_of, expects=_NO_ANSWER)
    if reply.status == 0:
        return
    expect_unauthorized(reply)


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
    name = yield from account(case)
    token = yield from token_of(name)
    reply: Reply = yield shown(token)
    expect(reply.status == _CREATED, f"it is answered {reply.said() or reply.status}")
    expect(reply.get("username") == f"system:serviceaccount:{OWN}:{name}", f"it is {reply.get('username')}")
    groups = set(reply.get("groups") or ())
    expect({"system:serviceaccounts", f"system:serviceaccounts:{OWN}"} <= groups, "a group is missing")


@check(
    "AUTH-TOKEN-AUDIENCE",
    MUST,
    "A token for another audience is a 401",
    url=_CHECKED,
    quote="The API server checks the validity of that bearer token as follows: … Checks the audience claims.",
    on="server",
    mode="full",
    needs=("@none",),
)
def auth_token_audience(case: Case) -> Steps:
    """Have a token that is meant for somebody else."""
    name = yield from account(case)
    token = yield from token_of(name, audiences=["https://kube-conformance.invalid"])
    reply: Reply = yield shown(token)
    expect_unauthorized(reply)


@check(
    "AUTH-TOKEN-DELETED",
    MUST,
    "A token of an account that was deleted is a 401",
    url=_CHECKED,
    quote="The API server checks the validity of that bearer token as follows: … Checks whether object references in"
    " the token claims are currently valid.",
    on="server",
    mode="full",
    needs=("@none",),
)
def auth_token_deleted(case: Case) -> Steps:
    """Have two tokens of an account, show one, delete the account, and show the other."""
    name = yield from account(case)
    tokens: list[str] = []
    while len(tokens) < _TRIES:
        tokens += [(yield from token_of(name))]
    reply: Reply = yield shown(tokens.pop())
    need(reply.status == _CREATED, f"while the account is there its token is answered {reply.said()}")
    gone: Reply = yield Ask("DELETE", f"/api/v1/namespaces/{OWN}/serviceaccounts/{name}")
    need(gone.ok, f"the account could not be deleted: {gone.said()}")
    # What authenticates learns of it a moment later, and remembers for some seconds whom it has let in by which token.
    for seconds, token in enumerate(tokens, 1):
        yield pause(case, 2 * seconds)
        reply = yield shown(token)
        if reply.status == _UNAUTHORIZED:
            break
    expect_unauthorized(reply)


@check(
    "AUTH-TOKEN-EXPIRED",
    MUST,
    "A token of a service account whose time is over is a 401",
    url="https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4",
    quote='The "exp" (expiration time) claim identifies the expiration time on or after which the JWT MUST NOT be'
    " accepted for processing.",
    on="server",
    needs=("@signed-token", "@expired-token"),
)
def auth_token_expired(case: Case) -> Steps:
    """Show two tokens of one account that differ in their time alone."""
    del case
    valid: Reply = yield who("@signed-token")
    need(valid.status == _CREATED, f"the same token before its end is answered {valid.said() or valid.status}")
    reply: Reply = yield who("@expired-token")
    expect_unauthorized(reply)


# --- who they are -----------------------------------------------------------------------------------------------------


@check(
    "AUTH-WHO",
    MUST,
    "SelfSubjectReview tells each identity its own user and groups",
    url=f"{AUTHENTICATION}#self-subject-review",
    quote="On receiving a request, the Kubernetes API server fills the status with the user attributes and returns it"
    " to the user.",
    on="server",
)
def auth_who(case: Case) -> Steps:
    """Ask as each identity of the run."""
    for identity in filter(may_review, case.world.identities):
        reply: Reply = yield Ask("POST", REVIEW, body=WHO, identity=identity.name, read=user_of)
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
    quote='the impersonating user must have the ability to perform the "impersonate" verb on the kind of attribute'
    " being impersonated",
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
    for identity in filter(may_review, case.world.identities):
        if identity.kind == "impersonate":
            continue  # who is impersonated already can't go on to
        may: Reply = yield Ask(
            "POST",
            MAY_I,
            body=review,
            identity=identity.name,
            read=lambda seen, _: at(seen.document, "status", "allowed"),
        )
        tried: Reply = yield Ask("POST", REVIEW, body=WHO, headers=headers, identity=identity.name, read=user_of)
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
    reply: Reply = yield Ask("GET", "/api", headers=headers, read=status_of)
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
        asked = Ask("GET", _SECRETS, (("limit", "1"),), None, headers, identity, status_of, expects=_NO_ANSWER)
        reply: Reply = yield asked
        expect(reply.status in {0, _UNAUTHORIZED, _FORBIDDEN}, f"as {identity} it is answered {reply.status}")
        expect("kube-conformance-spoofed" not in reply.message, f"as {identity} the name in the header is believed")
    who: Reply = yield Ask("POST", REVIEW, body=WHO, headers=headers, read=user_of)
    expect(who.get("username") != "kube-conformance-spoofed", "a client certificate is overruled by a header")


@check(
    "FRONT-PROXY-HEADERS",
    MUST,
    "With the certificate of an authenticating proxy the headers say who asks",
    url=f"{AUTHENTICATION}#authenticating-proxy",
    quote="Header names to check, in order, for the user identity. The first header containing a value is used as the"
    " username.",
    on="server",
    needs=("@front-proxy",),
)
def front_proxy_headers(case: Case) -> Steps:
    """Ask as a user whom a proxy vouches for, and once without a name."""
    del case
    headers = (("X-Remote-User", "kube-conformance-user"), ("X-Remote-Group", "kube-conformance-group"))
    reply: Reply = yield Ask("POST", REVIEW, body=WHO, headers=headers, identity="@front-proxy", read=user_of)
    expect(reply.status == _CREATED, f"it is answered {reply.said() or reply.status}")
    expect(reply.get("username") == "kube-conformance-user", f"it is {reply.get('username')}")
    expect("kube-conformance-group" in (reply.get("groups") or ()), "the group is missing")
    nobody: Reply = yield Ask("GET", _SECRETS, (("limit", "1"),), identity="@front-proxy", read=status_of)
    expect(nobody.status in {_UNAUTHORIZED, _FORBIDDEN}, f"without a name it is answered {nobody.status}")
