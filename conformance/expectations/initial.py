"""A first file of expectations from what is allowed now, to be read by a person before it is believed.

Each subject's rules become lines that allow just them; and what is most dangerous to hand out and nobody of them has
becomes a line that denies it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from conformance.expectations import Expectation
from conformance.expectations.judging import Ground, judge
from conformance.model import Verdict
from conformance.rbac.escalation import subject
from conformance.rbac.escalation_rights import principals
from conformance.rbac.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.model import Json, Rbac

# What somebody who need not has no business with, each with the reason that is written beside it.
DANGERS = (
    (("get", "list", "watch"), ("secrets",), "holds no credentials of others"),
    (("create",), ("pods/exec", "pods/attach", "pods/portforward"), "gets into no pod"),
    (
        ("create", "patch"),
        ("pods", "deployments.apps", "daemonsets.apps", "jobs.batch", "cronjobs.batch"),
        "runs nothing",
    ),
    (("create",), ("serviceaccounts/token",), "mints no tokens"),
    (("impersonate",), ("users", "groups", "serviceaccounts"), "is nobody else"),
    (
        ("create", "update", "patch", "bind", "escalate"),
        tuple(
            f"{it}.rbac.authorization.k8s.io" for it in ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
        ),
        "hands out no rights",
    ),
)
HEADER = """\
# Written by `kube-conformance expectations init` from what was allowed then. It says what is, not what ought to be:
# read each line, mend it, say the real reason, and commit it. docs/expectations.md says what a line can say.
"""


def lines(rbac: Rbac, ground: Ground, who: Iterable[str] = ()) -> Iterator[Json]:
    """Give the entries: for each subject (those of `who`, else all that are not the system's own) what it may."""
    resolver = Resolver(rbac)
    chosen = tuple(who)
    found: dict[str, list[Json]] = {}
    for binding in resolver.bindings():
        for number, rule in enumerate(resolver.role_reference_rules(binding) or ()):
            for _, principal in principals(binding):
                name = subject(principal)
                if name in chosen or (not chosen and not _is_system(name)):
                    entry: Json = {"allow": name, "verbs": [*rule.verbs]}
                    place = {"namespaces": [binding.namespace]} if binding.namespace else {}
                    names = {"names": [*rule.resource_names]} if rule.resource_names else {}
                    reason = f"{binding} gives it, {binding.role} rules[{number}]"
                    if resources := list(_resources(rule.api_groups, rule.resources)):
                        found.setdefault(name, []).append(
                            entry | {"resources": resources} | names | place | {"reason": reason}
                        )
                    if rule.non_resource_urls and not binding.namespace:
                        paths = ["/*" if it == "*" else it for it in rule.non_resource_urls]
                        found.setdefault(name, []).append(entry | {"paths": paths, "reason": reason})
    for name in sorted(found):
        yield from found[name]
        yield from _denials(name, ground)


def _is_system(name: str) -> bool:
    bare = name.partition(" ")[2]
    return bare.startswith(("system:", "kube-system/", "kubeadm:"))


def _resources(groups: Iterable[str], resources: Iterable[str]) -> Iterator[str]:
    """Spell a rule's resources: a `*` in a rule is everything, subresources too."""
    for group in groups:
        for plural in resources:
            name, slash, subresource = plural.partition("/")
            if name == "*" and group == "*" and not slash:
                yield "*"
            elif name == "*" and not slash:
                yield f"*.{group}"
                yield f"*.{group}/*"
            elif not (slash and subresource == "*"):  # such a rule matches nothing
                yield f"{name}.{group}{slash}{subresource}" if group else plural


def _denials(name: str, ground: Ground) -> Iterator[Json]:
    for verbs, resources, reason in DANGERS:
        line = Expectation(
            allow=False,
            who=(name,),
            verbs=verbs,
            resources=resources,
            names=(),
            namespaces=(),
            paths=(),
            reason=reason,
            file="",
            line=0,
        )
        if judge(line, ground).verdict is Verdict.PASS:
            yield {"deny": name, "verbs": [*verbs], "resources": [*resources], "reason": reason}


def write(entries: Iterable[Json]) -> str:
    """Give the text of the file."""
    body = yaml.safe_dump(
        {"expectations": list(entries)}, sort_keys=False, width=110, allow_unicode=True, default_flow_style=None
    )
    return HEADER + body
