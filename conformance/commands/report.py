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
@click.option("-q", "--quiet", is_flag=True, help="On the terminal: the verdict alone.")
@click.option("-v", "--verbose", is_flag=True, help="On the terminal: no list is cut.")
def command(run: Path, name: str, file: Path | None, *, quiet: bool, verbose: bool) -> None:
    """Judge a saved run (the folder of a run, or its run.jsonl.gz) again and render it.

    \b
    Formats: terminal, markdown, json, csv, junit, sarif, html, review

    The terminal's matrix fits its width and has colours only on a terminal (never with NO_COLOR set).

    \b
    Examples:
      kube-conformance report reports/latest
      kube-conformance report reports/latest -o html --to matrix.html
    """
    from dataclasses import replace  # noqa: PLC0415

    from conformance import matrix, report, store  # noqa: PLC0415  # --help must not wait for it
    from conformance.errors import UsageError  # noqa: PLC0415
    from conformance.report import terminal  # noqa: PLC0415
    from conformance.report.differences import document  # noqa: PLC0415

    formats = report.formats()
    if name not in formats:
        raise UsageError(f"there is no format {name!r}; there are {', '.join(sorted(formats))}")
    saved = store.SavedRun(run)
    made = replace(matrix.judged(saved), gate=document.gate_of(saved.path.parent))
    if file is None and name == terminal.NAME:
        terminal.show(made, quiet=quiet, verbose=verbose)
        return
    content = formats[name].render(made, matrix.StoredEvidence(saved))
    if file is None:
        sys.stdout.buffer.write(content)
        return
    report.write(file, content)
