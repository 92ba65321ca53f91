"""Hits worded as findings: who, by which way, what it lets them do, the cells that show it, and what ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.model import Endpoint, Finding, Witness
from conformance.rbac.algebra import bits_of
from conformance.risks.hit import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from conformance.model import Catalog, Identity
    from conformance.rbac.algebra import Point
    from conformance.rbac.resolver import Subject
    from conformance.risks.hit import Hit
    from conformance.risks.rights import Rights

NAMES_SHOWN = 5
_VERSIONS = {"autoscaling": "v2"}  # of groups whose version is not v1, where no server can be asked
_ANYWHERE = frozenset({"list", "watch", "create", "deletecollection"})

Places = dict[tuple[str, str, str], tuple[str, int]]  # kind, namespace, name -> file, line


class Wording:
    """Makes findings of hits; knows the rows of the matrix, the identities of a run, and files, where there are any."""

    def __init__(
        self,
        rights: Rights,
        *,
        catalog: Catalog | None = None,
        endpoints: Iterable[Endpoint] = (),
        namespaces: Mapping[str, tuple[str, ...]] | None = None,
        identities: Iterable[Identity] = (),
        places: Places | None = None,
    ) -> None:
        self._rights = rights
        self._versions = {group.name: group.preferred for group in catalog.groups} if catalog else _VERSIONS
        self._rows: dict[tuple[str, str, str, str], list[Endpoint]] = {}
        for endpoint in endpoints:
            key = endpoint.group, endpoint.plural, endpoint.verb, endpoint.path
            self._rows.setdefault(key, []).append(endpoint)
        self._namespaces = namespaces or {}
        self._identities = {identity.user: identity.name for identity in identities}
        self._places = places or {}
        self._words: dict[int, str] = {}
        self._ids: dict[tuple[int, str], tuple[str, ...]] = {}

    def finding(self, hit: Hit) -> Finding:
        """Word one hit."""
        risk = hit.risk
        path: tuple[str, ...] = ()
        if hit.binding is not None:
            numbers = ", ".join(f"rules[{number}]" for number in hit.numbers)
            path = tuple(part for part in (str(hit.holder() or ""), str(hit.binding), hit.role, numbers) if part)
        return Finding(
            id=hit.id,
            severity=hit.severity,
            title=risk.title,
            identity=self._identity(hit),
            witness=Witness("rbac", self._text(hit), path),
            evidence=self._evidence(hit),
            description=risk.attacker,
            fix=risk.fix,
            references=risk.references,
            rule=risk.id,
            places=tuple(self._files(hit)),
        )

    def findings(self, hits: Iterable[Hit], *, built_in: bool = False) -> tuple[Finding, ...]:
        """Word hits; those that every cluster has only where they are wanted."""
        return tuple(self.finding(hit) for hit in hits if built_in or hit.made != BUILT_IN)

    def _identity(self, hit: Hit) -> str:
        if hit.subject is None:
            return str(hit.binding or hit.role)
        return self._identities.get(user_of(hit.subject), str(hit.subject))

    def _text(self, hit: Hit) -> str:
        if hit.text:
            return hit.text
        where = f"in {hit.namespace}" if hit.namespace else "in the whole cluster"
        numbers = ", ".join(f"rules[{number}]" for number in hit.numbers)
        member = f", in which {hit.subject} is," if hit.holder() != hit.subject else ""
        said = f"{hit.binding} gives {hit.holder()}{member} the {hit.role}"
        if hit.bits:
            verb = "allow" if len(hit.numbers) > 1 else "allows"
            words = self._words.get(hit.bits)
            if words is None:
                words = self._words[hit.bits] = "; ".join(self._rights.words(hit.bits))
            said += f", whose {numbers} {verb} {words}"
        elif numbers:
            said += f", whose {numbers} {'say' if len(hit.numbers) > 1 else 'says'} so"
        if hit.names:
            said += f", for the names {_some(hit.names)} only"
        said += f", {where}"
        if hit.others:
            said += f"; with {_some(list(_others(hit)))}"
        return f"{said} ({hit.made})" if hit.made else said

    def _evidence(self, hit: Hit) -> tuple[str, ...]:
        """Give the rows that show it: of the run, or as they would be called."""
        key = hit.bits, hit.namespace
        found = self._ids.get(key)
        if found is None:
            points = (self._rights.axis.points[number] for number in bits_of(hit.bits))
            ids = (row for point in points for row in self._rows_of(point, hit.namespace))
            found = self._ids[key] = tuple(dict.fromkeys(ids))
        return found

    def _rows_of(self, point: Point, namespace: str) -> Iterable[str]:
        if not self._rows:
            return (self._endpoint(point, namespace).id,)
        rows = self._rows.get((point.group, point.plural, point.verb, point.path), ())
        return (row.id for row in rows if self._covers(row, namespace))

    def _covers(self, row: Endpoint, namespace: str) -> bool:
        if not namespace:
            return True
        return row.scope not in {"all", "cluster"} and namespace in self._namespaces.get(row.scope, ())

    def _endpoint(self, point: Point, namespace: str) -> Endpoint:
        if point.path:
            return Endpoint("", "", "", "", point.verb, namespaced=False, scope="cluster", path=point.path)
        resource, _, subresource = point.plural.partition("/")
        scope = "cluster"
        if point.namespaced:
            scope = f"ns.{namespace}" if namespace else "all" if point.verb in _ANYWHERE else "own"
        version = self._versions.get(point.group, "v1")
        return Endpoint(point.group, version, resource, subresource, point.verb, point.namespaced, scope)

    def _files(self, hit: Hit) -> Iterable[tuple[str, int]]:
        """Give where the role stands, then the bindings: the role is what is edited in most cases."""
        kind, _, name = hit.role.partition(" ")
        namespace, slash, bare = name.partition("/")
        keys = [(kind, namespace, bare) if kind == "Role" and slash else (kind, "", name)]
        for binding in (hit.binding, *hit.others):
            if binding is not None:
                binding_kind = "RoleBinding" if binding.namespace else "ClusterRoleBinding"
                keys.append((binding_kind, binding.namespace, binding.name))
        return (self._places[key] for key in keys if key in self._places)


def user_of(subject: Subject) -> str:
    """Give the name by which a server knows a user or account; a group is nobody."""
    if subject.kind == "ServiceAccount":
        return f"system:serviceaccount:{subject.namespace}:{subject.name}"
    return subject.name if subject.kind == "User" else ""


def _others(hit: Hit) -> Iterable[str]:
    for number, other in enumerate(hit.others, 1):
        holder = hit.holder(number)
        yield f"{other} of {holder}" if holder not in {None, hit.holder()} else str(other)


def _some(words: Iterable[str]) -> str:
    found = list(words)
    more = f" and {len(found) - NAMES_SHOWN} more" if len(found) > NAMES_SHOWN else ""
    return ", ".join(found[:NAMES_SHOWN]) + more
