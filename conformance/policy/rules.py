"""The gate's policy: which differences fail, warn or pass. The first rule that fits decides, then the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from conformance.compare import SEVERITIES, change_of
from conformance.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conformance.model import Difference

KINDS = ("api", "schema", "permission", "behaviour", "risk", "cluster", "manifest", "timing", "run")
OUTCOMES = ("fail", "warn", "pass")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it fits, where a pattern's `*` stands for any text; `severity` is the least one."""

    outcome: str
    kind: str = "*"
    change: str = "*"
    severity: str = "info"
    group: str = "*"
    identity: str = "*"

    def fits(self, difference: Difference) -> bool:
        """Whether it decides this difference."""
        return (
            fnmatchcase(difference.kind, self.kind)
            and fnmatchcase(change_of(difference), self.change)
            and SEVERITIES.index(difference.severity) <= SEVERITIES.index(self.severity)
            and fnmatchcase(_group(difference), self.group)
            and fnmatchcase(difference.identity, self.identity)
        )


# SEMANTICS: a served API gone while in use, a permission lost that somebody needs, a newly allowed cell that is part of
# a finding of high or worse, a newly required field, a check from pass to fail, any unknown. `compare` gives these
# their severity by what was seen in use.
DEFAULTS = (
    Rule("fail", change="api-gone", severity="high"),
    Rule("fail", change="api-unavailable"),
    Rule("fail", change="subresource-gone", severity="high"),
    Rule("fail", change="verb-lost", severity="high"),
    Rule("fail", change="scope-changed"),
    Rule("fail", change="crd-gone", severity="high"),
    Rule("fail", change="crd-version-unserved", severity="high"),
    Rule("fail", kind="permission", change="*-lost", severity="high"),
    Rule("fail", kind="permission", change="*-gained", severity="high"),
    Rule("fail", change="field-required"),
    Rule("fail", change="check-failed", severity="high"),
    Rule("fail", change="expectation-failed"),
    Rule("fail", change="cell-failed"),
    Rule("fail", change="unknown"),
    Rule("fail", kind="risk", change="finding-new", severity="high"),
    Rule("fail", kind="manifest", severity="high"),
    Rule("fail", kind="run"),
    Rule("warn", severity="medium"),
    Rule("pass"),
)


def decide(difference: Difference, rules: Sequence[Rule] = ()) -> str:
    """Give `fail`, `warn` or `pass`."""
    return next(rule.outcome for rule in (*rules, *DEFAULTS) if rule.fits(difference))


def _group(difference: Difference) -> str:
    """Give the API group that a difference is about, `core` for the one without a name."""
    subject = difference.id.partition(":")[2]
    if difference.kind == "api":
        parts = subject.partition(":")[0].split("/")
        return parts[0] if "." in parts[0] or not parts[0].startswith("v") else "core"
    if difference.kind == "permission" and "@" in subject:
        what = subject.partition("@")[2].partition(":")[2].partition(":")[0].partition("/")[0]
        return what.partition(".")[2] or "core"
    return ""


def read(entries: object, file: Path, line: int | None) -> tuple[Rule, ...]:
    """Read the setting `gate`: a list of mappings with `outcome` and what they fit."""
    valid = {
        "outcome": OUTCOMES,
        "kind": (*KINDS, "*"),
        "severity": SEVERITIES,
        "change": None,
        "group": None,
        "identity": None,
    }
    if not isinstance(entries, list):
        raise FileError(file, line, "gate: has to be a list of rules")
    found = []
    for number, entry in enumerate(entries, 1):
        place = f"gate[{number}]"
        if not isinstance(entry, dict) or "outcome" not in entry:
            raise FileError(file, line, f"{place}: has to be a mapping with the key outcome")
        for key, value in entry.items():
            if key not in valid:
                raise FileError(file, line, f"{place}: unknown key {key!r}; valid keys: {', '.join(valid)}")
            words: Any = valid[key]
            if not isinstance(value, str) or (words is not None and value not in words):
                said = f"one of {', '.join(words)}" if words else "a text"
                raise FileError(file, line, f"{place}.{key}: {value!r} is not valid; valid: {said}")
        found.append(Rule(**entry))
    return tuple(found)
