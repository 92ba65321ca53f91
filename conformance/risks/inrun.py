"""The findings of a run: of the RBAC objects that it froze, with its own rows as evidence and its columns as names."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from conformance.rbac.served import Served
from conformance.risks import exclusions, with_own
from conformance.risks.finding import Wording
from conformance.risks.scan import Scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from conformance.model import CheckResult, Endpoint, Finding, Identity, Json, Snapshot
    from conformance.risks.rule import Risk


def risks_of(texts: Iterable[tuple[str, str]]) -> tuple[Risk, ...]:
    """Give the rules that a run looked for: the packaged ones and the user's, whose files it holds."""
    return with_own(texts)


def findings(
    snapshot: Snapshot,
    risks: tuple[Risk, ...],
    *,
    endpoints: Iterable[Endpoint],
    namespaces: Mapping[str, tuple[str, ...]],
    identities: Iterable[Identity],
    accepted: Iterable[Json] = (),
    day: str = "",
) -> tuple[tuple[Finding, ...], tuple[CheckResult, ...]]:
    """Give the findings of a run that the user did not accept, and what is to be said of what they accepted.

    `day` is that of the run's start: a run that is judged again years later is judged the same.
    """
    identities = tuple(identities)
    scan = Scan(risks, Served.of(snapshot.catalog))
    wording = Wording(
        scan.rights, catalog=snapshot.catalog, endpoints=endpoints, namespaces=namespaces, identities=identities
    )
    members = {it.user: it.groups for it in identities if it.expect == "authenticated"}
    found = wording.findings(scan.hits(snapshot.rbac, members))
    today = dt.date.fromisoformat(day[:10]) if day else dt.date.max
    return exclusions.apply(found, [exclusions.restore(it) for it in accepted], today)
