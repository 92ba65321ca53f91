"""The five predicates: each line a rule, a request and what upstream's function of that name answers."""

from __future__ import annotations

import pytest

from conformance.model import Attributes
from conformance.rbac.predicates import (
    Rule,
    api_group_matches,
    non_resource_url_matches,
    resource_matches,
    resource_name_matches,
    rule_allows,
    rules_allow,
    verb_matches,
)


@pytest.mark.parametrize(
    ("verbs", "asked", "matches"),
    [
        (["get"], "get", True),
        (["*"], "invented", True),
        (["list", "get"], "get", True),
        (["get"], "GET", False),
        (["get*"], "get", False),
        ([" get"], "get", False),
        (["impersonate-on:user-info:*"], "impersonate-on:user-info:list", False),
        ([], "get", False),
        ([], "", False),
        ([""], "", True),
    ],
)
def test_verb_matches(verbs: list[str], asked: str, *, matches: bool) -> None:
    assert verb_matches(Rule.of({"verbs": verbs}), asked) is matches


@pytest.mark.parametrize(
    ("groups", "asked", "matches"),
    [
        ([""], "", True),
        ([""], "apps", False),
        (["apps"], "", False),
        (["*"], "", True),
        (["*"], "apps", True),
        (["apps/v1"], "apps", False),
        (["*.k8s.io"], "storage.k8s.io", False),
        ([], "", False),
    ],
)
def test_api_group_matches(groups: list[str], asked: str, *, matches: bool) -> None:
    assert api_group_matches(Rule.of({"apiGroups": groups}), asked) is matches


@pytest.mark.parametrize(
    ("resources", "combined", "subresource", "matches"),
    [
        (["pods"], "pods", "", True),
        (["pods"], "pods/log", "log", False),
        (["pods/log"], "pods/log", "log", True),
        (["pods/log"], "pods", "", False),
        (["*"], "pods/log", "log", True),
        (["pods/*"], "pods/log", "log", False),
        (["*/*"], "pods/log", "log", False),
        (["*/log"], "pods/log", "log", True),
        (["*/log"], "pods", "", False),
        (["*/og"], "pods/log", "log", False),
        (["*/"], "pods", "", False),
        (["*/log"], "*/log", "", True),
        (["**"], "pods", "", False),
        (["Pods"], "pods", "", False),
        ([], "", "", False),
    ],
)
def test_resource_matches(resources: list[str], combined: str, subresource: str, *, matches: bool) -> None:
    assert resource_matches(Rule.of({"resources": resources}), combined, subresource) is matches


@pytest.mark.parametrize(
    ("names", "asked", "matches"),
    [
        ([], "any", True),
        ([], "", True),
        (["a"], "a", True),
        (["a"], "b", False),
        (["a"], "", False),
        ([""], "", True),
        ([""], "a", False),
        (["*"], "a", False),
        (["a*"], "ab", False),
    ],
)
def test_resource_name_matches(names: list[str], asked: str, *, matches: bool) -> None:
    assert resource_name_matches(Rule.of({"resourceNames": names}), asked) is matches


@pytest.mark.parametrize(
    ("urls", "asked", "matches"),
    [
        (["*"], "/metrics", True),
        (["/metrics"], "/metrics", True),
        (["/metrics"], "/metrics/", False),
        (["/metrics/*"], "/metrics/", True),
        (["/metrics/*"], "/metrics/a/b", True),
        (["/metrics/*"], "/metrics", False),
        (["/debug/*/x"], "/debug/a/x", False),
        (["/debug/*/x"], "/debug/*/x", True),
        (["/logs*"], "/logsX/y", True),
        (["/logs**"], "/logs", True),
        (["/logs**"], "/logs*x", True),
        (["/a*b*"], "/a*bc", True),
        (["/a*b*"], "/axbc", False),
        (["/Metrics"], "/metrics", False),
        ([], "/metrics", False),
    ],
)
def test_non_resource_url_matches(urls: list[str], asked: str, *, matches: bool) -> None:
    assert non_resource_url_matches(Rule.of({"nonResourceURLs": urls}), asked) is matches


PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}


@pytest.mark.parametrize(
    ("rule", "asked", "allowed"),
    [
        (PODS, Attributes("get", resource="pods", version="v99", name="x"), True),
        (PODS, Attributes("get", resource="pods", subresource="log"), False),
        (PODS, Attributes("get", group="metrics.k8s.io", resource="pods"), False),
        (PODS, Attributes("list", resource="pods"), False),
        (PODS | {"resourceNames": ["x"]}, Attributes("get", resource="pods", name="x"), True),
        (PODS | {"resourceNames": ["x"]}, Attributes("get", resource="pods"), False),
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, Attributes("get", path="/metrics"), False),
        ({"nonResourceURLs": ["*"], "verbs": ["*"]}, Attributes("get", path="/metrics"), True),
        ({"nonResourceURLs": ["*"], "verbs": ["*"]}, Attributes("get", resource="pods"), False),
        ({"nonResourceURLs": None, "verbs": None, "apiGroups": None}, Attributes("get", resource="pods"), False),
    ],
)
def test_rule_allows(rule: dict[str, list[str]], asked: Attributes, *, allowed: bool) -> None:
    assert rule_allows(asked, Rule.of(rule)) is allowed
    assert rules_allow(asked, [Rule(), Rule.of(rule)]) is allowed
    assert not rules_allow(asked, [])
