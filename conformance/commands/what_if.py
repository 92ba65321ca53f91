"""`kube-conformance what-if`: what roles and bindings would allow, take away or endanger, before they are applied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conformance.commands.can_i import say
from conformance.commands.fix import SHOWN, as_json, described, held_against, used

if TYPE_CHECKING:
    from conformance.change.objects import Key
    from conformance.grants import Grants
    from conformance.model import Json

SEVERITIES = ("info", "low", "medium", "high", "critical")


@click.command()
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Roles and bindings that would be applied: a file, a folder, or -. Repeatable.",
)
@click.option(
    "--delete",
    "deleted",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Roles and bindings that would be deleted. Repeatable.",
)
@click.option(
    "--base",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Manifests or a dump that the change is made to. Repeatable.",
)
@click.option("-n", "--namespace", metavar="NAMESPACE", help="The namespace of manifests that name none.")
@click.option("--run", type=click.Path(path_type=Path), metavar="RUN", help="The saved run that the change is made to.")
@click.option("--kubeconfig", metavar="FILE", help="The kubeconfig; else KUBECONFIG, else the usual place.")
@click.option("--context", metavar="NAME", help="The cluster that the change is made to; else the current context's.")
@click.option("--risks", "folder", type=click.Path(path_type=Path), metavar="FOLDER", help="Risk rules of your own.")
@held_against
@click.option(
    "--fail-on", type=click.Choice(SEVERITIES), default="high", show_default=True, help="Exit with 1 from here on."
)
@click.option("--all", "everything", is_flag=True, help="List every cell, however many.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="The form."
)
def command(  # noqa: PLR0917  # click gives them by name
    files: tuple[Path, ...],
    deleted: tuple[Path, ...],
    base: tuple[Path, ...],
    namespace: str | None,
    folder: Path | None,
    expectations: Path | None,
    log: Path | None,
    fail_on: str,
    output: str,
    *,
    everything: bool,
    **asked: Any,
) -> int:
    """Say what a change of roles and bindings would allow, take away or endanger, without making it.

    Objects of -f are created or replace those of their name; those of --delete are gone. What they are changed in is a
    cluster, a saved run (--run) or files (--base).

    \b
    Exit codes: 0, or 1 when it makes a finding of the severity of --fail-on or worse, opens a way to cluster-admin,
    breaks an expectation, or takes away what the audit log shows in use

    \b
    Examples:
      kube-conformance what-if -f new-role.yaml --context staging
      kube-conformance what-if -f manifests/ --base dump.yaml --expectations expectations.yaml
      kube-conformance what-if --delete old-binding.yaml --run reports/latest --audit-log audit.log
    """
    from conformance import auditlog  # noqa: PLC0415  # --help must not wait for it
    from conformance import expectations as lines_of  # noqa: PLC0415  # --help must not wait for it
    from conformance.change import effect as effects  # noqa: PLC0415
    from conformance.change import objects  # noqa: PLC0415
    from conformance.risks import catalogue  # noqa: PLC0415

    if not (files or deleted):
        raise click.UsageError("say what would change: -f FILE, or --delete FILE")
    risks = catalogue(folder)
    grants = _base(base, namespace, asked)
    known = objects.by_key(grants.rbac)
    changes: dict[Key, Json | None] = {}
    if files:
        changes |= _objects(files, namespace)
    for key in _objects(deleted, namespace) if deleted else ():
        if key not in known:
            raise click.UsageError(f"{objects.text(key)} is not there, so it can't be deleted")
        changes[key] = None
    lines = lines_of.load(expectations) if expectations else ()
    seen = auditlog.read(log) if log else None
    found = effects.effect(grants, objects.put(grants.rbac, changes), risks, lines, log=seen)
    bad = any(SEVERITIES.index(it.severity) >= SEVERITIES.index(fail_on) for it in found.findings)
    code = 1 if bad or found.paths or found.broken or found.uses else 0
    if output == "json":
        said = [{"object": objects.text(key), "change": _word(key, value, known)} for key, value in changes.items()]
        say(json.dumps({"changes": said} | as_json(found), indent=2), exactly=True)
        return code
    for key, value in changes.items():
        say(f"{_word(key, value, known)} {objects.text(key)}")
    told = list(described(found, most=None if everything else SHOWN))
    for line in told or ["changes nothing that anybody may do"]:
        say(line)
    for line in used(found, seen):
        say(line)
    return code


def _word(key: Key, value: Json | None, known: dict[Key, Json]) -> str:
    if value is None:
        return "delete"
    if key not in known:
        return "create"
    return "keep" if known[key] == value else "change"


def _objects(files: tuple[Path, ...], namespace: str | None) -> dict[Key, Json]:
    from conformance import manifests  # noqa: PLC0415
    from conformance.change.objects import by_key  # noqa: PLC0415

    found = by_key(manifests.read(files, namespace=namespace or "").rbac)
    if not found:
        raise click.UsageError(f"no role or binding stands in {', '.join(map(str, files))}")
    return found


def _base(base: tuple[Path, ...], namespace: str | None, asked: dict[str, Any]) -> Grants:
    from conformance import grants  # noqa: PLC0415
    from conformance.questions import Asked  # noqa: PLC0415

    return grants.read(Asked(files=base, namespace=namespace, **asked))
