"""Credentials that nobody should have, and other ways to a server, for checks of who is let in."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from conformance.clusters import pki
from conformance.clusters.controlplane import ISSUER
from conformance.errors import ConformanceError
from conformance.identities import Spec, proxy
from conformance.model import Access

if TYPE_CHECKING:
    from conformance.identities.ground import Ground
    from conformance.model import Cluster

_ADMIN = "kube-conformance-odd"
_MASTERS = ("system:masters",)
_DAY = 86400
_ACCOUNT = ("kube-system", "default")  # one that every cluster has, and that may do nothing of its own

# What the proxy that is not as by default lets through: only this Host, and of the core group all but Secrets.
FILTERS = (
    r"--accept-hosts=^kube-conformance\.invalid$",
    "--accept-paths=^/api/v1/",
    "--reject-paths=^/api/v1/namespaces/[^/]+/secrets",
    "--reject-methods=^(PATCH|DELETE)$",
)


def accesses(ground: Ground) -> dict[str, Access]:
    """Give those that can be had on this cluster, by their names in scripts."""
    cluster = ground.cluster
    bare = replace(cluster.admin, certificate=None, key=None, token=None, headers=(), renew=None, expires=None)
    foreign = pki.sign_client(pki.authority("kube-conformance-foreign"), _ADMIN, _MASTERS)
    found = {
        "@none": bare,
        "@bad-token": replace(bare, token="kube-conformance-invalid"),  # noqa: S106  # that is what it is for
        "@foreign-certificate": replace(bare, certificate=foreign[0], key=foreign[1]),
    }
    if cluster.signer is not None:
        expired = pki.sign_client(cluster.signer, _ADMIN, _MASTERS, -_DAY)
        found["@expired-certificate"] = replace(bare, certificate=expired[0], key=expired[1])
    found |= _of_home(cluster, bare) | _dated(ground, bare)
    if not proxy.hindrance(_spec(), ground):
        with suppress(ConformanceError):  # whoever has no kubectl that works goes on without
            started = proxy.accesses(_spec(), ground, {"s": (), "f": FILTERS})
            found |= {"@kubectl-proxy": started["s"], "@kubectl-proxy-filtered": started["f"]}
    return found


def _spec() -> Spec:
    return Spec("kubectl-proxy", proxy.NAME, {}, (), "authenticated", Path(), 0)


def _dated(ground: Ground, bare: Access) -> dict[str, Access]:
    """Sign tokens of an account with the key of a control plane of ours: they differ in nothing but their time."""
    if ground.cluster.home is None:
        return {}
    namespace, name = _ACCOUNT
    account = ground.ask("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}")
    try:
        key = (Path(ground.cluster.home) / "service-account.key").read_bytes()
        uid = orjson.loads(account.body)["metadata"]["uid"]
    except (OSError, KeyError, orjson.JSONDecodeError):
        return {}
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": [ISSUER],
        "sub": f"system:serviceaccount:{namespace}:{name}",
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
    }
    now = int(time.time())
    claims |= {"iat": now - 2 * _DAY, "nbf": now - 2 * _DAY}
    ends = {"@signed-token": now + _DAY, "@expired-token": now - _DAY}
    return {
        each: replace(
            bare, token=pki.sign_token(key, claims | {"iat": now - 2 * _DAY, "nbf": now - 2 * _DAY, "exp": end})
        )
        for each, end in ends.items()
    }


def _of_home(cluster: Cluster, bare: Access) -> dict[str, Access]:
    """Give what only the files of a control plane of ours have: its front proxy's certificate, and its store."""
    if cluster.home is None:
        return {}
    home = Path(cluster.home)
    try:
        front = replace(
            bare, certificate=(home / "front-proxy.crt").read_bytes(), key=(home / "front-proxy.key").read_bytes()
        )
    except OSError:
        return {}
    found = {"@front-proxy": front}
    socket = home / "etcd.sock:0"
    if socket.exists():
        found["@etcd"] = Access("http://localhost", unix_socket=str(socket))
    return found
