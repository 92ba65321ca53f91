"""Identities on a cluster: specs become columns, each confirmed by the server, and nothing is left afterwards."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from conformance.clusters import announce
from conformance.errors import IdentityError
from conformance.identities import CLUSTER, OTHER, OWN, LeftOutError, kinds, leftovers
from conformance.identities.ground import GONE, WAIT, Ground, message_of, read, until, until_gone
from conformance.model import Identity
from conformance.placeholders import Placeholders
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conformance.identities import Binding, Spec, Who
    from conformance.identities.lease import Lease
    from conformance.model import Access, Cluster, Json, Mode

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_MAY_THEY = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_ACCOUNT = "system:serviceaccount:"
_CREATED, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 201, 401, 403, 404
_USER = re.compile(r'\bUser "([^"]*)" cannot create\b')
# What a server adds that is another with each credential; equal runs have equal identities.
_VOLATILE = frozenset(
    f"authentication.kubernetes.io/{key}" for key in ("credential-id", "pod-name", "pod-uid", "node-name", "node-uid")
)


@dataclass(frozen=True, slots=True)
class Column:
    """An identity that the server confirmed, and its way to ask."""

    identity: Identity
    access: Access


@dataclass(frozen=True, slots=True)
class Prepared:
    """The namespaces of a run, its columns in the file's order, and who is left out with the reason."""

    own: str
    other: str
    columns: tuple[Column, ...]
    left_out: tuple[tuple[str, str], ...]
    _lease: Lease | None = field(default=None, repr=False)

    def beat(self) -> None:
        """Say that the run goes on, so that nobody takes its objects for leftovers; to be called now and then."""
        if self._lease is not None:
            self._lease.beat()


@contextmanager
def prepare(
    cluster: Cluster,
    specs: Sequence[Spec],
    *,
    run_id: str,
    mode: Mode,
    wait: bool = True,
    say: Callable[[str], None] = announce,
) -> Iterator[Prepared]:
    """Have these identities for as long as the block lasts.

    Mode `full` makes two namespaces and what the identities need, elsewhere than on a cluster of ours inside of them
    only; the other modes make nothing. With `wait` the block ends when the namespaces are gone.
    """
    with Client(cluster.admin) as client, Ground(client, cluster, run_id, mode) as ground:
        if not ground.creates:
            yield _prepared(ground, specs)
            return
        if cluster.ours:
            sweep(client, wait=wait, say=say)
        ground.claim()
        try:
            ground.lay()
            yield _prepared(ground, specs)
        finally:
            try:
                ground.clear(wait=wait, say=say)
            except KeyboardInterrupt:  # it came before signals were held back; what is gone is not removed twice
                ground.clear(wait=False, say=say)
                raise


def sketch(cluster: Cluster, specs: Sequence[Spec], *, run_id: str, mode: Mode) -> tuple[Prepared, tuple[str, ...]]:
    """Say who would ask, and what would be made for them, without making anything or asking as anybody."""
    columns: list[Column] = []
    left_out: list[tuple[str, str]] = []
    made: Counter[str] = Counter()
    with Client(cluster.admin) as client, Ground(client, cluster, run_id, mode) as ground:
        names = Placeholders(run_id, ground.own, ground.other, "absent")
        for spec in (each.filled(names.fill) for each in specs):
            if reason := _hindrance(spec, ground):
                left_out.append((spec.name, reason))
                continue
            who = kinds()[spec.kind].who(spec, ground)
            user, groups = (who.user, who.groups) if who else ("", ())
            columns.append(Column(Identity(spec.name, spec.kind, user, groups, expect=spec.expect), cluster.admin))
            made.update(_made_for(spec))
        if ground.creates:
            made.update({"Namespace": 2, "Lease": 1})
        written = tuple(f"{number} {kind}{'s' if number > 1 else ''}" for kind, number in sorted(made.items()))
        return Prepared(ground.own, ground.other, tuple(columns), tuple(left_out)), written


def _made_for(spec: Spec) -> Iterator[str]:
    """Name the kinds of the objects that are made for an identity."""
    if spec.kind == "serviceaccount":
        yield "ServiceAccount"
    for binding in spec.bind:
        yield "ClusterRoleBinding" if binding.place == CLUSTER else "RoleBinding"
        if binding.rules:
            yield binding.kind


def sweep(client: Client, *, wait: bool, say: Callable[[str], None]) -> None:
    """Remove from a cluster of ours what runs left that were killed; with `wait`, until the namespaces are gone."""
    found = leftovers.find(client, ours=True)
    for run in dict.fromkeys(each.run for each in found.dead):
        say(f"removing what the interrupted run {run} left")
    for problem in leftovers.delete(client, found.dead):
        say(f"could not be removed: {problem}")
    if wait and not until_gone(client, (*found.dead, *found.going)):
        say(f"namespaces of interrupted runs are still being deleted after {GONE:.0f} s")


def _prepared(ground: Ground, specs: Sequence[Spec]) -> Prepared:
    names = Placeholders(ground.run_id, ground.own, ground.other, "absent")
    columns: list[Column] = []
    left_out: list[tuple[str, str]] = []
    bound: list[tuple[Spec, Identity]] = []
    for spec in (each.filled(names.fill) for each in specs):
        if reason := _hindrance(spec, ground):
            left_out.append((spec.name, reason))
            continue
        try:
            column = _column(spec, ground)
        except LeftOutError as refusal:
            left_out.append((spec.name, str(refusal)))
            continue
        columns.append(column)
        bound.append((spec, column.identity))
    for spec, identity in bound:
        for binding in spec.bind:
            _wait_for(binding, spec, identity, ground)
    if ground.creates:
        ground.settle()
    return Prepared(ground.own, ground.other, tuple(columns), tuple(left_out), ground.lease)


def _hindrance(spec: Spec, ground: Ground) -> str:
    if spec.bind and not ground.creates:
        return "bindings are made in mode full only"
    if not ground.cluster.ours and any(
        binding.place not in {OWN, OTHER} or (binding.kind == "ClusterRole" and binding.rules) for binding in spec.bind
    ):
        return "its bindings reach beyond the run's own namespaces, on a cluster that kube-conformance did not create"
    return kinds()[spec.kind].hindrance(spec, ground)


def _column(spec: Spec, ground: Ground) -> Column:
    kind = kinds()[spec.kind]
    who, access = kind.who(spec, ground), kind.access(spec, ground)
    for number, binding in enumerate(spec.bind, 1):
        name = f"kc-{ground.run_id}-{spec.name}" + (f"-{number}" if number > 1 else "")
        if who is not None:
            _bind(binding, name, spec, who, ground)
    return Column(_confirmed(spec, access, who), access)


# --- bindings ---------------------------------------------------------------------------------------------------------


def _bind(binding: Binding, name: str, spec: Spec, who: Who, ground: Ground) -> None:
    """Create a binding, and the role of its rules; the server says 404 of a namespace that is not there."""
    try:
        if binding.rules:
            collection = f"{_RBAC}/clusterroles"
            if binding.kind == "Role":
                collection = f"{_RBAC}/namespaces/{ground.namespace(binding.place)}/roles"
            role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": binding.kind, "metadata": {"name": name}}
            ground.create(collection, role | {"rules": binding.rules})
        inside = binding.place != CLUSTER
        body: Json = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding" if inside else "ClusterRoleBinding",
            "metadata": {"name": name},
            "subjects": [_subject(binding, who)],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": binding.kind, "name": binding.role or name},
        }
        where = f"namespaces/{ground.namespace(binding.place)}/rolebindings" if inside else "clusterrolebindings"
        ground.create(f"{_RBAC}/{where}", body)
    except IdentityError as problem:
        raise IdentityError(f"{spec.file}:{binding.line}: identity {spec.name}: {problem}") from None


def _subject(binding: Binding, who: Who) -> Json:
    if not binding.group and who.user.startswith(_ACCOUNT):
        namespace, _, name = who.user.removeprefix(_ACCOUNT).partition(":")
        return {"kind": "ServiceAccount", "namespace": namespace, "name": name}
    kind, name = ("Group", binding.group) if binding.group else ("User", who.user)
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}


def _wait_for(binding: Binding, spec: Spec, identity: Identity, ground: Ground) -> None:
    """Wait until the authorizer knows a binding: it reads roles and bindings a little later than they are made."""
    rules = list(binding.rules) or _rules_of(binding, spec, ground)
    if not rules:
        return
    inside = binding.place != CLUSTER
    review: Json = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": identity.user,
            "groups": list(identity.groups),
            **_attributes(rules[0], ground.namespace(binding.place) if inside else ""),
        },
    }
    last = ""

    def is_allowed() -> bool:
        nonlocal last
        response = ground.ask("POST", _MAY_THEY, body=review)
        if response.status == _FORBIDDEN:
            return True  # who may not ask goes on without an answer
        status = read(response, f"POST {_MAY_THEY}")["status"]
        last = status.get("reason", "")
        return bool(status["allowed"])

    if not until(is_allowed, WAIT):
        raise spec.wrong(f"its binding is not in force after {WAIT:.0f} s. {last}".rstrip(), binding.line)


def _rules_of(binding: Binding, spec: Spec, ground: Ground) -> list[Json]:
    """Read the rules of a role that exists; on a cluster just started, wait for what is aggregated into it."""
    path = f"{_RBAC}/clusterroles/{binding.role}"
    if binding.kind == "Role":
        path = f"{_RBAC}/namespaces/{ground.namespace(binding.place)}/roles/{binding.role}"
    rules: list[Json] = []

    def is_filled() -> bool:
        response = ground.ask("GET", path)
        if response.status == _NOT_FOUND:
            raise spec.wrong(f"bind: there is no {binding.kind} {binding.role}", binding.line)
        if response.status == _FORBIDDEN:
            return True
        role = read(response, f"GET {path}")
        rules[:] = role.get("rules") or []
        return bool(rules) or not role.get("aggregationRule") or not ground.cluster.ours

    if not until(is_filled, WAIT):
        raise spec.wrong(f"the ClusterRole {binding.role} is still empty after {WAIT:.0f} s", binding.line)
    return rules


def _attributes(rule: Json, namespace: str) -> Json:
    """Give something that a rule allows, as a review spells it."""
    verb = _some(rule["verbs"], "get")
    if rule.get("nonResourceURLs"):
        return {"nonResourceAttributes": {"path": rule["nonResourceURLs"][0].replace("*", "x"), "verb": verb}}
    resource, _, subresource = _some(rule["resources"], "pods").partition("/")
    return {
        "resourceAttributes": {
            "namespace": namespace,
            "verb": verb,
            "group": _some(rule["apiGroups"], ""),
            "resource": "pods" if resource == "*" else resource,
            "subresource": subresource,
            "name": (rule.get("resourceNames") or [""])[0],
        }
    }


def _some(listed: Sequence[str], instead: str) -> str:
    return instead if listed[0] == "*" else listed[0]


# --- confirmation -----------------------------------------------------------------------------------------------------


def _confirmed(spec: Spec, access: Access, who: Who | None) -> Identity:
    """Ask the server who it takes this for."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    with Client(access) as client:
        response = client.ask("POST", _WHO_AM_I, body=body)
    message = message_of(response)
    if response.error:
        raise IdentityError(f"identity {spec.name}: {response.error}")
    if spec.expect == "unauthenticated":
        if response.status != _UNAUTHORIZED:
            raise IdentityError(f"identity {spec.name}: it is to be refused (401), the server says {response.status}")
        return Identity(spec.name, spec.kind, "", expect="unauthenticated")  # there is nobody whom it knows
    if response.status == _CREATED:
        return _identity(spec, orjson.loads(response.body)["status"]["userInfo"], who)
    if response.status == _UNAUTHORIZED and spec.kind == "anonymous":
        raise LeftOutError("the server takes no requests without a credential")
    if response.status == _FORBIDDEN and "cannot impersonate" in message:
        raise LeftOutError(message)
    named = _USER.search(message) if response.status == _FORBIDDEN else None
    if named is None:
        raise IdentityError(f"identity {spec.name}: the server does not know it: {response.status} {message}".rstrip())
    # Who may not ask is named in the refusal; of the groups it says nothing.
    groups = list(who.groups) if who else []
    return _identity(spec, {"username": named[1], "groups": groups}, who, groups_known=who is not None)


def _identity(spec: Spec, info: Json, who: Who | None, *, groups_known: bool = True) -> Identity:
    user, groups = info["username"], tuple(info.get("groups") or ())
    if who is not None:
        lacking = [group for group in who.groups if group not in groups]
        if user != who.user:
            raise IdentityError(f"identity {spec.name}: the server takes it for {user!r}, not for {who.user!r}")
        if lacking:
            raise IdentityError(f"identity {spec.name}: the server does not see it in {', '.join(lacking)}")
    given = spec.settings.get("extra", {})
    extra = {
        key: tuple(values) for key, values in (info.get("extra") or {}).items() if key not in _VOLATILE or key in given
    }
    return Identity(
        spec.name,
        spec.kind,
        user,
        groups,
        uid=info.get("uid", "") if "uid" in spec.settings else "",
        extra=tuple(sorted(extra.items())),
        groups_known=groups_known and (who is None or who.groups_known),
    )
