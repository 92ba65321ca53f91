"""A role's rule without some of what it gives, and with all the rest: the smallest change that takes a right away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.rbac.predicates import ALL, Rule, non_resource_url_matches, resource_matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from conformance.model import Json
    from conformance.rbac.algebra import Point

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
MOST_RESOURCES = 150  # more, spelled out, is a role that nobody reads


def without(rule: Rule, points: Sequence[Point], served: Mapping[tuple[str, str], Iterable[str]]) -> list[Rule] | None:
    """Give rules that allow what this one does, but for these endpoints; None where that can't be said in words.

    `served` maps (group, plural) to its verbs: a `*` has to be spelled out before something can be left out of it.
    """
    urls = tuple(
        url
        for url in rule.non_resource_urls
        if not any(it.path and non_resource_url_matches(Rule(non_resource_urls=(url,)), it.path) for it in points)
    )
    kept = [Rule(verbs=rule.verbs, non_resource_urls=urls)] if urls else []
    objects = [it for it in points if not it.path]
    if not objects:
        rest = Rule(rule.verbs, rule.api_groups, rule.resources, rule.resource_names)
        return [*kept, rest] if rule.resources else kept
    pairs = _pairs(rule, objects, served)
    if pairs is None:
        return None
    # (group, verbs) -> the resources that keep these verbs, in the rule's own order.
    left: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for group, plural in pairs:
        taken = {it.verb for it in objects if it.group == group and _means(plural, it)}
        verbs = rule.verbs
        if taken:
            every = dict.fromkeys((*served.get((group, plural), VERBS),)) if ALL in rule.verbs else rule.verbs
            verbs = tuple(verb for verb in every if verb not in taken)
        if verbs:
            left.setdefault((group, verbs), []).append(plural)
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (group, verbs), resources in left.items():
        groups.setdefault((verbs, tuple(resources)), []).append(group)
    kept += [Rule(verbs, tuple(of), resources, rule.resource_names) for (verbs, resources), of in groups.items()]
    return kept


def spelled_out(rule: Rule, lists: Sequence[str], served: Mapping[tuple[str, str], Iterable[str]]) -> list[Rule] | None:
    """Give the rule with the `*` of these lists (verbs, groups, resources, urls) spelled out; None as above."""
    if "urls" in lists:
        rest = Rule(rule.verbs, rule.api_groups, rule.resources, rule.resource_names)
        urls = tuple(url for url in rule.non_resource_urls if url not in {ALL, "/*"})
        return ([Rule(rule.verbs, non_resource_urls=urls)] if urls else []) + ([rest] if rule.resources else [])
    pairs = _pairs(rule, (), served, also=lists)
    if pairs is None:
        return None
    left: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for group, plural in pairs:
        verbs = tuple(served.get((group, plural), VERBS)) if ALL in rule.verbs and "verbs" in lists else rule.verbs
        left.setdefault((group, verbs), []).append(plural)
    return [Rule(verbs, (group,), tuple(names), rule.resource_names) for (group, verbs), names in left.items()]


def as_json(rules: Iterable[Rule]) -> list[Json]:
    """Give rules as a role holds them."""
    keys = ("apiGroups", "resources", "resourceNames", "nonResourceURLs", "verbs")
    return [
        {
            key: [*held]
            for key, held in zip(
                keys,
                (rule.api_groups, rule.resources, rule.resource_names, rule.non_resource_urls, rule.verbs),
                strict=True,
            )
            if held
        }
        for rule in rules
    ]


def _pairs(
    rule: Rule,
    points: Iterable[Point],
    served: Mapping[tuple[str, str], Iterable[str]],
    *,
    also: Sequence[str] = (),
) -> list[tuple[str, str]] | None:
    """Give each group and resource of a rule, those that a `*` means spelled out; None where there are too many.

    A `*` that means none of `points` stays, unless `also` names its list.
    """
    wanted = list(points)
    groups: dict[str, None] = dict.fromkeys(group for group in rule.api_groups if group != ALL)
    if ALL in rule.api_groups:
        if not wanted and "groups" not in also:
            groups = {ALL: None}
        else:
            named = [group for group, plural in served if ALL in rule.resources or _has(rule, plural)]
            groups |= dict.fromkeys([*named, *(it.group for it in wanted)])
    pairs: dict[tuple[str, str], None] = {}
    for group in groups:
        for plural in rule.resources:
            open_ended = plural == ALL or plural.startswith("*/")
            spelled = "resources" in also or any(it.group == group and _means(plural, it) for it in wanted)
            if not (open_ended and spelled):
                pairs[group, plural] = None
                continue
            # What no server lists, such as impersonate on users, is left out with the star.
            pairs |= {
                (of, name): None for of, name in served if of == group and (plural == ALL or name.endswith(plural[1:]))
            }
    return list(pairs) if 0 < len(pairs) <= MOST_RESOURCES else None


def _has(rule: Rule, plural: str) -> bool:
    return resource_matches(rule, plural, plural.partition("/")[2])


def _means(plural: str, point: Point) -> bool:
    return resource_matches(Rule(resources=(plural,)), point.plural, point.subresource)
