"""`kube-conformance fix`: the patch that ends a finding, proved on what it was made from; nothing is applied."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conformance.commands.can_i import say
from conformance.commands.risks import grounds, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from conformance.auditlog import Log
    from conformance.change.effect import Effect
    from conformance.change.fix import Fix

SHOWN = 40


def held_against(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what a change of rights is held against."""
    path = click.Path(path_type=Path)
    log = "Say what is taken away that was used, by the server's audit log: JSON lines, plain or gzip, or a folder."
    function = click.option("--audit-log", "log", type=path, metavar="FILE", help=log)(function)
    return click.option("--expectations", type=path, metavar="FILE", help="Say which of these it breaks.")(function)


@click.command()
@click.argument("finding")
@grounds
@held_against
@click.option("--dry-run", is_flag=True, help="Say what would be done; it is all that this command ever does.")
@click.option("--all", "everything", is_flag=True, help="List every cell, however many.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "patch", "yaml"]),
    default="text",
    show_default=True,
    help="The form.",
)
def command(
    finding: str,
    output: str,
    folder: Path | None,
    expectations: Path | None,
    log: Path | None,
    *,
    dry_run: bool,
    everything: bool,
    **asked: Any,
) -> int:
    """Give the patch of a role or binding that ends FINDING (its id, as `risks` shows it).

    The patch is tried on the roles and bindings that were read: with it the finding is gone, and every cell, path and
    expectation that it takes away is listed, and with --audit-log every request that was seen and would be refused. It
    changes nothing by itself: what to type is shown.

    \b
    Forms: text, json, patch (the JSON patch alone, for kubectl), yaml (the object afterwards)

    \b
    Examples:
      kube-conformance fix SECRETS-READ:ServiceAccount/web/app:RoleBinding/web/app --run reports/latest --dry-run
      kube-conformance fix SECRETS-READ:User/bob:ClusterRoleBinding/bob --context prod --audit-log audit.log.gz
      kube-conformance fix TOKENS-CREATE:User/bob:ClusterRoleBinding/bob -f manifests/ -o patch
    """
    del dry_run  # asked for or not: nothing is applied
    from conformance import auditlog  # noqa: PLC0415  # --help must not wait for it
    from conformance import expectations as lines_of  # noqa: PLC0415  # --help must not wait for it
    from conformance.change import effect as effects  # noqa: PLC0415
    from conformance.change import fix as fixes  # noqa: PLC0415
    from conformance.risks import catalogue  # noqa: PLC0415

    risks = catalogue(folder)
    grants = read(asked)
    found = fixes.fix(grants, risks, finding)
    if output == "patch":
        say(json.dumps(found.patch.operations), exactly=True)
        return 0
    if output == "yaml":
        say(_yaml(found), exactly=True)
        return 0
    lines = lines_of.load(expectations) if expectations else ()
    seen = auditlog.read(log) if log else None
    effect = effects.effect(grants, found.after, risks, lines, log=seen)
    if output == "json":
        say(json.dumps(_document(found, effect), indent=2), exactly=True)
        return 0
    say(f"{found.hit.severity} {found.hit.id}: {found.hit.risk.title}")
    say(found.patch.said)
    click.echo("")
    say(f"  {found.patch.command}")
    click.echo("")
    if found.patch.after is not None:
        for line in _yaml(found).splitlines():
            say(f"  {line}")
        click.echo("")
    say("proved: with it the finding is gone")
    for line in described(effect, most=None if everything else SHOWN):
        say(line)
    for line in used(effect, seen):
        say(line)
    return 0


def used(effect: Effect, log: Log | None) -> Iterator[str]:
    """Say so where nothing in use is taken away, or where nobody could know."""
    if not effect.taken:
        return
    if log is None:
        yield "whether anybody uses what is taken away is not known: --audit-log FILE tells"
    elif not effect.uses:
        yield f"nothing that it takes away was used in the {log.events} requests of the log"
    if log is not None and log.unread:
        yield f"{log.unread} lines of the log are no audit events"


def described(effect: Effect, *, most: int | None = SHOWN) -> Iterator[str]:
    """Say what a change does, one line each."""
    yield from _part("allows", map(str, effect.allowed), most)
    yield from _part("takes away", map(str, effect.taken), most)
    yield from _part("new findings", (f"{it.severity} {it.id}: {it.title}" for it in effect.findings), most)
    yield from _part("findings that end", (f"{it.severity} {it.id}: {it.title}" for it in effect.ended), most)
    yield from _part("opens a way", (f"{it.source} to {it.target}, {len(it.steps)} steps" for it in effect.paths), most)
    yield from _part("closes a way", (f"{it.source} to {it.target}" for it in effect.closed), most)
    yield from _part("breaks the expectation", (f"{it.resource}: {it.note}" for it in effect.broken), most)
    yield from _part("meets the expectation", (f"{it.resource}: {it.note}" for it in effect.met), most)
    yield from _part("takes away what was used", map(str, effect.uses or ()), most)


def _part(title: str, lines: Iterable[str], most: int | None) -> Iterator[str]:
    every = list(lines)
    if not every:
        return
    yield f"{title} ({len(every)}):"
    yield from (f"  {line}" for line in every[:most])
    if most is not None and len(every) > most:
        yield f"  and {len(every) - most} more; --all lists them"


def as_json(effect: Effect) -> dict[str, Any]:
    """Give what a change does as JSON."""
    from conformance.report.findings import as_json as of_finding  # noqa: PLC0415

    def cells(found: Iterable[Any]) -> list[dict[str, Any]]:
        return [
            {
                "subject": it.subject,
                "namespace": it.namespace,
                "resource": it.resource,
                "verbs": [*it.verbs],
                "names": [*it.names],
            }
            for it in found
        ]

    return {
        "allowed": cells(effect.allowed),
        "taken": cells(effect.taken),
        "findings": {
            "new": [of_finding(it) for it in effect.findings],
            "ended": [of_finding(it) for it in effect.ended],
        },
        "paths": {
            "opened": [{"source": it.source, "target": it.target, "steps": _steps(it)} for it in effect.paths],
            "closed": [{"source": it.source, "target": it.target, "steps": _steps(it)} for it in effect.closed],
        },
        "expectations": {
            "broken": [{"id": it.resource, "verdict": it.verdict, "note": it.note} for it in effect.broken],
            "met": [{"id": it.resource, "verdict": it.verdict, "note": it.note} for it in effect.met],
        },
        "used": None if effect.uses is None else [dataclasses.asdict(it) for it in effect.uses],
    }


def _steps(path: Any) -> list[str]:
    return [f"{step.source} {step.means} {step.target}" for step in path.steps]


def _document(found: Fix, effect: Effect) -> dict[str, Any]:
    kind, namespace, name = found.patch.key
    return {
        "finding": found.hit.id,
        "severity": found.hit.severity,
        "proved": True,
        "said": found.patch.said,
        "object": {"kind": kind, "namespace": namespace, "name": name},
        "patch": found.patch.operations,
        "delete": found.patch.operations is None,
        "after": found.patch.after,
        "command": found.patch.command,
    } | as_json(effect)


def _yaml(found: Fix) -> str:
    import yaml  # noqa: PLC0415

    from conformance.media import careful_dumper  # noqa: PLC0415

    if found.patch.after is None:
        return f"# {found.patch.said}\n"
    kind, _, _ = found.patch.key
    document = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, **found.patch.after}
    kept = {
        key: value for key, value in document["metadata"].items() if key in {"name", "namespace", "labels"} and value
    }
    whole = {**document, "metadata": kept}
    return str(yaml.dump(whole, Dumper=careful_dumper(), sort_keys=False, default_flow_style=None, width=110))
