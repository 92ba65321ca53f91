"""The stages of an audit, in the order in which the data goes through them.

cluster -> identities -> snapshot -> plan -> (pytest asks and judges) -> store -> matrix -> reports
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from conformance import (
    __version__,
    clusters,
    contract,
    definitions,
    discovered,
    expectations,
    identities,
    plan,
    proofs,
    risks,
    sight,
    snapshot,
    store,
    survey,
)
from conformance.config import gate_rules, words
from conformance.errors import UsageError
from conformance.identities import lease, odd, stage
from conformance.identities.ground import Ground
from conformance.identities.leftovers import RUN
from conformance.openapi import Documents
from conformance.oracles.rules import Rules
from conformance.placeholders import OTHER, OWN, Placeholders
from conformance.placeholders import RUN as RUN_NAME
from conformance.policy import accepted as acceptance
from conformance.rbac import escalation_proof
from conformance.risks import exclusions, inrun
from conformance.scripts import ADMIN_ACCESS, Planned
from conformance.transport import USER_AGENT, Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import ExitStack

    from conformance.config import Options
    from conformance.discovered import Person
    from conformance.engine import Limits
    from conformance.expectations import Expectation
    from conformance.identities import Spec
    from conformance.identities.stage import Prepared
    from conformance.model import Access, Cluster, Finding, Identity, Json, Mode, Rbac, Snapshot
    from conformance.plan import Plan, Row
    from conformance.policy.accepted import Accepted
    from conformance.risks.rule import Risk
    from conformance.scripts import Case, Script, World

_SHARED_QPS, _SHARED_CONCURRENCY = 50.0, 8
_CREATED = 201
_SCRIPT_AT_MOST = 40  # requests
_GIVEN = ("uid", "resourceVersion", "creationTimestamp")  # by the server, to each object anew


@dataclass(frozen=True, slots=True)
class Work:
    """What one process needs to ask and to judge; it can be handed to another process."""

    plan: Plan
    snapshot: Snapshot
    placeholders: Placeholders
    accesses: dict[str, Access]
    reviewer: Access | None
    limits: Limits
    user_agent: str
    max_requests: int | None = None
    world: World | None = None
    documents: Documents | None = None
    expectations: tuple[Expectation, ...] = ()
    agreed: Accepted = field(default_factory=acceptance.Accepted)
    risk_files: tuple[tuple[str, str], ...] = ()
    accepted: tuple[Json, ...] = ()  # findings that the user accepts
    day: str = ""
    fail_on: str = "high"

    def risks(self) -> tuple[Risk, ...]:
        """Give the risk rules."""
        return inrun.risks_of(self.risk_files)

    def findings(self) -> tuple[Finding, ...]:
        """Look for the risk rules in what was frozen, as the judged run will."""
        found, _ = inrun.findings(
            self.snapshot,
            self.risks(),
            endpoints=(),
            namespaces=self.plan.namespaces,
            identities=self.plan.identities,
            accepted=self.accepted,
            day=self.day,
        )
        return found

    def script(self, planned: Planned) -> tuple[Script, Case]:
        """Give the script of a check and its case."""
        assert self.world is not None  # noqa: S101  # there are no scripts without it
        return contract.begin(planned, self.world)

    def rules(self) -> Rules:
        """Compile the rules oracle."""
        return Rules(self.snapshot.rbac)

    def beyond(self, rows: Iterable[Row | Planned]) -> frozenset[str]:
        """Name the rows and scripts, of these in this order, that --max-requests leaves no request for."""
        if self.max_requests is None:
            return frozenset()
        spent, left = 0, set()
        for row in rows:
            # How many a script will send only its answers tell.
            spent += _SCRIPT_AT_MOST if isinstance(row, Planned) else sum(1 for _ in self.plan.calls(row))
            if spent > self.max_requests:
                left.add(row.id)
        return frozenset(left)


@dataclass(slots=True)
class Ready:
    """An audit that has all it needs for its first probe."""

    options: Options
    cluster: Cluster
    work: Work
    head: store.Head
    client: Client
    prepared: Prepared
    started: float
    unseen: tuple[str, ...] = ()  # what the auditor may not read, in sentences
    written: tuple[str, ...] = ()  # what would be made for identities, where it is only said


def ready(
    options: Options,
    stack: ExitStack,
    say: Callable[[str], None],
    selection: str = "",
    *,
    keep: Callable[[str, bytes], None] | None = None,
) -> Ready:
    """Go through every stage before the first probe.

    What has to be undone is left to `stack`; the snapshot's OpenAPI documents are handed to `keep`, so that they need
    not stay in memory.
    """
    started, started_at = time.monotonic(), datetime.now(UTC)
    run_id = f"{started_at:%Y%m%dt%H%M%S}-{secrets.token_hex(2)}"
    named = () if _is_discovered(options) else _chosen(options)
    expected = expectations.load(options.expectations) if options.expectations else ()
    agreed = acceptance.load(
        options.baseline,
        options.waivers,
        gate_rules(),
        fail_on=options.fail_on,
        allow_partial=options.allow_partial,
    )
    risk_files = risks.texts(options.risks) if options.risks else ()
    accepted = exclusions.load(options.exclusions) if options.exclusions else ()
    cluster, disposable = _open(options, stack, say)
    if options.pod_image:
        cluster = replace(cluster, pod_image=options.pod_image)
    mode = _mode(options, cluster)
    client = Client(cluster.admin, user_agent=f"{USER_AGENT} run/{run_id}")
    stack.callback(client.close)
    people = _discovered(options, client)
    specs = discovered.specs(people) if people else named
    say(f"{cluster.admin.server}: mode {mode}, as {_named(people, specs)}")
    sketched = stage.sketch(cluster, specs, run_id=run_id, mode=mode) if options.plan and mode == "full" else None
    prepared, written = sketched or (
        stack.enter_context(stage.prepare(cluster, specs, run_id=run_id, mode=mode, wait=not disposable, say=say)),
        (),
    )
    columns = prepared.columns
    if mode == "full" and cluster.ours and options.checks and not options.plan:
        definitions.install(client, run_id, holder=lease.holder())
    placeholders = Placeholders(run_id, prepared.own, prepared.other, f"kc-{run_id}-absent")
    home = _home(cluster)
    taken = snapshot.take(client, namespaces=_read_in(options, prepared, home))
    # Probes set the metric of deprecated calls themselves, so it would tell of the audit before this one: not kept.
    frozen = masked(replace(snapshot.without_runs(taken, run_id), deprecated_calls=None), placeholders)
    known = tuple(_masked_identity(column.identity, placeholders) for column in columns)
    known = discovered.columns(people, known) if people else known
    rules = Rules(frozen.rbac)
    scopes = _scopes(options.namespaces, frozen, known, rules, home if home != prepared.own else "")
    laid = plan.make(frozen, known, grants=rules, mode=mode, oracles=options.oracles, namespaces=scopes)
    laid = discovered.within(laid, options.max_requests) if people else laid
    known = laid.identities
    documents = Documents(client, taken.openapi)
    for key in taken.openapi if keep else ():
        # Only what the cluster itself serves: a run brings definitions along, and takes them away.
        if keep and not definitions.run_of(key) and (raw := documents.raw(key)):
            keep(key, raw)
    world = None
    spare: dict[str, Access] = {}
    if options.checks:
        spare = odd.accesses(stack.enter_context(Ground(client, cluster, run_id, mode)))
        world = survey.world(
            client,
            cluster,
            frozen,
            known,
            mode,
            documents=documents,
            names=placeholders,
            own_objects=options.objects,
            credentials=frozenset(spare),
        )
        world = replace(world, trials=escalation_proof.trials(proofs.graph(frozen.rbac, known), known))
        laid = replace(laid, scripts=contract.planned(world))
    reviewer = _reviewer(client, cluster, options)
    unseen = tuple(
        sight.unseen(
            client,
            frozen,
            reviews=reviewer is not None,
            checks=options.checks,
            unasked=_unasked(options.namespaces, frozen, scopes),
        )
    )
    if unseen:
        say("what this auditor cannot see (docs/permissions.md says what would mend it):")
    for each in unseen:
        say(f"  {each}")
    head = store.Head(
        id=run_id,
        started_at=f"{started_at:%Y-%m-%dT%H:%M:%SZ}",
        mode=mode,
        selection=selection,
        oracles=options.oracles,
        namespaces=scopes,
        identities=known,
        left_out=tuple((name, placeholders.mask_message(why)) for name, why in prepared.left_out),
        tool_version=__version__,
        provider=cluster.provider,
        server=cluster.admin.server,
        server_version=frozen.server_version,
        again=_again(options, mode, frozen.server_version, disposable=disposable),
        expectations=tuple(expectations.dump(it) for it in expected),
        risks=risk_files,
        exclusions=tuple(exclusions.dump(it) for it in accepted),
        fail_on=options.fail_on,
    )
    work = Work(
        plan=laid,
        snapshot=frozen,
        placeholders=placeholders,
        accesses={column.identity.name: column.access for column in columns} | spare | {ADMIN_ACCESS: cluster.admin},
        reviewer=reviewer,
        limits=_limits(options, cluster),
        user_agent=f"{USER_AGENT} run/{run_id}",
        max_requests=options.max_requests,
        world=world,
        documents=documents if options.checks else None,
        expectations=expected,
        agreed=agreed,
        risk_files=risk_files,
        accepted=head.exclusions,
        day=head.started_at,
        fail_on=options.fail_on,
    )
    return Ready(options, cluster, work, head, client, prepared, started, unseen, written)


def _again(options: Options, mode: Mode, version: str, *, disposable: bool) -> tuple[str, ...]:
    """Spell the flags that make such a run again, on the same version where the cluster was this run's own."""
    exact = version.removeprefix("v").partition("+")[0] if disposable else options.kubernetes_version
    return words(replace(options, mode=mode, kubernetes_version=exact), "plan", "reports")


# --- the stages -------------------------------------------------------------------------------------------------------


def _open(options: Options, stack: ExitStack, say: Callable[[str], None]) -> tuple[Cluster, bool]:
    """Have the cluster that the options name; True when it lives for this run alone."""
    if options.cluster == "kubeconfig":
        from conformance.clusters import kubeconfig  # noqa: PLC0415  # one provider's libraries are enough

        return kubeconfig.open(options.kubeconfig, options.context, say=say), False
    provider = clusters.provider(options.cluster)
    problem = provider.is_available()
    if problem is not None:
        raise UsageError(problem)
    extra: dict[str, Any] = {"allow_unpinned": options.allow_unpinned, "say": say}
    if options.context is None:
        return stack.enter_context(provider.running(options.kubernetes_version, **extra)), True
    if options.context not in provider.names():
        there = ", ".join(provider.names()) or "none"
        raise UsageError(
            f"there is no {provider.NAME} cluster {options.context!r} (there is: {there}); start it with"
            f" `kube-conformance cluster up --provider {provider.NAME} --name {options.context}`"
        )
    return provider.up(options.context, options.kubernetes_version, **extra), False


def _mode(options: Options, cluster: Cluster) -> Mode:
    if options.mode is None:
        return "full" if cluster.ours else "dry-run"
    if options.mode == "full" and not cluster.ours and "mode" not in options.given:
        raise UsageError("mode full on a cluster that kube-conformance did not create has to be on the command line")
    mode: Mode = options.mode  # type: ignore[assignment]  # config.py allows the three values only
    return mode


def _chosen(options: Options) -> tuple[Spec, ...]:
    """Read who is to ask, before anything is started for them."""
    elsewhere = options.cluster == "kubeconfig" and options.mode != "full"
    specs = identities.load(options.identities or identities.default_path(elsewhere=elsewhere))
    return identities.select(specs, options.identity)


def _is_discovered(options: Options) -> bool:
    return str(options.identities) == discovered.WORD


def _discovered(options: Options, client: Client) -> tuple[Person, ...]:
    """Give everybody whom a binding names, where they are who is to ask."""
    if not _is_discovered(options):
        return ()
    people = discovered.people(snapshot.reread_rbac(client), options.identity)
    if not people:
        raise UsageError("no binding that could be read names anybody (of these names)")
    return people


def _named(people: Sequence[Person], specs: Sequence[Spec]) -> str:
    if people:
        return (
            f"{len(people)} subjects of bindings, {len(specs)} of them asked: the others have the rules of one of these"
        )
    return ", ".join(spec.name for spec in specs)


def _reviewer(client: Client, cluster: Cluster, options: Options) -> Access | None:
    """The admin asks the reviews where it may; elsewhere every identity asks for itself."""
    if "review" not in options.oracles:
        return cluster.admin
    review = {
        "kind": "SubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "spec": {"user": "kube-conformance", "nonResourceAttributes": {"path": "/", "verb": "get"}},
    }
    answer = client.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review)
    return cluster.admin if answer.status == _CREATED else None


def _limits(options: Options, cluster: Cluster) -> Limits:
    from conformance.engine import CONCURRENCY, Limits  # noqa: PLC0415  # libcurl is not needed to judge a saved run

    if cluster.ours:
        return Limits(options.concurrency or CONCURRENCY, options.qps or 0.0)
    return Limits(options.concurrency or _SHARED_CONCURRENCY, options.qps or _SHARED_QPS, gentle=True)


# --- namespaces -------------------------------------------------------------------------------------------------------


def _home(cluster: Cluster) -> str:
    """Give the namespace that a context of somebody's kubeconfig is about."""
    if cluster.provider != "kubeconfig":
        return ""
    from conformance.clusters import kubeconfig  # noqa: PLC0415  # one provider's libraries are enough

    return kubeconfig.read(cluster.kubeconfig).namespace(cluster.name)


def _read_in(options: Options, prepared: Prepared, home: str) -> tuple[str, ...]:
    """Name the namespaces whose roles are read one by one where they cannot be listed all at once."""
    named = [name for name in options.namespaces if name not in {"all", "bound"}]
    return tuple(dict.fromkeys(name for name in (prepared.own, home, *named) if name))


def _is_blind(frozen: Snapshot) -> bool:
    """Say whether it could not be read who is bound where: then no namespace stands for another."""
    return any(each.startswith("RoleBindings:") for each in frozen.rbac.incomplete)


def _unasked(wanted: Sequence[str], frozen: Snapshot, scopes: dict[str, tuple[str, ...]]) -> int:
    """Count the namespaces that would be asked if it were known who is bound there."""
    if not _is_blind(frozen) or "bound" not in wanted:
        return 0
    asked = {name for names in scopes.values() for name in names}
    return len({*frozen.namespaces} - asked)


def _scopes(
    wanted: Sequence[str], frozen: Snapshot, known: Sequence[Identity], rules: Rules, home: str = ""
) -> dict[str, tuple[str, ...]]:
    """Say which namespaces are asked: those in which all identities have the same bindings share one probe.

    Where bindings, or the namespaces themselves, cannot be read, the auditor's `home` is asked for itself alone.
    """
    others = [name for name in frozen.namespaces if name not in {OWN, OTHER}]
    if "all" not in wanted and "bound" not in wanted:
        unknown = [name for name in wanted if name not in others]
        if unknown and frozen.namespaces:
            raise UsageError(f"there is no namespace {', '.join(unknown)}; there are {', '.join(others)}")
        return {"own": (OWN,), **{f"ns.{name}": (name,) for name in wanted}}
    if _is_blind(frozen) or not frozen.namespaces:
        alone = others if "all" in wanted else [home] if home else []
        return {"own": (OWN,), "other": (OTHER,), **{f"ns.{name}": (name,) for name in alone}}
    alike: dict[tuple[frozenset[str], ...], list[str]] = {}
    held = [_bindings_by_namespace(rules, identity) for identity in known]
    for name in others:
        alike.setdefault(tuple(found.get(name, frozenset()) for found in held), []).append(name)
    unbound = alike.pop(tuple(frozenset() for _ in known), [])
    scopes: dict[str, tuple[str, ...]] = {"own": (OWN,), "other": (OTHER, *unbound)}
    return scopes | {f"ns.{names[0]}": tuple(names) for names in alike.values()}


def _bindings_by_namespace(rules: Rules, identity: Identity) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for grant in rules.grants(identity):
        if grant.namespace:
            found.setdefault(grant.namespace, set()).add(" ".join(grant.source.path))
    return {namespace: frozenset(paths) for namespace, paths in found.items()}


# --- names of the run out of what is stored ---------------------------------------------------------------------------


def masked(frozen: Snapshot, placeholders: Placeholders) -> Snapshot:
    """Put placeholders for what this run made into a snapshot: its names, and what the server gave to its objects."""
    document = orjson.loads(placeholders.mask(orjson.dumps(snapshot.dump(frozen)).decode()))
    # The hash of a document of our own groups is one of the run's names.
    document["openapi"] |= {key: "{hash}" for key in document["openapi"] if RUN_NAME in key}
    number = 0
    for items in document["rbac"].values():
        for item in items:
            if isinstance(item, dict) and RUN in (item["metadata"].get("labels") or {}):
                number += 1
                item["metadata"] |= {key: f"{{{key}{number}}}" for key in _GIVEN if key in item["metadata"]}
    return snapshot.load(document)


def _masked_identity(identity: Identity, placeholders: Placeholders) -> Identity:
    mask = placeholders.mask
    return replace(
        identity,
        user=mask(identity.user),
        groups=tuple(mask(group) for group in identity.groups),
        uid=mask(identity.uid),
        extra=tuple((key, tuple(mask(value) for value in values)) for key, values in identity.extra),
    )


def reread(made: Ready) -> Rbac:
    """Read RBAC once more, as the snapshot has it."""
    namespaces = _read_in(made.options, made.prepared, _home(made.cluster))
    frozen = replace(made.work.snapshot, rbac=snapshot.reread_rbac(made.client, namespaces=namespaces))
    return masked(snapshot.without_runs(frozen, made.head.id), made.work.placeholders).rbac
