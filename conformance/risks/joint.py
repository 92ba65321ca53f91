"""Rights that are dangerous only together, over all bindings of somebody in one place: their own and their groups'."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conformance.rbac.algebra import bits_of
from conformance.rbac.escalation_rights import account, implied_groups
from conformance.rbac.resolver import Subject
from conformance.risks.hit import OF_RUN, Found, union_of, worded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from conformance.rbac.predicates import Rule
    from conformance.rbac.resolver import Binding, Principal
    from conformance.risks.hit import Hit
    from conformance.risks.rights import Held, Rights
    from conformance.risks.rule import Pattern, Risk


@dataclass(frozen=True, slots=True)
class Part:
    """A subject's binding that gives a part of what a rule with `all` looks for; `subject` is the binding's."""

    binding: Binding
    subject: Subject
    held: Held
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with the parts that they hold: their own first, then those of their groups."""

    subject: Subject
    own: list[Part]
    parts: list[Part]
    known: bool  # whether their groups are, beyond those that a server puts everybody in


def persons(joint: Mapping[Principal, list[Part]], known: Mapping[str, Iterable[str]]) -> Iterator[Person]:
    """Give everybody who has a part, or is known to be in groups that have."""
    for principal in dict.fromkeys((*joint, *(("User", user) for user in known))):
        kind, name = principal
        own = joint.get(principal, [])
        groups = implied_groups(principal) | (frozenset(known.get(name, ())) if kind == "User" else frozenset())
        parts = [*own, *(part for group in sorted(groups) for part in joint.get(("Group", group), ()))]
        if parts:
            found = account(principal)
            subject = Subject("ServiceAccount", found[1], found[0]) if found else Subject(kind, name)
            yield Person(own[0].subject if own else subject, own, parts, kind == "User" and name in known)


class Joint:
    """Looks at people for what a rule with `all` wants; `run` names the bindings that runs made."""

    def __init__(self, rights: Rights, run: frozenset[str]) -> None:
        self._rights = rights
        self._run = run

    def hits(self, risk: Risk, person: Person) -> Iterator[Hit]:
        """Give the hits of a rule that needs several rights, which somebody may have by several bindings."""
        held = union_of(part.held.bits for part in person.parts)
        if not all(held & self._rights.mask(pattern) for pattern in risk.match.all):
            return
        wide = [part for part in person.parts if not part.binding.namespace]
        whole = list(self._of_person(risk, person, wide)) if wide and self._complete(risk, wide) else []
        yield from whole
        if whole:
            return  # what is held cluster-wide needs to be said once
        near: dict[str, list[Part]] = defaultdict(list)
        for part in person.parts:
            if part.binding.namespace:
                near[part.binding.namespace].append(part)
        for here in near.values():
            if self._complete(risk, [*here, *wide]):
                yield from self._of_person(risk, person, [*here, *wide])

    def _of_person(self, risk: Risk, person: Person, parts: list[Part]) -> Iterator[Hit]:
        """Give the hit of rights that are all there, but where it is the finding of a group that they are in."""
        own = [part for part in parts if part in person.own]
        if self._complete(risk, own):
            yield self._hit(risk, person, own)
            return
        groups = {part.subject for part in parts} - {part.subject for part in own}
        alone = self._complete(risk, [part for part in parts if part not in person.own])
        single = any(self._complete(risk, [it for it in parts if it.subject == group]) for group in groups)
        # What groups have together only somebody has of whom it is known that they are in them.
        if not single and (person.known or not alone):
            yield self._hit(risk, person, parts)

    def _complete(self, risk: Risk, parts: list[Part]) -> bool:
        return all(any(self._bits(pattern, part) for part in parts) for pattern in risk.match.all)

    def _bits(self, pattern: Pattern, part: Part) -> int:
        reach = self._rights.near if part.binding.namespace else -1
        if not self._rights.reached(pattern, part.binding.namespace):
            return 0
        return part.held.bits & self._rights.mask(pattern) & reach

    def _hit(self, risk: Risk, person: Person, parts: list[Part]) -> Hit:
        giving = [part for part in parts if any(self._bits(pattern, part) for pattern in risk.match.all)]
        first = giving[0]
        bits = union_of(self._bits(pattern, first) for pattern in risk.match.all)
        named = any(
            not any(part.held.every & self._bits(pattern, part) for part in giving) for pattern in risk.match.all
        )
        numbers = tuple(sorted({number for bit in bits_of(bits) for number in first.held.by[bit]}))
        others = {part.binding: part.subject for part in giving if part.binding != first.binding}
        found = Found(risk, numbers, bits, named, first.held.names if named else ())
        # What is there only by what a run made is the run's, whoever else made the rest of it.
        lasting = [part for part in giving if str(part.binding) not in self._run]
        made = "" if self._complete(risk, lasting) else OF_RUN
        ways = [(part.binding, part.subject, part.rules) for part in giving]
        hit = worded(found, first.binding, person.subject, ways, self._run, made=made)
        return replace(hit, others=tuple(others), as_whom=(first.subject, *others.values()))
