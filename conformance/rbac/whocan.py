"""Who can do it: bindings searched from the other end, for one endpoint or for all of them.

Subjects are given as bindings name them; groups are not expanded. Group system:masters can everything and stands in no
binding: whoever shows the answer adds it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from conformance.rbac.algebra import bits_of, mask
from conformance.rbac.predicates import ALL, non_resource_url_matches, rule_allows, verb_matches
from conformance.rbac.resolver import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.model import Attributes
    from conformance.rbac.algebra import Point
    from conformance.rbac.predicates import Rule
    from conformance.rbac.resolver import Principal, Resolver


def sources(
    resolver: Resolver, attributes: Attributes, *, any_namespace: bool = False, any_name: bool = False
) -> Iterator[Source]:
    """Give each subject of each binding that allows a request, with the first rule of its role that does.

    Bindings of all namespaces count with `any_namespace`, else those of the request's namespace; with `any_name` also
    rules that allow it for some names only.
    """
    verdicts: dict[tuple[str, str, str], int | None] = {}
    for binding in resolver.bindings():
        if binding.namespace and not any_namespace and binding.namespace != attributes.namespace:
            continue
        key = binding.role_kind, binding.namespace if binding.role_kind == "Role" else "", binding.role_name
        if key not in verdicts:
            rules = resolver.role_reference_rules(binding) or ()
            asked = (replace(rule, resource_names=()) for rule in rules) if any_name else rules
            verdicts[key] = next((n for n, rule in enumerate(asked) if rule_allows(attributes, rule)), None)
        number = verdicts[key]
        if number is not None:
            for subject in binding.subjects:
                yield Source(subject, binding, number)


@dataclass(frozen=True, slots=True)
class Able:
    """The answer for one endpoint as sets over `principals`: as asked, and only for names that rules single out."""

    plain: int
    some_name: int


class WhoCan:
    """The answers for every endpoint at once. A principal is a user (service accounts too) or a group."""

    def __init__(self, resolver: Resolver) -> None:
        principals: dict[Principal, int] = {}
        roles: dict[int, int] = {}  # by the identity of the rules, which the resolver keeps: hashing them is dear
        anywhere: list[set[int]] = []
        everywhere: list[set[int]] = []
        holders: dict[Rule, list[int]] = defaultdict(list)
        for binding in resolver.bindings():
            rules = resolver.role_reference_rules(binding)
            if not rules:
                continue
            role = roles.setdefault(id(rules), len(roles))
            if role == len(anywhere):
                anywhere.append(set())
                everywhere.append(set())
                for rule in rules:
                    holders[rule].append(role)
            found = [principals.setdefault(principal, len(principals)) for principal in binding.principals]
            anywhere[role].update(found)
            if not binding.namespace:
                everywhere[role].update(found)
        self.principals = list(principals)
        self._rules = list(holders)
        self._holders = list(holders.values())
        self._anywhere = [mask(found) for found in anywhere]
        self._everywhere = [mask(found) for found in everywhere]
        self._index()

    def _index(self) -> None:
        verbs: dict[str, list[int]] = defaultdict(list)
        groups: dict[str, list[int]] = defaultdict(list)
        resources: dict[str, list[int]] = defaultdict(list)
        for number, rule in enumerate(self._rules):
            for chosen, keys in ((verbs, rule.verbs), (groups, rule.api_groups), (resources, rule.resources)):
                for key in keys:
                    chosen[key].append(number)
        self._verbs, self._groups, self._resources = _masks(verbs), _masks(groups), _masks(resources)
        self._unnamed = mask(number for number, rule in enumerate(self._rules) if not rule.resource_names)
        self._empty_name = mask(number for number, rule in enumerate(self._rules) if "" in rule.resource_names)
        self._with_urls = [number for number, rule in enumerate(self._rules) if rule.non_resource_urls]
        self._people: dict[tuple[int, bool], int] = {}

    def ask(self, point: Point) -> Able:
        """Give who can reach an endpoint: in any namespace where it is namespaced, else by cluster-wide bindings."""
        if point.path:
            rules = self._rules
            matching = (
                number
                for number in self._with_urls
                if verb_matches(rules[number], point.verb) and non_resource_url_matches(rules[number], point.path)
            )
            return Able(self._of_rules(mask(matching), near=False), 0)
        either = (self._verbs.get(point.verb, 0) | self._verbs.get(ALL, 0)) & (
            self._groups.get(point.group, 0) | self._groups.get(ALL, 0)
        )
        # Word by word: few resources have rules of their own, all share those for "*", and each part is kept.
        words = (ALL, point.plural, f"*/{point.subresource}") if point.subresource else (ALL, point.plural)
        plain = named = 0
        for word in words:
            rules_of_word = either & self._resources.get(word, 0)
            allowing = rules_of_word & (self._unnamed | (self._empty_name if point.nameless else 0))
            plain |= self._of_rules(allowing, near=point.namespaced)
            named |= self._of_rules(rules_of_word & ~allowing, near=point.namespaced)
        return Able(plain, named & ~plain)

    def all(self, points: Iterable[Point]) -> dict[Point, Able]:
        """Answer for every endpoint."""
        return {point: self.ask(point) for point in points}

    def named(self, principals: int) -> list[Principal]:
        """Spell a set of principals out."""
        return [self.principals[number] for number in bits_of(principals)]

    def _of_rules(self, rules: int, *, near: bool) -> int:
        if not rules:
            return 0
        key = rules, near
        people = self._people.get(key)
        if people is None:
            of_role = self._anywhere if near else self._everywhere
            roles = {role for number in bits_of(rules) for role in self._holders[number]}
            people = self._people[key] = reduce(or_, (of_role[role] for role in roles), 0)
        return people


def _masks(numbers: dict[str, list[int]]) -> dict[str, int]:
    return {key: mask(chosen) for key, chosen in numbers.items()}
