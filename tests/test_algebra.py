"""Bit sets: the sets themselves, the whole matrix and who-can, all against the readable evaluator."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from policies import NAMES, NAMESPACES, PEOPLE, RESOURCES, policies

from conformance.model import Attributes, Catalog, Rbac, Resource
from conformance.rbac.algebra import Allowed, Axis, Point, Tally, bits_of, mask, points_of, union
from conformance.rbac.matrix import WholeMatrix
from conformance.rbac.predicates import Rule, rule_allows, rules_allow
from conformance.rbac.resolver import MissingRole, Resolver, Subject, Who
from conformance.rbac.whocan import WhoCan, sources

VERBS = ("get", "list", "create", "deletecollection", "impersonate")
POINTS = (
    *(
        Point(group, plural, verb, namespaced=plural not in {"nodes", "users", "clusterroles"})
        for group in ("", "apps", "rbac.authorization.k8s.io")
        for plural in RESOURCES
        for verb in VERBS
    ),
    *(Point("", "", "get", namespaced=False, path=path) for path in ("/metrics", "/metrics/", "/logs", "/healthz")),
)


@pytest.mark.parametrize("numbers", [[], [0], [7, 8], list(range(100)), [3, 9999], list(range(0, 5000, 3))])
def test_mask_and_bits_of_are_each_others_inverse(numbers: list[int]) -> None:
    assert list(bits_of(mask(numbers))) == numbers
    assert mask(numbers) == sum(1 << number for number in numbers)


def test_a_tally_counts_as_one_counts() -> None:
    chance = random.Random(3)  # noqa: S311  # reproducible
    tally, expected = Tally(), Counter[int]()
    for _ in range(200):
        numbers, times = chance.sample(range(50), chance.randint(0, 50)), chance.choice((0, 1, 2, 7, 1000))
        tally.add(mask(numbers), times)
        expected.update(dict.fromkeys(numbers, times))
    assert tally.counts(50) == [expected[number] for number in range(50)]


def test_points_are_endpoints_without_their_version() -> None:
    v1 = Resource("g", "v1", "things", "", "Thing", "g", "v1", namespaced=True, verbs=("get", "list"))
    v2 = replace(v1, version="v2", verbs=("get", "watch"))
    points = points_of(Catalog((), (v1, v2), ("/a",)))
    assert [(point.verb, point.path) for point in points] == [("get", ""), ("list", ""), ("watch", ""), ("get", "/a")]


def asked_of(point: Point, namespace: str, name: str) -> Attributes:
    resource, _, subresource = point.plural.partition("/")
    return Attributes(point.verb, point.group, "", resource, subresource, namespace, name, point.path)


def test_a_rule_is_the_set_of_what_the_predicates_say() -> None:
    axis = Axis(POINTS)
    rules = {
        Rule.of(rule)
        for policy in policies(5, 40, 0)
        for role in (*policy.rbac.cluster_roles, *policy.rbac.roles)
        for rule in role["rules"] or ()
    }
    assert len(rules) > 200
    for rule in rules:
        allowed = axis.of_rule(rule)
        for name in ("", "a", "absent"):
            expected = [rule_allows(asked_of(point, "", name), rule) for point in POINTS]
            assert list(bits_of(allowed.for_name(name))) == [n for n, yes in enumerate(expected) if yes], (rule, name)


def test_a_union_allows_what_any_part_allows() -> None:
    axis = Axis(POINTS)
    for policy in policies(6, 40, 0):
        rules = [Rule.of(rule) for role in policy.rbac.cluster_roles for rule in role["rules"] or ()]
        allowed = axis.of_rules(rules)
        for name in NAMES:
            expected = [rules_allow(asked_of(point, "", name), rules) for point in POINTS]
            assert list(bits_of(allowed.for_name(name))) == [n for n, yes in enumerate(expected) if yes]
    assert union([]) == Allowed()


def readable(resolver: Resolver, who: Who, asked: Attributes) -> bool:
    if "system:masters" in who.groups:
        return True
    visits = resolver.visit_rules_for(who, asked.namespace)
    return any(not isinstance(visit, MissingRole) and rule_allows(asked, visit[1]) for visit in visits)


@pytest.mark.parametrize("seed", range(3))
def test_the_whole_matrix_counts_what_the_readable_evaluator_allows(seed: int) -> None:
    (policy,) = policies(seed, 1, 0)
    resolver, axis = Resolver(policy.rbac), Axis(POINTS)
    matrix = WholeMatrix(resolver, axis, [*PEOPLE, PEOPLE[0]], [*NAMESPACES, "empty"])
    plain, some_name = Counter[int](), Counter[int]()
    for who in PEOPLE:
        for number, point in enumerate(POINTS):
            for namespace in ("", *matrix.namespaces) if point.namespaced else ("",):
                absent = "" if point.nameless or point.path else "no such name"
                as_asked = readable(resolver, who, asked_of(point, namespace, absent))
                by_name = any(readable(resolver, who, asked_of(point, namespace, name)) for name in NAMES)
                plain[number] += as_asked
                some_name[number] += by_name and not as_asked
                assert bool(matrix.allowed(who, namespace).for_name(absent) >> number & 1) == as_asked
    assert matrix.counts() == (
        [plain[number] for number in range(len(POINTS))],
        [some_name[number] for number in range(len(POINTS))],
    )
    assert sum(matrix.multiplicities().values()) == len(PEOPLE) * (1 + len(matrix.namespaces))


def test_the_digest_is_of_what_is_allowed_and_of_nothing_else() -> None:
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
    split = [{**rule, "verbs": ["get"]}, {**rule, "verbs": ["list"]}]

    def digest(*bindings: tuple[str, str, str], roles: object = None, people: object = None) -> str:
        role_bindings = tuple(
            {
                "metadata": {"name": f"b{number}", "namespace": namespace},
                "roleRef": {"kind": "ClusterRole", "name": "r"},
                "subjects": [{"kind": kind, "name": name}],
            }
            for number, (namespace, kind, name) in enumerate(bindings)
        )
        rbac = Rbac(({"metadata": {"name": "r"}, "rules": roles or [rule]},), (), (), role_bindings)
        chosen = people or [Who("alice", frozenset({"devs"})), Who("bob")]
        assert isinstance(chosen, list)
        return WholeMatrix(Resolver(rbac), Axis(POINTS), chosen, ["t1", "t2"]).digest()

    plain = digest(("t1", "User", "alice"))
    assert plain == digest(("t1", "Group", "devs")), "by user or by group"
    assert plain == digest(("t1", "User", "alice"), ("t1", "Group", "devs"), ("t1", "User", "alice")), "more than once"
    assert plain == digest(("t1", "User", "alice"), roles=split), "in one rule or in two"
    assert plain == digest(("t1", "User", "alice"), people=[Who("bob"), Who("alice", frozenset({"devs"}))])
    others = [
        digest(),
        digest(("t2", "User", "alice")),
        digest(("t1", "User", "bob")),
        digest(("t1", "User", "alice"), ("t2", "User", "alice")),
        digest(("t1", "User", "alice"), roles=[{**rule, "resourceNames": ["x"]}]),
        digest(("t1", "User", "alice"), roles=[{**rule, "resourceNames": ["y"]}]),
        digest(("t1", "User", "alice"), roles=split[:1]),
    ]
    assert len({plain, *others}) == 1 + len(others)


@pytest.mark.parametrize("seed", range(20, 24))
def test_who_can_for_all_finds_whom_the_bindings_give_it(seed: int) -> None:
    (policy,) = policies(seed, 1, 0)
    resolver = Resolver(policy.rbac)
    who_can = WhoCan(resolver)
    for point, able in who_can.all(POINTS).items():
        plain = principals(resolver, point, "" if point.nameless or point.path else "no such name")
        by_name = {it for name in NAMES for it in principals(resolver, point, name)}
        assert set(who_can.named(able.plain)) == plain, point
        assert set(who_can.named(able.some_name)) == (set() if point.path else by_name - plain), point


def principals(resolver: Resolver, point: Point, name: str) -> set[tuple[str, str]]:
    found = sources(resolver, asked_of(point, "", name), any_namespace=point.namespaced)
    return {it for source in found for it in replace(source.binding, subjects=(source.subject,)).principals}


def test_sources_name_each_subject_with_the_rule_of_the_namespace() -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]} for verb in ("list", "get")]
    subjects = [{"kind": "User", "name": "alice"}, {"kind": "ServiceAccount", "name": "sa"}]
    binding = {"roleRef": {"kind": "Role", "name": "r"}, "subjects": subjects}
    rbac = Rbac(
        roles=tuple({"metadata": {"name": "r", "namespace": it}, "rules": rules} for it in ("t1", "t2")),
        role_bindings=tuple({"metadata": {"name": "b", "namespace": it}, **binding} for it in ("t1", "t2")),
    )
    asked = Attributes("get", resource="pods", namespace="t2")
    found = list(sources(Resolver(rbac), asked))
    assert [source.subject for source in found] == [Subject("User", "alice"), Subject("ServiceAccount", "sa", "t2")]
    assert found[0].path == ("User alice", "RoleBinding t2/b", "Role t2/r", "rules[1]")
    assert len(list(sources(Resolver(rbac), asked, any_namespace=True))) == 4
    assert not list(sources(Resolver(rbac), replace(asked, namespace="")))
