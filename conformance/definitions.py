"""Custom resources that a run brings along (fixtures/crds/): installed before the snapshot, labelled as the run's.

Their group holds the run's id, so that two runs at once do not meet. What removes a run's objects removes them, too.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import yaml

from conformance import files
from conformance.errors import ClusterError
from conformance.identities.leftovers import DEFINITIONS, HOLDER, MANAGED_BY, MANAGER, RUN
from conformance.transport import expect_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Json
    from conformance.transport import Client

_READY_SECONDS = 60.0
_POLL = 0.1
_OK = 200
# Sought in names of groups and in paths.
_OF_A_RUN = re.compile(r"(?:^|[./])kc-(\d{8}t\d{6}-[0-9a-f]{4})[.-]")


def run_of(group: str) -> str:
    """Name the run that brought a group along, empty for any other group."""
    found = _OF_A_RUN.search(group)
    return found[1] if found else ""


def shipped(run_id: str) -> Iterator[Json]:
    """Give the definitions of a run, with its id in them and its label on them."""
    for file in sorted((files.data("fixtures") / "crds").glob("*.yaml")):
        document: Json = yaml.safe_load(file.read_text("utf-8").replace("{run}", run_id))
        document["metadata"]["labels"] = {MANAGED_BY: MANAGER, RUN: run_id}
        yield document


def install(client: Client, run_id: str, *, holder: str = "") -> None:
    """Create them, and wait until discovery and OpenAPI show every version of each."""
    wanted = []
    for document in shipped(run_id):
        if holder:
            document["metadata"]["annotations"] = {HOLDER: holder}
        expect_json(
            client.ask("POST", DEFINITIONS, query={"fieldManager": MANAGER}, body=document), f"POST {DEFINITIONS}"
        )
        spec = document["spec"]
        plural = spec["names"]["plural"]
        wanted += [(f"{spec['group']}/{version['name']}", plural) for version in spec["versions"]]
    deadline = time.monotonic() + _READY_SECONDS
    while lacking := sorted(_lacking(client, wanted)):
        if time.monotonic() > deadline:
            raise ClusterError(f"custom resources were not served after {_READY_SECONDS:.0f} s: {', '.join(lacking)}")
        time.sleep(_POLL)


def _lacking(client: Client, wanted: list[tuple[str, str]]) -> set[str]:
    """Name what is not yet served, not yet listed by either discovery, or not yet described."""
    described = expect_json(client.ask("GET", "/openapi/v3"), "GET /openapi/v3").get("paths", {})
    accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"}
    aggregated = client.ask("GET", "/apis", headers=accept).body
    lacking = set()
    for group_version, plural in wanted:
        legacy = client.ask("GET", f"/apis/{group_version}")
        listed = client.ask("GET", f"/apis/{group_version}/{plural}", query={"limit": "1"})
        document = (
            client.ask("GET", f"/openapi/v3/apis/{group_version}") if f"apis/{group_version}" in described else None
        )
        ready = (
            legacy.status == listed.status == _OK
            and f'"{plural}"'.encode() in legacy.body
            and f'"{plural}"'.encode() in aggregated
            and document is not None
            and f"/{plural}".encode() in document.body
        )
        if not ready:
            lacking.add(f"{plural} of {group_version}")
    return lacking


def names(client: Client, run_id: str) -> tuple[str, ...]:
    """List the definitions of a run that are there."""
    response = client.ask("GET", DEFINITIONS, query={"labelSelector": f"{RUN}={run_id}"})
    items = expect_json(response, f"GET {DEFINITIONS}").get("items") or []
    return tuple(sorted(item["metadata"]["name"] for item in items))
