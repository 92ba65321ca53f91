"""`kube-conformance catalog`: what a server serves."""

from __future__ import annotations

import json
import shutil
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from conformance.model import Catalog, Cluster, Resource

# One letter for each verb that all resources have, in a fixed place, so that what is missing is seen at once.
_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
_LETTERS = dict(zip(_VERBS, "glwcupdx", strict=True))
_LEGEND = "verbs: " + ", ".join(f"{letter} {verb}" for verb, letter in _LETTERS.items())


@click.command()
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True, help="The form."
)
@click.option(
    "--cluster",
    type=click.Choice(["embedded", "kind", "kubeconfig"]),
    default="embedded",
    show_default=True,
    help="Where the cluster comes from; embedded starts a control plane for this question.",
)
@click.option("--kubeconfig", metavar="FILE", help="The kubeconfig file; else KUBECONFIG, else the usual place.")
@click.option("--context", metavar="NAME", help="The context of the kubeconfig; `current` takes the current one.")
@click.option("--kubernetes-version", "version", metavar="VERSION", help="1.36 for its newest patch, or 1.36.3.")
def command(output: str, cluster: str, kubeconfig: str | None, context: str | None, version: str | None) -> None:
    """List what a server serves: groups, versions, resources, subresources and their verbs, and paths.

    An API whose backend is down is named at the end; what could not be read, too.
    """
    from dataclasses import replace  # noqa: PLC0415

    from conformance import discovery, paths  # noqa: PLC0415
    from conformance.model import Rbac  # noqa: PLC0415
    from conformance.transport import Client  # noqa: PLC0415

    with _opened(cluster, kubeconfig, context, version) as found, Client(found.admin) as client:
        catalog = replace(discovery.discover(client), paths=paths.rows(client, Rbac()))
    if output == "table":
        width = shutil.get_terminal_size().columns
        click.echo("\n".join(table(catalog, width)))
    elif output == "json":
        click.echo(json.dumps(document(catalog), indent=2))
    else:
        import yaml  # noqa: PLC0415

        click.echo(yaml.safe_dump(document(catalog), sort_keys=False), nl=False)


def _opened(
    cluster: str, kubeconfig: str | None, context: str | None, version: str | None
) -> AbstractContextManager[Cluster]:
    from contextlib import nullcontext  # noqa: PLC0415

    from conformance import clusters  # noqa: PLC0415
    from conformance.errors import ClusterError, UsageError  # noqa: PLC0415

    if cluster == "kubeconfig":
        from conformance.clusters import kubeconfig as contexts  # noqa: PLC0415

        return nullcontext(contexts.open(kubeconfig, context))
    if kubeconfig or context:
        raise UsageError("--kubeconfig and --context belong to --cluster kubeconfig")
    provider = clusters.provider(cluster)
    reason = provider.is_available()
    if reason is not None:
        raise ClusterError(reason)
    return provider.running(version)


def document(catalog: Catalog) -> dict[str, Any]:
    """Give the catalog as JSON values."""
    return {
        "groups": [{"name": g.name, "versions": [*g.versions], "preferred": g.preferred} for g in catalog.groups],
        "resources": [
            {
                "group": r.group,
                "version": r.version,
                "resource": r.name,
                "subresource": r.subresource,
                "kind": {"group": r.kind_group, "version": r.kind_version, "kind": r.kind},
                "namespaced": r.namespaced,
                "verbs": [*r.verbs],
                "singular": r.singular,
                "shortNames": [*r.short_names],
                "categories": [*r.categories],
            }
            for r in catalog.resources
        ],
        "paths": [*catalog.paths],
        "unavailable": [{"groupVersion": u.group_version, "reason": u.reason} for u in catalog.unavailable],
        "aggregated": sorted(catalog.aggregated),
        "notes": [*catalog.notes],
    }


def table(catalog: Catalog, width: int) -> Iterator[str]:
    """Give the lines of a table that is at most so wide: a block for each group version."""
    from conformance.terminal import plain  # noqa: PLC0415

    rows = [_cells(resource) for resource in catalog.resources]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    several = {g.name: g.preferred for g in catalog.groups if len(g.versions) > 1}
    for group_version, resources in groupby(catalog.resources, lambda r: r.group_version):
        block = list(resources)
        marks = ["preferred"] if several.get(block[0].group) == block[0].version else []
        marks += ["another server's"] if group_version in catalog.aggregated else []
        yield _cut(plain(f"{group_version} ({', '.join(marks)})" if marks else group_version), width)
        for resource in block:
            padded = (f"{cell:<{size}}" for cell, size in zip(_cells(resource), [*widths, 0], strict=True))
            yield _cut("  " + "  ".join(padded), width)
        yield ""
    yield "paths"
    yield from (_cut(f"  {plain(path)}", width) for path in catalog.paths)
    yield ""
    for problem in catalog.unavailable:
        yield plain(f"not available: {problem.group_version}: {problem.reason}")
    yield from map(plain, catalog.notes)
    counts = (
        *(_many(len(catalog.groups), "group"), _many(sum(not r.subresource for r in catalog.resources), "resource")),
        _many(sum(bool(r.subresource) for r in catalog.resources), "subresource"),
        f"{_many(sum(len(r.verbs) for r in catalog.resources), 'verb')} on them",
    )
    yield ", ".join(counts)
    yield _LEGEND


def _cells(resource: Resource) -> tuple[str, str, str, str]:
    from conformance.terminal import plain  # noqa: PLC0415

    short = f" ({','.join(resource.short_names)})" if resource.short_names else ""
    letters = "".join(letter if verb in resource.verbs else "-" for verb, letter in _LETTERS.items())
    others = [verb for verb in resource.verbs if verb not in _LETTERS]
    scope = "namespaced" if resource.namespaced else "cluster"
    kind = resource.kind
    if (resource.kind_group, resource.kind_version) != (resource.group, resource.version):
        kind += f" ({resource.kind_group}/{resource.kind_version})"
    return plain(resource.plural + short), plain(" ".join([letters, *others])), scope, plain(kind)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}\u2026"


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
