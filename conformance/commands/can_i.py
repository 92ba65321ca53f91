"""`kube-conformance can-i`: whether somebody may do something, with the rule that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.model import Identity, Witness
    from conformance.questions import Asked

UNKNOWN = 6


def question(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what every question takes: verb, resource, where, and what to answer from."""
    for option in reversed(
        (
            click.argument("verb"),
            click.argument("resource"),
            click.option("-n", "--namespace", metavar="NAMESPACE", help="In which namespace; else the context's."),
            click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In all namespaces; see above."),
            click.option("--name", default="", metavar="NAME", help="Of which object; else of none in particular."),
            click.option(
                "-f",
                "--filename",
                "files",
                multiple=True,
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Answer from manifests: a file, a folder, or - for standard input. Repeatable.",
            ),
            click.option("--run", type=click.Path(path_type=Path), metavar="RUN", help="Answer from a saved run."),
            click.option("--kubeconfig", metavar="FILE", help="The kubeconfig; else KUBECONFIG, else the usual place."),
            click.option("--context", metavar="NAME", help="The context of the kubeconfig; else the current one."),
            click.option(
                "-o",
                "--output",
                type=click.Choice(["text", "json"]),
                default="text",
                show_default=True,
                help="The form.",
            ),
        )
    ):
        function = option(function)
    return function


def somebody(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say who is meant."""
    for option in reversed(
        (
            click.option("--as", "user", metavar="USER", help="system:serviceaccount:NAMESPACE:NAME is an account."),
            click.option("--as-group", "groups", multiple=True, metavar="GROUP", help="A group of USER. Repeatable."),
            click.option("--as-uid", "uid", default="", metavar="UID", help="The uid of USER."),
            click.option("--as-extra", "extra", multiple=True, metavar="KEY=VALUE", help="More of USER. Repeatable."),
        )
    ):
        function = option(function)
    return function


@click.command()
@question
@somebody
def command(verb: str, resource: str, output: str, **asked: Any) -> int:
    """Say whether somebody may VERB a RESOURCE, with the binding, role and rule that allow it.

    RESOURCE is PLURAL[.GROUP][/SUBRESOURCE], or a path such as /metrics. With -A: in every namespace. Answers for the
    context's user, or for whom --as names with the groups that the server would add. On a cluster the server's own
    review is asked too, and wins: it knows authorizers that are no rules.

    \b
    Exit codes: 0 allowed, 1 denied, 6 unknown (a role could not be read)

    \b
    Examples:
      kube-conformance can-i create pods -n web --as system:serviceaccount:web:default
      kube-conformance can-i get secrets -A -f manifests/ --as alice --as-group devs
      kube-conformance can-i get /metrics --context staging
    """
    from conformance.questions import ground  # noqa: PLC0415  # --help must not wait for it
    from conformance.rbac.beyond import also_needed  # noqa: PLC0415

    where = of(asked)
    found = ground(where)
    identity = whom(found, where)
    attributes = found.attributes(where, verb, target_of(found, verb, resource))
    decision = found.decide(identity, attributes)
    if output == "json":
        say(json.dumps({"decision": decision.answer, "witness": as_json(decision.witness)}, indent=2), exactly=True)
    else:
        say(f"{decision.answer}: {decision.witness.text}")
        if decision.answer == "allowed":
            for needed, sentence in also_needed(attributes):
                say(f"  besides: {sentence}: {found.decide(identity, needed).answer}")
    return {"allowed": 0, "denied": 1}.get(decision.answer, UNKNOWN)


def of(options: dict[str, Any]) -> Asked:
    """Make the question's where and who of a command's options."""
    from conformance.questions import Asked  # noqa: PLC0415

    return Asked(**options)


def whom(found: Any, asked: Asked) -> Identity:
    """Say who is meant, and warn on stderr where a service account is not spelled as a server does."""
    from conformance.questions import mistaken  # noqa: PLC0415
    from conformance.terminal import plain  # noqa: PLC0415

    if asked.user and (doubt := mistaken(found.resolver, asked.user)):
        click.echo(f"warning: {plain(doubt)}", err=True)
    identity: Identity = found.identity(asked)
    return identity


def target_of(found: Any, verb: str, resource: str) -> Any:
    """Read the resource, and warn on stderr where it may not be what is meant."""
    from conformance.questions import targets  # noqa: PLC0415
    from conformance.terminal import plain  # noqa: PLC0415

    target, doubt = targets(found.served, verb, resource, found.rbac)
    if doubt:
        click.echo(f"warning: {plain(doubt)}", err=True)
    return target


def as_json(witness: Witness) -> dict[str, Any]:
    """Give a witness as matrix.json has it."""
    return {"kind": witness.kind, "text": witness.text, "path": [*witness.path]}


def say(text: str, *, exactly: bool = False) -> None:
    """Print a line; what clusters and files named can't act on the terminal. JSON escapes by itself."""
    from conformance.terminal import plain  # noqa: PLC0415

    click.echo(text if exactly else plain(text))
