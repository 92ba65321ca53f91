"""`kube-conformance audit`: the whole run, from a cluster to the matrix report."""

from __future__ import annotations

import click

from conformance import config


@click.command(context_settings={"ignore_unknown_options": False})
@config.flags()
@click.option("-q", "--quiet", is_flag=True, help="Show the verdict and where the files are, nothing else.")
@click.option("-v", "--verbose", is_flag=True, help="Show every failure, finding and gap, not the first few.")
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- PYTEST ARGS]")
def command(pytest_args: tuple[str, ...], *, quiet: bool, verbose: bool, **flags: object) -> int:
    """Ask a cluster everything, as everybody, and write the matrix to REPORTS/latest.

    Without options it starts a disposable control plane and audits that. On a cluster of yours, name it:

    \b
      kube-conformance audit --cluster kubeconfig --context staging --plan
      kube-conformance audit --cluster kubeconfig --context staging --mode observe

    What follows `--` goes to pytest: `-- -k deployments`, `-- -m "endpoint(verb='delete')"`, `-- -x`, `-- --lf`,
    `-- -n 2`.
    """
    from conformance import audit  # noqa: PLC0415  # --help must not wait for it

    return audit.main(config.load(flags), pytest_args, quiet=quiet, verbose=verbose)
