"""Rules as sets of endpoints, one bit for each, so that a whole cluster's permissions are a few `|` and `&`.

Python's own integers are the sets: on 12,000 endpoints one operation costs a quarter of a microsecond, they hash and
compare by value, which interns equal sets for nothing, and nothing needs to be installed. The predicates in
predicates.py say what is right; here each of them is a mask: a rule's set is (one of its verbs) & (one of its groups) &
(one of its resources).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from conformance.rbac.predicates import ALL, non_resource_url_matches, verb_matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from conformance.model import Catalog
    from conformance.rbac.predicates import Rule

COLLECTION_VERBS = frozenset({"list", "watch", "create", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Point:
    """An endpoint as far as RBAC tells endpoints apart: the version plays no part. `path` for non-resource URLs."""

    group: str
    plural: str
    verb: str
    namespaced: bool
    path: str = ""

    @property
    def subresource(self) -> str:
        """The part after the slash, if any."""
        return self.plural.partition("/")[2]

    @property
    def nameless(self) -> bool:
        """Whether requests carry no name: those that read or clear a collection, or add to it."""
        return not self.path and not self.subresource and self.verb in COLLECTION_VERBS


def points_of(catalog: Catalog, path_verbs: Iterable[str] = ("get",)) -> tuple[Point, ...]:
    """Give every endpoint of a catalog once, in its order, then every path."""
    verbs = tuple(path_verbs)
    found = {Point(it.group, it.plural, verb, it.namespaced): None for it in catalog.resources for verb in it.verbs}
    found |= {Point("", "", verb, namespaced=False, path=path): None for path in catalog.paths for verb in verbs}
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The endpoints that a set of rules allows: for every object name, and for each name that the rules single out."""

    any_name: int = 0
    named: Mapping[str, int] = field(default_factory=dict)

    def for_name(self, name: str) -> int:
        """The endpoints that are allowed for an object of this name; requests without a name have the name ""."""
        return self.any_name | self.named.get(name, 0)


def union(parts: Iterable[Allowed]) -> Allowed:
    """Give what several sets of rules allow together: rules only add."""
    any_name = 0
    named: dict[str, int] = {}
    for part in parts:
        any_name |= part.any_name
        for name, bits in part.named.items():
            named[name] = named[name] | bits if name in named else bits
    return Allowed(any_name, named)


class Axis:
    """The endpoints in order, each with its bit, and the masks that rules are made of."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = tuple(points)
        self._bits = {point: number for number, point in enumerate(self.points)}
        verbs: dict[str, list[int]] = {}
        groups: dict[str, list[int]] = {}
        resources: dict[str, list[int]] = {}
        self._paths: list[tuple[int, Point]] = []
        for number, point in enumerate(self.points):
            if point.path:
                self._paths.append((number, point))
                continue
            verbs.setdefault(point.verb, []).append(number)
            groups.setdefault(point.group, []).append(number)
            resources.setdefault(point.plural, []).append(number)
            if point.subresource:
                resources.setdefault(f"*/{point.subresource}", []).append(number)
        self._verbs, self._groups, self._resources = _masks(verbs), _masks(groups), _masks(resources)
        objects = mask(number for number, point in enumerate(self.points) if not point.path)
        self._verbs[ALL] = self._groups[ALL] = self._resources[ALL] = objects
        self.everything = (1 << len(self.points)) - 1
        self.namespaced = mask(number for number, point in enumerate(self.points) if point.namespaced)
        self._nameless = mask(number for number, point in enumerate(self.points) if point.nameless)
        self._rules: dict[Rule, Allowed] = {}

    def __len__(self) -> int:
        return len(self.points)

    def bit(self, point: Point) -> int:
        """Give the number of an endpoint's bit."""
        return self._bits[point]

    def plain(self, allowed: Allowed) -> int:
        """Give the endpoints that are allowed as they are asked: for an absent name, or none where there is none."""
        return allowed.any_name | (allowed.named.get("", 0) & self._nameless)

    def some_name(self, allowed: Allowed) -> int:
        """Give the endpoints that are allowed for some name although not as they are asked."""
        return reduce(or_, allowed.named.values(), 0) & ~self.plain(allowed)

    def of_rule(self, rule: Rule) -> Allowed:
        """Give what one rule allows; equal rules are worked out once."""
        allowed = self._rules.get(rule)
        if allowed is None:
            allowed = self._rules[rule] = self._work_out(rule)
        return allowed

    def of_rules(self, rules: Iterable[Rule]) -> Allowed:
        """Give what several rules allow together."""
        return union(self.of_rule(rule) for rule in rules)

    def _work_out(self, rule: Rule) -> Allowed:
        bits = _any_of(self._verbs, rule.verbs) & _any_of(self._groups, rule.api_groups)
        bits &= _any_of(self._resources, rule.resources)
        paths = 0
        if rule.non_resource_urls:
            # Names don't limit paths: a rule that has both reaches every object of the name and every path.
            for number, point in self._paths:
                if verb_matches(rule, point.verb) and non_resource_url_matches(rule, point.path):
                    paths |= 1 << number
        if rule.resource_names:
            return Allowed(paths, dict.fromkeys(rule.resource_names, bits) if bits else {})
        return Allowed(bits | paths)


def mask(numbers: Iterable[int]) -> int:
    """Give the integer in which exactly these bits are set."""
    chosen = list(numbers)
    if not chosen:
        return 0
    data = bytearray(max(chosen) // 8 + 1)
    for number in chosen:
        data[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(data, "little")


def bits_of(bits: int) -> Iterator[int]:
    """Give the numbers of the bits that are set, from the lowest."""
    if bits.bit_count() <= _SPARSE:  # taking the lowest off costs a pass each, looking at each byte one for all
        while bits:
            lowest = bits & -bits
            yield lowest.bit_length() - 1
            bits ^= lowest
        return
    for place, byte in enumerate(bits.to_bytes((bits.bit_length() + 7) // 8, "little")):
        if byte:
            base = place << 3
            for number in _OF_BYTE[byte]:
                yield base + number


_SPARSE = 32
_OF_BYTE = tuple(tuple(number for number in range(8) if byte >> number & 1) for byte in range(256))


class Tally:
    """Counts for each bit in how many sets it is: a binary counter for every bit at once, held upright in integers."""

    def __init__(self) -> None:
        self._digits: list[int] = []

    def add(self, bits: int, times: int) -> None:
        """Count a set so many times."""
        for digit in range(times.bit_length()):
            if times >> digit & 1:
                self._carry(bits, digit)

    def _carry(self, bits: int, digit: int) -> None:
        while bits:
            while digit >= len(self._digits):
                self._digits.append(0)
            before = self._digits[digit]
            self._digits[digit] = before ^ bits
            bits &= before
            digit += 1

    def counts(self, size: int) -> list[int]:
        """Give the count of each bit from 0."""
        found = [0] * size
        for digit, bits in enumerate(self._digits):
            for number in bits_of(bits):
                found[number] += 1 << digit
        return found


def _masks(numbers: Mapping[str, list[int]]) -> dict[str, int]:
    return {key: mask(chosen) for key, chosen in numbers.items()}


def _any_of(masks: Mapping[str, int], keys: Iterable[str]) -> int:
    return reduce(or_, (masks.get(key, 0) for key in keys), 0)
