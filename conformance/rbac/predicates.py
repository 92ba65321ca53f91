"""Whether one rule allows one request: the authorizer's five predicates under their own names and in their own order.

Made to be laid beside upstream's pkg/apis/rbac/v1/evaluation_helpers.go, whose functions they are, and
plugin/pkg/auth/authorizer/rbac/rbac.go, where `rule_allows` and `rules_allow` come from. Nothing is trimmed,
lower-cased or normalised, here as there: `Pods`, `pods ` and `pods` are three different resources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from conformance.model import Attributes

ALL = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of a role's `rules`; upstream: rbacv1.PolicyRule. Additive: a rule only ever allows."""

    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Rule:
        """Read a rule from API JSON; a list that is absent or null is empty."""
        return cls(
            verbs=tuple(document.get("verbs") or ()),
            api_groups=tuple(document.get("apiGroups") or ()),
            resources=tuple(document.get("resources") or ()),
            resource_names=tuple(document.get("resourceNames") or ()),
            non_resource_urls=tuple(document.get("nonResourceURLs") or ()),
        )


def verb_matches(rule: Rule, requested_verb: str) -> bool:
    """Say whether the rule names the verb or all of them."""
    return ALL in rule.verbs or requested_verb in rule.verbs


def api_group_matches(rule: Rule, requested_group: str) -> bool:
    """Say whether the rule names the API group or all of them; the core group is `""`."""
    return ALL in rule.api_groups or requested_group in rule.api_groups


def resource_matches(rule: Rule, combined_requested_resource: str, requested_subresource: str) -> bool:
    """Say whether the rule names the resource: all, exactly (`pods`, `pods/log`), or as `*/log` in any resource.

    `pods` does not cover its subresources, and neither `pods/*` nor `*/*` means anything to the authorizer.
    """
    for rule_resource in rule.resources:
        if rule_resource in (ALL, combined_requested_resource):
            return True
        if requested_subresource and rule_resource == f"*/{requested_subresource}":
            return True
    return False


def resource_name_matches(rule: Rule, requested_name: str) -> bool:
    """Say whether the rule is for all names or names this one. A request without a name has the name `""`."""
    return not rule.resource_names or requested_name in rule.resource_names


def non_resource_url_matches(rule: Rule, requested_url: str) -> bool:
    """Say whether the rule names the path: all, exactly, or as a prefix ending in `*`; a `*` elsewhere is literal."""
    for rule_url in rule.non_resource_urls:
        if rule_url in (ALL, requested_url):
            return True
        if rule_url.endswith("*") and requested_url.startswith(rule_url.rstrip("*")):
            return True
    return False


def rule_allows(attributes: Attributes, rule: Rule) -> bool:
    """Say whether this one rule allows the request; the version plays no part."""
    if not attributes.path:
        combined = attributes.resource
        if attributes.subresource:
            combined = f"{attributes.resource}/{attributes.subresource}"
        return (
            verb_matches(rule, attributes.verb)
            and api_group_matches(rule, attributes.group)
            and resource_matches(rule, combined, attributes.subresource)
            and resource_name_matches(rule, attributes.name)
        )
    return verb_matches(rule, attributes.verb) and non_resource_url_matches(rule, attributes.path)


def rules_allow(attributes: Attributes, rules: Iterable[Rule]) -> bool:
    """Say whether any of the rules allows the request."""
    return any(rule_allows(attributes, rule) for rule in rules)
