"""Which rules apply to somebody in a namespace, and where each comes from.

Upstream: pkg/registry/rbac/validation/rule.go. Cluster role bindings come first, then the role bindings of the
namespace. A role that does not exist is an error beside the rules, never an end of the search: rules only add.

Of an aggregated ClusterRole the authorizer reads `rules` and nothing else; its `aggregationRule` is an order to the
controller manager, which fills `rules` from labels. So deciding never looks at labels. `aggregated` gives the objects
as the controller will leave them, for manifests that no controller has seen.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from conformance.rbac.predicates import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from conformance.model import Json, Rbac

MASTERS = "system:masters"  # allowed everything before any rule is looked at
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
# The words of Rbac.incomplete, whatever way they are spelled there.
KINDS = ("clusterrolebindings", "clusterroles", "rolebindings", "roles")


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody as the authorizer sees them; upstream: user.Info. Only these two decide in RBAC."""

    user: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Subject:
    """One entry of a binding's `subjects`, named as the binding's namespace makes it. Its apiGroup plays no part."""

    kind: str
    name: str
    namespace: str = ""

    def applies_to(self, who: Who) -> bool:
        """Say whether the subject means this somebody; upstream: appliesToUser."""
        match self.kind:
            case "User":
                return self.name == who.user
            case "Group":
                return self.name in who.groups
            case "ServiceAccount":
                # Without a namespace of its own or of its binding it is nobody.
                return bool(self.namespace) and who.user == f"{SERVICE_ACCOUNT_PREFIX}{self.namespace}:{self.name}"
            case _:
                return False

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Binding:
    """A ClusterRoleBinding (its namespace is empty) or a RoleBinding."""

    namespace: str
    name: str
    role_kind: str
    role_name: str
    subjects: tuple[Subject, ...]

    @classmethod
    def of(cls, document: Json, *, cluster_wide: bool) -> Binding:
        """Read a binding from API JSON; a ServiceAccount without a namespace is of the binding's own."""
        metadata, role = document["metadata"], document["roleRef"]
        namespace = "" if cluster_wide else metadata.get("namespace", "")
        return cls(
            namespace=namespace,
            name=metadata["name"],
            role_kind=role.get("kind", ""),
            role_name=role.get("name", ""),
            subjects=tuple(
                Subject(
                    kind=subject.get("kind", ""),
                    name=subject.get("name", ""),
                    namespace=(subject.get("namespace") or namespace)
                    if subject.get("kind") == "ServiceAccount"
                    else "",
                )
                for subject in document.get("subjects") or ()
            ),
        )

    def applies_to(self, who: Who) -> Subject | None:
        """Give the first subject that means this somebody; upstream: appliesTo."""
        return next((subject for subject in self.subjects if subject.applies_to(who)), None)

    @property
    def principals(self) -> Iterator[Principal]:
        """The users and groups that the subjects mean, for looking bindings up by them."""
        for subject in self.subjects:
            if subject.kind in {"User", "Group"}:
                yield subject.kind, subject.name
            elif subject.kind == "ServiceAccount" and subject.namespace:
                yield "User", f"{SERVICE_ACCOUNT_PREFIX}{subject.namespace}:{subject.name}"

    @property
    def role(self) -> str:
        """The role's full name: `ClusterRole view`, or `Role t1/reader` in the binding's namespace."""
        place = f"{self.namespace}/" if self.role_kind == "Role" else ""
        return f"{self.role_kind} {place}{self.role_name}"

    def __str__(self) -> str:
        return f"RoleBinding {self.namespace}/{self.name}" if self.namespace else f"ClusterRoleBinding {self.name}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule comes from: the subject that applies, its binding and the rule's number in the role."""

    subject: Subject
    binding: Binding
    number: int

    @property
    def path(self) -> tuple[str, str, str, str]:
        """Subject, binding, role and rule, as a witness shows them."""
        return str(self.subject), str(self.binding), self.binding.role, f"rules[{self.number}]"


@dataclass(frozen=True, slots=True)
class MissingRole:
    """A binding that applies but whose role is not there (or could not be read): it gives nothing."""

    subject: Subject
    binding: Binding

    def __str__(self) -> str:
        return f"{self.binding} gives {self.subject} the {self.binding.role}, which does not exist"


Principal = tuple[str, str]  # ("User" or "Group", name)
Visit = tuple[Source, Rule] | MissingRole


class Resolver:
    """Answers which rules apply to somebody; made once for the RBAC objects of a snapshot."""

    def __init__(self, rbac: Rbac) -> None:
        self.cluster_role_bindings = tuple(Binding.of(it, cluster_wide=True) for it in rbac.cluster_role_bindings)
        self.role_bindings: dict[str, list[Binding]] = defaultdict(list)
        for document in rbac.role_bindings:
            binding = Binding.of(document, cluster_wide=False)
            self.role_bindings[binding.namespace].append(binding)
        self._roles: dict[tuple[str, str, str], tuple[Rule, ...]] = {}
        self._names: dict[tuple[str, str], list[str]] | None = None
        for document in rbac.cluster_roles:
            self._roles["ClusterRole", "", document["metadata"]["name"]] = _rules(document)
        for document in rbac.roles:
            metadata = document["metadata"]
            self._roles["Role", metadata.get("namespace", ""), metadata["name"]] = _rules(document)

    def bindings(self) -> Iterator[Binding]:
        """Give every binding: cluster-wide first, then those of each namespace."""
        yield from self.cluster_role_bindings
        for bindings in self.role_bindings.values():
            yield from bindings

    def role_reference_rules(self, binding: Binding) -> tuple[Rule, ...] | None:
        """Give the rules of a binding's role, None where it is missing; upstream: GetRoleReferenceRules.

        A ClusterRoleBinding can only refer to a ClusterRole.
        """
        if binding.role_kind == "Role" and not binding.namespace:
            return None
        namespace = binding.namespace if binding.role_kind == "Role" else ""
        return self._roles.get((binding.role_kind, namespace, binding.role_name))

    def names_of_roles(self, kind: str, namespace: str) -> tuple[str, ...]:
        """Give the names of the ClusterRoles, or of the Roles of a namespace."""
        if self._names is None:
            self._names = defaultdict(list)
            for role, place, name in self._roles:
                self._names[role, place].append(name)
        return tuple(self._names.get((kind, namespace), ()))

    def rule(self, source: Source) -> Rule:
        """Give the rule that a source names."""
        return (self.role_reference_rules(source.binding) or ())[source.number]

    def visit_rules_for(self, who: Who, namespace: str) -> Iterator[Visit]:
        """Visit each rule that applies to somebody in a namespace ("" for none); upstream: VisitRulesFor."""
        yield from self._visit(who, self.cluster_role_bindings)
        if namespace:
            yield from self._visit(who, self.role_bindings.get(namespace, ()))

    def _visit(self, who: Who, bindings: Sequence[Binding]) -> Iterator[Visit]:
        for binding in bindings:
            subject = binding.applies_to(who)
            if subject is None:
                continue
            rules = self.role_reference_rules(binding)
            if rules is None:
                yield MissingRole(subject, binding)
                continue
            for number, rule in enumerate(rules):
                yield Source(subject, binding, number), rule


def _rules(role: Json) -> tuple[Rule, ...]:
    return tuple(Rule.of(rule) for rule in role.get("rules") or ())


def unread(rbac: Rbac) -> frozenset[str]:
    """Give the kinds (plural, lower case) that could not be read; an entry that names none of them stands for all."""
    kinds: set[str] = set()
    for entry in rbac.incomplete:
        word = re.sub(r"[^a-z]", "", entry.lower())
        kinds.update({kind for kind in KINDS if word.startswith(kind)} or KINDS)
    return frozenset(kinds)


def aggregated(rbac: Rbac) -> Rbac:
    """Give the RBAC objects as the controller manager will leave them: aggregated ClusterRoles filled from labels.

    A role with an `aggregationRule` loses rules of its own, as there. Roles that feed each other are filled until
    nothing changes. Upstream: pkg/controller/clusterroleaggregation.
    """
    roles = {role["metadata"]["name"]: role for role in rbac.cluster_roles}
    collectors = [name for name, role in roles.items() if role.get("aggregationRule")]
    feeders = {name: _feeders(roles[name], rbac.cluster_roles) for name in collectors}
    # What a collector holds of its own goes first, else two that feed each other would keep each other's for ever.
    roles |= {name: {**roles[name], "rules": []} for name in collectors}
    growing = bool(collectors)
    while growing:
        growing = False
        for name in collectors:
            rules: list[Json] = []
            for rule in (rule for feeder in feeders[name] for rule in roles[feeder].get("rules") or ()):
                if rule not in rules:
                    rules.append(rule)
            growing |= len(rules) > len(roles[name]["rules"])
            roles[name] = {**roles[name], "rules": rules}
    return replace(rbac, cluster_roles=tuple(roles[role["metadata"]["name"]] for role in rbac.cluster_roles))


def filled(rbac: Rbac) -> Rbac:
    """Give the objects with those aggregated ClusterRoles filled that are empty, as manifests have them.

    What holds rules came from a cluster, whose other roles may not all be among these objects.
    """
    roles = zip(rbac.cluster_roles, aggregated(rbac).cluster_roles, strict=True)
    return replace(rbac, cluster_roles=tuple(role if role.get("rules") else full for role, full in roles))


def _feeders(collector: Json, roles: Sequence[Json]) -> list[str]:
    """Name the roles that a collector's selectors choose: selector by selector, each in order of names."""
    own = collector["metadata"]["name"]
    by_name = sorted(roles, key=lambda role: role["metadata"]["name"])
    return [
        role["metadata"]["name"]
        for selector in collector["aggregationRule"].get("clusterRoleSelectors") or ()
        for role in by_name
        if role["metadata"]["name"] != own and selects(selector, role["metadata"].get("labels") or {})
    ]


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Say whether a LabelSelector chooses these labels; an empty one chooses everything."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], expression.get("values") or ()
        match expression["operator"]:
            case "In":
                chosen = labels.get(key) in values if key in labels else False
            case "NotIn":
                chosen = key not in labels or labels[key] not in values
            case "Exists":
                chosen = key in labels
            case "DoesNotExist":
                chosen = key not in labels
            case operator:
                raise ValueError(f"a label selector has no operator {operator!r}")
        if not chosen:
            return False
    return True
