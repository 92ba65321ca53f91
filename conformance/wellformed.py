"""What keeps a role or binding of a file from being read: what a server would refuse, and what hides a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from conformance.model import Json

DEEPEST = 32  # levels; an anchor within itself would have no end
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_LISTS = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")


def wrong(item: Json) -> str:
    """Say what keeps an object from being read, empty when nothing does."""
    problem = _wrong_reference(item.get("roleRef")) if str(item["kind"]).endswith("Binding") else ""
    for key in ("rules", "subjects"):
        entries = item.get(key)
        if not isinstance(entries, list | None) or not all(isinstance(entry, dict) for entry in entries or ()):
            return f"{key} has to be a list of mappings"
    for number, rule in enumerate(item.get("rules") or ()):
        for key in _LISTS:
            words = rule.get(key)
            if not isinstance(words, list | None) or not all(isinstance(word, str) for word in words or ()):
                return f"rules[{number}].{key} has to be a list of texts"
    for number, subject in enumerate(item.get("subjects") or ()):
        if not all(isinstance(subject.get(key) or "", str) for key in ("kind", "name", "namespace")):
            return f"subjects[{number}]: kind, name and namespace have to be texts"
    return problem or _wrong_aggregation(item.get("aggregationRule"))


def _wrong_reference(reference: object) -> str:
    if reference is None:
        return "roleRef is missing"
    if not isinstance(reference, dict):
        return "roleRef has to be a mapping"
    wanted = (key for key in ("kind", "name") if not reference.get(key) or not isinstance(reference[key], str))
    return next((f"roleRef.{key} has to be a text" for key in wanted), "")


def _wrong_aggregation(rule: object) -> str:
    if rule is None:
        return ""
    if not isinstance(rule, dict):
        return "aggregationRule has to be a mapping"
    selectors = rule.get("clusterRoleSelectors") or []
    if not isinstance(selectors, list) or not all(isinstance(it, dict) for it in selectors):
        return "aggregationRule.clusterRoleSelectors has to be a list of mappings"
    for number, selector in enumerate(selectors):
        if not isinstance(selector.get("matchLabels") or {}, dict):
            return f"aggregationRule.clusterRoleSelectors[{number}].matchLabels has to be a mapping"
        expressions = selector.get("matchExpressions") or []
        if not isinstance(expressions, list) or not all(map(_is_expression, expressions)):
            fields = f"key, operator ({', '.join(_OPERATORS)}) and values"
            return f"aggregationRule.clusterRoleSelectors[{number}].matchExpressions have {fields}"
    return ""


def _is_expression(value: object) -> bool:
    it = mapping(value)
    return (
        isinstance(it.get("key"), str) and it.get("operator") in _OPERATORS and isinstance(it.get("values") or [], list)
    )


def twice(node: yaml.Node) -> tuple[str, int] | None:
    """Give a key that stands twice in one mapping, with its line: what is read of the first one is nothing."""
    seen: set[int] = set()  # what anchors have stand in many places is looked at once
    left = [node]
    while left:
        here = left.pop()
        if isinstance(here, yaml.ScalarNode) or id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, yaml.SequenceNode):
            left += here.value
            continue
        keys: set[str] = set()
        for key, value in here.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    return key.value, key.start_mark.line + 1
                keys |= {key.value} - {"<<"}
            left.append(value)
    return None


def mapping(value: object) -> Json:
    """Give a value that has to be a mapping, an empty one for anything else."""
    return value if isinstance(value, dict) else {}
