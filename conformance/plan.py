"""Snapshot x identities -> what will be asked, in order.

A row is an endpoint; each identity makes it a cell. A cell is asked by its request (the probe) and by a review; names
that rules grant are asked besides. All names are placeholders, so a plan is the same for equal clusters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from conformance import virtual
from conformance.model import Attributes, Endpoint, Identity, Mode, Request, Resource, Snapshot
from conformance.placeholders import RUN
from conformance.probe import attributes_of, named_request_of, refusal, request_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from conformance.scripts import Planned

MAX_NAMES = 20  # of one cell that are asked; the rest is counted in its note
_SWEPT = ("own", "all", "other")
_CLUSTER_WIDE = frozenset({"list", "watch"})


class Grants(Protocol):
    """What the plan wants to know of the rules: the names for which they grant a cell."""

    def names(self, identity: Identity, attributes: Attributes) -> tuple[str, ...]:
        """Object names for which rules allow what they do not allow for an absent name."""


@dataclass(frozen=True, slots=True)
class Row:
    """An endpoint with its request (None and `refused` says why), and the names to ask for, by identity."""

    id: str
    endpoint: Endpoint
    attributes: Attributes
    request: Request | None
    refused: str = ""
    resource: Resource | None = None
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


Oracle = Literal["request", "review"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request on behalf of one cell. `name` is empty for the cell itself, else the object that rules name."""

    identity: str
    oracle: Oracle
    name: str
    request: Request | None
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Plan:
    """All rows in order, then all scripts, the identities, and which oracles are asked."""

    rows: tuple[Row, ...]
    identities: tuple[Identity, ...]
    oracles: tuple[str, ...]
    mode: Mode
    namespaces: Mapping[str, tuple[str, ...]]
    scripts: tuple[Planned, ...] = ()

    def calls(self, row: Row) -> Iterator[Call]:
        """Every request of a row: for each identity the probe, the review, and both for each name that rules grant."""
        for identity in self.identities:
            yield from self.of_cell(row, identity)

    def of_cell(self, row: Row, identity: Identity) -> Iterator[Call]:
        """Every request of one cell."""
        if identity.unasked:
            return
        if "request" in self.oracles and row.request is not None:
            yield Call(identity.name, "request", "", row.request, row.attributes)
        if identity.expect == "unauthenticated":
            return  # there is nobody to review
        if "review" in self.oracles:
            yield Call(identity.name, "review", "", None, row.attributes)
        for name in row.names.get(identity.name, ())[:MAX_NAMES]:
            attributes = attributes_of(row.endpoint, name)
            request = named_request_of(row.endpoint, row.resource, name)
            if "request" in self.oracles and request is not None:
                yield Call(identity.name, "request", name, request, attributes)
            if "review" in self.oracles:
                yield Call(identity.name, "review", name, None, attributes)

    @property
    def planned(self) -> int:
        """How many cells the plan has."""
        return len(self.rows) * len(self.identities)

    def count(self) -> int:
        """How many requests the plan will send."""
        return sum(1 for row in self.rows for _ in self.calls(row))


def make(
    snapshot: Snapshot,
    identities: Sequence[Identity],
    *,
    grants: Grants,
    mode: Mode,
    oracles: tuple[str, ...],
    namespaces: Mapping[str, tuple[str, ...]],
) -> Plan:
    """Lay out every row of a cluster: what discovery lists, its paths, then the virtual rows.

    `namespaces` maps a scope (`own`, `other`, `ns.NAME`) to the namespaces that share its probes.
    """
    rows: list[Row] = []
    there: dict[str, Row] = {}
    for endpoint, resource in _endpoints(snapshot, tuple(namespaces)):
        aggregated = resource is not None and resource.group_version in snapshot.catalog.aggregated
        refused = refusal(endpoint, mode, aggregated=aggregated)
        attributes = attributes_of(endpoint)
        names = {
            identity.name: found
            for identity in identities
            if identity.expect == "authenticated" and (found := grants.names(identity, attributes))
        }
        row = Row(
            id=endpoint.id,
            endpoint=endpoint,
            attributes=attributes,
            request=None if refused else request_of(endpoint, resource),
            refused=refused,
            resource=resource,
            names=names,
        )
        if there.setdefault(row.id, row) is row:
            rows.append(row)
    return Plan(tuple(rows), tuple(identities), oracles, mode, namespaces)


def _endpoints(snapshot: Snapshot, scopes: tuple[str, ...]) -> Iterator[tuple[Endpoint, Resource | None]]:
    catalog = snapshot.catalog
    named = tuple(scope for scope in scopes if scope.startswith("ns."))
    for resource in catalog.resources:
        if RUN in resource.group:
            continue  # what the run itself brought along: nobody's access to it says anything of the cluster
        for verb in resource.verbs:
            for scope in (*_SWEPT, *named) if resource.namespaced else ("cluster",):
                if scope == "all" and (verb not in _CLUSTER_WIDE or resource.subresource):
                    continue
                if scope == "other" and "other" not in scopes:
                    continue
                yield (
                    Endpoint(
                        resource.group,
                        resource.version,
                        resource.name,
                        resource.subresource,
                        verb,
                        resource.namespaced,
                        scope,
                    ),
                    resource,
                )
    for path in catalog.paths:
        yield Endpoint("", "", "", "", "get", namespaced=False, scope="cluster", path=path), None
    for endpoint in virtual.rows(catalog, snapshot.rbac):
        if endpoint.scope != "other" or "other" in scopes:
            yield endpoint, None
