"""What a risk rule found, before it is worded for a report: enough to show it, and to work out what ends it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conformance.rbac.resolver import Binding, Subject
    from conformance.risks.rule import Risk

_PLAIN = re.compile(r"[\w.\-/:]*", re.ASCII)
_ODD = re.compile(r"[^\w.\-/:]", re.ASCII)
_PLACEHOLDER = re.compile(r"\{(own|other|run)\}")  # of what a run made itself


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit of a risk rule.

    It is about a subject of a binding and the role's rules with these numbers; or, where `binding` is None, about the
    role `role` alone. `bits` are the rights, over the endpoints of the risk rules; `names` the only objects that the
    rights are for, empty where they are for all. `made` says who made the binding, where that explains it away.
    `others` are bindings that have their part in it.
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
