"""Which of the rights that risk rules look for a role gives: the evaluator's bit sets over the rules' own endpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from conformance.rbac.algebra import Axis, Point, bits_of
from conformance.rbac.predicates import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.rbac.predicates import Rule
    from conformance.rbac.served import Served
    from conformance.risks.rule import Pattern, Risk

# Whose names no authorizer sees: a name in a rule gives nothing for them.
_NEVER_NAMED = frozenset({"create", "deletecollection"})
# One namespace is asked for in itself, so that a RoleBinding there reaches it.
_IN_ITSELF = frozenset({"get", "update", "patch", "delete"})


@dataclass(frozen=True, slots=True)
class Held:
    """Which rights a role gives: for all names, and for some; by the numbers of its rules for each right's bit."""

    every: int = 0
    some: int = 0
    names: tuple[str, ...] = ()
    by: dict[int, tuple[int, ...]] = field(default_factory=dict)
    wildcards: dict[tuple[str, ...], tuple[int, ...]] = field(default_factory=dict)

    @property
    def bits(self) -> int:
        """All of them."""
        return self.every | self.some


class Rights:
    """The endpoints that a set of risk rules looks for, and what a role's rules give of them."""

    def __init__(self, risks: Iterable[Risk], served: Served) -> None:
        self._served = served
        patterns = [pattern for risk in risks for pattern in (*risk.match.any, *risk.match.all)]
        points = dict.fromkeys(point for pattern in patterns for point in self._points(pattern))
        self.axis = Axis(tuple(points))
        self.near = self.axis.namespaced  # what a RoleBinding reaches
        self._patterns = patterns  # kept, because their identities are the keys: hashing them is dear
        self._masks = {id(pattern): self._mask(pattern) for pattern in patterns}
        self._wildcards = {risk.match.wildcard for risk in risks if risk.match.wildcard}
        self._never_named = sum(
            1 << number for number, point in enumerate(self.axis.points) if not point.path and _unnamed(point)
        )
        self._held: dict[int, tuple[tuple[Rule, ...], Held]] = {}

    def mask(self, pattern: Pattern) -> int:
        """Give the bits of a pattern's rights."""
        return self._masks[id(pattern)]

    def of(self, rules: tuple[Rule, ...]) -> Held:
        """Give what a role's rules give; the resolver keeps each role's rules, so their identity is remembered."""
        known = self._held.get(id(rules))
        if known is None:
            known = self._held[id(rules)] = (rules, self._work_out(rules))
        return known[1]

    def named(self, rules: tuple[Rule, ...], pattern: Pattern) -> int:
        """Give the bits that the rules give for one of the names that a pattern is about."""
        mask = self.mask(pattern)
        found = 0
        for rule in rules:
            allowed = self.axis.of_rule(rule)
            for name in pattern.names:
                found |= allowed.for_name(name)
        return found & mask

    def reached(self, pattern: Pattern, namespace: str) -> bool:
        """Say whether a binding in a namespace ("" for the whole cluster) reaches a place that the pattern is about."""
        return not pattern.namespaces or not namespace or namespace in pattern.namespaces

    def words(self, bits: int) -> list[str]:
        """Spell rights as `get, list of secrets`, joined by resource."""
        verbs: dict[str, list[str]] = {}
        for number in bits_of(bits):
            point = self.axis.points[number]
            group = f".{point.group}" if point.group else ""
            plural, slash, sub = point.plural.partition("/")
            verbs.setdefault(point.path or f"{plural}{group}{slash}{sub}", []).append(point.verb)
        return [f"{', '.join(found)} of {what}" for what, found in verbs.items()]

    def _work_out(self, rules: tuple[Rule, ...]) -> Held:
        every = some = 0
        names: dict[str, None] = {}
        by: dict[int, list[int]] = {}
        wildcards: dict[tuple[str, ...], list[int]] = {}
        whole = any(is_everything(rule) for rule in rules)
        for number, rule in enumerate(rules):
            if whole and not is_everything(rule):
                continue
            for lists in self._wildcards:
                if all(_has_wildcard(rule, word) for word in lists) and (not whole or set(_EVERYTHING) <= set(lists)):
                    wildcards.setdefault(lists, []).append(number)
            if whole:
                continue  # who has everything has one finding that says so, not one for each thing
            allowed = self.axis.of_rule(rule)
            every |= allowed.any_name
            found = allowed.any_name
            for name, bits in allowed.named.items():
                if useful := bits & ~self._never_named:
                    some |= useful
                    found |= useful
                    names[name] = None
            for bit in bits_of(found):
                by.setdefault(bit, []).append(number)
        return Held(
            every,
            some & ~every,
            tuple(sorted(names)),
            {bit: tuple(numbers) for bit, numbers in by.items()},
            {lists: tuple(numbers) for lists, numbers in wildcards.items()},
        )

    def _mask(self, pattern: Pattern) -> int:
        return sum(1 << self.axis.bit(point) for point in dict.fromkeys(self._points(pattern)))

    def _points(self, pattern: Pattern) -> Iterator[Point]:
        for path in pattern.paths:
            for verb in pattern.verbs:
                yield Point("", "", verb, namespaced=False, path=path)
        for resource in pattern.resources:
            target = self._served.target(resource)
            plural = f"{target.resource}/{target.subresource}" if target.subresource else target.resource
            inside = target.namespaced if target.namespaced is not None else not pattern.cluster
            own = (target.group, target.resource) == ("", "namespaces")
            for verb in pattern.verbs:
                if ALL not in (verb, plural, target.group):
                    near = inside or (own and verb in _IN_ITSELF) or (verb == "bind" and not pattern.cluster)
                    yield Point(target.group, plural, verb, near)


_EVERYTHING = ("verbs", "groups", "resources")


def is_everything(rule: Rule) -> bool:
    """Say whether a rule gives all verbs on all resources."""
    return not rule.resource_names and all(_has_wildcard(rule, word) for word in _EVERYTHING)


def _has_wildcard(rule: Rule, word: str) -> bool:
    match word:
        case "verbs":
            return ALL in rule.verbs and bool(rule.resources or rule.non_resource_urls)
        case "groups":
            return ALL in rule.api_groups and bool(rule.resources)
        case "resources":
            return ALL in rule.resources and bool(rule.api_groups)
        case _:
            return any(url in {ALL, "/*"} for url in rule.non_resource_urls)


def _unnamed(point: Point) -> bool:
    return point.verb in _NEVER_NAMED and not point.subresource
