"""What every cluster has of roles and bindings: recognised by what they say, not by their names alone.

fixtures/bootstrap-policy.json holds the rules and subjects that servers of the supported versions make by themselves,
as they gave them. A default role that was changed, or is bound to somebody else, is none of these.
fixtures/kubeadm-policy.json holds in the same form what kubeadm makes, which sets most clusters up, kind's among them.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from conformance.files import data
from conformance.model import Rbac
from conformance.rbac.predicates import ALL, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.model import Json
    from conformance.rbac.resolver import Binding, Subject

FILE, KUBEADM = "bootstrap-policy.json", "kubeadm-policy.json"
LABEL = "kubernetes.io/bootstrapping"
# Objects with this label are made by a run for its own identities and gone after it.
RUN_LABEL = "kube-conformance.io/run"


@cache
def _policy(file: str = FILE) -> tuple[dict[str, frozenset[Rule]], dict[str, tuple[str, frozenset[str]]]]:
    document = json.loads((data("fixtures") / file).read_text("utf-8"))
    roles = {role: frozenset(alike(Rule.of(rule)) for rule in rules) for role, rules in document["roles"].items()}
    bindings = {
        name: (binding["role"], frozenset(binding["subjects"])) for name, binding in document["bindings"].items()
    }
    return roles, bindings


def alike(rule: Rule) -> Rule:
    """Give a rule with its lists sorted: their order means nothing."""
    return Rule(
        tuple(sorted(rule.verbs)),
        tuple(sorted(rule.api_groups)),
        tuple(sorted(rule.resources)),
        tuple(sorted(rule.resource_names)),
        tuple(sorted(rule.non_resource_urls)),
    )


def is_default_role(role: str) -> bool:
    """Say whether every cluster has a role of this full name (`ClusterRole view`, `Role kube-system/NAME`)."""
    return role in _policy()[0]


def has_rule(role: str, rule: Rule, file: str = FILE) -> bool:
    """Say whether a default role has this rule by itself."""
    return alike(rule) in _policy(file)[0].get(role, ())


def gives(binding: Binding, subject: Subject, file: str = FILE) -> bool:
    """Say whether a default binding gives its own role to one of its own subjects, as every cluster has it."""
    role, subjects = _policy(file)[1].get(str(binding), ("", frozenset()))
    return role == f"{binding.role_kind} {binding.role_name}" and str(subject) in subjects


def by_kubeadm(binding: Binding, subject: Subject, rules: Iterable[Rule]) -> bool:
    """Say whether kubeadm makes this binding for this subject, to a role of these rules."""
    return gives(binding, subject, KUBEADM) and all(
        has_rule(binding.role, rule, KUBEADM) or has_rule(binding.role, rule) for rule in rules
    )


def is_known(name: str) -> bool:
    """Say whether every cluster, or every one of kubeadm's, has a binding of this full name."""
    return any(name in _policy(file)[1] for file in (FILE, KUBEADM))


def is_default_binding(name: str) -> bool:
    """Say whether every cluster has a binding of this full name."""
    return name in _policy()[1]


def labels(document: Json) -> Json:
    """Give an object's labels."""
    found = document["metadata"].get("labels")
    return found if isinstance(found, dict) else {}


def of_run(document: Json) -> bool:
    """Say whether a run made this object for its own identities."""
    return RUN_LABEL in labels(document)


def without_runs(rbac: Rbac) -> Rbac:
    """Give the roles and bindings that no run made; the very same value where that is all of them."""
    kinds = (rbac.cluster_roles, rbac.cluster_role_bindings, rbac.roles, rbac.role_bindings)
    if not any(of_run(it) for kind in kinds for it in kind):
        return rbac
    roles, bindings, near_roles, near_bindings = (tuple(it for it in kind if not of_run(it)) for kind in kinds)
    return Rbac(roles, bindings, near_roles, near_bindings, rbac.incomplete)


def covers(role: str, rule: Rule) -> bool:
    """Say whether one of a default role's own rules gives all that this rule gives."""
    return any(_covers(own, rule) for own in _policy()[0].get(role, ()))


def _covers(own: Rule, rule: Rule) -> bool:
    """Upstream: ruleCovers of pkg/registry/rbac/validation, without the special case of `*/SUBRESOURCE`."""
    named = not own.resource_names or (
        bool(rule.resource_names) and set(rule.resource_names) <= set(own.resource_names)
    )
    return named and all(
        ALL in held or set(asked) <= set(held)
        for held, asked in (
            (own.verbs, rule.verbs),
            (own.api_groups, rule.api_groups),
            (own.resources, rule.resources),
            (own.non_resource_urls, rule.non_resource_urls),
        )
    )
