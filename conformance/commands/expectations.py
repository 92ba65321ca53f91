"""`kube-conformance expectations`: a first file of them, and holding one without an audit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conformance.commands.can_i import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.expectations.judging import Ground
    from conformance.model import Rbac


@click.group()
def command() -> None:
    """Write a first file of expectations, or hold one against a run, a cluster or manifests.

    An audit holds them with --expectations FILE.
    """


def _where(function: Callable[..., Any]) -> Callable[..., Any]:
    files = click.Path(path_type=Path)
    for option in reversed(
        (
            click.option(
                "-f", "--filename", "files", multiple=True, type=files, metavar="FILE", help="From manifests."
            ),
            click.option("-n", "--namespace", metavar="NAMESPACE", help="The namespace of manifests that name none."),
            click.option("--run", type=files, metavar="RUN", help="From a saved run, its cells included."),
            click.option("--kubeconfig", metavar="FILE", help="The kubeconfig; else KUBECONFIG, else the usual place."),
            click.option("--context", metavar="NAME", help="The context of the kubeconfig; else the current one."),
        )
    ):
        function = option(function)
    return function


@command.command("init")
@_where
@click.option("--subject", "who", multiple=True, metavar="SUBJECT", help="Only for this subject. Repeatable.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="The file; else standard output.")
def init(who: tuple[str, ...], output: Path | None, **asked: Any) -> None:
    """Write a file of expectations from what is allowed now, to be reviewed and committed.

    For each subject that a binding names (but Kubernetes' own) what its rules allow, and what is dangerous and it may
    not. It says what is, not what ought to be.

    \b
    Examples:
      kube-conformance expectations init --context staging -o expectations.yaml
      kube-conformance expectations init -f manifests/ --subject "ServiceAccount web/deployer"
    """
    from conformance.expectations import initial  # noqa: PLC0415  # --help must not wait for it

    rbac, ground = _ground(asked)
    entries = list(initial.lines(rbac, ground, who))
    if not entries:
        raise click.UsageError("no binding names such a subject: there is nothing to write")
    text = initial.write(entries)
    if output is None:
        sys.stdout.write(text)
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.UsageError(f"{output} is there already; it may hold what people wrote") from None
    click.echo(f"{len(entries)} lines in {output}: read them before you believe them", err=True)


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@_where
@click.option("--output-format", "-o", "form", type=click.Choice(["text", "json"]), default="text", help="The form.")
def check(file: Path, form: str, **asked: Any) -> int:
    """Hold the lines of FILE against a saved run, a cluster's rules or manifests.

    \b
    Exit codes: 0 every line holds, 1 one does not, or could not be told

    \b
    Examples:
      kube-conformance expectations check expectations.yaml --run reports/latest
      kube-conformance expectations check expectations.yaml -f manifests/
    """
    from conformance import expectations  # noqa: PLC0415  # --help must not wait for it
    from conformance.expectations.judging import judge  # noqa: PLC0415

    lines = expectations.load(file)
    _, ground = _ground(asked)
    results = [judge(line, ground) for line in lines]
    if form == "json":
        found = [{"id": it.resource, "verdict": it.verdict, "note": it.note} for it in results]
        say(json.dumps(found, indent=2), exactly=True)
    else:
        for result in results:
            say(f"{result.verdict}: {result.resource}: {result.note}")
    return 0 if all(it.verdict == "pass" for it in results) else 1


def _ground(asked: dict[str, Any]) -> tuple[Rbac, Ground]:
    from conformance.questions import Asked, expecting  # noqa: PLC0415

    return expecting(Asked(**asked))
