"""Risk rules x RBAC objects -> hits: each role is looked at once, each binding joined with what its role gives."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from conformance.rbac.algebra import bits_of
from conformance.rbac.resolver import Resolver
from conformance.rbac.served import Served
from conformance.risks import builtin
from conformance.risks.checks import CHECKS, Look
from conformance.risks.hit import Found, union_of, worded
from conformance.risks.joint import Joint, Part, persons
from conformance.risks.rights import Rights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from conformance.model import Rbac
    from conformance.rbac.predicates import Rule
    from conformance.rbac.resolver import Binding, Principal, Subject
    from conformance.risks.hit import Hit
    from conformance.risks.rights import Held
    from conformance.risks.rule import Pattern, Risk


class Scan:
    """Looks for the risk rules in RBAC objects; can be used for several sets of objects, say before and after."""

    def __init__(self, risks: Sequence[Risk], served: Served | None = None) -> None:
        self.risks = tuple(risks)
        self.served = served or Served.without_server({})
        self.rights = Rights(self.risks, self.served)
        self._joint = [risk for risk in risks if risk.match.all]
        self._single = [risk for risk in risks if not risk.match.all and not risk.match.check]
        self._by_bit: dict[int, list[int]] = defaultdict(list)
        for number, risk in enumerate(self._single):
            for bit in bits_of(union_of(self.rights.mask(pattern) for pattern in risk.match.any)):
                self._by_bit[bit].append(number)
        self._by_wildcard: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._always = []
        for number, risk in enumerate(self._single):
            if risk.match.wildcard and not risk.match.any:
                self._by_wildcard[risk.match.wildcard].append(number)
            elif not risk.match.any:
                self._always.append(number)

    def hits(self, rbac: Rbac, members: Mapping[str, Iterable[str]] | None = None) -> tuple[Hit, ...]:
        """Find everything, the worst first, then in the order of rules, then of ids.

        `members` are users with the groups that somebody found them in: what they have by several of them together
        counts, too.
        """
        resolver = Resolver(rbac)
        run = _made_by_runs(rbac)
        found: list[Hit] = []
        known: dict[tuple[int, str], tuple[Found, ...]] = {}
        joint: dict[Principal, list[Part]] = defaultdict(list)
        wanted = union_of(self.rights.mask(pattern) for risk in self._joint for pattern in risk.match.all)
        narrow = {namespace for risk in self.risks for pattern in risk.match.any for namespace in pattern.namespaces}
        for binding in resolver.bindings():
            rules = resolver.role_reference_rules(binding)
            if not rules:
                continue
            held = self.rights.of(rules)
            place = binding.namespace if binding.namespace in narrow else "*" if binding.namespace else ""
            key = id(rules), place
            of_role = known.get(key)
            if of_role is None:
                of_role = known[key] = tuple(self._of_role(rules, held, place))
            for one in of_role:
                found.extend(_joined(one, binding, rules, run))
            if held.bits & wanted:
                for subject, principal in zip(_people(binding), binding.principals, strict=True):
                    joint[principal].append(Part(binding, subject, held, rules))
        found += self._together(joint, members or {}, run)
        look = Look(rbac, resolver, self.served)
        for risk in self.risks:
            if risk.match.check:
                found += CHECKS[risk.match.check](risk, look)
        unique = {hit.id: hit for hit in reversed(found)}
        order = {risk.id: number for number, risk in enumerate(self.risks)}
        ranked = sorted((_RANK[hit.severity], order[hit.risk.id], name) for name, hit in unique.items())
        return tuple(unique[name] for _, _, name in ranked)

    def _together(
        self, parts: Mapping[Principal, list[Part]], members: Mapping[str, Iterable[str]], run: frozenset[str]
    ) -> Iterator[Hit]:
        looked = Joint(self.rights, run)
        return (hit for person in persons(parts, members) for risk in self._joint for hit in looked.hits(risk, person))

    def _of_role(self, rules: tuple[Rule, ...], held: Held, place: str) -> Iterator[Found]:
        """Give what a role comes to in a place: "" the whole cluster, "*" any namespace, or one namespace."""
        reach = self.rights.near if place else -1
        numbers = {number for bit in bits_of(held.bits & reach) for number in self._by_bit.get(bit, ())}
        numbers |= {number for lists in held.wildcards for number in self._by_wildcard.get(lists, ())}
        for number in sorted({*numbers, *self._always}):
            risk = self._single[number]
            bits, named, names = self._held(risk.match.any, rules, held, place)
            if risk.match.any and not bits:
                continue
            where = {rule for bit in bits_of(bits) for rule in held.by[bit]}
            where |= set(held.wildcards.get(risk.match.wildcard, ()))
            if risk.match.wildcard and risk.match.wildcard not in held.wildcards:
                continue
            if risk.match.wildcard and place and all(rules[n].non_resource_urls for n in where):
                continue  # paths by a RoleBinding
            named = named or bool(where and risk.match.wildcard and all(rules[n].resource_names for n in where))
            yield Found(risk, tuple(sorted(where)), bits, named, names if named else ())

    def _held(
        self, patterns: Iterable[Pattern], rules: tuple[Rule, ...], held: Held, place: str
    ) -> tuple[int, bool, tuple[str, ...]]:
        """Give the rights of the patterns that are held, and whether only for objects of certain names."""
        reach = self.rights.near if place else -1
        every = some = 0
        names: set[str] = set()
        for pattern in patterns:
            if not self.rights.reached(pattern, place):
                continue
            mask = self.rights.mask(pattern) & reach
            every |= held.every & mask
            if not pattern.names:
                some |= held.some & mask
                names.update(held.names if held.some & mask else ())
            elif not held.every & mask and (limited := self.rights.named(rules, pattern) & reach):
                every |= limited  # the very objects that the rule is about
        return every | some, bool(some) and not every, tuple(sorted(names))


_RANK = {severity: number for number, severity in enumerate(("critical", "high", "medium", "low", "info"))}


def _people(binding: Binding) -> list[Subject]:
    """Give the subjects that are somebody, in the order of `principals`."""
    return [
        subject
        for subject in binding.subjects
        if subject.kind in {"User", "Group"} or (subject.kind == "ServiceAccount" and subject.namespace)
    ]


def _joined(found: Found, binding: Binding, rules: tuple[Rule, ...], run: frozenset[str]) -> Iterator[Hit]:
    match = found.risk.match
    role = f"{binding.role_kind} {binding.role_name}"
    if (match.roles and role not in match.roles) or role in match.but_roles:
        return
    for subject in _people(binding):
        if match.subjects and not any(meant.means(subject) for meant in match.subjects):
            continue
        yield worded(found, binding, subject, [(binding, subject, rules)], run)


def _made_by_runs(rbac: Rbac) -> frozenset[str]:
    """Name the bindings that runs made for their own identities."""
    found = {f"ClusterRoleBinding {it['metadata']['name']}" for it in rbac.cluster_role_bindings if builtin.of_run(it)}
    found |= {
        f"RoleBinding {it['metadata'].get('namespace', '')}/{it['metadata']['name']}"
        for it in rbac.role_bindings
        if builtin.of_run(it)
    }
    return frozenset(found)
