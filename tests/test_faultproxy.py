from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest
from faultproxy import Answered, Asked, before

from conformance.clusters import pki
from conformance.model import Access, Request
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cluster

pytestmark = pytest.mark.server

SSR = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
# What differs between any two answers of one server.
OWN = {"audit-id", "date", "x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid"}


@pytest.fixture(scope="module")
def proxied(cluster: Cluster) -> Iterator[Cluster]:
    with before(cluster) as through:
        yield through


@pytest.fixture(scope="module")
def token(cluster: Cluster) -> str:
    with Client(cluster.admin) as client:
        path = "/api/v1/namespaces/default/serviceaccounts/default/token"
        while (answer := client.ask("POST", path, body={"spec": {"expirationSeconds": 600}})).status != 201:
            time.sleep(0.1)
        return str(orjson.loads(answer.body)["status"]["token"])


def access(cluster: Cluster, kind: str, token: str) -> Access:
    assert cluster.signer is not None
    bare = replace(cluster.admin, certificate=None, key=None)
    if kind in {"user", "expired"}:
        certificate, key = CERTIFICATES.setdefault(
            (kind, cluster.signer[0]),
            pki.sign_client(
                cluster.signer, "jane, of \u00e6ther", ("dev ops", "ops"), -60 if kind == "expired" else 600
            ),
        )
        return replace(bare, certificate=certificate, key=key)
    return {
        "admin": cluster.admin,
        "token": replace(bare, token=token),
        "token and certificate": replace(cluster.admin, token=token),
        "impersonated": replace(
            cluster.admin,
            headers=(("Impersonate-User", "eve"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")),
        ),
        "anonymous": bare,
        "invalid": replace(bare, token="invalid"),
        "forged": replace(bare, headers=(("X-Remote-User", "root"), ("X-Remote-Group", "system:masters"))),
    }[kind]


CERTIFICATES: dict[tuple[str, bytes], tuple[bytes, bytes]] = {}
KINDS = ("admin", "user", "expired", "token", "token and certificate", "impersonated", "anonymous", "invalid", "forged")


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_through_the_proxy_equals_the_direct_one(
    cluster: Cluster, proxied: Cluster, token: str, kind: str
) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    asks = (
        ("POST", SSR, (), review),
        ("GET", "/api/v1/namespaces/default", (), None),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", (("limit", "500"),), None),
        ("DELETE", "/api/v1/namespaces/default/pods/absent", (("dryRun", "All"),), None),
        ("HEAD", "/version", (), None),
        ("GET", "/api/v1/namespaces/default/pods/absent/exec", (("command", "a b"),), None),
        ("GET", "/version", (), None),
    )
    with Client(access(cluster, kind, token)) as direct, Client(access(proxied, kind, token)) as through:
        for method, path, query, body in asks:
            expected, found = (c.ask(method, path, query=query, body=body) for c in (direct, through))
            assert found.error == expected.error is None
            assert (found.status, _steady(found.body)) == (expected.status, _steady(expected.body))
            assert {k: v for k, v in found.headers.items() if k not in OWN} == {
                k: v for k, v in expected.headers.items() if k not in OWN
            }
            assert found.warnings == expected.warnings


def _steady(body: bytes) -> bytes:
    """Leave out when a review was made, and when a list was read: controllers write meanwhile."""
    body = re.sub(rb'"metadata":\{"resourceVersion":"\d+"\}', b"", body)
    if b'"SelfSubjectReview"' not in body:
        return body
    document = orjson.loads(body)
    del document["metadata"]
    return orjson.dumps(document)


def test_what_is_asked_after_a_watch_that_ended_is_answered_on_the_same_connection(proxied: Cluster) -> None:
    with Client(proxied.admin) as client:
        for _ in range(3):
            watched = client.ask("GET", "/api/v1/nodes", query={"watch": "true", "timeoutSeconds": "1"})
            assert (watched.status, watched.error) == (200, None)
            assert client.ask("GET", "/version").status == 200


def test_a_watch_is_answered_before_it_ends_and_ends_with_its_client(cluster: Cluster, proxied: Cluster) -> None:
    del cluster
    watch = Request("GET", "/api/v1/pods", (("watch", "true"), ("timeoutSeconds", "20")), headers_only=True)
    initial = (*watch.query, ("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan"))
    with Client(proxied.admin) as client:
        begun = time.monotonic()
        assert client.send(replace(watch, query=(*initial, ("allowWatchBookmarks", "true")))).status == 200
        assert client.ask("GET", "/version").status == 200
        assert time.monotonic() - begun < 5


def test_flips_change_what_they_choose_and_nothing_else(cluster: Cluster) -> None:
    seen: list[str] = []

    def flip(asked: Asked, answered: Answered) -> Answered | None:
        seen.append(f"{asked.user} {asked.method} {asked.target} {answered.status}")
        if asked.target.startswith("/version"):
            assert b"gitVersion" in answered.body
            return Answered(403, answered.headers, b'{"kind":"Status"}')
        return Answered(410, answered.headers, b"gone") if "watch=true" in asked.target else None

    with before(cluster, flip) as through, Client(through.admin) as client:
        flipped, kept = client.ask("GET", "/version"), client.ask("GET", "/api/v1/nodes", query={"limit": "1"})
        assert (flipped.status, flipped.body) == (403, b'{"kind":"Status"}')
        assert kept.status == 200
        watched = client.ask("GET", "/api/v1/nodes", query={"watch": "true", "timeoutSeconds": "30"})
        assert (watched.status, watched.body) == (410, b"gone")
        assert client.ask("GET", "/api").status == 200
    admin = "kube-conformance-admin"
    assert seen[:2] == [f"{admin} GET /version 200", f"{admin} GET /api/v1/nodes?limit=1 200"]


def test_a_mistake_in_a_flip_is_told(cluster: Cluster) -> None:
    def flip(asked: Asked, answered: Answered) -> Answered | None:
        raise ZeroDivisionError(asked.target, answered.status)

    with pytest.raises(ExceptionGroup) as told, before(cluster, flip) as through, Client(through.admin) as client:
        assert client.ask("GET", "/version").error
    assert told.group_contains(ZeroDivisionError)
