"""Findings that the user accepts: a file of them, each with its reason, and what became of each line."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from conformance.model import CheckResult, Verdict
from conformance.yamlfile import Key, Node, date, each, line, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from conformance.model import Finding, Json

CHECK = "RISK-EXCLUSION"  # the id under which lines that say nothing stand among the checks


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One line: findings whose id the shell pattern means are accepted, up to the end of a day where it says one."""

    finding: str
    reason: str
    owner: str
    until: dt.date | None
    file: str
    line: int

    def means(self, finding: Finding) -> bool:
        """Say whether it is this finding that is accepted; a rule's id alone means all its findings."""
        return finding.rule == self.finding or fnmatchcase(finding.id, self.finding)

    def expired(self, today: dt.date) -> bool:
        """Say whether it has ended, so that it accepts nothing any more."""
        return self.until is not None and today > self.until


def load(path: Path) -> tuple[Exclusion, ...]:
    """Read a file of exclusions."""
    return tuple(read(path).table({"exclusions": Key(each(_exclusion), required=True)})["exclusions"])


def _exclusion(node: Node) -> Exclusion:
    keys = {
        "finding": Key(line, required=True),
        "reason": Key(line, required=True),
        "owner": Key(line, default=""),
        "until": Key(date),
    }
    return Exclusion(**node.table(keys), file=node.file.name, line=node.line)


def dump(exclusion: Exclusion) -> Json:
    """Give a line as a run stores it."""
    stored = {key: getattr(exclusion, key) for key in Exclusion.__slots__}
    return stored | {"until": exclusion.until.isoformat() if exclusion.until else None}


def restore(stored: Json) -> Exclusion:
    """Read a stored line back."""
    until = stored.get("until")
    return Exclusion(**(stored | {"until": dt.date.fromisoformat(until) if until else None}))


def apply(
    findings: Sequence[Finding], exclusions: Iterable[Exclusion], today: dt.date
) -> tuple[tuple[Finding, ...], tuple[CheckResult, ...]]:
    """Leave the accepted findings out; give what is to be said of lines that accept nothing, as results of a check."""
    left = tuple(findings)
    said: list[CheckResult] = []
    for exclusion in exclusions:
        meant = [finding for finding in findings if exclusion.means(finding)]
        if exclusion.expired(today):
            if meant:
                said.append(_said(exclusion, f"ended on {exclusion.until}: {len(meant)} of its findings count again"))
            else:
                said.append(_said(exclusion, f"ended on {exclusion.until}, and no finding is left: remove the line"))
        elif not meant:
            said.append(_said(exclusion, "no finding has such an id any more: remove the line"))
        else:
            left = tuple(finding for finding in left if not exclusion.means(finding))
    return left, tuple(said)


def _said(exclusion: Exclusion, note: str) -> CheckResult:
    place = f"{exclusion.file}:{exclusion.line}"
    return CheckResult(CHECK, "INFO", place, "", (), Verdict.INFO, f"{exclusion.finding}: {note}")
