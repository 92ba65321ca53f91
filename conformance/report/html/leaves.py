"""What the pages beside the matrix show: findings, escalation paths, checks, differences; opened when somebody looks.

None stands for what was not part of the run, which no page may show as if nothing had been found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.model import Verdict
from conformance.report.html.strip import looked_for
from conformance.report.summary import citations
from conformance.report.text import display

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.model import CheckResult, Difference, EscalationPath, Finding, Matrix, Witness

_VERDICTS = {verdict: number for number, verdict in enumerate(Verdict)}


def leaves(matrix: Matrix, rows: dict[str, int], columns: dict[str, int]) -> dict[str, Any]:
    """Return the pages' data; a row or column is its number in the matrix, or -1 where it is not one of it."""
    gate = matrix.gate
    return {
        "lookedFor": looked_for(matrix),
        "findings": [_finding(finding) for finding in matrix.findings],
        "checks": _checks(matrix.checks, rows, columns),
        "paths": None if matrix.paths is None else [_path(path, rows) for path in matrix.paths],
        "gate": None if gate is None else {"reason": display(gate.reason), "baseline": display(gate.baseline)},
        "differences": (
            None
            if gate is None or gate.differences is None
            else [_difference(difference, rows, columns) for difference in gate.differences]
        ),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": display(finding.id),
        "title": display(finding.title),
        "who": display(finding.identity),
        "witness": told(finding.witness),
        "description": display(finding.description),
        "fix": _lines(finding.fix),
        "references": [display(reference) for reference in finding.references],
        "places": [display(f"{file}:{line}") for file, line in finding.places],
    }


def _checks(checks: Iterable[CheckResult], rows: dict[str, int], columns: dict[str, int]) -> dict[str, Any]:
    """The catalogue, and the results as columns with texts that repeat as numbers: there may be many thousands."""
    texts: dict[str, int] = {}
    results = [
        [
            texts.setdefault(display(check.id), len(texts)),
            texts.setdefault(display(check.level), len(texts)),
            texts.setdefault(display(check.resource), len(texts)),
            columns.get(check.identity, -1),
            list(known(check.endpoints, rows)),
            _VERDICTS[check.verdict],
            texts.setdefault(display(check.note), len(texts)),
        ]
        for check in checks
    ]
    catalogue = [
        [cited.id, cited.level, cited.topic, cited.title, cited.quote, cited.url] for cited in citations().values()
    ]
    return {"texts": list(texts), "results": results, "catalogue": catalogue}


def _path(path: EscalationPath, rows: dict[str, int]) -> dict[str, Any]:
    return {
        "id": display(path.id),
        "severity": display(path.severity),
        "source": display(path.source),
        "target": display(path.target),
        "refused": display(path.refused),
        "made": display(path.made),
        "steps": [
            {
                "source": display(step.source),
                "target": display(step.target),
                "means": display(step.means),
                "proof": display(step.proof),
                "witness": told(step.witness),
                "row": rows.get(step.endpoint, -1),
                "note": display(step.note),
            }
            for step in path.steps
        ],
    }


def _difference(difference: Difference, rows: dict[str, int], columns: dict[str, int]) -> dict[str, Any]:
    return {
        "id": display(difference.id),
        "kind": display(difference.kind),
        "severity": display(difference.severity),
        "title": display(difference.title),
        "before": display(difference.before),
        "after": display(difference.after),
        "outcome": display(difference.outcome),
        "row": rows.get(difference.endpoint, -1),
        "column": columns.get(difference.identity, -1),
        "affected": [display(one) for one in difference.affected],
        "advice": display(difference.advice),
        "waiver": display(difference.waiver),
    }


def known(ids: Iterable[str], rows: dict[str, int]) -> Iterator[int]:
    """Give the numbers of those rows that are there."""
    return (rows[one] for one in ids if one in rows)


def _lines(text: str) -> str:
    """Return a text that may have lines: a patch."""
    return "\n".join(display(line) for line in text.split("\n"))


def told(witness: Witness) -> list[Any]:
    """A witness as a list: its kind, its text, the steps of its path."""
    return [witness.kind, display(witness.text), *(display(step) for step in witness.path)]
