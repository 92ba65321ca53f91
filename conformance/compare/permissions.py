"""Permissions: what a subject may do now and might not before, and the reverse, with the rule that did it.

Both policies are asked about the same endpoints, those that either server serves, so that a new API under an old `*`
is no change of policy. A cell here is subject x place x endpoint; those of one resource are one difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from conformance.compare import differs
from conformance.compare.danger import dangerous
from conformance.model import Answer, Attributes, Identity, Verdict
from conformance.oracles.rules import Rules
from conformance.rbac.algebra import Axis, bits_of, points_of, union
from conformance.rbac.predicates import Rule
from conformance.rbac.resolver import SERVICE_ACCOUNT_PREFIX, Resolver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Difference, Rbac
    from conformance.moments import Moment
    from conformance.rbac.algebra import Allowed, Point
    from conformance.rbac.resolver import Principal

KIND = "permission"
_DEFAULTS = "kubernetes.io/bootstrapping"
_SHOWN = 6
_Holding = dict[str, frozenset[Rule]]  # place ("" for the cluster) -> rules


def differences(before: Moment, after: Moment) -> Iterator[Difference]:
    """Compare two policies."""
    old, new = before.snapshot.rbac, after.snapshot.rbac
    if old == new:
        yield from _cells(before, after, frozenset())
        return
    catalogs = before.snapshot.catalog, after.snapshot.catalog
    points = dict.fromkeys(point for catalog in catalogs for point in points_of(catalog))
    axis = Axis(tuple(points))
    comparison = _Comparison(before, after, axis)
    yield from comparison.subjects()
    yield from _roles(old, new, axis, after)
    yield from _cells(before, after, frozenset(comparison.told))


class _Comparison:
    """Two policies over one axis of endpoints."""

    def __init__(self, before: Moment, after: Moment, axis: Axis) -> None:
        self._axis = axis
        self._resolvers = Resolver(before.snapshot.rbac), Resolver(after.snapshot.rbac)
        self._rules = Rules(before.snapshot.rbac), Rules(after.snapshot.rbac)
        accounts = before.evidence.get("accounts")
        self._deployed = None if accounts is None else frozenset(accounts)
        self.told: set[tuple[str, str, str]] = set()

    def subjects(self) -> Iterator[Difference]:
        """Compare what each subject of a binding has."""
        old, new = (_holdings(resolver) for resolver in self._resolvers)
        for principal in sorted(old.keys() | new.keys()):
            was, now = old.get(principal, {}), new.get(principal, {})
            if was == now:
                continue
            for place in sorted(was.keys() | now.keys()):
                mine = self._allowed(was, place)
                theirs = self._allowed(now, place)
                wide = self._allowed(was, ""), self._allowed(now, "")
                for name in sorted({"", *mine.named, *theirs.named}):
                    yield from self._place(principal, place, name, (mine, theirs), wide)

    def _place(
        self,
        principal: Principal,
        place: str,
        name: str,
        here: tuple[Allowed, Allowed],
        wide: tuple[Allowed, Allowed],
    ) -> Iterator[Difference]:
        was, now = (each.for_name(name) for each in here)
        for changed, gained in ((now & ~was, True), (was & ~now, False)):
            bits = changed
            if place:  # what changed in the whole cluster is told there
                everywhere = wide[1].for_name(name) & ~wide[0].for_name(name)
                nowhere = wide[0].for_name(name) & ~wide[1].for_name(name)
                bits = bits & ~(everywhere if gained else nowhere) & self._axis.namespaced
            if name:  # and what does not depend on the name, without it
                plain = here[1].any_name & ~here[0].any_name if gained else here[0].any_name & ~here[1].any_name
                bits = bits & ~plain
            points = [self._axis.points[number] for number in bits_of(bits)]
            for _, each in groupby(sorted(points, key=_resource), key=_resource):
                yield self._difference(principal, place, name, tuple(each), gained=gained)

    def _allowed(self, holding: _Holding, place: str) -> Allowed:
        rules = holding.get("", frozenset()) | (holding.get(place, frozenset()) if place else frozenset())
        return union(self._axis.of_rule(rule) for rule in rules)

    def _difference(
        self, principal: Principal, place: str, name: str, points: tuple[Point, ...], *, gained: bool
    ) -> Difference:
        point, verbs = points[0], "+".join(sorted({each.verb for each in points}))
        what = point.path or (f"{point.plural}.{point.group}" if point.group else point.plural)
        where = f"in {place}" if place else "in the whole cluster"
        who, subject = _identity(principal), _subject(principal)
        attributes = Attributes(
            point.verb, point.group, "", point.plural.partition("/")[0], point.subresource, place, name, point.path
        )
        because = self._rules[gained].decide(who, attributes).witness
        account = subject.partition(" ")[2] if principal[1].startswith(SERVICE_ACCOUNT_PREFIX) else ""
        needed = bool(account) and (self._deployed is None or account in self._deployed)
        worst = max((dangerous(each) for each in points), default="")
        severity = ("high" if needed else "medium") if not gained else (worst or "low")
        self.told.update((who.user or principal[1], f"{each.group}/{each.plural}", each.verb) for each in points)
        path = " → ".join(because.path)
        named = f" named {name}" if name else ""
        return differs(
            "permission-gained" if gained else "permission-lost",
            f"{subject}@{place or '*'}:{what}{f'/{name}' if name else ''}:{verbs}",
            KIND,
            severity,
            f"{subject} {'may' if gained else 'may not'} {verbs.replace('+', ', ')} {what}{named} {where}"
            f"{' now' if gained else ' any more'}",
            before="denied" if gained else path,
            after=path if gained else "denied",
            affected=[subject, *([f"pods of {account}"] if needed and self._deployed is not None else [])],
            identity=subject,
            advice=_ADVICE[gained],
        )


_ADVICE = {
    True: "narrow the rule, or accept it with a waiver that says why",
    False: "bind a role of your own that grants it, before the upgrade takes it away",
}


def _holdings(resolver: Resolver) -> dict[Principal, _Holding]:
    found: dict[Principal, dict[str, set[Rule]]] = {}
    for binding in resolver.bindings():
        rules = resolver.role_reference_rules(binding) or ()
        for principal in binding.principals:
            found.setdefault(principal, {}).setdefault(binding.namespace, set()).update(rules)
    return {who: {place: frozenset(rules) for place, rules in held.items()} for who, held in found.items()}


def _resource(point: Point) -> tuple[str, str, str]:
    return point.group, point.plural, point.path


def _identity(principal: Principal) -> Identity:
    kind, name = principal
    return Identity(name, kind, name) if kind == "User" else Identity(name, kind, "", (name,))


def _subject(principal: Principal) -> str:
    kind, name = principal
    if name.startswith(SERVICE_ACCOUNT_PREFIX):
        return f"ServiceAccount {name.removeprefix(SERVICE_ACCOUNT_PREFIX).replace(':', '/', 1)}"
    return f"{kind} {name}"


# --- roles ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Role:
    rules: frozenset[Rule]
    allowed: Allowed
    feeds: bool  # it is filled by aggregation
    default: bool


def _roles(old: Rbac, new: Rbac, axis: Axis, after: Moment) -> Iterator[Difference]:
    """Compare the default ClusterRoles, and those that others are aggregated into."""
    mine, theirs = _described(old, axis), _described(new, axis)
    bound = _bound(after.snapshot.rbac)
    for name in sorted(mine.keys() | theirs.keys()):
        was, now = mine.get(name), theirs.get(name)
        if was is None or now is None:
            role = was or now
            assert role is not None  # noqa: S101  # one of both has the name
            if role.default:
                word = "role-gone" if now is None else "role-new"
                severity = "medium" if now is None else "low"
                title = f"the default ClusterRole {name} is {'gone' if now is None else 'new'}"
                yield differs(word, name, KIND, severity, title, affected=bound.get(name, ())[:_SHOWN])
            continue
        if was.rules == now.rules or not (was.default or now.default or now.feeds):
            continue
        more, less = now.allowed.any_name & ~was.allowed.any_name, was.allowed.any_name & ~now.allowed.any_name
        for bits, word in ((more, "widened"), (less, "narrowed")):
            if bits or (word == "widened" and not less and now.rules - was.rules):
                yield _role(name, word, [axis.points[n] for n in bits_of(bits)], now, bound.get(name, []))


def _role(name: str, word: str, points: list[Point], role: _Role, bound: list[str]) -> Difference:
    cells = sorted({f"{each.verb} {each.path or '.'.join(filter(None, (each.plural, each.group)))}" for each in points})
    worst = max((dangerous(each) for each in points), default="") if word == "widened" else ""
    how = " by aggregation" if role.feeds else ""
    shown = ", ".join(cells[:_SHOWN]) + (f" and {len(cells) - _SHOWN} more" if len(cells) > _SHOWN else "")
    return differs(
        f"role-{word}",
        name,
        KIND,
        "medium" if word == "narrowed" or worst else "low",
        f"the {'default ' if role.default else ''}ClusterRole {name} was {word}{how}: {shown or 'rules of other APIs'}",
        affected=bound[:_SHOWN],
        advice="look at who is bound to it",
    )


def _described(rbac: Rbac, axis: Axis) -> dict[str, _Role]:
    found = {}
    for role in rbac.cluster_roles:
        rules = frozenset(Rule.of(rule) for rule in role.get("rules") or ())
        default = (role["metadata"].get("labels") or {}).get(_DEFAULTS) == "rbac-defaults"
        feeds = bool(role.get("aggregationRule"))
        found[role["metadata"]["name"]] = _Role(rules, axis.of_rules(rules), feeds, default)
    return found


def _bound(rbac: Rbac) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for binding in Resolver(rbac).bindings():
        if binding.role_kind == "ClusterRole":
            found.setdefault(binding.role_name, []).extend(map(str, binding.subjects))
    return found


# --- cells of runs ----------------------------------------------------------------------------------------------------


def _cells(before: Moment, after: Moment, told: frozenset[tuple[str, str, str]]) -> Iterator[Difference]:
    """Compare the cells that two runs share; those that rules explain were told with their subject."""
    old, new = before.matrix, after.matrix
    if old is None or new is None:
        return
    known = {(cell.endpoint, cell.identity): cell for cell in old.cells}
    endpoints = {each.id: each for each in new.endpoints}
    users = {each.name: each.user for each in new.identities}
    needed = _expected(after)
    for cell in new.cells:
        was = known.get((cell.endpoint, cell.identity))
        if was is None or Verdict.NOT_APPLICABLE in {was.verdict, cell.verdict}:
            continue  # there was nothing to decide: somebody without a name has no virtual verbs
        states = was.effective, cell.effective
        subject = cell.subject
        if Answer.UNKNOWN in states:
            yield differs(
                "unknown",
                subject,
                KIND,
                "high" if states[0] is not states[1] else "medium",
                f"whether {cell.identity} may {cell.endpoint} is not known, so it can't be compared",
                before=states[0],
                after=states[1],
                endpoint=cell.endpoint,
                identity=cell.identity,
            )
            continue
        if states[0] is states[1] and was.names == cell.names:
            continue
        gained = states[1] is Answer.ALLOWED or len(cell.names) > len(was.names)
        endpoint = endpoints[cell.endpoint]
        if (users.get(cell.identity), f"{endpoint.group}/{endpoint.plural}", endpoint.verb) in told:
            continue
        reason = (cell if gained else was).witness
        yield differs(
            "cell-gained" if gained else "cell-lost",
            subject,
            KIND,
            ("high" if _found(after, cell.identity, cell.endpoint) else "low")
            if gained
            else ("high" if cell.identity in needed else "medium"),
            f"{cell.identity} {'may' if gained else 'may not'} {cell.endpoint} {'now' if gained else 'any more'}",
            before=was.effective,
            after=cell.effective,
            endpoint=cell.endpoint,
            identity=cell.identity,
            affected=[f"{cell.identity}: {reason.text}"] if reason else [],
            advice=_ADVICE[gained],
        )


def _expected(after: Moment) -> frozenset[str]:
    """Name the identities of expectations that do not hold after."""
    from conformance.expectations import CHECK  # noqa: PLC0415

    checks = after.matrix.checks if after.matrix else ()
    return frozenset(each.identity for each in checks if each.id == CHECK and each.verdict == "fail")


def _found(after: Moment, identity: str, endpoint: str) -> bool:
    findings = after.matrix.findings if after.matrix else ()
    return any(
        each.identity == identity and each.severity in {"high", "critical"} and endpoint in each.evidence
        for each in findings
    )
