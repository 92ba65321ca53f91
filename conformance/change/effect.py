"""What a change of roles and bindings does: cells, findings, escalation paths, expectations, what was seen in use."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.change.uses import lost
from conformance.expectations import judging
from conformance.model import Verdict
from conformance.rbac.algebra import Allowed, Axis, Point, bits_of, union
from conformance.rbac.escalation import Graph
from conformance.rbac.escalation_paths import Paths
from conformance.rbac.predicates import ALL
from conformance.rbac.resolver import Resolver
from conformance.risks.finding import Wording
from conformance.risks.hit import BUILT_IN
from conformance.risks.scan import Scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from conformance.auditlog import Log
    from conformance.change.uses import Use
    from conformance.expectations import Expectation
    from conformance.grants import Grants
    from conformance.model import CheckResult, EscalationPath, Finding, Rbac
    from conformance.rbac.predicates import Rule
    from conformance.rbac.resolver import Binding, Principal
    from conformance.risks.rule import Risk

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of one subject in one place ("" is the whole cluster), of one resource or path; `names` limit objects."""

    subject: str
    namespace: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        names = f" named {', '.join(self.names)}" if self.names else ""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.subject}: {', '.join(self.verbs)} {self.resource}{names}{where}"


@dataclass(frozen=True, slots=True)
class Effect:
    """All that a change does. Of expectations those whose verdict changes, as they are afterwards.

    `uses` are requests of an audit log that would be refused; None where no log was given, so that nothing is known.
    """

    allowed: tuple[Cells, ...] = ()
    taken: tuple[Cells, ...] = ()
    findings: tuple[Finding, ...] = ()
    ended: tuple[Finding, ...] = ()
    paths: tuple[EscalationPath, ...] = ()
    closed: tuple[EscalationPath, ...] = ()
    broken: tuple[CheckResult, ...] = ()
    met: tuple[CheckResult, ...] = ()
    uses: tuple[Use, ...] | None = None


def effect(  # all that a change can be held against
    before: Grants,
    after: Rbac,
    risks: Sequence[Risk],
    expectations: Iterable[Expectation] = (),
    *,
    log: Log | None = None,
    paths: bool = True,
) -> Effect:
    """Work out what becomes of everything when the objects are `after`."""
    scan = Scan(risks, before.served)
    allowed, taken = _cells(before, after, scan.rights.axis.points)
    wording = Wording(scan.rights, catalog=before.catalog, places=before.places)
    old = {hit.id: hit for hit in scan.hits(before.rbac) if hit.made != BUILT_IN}
    new = {hit.id: hit for hit in scan.hits(after) if hit.made != BUILT_IN}
    ways_before, ways_after = (_paths(before.rbac), _paths(after)) if paths else ({}, {})
    lines = tuple(expectations)
    then = {line.id: judging.judge(line, ground) for ground in _grounds(lines, before.rbac, before) for line in lines}
    now = {line.id: judging.judge(line, ground) for ground in _grounds(lines, after, before) for line in lines}
    changed = [now[name] for name in now if now[name].verdict is not then[name].verdict]
    return Effect(
        allowed,
        taken,
        tuple(wording.finding(hit) for name, hit in new.items() if name not in old),
        tuple(wording.finding(hit) for name, hit in old.items() if name not in new),
        tuple(path for key, path in ways_after.items() if key not in ways_before),
        tuple(path for key, path in ways_before.items() if key not in ways_after),
        tuple(result for result in changed if result.verdict is not Verdict.PASS),
        tuple(result for result in changed if result.verdict is Verdict.PASS),
        None if log is None else lost(log, before.rbac, after),
    )


def _grounds(lines: Sequence[Expectation], rbac: Rbac, grants: Grants) -> Iterator[judging.Ground]:
    if lines:
        yield judging.without_run(rbac, grants.served)


def _paths(rbac: Rbac) -> dict[tuple[str, str], EscalationPath]:
    return {(path.source, path.target): path for path in Paths(Graph(rbac)).to_admin()}


# --- cells ------------------------------------------------------------------------------------------------------------


class _Side:
    """Who is bound to what, on one side of the change."""

    def __init__(self, rbac: Rbac) -> None:
        self.resolver = Resolver(rbac)
        self.of: dict[tuple[Principal, str], list[Binding]] = defaultdict(list)
        self.names: dict[Principal, str] = {}
        for binding in self.resolver.bindings():
            subjects = [it for it in binding.subjects if it.kind != "ServiceAccount" or it.namespace]
            for subject, principal in zip(
                (it for it in subjects if it.kind in {"User", "Group", "ServiceAccount"}),
                binding.principals,
                strict=True,
            ):
                self.of[principal, binding.namespace].append(binding)
                self.names.setdefault(principal, str(subject))

    def rules(self, principal: Principal, namespace: str) -> list[tuple[Rule, ...]]:
        return [
            rules
            for binding in self.of.get((principal, namespace), ())
            if (rules := self.resolver.role_reference_rules(binding))
        ]


def _cells(before: Grants, after: Rbac, dangerous: Iterable[Point]) -> tuple[tuple[Cells, ...], tuple[Cells, ...]]:
    old, new = _Side(before.rbac), _Side(after)
    places: dict[Principal, set[str]] = defaultdict(set)
    for key in {**old.of, **new.of}:
        if old.rules(*key) != new.rules(*key):
            places[key[0]].add(key[1])
    rules = [
        rule
        for side in (old, new)
        for key in places
        for place in places[key]
        for it in side.rules(key, place)
        for rule in it
    ]
    # What no server lists, or nobody could ask, is dangerous all the same: impersonate, exec in manifests.
    points = {(it.group, it.plural, it.verb, it.path): it for it in (*_points(before, rules), *dangerous)}
    axis = Axis(tuple(points.values()))
    allowed: list[Cells] = []
    taken: list[Cells] = []
    for principal in sorted(places):
        name = new.names.get(principal) or old.names[principal]
        everywhere = sorted({place for who, place in {**old.of, **new.of} if who == principal} | {""})
        wide_old, wide_new = _of(axis, old, principal, ""), _of(axis, new, principal, "")
        for place in everywhere if "" in places[principal] else sorted(places[principal]):
            then, now, reach = wide_old, wide_new, axis.everything
            if place:
                then = union((wide_old, _of(axis, old, principal, place)))
                now = union((wide_new, _of(axis, new, principal, place)))
                reach = axis.namespaced
            nothing = Allowed()
            won, lost = _difference(wide_new, wide_old), _difference(wide_old, wide_new)
            allowed += _words(axis, (name, place), _difference(now, then), won if place else nothing, reach)
            taken += _words(axis, (name, place), _difference(then, now), lost if place else nothing, reach)
    return tuple(allowed), tuple(taken)


def _of(axis: Axis, side: _Side, principal: Principal, place: str) -> Allowed:
    return union(axis.of_rules(rules) for rules in side.rules(principal, place))


def _difference(more: Allowed, less: Allowed) -> Allowed:
    named = {name: bits & ~less.for_name(name) for name, bits in more.named.items()}
    return Allowed(more.any_name & ~less.any_name, {name: bits for name, bits in named.items() if bits})


def _words(axis: Axis, whose: tuple[str, str], held: Allowed, said: Allowed, reach: int) -> Iterator[Cells]:
    """Spell cells out, but for those that were `said` of the whole cluster already."""
    parts: dict[tuple[str, ...], int] = {(): held.any_name & ~said.any_name & reach}
    by_bits: dict[int, list[str]] = defaultdict(list)
    for name, bits in held.named.items():
        by_bits[bits & ~said.for_name(name) & ~held.any_name & reach].append(name)
    parts |= {tuple(sorted(names)): bits for bits, names in by_bits.items()}
    for names, bits in parts.items():
        verbs: dict[str, list[str]] = defaultdict(list)
        for number in bits_of(bits):
            point = axis.points[number]
            plural, slash, sub = point.plural.partition("/")
            verbs[point.path or f"{plural}{'.' if point.group else ''}{point.group}{slash}{sub}"].append(point.verb)
        for resource, asked in verbs.items():
            yield Cells(*whose, resource, tuple(asked), names)


def _points(grants: Grants, rules: Iterable[Rule]) -> dict[Point, None]:
    """Give the endpoints that are served, and whatever the rules name beside."""
    points: dict[Point, None] = {}
    if grants.catalog is not None:
        points = {
            Point(it.group, it.plural, verb, it.namespaced): None
            for it in grants.catalog.resources
            for verb in it.verbs
        }
        points |= {Point("", "", "get", namespaced=False, path=path): None for path in grants.catalog.paths}
    else:
        points = {
            Point(group, plural, verb, inside): None
            for (group, plural), inside in grants.served.resources.items()
            for verb in VERBS
        }
    scopes = {(point.group, point.plural): point.namespaced for point in points}
    for rule in rules:
        verbs = VERBS if ALL in rule.verbs else rule.verbs
        for group in rule.api_groups:
            for plural in rule.resources:
                if ALL not in (group, plural) and not plural.startswith("*/") and not plural.endswith("/*"):
                    inside = scopes.get((group, plural), grants.served.resources.get((group, plural.partition("/")[0])))
                    for verb in verbs:
                        points[Point(group, plural, verb, inside is not False)] = None
        for url in rule.non_resource_urls:
            points |= {Point("", "", verb, namespaced=False, path=url): None for verb in rule.verbs if verb != ALL}
    return points
