"""`kube-conformance snapshot`: a cluster frozen as it is, to be compared, gated and rehearsed later, anywhere."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("-o", "--output", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Where.")
@click.option(
    "--cluster",
    type=click.Choice(["kubeconfig", "embedded", "kind"]),
    default="kubeconfig",
    show_default=True,
    help="Of what: a context of a kubeconfig, or a cluster that `cluster up` made and --context names.",
)
@click.option("--kubeconfig", metavar="FILE", help="The kubeconfig; else KUBECONFIG, else the usual place.")
@click.option("--context", metavar="NAME", help="The context of the kubeconfig; else the current one.")
@click.option(
    "--audit-log",
    "logs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="An audit log of the API server, for the names of clients that call deprecated APIs. Repeatable.",
)
@click.option("--run", type=click.Path(path_type=Path), metavar="RUN", help="A run of this cluster to keep beside it.")
def command(
    *, folder: Path, cluster: str, kubeconfig: str | None, context: str | None, logs: tuple[Path, ...], run: Path | None
) -> None:
    """Freeze what a cluster serves, stores, calls and permits, in DIR.

    Sends reads only, as the context's identity, and says at the end what that one may not see. No object's contents are
    kept but those of CRDs, RBAC and admission objects; of all others the names of the fields that are set.

    \b
    Examples:
      kube-conformance snapshot --context staging -o before/
      kube-conformance snapshot --context staging --audit-log /var/log/kubernetes/audit.log -o before/
    """
    from conformance import freezing  # noqa: PLC0415  # --help must not wait for it
    from conformance.clusters import kubeconfig as contexts  # noqa: PLC0415
    from conformance.terminal import plain  # noqa: PLC0415
    from conformance.transport import Client  # noqa: PLC0415

    if cluster != "kubeconfig":
        kubeconfig, context = _of_ours(cluster, context or "default"), None
    config = contexts.read(kubeconfig)
    with Client(config.access(config.context(context or contexts.CURRENT))) as client:
        unseen = freezing.freeze(client, folder, logs=logs, run=run)
    for sentence in unseen:
        click.echo(f"not seen: {plain(sentence)}", err=True)
    click.echo(f"{folder}: {plain(client.access.server)}")


def _of_ours(provider: str, name: str) -> str:
    from conformance import clusters  # noqa: PLC0415
    from conformance.errors import UsageError  # noqa: PLC0415

    status = clusters.provider(provider).status(name)
    if status is None:
        raise UsageError(
            f"no {provider} cluster is called {name}; `kube-conformance cluster up --name {name}` starts one"
        )
    return str(status.kubeconfig)
