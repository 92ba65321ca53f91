"""Expectations held against what is allowed: cells where the run asked, rules everywhere else.

What is unknown satisfies nobody, and neither does a line that speaks of nobody or of nothing that is there: a mistake
in spelling must not look like a policy that holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from conformance import virtual
from conformance.expectations import CHECK, Expectation
from conformance.model import Answer, Attributes, Catalog, CheckResult, Decision, Identity, Rbac, Verdict
from conformance.oracles.rules import Rules
from conformance.rbac.escalation import subject
from conformance.rbac.escalation_rights import account, implied_groups, principals
from conformance.rbac.predicates import Rule
from conformance.rbac.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from conformance.model import Cell, Endpoint, Snapshot
    from conformance.rbac.resolver import Principal
    from conformance.rbac.served import Served

SHOWN = 5
ABSENT = "{absent}"
_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
_WIDE = frozenset({"list", "watch", "create", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that can be asked for: a resource and verb, or a path and verb."""

    group: str
    plural: str
    verb: str
    namespaced: bool
    path: str = ""


class Cells(Protocol):
    """What a run found out by asking."""

    def answer(self, identity: Identity, attributes: Attributes) -> tuple[Answer, tuple[str, ...], str] | None:
        """Give the effective answer, the names for which it is allowed, and a note; None where it was not asked."""


class AskedCells:
    """The cells of a run, found by what an authorizer is asked. `scopes` maps a scope to its namespaces."""

    def __init__(
        self, endpoints: Iterable[Endpoint], cells: Iterable[Cell], scopes: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._ids: dict[tuple[str, str, str, str, str], list[str]] = {}
        for it in endpoints:
            key = it.group, it.plural, it.verb, it.path, "" if it.scope in {"all", "cluster"} else it.scope
            self._ids.setdefault(key, []).append(it.id)
        self._cells = {(cell.endpoint, cell.identity): cell for cell in cells}
        self._scope_of = {namespace: scope for scope, them in scopes.items() for namespace in them}

    def answer(self, identity: Identity, attributes: Attributes) -> tuple[Answer, tuple[str, ...], str] | None:
        """Give what the cells say; of several versions of an API the one that allows."""
        it = attributes
        if it.name not in {"", ABSENT}:
            return None
        scope = self._scope_of.get(it.namespace, "?") if it.namespace else ""
        plural = f"{it.resource}/{it.subresource}" if it.subresource else it.resource
        ids = self._ids.get((it.group, plural, it.verb, it.path, scope), ())
        found = [cell for endpoint in ids if (cell := self._cells.get((endpoint, identity.name))) is not None]
        if not found:
            return None
        for answer in (Answer.ALLOWED, Answer.UNKNOWN):
            for cell in found:
                if cell.effective is answer:
                    return answer, cell.names, cell.witness.text if cell.witness else cell.note
        return Answer.DENIED, tuple(name for cell in found for name in cell.names), found[0].note


class Ground:
    """What lines are held against: RBAC, what is served, who asked, and what their cells say."""

    def __init__(
        self,
        rbac: Rbac,
        things: Iterable[Thing],
        *,
        identities: Iterable[Identity] = (),
        namespaces: Iterable[str] = (),
        cells: Cells | None = None,
        subresources_known: bool = True,
    ) -> None:
        self._subresources_known = subresources_known  # without a server only rules name them
        self.rules = Rules(rbac)
        self.identities = tuple(it for it in identities if it.expect == "authenticated")
        resolver = Resolver(rbac)
        self.namespaces = tuple(dict.fromkeys((*namespaces, *sorted(resolver.role_bindings))))
        self.cells = cells
        self._principals = tuple(dict.fromkeys(it for binding in resolver.bindings() for _, it in principals(binding)))
        self.things = tuple(dict.fromkeys(things))
        served = {(it.group, it.plural) for it in self.things if not it.path}
        named = (it for it in _named_by_rules(rbac, self.things) if it.path or (it.group, it.plural) not in served)
        self.things += tuple(dict.fromkeys(named))
        self._known = {name: it for it in self.identities for name in (it.user,)}

    def somebody(self, pattern: str) -> list[tuple[str, Identity]]:
        """Give everybody whom a text of `allow` or `deny` means, named as the line names them."""
        kind, space, name = pattern.partition(" ")
        if not space:
            return [(it.name, it) for it in self.identities if fnmatchcase(it.name, pattern)]
        found = [it for it in self._principals if fnmatchcase(subject(it), pattern)]
        if not found and not any(letter in name for letter in "*?["):
            user = f"system:serviceaccount:{name.replace('/', ':', 1)}" if kind == "ServiceAccount" else name
            found = [("Group" if kind == "Group" else "User", user)]
        return [(subject(it), self.identity(it)) for it in found]

    def identity(self, principal: Principal) -> Identity:
        """Make somebody whom a binding names: a group as a random member of it."""
        kind, name = principal
        groups = tuple(sorted(implied_groups(principal)))
        if kind == "Group":
            return Identity(subject(principal), "subject", f"member of {name}", (name, *groups))
        if (known := self._known.get(name)) is not None:
            return known
        return Identity(subject(principal), "subject", name, groups, groups_known=account(principal) is not None)

    def answer(self, identity: Identity, attributes: Attributes) -> tuple[Answer, tuple[str, ...], str]:
        """Say what is allowed, for which names, and why: by the cell where there is one."""
        found = self.cells.answer(identity, attributes) if self.cells is not None else None
        if found is not None:
            return found
        decision: Decision = self.rules.decide(identity, attributes)
        names = () if attributes.name not in {"", ABSENT} else self.rules.names(identity, attributes)
        return decision.answer, names, decision.witness.text

    def places(self, expectation: Expectation, identity: Identity) -> list[str]:
        """Give the namespaces in which a line is held, "" for across all of them."""
        if not expectation.namespaces:
            bound = dict.fromkeys(it.namespace for it in self.rules.grants(identity) if it.namespace)
            # Where somebody is bound nowhere they have what they have everywhere.
            return [""] if expectation.allow else ["", *bound]
        found: dict[str, None] = {}
        for pattern in expectation.namespaces:
            asked = {"own": "{own}", "other": "{other}"}.get(pattern, pattern)
            if any(letter in asked for letter in "*?["):
                found |= dict.fromkeys(it for it in self.namespaces if fnmatchcase(it, asked))
            else:
                found[asked] = None
        return list(found)

    def wanted(self, expectation: Expectation) -> tuple[list[Thing], list[str]]:
        """Give what a line speaks of, and what of it there is not."""
        found: dict[Thing, None] = {}
        missing: list[str] = []
        for pattern in expectation.resources:
            there = [it for it in self.things if not it.path and self._is(it, pattern)]
            parent, slash, _ = pattern.partition("/")
            if not there and slash and not self._subresources_known:
                of_parent = [it for it in self.things if not it.path and self._is(it, parent)]
                plural = pattern.replace(f"{parent}/", f"{parent.partition('.')[0]}/")
                there = [Thing(it.group, plural, it.verb, it.namespaced) for it in of_parent]
            of_verbs = [it for it in there if "*" in expectation.verbs or it.verb in expectation.verbs]
            if not there:
                missing.append(pattern)
            found |= dict.fromkeys(of_verbs)
            if "*" not in pattern and there:
                # A verb that discovery does not list (bind, approve) is asked for all the same.
                one = there[0]
                more = (verb for verb in expectation.verbs if verb != "*" and verb not in {it.verb for it in of_verbs})
                found |= dict.fromkeys(Thing(one.group, one.plural, verb, one.namespaced) for verb in more)
        for pattern in expectation.paths:
            paths = {it.path for it in self.things if it.path and fnmatchcase(it.path, pattern)}
            paths.add(pattern.replace("*", "x"))  # a list of paths is never whole
            verbs = ("get",) if "*" in expectation.verbs else expectation.verbs
            asked = ((path, verb) for path in sorted(paths) for verb in verbs)
            found |= {Thing("", "", verb, namespaced=False, path=path): None for path, verb in asked}
        return list(found), missing

    def _is(self, thing: Thing, pattern: str) -> bool:
        if pattern == "*":
            return True
        name, _, subresource = pattern.partition("/")
        plural, dot, group = name.partition(".")
        resource, _, sub = thing.plural.partition("/")
        if not fnmatchcase(resource, plural) or not fnmatchcase(sub, subresource):
            return False
        if dot:
            return fnmatchcase(thing.group, group)
        return "*" in plural or thing.group == self._first_group(plural)

    def _first_group(self, plural: str) -> str:
        groups = [it.group for it in self.things if it.plural.partition("/")[0] == plural]
        return "" if "" in groups or not groups else groups[0]


def of_run(snapshot: Snapshot, identities: Iterable[Identity], cells: Cells) -> Ground:
    """Hold lines against a run: its cells, else its rules."""
    catalog = snapshot.catalog
    things = [Thing(it.group, it.plural, verb, it.namespaced) for it in catalog.resources for verb in it.verbs]
    things += [Thing("", "", "get", namespaced=False, path=path) for path in catalog.paths]
    things += [Thing(it.group, it.plural, it.verb, it.namespaced) for it in virtual.rows(catalog, snapshot.rbac)]
    return Ground(snapshot.rbac, things, identities=identities, namespaces=snapshot.namespaces, cells=cells)


def without_run(rbac: Rbac, served: Served) -> Ground:
    """Hold lines against rules alone: of manifests, or of a cluster."""
    things = [Thing(group, plural, verb, near) for (group, plural), near in served.resources.items() for verb in _VERBS]
    rights = virtual.rows(Catalog((), ()), Rbac())  # the table's alone: rules are read apart
    things += [Thing(it.group, it.plural, it.verb, it.namespaced) for it in rights]
    return Ground(rbac, things, subresources_known=False)


def judge(expectation: Expectation, ground: Ground) -> CheckResult:
    """Hold one line."""
    contrary: list[str] = []
    unclear: list[str] = []
    people = {name: it for pattern in expectation.who for name, it in ground.somebody(pattern)}
    nobody = [pattern for pattern in expectation.who if not ground.somebody(pattern)]
    things, missing = ground.wanted(expectation)
    problems = [f"nobody is {pattern!r}" for pattern in nobody]
    problems += [f"nothing that is served or that rules name is {pattern!r}" for pattern in missing]
    asked = 0
    for name, identity in people.items():
        places = ground.places(expectation, identity)
        for thing, place in _combined(things, places):
            for attributes in _attributes(expectation, ground, identity, thing, place):
                asked += 1
                answer, names, why = ground.answer(identity, attributes)
                if answer is Answer.UNKNOWN:
                    unclear.append(f"{_said(name, attributes)}: {why}")
                elif (answer is Answer.ALLOWED) is not expectation.allow:
                    contrary.append(
                        f"{_said(name, attributes)}: {why}" if answer is Answer.ALLOWED else _said(name, attributes)
                    )
                elif names and not expectation.allow and not expectation.names:
                    contrary.append(f"{_said(name, attributes)}, though only of the name {', '.join(names[:3])}: {why}")
    if not asked and not problems:
        problems.append("it speaks of nothing: no namespace or verb that is there")
    verb = "is not allowed" if expectation.allow else "is allowed"
    if contrary:
        verdict, note = Verdict.FAIL, f"{verb}: {_listed(contrary)}"
    elif problems or unclear:
        verdict, note = (
            Verdict.NOT_EVALUATED,
            "; ".join((*problems, *(["unknown: " + _listed(unclear)] if unclear else []))),
        )
    else:
        verdict, note = Verdict.PASS, _doubt(people.values(), expectation)
    note = f"{expectation.title} ({expectation.reason})" + (f": {note}" if note else "")
    identities = list(people)
    who = identities[0] if len(identities) == 1 else ", ".join(expectation.who)
    return CheckResult(CHECK, "MUST", expectation.id, who, (), verdict, note)


def _doubt(people: Iterable[Identity], expectation: Expectation) -> str:
    unknown = [it.user for it in people if not it.groups_known]
    if expectation.allow or not unknown:
        return ""
    return f"own bindings only: the groups of {', '.join(unknown[:SHOWN])} are not known"


def _combined(things: Iterable[Thing], places: list[str]) -> Iterator[tuple[Thing, str]]:
    for thing in things:
        if thing.namespaced:
            yield from ((thing, place) for place in places)
        elif (thing.group, thing.plural.partition("/")[0]) == ("", "namespaces"):
            yield from ((thing, place) for place in dict.fromkeys(("", *places)))
        else:
            yield thing, ""


def _attributes(
    expectation: Expectation, ground: Ground, identity: Identity, thing: Thing, place: str
) -> Iterator[Attributes]:
    if thing.path:
        yield Attributes(thing.verb, path=thing.path)
        return
    resource, _, subresource = thing.plural.partition("/")
    nameless = thing.verb in _WIDE and not subresource
    base = Attributes(thing.verb, thing.group, "", resource, subresource, place, "" if nameless else ABSENT)
    if not expectation.names:
        yield base
        return
    for pattern in expectation.names:
        chosen = [pattern]
        if "*" in pattern:
            chosen = [it for it in ground.rules.names(identity, base) if fnmatchcase(it, pattern)] + [ABSENT]
        for name in chosen:
            yield Attributes(thing.verb, thing.group, "", resource, subresource, place, name)


def _said(name: str, it: Attributes) -> str:
    what = (
        it.path or f"{it.resource}{f'.{it.group}' if it.group else ''}{f'/{it.subresource}' if it.subresource else ''}"
    )
    named = f" {it.name}" if it.name not in {"", ABSENT} else ""
    return f"{name} {it.verb} {what}{named}{f' in {it.namespace}' if it.namespace else ''}"


def _listed(found: list[str]) -> str:
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more


def _named_by_rules(rbac: Rbac, served: Iterable[Thing]) -> Iterator[Thing]:
    """Give what rules name that may be in no discovery: signers, subresources, resources of servers to come.

    Where nobody knows whether objects live in namespaces, they are asked for in them, too.
    """
    near = {(it.group, it.plural.partition("/")[0]): it.namespaced for it in served}
    for role in (*rbac.cluster_roles, *rbac.roles):
        for rule in map(Rule.of, role.get("rules") or ()):
            verbs = _VERBS if "*" in rule.verbs else rule.verbs
            paths = (path.replace("*", "x") for path in rule.non_resource_urls)
            yield from (Thing("", "", "get", namespaced=False, path=path) for path in paths if path.startswith("/"))
            for group in rule.api_groups:
                for plural in rule.resources:
                    if group != "*" and "*" not in plural:
                        namespaced = near.get((group, plural.partition("/")[0]), True)
                        yield from (Thing(group, plural, verb, namespaced) for verb in verbs)
