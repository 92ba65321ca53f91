from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TypeAlias

import pytest

from conformance.model import Answer, Attributes, Decision, Outcome, Review, Witness
from conformance.oracles import causes, request, review
from conformance.oracles.causes import Evidence

Seen: TypeAlias = tuple[Outcome | None, Review | None, Answer | None]

ALLOWED, DENIED, UNKNOWN = Answer.ALLOWED, Answer.DENIED, Answer.UNKNOWN
EXEC = Attributes("get", "", "v1", "pods", "exec", "ns", "x")
BY_RBAC = 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to User "alice"'
HANDLER = Outcome(403, "Forbidden", 'pods "x" is forbidden: ')
FIRST = Outcome(403, "Forbidden", 'pods "x" is forbidden: User "alice" cannot get resource "pods/exec" in API group ""')
FOUND = Outcome(404, "NotFound")


def evidence(outcome: Outcome | None, reviewed: Review | None, ruled: Answer | None) -> Evidence:
    said = review.read(reviewed) if reviewed else None
    asked = request.read(outcome, EXEC, "alice", said.answer if said else None) if outcome else None
    rules = None if ruled is None else Decision(ruled, Witness("rbac", "r"))
    return Evidence(asked, said, reviewed, rules)


def cause_of(outcome: Outcome | None, reviewed: Review | None, ruled: Answer | None) -> str | None:
    found = causes.explain(evidence(outcome, reviewed, ruled))
    return found.id if found else None


YES, NO = Review(allowed=True, reason=BY_RBAC), Review(allowed=False)
BY_OTHER = Review(allowed=True, reason="webhook says yes")
REFUSED = Review(allowed=False, denied=True, reason="webhook says no")
FAILED = Review(allowed=False, error="500")

EXPLAINED: dict[str, list[Seen]] = {
    "second-check": [
        (HANDLER, YES, ALLOWED),
        (HANDLER, YES, None),
        (HANDLER, None, ALLOWED),
        (HANDLER, FAILED, ALLOWED),
        (HANDLER, BY_OTHER, UNKNOWN),
    ],
    "other-authorizer": [
        (FOUND, BY_OTHER, DENIED),
        (FOUND, Review(allowed=True), DENIED),
        (FIRST, REFUSED, ALLOWED),
    ],
}
# What resembles each cause most, and must not be explained by anything.
UNEXPLAINED: dict[str, Seen] = {
    "the first check refused what both others allow": (FIRST, YES, ALLOWED),
    "a second check, but the rules do not allow the first": (HANDLER, YES, DENIED),
    "a second check, but the review does not allow the first": (HANDLER, NO, ALLOWED),
    "a second check, and nobody knows of the first": (HANDLER, None, None),
    "RBAC itself allowed what our rules deny": (FOUND, YES, DENIED),
    "RBAC itself allowed, in the words of a union": (FOUND, replace(YES, reason=f"rbac: {BY_RBAC}"), DENIED),
    "no authorizer spoke against what our rules allow": (FIRST, NO, ALLOWED),
    "only the review says yes": (FIRST, BY_OTHER, DENIED),
    "only the review says no": (FOUND, REFUSED, ALLOWED),
    "only the request says yes": (FOUND, NO, DENIED),
    "the review failed, and request and rules differ": (FOUND, FAILED, DENIED),
    "nobody was reviewed": (FOUND, None, DENIED),
    "the rules are not known, and the others differ": (FOUND, REFUSED, UNKNOWN),
}


@pytest.mark.parametrize(("cause", "seen"), [(cause, seen) for cause, many in EXPLAINED.items() for seen in many])
def test_what_a_cause_explains(cause: str, seen: Seen) -> None:
    assert cause_of(*seen) == cause


@pytest.mark.parametrize("seen", UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_what_no_cause_explains(seen: Seen) -> None:
    assert cause_of(*seen) is None


def test_each_cause_has_examples() -> None:
    assert [cause.id for cause in causes.CAUSES] == list(EXPLAINED)


def test_a_second_check_denies_and_shows_what_was_refused() -> None:
    seen = evidence(HANDLER, YES, ALLOWED)
    cause = causes.explain(seen)
    assert cause is not None
    assert cause.effective is DENIED
    assert cause.witness(seen) == Witness("status", '403 Forbidden: pods "x" is forbidden: ')


def test_another_authorizer_is_the_witness_with_its_reason() -> None:
    seen = evidence(FOUND, BY_OTHER, DENIED)
    cause = causes.explain(seen)
    assert cause is not None
    assert cause.effective is None
    assert cause.witness(seen).kind == "authorizer"
    assert cause.witness(seen).text.endswith(": webhook says yes")


def test_whoever_differs_alone_from_rbac_is_never_explained() -> None:
    """Flip any one of three opinions that RBAC made: nothing explains it."""
    plain = {ALLOWED: (FOUND, YES), DENIED: (FIRST, NO)}
    for truth, wrong in product((ALLOWED, DENIED), repeat=2):
        if truth is wrong:
            continue
        (outcome, reviewed), (flipped, told) = plain[truth], plain[wrong]
        assert cause_of(flipped, reviewed, truth) is None
        assert cause_of(outcome, told, truth) is None
        assert cause_of(outcome, reviewed, wrong) is None
