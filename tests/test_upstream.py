"""Our evaluators against Kubernetes' own authorizer; and that the comparison finds mistakes, each of which is planted.

The full comparison is `python tests/upstream.py`; here a small one runs with every test run.
"""

from __future__ import annotations

import os
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from policies import policies
from upstream import compare, go, upstream

from conformance.rbac import algebra, matrix, predicates, resolver
from conformance.rbac.algebra import Allowed, Axis
from conformance.rbac.predicates import Rule
from conformance.rbac.resolver import Binding, MissingRole, Resolver, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from upstream import Upstream

    from conformance.model import Attributes, Json, Rbac
    from conformance.rbac.resolver import Who

Planted = tuple[Any, str, Any]  # where, under which name, and what is put there
BUILT = os.environ.get("KUBE_CONFORMANCE_ORACLE")
FOR_ONE_BUG = 3_000  # policies at most


@pytest.fixture(scope="module")
def asked() -> Iterator[Upstream]:
    """Upstream's authorizer, built unless KUBE_CONFORMANCE_ORACLE is a program that is built already."""
    if BUILT is None and go() is None:
        pytest.skip("there is no Go here to build tools/oracle")
    with upstream(Path(BUILT) if BUILT else None) as running:
        yield running


def test_no_answer_differs_from_upstream(asked: Upstream) -> None:
    total = compare(asked, policies(11, 600, 30))
    assert not total.differences, total.say()
    assert total.decisions == 18_000
    assert 0.2 < total.allowed / total.decisions < 0.8
    assert all(total.cases[number] for number in total.cases), total.say()


# --- mistakes that others have made, or that are easily made ----------------------------------------------------------


def _verb(test: Callable[[str, str], bool]) -> Planted:
    return predicates, "verb_matches", lambda rule, asked: any(test(own, asked) for own in rule.verbs)


def _group(test: Callable[[str, str], bool]) -> Planted:
    return predicates, "api_group_matches", lambda rule, asked: any(test(own, asked) for own in rule.api_groups)


def _resource(test: Callable[[str, str, str], bool]) -> Planted:
    def matches(rule: Rule, combined: str, sub: str) -> bool:
        return any(test(own, combined, sub) for own in rule.resources)

    return predicates, "resource_matches", matches


def _name(test: Callable[[tuple[str, ...], str], bool]) -> Planted:
    return predicates, "resource_name_matches", lambda rule, asked: test(rule.resource_names, asked)


def _url(test: Callable[[str, str], bool]) -> Planted:
    return (
        predicates,
        "non_resource_url_matches",
        lambda rule, asked: any(test(u, asked) for u in rule.non_resource_urls),
    )


def _right_resource(own: str, combined: str, sub: str) -> bool:
    return own in ("*", combined) or bool(sub and own == f"*/{sub}")


def _subject(test: Callable[[Subject, Who], bool]) -> Planted:
    right = Subject.applies_to
    return Subject, "applies_to", lambda subject, who: test(subject, who) or right(subject, who)


def _names_ignored_for(verb: str) -> Planted:
    right = predicates.rule_allows

    def allows(attributes: Attributes, rule: Rule) -> bool:
        return right(attributes, replace(rule, resource_names=()) if attributes.verb == verb else rule)

    return predicates, "rule_allows", allows


def _names_also_for_paths() -> Planted:
    right = predicates.rule_allows

    def allows(attributes: Attributes, rule: Rule) -> bool:
        return right(attributes, rule) and not (attributes.path and rule.resource_names)

    return predicates, "rule_allows", allows


def _all_namespaces() -> Planted:
    def visit(self: Resolver, who: Who, _namespace: str) -> Iterator[Any]:
        yield from self._visit(who, tuple(self.bindings()))

    return Resolver, "visit_rules_for", visit


def _no_cluster_bindings_in_namespaces() -> Planted:
    def visit(self: Resolver, who: Who, namespace: str) -> Iterator[Any]:
        yield from self._visit(who, self.role_bindings.get(namespace, ()) if namespace else self.cluster_role_bindings)

    return Resolver, "visit_rules_for", visit


def _missing_role_ends_it() -> Planted:
    right = Resolver.visit_rules_for

    def visit(self: Resolver, who: Who, namespace: str) -> Iterator[Any]:
        for found in right(self, who, namespace):
            if isinstance(found, MissingRole):
                return
            yield found

    return Resolver, "visit_rules_for", visit


def _role_reference(change: Callable[[Binding], Binding]) -> Planted:
    right = Resolver.role_reference_rules
    return Resolver, "role_reference_rules", lambda self, binding: right(self, change(binding))


def _reading(change: Callable[[Json], Json]) -> Planted:
    right = Binding.of

    def of(document: Json, *, cluster_wide: bool) -> Binding:
        return right(change(document), cluster_wide=cluster_wide)

    return Binding, "of", of


def _only_first_subject(document: Json) -> Json:
    return {**document, "subjects": (document["subjects"] or ())[:1]}


def _no_foreign_groups(document: Json) -> Json:
    return {**document, "subjects": [it for it in document["subjects"] or () if it.get("apiGroup") != "foreign"]}


def _accounts_need_a_namespace(document: Json) -> Json:
    def whole(subject: Json) -> bool:
        return subject["kind"] != "ServiceAccount" or "namespace" in subject

    return {**document, "subjects": [it for it in document["subjects"] or () if whole(it)]}


def _labels_decide() -> Planted:
    right = Resolver.__init__

    def init(self: Resolver, rbac: Rbac) -> None:
        right(self, resolver.aggregated(rbac))

    return Resolver, "__init__", init


def _only_first_rule() -> Planted:
    right = resolver._rules
    return resolver, "_rules", lambda role: right(role)[:1]


def _trimmed() -> Planted:
    right = Rule.of

    def of(document: Json) -> Rule:
        return right({key: [word.strip() for word in words or ()] for key, words in document.items()})

    return Rule, "of", of


def _union_of(change: Callable[[Allowed], Allowed]) -> Planted:
    right = algebra.union
    return matrix, "union", lambda parts: change(right(parts))


def _points_without_star_subresources() -> Planted:
    right = Axis.__init__

    def init(self: Axis, points: Any) -> None:
        right(self, points)
        self._resources = {key: bits for key, bits in self._resources.items() if not key.startswith("*/")}

    return Axis, "__init__", init


def _points_where_star_is_no_subresource() -> Planted:
    right = Axis.__init__

    def init(self: Axis, points: Any) -> None:
        right(self, points)
        self._resources["*"] = algebra.mask(n for n, it in enumerate(self.points) if not it.path and not it.subresource)

    return Axis, "__init__", init


BUGS: dict[str, Callable[[], Planted]] = {
    "verbs in any case": lambda: _verb(lambda own, asked: own in {"*", asked} or own.lower() == asked.lower()),
    "verbs as patterns": lambda: _verb(fnmatchcase),
    "no star for verbs": lambda: _verb(lambda own, asked: own == asked),
    "star is for reading": lambda: _verb(lambda own, asked: own == asked or (own == "*" and asked in {"get", "list"})),
    "the core group is every group": lambda: _group(lambda own, asked: own in {"*", "", asked}),
    "star is for named groups": lambda: _group(lambda own, asked: own == asked or (own == "*" and asked != "")),
    "groups without a domain": lambda: _group(
        lambda own, asked: own == "*" or own.split(".")[0] == asked.split(".")[0]
    ),
    "a resource covers its subresources": lambda: _resource(
        lambda own, combined, sub: _right_resource(own, combined, sub) or own == combined.partition("/")[0]
    ),
    "RESOURCE/* covers subresources": lambda: _resource(
        lambda own, combined, sub: _right_resource(own, combined, sub) or fnmatchcase(combined, own)
    ),
    "no */SUBRESOURCE": lambda: _resource(lambda own, combined, _: own in ("*", combined)),
    "*/SUBRESOURCE by its end": lambda: _resource(
        lambda own, combined, sub: (
            _right_resource(own, combined, sub) or bool(sub and own.startswith("*/") and sub.endswith(own[2:]))
        )
    ),
    "*/SUBRESOURCE gives the resource": lambda: _resource(
        lambda own, combined, sub: _right_resource(own, combined, sub) or own.startswith("*/")
    ),
    "star is for resources proper": lambda: _resource(
        lambda own, combined, sub: _right_resource(own, combined, sub) and not (own == "*" and sub)
    ),
    "resources in any case": lambda: _resource(
        lambda own, combined, sub: _right_resource(own.lower(), combined.lower(), sub.lower())
    ),
    "names do not limit": lambda: _name(lambda _names, _asked: True),
    "a request without a name passes": lambda: _name(lambda names, asked: not names or not asked or asked in names),
    "an empty name is no name": lambda: _name(lambda names, asked: not any(names) or asked in names),
    "star as a name": lambda: _name(lambda names, asked: not names or asked in names or "*" in names),
    "names as patterns": lambda: _name(lambda names, asked: not names or any(fnmatchcase(asked, it) for it in names)),
    "names do not limit list": lambda: _names_ignored_for("list"),
    "names do not limit create": lambda: _names_ignored_for("create"),
    "names do not limit deletecollection": lambda: _names_ignored_for("deletecollection"),
    "names limit paths": _names_also_for_paths,
    "/x/* covers /x": lambda: _url(
        lambda own, asked: own == asked or (own.endswith("*") and f"{asked}/".startswith(own.rstrip("*")))
    ),
    "a star in the middle of a path": lambda: _url(fnmatchcase),
    "one star taken off": lambda: _url(
        lambda own, asked: own == asked or (own[-1:] == "*" and asked.startswith(own[:-1]))
    ),
    "paths in any case": lambda: _url(lambda own, asked: fnmatchcase(asked.lower(), own.lower())),
    "bindings of every namespace": _all_namespaces,
    "cluster-wide bindings outside of namespaces only": _no_cluster_bindings_in_namespaces,
    "a missing role ends the search": _missing_role_ends_it,
    "accounts of any namespace": lambda: _subject(
        lambda own, who: own.kind == "ServiceAccount" and who.user.endswith(f":{own.name}")
    ),
    "a group is a user": lambda: _subject(lambda own, who: own.kind == "Group" and own.name == who.user),
    "a user is a group": lambda: _subject(lambda own, who: own.kind == "User" and own.name in who.groups),
    "kinds of subjects in any case": lambda: _subject(
        lambda own, who: own.kind.title() == "User" and own.name == who.user
    ),
    "users in any case": lambda: _subject(lambda own, who: own.kind == "User" and own.name.lower() == who.user.lower()),
    "a binding finds any role of the name": lambda: _role_reference(
        lambda binding: replace(binding, role_kind="ClusterRole") if not binding.namespace else binding
    ),
    "a RoleBinding finds Roles only": lambda: _role_reference(
        lambda binding: replace(binding, role_kind="Role") if binding.namespace else binding
    ),
    "the first subject only": lambda: _reading(_only_first_subject),
    "subjects of foreign groups left out": lambda: _reading(_no_foreign_groups),
    "accounts need a namespace": lambda: _reading(_accounts_need_a_namespace),
    "labels decide": _labels_decide,
    "the first rule only": _only_first_rule,
    "spaces trimmed": _trimmed,
    "bit sets: unions lose names": lambda: _union_of(lambda allowed: Allowed(allowed.any_name)),
    "bit sets: names do not limit": lambda: _union_of(
        lambda allowed: Allowed(
            allowed.any_name | sum({*allowed.named.values()}) if len(allowed.named) == 1 else allowed.any_name
        )
    ),
    "bit sets: no */SUBRESOURCE": _points_without_star_subresources,
    "bit sets: star is for resources proper": _points_where_star_is_no_subresource,
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_mistake_is_found(bug: str, asked: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    place, name, wrong = BUGS[bug]()
    drawn = policies(23, FOR_ONE_BUG, 10)
    monkeypatch.setattr(place, name, staticmethod(wrong) if isinstance(place, type) and name == "of" else wrong)
    total = compare(asked, drawn, most_differences=1)
    assert total.differences, f"{total.decisions} decisions, and none shows it"
