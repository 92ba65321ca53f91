"""Answers for people: everybody who can do something, and why somebody can or can't."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.model import Answer, Attributes, Decision, Identity, Witness
from conformance.oracles.rules import MASTER, Rules, witness
from conformance.rbac.predicates import (
    Rule,
    api_group_matches,
    non_resource_url_matches,
    resource_matches,
    resource_name_matches,
    rule_allows,
    verb_matches,
)
from conformance.rbac.resolver import MASTERS, MissingRole, Resolver, Source, Subject, Who
from conformance.rbac.whocan import sources

if TYPE_CHECKING:
    from conformance.model import Rbac

NEAR_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Holder:
    """A subject that can do what was asked: by which binding, and in which namespaces ("" for the whole cluster).

    `names` are the only object names for which it can, empty where it can for all or for the one that was asked.
    """

    subject: Subject
    witness: Witness
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def who_can(resolver: Resolver, attributes: Attributes, *, everywhere: bool) -> tuple[Holder, ...]:
    """Give everybody who can, as bindings name them, each once; group system:masters always first.

    `everywhere` takes the bindings of all namespaces. A RoleBinding gives nothing outside of namespaces.
    """
    found: dict[tuple[Subject, bool], list[Source]] = {}
    for source in sources(resolver, attributes, any_namespace=everywhere):
        found.setdefault((source.subject, False), []).append(source)
    able = {subject for subject, _ in found}
    if not attributes.name and not attributes.path:
        for source in sources(resolver, attributes, any_namespace=everywhere, any_name=True):
            if source.subject not in able:
                found.setdefault((source.subject, True), []).append(source)
    holders = [Holder(Subject("Group", MASTERS), MASTER.witness, ("",))]
    for (subject, limited), ways in found.items():
        if subject == holders[0].subject:
            continue  # by a binding as well
        names = {name for way in ways for name in resolver.rule(way).resource_names} if limited else set()
        namespaces = {way.binding.namespace for way in ways}
        places = ("",) if "" in namespaces else tuple(sorted(namespaces))
        holders.append(Holder(subject, witness(ways[0]), places, tuple(sorted(names))))
    return tuple(holders)


@dataclass(frozen=True, slots=True)
class Why:
    """A decision with every way that leads to it, and where there is none, what comes nearest."""

    decision: Decision
    ways: tuple[tuple[Witness, Rule], ...]
    near: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def why(rbac: Rbac, identity: Identity, attributes: Attributes, decision: Decision) -> Why:
    """Explain a decision by the rules."""
    rules, resolver = Rules(rbac), Resolver(rbac)
    who = Who(identity.user, frozenset(identity.groups))
    held = [it for it in resolver.visit_rules_for(who, attributes.namespace) if not isinstance(it, MissingRole)]
    ways = tuple((witness(source), rule) for source, rule in held if rule_allows(attributes, rule))
    if ways or decision.answer is Answer.ALLOWED:
        return Why(decision, ways)
    near = [said for source, rule in held if (said := _near(source, rule, attributes))]
    elsewhere = sorted(
        {grant.namespace for grant in rules.grants(identity) if grant.namespace and rule_allows(attributes, grant.rule)}
    )
    names = rules.names(identity, attributes)
    return Why(decision, (), tuple(near[:NEAR_SHOWN]), tuple(elsewhere) if attributes.namespace else (), names)


def _near(source: Source, rule: Rule, attributes: Attributes) -> str:
    """Say in which one thing a rule falls short, empty when it falls short in more."""
    if attributes.path:
        verb, path = verb_matches(rule, attributes.verb), non_resource_url_matches(rule, attributes.path)
        lacking = {"verb": verb, "path": path}
    else:
        plural = f"{attributes.resource}/{attributes.subresource}" if attributes.subresource else attributes.resource
        lacking = {
            "verb": verb_matches(rule, attributes.verb),
            "group": api_group_matches(rule, attributes.group),
            "resource": resource_matches(rule, plural, attributes.subresource),
            "name": resource_name_matches(rule, attributes.name),
        }
    missing = [part for part, matches in lacking.items() if not matches]
    if len(missing) != 1 or (missing == ["resource"] and not _akin(rule, attributes.resource)):
        return ""
    return f"{source.binding.role} rules[{source.number}] lacks only the {missing[0]}: {rule_text(rule)}"


def _akin(rule: Rule, resource: str) -> bool:
    """Say whether a rule names the resource or one of its subresources."""
    return any(it.partition("/")[0] == resource for it in rule.resources)


def rule_text(rule: Rule) -> str:
    """Give a rule on one line, the core group as `""`."""
    parts = [",".join(rule.verbs)]
    if rule.resources:
        parts.append(f"{','.join(rule.resources)} of {','.join(group or chr(34) * 2 for group in rule.api_groups)}")
    if rule.resource_names:
        parts.append(f"named {','.join(rule.resource_names)}")
    parts += rule.non_resource_urls
    return " ".join(parts)
