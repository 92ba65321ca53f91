"""Which single rights are part of a way to more rights: what a newly allowed cell is weighed by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.rbac.escalation_kinds import ANY_RESOURCE, KINDS

if TYPE_CHECKING:
    from conformance.rbac.algebra import Point

# Beside what escalation steps need: what shows secrets, and what makes a cluster do as one says.
_MORE = frozenset(
    {
        ("", "secrets", "get"),
        ("", "secrets", "list"),
        ("", "secrets", "watch"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "create"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "patch"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "update"),
    }
)
# Needed for a step, and of no use for one without a right that is dangerous itself: whoever runs pods claims volumes.
_USUAL = frozenset({("", "persistentvolumeclaims", "create")})
_STEPS = frozenset(
    (right.group, right.plural, verb)
    for kind in KINDS
    for way in kind.ways
    for right in way
    for verb in right.verbs
    if right.plural != ANY_RESOURCE
)

_HIGH = (_STEPS | _MORE) - _USUAL


def dangerous(point: Point) -> str:
    """Give `high` for a right that shows secrets or is a step of an escalation, nothing for others."""
    return "high" if (point.group, point.plural, point.verb) in _HIGH else ""
