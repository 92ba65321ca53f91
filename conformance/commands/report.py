"""`kube-conformance report`: a saved run rendered again, without a cluster."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option("-o", "--output", "name", default="terminal", show_default=True, metavar="FORMAT", help="See below.")
@click.option(
    "--to", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Instead of stdout."
)
def command(run: Path, name: str, file: Path | None) -> None:
    """Judge a saved run (the folder of a run, or its run.jsonl.gz) again and render it.

    \b
    Formats: terminal, markdown, json, csv, junit, sarif, html

    \b
    Examples:
      kube-conformance report reports/latest
      kube-conformance report reports/latest -o html --to matrix.html
    """
    from conformance import matrix, report, store  # noqa: PLC0415  # --help must not wait for it
    from conformance.errors import UsageError  # noqa: PLC0415

    formats = report.formats()
    if name not in formats:
        raise UsageError(f"there is no format {name!r}; there are {', '.join(sorted(formats))}")
    saved = store.SavedRun(run)
    content = formats[name].render(matrix.judged(saved), matrix.StoredEvidence(saved))
    if file is None:
        sys.stdout.buffer.write(content)
        return
    report.write(file, content)
