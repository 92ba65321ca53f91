"""At least thirty breakages on two real servers, each found under its own id and kind, and nothing else failing."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from conformance import gate
from conformance.clusters import embedded
from conformance.compare import compared
from conformance.gate import Terms
from conformance.policy.waivers import Waiver, Waivers
from conformance.transport import Client
from upgrade.seeds import SEEDS, Seed

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from pathlib import Path

    from conformance.model import Catalog, Difference, Json
    from conformance.moments import Moment

SECONDS = 90
WITHOUT = "autoscaling/v1=false,policy/v1=false"


def _lay(client: Client, seeds: tuple[tuple[Json, ...], ...]) -> None:
    """Create the objects of every seed; one that is there already is replaced."""
    documents = [document for objects in seeds for document in objects]
    kinds: dict[tuple[str, str], str] = {}
    deadline = time.monotonic() + SECONDS
    # CRDs first, so that they are served by the time their objects come.
    for document in sorted(documents, key=lambda it: it["kind"] != "CustomResourceDefinition"):
        while not _put(client, document, kinds):
            assert time.monotonic() < deadline, document
            time.sleep(0.2)


def _put(client: Client, document: Json, kinds: dict[tuple[str, str], str]) -> bool:
    version, kind = document["apiVersion"], document["kind"]
    prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
    if (version, kind) not in kinds:
        answer = client.ask("GET", prefix)
        if answer.status != 200:
            return False
        import orjson  # noqa: PLC0415

        for each in orjson.loads(answer.body)["resources"]:
            if "/" not in each["name"]:
                kinds[version, each["kind"]] = each["name"]
    if (version, kind) not in kinds:
        return False
    namespace = document["metadata"].get("namespace")
    path = (
        f"{prefix}/namespaces/{namespace}/{kinds[version, kind]}" if namespace else f"{prefix}/{kinds[version, kind]}"
    )
    answer = client.ask("POST", path, body=document)
    if answer.status == 409:
        item = f"{path}/{document['metadata']['name']}"
        there = client.get_json(item)
        metadata = document["metadata"] | {"resourceVersion": there["metadata"]["resourceVersion"]}
        answer = client.ask("PUT", item, body=document | {"metadata": metadata})
    assert answer.status in {200, 201, 404, 409, 403, 500, 503}, answer.body
    return answer.status in {200, 201}


def _settled(client: Client) -> bool:
    """Say whether the controllers have done what the seeds make them do."""
    view = client.get_json("/apis/rbac.authorization.k8s.io/v1/clusterroles/view")
    service = client.ask("GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1.down.example.org")
    return b'"status":"False"' in service.body and any("secrets" in rule.get("resources", ()) for rule in view["rules"])


@pytest.fixture(scope="module")
def sides(frozen: Callable[..., tuple[Path, Moment]]) -> tuple[Moment, Moment]:
    with embedded.running() as cluster, Client(cluster.admin, user_agent="kubectl/v1") as client:
        _lay(client, tuple(seed.before for seed in SEEDS))
        _, before = frozen(cluster)
    with embedded.running(runtime_config=WITHOUT) as cluster, Client(cluster.admin, user_agent="kubectl/v1") as client:
        _lay(client, tuple(seed.after for seed in SEEDS))
        deadline = time.monotonic() + SECONDS
        while not _settled(client):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        _, after = frozen(cluster)
    return before, after


@pytest.fixture(scope="module")
def found(sides: tuple[Moment, Moment]) -> dict[str, Difference]:
    return {it.id: it for it in compared(*sides)}


def test_there_are_enough() -> None:
    assert len(SEEDS) >= 30
    assert len({seed.id for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.id)
def test_each_is_found_under_its_kind(seed: Seed, found: dict[str, Difference]) -> None:
    assert seed.id in found, sorted(it for it in found if it.partition(":")[0] == seed.id.partition(":")[0])
    assert found[seed.id].kind == seed.kind


def test_what_is_in_use_is_said(found: dict[str, Difference]) -> None:
    hpa = found["api-gone:autoscaling/v1/horizontalpodautoscalers"]
    assert (hpa.severity, "written in autoscaling/v1 by kubectl" in hpa.affected[0]) == ("critical", True)
    pdb = found["api-gone:policy/v1/poddisruptionbudgets"]
    assert pdb.severity == "critical"
    field = found["field-gone:org.example.seed.v1.Goners.spec.a"]
    assert field.affected == ("1 of 1 goners set spec.a",)
    lost = found["permission-lost:ServiceAccount default/loser@*:configmaps:list"]
    assert (lost.severity, "pods of default/loser" in lost.affected) == ("high", True)
    assert "ClusterRoleBinding loser → ClusterRole loser → rules[0]" in lost.before


def test_a_verb_that_is_lost(sides: tuple[Moment, Moment]) -> None:
    """No server drops one on demand: it is taken out of what was frozen of it."""
    before, _ = sides

    def without(catalog: Catalog) -> Catalog:
        resources = tuple(
            replace(it, verbs=tuple(verb for verb in it.verbs if verb != "deletecollection"))
            for it in catalog.resources
        )
        return replace(catalog, resources=resources)

    after = replace(before, snapshot=replace(before.snapshot, catalog=without(before.snapshot.catalog)))
    told = {it.id: it for it in compared(before, after)}
    assert told["verb-lost:v1/configmaps:deletecollection"].kind == "api"


def test_the_gate_says_no_and_an_expired_waiver_changes_nothing(sides: tuple[Moment, Moment]) -> None:
    import datetime as dt  # noqa: PLC0415

    def decided(until: dt.date) -> tuple[bool, Any]:
        waiver = Waiver("*", "all of it", "team", until, "waivers.yaml", 1)
        terms = Terms(waivers=Waivers([waiver]))
        return gate.of_two(*sides, terms).passed, terms.waivers.complaints()

    assert not gate.of_two(*sides, Terms()).passed
    assert decided(dt.date(2999, 1, 1)) == (True, ())
    passed, complaints = decided(dt.date(2020, 1, 1))
    assert (passed, len(complaints)) == (False, 1)
