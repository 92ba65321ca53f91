from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.engine import read_review
from conformance.model import Answer, Review
from conformance.oracles import review
from conformance.placeholders import Placeholders
from conformance.transport import Client

if TYPE_CHECKING:
    from conformance.model import Cluster

GONE = 'role.rbac.authorization.k8s.io "gone" not found'
NONE = Placeholders("no-run", "own", "other", "absent")


@pytest.mark.parametrize(
    ("answer", "expected", "text"),
    [
        (Review(allowed=True, reason="RBAC: allowed by X"), Answer.ALLOWED, "RBAC: allowed by X"),
        (Review(allowed=True), Answer.ALLOWED, "allowed, without a reason"),
        (Review(allowed=False), Answer.DENIED, "not allowed, without a reason"),
        (Review(allowed=False, denied=True, reason="webhook says no"), Answer.DENIED, "webhook says no"),
        # What the server could not evaluate might have allowed it, and did not matter where something did.
        (Review(allowed=False, evaluation_error="webhook is down"), Answer.UNKNOWN, "webhook is down"),
        (Review(allowed=True, evaluation_error="webhook is down"), Answer.ALLOWED, "allowed, without a reason"),
        (Review(allowed=False, evaluation_error='host "x" not found'), Answer.UNKNOWN, 'host "x" not found'),
        # A role that does not exist grants nothing, in the words of several versions.
        (Review(allowed=False, evaluation_error=GONE), Answer.DENIED, "not allowed, without a reason"),
        (
            Review(allowed=False, evaluation_error=f"RBAC: cluster{GONE}"),
            Answer.DENIED,
            "not allowed, without a reason",
        ),
        (Review(allowed=False, evaluation_error=f"rbac: RBAC: [{GONE}, {GONE}]"), Answer.DENIED, "not allowed"),
        (Review(allowed=False, reason=f"rbac: RBAC: {GONE}"), Answer.DENIED, f"rbac: RBAC: {GONE}"),
        (Review(allowed=False, evaluation_error=f"[{GONE}, webhook is down]"), Answer.UNKNOWN, "webhook is down"),
        # One that failed is never a denial.
        (Review(allowed=False, error="500 boom"), Answer.UNKNOWN, "the review failed: 500 boom"),
        (Review(allowed=True, error="no answer"), Answer.UNKNOWN, "the review failed: no answer"),
    ],
)
def test_what_a_review_says(answer: Review, expected: Answer, text: str) -> None:
    decision = review.read(answer)
    assert decision.answer is expected
    assert decision.witness.kind == "review"
    assert text in decision.witness.text


RESOURCE, PATH = "resourceAttributes", "nonResourceAttributes"
NODE = {"user": "system:node:a", "groups": ["system:nodes"]}
SECRET = {"verb": "get", "resource": "secrets", "namespace": "default", "name": "x"}


@pytest.mark.server
@pytest.mark.parametrize(
    ("spec", "expected", "reason"),
    [
        (
            {"user": "alice", "groups": ["system:authenticated"], PATH: {"verb": "get", "path": "/version"}},
            Answer.ALLOWED,
            "RBAC: allowed by ",
        ),
        ({"user": "alice", PATH: {"verb": "get", "path": "/metrics"}}, Answer.DENIED, ""),
        ({"user": "alice", RESOURCE: SECRET}, Answer.DENIED, ""),
        ({"user": "root", "groups": ["system:masters"], RESOURCE: {"verb": "no-such", "resource": "x"}}, "allowed", ""),
        # The Node authorizer allows without a reason, and denies with one.
        (NODE | {RESOURCE: {"verb": "create", "resource": "nodes"}}, Answer.ALLOWED, ""),
        (NODE | {RESOURCE: SECRET}, Answer.DENIED, "node: no relationship found"),
    ],
)
def test_reviews_of_a_real_server(cluster: Cluster, spec: dict[str, object], expected: Answer, reason: str) -> None:
    with Client(cluster.admin) as client:
        response = client.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body={"spec": spec})
    answer = read_review(response, NONE)
    assert review.read(answer).answer == expected
    assert answer.reason.startswith(reason)
    assert bool(answer.reason) is bool(reason)
    assert not answer.denied
