"""Odd RBAC policies and questions about them, drawn by chance: the same for one seed.

Half of what is drawn is made to nearly match, because a question that no rule comes near proves nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.model import Attributes, Rbac
from conformance.rbac.predicates import Rule
from conformance.rbac.resolver import MissingRole, Resolver, Source, Who

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conformance.model import Json

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
ODD_VERBS = (
    "*",
    "impersonate",
    "bind",
    "escalate",
    "approve",
    "impersonate:user-info",
    "impersonate-on:user-info:list",
)
WRONG_VERBS = ("", " get", "GET", "get*", "use")
GROUPS = ("", "", "", "apps", "rbac.authorization.k8s.io", "certificates.k8s.io", "authentication.k8s.io", "*")
WRONG_GROUPS = ("no.such.group", " apps", "apps/v1", "*.k8s.io", "rbac.example.test")
RESOURCES = (
    *("pods", "pods/log", "pods/exec", "pods/attach", "secrets", "configmaps", "nodes", "nodes/proxy", "leases"),
    *("namespaces", "namespaces/status", "namespaces/finalize", "deployments", "deployments/scale", "users", "groups"),
    *("serviceaccounts", "serviceaccounts/token", "userextras/scopes", "clusterroles", "roles", "signers"),
)
ODD_RESOURCES = ("*", "*", "*/scale", "*/log", "*/exec", "*/token", "pods/*", "*/*", "deployments/*")
WRONG_RESOURCES = ("Pods", " pods", "pods ", "", "*/", "scale", "log", "*/og", "**")
NAMES = ("", "a", "b", "absent", "kube-system", "A", "*", "a*", "t1")
RULE_URLS = (
    "*",
    "/metrics",
    "/metrics/*",
    "/debug/*/x",
    "/logs*",
    "/logs**",
    "/*",
    "/healthz",
    "/Metrics",
    "/a*b*",
    "",
)
PATHS = (
    "/metrics",
    "/metrics/",
    "/metrics/a",
    "/debug/a/x",
    "/debug/*/x",
    "/logs",
    "/logsX/y",
    "/logs*z",
    "/healthz",
    "/",
    "/a*bc",
)
NAMESPACES = ("t1", "t2", "t3")
ACCOUNTS = tuple((namespace, name) for namespace in ("t1", "t2") for name in ("sa", "default"))

PEOPLE = (
    Who("alice", frozenset({"devs", "system:authenticated"})),
    Who("bob", frozenset({"ops", "devs", "system:authenticated"})),
    Who("devs", frozenset({"system:authenticated"})),
    Who("Alice", frozenset({"Devs", "system:authenticated"})),
    Who("system:anonymous", frozenset({"system:unauthenticated"})),
    Who("system:node:n1", frozenset({"system:nodes", "system:authenticated"})),
    Who("root", frozenset({"system:masters", "system:authenticated"})),
    Who("system:masters", frozenset({"system:authenticated"})),
    *(
        Who(
            f"system:serviceaccount:{namespace}:{name}",
            frozenset({"system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"}),
        )
        for namespace, name in ACCOUNTS
    ),
)
WEIGHTS = (6, 5, 2, 2, 3, 2, 1, 1, 4, 2, 4, 2)


@dataclass(frozen=True)
class Question:
    """Who asks for what."""

    who: Who
    asked: Attributes


@dataclass(frozen=True)
class Policy:
    """RBAC objects, and what is asked of them."""

    rbac: Rbac
    questions: tuple[Question, ...]


def policies(seed: int, count: int, questions: int) -> Iterator[Policy]:
    """Draw so many policies with so many questions each."""
    chance = random.Random(seed)  # noqa: S311  # reproducible, no secret
    for _ in range(count):
        rbac = draw_rbac(chance)
        yield Policy(rbac, tuple(draw_questions(chance, rbac, questions)))


def draw_rbac(chance: random.Random) -> Rbac:
    cluster_roles = [_role(chance, f"c{number}") for number in range(chance.randint(1, 4))]
    roles = [_role(chance, f"r{number}", chance.choice(NAMESPACES)) for number in range(chance.randint(1, 4))]
    for role in cluster_roles:
        if chance.random() < 0.3:
            role["metadata"]["labels"] = {"to": "all"}
    if chance.random() < 0.3:
        selector = {"matchLabels": {"to": "all"}}
        rules = [] if chance.random() < 0.7 else [_rule(chance)]
        aggregated = {
            "metadata": {"name": "all"},
            "rules": rules,
            "aggregationRule": {"clusterRoleSelectors": [selector]},
        }
        cluster_roles.append(aggregated)
    names = [role["metadata"]["name"] for role in cluster_roles]
    near = [(role["metadata"]["namespace"], role["metadata"]["name"]) for role in roles]
    return Rbac(
        cluster_roles=tuple(cluster_roles),
        cluster_role_bindings=tuple(
            _binding(chance, f"wide-{number}", "", *_reference(chance, names, [name for _, name in near]))
            for number in range(chance.randint(0, 3))
        ),
        roles=tuple(roles),
        role_bindings=tuple(_role_binding(chance, f"b{number}", names, near) for number in range(chance.randint(1, 5))),
    )


def _role_binding(chance: random.Random, name: str, names: list[str], near: list[tuple[str, str]]) -> Json:
    if chance.random() < 0.5:
        namespace, role = chance.choice(near)
        return _binding(chance, name, namespace, "Role", role)
    namespace = chance.choice(NAMESPACES)
    return _binding(chance, name, namespace, *_reference(chance, names, [role for _, role in near]))


def _reference(chance: random.Random, cluster_roles: list[str], roles: list[str]) -> tuple[str, str]:
    draw = chance.random()
    if draw < 0.8:
        return "ClusterRole", chance.choice(cluster_roles)
    if draw < 0.9:
        return chance.choice(("ClusterRole", "Role")), "gone"
    return chance.choice(
        (("Role", chance.choice(roles)), ("ClusterRole", chance.choice(roles)), ("Robot", cluster_roles[0]))
    )


def _binding(chance: random.Random, name: str, namespace: str, kind: str, role: str) -> Json:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    subjects = [_subject(chance) for _ in range(chance.choice((1, 1, 2, 3)))]
    return {"metadata": metadata, "roleRef": {"kind": kind, "name": role}, "subjects": subjects or None}


def _subject(chance: random.Random) -> Json:
    draw = chance.random()
    subject: Json
    if draw < 0.35:
        subject = {"kind": "User", "name": chance.choice([who.user for who in PEOPLE])}
    elif draw < 0.65:
        subject = {"kind": "Group", "name": chance.choice(sorted({group for who in PEOPLE for group in who.groups}))}
    elif draw < 0.9:
        namespace, name = chance.choice(ACCOUNTS)
        subject = {"kind": "ServiceAccount", "name": name}
        if chance.random() < 0.6:
            subject["namespace"] = namespace
    else:
        subject = {"kind": chance.choice(("user", "Robot", "")), "name": chance.choice(("alice", "bob"))}
    if chance.random() < 0.15:
        subject["apiGroup"] = chance.choice(("foreign", "rbac.authorization.k8s.io", ""))
    return subject


def _role(chance: random.Random, name: str, namespace: str = "") -> Json:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"metadata": metadata, "rules": [_rule(chance) for _ in range(chance.choice((0, 1, 1, 2, 3)))] or None}


def _some(
    chance: random.Random, usual: Sequence[str], odd: Sequence[str], wrong: Sequence[str], most: int
) -> list[str]:
    """One or a few: mostly usual, at times odd, seldom wrong."""
    pools = chance.choices((usual, odd, wrong), (14, 5, 1), k=chance.randint(1, most))
    return [chance.choice(pool) for pool in pools]


def _rule(chance: random.Random) -> Json:
    rule: Json = {"verbs": _some(chance, VERBS, ODD_VERBS, WRONG_VERBS, 4)}
    draw = chance.random()
    if draw > 0.15:
        rule["apiGroups"] = _some(chance, GROUPS, ("*",), WRONG_GROUPS, 3)
        rule["resources"] = _some(chance, RESOURCES, ODD_RESOURCES, WRONG_RESOURCES, 4)
        if chance.random() < 0.35:
            rule["resourceNames"] = chance.sample(NAMES, chance.randint(1, 3))
    if draw < 0.2:
        rule["nonResourceURLs"] = chance.sample(RULE_URLS, chance.randint(1, 3))
    return rule


def draw_questions(chance: random.Random, rbac: Rbac, count: int) -> Iterator[Question]:
    resolver = Resolver(rbac)
    bound = [
        (who, weight, binding.namespace or chance.choice(("", *NAMESPACES)))
        for binding in resolver.bindings()
        for who, weight in zip(PEOPLE, WEIGHTS, strict=True)
        if binding.applies_to(who)
    ]
    weights = [weight for _, weight, _ in bound]
    for _ in range(count):
        if bound and chance.random() < 0.85:
            who, _, namespace = chance.choices(bound, weights)[0]
        else:
            who, namespace = chance.choices(PEOPLE, WEIGHTS)[0], chance.choice(("", *NAMESPACES))
        held = held_rules(resolver, who, namespace)
        rule = chance.choice(held)[1] if held and chance.random() < 0.9 else Rule.of(_rule(chance))
        yield Question(who, _near(chance, rule, namespace))


def held_rules(resolver: Resolver, who: Who, namespace: str) -> list[tuple[Source, Rule]]:
    return [visit for visit in resolver.visit_rules_for(who, namespace) if not isinstance(visit, MissingRole)]


def _near(chance: random.Random, rule: Rule, namespace: str) -> Attributes:
    """A request that the rule allows, or nearly: each part may be another one's."""

    def part(own: Sequence[str], usual: Sequence[str], wrong: Sequence[str], astray: float) -> str:
        concrete = [word for word in own if word != "*"]
        if concrete and chance.random() > astray:
            return chance.choice(concrete)
        return chance.choice(wrong) if chance.random() < 0.05 else chance.choice(usual)

    verb = part(rule.verbs, VERBS, WRONG_VERBS, 0.12)
    if rule.non_resource_urls and (not rule.resources or chance.random() < 0.5):
        path = part(rule.non_resource_urls, PATHS, PATHS, 0.6)
        return Attributes(verb, path=path or "/", namespace=namespace if chance.random() < 0.2 else "")
    combined = part(rule.resources, RESOURCES, WRONG_RESOURCES, 0.15)
    resource, _, subresource = combined.partition("/")
    if resource == "*" and chance.random() < 0.8:
        resource = chance.choice(("pods", "deployments", "serviceaccounts"))
    if subresource == "*" or (not subresource and chance.random() < (0.8 if "*" in rule.verbs else 0.1)):
        subresource = chance.choice(("log", "exec", "scale", "status"))
    elif subresource and chance.random() < 0.1:
        subresource = ""
    group = part(rule.api_groups, ("", "apps", "rbac.authorization.k8s.io"), WRONG_GROUPS, 0.1)
    name = part(rule.resource_names, NAMES, NAMES, 0.25) if rule.resource_names else chance.choice(NAMES)
    if verb in {"list", "watch", "create", "deletecollection"} and not subresource and chance.random() < 0.4:
        name = ""
    version = chance.choice(("v1", "v1", "v99", "*"))
    return Attributes(verb, group, version, resource, subresource, namespace, name)


# --- which hard cases a question touches ------------------------------------------------------------------------------

CASES = {
    1: 'verbs "*" on a resource, asked for its subresource',
    2: "RESOURCE/* and */* in a rule, asked for a subresource",
    3: "*/SUBRESOURCE in a rule",
    4: "resourceNames, one object asked for",
    5: "resourceNames, list or watch",
    6: "resourceNames, create",
    7: "resourceNames, deletecollection",
    8: "create, where rules give update or patch",
    9: "non-resource URLs",
    10: "cluster-scoped kinds and paths by a RoleBinding",
    11: "namespaces, authorised in a namespace",
    12: "exec and attach",
    13: "nodes/proxy",
    14: "impersonate",
    15: "constrained impersonation",
    16: "bind and escalate",
    17: "approve and signers",
    18: "serviceaccounts/token",
    19: "a service account asks",
    20: "an aggregated role, not filled",
    22: "a binding to a role that is missing",
    23: "system:masters, as group and as user",
    24: "a node asks",
    25: "anonymous asks",
    28: "an unknown group or an empty verb",
    29: "versions, upper case and spaces",
    30: "rights by the groups of service accounts",
    31: "an absent object",
    32: "the empty name in resourceNames",
    33: "a subject of a foreign apiGroup",
    34: "a subject of an unknown kind",
    35: "a ServiceAccount without a namespace of its own",
    36: "a ClusterRoleBinding to a Role, or to no known kind",
    37: "a rule for resources and paths at once",
}
# Time (21), webhooks (26) and what comes after authorization (27) are nothing that an authorizer can be asked.


def cases_of(question: Question, rbac: Rbac, resolver: Resolver) -> set[int]:
    """Tell which of the hard cases a question touches, by what is asked and by the rules that apply to who asks."""
    asked = question.asked
    plural = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    found = {number for number, words in _ASKED.items() if plural in words or asked.verb in words}
    found |= {number for number, test in _ABOUT_WHO.items() if test(question.who)}
    found |= {number for number, test in _ABOUT_REQUEST.items() if test(asked)}
    for source, rule in held_rules(resolver, question.who, asked.namespace):
        found |= {number for number, test in _ABOUT_RULE.items() if test(asked, rule, source)}
        if rule.resource_names and asked.verb in _BY_VERB and {asked.verb, "*"} & set(rule.verbs):
            found.add(_BY_VERB[asked.verb])
    return found | _of_bindings(question, rbac, resolver)


def _of_bindings(question: Question, rbac: Rbac, resolver: Resolver) -> set[int]:
    foreign = {
        it["metadata"]["name"]
        for it in (*rbac.cluster_role_bindings, *rbac.role_bindings)
        if any(subject.get("apiGroup") == "foreign" for subject in it["subjects"] or ())
    }
    found = set()
    for binding in (*resolver.cluster_role_bindings, *resolver.role_bindings.get(question.asked.namespace, ())):
        kinds = {subject.kind for subject in binding.subjects}
        missing = resolver.role_reference_rules(binding) is None
        applies = binding.applies_to(question.who) is not None
        wide_to_near = not binding.namespace and binding.role_kind != "ClusterRole"
        nowhere = any(subject.kind == "ServiceAccount" and not subject.namespace for subject in binding.subjects)
        truths = {
            20: applies and binding.role_name == "all",
            22: applies and missing,
            33: binding.name in foreign,
            34: bool(kinds - {"User", "Group", "ServiceAccount"}),
            35: nowhere,
            36: applies and missing and wide_to_near,
        }
        found |= {number for number, truth in truths.items() if truth}
    return found


_ASKED = {
    12: {"pods/exec", "pods/attach"},
    13: {"nodes/proxy"},
    14: {"impersonate"},
    15: {"impersonate:user-info", "impersonate-on:user-info:list"},
    16: {"bind", "escalate"},
    17: {"approve", "signers"},
    18: {"serviceaccounts/token"},
}
_ABOUT_WHO: dict[int, Callable[[Who], bool]] = {
    19: lambda who: who.user.startswith("system:serviceaccount:"),
    23: lambda who: "system:masters" in {who.user, *who.groups},
    24: lambda who: who.user.startswith("system:node:"),
    25: lambda who: who.user == "system:anonymous",
}
_ABOUT_REQUEST: dict[int, Callable[[Attributes], bool]] = {
    9: lambda asked: bool(asked.path),
    11: lambda asked: asked.resource == "namespaces" and bool(asked.namespace),
    28: lambda asked: asked.group in WRONG_GROUPS or not asked.verb,
    29: lambda asked: asked.version not in {"", "v1"} or asked.verb in WRONG_VERBS or asked.resource in WRONG_RESOURCES,
    31: lambda asked: asked.name == "absent",
}
_ABOUT_RULE: dict[int, Callable[[Attributes, Rule, Source], bool]] = {
    1: lambda asked, rule, _: bool(asked.subresource) and "*" in rule.verbs and asked.resource in rule.resources,
    2: lambda asked, rule, _: bool(asked.subresource) and any(it.endswith("/*") for it in rule.resources),
    3: lambda _, rule, __: any(it.startswith("*/") for it in rule.resources),
    8: lambda asked, rule, _: asked.verb == "create" and bool({"update", "patch"} & set(rule.verbs)),
    10: lambda asked, _, source: (
        bool(source.binding.namespace) and (bool(asked.path) or asked.resource in {"nodes", "clusterroles", "users"})
    ),
    30: lambda _, __, source: source.subject.name.startswith("system:serviceaccounts"),
    32: lambda _, rule, __: "" in rule.resource_names,
    37: lambda _, rule, __: bool(rule.non_resource_urls and rule.resources),
}
_BY_VERB = {"list": 5, "watch": 5, "create": 6, "deletecollection": 7, "get": 4, "update": 4, "patch": 4, "delete": 4}
