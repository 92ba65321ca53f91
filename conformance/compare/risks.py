"""Risks: findings of two runs that are new, and those that are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.compare import differs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Difference, Finding
    from conformance.moments import Moment

KIND = "risk"


def differences(before: Moment, after: Moment) -> Iterator[Difference]:
    """Compare the findings of two runs, by rule, identity and the binding that gives it."""
    if before.matrix is None or after.matrix is None:
        return
    old, new = ({_name(each): each for each in moment.matrix.findings if moment.matrix} for moment in (before, after))  # type: ignore[union-attr]
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


def _name(finding: Finding) -> str:
    return f"{finding.id}[{finding.identity}]|{'|'.join(finding.witness.path[1:3])}"
