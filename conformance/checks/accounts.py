"""Who somebody is, as checks ask it: service accounts that they make, their tokens, and what is kept of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.scripts import OWN, Ask, Reply, at, expect, need

if TYPE_CHECKING:
    from collections.abc import Generator

    from conformance.model import Identity
    from conformance.scripts import Case, Memory, Seen

_CREATED, _UNAUTHORIZED = 201, 401
REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
WHO = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
MAY_I = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def nothing(_seen: Seen, _memory: Memory) -> None:
    """Keep nothing of a body."""


def status_of(seen: Seen, _: Memory) -> Any:
    """Keep of a body what a Status says."""
    return {key: at(seen.document, key) for key in ("kind", "reason", "code", "message")}


def user_of(seen: Seen, _: Memory) -> Any:
    """Keep of a review of oneself who one is."""
    user = at(seen.document, "status", "userInfo")
    if user is None:
        return status_of(seen, {})
    return {"username": at(user, "username"), "groups": at(user, "groups") or []}


def may_review(identity: Identity) -> bool:
    """Whether an identity can be asked who it is."""
    return identity.expect == "authenticated" and identity.kind not in {"anonymous", "proxy"}


def expect_unauthorized(reply: Reply) -> None:
    """End with a violation unless the answer is the 401 of somebody whom nobody knows."""
    expect(reply.status == _UNAUTHORIZED, f"it is answered {reply.said() or reply.status}")
    expect(reply.get("kind") == "Status" and reply.reason == "Unauthorized", "the answer is no Status Unauthorized")


def account(case: Case) -> Generator[Any, Any, str]:
    """Make a service account, and give its name."""
    name = case.name("sa")
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "labels": case.labels}}
    made: Reply = yield Ask("POST", f"/api/v1/namespaces/{OWN}/serviceaccounts", body=body)
    need(made.status == _CREATED, f"no service account could be made: {made.said()}")
    return name


def token_of(name: str, **spec: Any) -> Generator[Any, Any, str]:
    """Have a token of an account; what comes is its placeholder."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = f"/api/v1/namespaces/{OWN}/serviceaccounts/{name}/token"
    reply: Reply = yield Ask(
        "POST", path, body=body, read=lambda seen, _: {"token": at(seen.document, "status", "token")}
    )
    need(reply.status == _CREATED and reply.get("token"), f"no token could be had: {reply.status}")
    return str(reply.get("token"))


def who(identity: str) -> Ask:
    """Ask the server who an identity is."""
    return Ask("POST", REVIEW, body=WHO, identity=identity, read=user_of)


def shown(token: str) -> Ask:
    """Ask the server who shows this token."""
    headers = (("Authorization", f"Bearer {token}"),)
    return Ask("POST", REVIEW, body=WHO, headers=headers, identity="@none", read=user_of)
