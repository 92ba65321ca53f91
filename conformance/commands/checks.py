"""`kube-conformance checks`: the catalogue of what is held against a server."""

from __future__ import annotations

import click


@click.command()
@click.option("-o", "--output", type=click.Choice(["table", "json", "markdown"]), default="table", show_default=True)
@click.argument("ids", nargs=-1, metavar="[ID]...")
def command(output: str, ids: tuple[str, ...]) -> None:
    """List the checks, or explain those of some ids.

    \b
    Examples:
      kube-conformance checks
      kube-conformance checks LIST-LIMIT
      kube-conformance checks -o json
    """
    import orjson  # noqa: PLC0415  # --help must not wait for it

    from conformance import checks  # noqa: PLC0415
    from conformance.errors import UsageError  # noqa: PLC0415

    known = checks.catalogue()
    for wanted in ids:
        if wanted not in known:
            raise UsageError(f"there is no check {wanted}; `kube-conformance checks` lists them")
    chosen = [known[wanted] for wanted in ids] if ids else list(known.values())
    if output == "json":
        listed = [
            {
                "id": each.id,
                "level": each.level,
                "title": each.title,
                "topic": each.topic,
                "on": each.on,
                "verbs": each.verbs,
                "mode": each.mode,
                "needs": sorted(each.needs),
                "url": each.url,
                "quote": each.quote,
            }
            for each in chosen
        ]
        click.echo(orjson.dumps(listed, option=orjson.OPT_INDENT_2).decode())
    elif output == "markdown":
        from conformance.checks import page  # noqa: PLC0415

        click.echo(page.render(), nl=False)
    elif ids:
        click.echo("\n\n".join(f"{it.id}  {it.level}\n{it.title}\n{it.url}\n  {it.quote}" for it in chosen))
    else:
        width = max(len(each.id) for each in chosen)
        for each in chosen:
            click.echo(f"{each.id:<{width}}  {each.level:<6}  {each.title}")
