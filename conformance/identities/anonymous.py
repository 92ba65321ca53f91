"""Nobody: requests without a credential."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conformance.identities import Who

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.identities import Spec
    from conformance.identities.ground import Ground
    from conformance.model import Access
    from conformance.yamlfile import Key

NAME = "anonymous"
KEYS: Mapping[str, Key] = {}


def problem(spec: Spec) -> str:
    """Nothing can be wrong with it."""
    del spec
    return ""


def hindrance(spec: Spec, ground: Ground) -> str:
    """Nothing is created for it."""
    del spec, ground
    return ""


def who(spec: Spec, ground: Ground) -> Who:
    """Name what a server with anonymous authentication makes of it."""
    del spec, ground
    return Who("system:anonymous", ("system:unauthenticated",))


def access(spec: Spec, ground: Ground) -> Access:
    """Go the admin's way to the server, and show nothing."""
    del spec
    return bare(ground.cluster.admin)


def bare(known: Access) -> Access:
    """Give the way to a server without any credential."""
    return replace(known, certificate=None, key=None, token=None, headers=(), expires=None, renew=None)
