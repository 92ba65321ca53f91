"""What became of the escalation steps that a run tried, put into its paths: saved run -> paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.rbac.escalation import Graph
from conformance.rbac.escalation_paths import Paths

if TYPE_CHECKING:
    from conformance.model import Identity, Rbac
    from conformance.store import SavedRun


def graph(rbac: Rbac, identities: tuple[Identity, ...]) -> Graph:
    """Make the graph of a run: of its RBAC objects, and with what it knows of its identities' groups."""
    known = {it.user: it.groups for it in identities if it.expect == "authenticated" and it.groups_known}
    return Graph(rbac, known)


def paths(saved: SavedRun) -> Paths:
    """Give the paths of a run, with what its scripts found out."""
    return Paths(graph(saved.snapshot.rbac, saved.head.identities))
