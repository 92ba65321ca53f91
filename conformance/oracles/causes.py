"""The closed list of reasons for which oracles may differ on a healthy server.

Each cause is a predicate over the evidence of one cell; a difference that none of them explains fails. What each must
not explain stands as its counter-example in tests/test_causes.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.model import Answer, Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.model import Decision, Review
    from conformance.oracles.request import Reading


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen of one cell; None where an oracle was not asked."""

    request: Reading | None
    review: Decision | None
    reviewed: Review | None
    rules: Decision | None

    def answer(self, oracle: str) -> Answer | None:
        """What one oracle said, None where it was not asked or could not tell."""
        decision = {
            "request": self.request.decision if self.request else None,
            "review": self.review,
            "rules": self.rules,
        }[oracle]
        return None if decision is None or decision.answer is Answer.UNKNOWN else decision.answer


@dataclass(frozen=True, slots=True)
class Cause:
    """A named reason with its predicate, and the witness that it gives to the cell."""

    id: str
    title: str
    explains: Callable[[Evidence], bool]
    effective: Answer | None = None  # None: what the request says

    def witness(self, evidence: Evidence) -> Witness:
        """Say what really decided."""
        if self.effective is not None and evidence.request is not None:
            return evidence.request.decision.witness
        reason = evidence.reviewed.reason if evidence.reviewed else ""
        return Witness("authorizer", f"{self.title}{f': {reason}' if reason else ''}")


def _second_check(evidence: Evidence) -> bool:
    """Both others allow what the request asks for; a check of the handler refuses, in words that only those use."""
    return (
        evidence.request is not None
        and evidence.request.second_check
        and evidence.answer("review") in {Answer.ALLOWED, None}
        and evidence.answer("rules") in {Answer.ALLOWED, None}
        and (evidence.answer("review") or evidence.answer("rules")) is Answer.ALLOWED
    )


def _other_authorizer(evidence: Evidence) -> bool:
    """Request and review agree against the rules, and the review shows that it was not RBAC that decided.

    RBAC always names the binding by which it allows, and never denies outright: it has no opinion.
    """
    reviewed, asked = evidence.reviewed, evidence.answer("request")
    if reviewed is None or asked is not evidence.answer("review") or evidence.answer("rules") is None:
        return False
    if asked is Answer.ALLOWED:
        return not reviewed.reason.removeprefix("rbac: ").startswith("RBAC: allowed by ")
    return asked is Answer.DENIED and reviewed.denied


CAUSES = (
    Cause(
        "second-check",
        "the handler asks for a further right after authorization",
        _second_check,
        Answer.DENIED,
    ),
    Cause("other-authorizer", "another authorizer than RBAC decided", _other_authorizer),
)


def explain(evidence: Evidence) -> Cause | None:
    """Give the first cause that explains the difference, None when it stays unexplained."""
    return next((cause for cause in CAUSES if cause.explains(evidence)), None)
