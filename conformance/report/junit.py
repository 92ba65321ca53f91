"""junit.xml: one test case a cell or check, for the test pages of CI systems.

What Jenkins and GitLab both read: testsuites > testsuite > testcase > failure | error | skipped | system-out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from conformance.model import Verdict
from conformance.report.summary import because, opinions, state
from conformance.report.text import display

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.model import Cell, Endpoint, Identity, Matrix
    from conformance.report import Evidence

NAME = "junit"
FILE = "junit.xml"


class _Case(NamedTuple):
    classname: str
    name: str
    verdict: Verdict
    message: str
    detail: str
    waived: str = ""  # by what, where a waiver covers its failure


def render(matrix: Matrix, evidence: Evidence | None = None) -> bytes:  # noqa: ARG001  # the face of a format
    """Return junit.xml: a suite of the cells and a suite of the checks."""
    run = matrix.run
    endpoints = {endpoint.id: endpoint for endpoint in matrix.endpoints}
    identities = {identity.name: identity for identity in matrix.identities}
    waived = {  # what was decided on, without the kind of difference that its id begins with -> by what
        one.id.partition(":")[2]: one.waiver
        for one in ((matrix.gate and matrix.gate.differences) or ())
        if one.outcome == "waived"
    }
    access = [
        _cell_case(
            cell,
            endpoints[cell.endpoint],
            identities[cell.identity],
            waived.get(cell.subject, ""),
        )
        for cell in matrix.cells
    ]
    checks = [
        _Case(
            _folder(check.resource),
            f"{check.id} {check.resource} [{check.identity}]",
            check.verdict,
            check.note or f"{check.level} {check.id}: {check.verdict}",
            "\n".join((f"{check.level} {check.id}: {check.verdict}", *check.endpoints)),
            waived.get(f"{check.id}|{check.resource}", ""),
        )
        for check in matrix.checks
    ]
    head = f' name={_attr(run.tool)} time="{run.seconds:.3f}"{_counters([*access, *checks], skipped=False)}'
    properties = {
        "cluster.provider": run.provider,
        "cluster.version": run.server_version,
        "cluster.server": run.server,
        "run.id": run.id,
        "run.mode": run.mode,
        "run.complete": str(run.complete).lower(),
    }
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f"<testsuites{head}>",
        *_suite("access", access, run.started_at, run.seconds, properties),
        *_suite("contract", checks, run.started_at, 0.0, properties),
        "</testsuites>\n",
    ]
    return "\n".join(lines).encode()


def _cell_case(cell: Cell, endpoint: Endpoint, identity: Identity, waived: str) -> _Case:
    drawn = f"{state(cell, identity)}: {opinions(cell)}"
    message = (cell.note or cell.cause or drawn) if cell.verdict is not Verdict.FAIL else f"oracles disagree: {drawn}"
    detail = [drawn, f"because {because(cell)}" if because(cell) else "", f"cause: {cell.cause}" if cell.cause else ""]
    return _Case(
        "paths" if endpoint.path else f"{endpoint.group or 'core'}/{endpoint.version}",
        f"{cell.endpoint} [{cell.identity}]",
        cell.verdict,
        message,
        "\n".join(part for part in (*detail, cell.note) if part),
        waived,
    )


def _folder(resource: str) -> str:
    """`apps/v1` of `apps/v1/deployments/scale`, `core/v1` of `v1/pods`."""
    parts = resource.split("/")
    grouped = "." in parts[0] or (len(parts) > 2 and parts[1][:1] == "v")  # noqa: PLR2004  # group, version, plural
    return "/".join(parts[:2]) if grouped else f"core/{parts[0]}"


def _suite(name: str, cases: list[_Case], started: str, seconds: float, properties: dict[str, str]) -> Iterable[str]:
    yield (f'<testsuite name="{name}" timestamp={_attr(started)} time="{seconds:.3f}"{_counters(cases, skipped=True)}>')
    yield "<properties>"
    yield from (f"<property name={_attr(key)} value={_attr(value)}/>" for key, value in properties.items())
    yield "</properties>"
    yield from map(_testcase, cases)
    yield "</testsuite>"


def _counters(cases: Iterable[_Case], *, skipped: bool) -> str:
    given = Counter("waived" if case.waived else case.verdict for case in cases)
    text = f' tests="{given.total()}" failures="{given[Verdict.FAIL]}" errors="{given[Verdict.ERROR]}"'
    # Only a suite counts the skipped: the published schemas know no such attribute on the root.
    left_out = given[Verdict.NOT_EVALUATED] + given[Verdict.NOT_APPLICABLE] + given["waived"]
    return f'{text} skipped="{left_out}"' if skipped else text


def _testcase(case: _Case) -> str:
    start = f"<testcase classname={_attr(case.classname)} name={_attr(case.name)}"
    if case.waived:
        return f"{start}><skipped message={_attr(f'waived: {case.waived}: {case.message}')}/></testcase>"
    match case.verdict:
        case Verdict.PASS:
            return f"{start}/>"
        case Verdict.INFO:
            return f"{start}><system-out>{_text(case.detail)}</system-out></testcase>"
        case Verdict.FAIL | Verdict.ERROR:
            tag = "failure" if case.verdict is Verdict.FAIL else "error"
            kind = _attr(str(case.verdict))
            return f"{start}><{tag} message={_attr(case.message)} type={kind}>{_text(case.detail)}</{tag}></testcase>"
        case _:
            return f"{start}><skipped message={_attr(f'{case.verdict}: {case.message}')}/></testcase>"


def _attr(text: str) -> str:
    return quoteattr(_valid(display(text)))


def _text(text: str) -> str:
    return escape(_valid("\n".join(display(line) for line in text.split("\n"))))


def _valid(text: str) -> str:
    """Return a displayed text without the two characters that are left and that XML 1.0 forbids."""
    return text.replace("\ufffe", "").replace("\uffff", "")
