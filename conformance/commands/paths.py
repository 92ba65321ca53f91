"""`kube-conformance paths`: who can become cluster-admin, or somebody else, and by which steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conformance.commands.can_i import as_json, say

if TYPE_CHECKING:
    from conformance.model import EscalationPath
    from conformance.rbac.escalation import Graph

_FORMS = ("table", "json", "dot", "mermaid")


@click.command()
@click.option("--from", "source", metavar="SUBJECT", help="From this subject: to cluster-admin and everybody else.")
@click.option("--to", "target", metavar="SUBJECT", help="To this subject; else to cluster-admin.")
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Search in manifests: a file, a folder, or - for standard input. Repeatable.",
)
@click.option("-n", "--namespace", metavar="NAMESPACE", help="The namespace of manifests that name none.")
@click.option("--run", type=click.Path(path_type=Path), metavar="RUN", help="Search in a saved run, with its proofs.")
@click.option("--kubeconfig", metavar="FILE", help="The kubeconfig; else KUBECONFIG, else the usual place.")
@click.option("--context", metavar="NAME", help="The context of the kubeconfig; else the current one.")
@click.option("-o", "--output", type=click.Choice(_FORMS), default="table", show_default=True, help="The form.")
def command(source: str | None, target: str | None, output: str, **asked: Any) -> None:
    """Search the shortest ways by which somebody becomes cluster-admin, or somebody else.

    SUBJECT is written as bindings name it: "User alice", "Group devs", "ServiceAccount web/deployer", or the name
    alone where it is clear. Each step says by which rules it works, and how sure it is: proved (a request was
    accepted), reviewed (a SubjectAccessReview said so) or inferred (the rules alone). A path is as sure as its least
    sure step. Who is cluster-admin by a binding already has no path.

    \b
    Examples:
      kube-conformance paths -f manifests/
      kube-conformance paths --from "ServiceAccount web/deployer" --context staging
      kube-conformance paths --to kube-system/clusterrole-aggregation-controller -o mermaid --run reports/latest
    """
    from conformance.questions import Asked, escalation  # noqa: PLC0415  # --help must not wait for it
    from conformance.rbac import escalation_graph  # noqa: PLC0415
    from conformance.rbac.escalation_paths import read_subject  # noqa: PLC0415

    found, complete = escalation(Asked(**asked))
    graph = found.graph

    def named(option: str, text: str) -> Any:
        try:
            return read_subject(text, graph)
        except LookupError as problem:
            raise click.BadParameter(str(problem), param_hint=option) from None

    start = named("--from", source) if source else None
    end = named("--to", target) if target else None
    if end is not None:
        paths = found.to(end, None if start is None else [start])
    elif start is not None:
        paths = found.reachable(start)
    else:
        paths = found.to_admin()
    match output:
        case "json":
            document = {"paths": [_entry(path) for path in paths], "complete": complete}
            say(json.dumps(document, indent=2), exactly=True)
        case "dot":
            click.echo(escalation_graph.dot(paths), nl=False)
        case "mermaid":
            click.echo(escalation_graph.mermaid(paths), nl=False)
        case _:
            for path in paths:
                _show(path)
            _summary(graph, paths, start)
    if not complete and output != "json":
        click.echo("warning: not complete: not every role or binding could be read", err=True)


def _show(path: EscalationPath) -> None:
    from conformance.rbac.escalation_paths import strength  # noqa: PLC0415

    verdict = f"refused: {path.refused}" if path.refused else strength(path)
    say(f"{path.source} -> {path.target}  [{verdict}]{f'  ({path.made})' if path.made else ''}")
    for number, step in enumerate(path.steps, 1):
        say(f"  {number}. {step.means} -> {step.target}  [{step.proof}]")
        say(f"     {step.witness.text}")
        if step.note:
            say(f"     {step.note}")


def _summary(graph: Graph, paths: tuple[EscalationPath, ...], start: Any) -> None:
    from conformance.rbac.escalation import subject  # noqa: PLC0415

    if start is None:
        holders = [subject(it) for it in sorted(graph.actors) if graph.is_admin(it)]
        say(f"{len(paths)} of {len(graph.actors)} subjects have a path")
        say(f"cluster-admin already: {', '.join(holders) or 'nobody by a binding'}")
    elif graph.holds_all(start) is not None:
        say(f"{subject(start)} is cluster-admin already")
    elif not paths:
        say(f"{subject(start)} has no path")


def _entry(path: EscalationPath) -> dict[str, Any]:
    from conformance.rbac.escalation_paths import strength  # noqa: PLC0415

    return {
        "id": path.id,
        "source": path.source,
        "target": path.target,
        "severity": path.severity,
        "proof": strength(path),
        "refused": path.refused,
        "made": path.made,
        "steps": [
            {
                "source": step.source,
                "target": step.target,
                "means": step.means,
                "proof": step.proof,
                "witness": as_json(step.witness),
                "endpoint": step.endpoint,
                "note": step.note,
            }
            for step in path.steps
        ],
    }
