"""How bad a finding is: five words, and which of them holds where."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("info", "low", "medium", "high", "critical")
# Who rules here rules the cluster: its service accounts hold the controllers' rights.
SYSTEM_NAMESPACES = frozenset({"kube-system"})


def at_least(severity: str, least: str) -> bool:
    """Say whether a severity is as bad as another, or worse."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)


@dataclass(frozen=True, slots=True)
class Severity:
    """How bad it is: held in the whole cluster, in one namespace, and for objects of certain names only."""

    cluster: str
    namespace: str
    named: str

    def at(self, namespace: str, *, named: bool) -> str:
        """Give the severity in a place: "" is the whole cluster, and kube-system counts as that."""
        whole = not namespace or namespace in SYSTEM_NAMESPACES
        if named:
            return self.named
        return self.cluster if whole else self.namespace
