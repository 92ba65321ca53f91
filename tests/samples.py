"""Every sample of a server, tried on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from conformance.placeholders import Placeholders
from conformance.scripts import Case, Subject, World, filled

if TYPE_CHECKING:
    from conformance.model import Catalog
    from conformance.scripts import Sample
    from conformance.transport import Client


def refusals(client: Client, catalog: Catalog, made: dict[str, Sample]) -> dict[str, str]:
    """Send a dry-run create of every sample; what it is refused for, where the reason isn't what it needs."""
    holders = Placeholders("20261201t000000-ab12", "default", "kube-public", "absent")
    world = World(catalog, (), "full", "v1.37.2")
    refused = {}
    for number, one in enumerate(catalog.resources):
        sample = made.get(f"{one.group_version}/{one.plural}")
        if sample is None:
            continue
        if sample.body is None:
            refused[one.plural] = sample.problem
            continue
        case = Case("X", Subject("x", one.group, one.version, one, one, sample), number, world)
        path = f"{one.prefix}/namespaces/default/{one.name}" if one.namespaced else f"{one.prefix}/{one.name}"
        path += f"/{case.name('a')}/{one.subresource}" if one.subresource else ""
        body = filled(sample.body, case, "a")
        if "name" not in body["metadata"]:
            body["metadata"] = {}  # a review: it is answered, not kept
        answer = client.ask(
            "POST",
            holders.fill(path),
            query={"dryRun": "All", "fieldValidation": "Strict"},
            body=holders.fill(orjson.dumps(body).decode()).encode(),
            headers={"Content-Type": "application/json"},
        )
        needed = sample.needs and answer.status == 404
        if answer.status != 201 and not needed:
            refused[f"{one.group_version}/{one.plural}"] = f"{answer.status} {answer.body.decode()}"
    return refused
