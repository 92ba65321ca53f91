"""Violations of what authentication promises, and of the ways to a server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conformance.scripts import ADMIN
from mutations.mutation import (
    Mutation,
    answers,
    calls,
    instead,
    lose,
    moved,
    path,
    put,
    reads_header,
    sends,
    status,
)

if TYPE_CHECKING:
    from faultproxy import Answered

    from conformance.scripts import Ask
    from mutations.mutation import Call

_ODD = "kube-conformance-odd"
_KUBECTL, _FILTERED = "@kubectl-proxy", "@kubectl-proxy-filtered"
_EMPTY = {"kind": "SecretList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}


def _is_nobody(call: Call) -> bool:
    return not call.asked.user and not call.header("authorization")


def _has_token(call: Call) -> bool:
    return call.header("authorization").startswith("Bearer ")


def _is_review(call: Call) -> bool:
    return call.resource == "selfsubjectreviews"


NOBODY_READS_SECRETS = Mutation(
    "nobody-reads-secrets",
    "shows Secrets to who has no credential",
    ("AUTH-NONE|server",),
    flip=instead(lambda call: _is_nobody(call) and call.resource == "secrets", 200, _EMPTY, only={401, 403}),
)
NOBODY_HAS_NO_NAME = Mutation(
    "nobody-has-no-name",
    "does not say that a refused request was anonymous",
    ("AUTH-NONE|server",),
    flip=answers(_is_nobody, put("message", to="forbidden"), only={403}),
)
BAD_TOKEN_IS_NONE = Mutation(
    "bad-token-is-none",
    "takes a request with a bad token for one without any",
    ("AUTH-BAD-TOKEN|server",),
    bend=reads_header("authorization", None),
)
ANY_AUTHORITY = Mutation(
    "any-authority",
    "lets in who shows a certificate of any authority",
    ("AUTH-FOREIGN-CERTIFICATE|server", "AUTH-EXPIRED-CERTIFICATE|server"),
    flip=instead(lambda call: call.asked.user == _ODD, 200, {"kind": "APIVersions"}, only={401}),
)
UNAUTHORIZED_WITHOUT_STATUS = Mutation(
    "unauthorized-without-status",
    "answers a bad token with 401 and no Status",
    ("AUTH-BAD-TOKEN|server",),
    flip=instead(_has_token, 401, "Unauthorized", only={401}),
)
ACCOUNT_WITHOUT_GROUPS = Mutation(
    "account-without-groups",
    "does not put a service account into the groups of its namespace",
    ("AUTH-TOKEN|server",),
    flip=answers(
        lambda call: _is_review(call) and _has_token(call),
        put("status", "userInfo", "groups", to=["system:authenticated"]),
    ),
)
ANY_AUDIENCE = Mutation(
    "any-audience",
    "gives out tokens that are good for itself whatever audience was asked for",
    ("AUTH-TOKEN-AUDIENCE|server",),
    bend=sends(calls("create", sub="token"), lose("spec", "audiences")),
)
TOKEN_OUTLIVES_ACCOUNT = Mutation(
    "token-outlives-account",
    "lets a token in whose account was deleted",
    ("AUTH-TOKEN-DELETED|server",),
    bend=moved(calls("delete", when=lambda call: call.resource == "serviceaccounts"), add=("dryRun", "All")),
)
EXPIRED_LET_IN = Mutation(
    "expired-let-in",
    "does not look at the time of a token",
    ("AUTH-TOKEN-EXPIRED|server",),
    flip=instead(
        lambda call: _is_review(call) and _has_token(call),
        201,
        {
            "kind": "SelfSubjectReview",
            "status": {"userInfo": {"username": "system:serviceaccount:kube-system:default"}},
        },
        only={401},
    ),
)
EXPIRED_IS_NOBODY = Mutation(
    "expired-is-nobody",
    "takes a request with an expired token for one without any",
    ("AUTH-TOKEN-EXPIRED|server",),
    flip=instead(lambda call: _is_review(call) and _has_token(call), 403, status("Forbidden", 403), only={401}),
)
EVERYBODY_IS_SOMEBODY = Mutation(
    "everybody-is-somebody",
    "tells who asks that they are somebody else",
    ("AUTH-WHO|server",),
    flip=answers(_is_review, put("status", "userInfo", "username", to="somebody")),
)
IMPERSONATES_NOBODY = Mutation(
    "impersonates-nobody",
    "answers who may not impersonate as themselves",
    ("IMPERSONATE-DENIED|server",),
    bend=reads_header("impersonate-user", None),
)
GROUPS_PASSED_OVER = Mutation(
    "groups-passed-over",
    "passes over groups to impersonate that come without a user",
    ("IMPERSONATE-GROUP-ALONE|server",),
    bend=reads_header("impersonate-group", None),
)


def _believed(call: Call, answered: Answered) -> Answered | None:
    name = call.header("x-remote-user")
    edit = put("status", "userInfo", "username", to=name)
    return answers(lambda call: _is_review(call) and bool(name), edit)(call, answered)


HEADERS_BELIEVED = Mutation(
    "headers-believed",
    "believes the name in a header, whoever sends it",
    ("FRONT-PROXY-SPOOFED|server",),
    flip=_believed,
)
FRONT_PROXY_NOT_BELIEVED = Mutation(
    "front-proxy-not-believed",
    "does not believe its own front proxy",
    ("FRONT-PROXY-HEADERS|server",),
    bend=reads_header("x-remote-user", None, when=lambda call: call.asked.user == "front-proxy-client"),
)
REVIEW_AND_ACT_DIFFER = Mutation(
    "review-and-act-differ",
    "refuses on a path what a review of it allows",
    ("PATHS-DECISION|server",),
    flip=instead(path("/metrics"), 403, status("Forbidden", 403), only={200}),
)
HEALTH_NAMES_NOTHING = Mutation(
    "health-names-nothing",
    "does not say in full which checks of its health it made",
    ("HEALTH-OK|server",),
    bend=moved(path("/livez"), query=("verbose",)),
)
ISSUER_WITHOUT_KEYS = Mutation(
    "issuer-without-keys",
    "does not say where the keys of its tokens are",
    ("OIDC-DISCOVERY|server",),
    flip=answers(path("/.well-known/openid-configuration"), lose("jwks_uri")),
)

# --- ways to a server ---

TOKENS_SEE_MORE = Mutation(
    "tokens-see-more",
    "allows by token what it refuses to the same account by impersonation",
    ("PATH-TOKEN|server",),
    flip=instead(lambda call: _has_token(call) and call.resource == "secrets", 200, _EMPTY, only={403}),
)


def _straight_on(ask: Ask) -> Ask:
    return replace(ask, identity=ADMIN) if ask.identity in {_KUBECTL, _FILTERED} else ask


def _elsewhere(ask: Ask) -> Ask:
    return replace(ask, path=f"{ask.path}/elsewhere") if ask.identity == _KUBECTL else ask


LEADS_ELSEWHERE = Mutation(
    "leads-elsewhere",
    "has a kubectl proxy that asks for another path than it was asked for",
    ("PATH-KUBECTL-PROXY|server",),
    turn=_elsewhere,
)
UNFILTERED = Mutation(
    "unfiltered",
    "has a kubectl proxy that passes on whatever it is asked, by whichever name",
    ("KUBECTL-PROXY-PATHS|server", "KUBECTL-PROXY-HOSTS|server"),
    turn=_straight_on,
)
METHODS_UNFILTERED = Mutation(
    "methods-unfiltered",
    "has a kubectl proxy that looks at paths and hosts, and at no method",
    ("KUBECTL-PROXY-METHODS|server",),
    turn=lambda ask: _straight_on(ask) if ask.method == "PATCH" else ask,
)
ACCEPTED_IS_NOT_REJECTED = Mutation(
    "accepted-is-not-rejected",
    "has a kubectl proxy that passes on what it accepts, though it rejects it as well",
    ("KUBECTL-PROXY-ACCEPTED-PATHS|server",),
    turn=lambda ask: _straight_on(ask) if "/secrets/" in ask.path else ask,
)
ANY_PATH_ACCEPTED = Mutation(
    "any-path-accepted",
    "has a kubectl proxy that passes on paths which it does not accept",
    ("KUBECTL-PROXY-ACCEPTED-PATHS|server",),
    turn=lambda ask: _straight_on(ask) if ask.path == "/apis/apps/v1" else ask,
)
HOST_BEGINS_SO = Mutation(
    "host-begins-so",
    "has a kubectl proxy that takes a Host which only begins as one that it accepts",
    ("KUBECTL-PROXY-ACCEPTED-HOSTS|server",),
    turn=lambda ask: _straight_on(ask) if ("Host", "kube-conformance.invalid.example") in ask.headers else ask,
)
FILTERS_ALL = Mutation(
    "filters-all",
    "has a kubectl proxy that refuses what it accepts",
    tuple(f"KUBECTL-PROXY-{each}|server" for each in ("METHODS", "ACCEPTED-PATHS", "ACCEPTED-HOSTS")),
    turn=lambda ask: replace(ask, headers=(("Host", "nobody.invalid"),)) if ask.identity == _FILTERED else ask,
)
