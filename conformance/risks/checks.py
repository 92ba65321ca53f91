"""What rules as data can't say: bindings and roles that lead nowhere, say a thing twice, or change what is built in."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.rbac.predicates import Rule
from conformance.rbac.resolver import selects, unread
from conformance.risks import builtin
from conformance.risks.hit import Hit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.model import Json, Rbac
    from conformance.rbac.resolver import Binding, Principal, Resolver, Subject
    from conformance.rbac.served import Served
    from conformance.risks.rule import Risk

_FEEDS = "rbac.authorization.k8s.io/aggregate-to-"
_NEVER_NAMED = frozenset({"create", "deletecollection"})
_WORD = re.compile(r"[a-z0-9.*:/_-]*")


@dataclass(frozen=True, slots=True)
class Look:
    """What the checks look at."""

    rbac: Rbac
    resolver: Resolver
    served: Served

    def roles(self) -> Iterator[tuple[str, Json]]:
        """Give every role with its full name."""
        for role in self.rbac.cluster_roles:
            yield f"ClusterRole {role['metadata']['name']}", role
        for role in self.rbac.roles:
            yield f"Role {role['metadata'].get('namespace', '')}/{role['metadata']['name']}", role


def missing_role(risk: Risk, look: Look) -> Iterator[Hit]:
    """Find bindings whose role is not there; where roles could not be read, nobody knows."""
    kinds = unread(look.rbac)
    for binding in look.resolver.bindings():
        known = f"{binding.role_kind.lower()}s" not in kinds
        if known and look.resolver.role_reference_rules(binding) is None:
            made = builtin.is_default_binding(str(binding))
            severity = "info" if made else risk.severity.at(binding.namespace, named=False)
            yield Hit(risk, severity, binding, role=binding.role, text=f"{binding} refers to the {binding.role}")


def empty_binding(risk: Risk, look: Look) -> Iterator[Hit]:
    """Find bindings without subjects; some of those that every cluster has are so."""
    for binding in look.resolver.bindings():
        if not binding.subjects and not builtin.is_default_binding(str(binding)):
            yield Hit(risk, _of(risk, binding), binding, role=binding.role, text=f"{binding} has no subjects")


def unused_role(risk: Risk, look: Look) -> Iterator[Hit]:
    """Find roles that no binding refers to and that feed no other role."""
    if unread(look.rbac) & {"rolebindings", "clusterrolebindings"}:
        return
    used = {binding.role for binding in look.resolver.bindings()}
    selectors = [
        selector
        for role in look.rbac.cluster_roles
        for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
    ]
    for name, role in look.roles():
        labels = builtin.labels(role)
        if name in used or builtin.is_default_role(name) or builtin.of_run(role):
            continue
        fed = any(key.startswith(_FEEDS) for key in labels) or any(selects(each, labels) for each in selectors)
        if not fed:
            yield Hit(risk, risk.severity.at(_place(role), named=False), role=name, text=f"no binding refers to {name}")


def right_twice(risk: Risk, look: Look) -> Iterator[Hit]:
    """Find bindings all of whose rules the same subject has by another binding, in the same place or cluster-wide."""
    held = _by_place(look.resolver)
    for (principal, namespace), here in held.items():
        wide = held.get((principal, ""), []) if namespace else []
        if len(here) + len(wide) == 1:
            continue
        for number, way in enumerate(here):
            # Of two that say the same the later one is too many.
            later = [
                it
                for place, it in enumerate(here)
                if it.rules > way.rules or (place < number and it.rules == way.rules)
            ]
            more = next((it.binding for it in (*wide, *later) if way.rules <= it.rules), None)
            if more is not None and not builtin.gives(way.binding, way.subject):
                text = f"all that {way.binding} gives {way.subject} it has by {more} as well"
                severity = _of(risk, way.binding)
                yield Hit(risk, severity, way.binding, way.subject, way.binding.role, text=text, others=(more,))


@dataclass(frozen=True, slots=True)
class _Way:
    """A binding of somebody's, with what it gives."""

    binding: Binding
    subject: Subject
    rules: frozenset[Rule]


def _by_place(resolver: Resolver) -> dict[tuple[Principal, str], list[_Way]]:
    found: dict[tuple[Principal, str], list[_Way]] = defaultdict(list)
    known: dict[int, frozenset[Rule]] = {}
    for binding in resolver.bindings():
        rules = resolver.role_reference_rules(binding)
        if not rules:
            continue
        content = known.get(id(rules))
        if content is None:
            content = known[id(rules)] = frozenset(rules)
        for subject in binding.subjects:
            if (principal := _principal(subject)) is not None:
                found[principal, binding.namespace].append(_Way(binding, subject, content))
    return found


def ineffective_rule(risk: Risk, look: Look) -> Iterator[Hit]:
    """Find rules of which a part matches no request."""
    for name, role in look.roles():
        namespaced = name.startswith("Role ")
        reasons = []
        numbers = []
        for number, document in enumerate(role.get("rules") or ()):
            rule = Rule.of(document)
            if builtin.has_rule(name, rule):
                continue
            if why := _ineffective(rule, look.served, namespaced=namespaced):
                numbers.append(number)
                reasons.append(f"rules[{number}]: {why}")
        if reasons and not builtin.of_run(role):
            severity = risk.severity.at(_place(role), named=False)
            yield Hit(risk, severity, role=name, numbers=tuple(numbers), text=f"{name} {'; '.join(reasons)}")


def _ineffective(rule: Rule, served: Served, *, namespaced: bool) -> str:
    odd = next((word for word in rule.resources if "/" in word and word.endswith("/*")), None)
    if odd:
        return f"{odd} matches nothing: name the subresource, or write */SUBRESOURCE"
    odd = next((url for url in rule.non_resource_urls if "*" in url[:-1]), None)
    if odd:
        return f"the * in {odd} is a letter: only one at the end stands for more"
    if namespaced and rule.non_resource_urls:
        return "paths are in no namespace: a Role can't give them"
    if rule.resources and not rule.api_groups:
        return 'without apiGroups it matches nothing; the core group is ""'
    if (
        rule.resource_names
        and rule.verbs
        and set(rule.verbs) <= _NEVER_NAMED
        and not any("/" in r for r in rule.resources)
    ):
        return f"{', '.join(rule.verbs)} is asked without a name: resourceNames make it match nothing"
    odd = next((word for word in (*rule.verbs, *rule.resources) if not _WORD.fullmatch(word)), None)
    if odd is not None:
        return f"{odd!r} is compared letter by letter: no verb or resource is spelled so"
    if namespaced and rule.resources and "*" not in rule.resources:
        scopes = {
            served.target(f"{word.partition('/')[0]}{'.' if group else ''}{group}").namespaced
            for word in rule.resources
            for group in rule.api_groups
            if word.partition("/")[0] not in {"namespaces", "*", ""} and group != "*"
        }
        if scopes == {False}:
            return "these resources are in no namespace: a Role can't give them"
    return ""


def default_role_changed(risk: Risk, look: Look) -> Iterator[Hit]:
    """Find default roles with rules of somebody else's; aggregated ones are meant to have them."""
    for name, role in look.roles():
        if not builtin.is_default_role(name) or role.get("aggregationRule"):
            continue
        rules = [Rule.of(rule) for rule in role.get("rules") or ()]
        # What covers no more than a default rule was taken away from, not added to.
        added = tuple(n for n, rule in enumerate(rules) if not builtin.covers(name, rule))
        if added:
            severity = risk.severity.at(_place(role), named=False)
            said = ", ".join(f"rules[{number}]" for number in added)
            yield Hit(
                risk, severity, role=name, numbers=added, text=f"{name} has {said}, which Kubernetes did not give it"
            )


def feeds_default_role(risk: Risk, look: Look) -> Iterator[Hit]:
    """Find roles whose labels add their rules to a default role."""
    for name, role in look.roles():
        fed = sorted(
            key.removeprefix(_FEEDS)
            for key, on in builtin.labels(role).items()
            if key.startswith(_FEEDS) and on == "true"
        )
        if fed and name.startswith("ClusterRole ") and not builtin.is_default_role(name):
            yield Hit(risk, risk.severity.cluster, role=name, text=f"{name} adds its rules to {', '.join(fed)}")


def foreign_account(risk: Risk, look: Look) -> Iterator[Hit]:
    """Find RoleBindings to service accounts of another namespace."""
    for binding in look.resolver.bindings():
        for subject in binding.subjects:
            own = not binding.namespace or subject.namespace in {"", binding.namespace}
            if subject.kind == "ServiceAccount" and not own and not builtin.gives(binding, subject):
                text = f"{binding} gives {subject} the {binding.role}"
                yield Hit(risk, _of(risk, binding), binding, subject, binding.role, text=text)


CHECKS: dict[str, Callable[[Risk, Look], Iterator[Hit]]] = {
    "missing-role": missing_role,
    "unused-role": unused_role,
    "empty-binding": empty_binding,
    "right-twice": right_twice,
    "ineffective-rule": ineffective_rule,
    "default-role-changed": default_role_changed,
    "feeds-default-role": feeds_default_role,
    "foreign-account": foreign_account,
}


def _of(risk: Risk, binding: Binding) -> str:
    return risk.severity.at(binding.namespace, named=False)


def _place(role: Json) -> str:
    return str(role["metadata"].get("namespace", ""))


def _principal(subject: Subject) -> Principal | None:
    if subject.kind in {"User", "Group"}:
        return subject.kind, subject.name
    if subject.kind == "ServiceAccount" and subject.namespace:
        return "User", f"system:serviceaccount:{subject.namespace}:{subject.name}"
    return None
