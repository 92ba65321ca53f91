"""The `review` oracle: what the server's own (Self)SubjectAccessReview says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conformance.model import Answer, Decision, Witness

if TYPE_CHECKING:
    from conformance.model import Review

# A binding to a role that is not there grants nothing, and all else was evaluated.
_MISSING_ROLE = re.compile(
    r'(?:cluster)?role\.rbac\.authorization\.k8s\.io "(?:[^"\\]|\\.)*" not found|\brbac: |\bRBAC: '
)


def read(review: Review) -> Decision:
    """Read a review's answer; one that failed, or could not evaluate everything and found nothing, is unknown."""
    if review.error:
        return Decision(Answer.UNKNOWN, Witness("review", f"the review failed: {review.error}"))
    if review.allowed:
        return Decision(Answer.ALLOWED, Witness("review", review.reason or "allowed, without a reason"))
    if _MISSING_ROLE.sub("", review.evaluation_error).strip("[], "):
        return Decision(Answer.UNKNOWN, Witness("review", review.evaluation_error))
    return Decision(Answer.DENIED, Witness("review", review.reason or "not allowed, without a reason"))
