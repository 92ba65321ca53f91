"""What became of the escalation steps that a run tried, put into its paths: results of scripts -> paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.model import Verdict
from conformance.rbac import escalation_paths
from conformance.rbac.escalation import Edge, Graph
from conformance.rbac.escalation_paths import Tried

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.model import CheckResult, Identity, Rbac
    from conformance.rbac.escalation_paths import Paths
    from conformance.rbac.resolver import Principal
    from conformance.store import SavedRun

CHECK = "ESCALATION-STEP"
REFUSED, REVIEWED = "refused: ", "REVIEWED: "


def graph(rbac: Rbac, identities: Iterable[Identity]) -> Graph:
    """Make the graph of a run: of its RBAC objects, and with what it knows of its identities' groups."""
    return Graph(rbac, _known(identities))


def _known(identities: Iterable[Identity]) -> dict[str, tuple[str, ...]]:
    return {it.user: it.groups for it in identities if it.expect == "authenticated"}


def paths(saved: SavedRun, checks: Iterable[CheckResult]) -> Paths:
    """Give the paths of a run, with what its scripts found out."""
    head = saved.head
    users = {it.name: it.user for it in head.identities}
    found: dict[tuple[str, str, str], Tried] = {}
    results = {it.resource: it for it in checks if it.id == CHECK}
    for trial in saved.world.trials if saved.world else ():
        result = results.get(trial.id)
        tried = _tried(result) if result is not None else None
        if tried is not None:
            found[users[trial.identity], trial.kind, trial.where] = tried

    def tried_step(actor: Principal, edge: Edge) -> Tried | None:
        return found.get((actor[1], edge.kind.id, edge.where)) if actor[0] == "User" else None

    rbac = (saved.after or saved.snapshot).rbac
    people = sorted({("User", user) for user, _, _ in found})
    return escalation_paths.of(rbac, _known(head.identities), tried_step, people)


def _tried(result: CheckResult) -> Tried | None:
    note = result.note
    match result.verdict:
        case Verdict.PASS:
            return Tried("proved")
        case Verdict.INFO:
            return Tried("reviewed", note=note.removeprefix(REVIEWED))
        case Verdict.NOT_APPLICABLE if note.startswith(REFUSED):
            return Tried("inferred", note.removeprefix(REFUSED))
    return None
