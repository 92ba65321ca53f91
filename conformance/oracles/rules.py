"""The `rules` oracle: what the RBAC objects of a snapshot say of a cell, each answer with its witness.

The predicates and the resolver say what is right; here their answers are kept, so that thousands of cells of the same
few identities cost microseconds each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.model import Answer, Decision, Witness
from conformance.rbac.node import ROLE as NODE_ROLE
from conformance.rbac.node import node_allows, node_name
from conformance.rbac.predicates import ALL, Rule, api_group_matches, non_resource_url_matches, verb_matches
from conformance.rbac.resolver import MASTERS, MissingRole, Resolver, Source, Who, unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.model import Attributes, Identity, Rbac

NO_RULE = "no rule allows it"
# Requests for these carry no name that the authorizer sees, whatever the object is called.
NAMELESS_VERBS = frozenset({"deletecollection"})
# `namespaces/NAME` is authorised in namespace NAME, but a list of them, or a create, is not in any.
NAMESPACE_NAMELESS_VERBS = frozenset({"list", "watch", "create", "deletecollection"})
MISSING_SHOWN = 3

MASTER = Decision(
    Answer.ALLOWED, Witness("authorizer", f"group {MASTERS} is allowed everything before any authorizer is asked")
)
NODE = Decision(Answer.ALLOWED, Witness("authorizer", "the Node authorizer allows it to a kubelet"))
NODE_UNKNOWN = Decision(
    Answer.UNKNOWN,
    Witness("authorizer", f"{NO_RULE}, and the Node authorizer allows it only for objects that the node's pods use"),
)


@dataclass(frozen=True, slots=True)
class Grant:
    """One rule that somebody has, in one namespace or (namespace empty) in the whole cluster."""

    rule: Rule
    source: Source
    namespace: str


def witness(source: Source) -> Witness:
    """Say where an allowing rule comes from."""
    path = subject, binding, role, number = source.path
    return Witness("rbac", f"{binding} gives {subject} the {role}, whose {number} allows it", path)


class Rules:
    """The oracle, compiled once for the RBAC objects of a snapshot; remembers what it worked out for each identity."""

    def __init__(self, rbac: Rbac) -> None:
        self._compiled = _Compiled(rbac)
        self._holdings: dict[tuple[str, tuple[str, ...]], _Holdings] = {}

    def decide(self, identity: Identity, attributes: Attributes) -> Decision:
        """Say whether the rules allow a request, with the rule that does or what is missing."""
        return self._of(identity).decide(attributes)

    def names(self, identity: Identity, attributes: Attributes) -> tuple[str, ...]:
        """Give the object names for which rules grant the verb although they don't for an absent name.

        For `namespaces` (and their subresources) also the namespaces in which a RoleBinding grants the verb, because
        a request for one namespace is authorised in it.
        """
        return self._of(identity).names(attributes)

    def grants(self, identity: Identity) -> Iterator[Grant]:
        """Give every rule that an identity has: those for the whole cluster, then those of each namespace by name."""
        holdings = self._of(identity)
        for namespace in ("", *holdings.namespaces):
            for held in holdings.gathered(namespace).held:
                if held.source.binding.namespace == namespace:
                    yield Grant(held.rule, held.source, namespace)

    def _of(self, identity: Identity) -> _Holdings:
        key = identity.user, identity.groups
        holdings = self._holdings.get(key)
        if holdings is None:
            who = Who(identity.user, frozenset(identity.groups))
            holdings = self._holdings[key] = _Holdings(who, self._compiled)
        return holdings


class _Compiled:
    """What all identities share."""

    def __init__(self, rbac: Rbac) -> None:
        self.resolver = Resolver(rbac)
        self.incomplete = rbac.incomplete
        self.unread = unread(rbac)
        node_role = next((role for role in rbac.cluster_roles if role["metadata"]["name"] == NODE_ROLE), {})
        self.node_rules = tuple(Rule.of(rule) for rule in node_role.get("rules") or ())

    def doubtful(self, namespace: str, missing: Iterable[MissingRole]) -> bool:
        """Say whether what could not be read could hold a rule that would allow."""
        if "clusterrolebindings" in self.unread or (namespace and "rolebindings" in self.unread):
            return True
        return any(f"{gap.binding.role_kind.lower()}s" in self.unread for gap in missing)


class _Held:
    """One rule that somebody has, with the decision that it leads to, made when first needed."""

    __slots__ = ("_decision", "names", "rule", "source")

    def __init__(self, source: Source, rule: Rule) -> None:
        self.source, self.rule = source, rule
        self.names = frozenset(rule.resource_names)
        self._decision: Decision | None = None

    @property
    def decision(self) -> Decision:
        """Allowed, by this rule."""
        if self._decision is None:
            self._decision = Decision(Answer.ALLOWED, witness(self.source))
        return self._decision


@dataclass(frozen=True, slots=True)
class _Gathered:
    """All that somebody has in one namespace, in the order in which the authorizer visits it."""

    held: tuple[_Held, ...]
    missing: tuple[MissingRole, ...]


class _Holdings:
    """One identity's rules, gathered once a namespace and indexed by what is asked."""

    def __init__(self, who: Who, compiled: _Compiled) -> None:
        self._who = who
        self._compiled = compiled
        self._node = node_name(who)
        # Namespaces where no binding applies share the answers of the cluster-wide bindings.
        self.namespaces = tuple(
            sorted(
                namespace
                for namespace, bindings in compiled.resolver.role_bindings.items()
                if any(binding.applies_to(who) for binding in bindings)
            )
        )
        self._bound = frozenset(self.namespaces)
        self._gathered: dict[str, _Gathered] = {}
        self._indexes: dict[tuple[str, str, str], dict[str, list[int]]] = {}
        self._hits: dict[tuple[str, str, str, str, str, str], tuple[_Held, ...]] = {}
        self._denials: dict[tuple[str, bool], Decision] = {}

    def decide(self, attributes: Attributes) -> Decision:
        if MASTERS in self._who.groups:
            return MASTER
        by_node = False if self._node is None else node_allows(self._node, attributes, self._compiled.node_rules)
        if by_node:
            return NODE
        name = attributes.name
        for held in self._hits_of(attributes, attributes.namespace):
            # Names limit objects only: a rule that has paths as well gives every one of them.
            if not held.names or name in held.names or attributes.path:
                return held.decision
        return NODE_UNKNOWN if by_node is None else self._denial(attributes.namespace)

    def names(self, attributes: Attributes) -> tuple[str, ...]:
        if MASTERS in self._who.groups or attributes.path or attributes.verb in NAMELESS_VERBS:
            return ()
        of_namespaces = (attributes.group, attributes.resource) == ("", "namespaces")
        namespace = "" if of_namespaces else attributes.namespace
        found: set[str] = set()
        for held in self._hits_of(attributes, namespace):
            if not held.names:
                return ()
            found |= held.names
        if of_namespaces and attributes.verb not in NAMESPACE_NAMELESS_VERBS:
            found |= {
                namespace
                for namespace in self.namespaces
                for held in self._hits_of(attributes, namespace)
                if not held.names or namespace in held.names
            }
        return tuple(sorted(found - {""}))

    def gathered(self, namespace: str) -> _Gathered:
        """Give what applies in a namespace that is "" or one of `namespaces`."""
        gathered = self._gathered.get(namespace)
        if gathered is None:
            held: list[_Held] = []
            missing: list[MissingRole] = []
            for visit in self._compiled.resolver.visit_rules_for(self._who, namespace):
                if isinstance(visit, MissingRole):
                    missing.append(visit)
                else:
                    held.append(_Held(*visit))
            gathered = self._gathered[namespace] = _Gathered(tuple(held), tuple(missing))
        return gathered

    def _hits_of(self, attributes: Attributes, asked: str) -> tuple[_Held, ...]:
        """Give the rules that match in all but the object's name, when it is asked in a namespace."""
        namespace = asked if asked in self._bound else ""
        verb, group, resource = attributes.verb, attributes.group, attributes.resource
        key = namespace, verb, group, resource, attributes.subresource, attributes.path
        hits = self._hits.get(key)
        if hits is None:
            held = self.gathered(namespace).held
            if attributes.path:
                hits = tuple(
                    it
                    for it in held
                    if verb_matches(it.rule, verb) and non_resource_url_matches(it.rule, attributes.path)
                )
            else:
                index = self._index(namespace, verb, group)
                words = {ALL, resource}
                if subresource := attributes.subresource:
                    words = {ALL, f"{resource}/{subresource}", f"*/{subresource}"}
                numbers = sorted({number for word in words for number in index.get(word, ())})
                hits = tuple(held[number] for number in numbers)
            self._hits[key] = hits
        return hits

    def _index(self, namespace: str, verb: str, group: str) -> dict[str, list[int]]:
        """Give, of the rules for a verb and group, their places in `held` by each resource that they name."""
        key = namespace, verb, group
        index = self._indexes.get(key)
        if index is None:
            index = self._indexes[key] = {}
            for number, held in enumerate(self.gathered(namespace).held):
                if verb_matches(held.rule, verb) and api_group_matches(held.rule, group):
                    for resource in held.rule.resources:
                        index.setdefault(resource, []).append(number)
        return index

    def _denial(self, namespace: str) -> Decision:
        bound = namespace if namespace in self._bound else ""
        key = bound, bool(namespace)
        denial = self._denials.get(key)
        if denial is None:
            missing = self.gathered(bound).missing
            if self._compiled.doubtful(namespace, missing):
                unread_kinds = ", ".join(self._compiled.incomplete)
                denial = Decision(
                    Answer.UNKNOWN, Witness("rbac", f"{NO_RULE} that could be read, without {unread_kinds}")
                )
            else:
                text = "; ".join((NO_RULE, *map(str, missing[:MISSING_SHOWN])))
                if more := len(missing[MISSING_SHOWN:]):
                    text += f"; {more} more such bindings"
                denial = Decision(Answer.DENIED, Witness("rbac", text))
            self._denials[key] = denial
        return denial
