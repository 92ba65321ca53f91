"""The values that cross from stage to stage: plain, frozen, without a client in them.

The words are those of the README's glossary. Nothing here imports anything of the project.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Json = dict[str, Any]
Mode = Literal["observe", "dry-run", "full"]
Expect = Literal["authenticated", "unauthenticated"]
WitnessKind = Literal["rbac", "status", "review", "authorizer"]
Proof = Literal["proved", "reviewed", "inferred"]


class Answer(StrEnum):
    """What an oracle says of a cell."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What became of a cell or a check; absence never looks like a pass."""

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    FAIL = "fail"
    INFO = "info"
    NOT_APPLICABLE = "not-applicable"
    NOT_EVALUATED = "not-evaluated"
    ERROR = "error"


# --- how to reach a server --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Access:
    """One way to talk to an API server: where it is and what is shown to it.

    `ca`, `certificate` and `key` are PEM; they stay in memory and never appear in a repr. `renew` gives a fresh value
    for credentials that rotate (exec plugins, token files); it is asked after a 401, and from `expires` on, a moment
    (seconds since 1970) that lies well before the credential lapses. `unix_socket` is where to connect instead.
    """

    server: str
    ca: bytes | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    tls_server_name: str | None = None
    insecure: bool = False
    proxy: str | None = field(default=None, repr=False)  # its address may hold a password
    unix_socket: str | None = None
    expires: float | None = None
    renew: Callable[[], Access] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that an audit runs against.

    `ours` is true when kube-conformance created it, which is what allows mode `full` by default.
    `admin` is the access that prepares identities, reads the snapshot and asks reviews.
    `signer` is the CA that client certificates of a cluster of ours can be signed with: PEM certificate and key.
    `kubeconfig` is where its name is a context: files, as the variable KUBECONFIG lists them.
    `home` is the folder of a control plane of ours.
    `pod_image` is an image with a shell that its nodes can run.
    """

    provider: str
    name: str
    admin: Access
    ours: bool
    signer: tuple[bytes, bytes] | None = field(default=None, repr=False)
    audit_log: str | None = None
    kubeconfig: str | None = None
    home: str | None = None
    pod_image: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to an API server; `query` in order, `body` JSON bytes or none."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    headers_only: bool = False  # the answer is complete when its headers are there (watches, huge documents)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back over HTTP. Header names are lower case. `error` is set, and `status` 0, when nothing came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    error: str | None = None
    warnings: tuple[str, ...] = ()
    cut: bool = False  # the body goes on: we hung up, as it became too long or took too long


# --- what a server serves ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """A resource or subresource of one group and version, as discovery lists it. The core group is `""`."""

    group: str
    version: str
    name: str
    subresource: str
    kind: str
    kind_group: str
    kind_version: str
    namespaced: bool
    verbs: tuple[str, ...]
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def group_version(self) -> str:
        """`v1` for the core group, `apps/v1` for a named one."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def plural(self) -> str:
        """`pods` or `pods/log`, as RBAC rules spell it."""
        return f"{self.name}/{self.subresource}" if self.subresource else self.name

    @property
    def prefix(self) -> str:
        """The path below which the server serves this group and version."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


@dataclass(frozen=True, slots=True)
class Group:
    """An API group with its versions in the server's order of priority."""

    name: str
    versions: tuple[str, ...]
    preferred: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A group and version that the server announces but whose backend does not answer."""

    group_version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """All that a server serves, in the server's order of groups, then versions, then names."""

    groups: tuple[Group, ...]
    resources: tuple[Resource, ...]
    paths: tuple[str, ...] = ()
    unavailable: tuple[Unavailable, ...] = ()
    aggregated: frozenset[str] = frozenset()  # group versions that another server answers for
    notes: tuple[str, ...] = ()  # what could not be read for sure, one sentence each


@dataclass(frozen=True, slots=True)
class Rbac:
    """The RBAC objects of a cluster, as the server gave them (API JSON), each sorted by namespace and name.

    `incomplete` names the kinds that could not be read, with the reason.
    """

    cluster_roles: tuple[Json, ...] = ()
    cluster_role_bindings: tuple[Json, ...] = ()
    roles: tuple[Json, ...] = ()
    role_bindings: tuple[Json, ...] = ()
    incomplete: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Catalog, OpenAPI and RBAC as read at one moment, frozen before the first probe.

    `openapi` maps a group version's path (`api/v1`, `apis/apps/v1`) to the hash in its OpenAPI v3 URL; the documents
    themselves are read when something needs them.
    """

    server_version: str
    catalog: Catalog
    rbac: Rbac
    namespaces: tuple[str, ...] = ()
    openapi: Mapping[str, str] = field(default_factory=dict)
    deprecated_calls: tuple[Json, ...] | None = None  # the server's metric, None when it could not be read
    notes: tuple[str, ...] = ()  # what could not be read, one sentence each


# --- who asks ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody: one column of the matrix, as the server itself names it (SelfSubjectReview). Holds no credential.

    `groups_known` is false for a user that is impersonated without its identity provider's groups. `unasked` says why
    rules alone speak of it, `alike` which other identity has the same ones and is asked.
    """

    name: str
    kind: str
    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    expect: Expect = "authenticated"
    groups_known: bool = True
    alike: str = ""
    unasked: str = ""


# --- what is asked ----------------------------------------------------------------------------------------------------


_ODD = re.compile(r"[^\w.\-/:]", re.ASCII)


def _spelled(text: str) -> str:
    return _ODD.sub(lambda found: f"+{ord(found[0]):x}", text.replace("*", "..."))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the matrix: a resource (or subresource) and verb and where it is asked, or a path and verb.

    `scope`: `own` (the run's namespace), `other` (a namespace without bindings), `all` (across namespaces),
    `ns.NAME`, or `cluster` for cluster-scoped resources and paths.
    """

    group: str
    version: str
    resource: str
    subresource: str
    verb: str
    namespaced: bool
    scope: str
    path: str = ""
    virtual: bool = False

    @property
    def plural(self) -> str:
        """`pods` or `pods/log`, as RBAC rules spell it; empty for a path."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    @property
    def id(self) -> str:
        """The stable name of the row: `apps/v1/deployments/scale:patch`, `v1/pods:list:all`, `/metrics:get`.

        Only word characters and `. - / : +` occur; `*` is spelled `...`, anything else `+` and its hexadecimal code.
        """
        if self.path:
            return _spelled(f"{self.path}:{self.verb}")
        base = f"{self.group}/{self.version}/{self.plural}" if self.group else f"{self.version}/{self.plural}"
        suffix = "" if self.scope in {"own", "cluster"} else f":{self.scope}"
        return _spelled(f"{base}:{self.verb}{suffix}")


@dataclass(frozen=True, slots=True)
class Attributes:
    """What an authorizer is asked: who wants which verb on what.

    Source: `authorizer.Attributes` of k8s.io/apiserver. `resource` excludes the subresource. `path` is set for
    non-resource requests only.
    """

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


# --- what came back, and what it means --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request brought: of the body only what a Status says, at most 4 KiB, redacted.

    `audited` is false when the answer bore no Audit-Id, so that something before the API server gave it.
    `error` is set, and `status` 0, when no answer came.
    """

    status: int
    reason: str = ""
    message: str = ""
    kind: str = ""
    causes: tuple[str, ...] = ()
    audited: bool = True
    seconds: float = 0.0
    error: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """The answer of a SubjectAccessReview; `error` where the review itself failed."""

    allowed: bool
    denied: bool = False
    reason: str = ""
    evaluation_error: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Witness:
    """Why an oracle says what it says. `path` is subject, binding, role, rule for kind `rbac`."""

    kind: WitnessKind
    text: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """An oracle's answer with its witness."""

    answer: Answer
    witness: Witness


# --- the matrix: the shape of matrix.json -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """Endpoint x identity, judged. `request`, `review`, `rules` are None where that oracle was not asked.

    `names` are the object names for which rules grant the cell although not for an absent name.
    """

    endpoint: str
    identity: str
    request: Answer | None
    review: Answer | None
    rules: Answer | None
    effective: Answer
    status: int | None
    reason: str
    names: tuple[str, ...]
    witness: Witness | None
    cause: str | None
    verdict: Verdict
    note: str

    @property
    def subject(self) -> str:
        """What differences about this cell are called, and so what waivers name: `v1/pods:get[alice]`."""
        return f"{self.endpoint}[{self.identity}]"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check on one resource as one identity."""

    id: str
    level: str
    resource: str
    identity: str
    endpoints: tuple[str, ...]
    verdict: Verdict
    note: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One hit of a risk rule.

    `id` names the hit, the same in equal runs: the rule's id, the subject and the binding (or role) that it is about.
    `rule` is the risk rule's id, `places` where the objects stand in files: (file, line), the likeliest to edit first.
    """

    id: str
    severity: str
    title: str
    identity: str
    witness: Witness
    evidence: tuple[str, ...]
    description: str = ""  # what it lets an attacker do
    fix: str = ""  # what ends it, in a sentence or as a patch
    references: tuple[str, ...] = ()  # addresses of documents
    rule: str = ""
    places: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an escalation path: by what means `source` becomes, or gets the rights of, `target`.

    `proof` is how sure that is: a request was accepted (`proved`), a review said so (`reviewed`), or the rules alone
    (`inferred`). `endpoint` is the row that the means is an instance of, where there is one.
    """

    source: str
    target: str
    means: str
    proof: Proof
    witness: Witness
    endpoint: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class EscalationPath:
    """A shortest way from one subject to another or to cluster-admin; as sure as its least sure step.

    `refused` is why the server did not let it happen, empty where it would. `made` says so where it is there only by
    what a run made for its own identities, and so is none of the cluster's.
    """

    id: str
    severity: str
    source: str
    target: str
    steps: tuple[Step, ...]
    refused: str = ""
    made: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs from the baseline: `before` there, `after` here.

    `kind` is what differs (`api`, `schema`, `permission`, `behaviour`, `risk`), `outcome` what the gate makes of it
    (`fail`, `warn`, `pass` or `waived`). `affected` names objects, clients and identities.
    """

    id: str
    kind: str
    severity: str
    title: str
    before: str
    after: str
    outcome: str
    endpoint: str = ""
    identity: str = ""
    affected: tuple[str, ...] = ()
    advice: str = ""
    waiver: str = ""  # reason, owner and end date of what waives it


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate says of a run: whether it may pass, and why in one sentence.

    `baseline` names the run that it was held against; `differences` is None where there was none.
    """

    passed: bool
    reason: str
    baseline: str = ""
    differences: tuple[Difference, ...] | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is said of a run as a whole. `complete`: nothing in it is `error`, or not evaluated without a reason."""

    id: str
    started_at: str
    seconds: float
    mode: str
    complete: bool
    selection: str
    oracles: tuple[str, ...]
    namespaces: Mapping[str, tuple[str, ...]]  # scope -> the namespaces that share its probes
    planned: int
    asked: int
    tool: str
    tool_version: str
    sent: int
    retried: int
    failed: int
    provider: str
    server_version: str
    server: str
    again: tuple[str, ...] = ()  # the flags that make such a run
    fail_on: str = ""  # the least severity of a finding that fails it; none does where this is empty


@dataclass(frozen=True, slots=True)
class Matrix:
    """The judged run: all that any report shows, every list in plan order. None is what was not part of the run."""

    run: RunInfo
    identities: tuple[Identity, ...]
    endpoints: tuple[Endpoint, ...]
    cells: tuple[Cell, ...]
    checks: tuple[CheckResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    paths: tuple[EscalationPath, ...] | None = None
    gate: Gate | None = None
