"""What `can-i`, `who-can` and `why` are answered from: a cluster, a saved run, or files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from conformance.errors import ClusterError, UsageError
from conformance.model import Answer, Attributes, Decision, Identity, Review
from conformance.oracles import review as reviews
from conformance.oracles.rules import NAMELESS_VERBS, Rules
from conformance.rbac.resolver import SERVICE_ACCOUNT_PREFIX, Resolver, filled, unread
from conformance.rbac.served import Served, Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conformance.expectations.judging import Ground as Expecting
    from conformance.model import Json, Rbac
    from conformance.rbac.escalation_paths import Paths
    from conformance.transport import Client

AUTHENTICATED, UNAUTHENTICATED, ANONYMOUS = "system:authenticated", "system:unauthenticated", "system:anonymous"
_COLLECTION = NAMELESS_VERBS | {"list", "watch", "create"}
_CREATED, _FORBIDDEN = 201, 403
_AUTHORIZATION = "/apis/authorization.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of where and as whom."""

    files: tuple[Path, ...] = ()
    run: Path | None = None
    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    everywhere: bool = False
    name: str = ""
    user: str | None = None
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.files and self.run:
            raise UsageError("-f and --run are two places to answer from; give one")
        if (self.files or self.run) and (self.kubeconfig or self.context):
            raise UsageError("--kubeconfig and --context name a cluster, -f and --run do without; give one of them")
        if self.namespace is not None and self.everywhere:
            raise UsageError("-n names one namespace and -A means all; give one of them")
        if self.user is None and (self.groups or self.uid or self.extra):
            raise UsageError("--as-group, --as-uid and --as-extra go with --as USER, for a server too")


@dataclass(frozen=True, slots=True)
class Ground:
    """What questions are answered from. `me` and `review` are there where a server is."""

    rbac: Rbac
    served: Served
    namespace: str | None = None
    me: Identity | None = None
    review: Callable[[Identity, Attributes], Review | None] | None = None

    @property
    def resolver(self) -> Resolver:
        """The rules to search from the other end."""
        return Resolver(self.rbac)

    def identity(self, asked: Asked) -> Identity:
        """Say who is meant: whom --as names, with the groups that a server adds, or who asks the server."""
        if asked.user is not None:
            return impersonated(asked)
        if self.me is None:
            raise UsageError("say who: --as USER (a service account is system:serviceaccount:NAMESPACE:NAME)")
        return self.me

    def attributes(self, asked: Asked, verb: str, target: Target) -> Attributes:
        """Give what an authorizer is asked. Objects outside of namespaces are asked for outside of them."""
        if target.path:
            return Attributes(verb, path=target.path)
        of_namespaces = (target.group, target.resource) == ("", "namespaces")
        named = asked.name and (target.subresource or verb not in _COLLECTION)
        # A request for one namespace is authorised in it.
        outside = asked.name if of_namespaces and named else ""
        place = outside if target.namespaced is False else self._place(asked)
        return Attributes(verb, target.group, "", target.resource, target.subresource, place, asked.name)

    def _place(self, asked: Asked) -> str:
        if asked.everywhere:
            return ""
        place = asked.namespace if asked.namespace is not None else self.namespace
        if not place:
            raise UsageError("say in which namespace: -n NAMESPACE, or -A for all")
        return place

    def decide(self, identity: Identity, attributes: Attributes) -> Decision:
        """Answer from the rules; where a server reviews it otherwise, the server is right and its reason the witness.

        It has authorizers that rules know nothing of, and may know rules that could not be read.
        """
        by_rules = Rules(self.rbac).decide(identity, attributes)
        answer = self.review(identity, attributes) if self.review else None
        reviewed = reviews.read(answer) if answer is not None and not answer.error else None
        differs = reviewed is not None and reviewed.answer not in {by_rules.answer, Answer.UNKNOWN}
        return reviewed if reviewed is not None and differs else by_rules

    def complete(self, namespace: str | None) -> bool:
        """Say whether all bindings were read, and every role that they refer to. None asks for all namespaces."""
        kinds = unread(self.rbac)
        if kinds & {"clusterrolebindings", "rolebindings"}:
            return False
        resolver = self.resolver
        return not any(
            f"{binding.role_kind.lower()}s" in kinds and resolver.role_reference_rules(binding) is None
            for binding in resolver.bindings()
            if namespace is None or binding.namespace in {"", namespace}
        )


def impersonated(asked: Asked) -> Identity:
    """Give somebody with the groups that a server adds to whoever is impersonated."""
    user, groups = asked.user or "", list(asked.groups)
    account = user.removeprefix(SERVICE_ACCOUNT_PREFIX).split(":") if user.startswith(SERVICE_ACCOUNT_PREFIX) else []
    if len(account) == 2 and not groups:  # noqa: PLR2004  # namespace and name
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{account[0]}"]
    if user == ANONYMOUS:
        groups += [] if groups else [UNAUTHENTICATED]
    elif not {AUTHENTICATED, UNAUTHENTICATED} & set(groups):
        groups.append(AUTHENTICATED)
    extra: dict[str, list[str]] = {}
    for pair in asked.extra:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise UsageError(f"--as-extra {pair}: write KEY=VALUE")
        extra.setdefault(key, []).append(value)
    pairs = tuple((key, tuple(values)) for key, values in extra.items())
    return Identity("asked", "asked", user, tuple(groups), asked.uid, pairs)


def ground(asked: Asked) -> Ground:
    """Read what the questions are answered from."""
    if asked.files:
        from conformance import manifests  # noqa: PLC0415  # only what is needed, so that the answer comes at once

        found = manifests.read(asked.files, namespace=asked.namespace or "")
        return Ground(filled(found.rbac), Served.without_server(found.defined))
    if asked.run:
        from conformance.store import SavedRun  # noqa: PLC0415

        snapshot = SavedRun(asked.run).snapshot
        return Ground(snapshot.rbac, Served.of(snapshot.catalog))
    return _live(asked)


def _live(asked: Asked) -> Ground:
    from conformance import discovery, snapshot  # noqa: PLC0415
    from conformance.clusters import kubeconfig  # noqa: PLC0415
    from conformance.transport import Client  # noqa: PLC0415

    config = kubeconfig.read(asked.kubeconfig)
    # Reading and asking changes nothing, so that here the current context need not be written out.
    context = config.context(asked.context or kubeconfig.CURRENT)
    client = Client(config.access(context))
    me = _me(client)
    place = asked.namespace or config.namespace(context)
    rbac = snapshot.reread_rbac(client, namespaces=[place])
    try:
        served = Served.of(discovery.discover(client))
    except ClusterError:
        served = Served.without_server({})  # who may not discover may still ask

    def review(identity: Identity, attributes: Attributes) -> Review | None:
        return _review(client, None if identity is me else identity, attributes)

    return Ground(rbac, served, config.namespace(context), me, review)


def _me(client: Client) -> Identity | None:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    response = client.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
    if response.error:
        raise ClusterError(f"{client.access.server}: {response.error}")
    if response.status == _FORBIDDEN:
        return None  # anonymous, say; --as can still be asked about
    if response.status != _CREATED:
        raise ClusterError(f"{client.access.server}: who asks is not known there: {response.status}")
    info = orjson.loads(response.body)["status"]["userInfo"]
    extra = tuple((key, tuple(values)) for key, values in (info.get("extra") or {}).items())
    return Identity("me", "context", info["username"], tuple(info.get("groups") or ()), info.get("uid") or "", extra)


def _review(client: Client, identity: Identity | None, attributes: Attributes) -> Review | None:
    """Ask the server's authorizers; None where they may not be asked."""
    kind = "SelfSubjectAccessReview" if identity is None else "SubjectAccessReview"
    spec: dict[str, Any] = {}
    if identity is not None:
        spec = {"user": identity.user, "groups": identity.groups, "uid": identity.uid, "extra": dict(identity.extra)}
    if attributes.path:
        spec["nonResourceAttributes"] = {"path": attributes.path, "verb": attributes.verb}
    else:
        keys = ("verb", "group", "resource", "subresource", "namespace", "name")
        spec["resourceAttributes"] = {key: getattr(attributes, key) for key in keys}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    response = client.ask("POST", f"{_AUTHORIZATION}/{kind.lower()}s", body=body)
    if response.error or response.status != _CREATED:
        return None
    status: Json = orjson.loads(response.body)["status"]
    return Review(
        allowed=status["allowed"],
        denied=status.get("denied", False),
        reason=status.get("reason", ""),
        evaluation_error=status.get("evaluationError", ""),
    )


def escalation(asked: Asked) -> tuple[Paths, bool]:
    """Give the escalation paths of a cluster, saved run or files, and whether all of RBAC could be read."""
    from conformance.rbac import escalation_paths  # noqa: PLC0415  # only what is needed

    if asked.run:
        from conformance import matrix, proofs  # noqa: PLC0415
        from conformance.store import SavedRun  # noqa: PLC0415

        saved = SavedRun(asked.run)
        return proofs.paths(saved, matrix.checks(saved)), not unread(saved.snapshot.rbac)
    found = ground(asked)
    return escalation_paths.of(found.rbac), not unread(found.rbac)


def expecting(asked: Asked) -> tuple[Rbac, Expecting]:
    """Give what expectations are held against: a run with its cells, or the rules of a cluster or of files."""
    from conformance.expectations import judging  # noqa: PLC0415  # only what is needed

    if asked.run:
        from conformance import matrix  # noqa: PLC0415
        from conformance.store import SavedRun  # noqa: PLC0415

        saved = SavedRun(asked.run)
        made = matrix.judged(saved)
        cells = judging.AskedCells(made.endpoints, made.cells, made.run.namespaces)
        return saved.snapshot.rbac, judging.of_run(saved.snapshot, made.identities, cells)
    found = ground(asked)
    return found.rbac, judging.without_run(found.rbac, found.served)


def mistaken(resolver: Resolver, user: str) -> str:
    """Say so where a name means nobody and an account of it is bound: denied would be true, and of no use."""
    account, slash, name = user.removeprefix("ServiceAccount ").partition("/")
    called = f"{SERVICE_ACCOUNT_PREFIX}{account}:{name}"
    known = (
        {it[1] for binding in resolver.bindings() for it in binding.principals if it[0] == "User"} if slash else set()
    )
    if called not in known or user in known:
        return ""
    return f"--as {user}: no binding names such a user; the service account is {called}"


def targets(served: Served, verb: str, resource: str, rbac: Rbac) -> tuple[Target, str]:
    """Read what is asked about, and say what may be misunderstood about it, empty when nothing is."""
    target = served.target(resource)
    if target.path or target.namespaced is not None or "." in resource.partition("/")[0]:
        return target, ""
    plural = f"{target.resource}/{target.subresource}" if target.subresource else target.resource
    groups = {
        group
        for role in (*rbac.cluster_roles, *rbac.roles)
        for rule in role.get("rules") or ()
        if {target.resource, plural} & set(rule.get("resources") or ())
        for group in rule.get("apiGroups") or ()
    } - {"", "*"}
    said = ", ".join(f"{target.resource}.{group}" for group in sorted(groups))
    hint = f"; rules name {said}" if said else ""
    return target, f"{verb} {resource}: no resource {target.resource} is known, taken as one of the core group{hint}"
