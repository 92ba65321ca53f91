"""The `review` oracle: what the server's own (Self)SubjectAccessReview says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.model import Answer, Decision, Witness

if TYPE_CHECKING:
    from conformance.model import Review


def read(review: Review) -> Decision:
    """Read a review's answer; one that failed, or could not evaluate everything and found nothing, is unknown."""
    if review.error:
        return Decision(Answer.UNKNOWN, Witness("review", f"the review failed: {review.error}"))
    if review.allowed:
        return Decision(Answer.ALLOWED, Witness("review", review.reason or "allowed, without a reason"))
    if review.evaluation_error and "not found" not in review.evaluation_error:
        return Decision(Answer.UNKNOWN, Witness("review", review.evaluation_error))
    return Decision(Answer.DENIED, Witness("review", review.reason or "not allowed, without a reason"))
