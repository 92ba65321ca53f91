"""Custom resources that a run brings along, on a server: there, objects of them made from their schemas, and gone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson
import pytest
from samples import refusals

from conformance import definitions, discovery, objects, openapi
from conformance.identities import leftovers
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cluster

RUN, OTHER = "20260101t000000-abcd", "20260101t000000-abce"


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.admin) as made:
        yield made
        for run in (RUN, OTHER):
            for name in definitions.names(made, run):
                made.ask("DELETE", f"{leftovers.DEFINITIONS}/{name}")
        deadline = time.monotonic() + 60
        while definitions.names(made, RUN) + definitions.names(made, OTHER):
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.server
def test_two_runs_bring_theirs_along_side_by_side_and_their_objects_are_made_from_schemas(client: Client) -> None:
    before = {resource.group for resource in discovery.discover(client).resources}
    definitions.install(client, RUN)
    definitions.install(client, OTHER)
    assert len(definitions.names(client, RUN)) == len(definitions.names(client, OTHER)) == 4
    catalog = discovery.discover(client)
    assert {definitions.run_of(r.group) for r in catalog.resources if r.group not in before} == {RUN, OTHER}
    mine = [r for r in catalog.resources if definitions.run_of(r.group) == RUN and not r.subresource]
    assert len(mine) == 5
    documents = openapi.Documents(client, openapi.index(client))
    made = objects.samples(catalog, lambda key: orjson.loads(documents.raw(key)))
    custom = {key: sample for key, sample in made.items() if RUN in key}
    assert len(custom) == 5
    assert refusals(client, catalog, custom) == {}


def test_the_longest_names_are_as_long_as_they_may_be() -> None:
    (longest,) = [each for each in definitions.shipped(RUN) if len(each["metadata"]["name"]) > 100]
    assert len(longest["metadata"]["name"]) == 253
    names = longest["spec"]["names"]
    assert [len(names[key]) for key in ("plural", "singular", "listKind")] == [63, 63, 63]
    assert [len(version["name"]) for version in longest["spec"]["versions"]] == [63]


@pytest.mark.parametrize(
    ("group", "run"),
    [
        (f"kc-{RUN}.kube-conformance.io", RUN),
        (f"kc-{RUN}-5-a.kube-conformance.io", RUN),
        ("apps", ""),
        ("kc-x.example.com", ""),
        (f"xkc-{RUN}.example.com", ""),
    ],
)
def test_a_group_says_whose_it_is(group: str, run: str) -> None:
    assert definitions.run_of(group) == run
