"""`kube-conformance risks`: the risk rules, and what they find in a cluster, a saved run or manifests."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conformance.commands.can_i import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from conformance.grants import Grants
    from conformance.model import CheckResult, Finding
    from conformance.risks.rule import Risk

SEVERITIES = ("info", "low", "medium", "high", "critical")


def grounds(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what says whose roles and bindings are meant, and by which rules."""
    path = click.Path(path_type=Path)
    for option in reversed(
        (
            click.option(
                "-f",
                "--filename",
                "files",
                multiple=True,
                type=path,
                metavar="FILE",
                help="Manifests: a file, a folder, or - for standard input. Repeatable.",
            ),
            click.option("-n", "--namespace", metavar="NAMESPACE", help="The namespace of manifests that name none."),
            click.option("--run", type=path, metavar="RUN", help="A saved run."),
            click.option("--kubeconfig", metavar="FILE", help="The kubeconfig; else KUBECONFIG, else the usual place."),
            click.option("--context", metavar="NAME", help="The context of the kubeconfig; `current` is the current."),
            click.option("--risks", "folder", type=path, metavar="FOLDER", help="Risk rules of your own beside ours."),
        )
    ):
        function = option(function)
    return function


@click.command()
@grounds
@click.option("--exclusions", type=click.Path(path_type=Path), metavar="FILE", help="Accepted findings, with reasons.")
@click.option("--rule", "rules", multiple=True, metavar="ID", help="Only this rule. Repeatable.")
@click.option("--least", type=click.Choice(SEVERITIES), help="Show findings from here on; else low, in files all.")
@click.option(
    "--fail-on", type=click.Choice(SEVERITIES), default="high", show_default=True, help="Exit with 1 from here on."
)
@click.option("--built-in", is_flag=True, help="Show what every cluster has, too.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "sarif", "markdown"]),
    default="table",
    show_default=True,
    help="The form.",
)
def command(  # noqa: PLR0917  # click gives them by name
    output: str,
    folder: Path | None,
    exclusions: Path | None,
    rules: tuple[str, ...],
    least: str | None,
    fail_on: str,
    *,
    built_in: bool,
    **asked: Any,
) -> int:
    """List the risk rules; or, with -f, --run or --context, find what is dangerous there.

    A finding is a subject that holds by a binding what a rule warns of. Its id, which `fix` takes, is the same in
    equal runs.

    \b
    Exit codes: 0, or 1 when something is found of the severity of --fail-on or worse

    \b
    Examples:
      kube-conformance risks
      kube-conformance risks --context staging
      kube-conformance risks -f manifests/ -o sarif
      kube-conformance risks --run reports/latest --rule SECRETS-READ
    """
    from conformance.errors import UsageError  # noqa: PLC0415  # --help must not wait for it
    from conformance.risks import catalogue  # noqa: PLC0415

    risks = catalogue(folder)
    unknown = [rule for rule in rules if rule not in {risk.id for risk in risks}]
    if unknown:
        raise UsageError(f"there is no risk rule {unknown[0]!r}; `kube-conformance risks` lists them")
    if rules:
        risks = tuple(risk for risk in risks if risk.id in rules)
    if not (asked["files"] or asked["run"] or asked["context"] or asked["kubeconfig"]):
        _catalogue(risks, output)
        return 0
    grants = read(asked)
    findings, notes = _scan(grants, risks, exclusions, built_in=built_in)
    _show(grants, findings, notes, output, least)
    return 1 if any(SEVERITIES.index(it.severity) >= SEVERITIES.index(fail_on) for it in findings) else 0


def read(asked: dict[str, Any]) -> Grants:
    """Read what a command's options name; `current` means the current context."""
    from conformance import grants  # noqa: PLC0415
    from conformance.questions import Asked  # noqa: PLC0415

    return grants.read(Asked(**asked))


def _scan(
    grants: Grants, risks: Sequence[Risk], exclusions: Path | None, *, built_in: bool
) -> tuple[tuple[Finding, ...], tuple[CheckResult, ...]]:
    from conformance.risks import exclusions as accepted  # noqa: PLC0415
    from conformance.risks.finding import Wording  # noqa: PLC0415
    from conformance.risks.scan import Scan  # noqa: PLC0415

    scan = Scan(risks, grants.served)
    head = grants.run.head if grants.run else None
    wording = Wording(
        scan.rights,
        catalog=grants.catalog,
        places=grants.places,
        endpoints=[row.row.endpoint for row in grants.run.rows() if not row.again] if grants.run else (),
        namespaces=head.namespaces if head else None,
        identities=head.identities if head else (),
    )
    found = wording.findings(scan.hits(grants.rbac), built_in=built_in)
    lines = accepted.load(exclusions) if exclusions else ()
    return accepted.apply(found, lines, dt.datetime.now(dt.UTC).date())


def _catalogue(risks: Sequence[Risk], output: str) -> None:
    if output == "sarif":
        raise click.UsageError("-o sarif is for findings: say where to look, with -f, --run or --context")
    if output == "json":
        entries = [{"id": it.id, "severity": it.severity.cluster, "title": it.title} for it in risks]
        say(json.dumps(entries, indent=2), exactly=True)
        return
    if output == "markdown":
        from conformance.risks.page import page  # noqa: PLC0415

        click.echo(page(risks), nl=False)
        return
    width = max(len(risk.id) for risk in risks)
    for risk in risks:
        say(f"{risk.id:<{width}}  {risk.severity.cluster:<8}  {risk.title}")


def _show(
    grants: Grants, findings: Sequence[Finding], notes: Sequence[CheckResult], output: str, least: str | None
) -> None:
    from conformance.report.findings import as_json, document  # noqa: PLC0415

    least = least or ("low" if output == "table" else "info")
    shown = [it for it in findings if SEVERITIES.index(it.severity) >= SEVERITIES.index(least)]
    if output == "json":
        say(json.dumps([as_json(it) for it in shown], indent=2), exactly=True)
    elif output in {"sarif", "markdown"}:
        sys.stdout.buffer.write(document(shown, output, origin=grants.origin, notes=notes))
    else:
        _table(shown, findings)
    for note in notes:
        click.echo(f"warning: {_plain(note.resource)}: {_plain(note.note)}", err=True)
    if grants.rbac.incomplete:
        click.echo(f"warning: not complete: {_plain('; '.join(grants.rbac.incomplete))}", err=True)


def _table(shown: Sequence[Finding], findings: Sequence[Finding]) -> None:
    for finding in shown:
        place = f"{finding.places[0][0]}:{finding.places[0][1]}: " if finding.places else ""
        say(f"{finding.severity:<8}  {finding.id}")
        say(f"          {place}{finding.title}: {finding.witness.text}")
    counted = Counter(it.severity for it in findings)
    total = ", ".join(f"{counted[severity]} {severity}" for severity in reversed(SEVERITIES) if counted[severity])
    say(f"{len(findings)} findings: {total}" if findings else "no findings")
    if len(shown) < len(findings):
        say(f"not shown: {len(findings) - len(shown)}; --least info shows all")


def _plain(text: str) -> str:
    from conformance.terminal import plain  # noqa: PLC0415

    return plain(text)
