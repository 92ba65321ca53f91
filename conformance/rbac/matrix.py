"""Everybody x every place x every endpoint, for clusters of any size.

Somebody's rules in a namespace are the union of those of the cluster-wide bindings and of the namespace's, over the
user and each group. Most somebodies share most of it, so the union is made once for each distinct group list, joined
once with each distinct cluster-wide part of a user, and only then corrected where a user has bindings of their own.
What is stored is one interned set of endpoints for each distinct union, and how often it occurs.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.rbac.algebra import Allowed, Tally, union
from conformance.rbac.resolver import MASTERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from conformance.rbac.algebra import Axis
    from conformance.rbac.resolver import Principal, Resolver, Who

Roles = frozenset[int]  # numbers of distinct role contents

_NONE: Roles = frozenset()
_MODULUS = 1 << 256


@dataclass(frozen=True, slots=True)
class _Holding:
    """What somebody holds: roles for the whole cluster, and those that a namespace adds."""

    wide: Roles
    near: Mapping[str, Roles]


@dataclass(frozen=True, slots=True, eq=False)
class _Shared:
    """What all share who have the same groups and the same cluster-wide roles of their own.

    `near` names the union of each namespace where it is another than `wide`; `places` is the sum of their hashes.
    """

    roles: _Holding
    wide: int
    near: Mapping[str, int]
    places: int

    def at(self, namespace: str) -> int:
        """Give the union in a namespace."""
        return self.near.get(namespace, self.wide)


_EMPTY = _Holding(_NONE, {})


class WholeMatrix:
    """The complete matrix. `unions` holds what each distinct union of roles allows, each content once.

    `namespaces` are places even where nobody is bound; a namespace that only bindings know is one as well.
    """

    def __init__(self, resolver: Resolver, axis: Axis, people: Iterable[Who], namespaces: Iterable[str]) -> None:
        self.axis = axis
        self.people = tuple(dict.fromkeys(people))
        self.namespaces = tuple(sorted({*namespaces, *resolver.role_bindings}))
        self.unions: list[Allowed] = []
        self._contents: dict[bytes, int] = {}  # hash of a content -> its number
        self._numbers: dict[Roles, int] = {}
        self._roles: list[Allowed] = []
        self._holdings = self._gather(resolver)
        self._of_groups: dict[frozenset[str], _Holding] = {}
        self._shared: dict[tuple[frozenset[str], Roles], _Shared] = {}
        self._hashes: list[bytes] = []
        self._masters = _Shared(_EMPTY, self._intern(Allowed(axis.everything)), {}, 0)  # by no rule
        self._settled = [self._settle(who) for who in self.people]
        self._places = dict(zip(self.people, self._settled, strict=True))

    def allowed(self, who: Who, namespace: str = "") -> Allowed:
        """Give what one of the people may do in a namespace, or ("") outside of all."""
        shared, own = self._places[who]
        return self.unions[own.get(namespace, shared.at(namespace))]

    def multiplicities(self) -> Counter[int]:
        """Say how many (somebody, place) have each union; places are the cluster and each namespace."""
        found: Counter[int] = Counter()
        for shared, times in Counter(shared for shared, _ in self._settled).items():
            found[shared.wide] += times * (1 + len(self.namespaces) - len(shared.near))
            for number in shared.near.values():
                found[number] += times
        for shared, own in self._settled:
            for namespace, number in own.items():
                found[number] += 1
                found[shared.at(namespace)] -= 1
        return found

    def counts(self) -> tuple[list[int], list[int]]:
        """Give for each endpoint in how many (somebody, place) it is allowed as asked, and for some name only.

        Places of namespaced endpoints are the cluster and each namespace; of others the cluster alone.
        """
        plain, some_name = Tally(), Tally()
        inside = self.axis.namespaced
        outside = Counter(shared.wide for shared, _ in self._settled)
        for where, multiplicities in ((inside, self.multiplicities()), (~inside, outside)):
            for number, times in multiplicities.items():
                allowed = self.unions[number]
                plain.add(self.axis.plain(allowed) & where, times)
                if allowed.named:
                    some_name.add(self.axis.some_name(allowed) & where, times)
        return plain.counts(len(self.axis)), some_name.counts(len(self.axis))

    def digest(self) -> str:
        """Give one SHA-256 over who may do what where. Equal matrices have equal digests, however they came about."""
        whole = hashlib.sha256()
        for who, (shared, own) in sorted(self._places.items(), key=lambda it: (it[0].user, sorted(it[0].groups))):
            places = shared.places
            for namespace, number in own.items():
                shared_number = shared.at(namespace)
                places += self._hash(namespace, number) if number != shared.wide else 0
                places -= self._hash(namespace, shared_number) if shared_number != shared.wide else 0
            whole.update(repr((who.user, sorted(who.groups), self._hash("", shared.wide))).encode())
            whole.update((places % _MODULUS).to_bytes(32, "little"))
        return whole.hexdigest()

    # --- how it is made -----------------------------------------------------------------------------------------------

    def _gather(self, resolver: Resolver) -> dict[Principal, _Holding]:
        """Note for each user and each group the roles that bindings give them."""
        numbers: dict[bytes, int] = {}
        of_role: dict[tuple[str, str, str], int | None] = {}
        wide: dict[Principal, set[int]] = defaultdict(set)
        near: dict[Principal, dict[str, set[int]]] = defaultdict(dict)
        for binding in resolver.bindings():
            place = binding.namespace if binding.role_kind == "Role" else ""
            key = binding.role_kind, place, binding.role_name
            if key not in of_role:
                rules = resolver.role_reference_rules(binding)
                if rules is None:
                    of_role[key] = None
                else:
                    allowed = _canonical(self.axis.of_rules(rules))
                    of_role[key] = number = numbers.setdefault(_content_hash(allowed), len(numbers))
                    if number == len(self._roles):
                        self._roles.append(allowed)
            if (role := of_role[key]) is None:
                continue
            for principal in binding.principals:
                if not binding.namespace:
                    wide[principal].add(role)
                else:
                    near[principal].setdefault(binding.namespace, set()).add(role)
        return {
            principal: _Holding(
                frozenset(wide.get(principal, ())),
                {namespace: frozenset(roles) for namespace, roles in near.get(principal, {}).items()},
            )
            for principal in {**wide, **near}
        }

    def _settle(self, who: Who) -> tuple[_Shared, dict[str, int]]:
        """Give what somebody shares, and the union of each namespace where their own bindings make it another."""
        if MASTERS in who.groups:
            return self._masters, {}
        user = self._holdings.get(("User", who.user), _EMPTY)
        shared = self._share(who.groups, user.wide)
        own = {}
        for namespace, roles in user.near.items():
            number = self._number(shared.roles.wide | shared.roles.near.get(namespace, _NONE) | roles)
            if number != shared.at(namespace):
                own[namespace] = number
        return shared, own

    def _share(self, groups: frozenset[str], wide: Roles) -> _Shared:
        key = frozenset(group for group in groups if ("Group", group) in self._holdings), wide
        shared = self._shared.get(key)
        if shared is None:
            of_groups = self._of_all(key[0])
            roles = _Holding(of_groups.wide | wide, of_groups.near)
            number = self._number(roles.wide)
            near = {}
            places = 0
            for namespace, more in roles.near.items():
                other = self._number(roles.wide | more)
                if other != number:
                    near[namespace] = other
                    places += self._hash(namespace, other)
            shared = self._shared[key] = _Shared(roles, number, near, places)
        return shared

    def _of_all(self, groups: frozenset[str]) -> _Holding:
        holding = self._of_groups.get(groups)
        if holding is None:
            parts = [part for group in groups if (part := self._holdings.get(("Group", group)))]
            if len(parts) == 1:
                holding = parts[0]
            else:
                near: dict[str, Roles] = {}
                for part in parts:
                    for namespace, roles in part.near.items():
                        near[namespace] = near[namespace] | roles if namespace in near else roles
                holding = _Holding(_NONE.union(*(part.wide for part in parts)), near)
            self._of_groups[groups] = holding
        return holding

    def _number(self, roles: Roles) -> int:
        """Intern what a set of roles allows together."""
        number = self._numbers.get(roles)
        if number is None:
            number = self._numbers[roles] = self._intern(union(self._roles[role] for role in roles))
        return number

    def _intern(self, allowed: Allowed) -> int:
        allowed = _canonical(allowed)
        content = _content_hash(allowed)
        number = self._contents.setdefault(content, len(self.unions))
        if number == len(self.unions):
            self.unions.append(allowed)
            self._hashes.append(content)
        return number

    def _hash(self, namespace: str, number: int) -> int:
        """Give what a union in a namespace adds to a digest."""
        return int.from_bytes(hashlib.sha256(namespace.encode() + b"\0" + self._hashes[number]).digest(), "little")


def _content_hash(allowed: Allowed) -> bytes:
    found = hashlib.sha256(_bytes(allowed.any_name))
    for name in sorted(allowed.named):
        found.update(b"\0" + name.encode() + b"\0" + _bytes(allowed.named[name]))
    return found.digest()


def _bytes(bits: int) -> bytes:
    size = (bits.bit_length() + 7) // 8
    return size.to_bytes(8, "little") + bits.to_bytes(size, "little")


def _canonical(allowed: Allowed) -> Allowed:
    """Leave out what a name adds nothing to; integers that stay the same stay shared by all unions that hold them."""
    if not allowed.named:
        return allowed
    any_name = allowed.any_name
    named = {}
    for name, bits in allowed.named.items():
        more = bits & ~any_name if bits & any_name else bits
        if more:
            named[name] = more
    return Allowed(any_name, named)
