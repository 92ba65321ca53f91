"""Every kind of every group and version, alpha and beta too, and the hardest custom resources: `nox -s objects`."""

from __future__ import annotations

import orjson
import pytest
from samples import refusals

from conformance import definitions, discovery, objects, openapi
from conformance.clusters import embedded
from conformance.transport import Client

RUN = "20260101t000000-abcd"


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize(("runtime_config", "least"), [(None, 70), ("api/all=true", 90)])
def test_every_sample_is_one_that_the_server_takes(runtime_config: str | None, least: int) -> None:
    with embedded.running(runtime_config=runtime_config) as cluster, Client(cluster.admin) as client:
        definitions.install(client, RUN)
        catalog = discovery.discover(client)
        documents = openapi.Documents(client, openapi.index(client))
        made = objects.samples(catalog, lambda key: orjson.loads(documents.raw(key)))
        assert len(made) > least
        synthesised = {key for key, sample in made.items() if sample.origin == "schema"}
        assert len(synthesised) == sum(len(each["spec"]["versions"]) for each in definitions.shipped(RUN))
        assert refusals(client, catalog, made) == {}
