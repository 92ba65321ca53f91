"""Shortest paths through the escalation graph, and what each of their steps rests on.

Searched from the end, once for all who could arrive there: steps cost one, to be a member of a group costs nothing. A
step that the server refused is left out first; only who has no other way is shown the refused one, with the reason.
What a run made for its own identities opens ways that are gone with it: they are searched apart, and told so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conformance.model import EscalationPath, Proof, Step, Witness
from conformance.oracles.rules import witness
from conformance.rbac.escalation import ADMIN, CLUSTER_ADMIN, Edge, Graph, Place, by_places, subject
from conformance.rbac.resolver import MASTERS
from conformance.risks import builtin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from conformance.model import Rbac
    from conformance.rbac.resolver import Principal

OF_RUN = "by what a run made for its own identities"
_STRENGTH: dict[Proof, int] = {"proved": 0, "reviewed": 1, "inferred": 2}


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a step that was tried: how sure it is now, and why the server refused it (empty: it did not)."""

    proof: Proof
    refused: str = ""
    note: str = ""


def _untried(_: Principal, __: Edge) -> Tried | None:
    return None


@dataclass(frozen=True, slots=True)
class _Next:
    """The first step of a shortest way: by which edge (one's own, or a group's), to whom (None: the end)."""

    edge: Edge
    to: Principal | None
    length: int


class _Search:
    """A search from the end; `asked` are those whose first step must not be one that the server refused."""

    def __init__(self, paths: Paths, target: Principal | None, asked: frozenset[Principal]) -> None:
        self.ways: dict[Principal, _Next] = {}
        self._paths, self._target, self._asked = paths, target, asked
        self._queue: deque[tuple[Principal, int]] = deque()
        self._settled: set[Principal] = set()
        self._seen: set[Place] = set()

    def begin(self, end: Principal, *, first: bool = False) -> None:
        """Take somebody for an end."""
        if end not in self._settled:
            self._settled.add(end)
            (self._queue.appendleft if first else self._queue.append)((end, 0))

    def spread(self, edges: Iterable[Edge], to: Principal | None, length: int) -> None:
        """Settle everybody who can take one of these steps."""
        for edge in edges:
            if edge.kind.limited and (to is None or to != self._target):
                continue  # from there one goes nowhere
            takers = [edge.actor]
            if edge.actor[0] == "Group":
                # Whoever is in it can take its first step; those who tried it may have to take another.
                known = edge.actor in self._settled
                takers += self._paths.people if known else self._paths.graph.members(edge.actor[1])
            for taker in takers:
                if taker in self._settled or not self._takes(taker, edge):
                    continue
                tried = self._paths.tried(taker, edge) if taker in self._asked else None
                if tried is None or not tried.refused:
                    self._settled.add(taker)
                    self.ways[taker] = _Next(edge, to, length + 1)
                    self._queue.append((taker, length + 1))

    def _takes(self, taker: Principal, edge: Edge) -> bool:
        return taker == edge.actor or edge.actor[1] in self._paths.graph.groups_of(taker)

    def go_on(self) -> None:
        """Go back step by step until nobody is left."""
        while self._queue:
            actor, length = self._queue.popleft()
            for place in self._paths.graph.arrivals(actor):
                if place not in self._seen:
                    self._seen.add(place)
                    self.spread(self._paths.by_place.get(place, ()), actor, length)


class Paths:
    """Answers who can become whom; `tried` says what is known of the first steps.

    `cluster` answers the same without what runs made for their own identities, where they made something.
    """

    def __init__(
        self,
        graph: Graph,
        tried: Callable[[Principal, Edge], Tried | None] = _untried,
        people: Iterable[Principal] = (),
        cluster: Paths | None = None,
    ) -> None:
        self.graph = graph
        self._cluster = cluster
        self.tried = tried
        self.people = tuple(people)  # who tried steps themselves
        self.by_place = by_places(graph.edges)

    def to_admin(self, sources: Iterable[Principal] | None = None) -> tuple[EscalationPath, ...]:
        """Give the shortest path to cluster-admin of everybody who has one, and isn't there yet, in order of names."""
        wanted = sorted(self.graph.actors if sources is None else sources)
        there = self._cluster.to_admin(wanted) if self._cluster else None
        return _told(self._to(CLUSTER_ADMIN, wanted, None), there)

    def to(self, target: Principal, sources: Iterable[Principal] | None = None) -> tuple[EscalationPath, ...]:
        """Give everybody's shortest path to a subject."""
        wanted = sorted(self.graph.actors if sources is None else sources)
        there = self._cluster.to(target, wanted) if self._cluster else None
        return _told(self._to(subject(target), [it for it in wanted if it != target], target), there)

    def reachable(self, source: Principal) -> tuple[EscalationPath, ...]:
        """Give a shortest path from somebody to everybody else, cluster-admin first."""
        first = self.to_admin([source])
        there = self._cluster.reachable(source) if self._cluster else None
        return (*first, *_told(self._from(source), there and [it for it in there if it.target != CLUSTER_ADMIN]))

    # --- from the end -------------------------------------------------------------------------------------------------

    def _to(self, name: str, sources: list[Principal], target: Principal | None) -> Iterator[EscalationPath]:
        ways = self._search(target, sources, with_refused=False)
        missing = [it for it in sources if it not in ways]
        refused = self._search(target, sources, with_refused=True) if missing and self.tried is not _untried else {}
        for source in sources:
            found = ways if source in ways else refused
            if source in found and (target is not None or self.graph.holds_all(source) is None):
                yield self._path(name, source, found)

    def _search(
        self, target: Principal | None, sources: list[Principal], *, with_refused: bool
    ) -> dict[Principal, _Next]:
        """Find for everybody the first step of a shortest way to a target, None for cluster-admin."""
        graph = self.graph
        ends = [target] if target is not None else [it for it in graph.actors if graph.is_admin(it)]
        search = _Search(self, target, frozenset() if with_refused else frozenset(sources))
        if target is None:
            search.begin(("Group", MASTERS))
        for end in ends:
            search.begin(end)
        if target is None:
            search.spread(self.by_place.get(ADMIN, ()), None, 0)
            # Members of a group that has everything have it too, and are where others want to go.
            for end in ends:
                for member in graph.members(end[1]) if end[0] == "Group" and end[1] != MASTERS else ():
                    search.begin(member, first=True)
        search.go_on()
        return search.ways

    def _path(self, name: str, source: Principal, ways: dict[Principal, _Next]) -> EscalationPath:
        steps: list[Step] = []
        refused, usual = "", True
        actor: Principal | None = source
        while actor is not None and actor in ways:
            way = ways[actor]
            tried = self.tried(actor, way.edge) if not steps else None
            if tried is not None and tried.refused:
                refused = tried.refused
            steps.append(self._step(actor, way.edge, way.to, tried))
            usual = usual and self._is_usual(actor, way.edge)
            actor = way.to
        return _path(name, source, tuple(steps), refused, usual=usual)

    # --- from the start -----------------------------------------------------------------------------------------------

    def _from(self, source: Principal) -> Iterator[EscalationPath]:
        before = self._arrivals(source)
        own = {("Group", group) for group in self.graph.groups_of(source)}
        for target in sorted(it for it in before if it != source and it not in own and it[0] in {"User", "Group"}):
            steps: list[Step] = []
            at: Principal = target
            usual = True
            while (way := before[at]) is not None:
                usual = usual and self._is_usual(way[0], way[1])
                steps.append(self._step(way[0], way[1], at, self.tried(source, way[1]) if way[0] == source else None))
                at = way[0]
            yield _path(subject(target), source, tuple(reversed(steps)), "", usual=usual)

    def _arrivals(self, source: Principal) -> dict[Principal, tuple[Principal, Edge] | None]:
        """Give everybody whom somebody can become, each with the last step and who takes it."""
        before: dict[Principal, tuple[Principal, Edge] | None] = {source: None}
        queue = deque([source])
        seen: set[Place] = set()
        while queue:
            actor = queue.popleft()
            for edge in self.edges_of(actor):
                tried = self.tried(actor, edge) if actor == source else None
                new = [] if tried is not None and tried.refused else [place for place in edge.to if place not in seen]
                seen.update(new if not edge.kind.limited else ())
                for arrived in (it for place in new for it in self.graph.at(place) if it not in before):
                    before[arrived] = actor, edge
                    if not edge.kind.limited:
                        queue.append(arrived)
        return before

    def edges_of(self, actor: Principal) -> Iterator[Edge]:
        """Give the steps that somebody can take: their own, and those of their groups."""
        yield from self.graph.edges.get(actor, ())
        for group in sorted(self.graph.groups_of(actor)):
            yield from self.graph.edges.get(("Group", group), ())

    def _is_usual(self, actor: Principal, edge: Edge) -> bool:
        """Say whether every cluster, or each of kubeadm's, lets them: by default bindings, as they come with it."""
        for held in edge.held:
            rules = self.graph.holdings.resolver.role_reference_rules(held.binding) or ()
            if held.number >= len(rules):
                return False
            rule, who = rules[held.number], self.graph.source(actor, held).subject
            usual = builtin.has_rule(held.binding.role, rule) and builtin.gives(held.binding, who)
            if not usual and not builtin.by_kubeadm(held.binding, who, [rule]):
                return False
        return True

    # --- one step -----------------------------------------------------------------------------------------------------

    def _step(self, actor: Principal, edge: Edge, to: Principal | None, tried: Tried | None) -> Step:
        where = f" in {edge.where}" if edge.where else ""
        detail = f" ({edge.detail})" if edge.detail else ""
        notes = [f"needs {edge.kind.needs_there}"] if edge.kind.needs_there else []
        if edge.among is not None:
            notes.append(f"only named {', '.join(sorted(edge.among))}")
        if to is not None and (holder := self.graph.holds_all(to)) is not None and holder in self.graph.holdings.admins:
            notes.append(witness(self.graph.holdings.admins[holder]).text.replace("allows it", "allows everything"))
        if tried is not None and tried.note:
            notes.append(tried.note)
        sources = [self.graph.source(actor, held) for held in edge.held]
        shown = Witness("authorizer", "the Node authorizer lets kubelets ask for tokens of the accounts of their pods")
        if sources:
            texts = dict.fromkeys(witness(source).text for source in sources)
            shown = Witness("rbac", "; ".join(texts), sources[0].path)
        return Step(
            source=subject(actor),
            target=CLUSTER_ADMIN if to is None else subject(to),
            means=f"{edge.kind.id}: {edge.kind.title}{detail}{where}",
            proof=tried.proof if tried is not None and not tried.refused else "inferred",
            witness=shown,
            note="; ".join(notes),
        )


def _path(name: str, source: Principal, steps: tuple[Step, ...], refused: str, *, usual: bool) -> EscalationPath:
    """Make a path; one that the server refuses, or that every cluster has, is told for information."""
    severity = "info" if refused or usual else ("critical" if name == CLUSTER_ADMIN else "high")
    return EscalationPath(f"{subject(source)} -> {name}", severity, subject(source), name, steps, refused)


def _told(found: Iterable[EscalationPath], cluster: Iterable[EscalationPath] | None) -> tuple[EscalationPath, ...]:
    """Tell the cluster's own ways from those that are there only by what a run made, which are for information."""
    if cluster is None:
        return tuple(found)
    own = {path.id: path for path in cluster}
    told: list[EscalationPath] = []
    for path in found:
        kept = own.pop(path.id, None)
        if kept is None or (kept.refused and not path.refused):
            kept = replace(path, severity="info", made=OF_RUN)
        told.append(kept)
    # Whoever a run gave everything has no way there any more, but had one before.
    return (*told, *own.values())


def of(
    rbac: Rbac,
    known: Mapping[str, Iterable[str]] | None = None,
    tried: Callable[[Principal, Edge], Tried | None] = _untried,
    people: Iterable[Principal] = (),
) -> Paths:
    """Give the paths of RBAC objects, among which may be some that a run made."""
    people = tuple(people)
    own = builtin.without_runs(rbac)
    cluster = None if own is rbac else Paths(Graph(own, known), tried, people)
    return Paths(Graph(rbac, known), tried, people, cluster)


def strength(path: EscalationPath) -> Proof:
    """Say how sure a path is: as sure as its least sure step."""
    return max((step.proof for step in path.steps), key=_STRENGTH.__getitem__, default="inferred")


def read_subject(text: str, graph: Graph) -> Principal:
    """Read a subject as people write it: `User alice`, `alice`, `web/deployer`, `system:serviceaccount:web:deployer`.

    A LookupError says who there is.
    """
    kind, _, name = text.strip().rpartition(" ")
    for principal in graph.actors:
        if subject(principal) == text or (principal[1] == text and kind in {"", principal[0]}):
            return principal
        if kind in {"", "ServiceAccount"} and subject(principal) == f"ServiceAccount {name}":
            return principal
    some = ", ".join(subject(it) for it in sorted(graph.actors)[:_SOME])
    raise LookupError(
        f"no binding or identity names {text!r}; there are {some}" + ("..." if len(graph.actors) > _SOME else "")
    )


_SOME = 12
