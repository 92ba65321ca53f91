"""Who holds the rights that escalation steps are made of: rules -> rights, joined for somebody in a place.

Only the few dozen rights of the table matter, so each distinct rule is read once into those that it gives, and a whole
cluster's bindings are then a few dictionary look-ups each.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.rbac.escalation_kinds import ANY_RESOURCE, KINDS, Right
from conformance.rbac.predicates import ALL
from conformance.rbac.resolver import SERVICE_ACCOUNT_PREFIX, Source, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from conformance.rbac.escalation_kinds import Kind
    from conformance.rbac.predicates import Rule
    from conformance.rbac.resolver import Binding, Principal, Resolver

AUTHENTICATED, UNAUTHENTICATED, ANONYMOUS = "system:authenticated", "system:unauthenticated", "system:anonymous"
ACCOUNTS = "system:serviceaccounts"

Names = frozenset[str] | None  # None: all

_RIGHTS = tuple(dict.fromkeys(right for kind in KINDS for way in kind.ways for right in way))
# Rights that differ in nothing but how names are read are one thing to look for in a rule.
Sought = tuple[tuple[str, ...], str, str]


def sought(right: Right) -> Sought:
    """Give what a right looks for in a rule."""
    return right.verbs, right.group, right.plural


_ALL_SOUGHT = tuple(dict.fromkeys(sought(right) for right in _RIGHTS))
_BY_RESOURCE: dict[str, list[Sought]] = defaultdict(list)
for _it in _ALL_SOUGHT:
    _BY_RESOURCE[_it[2]].append(_it)
    if "/" in _it[2]:
        _BY_RESOURCE[f"*/{_it[2].partition('/')[2]}"].append(_it)


@dataclass(frozen=True, slots=True)
class Held:
    """A right that a rule gives somebody: for these names, by which binding and which rule of its role."""

    names: Names
    binding: Binding
    number: int

    def without_name(self) -> bool:
        """Whether a request that bears no name has it."""
        return self.names is None or "" in self.names


_Given = dict[Sought, list[tuple[Names, int]]]  # what a role gives: names, and the number of the rule


@dataclass(frozen=True, slots=True)
class Won:
    """That somebody can take a step in a place: as whom (`names`, None for all), by which rules."""

    kind: Kind
    place: str
    names: Names
    way: tuple[Right, ...]
    held: tuple[Held, ...]
    among: Names = None  # of the objects that are there, those that will do


class Holdings:
    """The rights of every user and group, as bindings give them."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self._of_rule: dict[Rule, dict[Sought, Names]] = {}
        self._of_role: dict[int, _Given] = {}
        self.by_principal: dict[Principal, dict[str, dict[Sought, list[Held]]]] = {}
        self.bindings_of: dict[Principal, list[Binding]] = defaultdict(list)
        self.admins: dict[Principal, Source] = {}
        for binding in resolver.bindings():
            self._bind(binding)

    def _bind(self, binding: Binding) -> None:
        rules = self.resolver.role_reference_rules(binding) or ()
        # One value for all subjects, so that what follows from it is worked out once.
        held = self.held(rules, binding)
        admin = admin_rule(rules) if not binding.namespace else None
        for subject, principal in principals(binding):
            self.bindings_of[principal].append(binding)
            if admin is not None:
                self.admins.setdefault(principal, Source(subject, binding, admin))
            if held:
                places = self.by_principal.setdefault(principal, {})
                there = places.get(binding.namespace)
                places[binding.namespace] = held if there is None else joined((there, held))

    def held(self, rules: tuple[Rule, ...], binding: Binding) -> dict[Sought, list[Held]]:
        """Give the rights that a binding gives its subjects."""
        given = self.given(rules) if rules else {}
        return {key: [Held(names, binding, number) for names, number in them] for key, them in given.items()}

    def given(self, rules: tuple[Rule, ...]) -> _Given:
        """Say which rights a role gives."""
        found = self._of_role.get(id(rules))  # the resolver keeps them; hashing them is dear
        if found is None:
            found = {}
            for number, rule in enumerate(rules):
                for key, names in self._rights_of(rule).items():
                    entries = found.setdefault(key, [])
                    if names is None:
                        entries.insert(0, (None, number))
                    else:
                        entries.append((names, number))
            self._of_role[id(rules)] = found
        return found

    def _rights_of(self, rule: Rule) -> dict[Sought, Names]:
        found = self._of_rule.get(rule)
        if found is None:
            found = self._of_rule[rule] = _rights_of(rule)
        return found


def _rights_of(rule: Rule) -> dict[Sought, Names]:
    names: Names = frozenset(rule.resource_names) or None
    everything = ALL in rule.resources
    candidates: Iterable[Sought] = _ALL_SOUGHT
    if not everything:
        candidates = [it for plural in rule.resources for it in _BY_RESOURCE.get(plural, ())]
        if rule.resources and any(verb == ALL or verb.startswith("impersonate-on:") for verb in rule.verbs):
            candidates += _BY_RESOURCE[ANY_RESOURCE]
    verbs, groups = frozenset(rule.verbs), frozenset(rule.api_groups)
    return {
        it: names
        for it in candidates
        if (ALL in groups or it[1] in groups or it[1] == ANY_RESOURCE) and (ALL in verbs or not verbs.isdisjoint(it[0]))
    }


def admin_rule(rules: Iterable[Rule]) -> int | None:
    """Give the number of a rule that allows everything, None where none does."""
    for number, rule in enumerate(rules):
        if ALL in rule.verbs and ALL in rule.api_groups and ALL in rule.resources and not rule.resource_names:
            return number
    return None


def principals(binding: Binding) -> Iterable[tuple[Subject, Principal]]:
    """Give the subjects of a binding with the users and groups that they mean."""
    for subject in binding.subjects:
        if subject.kind in {"User", "Group"}:
            yield subject, (subject.kind, subject.name)
        elif subject.kind == "ServiceAccount" and subject.namespace:
            yield subject, ("User", f"{SERVICE_ACCOUNT_PREFIX}{subject.namespace}:{subject.name}")


def account(principal: Principal) -> tuple[str, str] | None:
    """Give namespace and name of a service account, None of anybody else."""
    kind, name = principal
    if kind != "User" or not name.startswith(SERVICE_ACCOUNT_PREFIX):
        return None
    namespace, colon, short = name.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
    return (namespace, short) if colon and namespace and short and ":" not in short else None


def implied_groups(principal: Principal) -> frozenset[str]:
    """Give the groups that the server itself puts somebody in; of a group, those of whoever is a member."""
    kind, name = principal
    if kind == "User":
        if name == ANONYMOUS:
            return frozenset({UNAUTHENTICATED})
        found = account(principal)
        return frozenset({AUTHENTICATED, ACCOUNTS, f"{ACCOUNTS}:{found[0]}"} if found else {AUTHENTICATED})
    if kind != "Group" or name == UNAUTHENTICATED:
        return frozenset()
    groups = {AUTHENTICATED} | ({ACCOUNTS} if name.startswith(f"{ACCOUNTS}:") else set())
    return frozenset(groups - {name})


def joined(parts: Iterable[Mapping[Sought, list[Held]]]) -> dict[Sought, list[Held]]:
    """Put together what somebody holds by several ways, rights for all names first."""
    found: dict[Sought, list[Held]] = {}
    for part in parts:
        for key, held in part.items():
            there = found.get(key)
            if there is None:
                found[key] = held
            elif there[0].names is not None:
                found[key] = held if held[0].names is None else [*there, *held]
    return found


def won(
    kind: Kind, place: str, wide: Mapping[Sought, list[Held]], near: Mapping[Sought, list[Held]]
) -> tuple[Won, ...]:
    """Say which steps of a kind somebody can take, by each way that works.

    `wide` is what they hold in the whole cluster, `near` what they hold in this place (with what is cluster-wide).
    """
    return tuple(found for way in kind.ways if (found := _won_by(kind, way, place, wide, near)) is not None)


def _won_by(
    kind: Kind,
    way: tuple[Right, ...],
    place: str,
    wide: Mapping[Sought, list[Held]],
    near: Mapping[Sought, list[Held]],
) -> Won | None:
    target: Names = None
    same: Names = None
    among: Names = None
    chosen: list[list[Held]] = []
    for right in way:
        held = (wide if right.cluster else near).get(sought(right))
        if held and right.naming == "none":
            held = [it for it in held if it.without_name()]
        elif held and right.naming == "listed":
            held = [it for it in held if it.names is None or it.names & set(right.names)]
        if not held:
            return None
        chosen.append(held)
        names: Names = None
        if held[0].names is not None:
            names = frozenset().union(*(it.names or () for it in held)) - {""}
        if right.naming == "target":
            target = _both(target, names)
        elif right.naming == "same":
            same = _both(same, names)
        elif right.naming == "any":
            among = names if among is None else among
    if same == frozenset() or target == frozenset():
        return None
    return Won(kind, place, target, way, tuple(held[0] for held in chosen), among)


def _both(one: Names, other: Names) -> Names:
    if one is None or other is None:
        return other if one is None else one
    return one & other
