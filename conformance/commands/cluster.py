"""`kube-conformance cluster`: a disposable cluster by itself, up, down, looked at, and its kubeconfig."""

from __future__ import annotations

import inspect
from typing import Any

import click

from conformance.errors import ClusterError, UsageError

_PROVIDER = click.option(
    "--provider", default="embedded", show_default=True, metavar="PROVIDER", help="embedded or kind."
)
_NAME = click.option("--name", default="default", show_default=True, help="Which cluster, when there are several.")


@click.group()
def command() -> None:
    """Have a disposable cluster by itself, to look around in or to audit again and again."""


@command.command()
@_PROVIDER
@_NAME
@click.option("--kubernetes-version", "version", metavar="VERSION", help="1.36 for its newest patch, or 1.36.3.")
@click.option(
    "--allow-unpinned", is_flag=True, help="Download releases whose SHA-256 this version of the tool does not know."
)
@click.option("--image", metavar="IMAGE", help="The node image (kind).")
@click.option("--config", metavar="FILE", help="A configuration of kind's own form (kind).")
@click.option("--nodes", type=click.IntRange(1, 50), help="How many nodes, one of them the control plane (kind).")
def up(provider: str, name: str, version: str | None, *, allow_unpinned: bool, **special: Any) -> None:
    """Start a cluster, or use the one of this name that runs; it lives until `down`.

    Prints the path of its kubeconfig.
    """
    found = _provider(provider)
    reason = found.is_available()
    if reason is not None:
        raise ClusterError(reason)
    given = {option: value for option, value in special.items() if value is not None}
    for option in given:
        if option not in inspect.signature(found.up).parameters:
            raise UsageError(f"--{option} means nothing to the provider {provider}")
    found.up(name, version, allow_unpinned=allow_unpinned, **given)
    click.echo(_status(found, provider, name).kubeconfig)


@command.command()
@_PROVIDER
@_NAME
def down(provider: str, name: str) -> None:
    """End a cluster and leave nothing of it; a cluster that is not there is down already."""
    if not _provider(provider).down(name):
        click.echo(f"{name}: there is no such cluster", err=True)


@command.command()
@_PROVIDER
@click.option("--name", help="Only this one.")
def status(provider: str, name: str | None) -> int:
    """List the clusters that `up` made; exit code 5 when one of them does not answer."""
    found = _provider(provider)
    listed = [_status(found, provider, each) for each in ([name] if name else found.names())]
    for each in listed:
        state = "running" if each.running else f"down: {each.problem}"
        click.echo(f"{each.name}\tKubernetes {each.version}\t{each.server}\t{state}\t{each.kubeconfig}")
    if not listed:
        click.echo(f"no {provider} cluster is up", err=True)
    return 0 if all(each.running for each in listed) else ClusterError.exit_code


@command.command()
@_PROVIDER
@_NAME
@click.option("--content", is_flag=True, help="Print the kubeconfig itself instead of its path.")
def kubeconfig(provider: str, name: str, *, content: bool) -> None:
    """Print the path of a cluster's kubeconfig, as in `export KUBECONFIG="$(kube-conformance cluster kubeconfig)"`."""
    path = _status(_provider(provider), provider, name).kubeconfig
    click.echo(path.read_text("utf-8") if content else path, nl=not content)


def _provider(name: str) -> Any:
    from conformance import clusters  # noqa: PLC0415

    return clusters.provider(name)


def _status(provider: Any, kind: str, name: str) -> Any:
    found = provider.status(name)
    if found is None:
        raise UsageError(f"no {kind} cluster is called {name}; `kube-conformance cluster up --name {name}` starts one")
    return found
