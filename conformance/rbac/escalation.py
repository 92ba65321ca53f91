"""The escalation graph: from everybody that bindings or a run name, by single steps, to everybody else.

Its nodes are users, groups and service accounts, the pseudo-subjects "any node" and "rights of a role", and places to
arrive at: one account, all accounts of a namespace, all users... An edge is a kind of step that somebody can take in a
place, with the rules that let them. Whoever arrives at a place is everybody in it, at no further cost; so the graph
has a few edges for each binding, however many people there are.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.rbac.escalation_kinds import KINDS, Kind, Right
from conformance.rbac.escalation_rights import (
    Held,
    Holdings,
    Names,
    Sought,
    Won,
    account,
    admin_rule,
    implied_groups,
    joined,
    principals,
    sought,
    won,
)
from conformance.rbac.resolver import MASTERS, Binding, Principal, Resolver, Source, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from conformance.model import Rbac

CLUSTER_ADMIN = "cluster-admin"

_Rights = dict[Sought, list[Held]]
Place = tuple[str, ...]  # somewhere to arrive at: ("account", namespace, name), ("accounts", namespace), ("users",)...
ADMIN: Place = ("admin",)
NODE: Principal = ("Node", "any")
NODE_PREFIX = "system:node:"
_NEVER = frozenset({MASTERS})

ON_NODES = Kind("node-pods", "use the accounts of the pods that run on a node", "accounts", (), "a pod of the account")
_WANTED = {kind.id: frozenset(sought(right) for way in kind.ways for right in way) for kind in KINDS}
_OF_SOUGHT: dict[Sought, tuple[int, ...]] = {  # the numbers of the kinds that a right is needed for
    key: tuple(number for number, kind in enumerate(KINDS) if key in _WANTED[kind.id])
    for wanted in _WANTED.values()
    for key in wanted
}
_NEAR = frozenset(number for number, kind in enumerate(KINDS) if kind.namespaced)
_JOINT = frozenset(number for number, kind in enumerate(KINDS) if kind.namespaced and len(kind.ways[0]) > 1)


@dataclass(frozen=True, slots=True)
class Edge:
    """A step that somebody can take: to these places. `where` is the namespace, empty for the whole cluster."""

    actor: Principal
    kind: Kind
    where: str
    to: tuple[Place, ...]
    held: tuple[Held, ...]
    detail: str = ""  # which role
    names: Names = None  # of whom or which one becomes, or has, as rules name them; None for all
    way: tuple[Right, ...] = ()  # the rights that it takes, as `held` is how they are held
    among: Names = None  # of the objects that have to be there, the names of those that will do


class Graph:
    """Everybody's steps; made once for the RBAC objects of a snapshot.

    `known` are users whose groups a run found out.
    """

    def __init__(self, rbac: Rbac, known: Mapping[str, Iterable[str]] | None = None) -> None:
        self.resolver = Resolver(rbac)
        self.holdings = Holdings(self.resolver)
        self.collectors = {role["metadata"]["name"] for role in rbac.cluster_roles if role.get("aggregationRule")}
        self._known = {user: frozenset(groups) for user, groups in (known or {}).items()}
        self._merged: dict[tuple[frozenset[str], str], _Rights] = {}
        self._sums: dict[tuple[int, ...], _Rights] = {}
        self._steps: dict[tuple[str, int, int, int], tuple[Won, ...]] = {}
        self._kept: list[list[_Rights]] = []
        self._members: dict[str, list[Principal]] | None = None
        self._roles: dict[Principal, tuple[Place, _Rights]] = {}
        named = dict.fromkeys(self.holdings.bindings_of)
        groups = {("Group", group) for groups in self._known.values() for group in groups}
        self.actors: dict[Principal, None] = {
            **named,
            **dict.fromkeys(("User", user) for user in self._known),
            **dict.fromkeys(sorted(groups)),
        }
        self._accounts = {it: found for it in self.actors if (found := account(it)) is not None}
        self.edges: dict[Principal, list[Edge]] = {}
        for actor in self.actors:
            self.edges[actor] = list(self._edges_of(actor))
        self._follow_roles()
        self.edges[NODE] = [Edge(NODE, ON_NODES, "", (("accounts", ""),), ())]

    # --- who ----------------------------------------------------------------------------------------------------------

    def groups_of(self, actor: Principal) -> frozenset[str]:
        """Give the groups that somebody is known to be in."""
        found = implied_groups(actor)
        return found | self._known.get(actor[1], frozenset()) if actor[0] == "User" else found

    def is_admin(self, actor: Principal) -> bool:
        """Say whether somebody may do everything already, by bindings of their own or as one of system:masters."""
        return actor in self.holdings.admins or actor == ("Group", MASTERS)

    def holds_all(self, actor: Principal) -> Principal | None:
        """Give whom somebody owes it to that they may do everything: themselves or a group; None who may not."""
        ways = (actor, *(("Group", group) for group in sorted(self.groups_of(actor))))
        return next((it for it in ways if self.is_admin(it)), None)

    def source(self, actor: Principal, held: Held) -> Source:
        """Say by which subject of its binding somebody holds a right."""
        own = {actor, *(("Group", group) for group in self.groups_of(actor))}
        found = (subject for subject, principal in principals(held.binding) if principal in own)
        return Source(next(found, Subject(*actor)), held.binding, held.number)

    # --- edges --------------------------------------------------------------------------------------------------------

    def _edges_of(self, actor: Principal) -> Iterator[Edge]:
        own = self.holdings.by_principal.get(actor, {})
        if actor[0] == "User" and actor[1].startswith(NODE_PREFIX):
            yield Edge(actor, ON_NODES, "", (("accounts", ""),), ())
        if self.is_admin(actor) or (not own and actor not in self.holdings.bindings_of):
            return
        groups = frozenset(group for group in self.groups_of(actor) if ("Group", group) in self.holdings.by_principal)
        wide_own = own.get("", {})
        wide = self._joined(wide_own, self._of_groups(groups, "")) if groups else wide_own
        yield from self._at(actor, "", wide_own, wide, wide)
        places = dict.fromkeys(place for place in own if place)
        if any(not _JOINT.isdisjoint(_OF_SOUGHT[key]) for key in wide_own):
            # A right of one's own in the whole cluster may be joined to one that a group has in a namespace.
            for group in groups:
                places |= dict.fromkeys(place for place in self.holdings.by_principal["Group", group] if place)
        for place in places:
            near_own = own.get(place, {})
            others = self._of_groups(groups, place) if groups else {}
            if near_own or (wide_own and others):
                yield from self._at(actor, place, near_own or wide_own, wide, self._joined(wide, near_own, others))

    def _of_groups(self, groups: frozenset[str], place: str) -> _Rights:
        key = groups, place
        found = self._merged.get(key)
        if found is None:
            held = (self.holdings.by_principal["Group", group].get(place) for group in sorted(groups))
            found = self._merged[key] = joined(it for it in held if it)
        return found

    def _joined(self, *parts: _Rights) -> _Rights:
        """Put rights together, once for equal parts."""
        some = [part for part in parts if part]
        if len(some) < 2:  # noqa: PLR2004  # there is nothing to put together
            return some[0] if some else {}
        key = tuple(id(part) for part in some)
        found = self._sums.get(key)
        if found is None:
            found = self._sums[key] = joined(some)
            self._kept.append(some)  # so that no other comes to have their ids
        return found

    def _at(self, actor: Principal, place: str, own: _Rights, wide: _Rights, near: _Rights) -> Iterator[Edge]:
        """Give the steps in one place to which a right of their own belongs; what a group can, its members can."""
        key = place, id(own), id(wide), id(near)
        steps = self._steps.get(key)
        if steps is None:
            numbers = sorted({number for right in own for number in _OF_SOUGHT[right]})
            kinds = (KINDS[number] for number in numbers if not place or number in _NEAR)
            steps = self._steps[key] = tuple(it for kind in kinds for it in won(kind, place, wide, near))
            self._kept.append([own, wide, near])
        for found in steps:
            if to := self._arrivals(actor, found):
                yield Edge(actor, found.kind, place, *to, found.names, found.way, found.among)

    def _arrivals(  # noqa: C901  # a case for each thing that one becomes
        self, actor: Principal, found: Won
    ) -> tuple[tuple[Place, ...], tuple[Held, ...], str] | None:
        """Say where a step leads."""
        kind, place, names = found.kind, found.place, found.names
        to: tuple[Place, ...] = ()
        detail = ""
        match kind.becomes:
            case "account":
                to = (("accounts", place),) if names is None else tuple(("account", place, it) for it in sorted(names))
            case "accounts":
                to = (("accounts", place),)
            case "user":
                to = (("users",),) if names is None else tuple(("user", it) for it in sorted(names))
            case "anybody":
                to = (("users",), ("groups",))
            case "group":
                if names is None or MASTERS in names:
                    to = (ADMIN,)
                to += (("groups",),) if names is None else tuple(("group", it) for it in sorted(names - _NEVER))
            case "node":
                to = (("nodes",),)
            case "admin":
                to = (ADMIN,)
            case "nobody":
                to = (("nobody",),)
            case "role":
                to, detail = self._roles_bound(found)
            case "self-role":
                to, detail = self._roles_changed(actor, found)
        return (to, found.held, detail) if to else None

    def _roles_bound(self, found: Won) -> tuple[tuple[Place, ...], str]:
        """Give the roles that somebody can bind themselves to; a role that is not there can't be bound to."""
        kind, place, names = found.kind, found.place, found.names
        role_kind = "Role" if kind.id in {"bind-role", "change-rolebinding-role"} else "ClusterRole"
        wide = kind.id in {"bind-cluster", "change-clusterrolebinding"}
        if kind.id.startswith("change-"):
            bindings: Iterable[Binding] = self.resolver.cluster_role_bindings
            if not wide:
                near = self.resolver.role_bindings
                bindings = (it for space, them in near.items() if place in {"", space} for it in them)
            there = {
                (it.role_kind, it.namespace, it.role_name)
                for it in bindings
                if (found.among is None or it.name in found.among) and it.role_kind == role_kind
            }
            chosen = sorted(it for it in there if names is None or it[2] in names)
        elif names is None and role_kind == "ClusterRole":
            return ((ADMIN,) if wide else (("namespace", place),)), "cluster-admin"
        else:
            chosen = sorted(
                (role_kind, place, it)
                for it in (self.resolver.names_of_roles(role_kind, place) if names is None else names)
            )
        to = []
        for _, space, name in chosen:
            where = "" if wide else space
            if (arrival := self._role(role_kind, where, name, cluster=wide)) is not None:
                to.append(arrival)
        return tuple(dict.fromkeys(to)), ", ".join(name for _, _, name in chosen[:3])

    def _role(self, role_kind: str, place: str, name: str, *, cluster: bool) -> Place | None:
        """Make the rights of a role somewhere to arrive at; None where there is no such role."""
        binding = Binding("" if cluster else place, "(new)", role_kind, name, (Subject("Role", name),))
        if not cluster and not place and role_kind == "Role":
            return None  # a Role is of one namespace
        rules = self.resolver.role_reference_rules(binding)
        if rules is None:
            return None
        if admin_rule(rules) is not None:
            return ADMIN if cluster else ("namespace", place)
        # Bound in any namespace, but in none for the whole cluster, it gives nothing outside of namespaces.
        place = place or ("" if cluster else "*")
        arrival: Place = ("role", role_kind, place, name)
        actor: Principal = (role_kind, f"{place}/{name}" if place else name)
        if actor not in self._roles:
            self._roles[actor] = arrival, self.holdings.held(rules, binding)
        return arrival

    def _follow_roles(self) -> None:
        """Give the roles that somebody can bind themselves to edges of their own, and those found on the way."""
        done: set[Principal] = set()
        while len(done) < len(self._roles):
            for actor in [it for it in self._roles if it not in done]:
                done.add(actor)
                arrival, held = self._roles[actor]
                wide: _Rights = {} if arrival[2] else held
                self.edges[actor] = list(self._at(actor, arrival[2].replace("*", ""), held, wide, held))

    def _roles_changed(self, actor: Principal, found: Won) -> tuple[tuple[Place, ...], str]:
        """Say what rules are worth that are added to a role that somebody has."""
        kind, names = found.kind, found.names
        held = (actor, *(("Group", group) for group in self.groups_of(actor)))
        for_role = "Role" if kind.id == "escalate-role" else "ClusterRole"
        to: dict[Place, str] = {}
        for principal in held:
            for binding in self.holdings.bindings_of.get(principal, ()):
                if binding.role_kind != for_role or (names is not None and binding.role_name not in names):
                    continue
                if for_role == "Role" and found.place not in {"", binding.namespace}:
                    continue
                if kind.id == "aggregate" and binding.role_name not in self.collectors:
                    continue
                if self.resolver.role_reference_rules(binding) is None:
                    continue  # there is nothing to add to
                to.setdefault(("namespace", binding.namespace) if binding.namespace else ADMIN, binding.role_name)
        if ADMIN in to:
            return (ADMIN,), to[ADMIN]
        return tuple(sorted(to)), ", ".join(sorted(set(to.values()))[:3])

    # --- arrivals -----------------------------------------------------------------------------------------------------

    def at(self, place: Place) -> Iterator[Principal]:  # noqa: C901  # a case for each form of place
        """Give everybody that one is who has arrived at a place."""
        match place:
            case ("account", namespace, name):
                for principal, (space, short) in self._accounts.items():
                    if short == name and namespace in {"", space}:
                        yield principal
            case ("accounts" | "namespace", namespace):
                yield from (it for it, (space, _) in self._accounts.items() if namespace in {"", space})
            case ("user", name):
                yield "User", name
            case ("users",):
                yield from (it for it in self.actors if it[0] == "User" and account(it) is None)
            case ("group", name):
                yield "Group", name
            case ("groups",):
                yield from (it for it in self.actors if it[0] == "Group" and it[1] not in _NEVER)
            case ("nodes",):
                yield NODE
            case ("role", role_kind, space, name):
                yield role_kind, f"{space}/{name}" if space else name
            case _:
                return

    def arrivals(self, actor: Principal) -> Iterator[Place]:
        """Give every place at which one arrives as somebody."""
        kind, name = actor
        if (found := account(actor)) is not None:
            yield from (("account", *found), ("account", "", found[1]))
            for namespace in (found[0], ""):
                yield from (("accounts", namespace), ("namespace", namespace))
        elif kind == "User":
            yield from (("user", name), ("users",))
        elif kind == "Group":
            yield ("group", name)
            if name not in _NEVER:
                yield ("groups",)
        elif actor == NODE:
            yield ("nodes",)
        else:
            yield self._roles[actor][0]

    def members(self, group: str) -> Iterator[Principal]:
        """Give everybody who is known to be in a group."""
        if self._members is None:
            self._members = defaultdict(list)
            for actor in self.actors:
                for each in self.groups_of(actor):
                    self._members[each].append(actor)
        yield from self._members.get(group, ())


def subject(actor: Principal) -> str:
    """Name somebody as reports do: `User alice`, `ServiceAccount web/deployer`."""
    found = account(actor)
    return f"ServiceAccount {found[0]}/{found[1]}" if found else f"{actor[0]} {actor[1]}"


def by_places(edges: Mapping[Principal, Iterable[Edge]]) -> dict[Place, list[Edge]]:
    """Give the steps by where they lead."""
    found: dict[Place, list[Edge]] = defaultdict(list)
    for them in edges.values():
        for edge in them:
            for place in edge.to:
                found[place].append(edge)
    return found
