"""Findings by themselves, without a matrix around them: for commands that look at roles and bindings alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import __version__
from conformance.model import Matrix, RunInfo
from conformance.report import sarif
from conformance.report.markdown import code
from conformance.report.summary import by_severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from conformance.model import CheckResult, Finding

_LONG = 1000  # characters; more is no sentence


def as_json(finding: Finding) -> dict[str, Any]:
    """Give a finding as matrix.json has it, and what is known of it beside."""
    witness = finding.witness
    return {
        "id": finding.id,
        "severity": finding.severity,
        "title": finding.title,
        "identity": finding.identity,
        "witness": {"kind": witness.kind, "text": witness.text, "path": [*witness.path]},
        "evidence": [*finding.evidence],
        "rule": finding.rule,
        "description": finding.description,
        "fix": finding.fix,
        "references": [*finding.references],
        "places": [{"file": file, "line": line} for file, line in finding.places],
    }


def document(findings: Sequence[Finding], form: str, *, origin: str = "", notes: Iterable[CheckResult] = ()) -> bytes:
    """Give findings as a file of a form: sarif or markdown."""
    if form == "sarif":
        return sarif.render(Matrix(_info(origin), (), (), (), (), tuple(findings)))
    return ("\n".join(_lines(findings, origin, notes)) + "\n").encode("utf-8", "replace")


def _info(origin: str) -> RunInfo:
    return RunInfo(
        id="",
        started_at="",
        seconds=0.0,
        mode="observe",
        complete=True,
        selection="",
        oracles=("rules",),
        namespaces={},
        planned=0,
        asked=0,
        tool="kube-conformance",
        tool_version=__version__,
        sent=0,
        retried=0,
        failed=0,
        provider="",
        server_version="",
        server=origin,
    )


def _lines(findings: Sequence[Finding], origin: str, notes: Iterable[CheckResult]) -> Iterator[str]:
    yield "# Findings"
    yield ""
    counted = ", ".join(f"{number:,} {severity}" for severity, number in by_severity(findings).items())
    yield f"{code(origin)}: {counted or 'none'}." if origin else f"{counted or 'none'}."
    order = {severity: number for number, severity in enumerate(by_severity(findings))}
    for finding in sorted(findings, key=lambda it: order[it.severity]):
        yield ""
        yield f"## {code(finding.severity)} {code(finding.id, _LONG)}"
        yield ""
        yield f"{code(finding.title)}: {code(finding.witness.text, _LONG)}"
        yield ""
        yield f"- an attacker: {code(finding.description, _LONG)}"
        yield f"- fix: {code(finding.fix, _LONG)}"
        yield from (f"- at {code(f'{file}:{line}')}" for file, line in finding.places)
        yield from (f"- see <{address}>" for address in finding.references if address.startswith("https://"))
    told = list(notes)
    if told:
        yield ""
        yield "## Exclusions that exclude nothing"
        yield ""
        yield from (f"- {code(note.resource)}: {code(note.note)}" for note in told)
