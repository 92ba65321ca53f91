"""A ServiceAccount that the run makes, with tokens from TokenRequest."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from conformance.errors import IdentityError
from conformance.identities import Who
from conformance.identities.anonymous import bare
from conformance.identities.ground import message_of
from conformance.identities.lease import server_time
from conformance.transport import Client, expect_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.identities import Spec
    from conformance.identities.ground import Ground
    from conformance.model import Access
    from conformance.yamlfile import Key

NAME = "serviceaccount"
KEYS: Mapping[str, Key] = {}

OURS = 7200  # longer than an audit lasts
ELSEWHERE = 600  # the least that a server grants: what is minted on somebody's cluster is soon worth nothing
_EARLY = 0.2  # of a token's life that it is renewed before its end
_CREATED = 201


def problem(spec: Spec) -> str:
    """Check that it is expected to be known, and that its name is free."""
    if spec.expect == "unauthenticated":
        return "expect: a server knows its own service accounts; drop the key"
    if spec.name == "default":
        return "the name default belongs to the account that every namespace has; give another"
    return ""


def hindrance(spec: Spec, ground: Ground) -> str:
    """An account has to be made, and a token minted, which no dry run prevents."""
    del spec
    return "" if ground.creates else "service accounts are made in mode full only; `kind: impersonate` needs none"


def who(spec: Spec, ground: Ground) -> Who:
    """Name the account as the server does."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{ground.own}", "system:authenticated")
    return Who(f"system:serviceaccount:{ground.own}:{spec.name}", groups)


def access(spec: Spec, ground: Ground) -> Access:
    """Make the account, and its first token."""
    path = f"/api/v1/namespaces/{ground.own}/serviceaccounts"
    body = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": spec.name},
        "automountServiceAccountToken": False,
    }
    ground.create(path, body)
    return Renewal(ground.cluster.admin, f"{path}/{spec.name}/token", OURS if ground.cluster.ours else ELSEWHERE)()


@dataclass(frozen=True, slots=True)
class Renewal:
    """Mints a token each time that it is called; holds no token itself and can be handed to another process."""

    admin: Access
    path: str
    seconds: int

    def __call__(self) -> Access:
        """Give the access with a fresh token."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": self.seconds},
        }
        with Client(self.admin) as client:
            response = client.ask("POST", self.path, body=body)
        if response.status != _CREATED:
            raise IdentityError(f"POST {self.path}: {response.error or f'{response.status} {message_of(response)}'}")
        status = expect_json(response, f"POST {self.path}")["status"]
        # How long it lives is told by the server's clock alone; ours may be another.
        life = datetime.fromisoformat(status["expirationTimestamp"]) - server_time(response)
        expires = time.time() + (1 - _EARLY) * life.total_seconds()
        return replace(bare(self.admin), token=status["token"], expires=expires, renew=self)
