"""What differs between two moments: one file a kind, found by walking this package.

A kind is a module with `differences(before, after)`. A difference's id is `CHANGE:SUBJECT`, the same in every
comparison in which it turns up; its severity says how much it can hurt what was seen in use.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from conformance.model import Difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.moments import Moment

SEVERITIES = ("critical", "high", "medium", "low", "info")


def compared(before: Moment, after: Moment) -> tuple[Difference, ...]:
    """Give every difference, the worst first."""
    found = [
        difference
        for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name)
        if hasattr(kind := importlib.import_module(f"{__name__}.{module.name}"), "differences")
        for difference in kind.differences(before, after)
    ]
    return tuple(sorted(found, key=lambda it: (SEVERITIES.index(it.severity), it.kind, it.id)))


def differs(
    change: str,
    subject: str,
    kind: str,
    severity: str,
    title: str,
    *,
    before: str = "",
    after: str = "",
    affected: Iterable[str] = (),
    advice: str = "",
    endpoint: str = "",
    identity: str = "",
) -> Difference:
    """Make a difference; the gate says later what it makes of it."""
    return Difference(
        id=f"{change}:{subject}",
        kind=kind,
        severity=severity,
        title=title,
        before=before,
        after=after,
        outcome="pass",
        endpoint=endpoint,
        identity=identity,
        affected=tuple(affected),
        advice=advice,
    )


def change_of(difference: Difference) -> str:
    """Give what happened: the part of the id before its subject."""
    return difference.id.partition(":")[0]


def pairs(before: Iterable[tuple[str, object]], after: Iterable[tuple[str, object]]) -> Iterator[tuple[str, str]]:
    """Give each name with `gone`, `new` or `changed`, in order of names."""
    old, new = dict(before), dict(after)
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield name, "gone"
        elif name not in old:
            yield name, "new"
        elif old[name] != new[name]:
            yield name, "changed"
