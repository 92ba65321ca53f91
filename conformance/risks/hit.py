"""What a risk rule found, before it is worded for a report: enough to show it, and to work out what ends it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from conformance.risks import builtin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.rbac.predicates import Rule
    from conformance.rbac.resolver import Binding, Subject
    from conformance.risks.rule import Risk

_PLAIN = re.compile(r"[\w.\-/:]*", re.ASCII)
_ODD = re.compile(r"[^\w.\-/:]", re.ASCII)
_PLACEHOLDER = re.compile(r"\{(own|other|run)\}")  # of what a run made itself
BUILT_IN = "every cluster has this binding"
BY_KUBEADM = "kubeadm makes this binding on every cluster that it sets up"
OF_RUN = "the run made this binding for its own identity"


@dataclass(frozen=True, slots=True)
class Found:
    """What a role comes to for one risk rule in one kind of place."""

    risk: Risk
    numbers: tuple[int, ...]
    bits: int
    named: bool
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit of a risk rule.

    It is about a subject of a binding and the role's rules with these numbers; or, where `binding` is None, about the
    role `role` alone. `bits` are the rights, over the endpoints of the risk rules; `names` the only objects that the
    rights are for, empty where they are for all. `made` says who made the binding, where that explains it away.
    `others` are bindings that have their part in it; `as_whom` says as which subject, the binding's own first, each of
    them is held, where that is not `subject` itself but a group that it is in.
    """

    risk: Risk
    severity: str
    binding: Binding | None = None
    subject: Subject | None = None
    role: str = ""
    numbers: tuple[int, ...] = ()
    bits: int = 0
    names: tuple[str, ...] = ()
    text: str = ""
    made: str = ""
    others: tuple[Binding, ...] = ()
    as_whom: tuple[Subject, ...] = ()

    def holder(self, number: int = 0) -> Subject | None:
        """Say as which subject the binding is held, or the nth of the others (from 1)."""
        return self.as_whom[number] if self.as_whom else self.subject

    @property
    def namespace(self) -> str:
        """The namespace that it is held in, "" for the whole cluster."""
        return self.binding.namespace if self.binding else ""

    @property
    def id(self) -> str:
        """The same in equal runs: rule, subject and binding, or rule and role; of word characters and `. - / : +`."""
        parts = [self.risk.id]
        if self.subject is not None:
            parts.append(_joined(self.subject.kind, self.subject.namespace, self.subject.name))
        if self.binding is not None:
            kind = "RoleBinding" if self.binding.namespace else "ClusterRoleBinding"
            parts.append(_joined(kind, self.binding.namespace, self.binding.name))
        else:
            parts.append(_joined(*self.role.split(" ", 1)))
        return ":".join(parts)


@lru_cache(maxsize=1 << 17)  # a large cluster's subjects and bindings come again in finding after finding
def _joined(*parts: str) -> str:
    return "/".join(spelled(part) for part in parts if part)


def spelled(text: str) -> str:
    """Give a text in the letters of ids, any other byte as `+` and two hexadecimal digits; placeholders as words."""
    if _PLAIN.fullmatch(text):
        return text
    text = _PLACEHOLDER.sub(r"\1", text)
    return _ODD.sub(lambda odd: "".join(f"+{byte:02x}" for byte in odd[0].encode("utf-8", "replace")), text)


def union_of(masks: Iterable[int]) -> int:
    """Put rights together."""
    found = 0
    for mask in masks:
        found |= mask
    return found


def worded(
    found: Found,
    binding: Binding,
    subject: Subject,
    ways: list[tuple[Binding, Subject, tuple[Rule, ...]]],
    run: frozenset[str],
    *,
    made: str = "",
) -> Hit:
    """Make the hit of what a role comes to for somebody; `ways` are the bindings that it takes, `run` those of runs."""
    names = [str(way) for way, _, _ in ways]
    if made or all(name in run for name in names):
        made = OF_RUN
    elif not all(map(builtin.is_known, names)):
        pass  # nobody but the cluster's own people made it
    elif all(_built_in(*way) for way in ways):
        made = BUILT_IN
    elif all(_built_in(*way) or builtin.by_kubeadm(*way) for way in ways):
        made = BY_KUBEADM
    severity = "info" if made else found.risk.severity.at(binding.namespace, named=found.named)
    return Hit(
        found.risk,
        severity,
        binding,
        subject,
        binding.role,
        found.numbers,
        found.bits,
        found.names,
        made=made,
    )


def _built_in(binding: Binding, subject: Subject, rules: tuple[Rule, ...]) -> bool:
    return builtin.gives(binding, subject) and all(builtin.has_rule(binding.role, rule) for rule in rules)
