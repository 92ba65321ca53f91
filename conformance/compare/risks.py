"""Risks: findings that are new, and those that are gone, of runs or of what the policy of a snapshot gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.compare import differs
from conformance.risks import inrun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Difference, Finding
    from conformance.moments import Moment

KIND = "risk"


def differences(before: Moment, after: Moment) -> Iterator[Difference]:
    """Compare the findings of two moments, by rule and identity."""
    if before.snapshot.rbac == after.snapshot.rbac and (before.matrix is None or after.matrix is None):
        return  # one of both knows only what its policy says, which is the other's
    old, new = ({_name(each): each for each in _findings(moment)} for moment in (before, after))
    for name in sorted(new.keys() - old.keys()):
        found = new[name]
        yield differs(
            "finding-new",
            name,
            KIND,
            found.severity,
            f"{found.title} [{found.identity}]",
            after=found.witness.text,
            affected=[found.identity],
            identity=found.identity,
            advice=found.fix,
        )
    for name in sorted(old.keys() - new.keys()):
        title = f"gone: {old[name].title} [{old[name].identity}]"
        yield differs("finding-gone", name, KIND, "info", title, before=old[name].witness.text)


def _findings(moment: Moment) -> tuple[Finding, ...]:
    """Give the findings of a run, or those that the packaged rules find in a snapshot."""
    if moment.matrix is not None:
        return moment.matrix.findings
    found, _ = inrun.findings(
        moment.snapshot, inrun.risks_of(()), endpoints=(), namespaces={}, identities=(), day=moment.taken_at
    )
    return found


def _name(finding: Finding) -> str:
    return f"{finding.id}[{finding.identity}]"
