"""`kube-conformance rehearse`: the upgrade tried out before it happens, on a control plane of the target version."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from conformance.model import Cluster
    from conformance.moments import Moment


@click.command()
@click.option("--to", "version", required=True, metavar="VERSION", help="The target, as 1.37 or 1.37.2.")
@click.option(
    "--from", "source", type=click.Path(path_type=Path), metavar="FROM", help="A snapshot, a run, or a context."
)
@click.option("--kubeconfig", metavar="FILE", help="Of a live cluster, read only; else KUBECONFIG.")
@click.option("--context", metavar="NAME", help="The context of the kubeconfig; else the current one.")
@click.option("--emulated", is_flag=True, help="Let the newest server emulate the target instead of having its own.")
@click.option("--audit/--no-audit", default=None, help="Ask the matrix there. [default: where the source has a run]")
@click.option(
    "--reports", default=Path("reports"), show_default=True, type=click.Path(path_type=Path), help="Of a run."
)
@click.option("--waivers", type=click.Path(path_type=Path), metavar="FILE", help="What was accepted.")
@click.option("--expectations", type=click.Path(path_type=Path), metavar="FILE", help="Lines that have to hold there.")
@click.option("-o", "--output", "form", default="table", show_default=True, metavar="FORMAT", help="As of gate.")
@click.argument("arguments", nargs=-1, metavar="[-- AUDIT ARGS]")
def command(version: str, source: Path | None, expectations: Path | None, **options: Any) -> int:
    """Copy a cluster's RBAC, CRDs, namespaces and admission policies into the target version, and gate what changes.

    The source is read only. Webhooks and aggregated APIs can't be carried over and are listed.

    \b
    Exit codes: those of gate

    \b
    Examples:
      kube-conformance rehearse --to 1.37 --context staging
      kube-conformance rehearse --to 1.37 --from before/ --waivers waivers.yaml
      kube-conformance rehearse --to 1.37 --from before/ --audit -- --identity view --no-checks
    """
    from tempfile import TemporaryDirectory  # noqa: PLC0415

    from conformance import gate, moments, rehearsal  # noqa: PLC0415  # --help must not wait for it
    from conformance.clusters import announce  # noqa: PLC0415
    from conformance.commands.gate import agreed_terms, rendering, show  # noqa: PLC0415
    from conformance.policy import expected  # noqa: PLC0415
    from conformance.report.differences import Comparison  # noqa: PLC0415

    agreed, render = agreed_terms(options), rendering(options["form"])
    if source is not None and not source.exists():
        source, options["context"] = None, str(source)
    with TemporaryDirectory() as folder:
        taken = moments.read(source) if source else _live(options, Path(folder))
        with rehearsal.rehearsed(taken, version, emulate=options["emulated"], say=announce) as done:
            after = done.after
            if options["audit"] or (options["audit"] is None and taken.matrix is not None):
                after = _audited(done.cluster, after, options)
    extra = expected.failing(expectations, after) if expectations else ()
    found = gate.of_two(done.before, after, agreed, extra)
    complaints = (*agreed.waivers.complaints(), *(f"not carried over: {it}" for it in done.left_behind))
    show(Comparison(found, after.side, done.before.side, complaints), render, None)
    return 0 if found.passed else 1


def _live(options: dict[str, Any], folder: Path) -> Moment:
    from conformance import rehearsal  # noqa: PLC0415
    from conformance.clusters import kubeconfig as contexts  # noqa: PLC0415
    from conformance.transport import Client  # noqa: PLC0415

    config = contexts.read(options["kubeconfig"])
    with Client(config.access(config.context(options["context"] or contexts.CURRENT))) as client:
        return rehearsal.live(client, folder)


def _audited(cluster: Cluster, after: Moment, options: dict[str, Any]) -> Moment:
    """Ask the matrix of the target in a process of its own, and give the moment with it."""
    import subprocess  # noqa: PLC0415
    from dataclasses import replace  # noqa: PLC0415
    from tempfile import TemporaryDirectory  # noqa: PLC0415

    from conformance import moments  # noqa: PLC0415
    from conformance.clusters import controlplane  # noqa: PLC0415
    from conformance.errors import ClusterError  # noqa: PLC0415

    reports = options["reports"]
    with TemporaryDirectory() as folder:
        config = Path(folder) / "kubeconfig"
        controlplane.write(config, controlplane.kubeconfig(cluster))
        # It is ours, so that nobody's server needs to be spared.
        flags = ("--cluster=kubeconfig", f"--kubeconfig={config}", "--context=current", "--mode=full", "--qps=100000")
        call = [sys.executable, "-m", "conformance", "audit", *flags, "--concurrency=16", f"--reports={reports}"]
        code = subprocess.run([*call, *options["arguments"]], check=False).returncode
    if code not in {0, 1}:
        raise ClusterError(f"the audit of the target ended with code {code}: see above")
    return replace(after, matrix=moments.read(reports / "latest").matrix)
