"""`kube-conformance compare`: what differs between two moments, of any clusters, versions or times."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("-o", "--output", "form", default="table", show_default=True, metavar="FORMAT", help="See above.")
@click.option(
    "--to", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Instead of stdout."
)
def command(before: Path, after: Path, form: str, file: Path | None) -> None:
    """Say what differs between two snapshots or runs: APIs, schemas, permissions, behaviour, risks and the cluster.

    Exit code 0 whatever differs; `gate` decides.

    \b
    Formats: table, json, markdown, html, sarif

    \b
    Examples:
      kube-conformance compare before/ after/
      kube-conformance compare reports/latest after/ -o markdown
    """
    from conformance import compare, moments  # noqa: PLC0415  # --help must not wait for it
    from conformance.commands.gate import rendering  # noqa: PLC0415
    from conformance.model import Gate  # noqa: PLC0415
    from conformance.report import write  # noqa: PLC0415
    from conformance.report.differences import Comparison  # noqa: PLC0415

    render = rendering(form)
    old, new = moments.read(before), moments.read(after)
    found = Gate(passed=True, reason="", baseline=old.name, differences=compare.compared(old, new))
    content = render(Comparison(found, new.side, old.side, decided=False))
    if file is not None:
        write(file, content)
    else:
        sys.stdout.buffer.write(content)
