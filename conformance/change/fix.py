"""The patch that ends a finding: a narrower role where that is possible, else a binding without the subject.

A patch is proved on the objects that it was made from: they are changed as it says and looked through again.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.change import objects
from conformance.change.narrow import VERBS, as_json, spelled_out, without
from conformance.errors import UsageError
from conformance.rbac.algebra import bits_of
from conformance.rbac.predicates import Rule
from conformance.rbac.resolver import Binding
from conformance.risks import builtin
from conformance.risks.scan import Scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conformance.change.objects import Key
    from conformance.grants import Grants
    from conformance.model import Json, Rbac
    from conformance.rbac.resolver import Subject
    from conformance.risks.hit import Hit
    from conformance.risks.rule import Risk

NEAREST = 5
_SUBJECT_FIRST = frozenset({"missing-role", "right-twice", "foreign-account", "empty-binding"})


@dataclass(frozen=True, slots=True)
class Patch:
    """One change of one object: what is done in words, the JSON patch (None deletes it) and the object afterwards."""

    key: Key
    said: str
    operations: list[Json] | None
    after: Json | None

    @property
    def command(self) -> str:
        """What to type for it."""
        kind, namespace, name = self.key
        place = ["-n", namespace] if namespace else []
        if self.operations is None:
            return shlex.join(["kubectl", "delete", kind.lower(), name, *place])
        patch = json.dumps(self.operations, separators=(",", ":"))
        return shlex.join(["kubectl", "patch", kind.lower(), name, *place, "--type=json", "-p", patch])


@dataclass(frozen=True, slots=True)
class Fix:
    """A patch that was seen to end a finding, and the objects as it leaves them."""

    hit: Hit
    patch: Patch
    after: Rbac


def find(hits: Sequence[Hit], wanted: str) -> Hit:
    """Give the finding of an id; one that is not there is an error that names those that are near."""
    for hit in hits:
        if hit.id == wanted:
            return hit
    near = [hit.id for hit in hits if hit.id.startswith(wanted.partition(":")[0]) and hit.severity != "info"]
    near = near or [hit.id for hit in hits if hit.severity != "info"]
    more = f" and {len(near) - NEAREST} more" if len(near) > NEAREST else ""
    raise UsageError(f"there is no finding {wanted!r} here; there are {', '.join(near[:NEAREST]) or 'none'}{more}")


def fix(grants: Grants, risks: Sequence[Risk], wanted: str) -> Fix:
    """Give the first patch that ends a finding, from the one that takes least away on."""
    scan = Scan(risks, grants.served)
    hit = find(scan.hits(grants.rbac), wanted)
    for patch in _patches(grants, scan, hit):
        after = objects.put(grants.rbac, {patch.key: patch.after})
        if all(it.id != hit.id for it in scan.hits(after)):
            return Fix(hit, patch, after)
    raise UsageError(f"{hit.id}: no patch of one role or binding ends it")


def _patches(grants: Grants, scan: Scan, hit: Hit) -> Iterator[Patch]:
    known = objects.by_key(grants.rbac)
    role_key = _role_key(hit)
    role = known.get(role_key)
    editable = role is not None and not builtin.is_default_role(hit.role) and not role.get("aggregationRule")
    everything = len(hit.risk.match.wildcard) > 1  # spelled out it would be a list of all that there is
    about_subject = (
        everything or hit.risk.match.subjects or hit.risk.match.roles or hit.risk.match.check in _SUBJECT_FIRST
    )
    if role is not None and editable and not about_subject:
        yield from _of_role(grants, scan, hit, role_key, role)
    if role is not None and hit.risk.match.check == "default-role-changed":
        rules = [rule for number, rule in enumerate(role.get("rules") or ()) if number not in hit.numbers]
        yield _replaced(role_key, role, "rules", rules, f"take the added rules out of {hit.role}")
    if hit.binding is not None:
        for number, binding in enumerate((hit.binding, *hit.others)):
            document = known.get(_binding_key(binding))
            if document is not None:
                yield _unbound(hit.holder(number), binding, document)


def _of_role(grants: Grants, scan: Scan, hit: Hit, key: Key, role: Json) -> Iterator[Patch]:
    check = hit.risk.match.check
    if check == "unused-role":
        yield Patch(key, f"delete {hit.role}", None, None)
    elif check == "feeds-default-role":
        labels = {k: v for k, v in builtin.labels(role).items() if "/aggregate-to-" not in k}
        after = {**role, "metadata": {**role["metadata"], "labels": labels}}
        operations: list[Json] = [{"op": "replace", "path": "/metadata/labels", "value": labels}]
        yield Patch(key, f"take the labels off {hit.role}", operations, after)
    elif check == "ineffective-rule":
        rules = [Rule.of(it) for it in role.get("rules") or ()]
        trimmed = [_effective(rule) if n in hit.numbers else rule for n, rule in enumerate(rules)]
        rest = [rule for n, rule in enumerate(rules) if n not in hit.numbers]
        for found in ([it for it in trimmed if it is not None], rest):
            yield _replaced(key, role, "rules", as_json(found), f"leave out of {hit.role} what gives nothing")
    elif hit.bits or hit.risk.match.wildcard:
        yield from _narrowed(grants, scan, hit, key, role)


def _narrowed(grants: Grants, scan: Scan, hit: Hit, key: Key, role: Json) -> Iterator[Patch]:
    rules = [Rule.of(it) for it in role.get("rules") or ()]
    served = _served(grants)
    for mask in _choices(scan, hit):
        points = [scan.rights.axis.points[number] for number in bits_of(mask)]
        changed: list[Rule] = []
        for number, rule in enumerate(rules):
            part: list[Rule] | None = [rule]
            if number in hit.numbers:
                part = without(rule, points, served) if points else spelled_out(rule, hit.risk.match.wildcard, served)
            if part is None:
                return
            changed += part
        said = f"narrow {hit.role}: without {'; '.join(scan.rights.words(mask)) or 'the *'}"
        yield _replaced(key, role, "rules", as_json(changed), said)


def _choices(scan: Scan, hit: Hit) -> list[int]:
    """Give sets of endpoints of which each is enough to take: of several rights that are needed together one."""
    masks = [scan.rights.mask(pattern) & hit.bits for pattern in hit.risk.match.all] or [hit.bits]
    return sorted((it for it in masks if it), key=int.bit_count) or [0]


def _effective(rule: Rule) -> Rule | None:
    resources = tuple(it for it in rule.resources if not it.endswith("/*"))
    urls = tuple(it for it in rule.non_resource_urls if "*" not in it[:-1])
    if not resources and not urls:
        return None
    return Rule(rule.verbs, rule.api_groups, resources, rule.resource_names, urls)


def _served(grants: Grants) -> dict[tuple[str, str], tuple[str, ...]]:
    if grants.catalog is not None:
        return {(it.group, it.plural): it.verbs for it in grants.catalog.resources}
    return dict.fromkeys(grants.served.resources, VERBS)


def _replaced(key: Key, document: Json, field: str, value: list[Json], said: str) -> Patch:
    return Patch(key, said, [{"op": "replace", "path": f"/{field}", "value": value}], {**document, field: value})


def _unbound(who: Subject | None, binding: Binding, document: Json) -> Patch:
    """Take the subject out of a binding, which is deleted when nobody is left."""
    key = _binding_key(binding)
    held = Binding.of(document, cluster_wide=not binding.namespace).subjects
    subjects = document.get("subjects") or []
    left = [it for it, subject in zip(subjects, held, strict=True) if who is not None and subject != who]
    if not left:
        return Patch(key, f"delete {binding}", None, None)
    return _replaced(key, document, "subjects", left, f"take {who} out of {binding}")


def _role_key(hit: Hit) -> Key:
    kind, _, name = hit.role.partition(" ")
    namespace, slash, bare = name.partition("/")
    return (kind, namespace, bare) if kind == "Role" and slash else (kind, "", name)


def _binding_key(binding: Binding) -> Key:
    kind = "RoleBinding" if binding.namespace else "ClusterRoleBinding"
    return kind, binding.namespace, binding.name
