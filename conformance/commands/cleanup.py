"""`kube-conformance cleanup`: remove what interrupted runs left on a cluster; lists first, deletes with --yes."""

from __future__ import annotations

import click

from conformance import config


@click.command()
@config.flags("kubeconfig", "context")
@click.option("--yes", is_flag=True, help="Delete what is listed.")
def command(*, kubeconfig: str | None, context: str | None, yes: bool) -> int:
    """Remove what an interrupted run left on a cluster.

    Only what bears the label, the name and the field manager of a run is looked at, and only what belongs to a run
    whose Lease lapsed ten minutes ago is deleted, by its UID. A disposable cluster is cleaned by the next audit of it.
    """
    from conformance import clusters  # noqa: PLC0415  # --help must not wait for them
    from conformance.clusters import kubeconfig as contexts  # noqa: PLC0415
    from conformance.identities import leftovers  # noqa: PLC0415
    from conformance.terminal import plain  # noqa: PLC0415
    from conformance.transport import Client  # noqa: PLC0415

    options = config.load({"kubeconfig": kubeconfig, "context": context})
    cluster = contexts.open(options.kubeconfig, options.context)
    clusters.announce(f"looking at {plain(cluster.admin.server)} (context {plain(cluster.name)})")
    with Client(cluster.admin) as client:
        found = leftovers.find(client, ours=False)
        for each in found.dead:
            click.echo(plain(each.name))
        for run in dict.fromkeys(each.run for each in found.alive):
            click.echo(f"left alone: run {plain(run)}, whose Lease has not lapsed for ten minutes", err=True)
        for unread in found.unread:
            click.echo(f"could not be read: {plain(unread)}", err=True)
        if not found.dead:
            click.echo("nothing is left over", err=True)
        elif not yes:
            click.echo("`--yes` deletes these", err=True)
        problems = leftovers.delete(client, found.dead) if yes else ()
        if yes:
            leftovers.free(client, dict.fromkeys(each.run for each in found.dead))
    for problem in problems:
        click.echo(f"could not be deleted: {plain(problem)}", err=True)
    return 1 if problems or found.unread else 0
