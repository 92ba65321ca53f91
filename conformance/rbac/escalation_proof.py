"""Which escalation steps a run tries: each kind that rules let one of its identities take, once a place.

Only first steps can be tried as whom they begin with; what a run may not try without harm is asked of a review.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.placeholders import OTHER, OWN
from conformance.rbac.escalation_paths import Paths
from conformance.rbac.predicates import ALL
from conformance.rbac.resolver import MASTERS
from conformance.scripts import Trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.model import Identity, Json
    from conformance.rbac.escalation import Edge, Graph
    from conformance.rbac.escalation_kinds import Right
    from conformance.rbac.escalation_rights import Held

NOBODY = "kube-conformance-absent"
PLACES = 3  # of one kind that one identity tries; the rest is inferred


def trials(graph: Graph, identities: Iterable[Identity]) -> tuple[Trial, ...]:
    """Lay out the trials, in the order of identities and kinds."""
    paths = Paths(graph)
    found: dict[str, Trial] = {}
    for identity in identities:
        if identity.unasked or identity.expect != "authenticated" or MASTERS in identity.groups:
            continue
        places: dict[str, int] = {}
        for edge in sorted(paths.edges_of(("User", identity.user)), key=_near):
            trial = Trial(identity.name, edge.kind.id, edge.where)
            if not edge.way or trial.id in found or places.get(edge.kind.id, 0) >= PLACES:
                continue
            places[edge.kind.id] = places.get(edge.kind.id, 0) + 1
            found[trial.id] = _trial(identity, edge, graph)
    return tuple(found.values())


def _near(edge: Edge) -> tuple[str, int, str]:
    """Put the run's own namespaces before others."""
    return edge.kind.id, ("", OWN, OTHER).index(edge.where) if edge.where in {"", OWN, OTHER} else 3, edge.where


def _trial(identity: Identity, edge: Edge, graph: Graph) -> Trial:
    target = ""
    if edge.kind.becomes in {"account", "user", "group"}:
        target = min(edge.names) if edge.names else {"group": MASTERS}.get(edge.kind.becomes, NOBODY)
        if edge.names and MASTERS in edge.names:
            target = MASTERS
    elif edge.kind.becomes == "nobody":
        target = min(edge.names) if edge.names else {"impersonate-extra": "all"}.get(edge.kind.id, "0")
    role = ("Role" if edge.kind.id.endswith("-role") else "ClusterRole", edge.detail.partition(", ")[0])
    rights = tuple(_rights(edge, graph))
    return Trial(identity.name, edge.kind.id, edge.where, target, role, min(edge.among) if edge.among else "", rights)


def _rights(edge: Edge, graph: Graph) -> Iterator[Json]:
    """Give what a SubjectAccessReview is asked of each right of a step, as the rule has it."""
    for right, held in zip(edge.way, edge.held, strict=True):
        rule = (graph.resolver.role_reference_rules(held.binding) or ())[held.number]
        verb = next((verb for verb in right.verbs if ALL in rule.verbs or verb in rule.verbs), right.verbs[0])
        group, plural = right.group, right.plural
        if plural == "?":
            group, plural = rule.api_groups[0].replace(ALL, ""), rule.resources[0].replace(ALL, "pods")
        resource, _, subresource = plural.partition("/")
        yield {
            "verb": verb,
            "group": group,
            "resource": resource,
            "subresource": subresource,
            "namespace": "" if right.cluster else edge.where,
            "name": _name(right, held),
        }


def _name(right: Right, held: Held) -> str:
    if right.naming == "none" or held.names is None:
        return right.names[0] if right.naming == "listed" else ""
    listed = sorted(held.names & set(right.names)) if right.naming == "listed" else sorted(held.names - {""})
    return listed[0] if listed else ""
