"""Somebody whom the admin impersonates: user, groups, uid and extra as the file says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conformance.identities import Who
from conformance.transport import impersonation
from conformance.yamlfile import Key, every, line, texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.identities import Spec
    from conformance.identities.ground import Ground
    from conformance.model import Access

NAME = "impersonate"
KEYS = {"user": Key(line), "groups": Key(texts), "uid": Key(line), "extra": Key(every(texts))}
_ACCOUNT = "system:serviceaccount:"


def problem(spec: Spec) -> str:
    """Whether the admin may impersonate is found out when it is tried."""
    if spec.expect == "unauthenticated":
        return "expect: who is impersonated is authenticated; drop the key"
    return ""


def hindrance(spec: Spec, ground: Ground) -> str:
    """Nothing is created for it; but who is impersonated already can impersonate nobody."""
    del spec
    headers = {name.lower() for name, _ in ground.cluster.admin.headers}
    return (
        "the context impersonates somebody itself (`as`), who can't go on to" if "impersonate-user" in headers else ""
    )


def who(spec: Spec, ground: Ground) -> Who:
    """Say whom the server will see.

    Impersonation gives the groups that are asked for and no others: a user of an identity provider may have more.
    Those of a made-up user, of a service account, and of anybody on a cluster of ours are known.
    """
    user, groups = ground.user_of(spec), spec.settings.get("groups")
    made_up = ground.cluster.ours or ground.run_id in user or user.startswith(_ACCOUNT)
    return Who(user, groups or (), groups_known=groups is not None or made_up)


def access(spec: Spec, ground: Ground) -> Access:
    """Ask as the admin, with the headers that make the server take it for somebody else."""
    settings = spec.settings
    headers = impersonation(
        ground.user_of(spec), settings.get("groups", ()), settings.get("uid", ""), settings.get("extra", {}).items()
    )
    return _as(ground.cluster.admin, headers)


def _as(admin: Access, headers: tuple[tuple[str, str], ...]) -> Access:
    renew = Renewal(admin.renew, headers) if admin.renew else None
    return replace(admin, headers=(*admin.headers, *headers), renew=renew)


@dataclass(frozen=True, slots=True)
class Renewal:
    """Impersonates with the admin's renewed credential."""

    renew: Callable[[], Access]
    headers: tuple[tuple[str, str], ...]

    def __call__(self) -> Access:
        """Give the renewed access."""
        return _as(self.renew(), self.headers)
