"""Matrices for the tests of reports: a small one, a hostile one, one like a real run, and tiles of it."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from conformance.model import (
    Answer,
    Cell,
    CheckResult,
    Difference,
    Endpoint,
    EscalationPath,
    Finding,
    Gate,
    Identity,
    Matrix,
    RunInfo,
    Step,
    Verdict,
    Witness,
)

if TYPE_CHECKING:
    from conformance.report import Evidence

ALLOWED, DENIED, UNKNOWN = Answer.ALLOWED, Answer.DENIED, Answer.UNKNOWN

RUN = RunInfo(
    id="20261122-160000-a1b2",
    started_at="2026-11-22T16:00:00Z",
    seconds=12.345,
    mode="full",
    complete=True,
    selection="",
    oracles=("request", "review", "rules"),
    namespaces={"own": ("audit-own",), "other": ("audit-other",)},
    planned=8,
    asked=8,
    tool="kube-conformance",
    tool_version="0.1.0",
    sent=16,
    retried=0,
    failed=0,
    provider="embedded",
    server_version="v1.37.2",
    server="https://127.0.0.1:6443",
    again=("--cluster", "embedded", "--kubernetes-version", "1.37.2", "--mode", "full"),
)

# The served API of a default v1.37.2: `^` is cluster-scoped, `=` gives verbs where they are not the usual ones.
CATALOG = """
v1 bindings=create ^componentstatuses=get,list configmaps endpoints events limitranges
v1 ^namespaces=create,delete,get,list,patch,update,watch ^namespaces/finalize=update ^namespaces/status ^nodes
v1 ^nodes/proxy=create,delete,get,patch,update ^nodes/status persistentvolumeclaims persistentvolumeclaims/status
v1 ^persistentvolumes ^persistentvolumes/status pods pods/attach=create,get pods/binding=create pods/ephemeralcontainers
v1 pods/eviction=create pods/exec=create,get pods/log=get pods/portforward=create,get
v1 pods/proxy=create,delete,get,patch,update pods/resize pods/status podtemplates replicationcontrollers
v1 replicationcontrollers/scale replicationcontrollers/status resourcequotas resourcequotas/status secrets
v1 serviceaccounts serviceaccounts/token=create services services/proxy=create,delete,get,patch,update services/status
apiregistration.k8s.io/v1 ^apiservices ^apiservices/status
apps/v1 controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status
apps/v1 replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status
events.k8s.io/v1 events
authentication.k8s.io/v1 ^selfsubjectreviews=create ^tokenreviews=create
authorization.k8s.io/v1 localsubjectaccessreviews=create ^selfsubjectaccessreviews=create
authorization.k8s.io/v1 ^selfsubjectrulesreviews=create ^subjectaccessreviews=create
autoscaling/v2 horizontalpodautoscalers horizontalpodautoscalers/status
autoscaling/v1 horizontalpodautoscalers horizontalpodautoscalers/status
batch/v1 cronjobs cronjobs/status jobs jobs/status
certificates.k8s.io/v1 ^certificatesigningrequests ^certificatesigningrequests/approval
certificates.k8s.io/v1 ^certificatesigningrequests/status ^clustertrustbundles podcertificaterequests
certificates.k8s.io/v1 podcertificaterequests/status
networking.k8s.io/v1 ^ingressclasses ingresses ingresses/status ^ipaddresses networkpolicies ^servicecidrs
networking.k8s.io/v1 ^servicecidrs/status
policy/v1 poddisruptionbudgets poddisruptionbudgets/status
rbac.authorization.k8s.io/v1 ^clusterrolebindings ^clusterroles rolebindings roles
storage.k8s.io/v1 ^csidrivers ^csinodes ^csinodes/status csistoragecapacities ^storageclasses ^volumeattachments
storage.k8s.io/v1 ^volumeattachments/status ^volumeattributesclasses
admissionregistration.k8s.io/v1 ^mutatingadmissionpolicies ^mutatingadmissionpolicybindings
admissionregistration.k8s.io/v1 ^mutatingwebhookconfigurations ^validatingadmissionpolicies
admissionregistration.k8s.io/v1 ^validatingadmissionpolicies/status ^validatingadmissionpolicybindings
admissionregistration.k8s.io/v1 ^validatingwebhookconfigurations
apiextensions.k8s.io/v1 ^customresourcedefinitions ^customresourcedefinitions/status
scheduling.k8s.io/v1 ^priorityclasses
coordination.k8s.io/v1 leases
node.k8s.io/v1 ^runtimeclasses
discovery.k8s.io/v1 endpointslices
resource.k8s.io/v1 ^deviceclasses ^devicetaintrules ^devicetaintrules/status resourceclaims resourceclaims/status
resource.k8s.io/v1 resourceclaimtemplates ^resourceslices
flowcontrol.apiserver.k8s.io/v1 ^flowschemas ^flowschemas/status ^prioritylevelconfigurations
flowcontrol.apiserver.k8s.io/v1 ^prioritylevelconfigurations/status
storagemigration.k8s.io/v1 ^storageversionmigrations ^storageversionmigrations/status
"""
USUAL = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
READS = ("get", "list", "watch")

IDENTITIES = (
    Identity("cluster-admin", "certificate", "audit:cluster-admin", ("system:masters", "system:authenticated")),
    Identity("admin", "certificate", "audit:admin", ("system:authenticated",)),
    Identity("edit", "certificate", "audit:edit", ("system:authenticated",)),
    Identity("view", "certificate", "audit:view", ("system:authenticated",)),
    Identity("namespace-custom", "certificate", "audit:custom", ("system:authenticated",)),
    Identity("cluster-reader", "certificate", "audit:reader", ("system:authenticated",)),
    Identity("node", "certificate", "system:node:audit", ("system:nodes", "system:authenticated")),
    Identity(
        "service-account",
        "service-account-token",
        "system:serviceaccount:audit-own:bare",
        ("system:serviceaccounts", "system:serviceaccounts:audit-own", "system:authenticated"),
    ),
    Identity("impersonated", "impersonation", "jane", ("system:authenticated",), groups_known=False),
    Identity("anonymous", "anonymous", "system:anonymous", ("system:unauthenticated",)),
    Identity("invalid-token", "invalid-token", "", (), expect="unauthenticated"),
)


def endpoint(plural: str, verb: str, *, gv: str = "v1", scope: str = "own") -> Endpoint:
    group, _, version = gv.rpartition("/")
    name, _, sub = plural.partition("/")
    return Endpoint(group, version, name, sub, verb, namespaced=scope != "cluster", scope=scope)


def cell(
    row: Endpoint, who: Identity, answer: Answer = DENIED, verdict: Verdict = Verdict.PASS, **rest: object
) -> Cell:
    """A cell that all three oracles agree on, unless `rest` says otherwise."""
    plain = Cell(
        endpoint=row.id,
        identity=who.name,
        request=answer,
        review=answer,
        rules=answer,
        effective=answer,
        status=404 if answer is ALLOWED else 403,
        reason="NotFound" if answer is ALLOWED else "Forbidden",
        names=(),
        witness=None,
        cause=None,
        verdict=verdict,
        note="",
    )
    return replace(plain, **rest)  # type: ignore[arg-type]


def granted(who: Identity, role: str = "view", rule: int = 3) -> Witness:
    path = (f"User {who.user}", f"RoleBinding audit-own/{role}", f"ClusterRole {role}", f"rule {rule}")
    return Witness("rbac", f"RBAC: allowed by RoleBinding audit-own/{role} of ClusterRole {role}", path)


def small() -> Matrix:
    """Four rows, two identities, each of the six verdicts."""
    view = Identity("view", "certificate", "audit:view", ("system:authenticated",))
    jane = Identity("jane", "impersonation", "jane", ("system:authenticated",), groups_known=False)
    pods, scale = endpoint("pods", "get"), endpoint("deployments/scale", "patch", gv="apps/v1")
    maps = endpoint("configmaps", "get")
    metrics = Endpoint("", "", "", "", "get", namespaced=False, scope="cluster", path="/metrics")
    cells = (
        cell(pods, view, ALLOWED, witness=granted(view)),
        cell(pods, jane),
        cell(
            scale,
            view,
            verdict=Verdict.FAIL,
            request=ALLOWED,
            effective=ALLOWED,
            status=404,
            witness=Witness("status", "404 NotFound: deployments.apps {absent} not found"),
        ),
        cell(scale, jane, verdict=Verdict.INFO, cause="second-check", note="create is asked too"),
        cell(maps, view, names=("extension-apiserver-authentication",), witness=granted(view, "reader")),
        cell(
            maps,
            jane,
            UNKNOWN,
            Verdict.NOT_EVALUATED,
            review=None,
            rules=None,
            status=None,
            reason="",
            note="policy changed",
        ),
        cell(metrics, view, UNKNOWN, Verdict.ERROR, status=None, reason="", note="connection reset"),
        cell(metrics, jane, verdict=Verdict.NOT_APPLICABLE, note="virtual"),
    )
    return Matrix(
        run=replace(RUN, complete=False),
        identities=(view, jane),
        endpoints=(pods, scale, maps, metrics),
        cells=cells,
        checks=(
            CheckResult("LIST-LIMIT", "MUST", "v1/pods", "view", (pods.id,), Verdict.PASS, ""),
            CheckResult(
                "SCALE-TYPE", "SHOULD", "apps/v1/deployments", "view", (scale.id,), Verdict.FAIL, "kind is Foo"
            ),
        ),
        findings=(
            Finding("read-secrets", "high", "Can read all secrets", "view", granted(view), (pods.id, maps.id)),
            Finding("exec", "low", "Can run programs in pods", "jane", Witness("review", "allowed"), ()),
        ),
    )


HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m c1",
    "\u202etxt.exe\u202c",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1+1)",
    "\t=1",
    "\r=1",
    "| a | b |\n# heading",
    "`code` ``more`` [x](javascript:alert(1)) @everyone #1",
    "\ud800 lone surrogate",
    "\ufffe\uffff \x00 nul \x0b",
    "n" * 253,
    "{0} {{1}} ]]> &amp; &#60; \" '",
    "日本語 zero\u200bwidth \ufdfd",
    "ok ",
    "`",
    "",
)


def hostile() -> Matrix:
    """Every string that a cluster or a file of the user's could give is one of `HOSTILE`."""
    identities = tuple(Identity(text or "empty", text, text, (text, "system:authenticated")) for text in HOSTILE)
    endpoints = tuple(
        Endpoint("", "", "", "", text or "get", namespaced=False, scope="cluster", path=f"/{number}{text}")
        if number % 2
        else Endpoint(text, text, text, text, text or "get", namespaced=True, scope=f"ns.{text}")
        for number, text in enumerate(HOSTILE)
    )
    cells = tuple(
        cell(
            row,
            who,
            verdict=tuple(Verdict)[(number + column) % 6],
            reason=text,
            names=(text,) if number % 3 == 0 else (),
            witness=Witness("rbac", text, (text, text, text, text)),
            cause=text,
            note=text,
        )
        for number, (row, text) in enumerate(zip(endpoints, HOSTILE, strict=True))
        for column, who in enumerate(identities)
    )
    return Matrix(
        run=replace(RUN, id=HOSTILE[0], server=HOSTILE[1], server_version=HOSTILE[2], selection=HOSTILE[5]),
        identities=identities,
        endpoints=endpoints,
        cells=cells,
        checks=tuple(
            CheckResult(text, "MUST", text, text or "empty", (text,), tuple(Verdict)[number % 6], text)
            for number, text in enumerate(HOSTILE)
        ),
        findings=tuple(
            Finding(text, "high", text, text or "empty", Witness("rbac", text, (text,)), (text,), text, text, (text,))
            for text in HOSTILE
        ),
        paths=tuple(
            EscalationPath(text, text, text, "x", (Step(text, "x", text, "proved", Witness("rbac", text), text, text),))
            for text in HOSTILE
        ),
        gate=Gate(
            passed=False,
            reason=HOSTILE[0],
            baseline=HOSTILE[1],
            differences=tuple(
                Difference(text, text, text, text, text, text, text, text, text, (text,), text, text)
                for text in HOSTILE
            ),
        ),
    )


def _rows() -> list[Endpoint]:
    rows = []
    for line in CATALOG.strip().splitlines():
        gv, *entries = line.split()
        for entry in entries:
            plural, _, verbs = entry.removeprefix("^").partition("=")
            usual = ("get", "patch", "update") if "/" in plural else USUAL
            scope = "cluster" if entry.startswith("^") else "own"
            rows += [endpoint(plural, verb, gv=gv, scope=scope) for verb in (verbs.split(",") if verbs else usual)]
    return rows


def _may(row: Endpoint, who: str) -> bool:  # a table
    """Roughly what the default roles give."""
    everyone = row.group == "authorization.k8s.io" and row.resource.startswith("self")
    mine, reading = row.namespaced, row.verb in READS
    safe = row.resource != "secrets" and "rbac" not in row.group
    match who:
        case "cluster-admin":
            return True
        case "admin":
            return everyone or (mine and row.subresource != "status" and row.group != "resource.k8s.io")
        case "edit":
            return everyone or (mine and row.subresource not in {"status", "token"} and "rbac" not in row.group)
        case "view":
            return everyone or (mine and reading and safe)
        case "namespace-custom":
            return everyone or (mine and row.resource in {"pods", "deployments"} and row.verb != "deletecollection")
        case "cluster-reader":
            return everyone or (reading and row.resource != "secrets")
        case "node":
            return everyone or (
                row.resource in {"nodes", "leases", "csinodes", "runtimeclasses"} and row.verb != "delete"
            )
        case "anonymous" | "invalid-token":
            return False
    return everyone


def realistic() -> Matrix:
    """660 rows x 11 identities, with verdicts in the proportion of a real run (few that are not `pass`)."""
    chance = random.Random(7)  # noqa: S311  # the same matrix each time
    rows = _rows()
    cells = []
    for row in rows:
        for who in IDENTITIES:
            if who.expect == "unauthenticated":
                cells.append(cell(row, who, review=None, rules=None, status=401, reason="Unauthenticated"))
                continue
            allowed = _may(row, who.name)
            noun = f"{row.plural}.{row.group}" if row.group else row.plural
            if allowed and who.name == "cluster-admin":
                witness = Witness("authorizer", "group system:masters is allowed everything")
            elif allowed:
                witness = granted(who, who.name, chance.randrange(12))
            else:
                text = f'{noun} "{{absent}}" is forbidden: User "{who.user}" cannot {row.verb} resource "{row.plural}"'
                witness = Witness("status", text)
            made = cell(row, who, ALLOWED if allowed else DENIED, witness=witness)
            if row.subresource in {"exec", "attach", "portforward"} and row.verb == "get" and allowed:
                made = replace(made, verdict=Verdict.INFO, cause="second-check", request=DENIED, effective=DENIED)
            elif row.resource == "configmaps" and row.verb == "get" and who.name == "node":
                made = replace(made, names=("extension-apiserver-authentication",))
            elif row.subresource == "finalize":
                made = replace(made, verdict=Verdict.NOT_EVALUATED, note="known gap: finalize has no dry run here")
            elif chance.random() < 0.0006:
                made = replace(made, verdict=Verdict.FAIL, rules=DENIED if allowed else ALLOWED)
            cells.append(made)
    findings = tuple(
        Finding(rule, severity, title, who.name, granted(who, who.name), evidence)
        for who in IDENTITIES[1:4]
        for rule, severity, title, evidence in (
            ("read-secrets", "high", "Reads every Secret of the namespace", ("v1/secrets:get", "v1/secrets:list")),
            ("exec-pods", "medium", "Runs programs in other people's pods", ("v1/pods/exec:create",)),
        )
    )
    checks = tuple(
        CheckResult(
            name, level, f"{row.group}/{row.version}/{row.plural}".strip("/"), "cluster-admin", (row.id,), verdict, note
        )
        for row in rows
        if row.verb == "list"
        for name, level, verdict, note in (
            ("LIST-LIMIT", "MUST", Verdict.PASS, ""),
            ("LIST-KIND", "SHOULD", Verdict.INFO if row.resource == "componentstatuses" else Verdict.PASS, ""),
        )
    )
    asked = len(cells)
    return Matrix(
        run=replace(RUN, planned=asked, asked=asked, sent=2 * asked + 37, seconds=9.7),
        identities=IDENTITIES,
        endpoints=tuple(rows),
        cells=tuple(cells),
        checks=checks,
        findings=findings,
    )


ADMIN = "Group system:masters"
WAYS = (
    ("critical", "admin", (("bind a ClusterRole", ADMIN, "proved"),), ""),
    ("critical", "edit", (("run a pod as it", "node-agent", "reviewed"), ("read its token", ADMIN, "inferred")), ""),
    ("high", "namespace-custom", (("create its token", "deployer", "proved"), ("escalate", ADMIN, "reviewed")), ""),
    ("high", "service-account", (("impersonate", "deployer", "inferred"), ("escalate", ADMIN, "reviewed")), ""),
    ("medium", "cluster-reader", (("read its Secret", "node-agent", "proved"),), ""),
    (
        "medium",
        "node",
        (("create a pod on itself", "node-agent", "reviewed"),),
        "admission: NodeRestriction forbids it",
    ),
)


def escalations() -> tuple[EscalationPath, ...]:
    """A few paths, with every proof, two that share steps, and one that the server refused."""
    paths = []
    for number, (severity, source, ways, refused) in enumerate(WAYS):
        steps, at = [], f"User audit:{source}"
        for means, target, proof in ways:
            witness = Witness("rbac", "RBAC allows it", (at, "RoleBinding audit-own/ci", "Role ci", "rules[0]"))
            steps.append(Step(at, target, means, proof, witness, "v1/pods:create"))  # type: ignore[arg-type]
            at = target
        paths.append(EscalationPath(f"path-{number}", severity, f"User audit:{source}", at, tuple(steps), refused))
    return tuple(paths)


def gate() -> Gate:
    """A gate that says no, with a difference of each outcome."""
    row, who = "v1/secrets:list", "view"
    return Gate(
        passed=False,
        reason="1 permission newly allowed that is part of a finding of severity high",
        baseline="20261101-080000-c3d4",
        differences=(
            Difference(
                *("permission/v1/secrets:list/view", "permission", "high", "view may list Secrets"),
                *("denied", "allowed", "fail", row, who),
                affected=("User audit:view",),
                advice="Take `list` of secrets out of Role view.",
            ),
            Difference("api/flowschemas/v1beta3", "api", "medium", "flowschemas v1beta3 is gone", "served", "", "warn"),
            Difference("schema/Pod/spec.hostUsers", "schema", "low", "a field is new", "", "boolean", "pass"),
            Difference(
                *("behaviour/LIST-LIMIT/events", "behaviour", "medium", "LIST-LIMIT fails on events", "pass", "fail"),
                outcome="waived",
                waiver="known upstream, owner platform, until 2027-03-01",
            ),
        ),
    )


def reviewed() -> Matrix:
    """The matrix like a real run, with all that a run can have beside it."""
    matrix = realistic()
    findings = tuple(
        replace(
            finding,
            description="Whoever reads a token is its owner from then on.",
            fix="Take `get` and `list` of secrets out of the role.\n- verbs: [get, list]\n+ verbs: [create]",
            references=("https://kubernetes.io/docs/concepts/security/rbac-good-practices/",),
        )
        for finding in matrix.findings
    )
    return replace(matrix, findings=findings, paths=escalations(), gate=gate())


class Exchanges:
    """Evidence as a store gives it, of any matrix."""

    def __init__(self, matrix: Matrix) -> None:
        self._rows = {endpoint.id: endpoint for endpoint in matrix.endpoints}
        self._cells = {(cell.endpoint, cell.identity): cell for cell in matrix.cells}

    def exchange(self, endpoint_id: str, identity_name: str) -> dict[str, Any] | None:
        row, one = self._rows[endpoint_id], self._cells[endpoint_id, identity_name]
        write = row.verb not in READS
        exchange: dict[str, Any] = {
            "method": "POST" if write else "GET",
            "path": f"/api/{row.version}/namespaces/{{own}}/{row.plural}",
            "query": [["dryRun", "All"]] if write else [["limit", "1"]],
            "status": one.status,
            "reason": one.reason,
            "review": "RBAC: allowed by a binding" if one.review is ALLOWED else "",
        }
        if write:
            exchange |= {"type": "application/json", "body": '{"metadata":{"name":"{absent}"}}'}
        if one.status == 403:
            exchange["message"] = f'{row.plural} is forbidden: User "{one.identity}" cannot {row.verb} "{row.plural}"'
        return exchange


@dataclass(frozen=True, slots=True)
class Tiles:
    """A matrix again and again, with groups, uids and messages of each tile's own; and where each row is from."""

    matrix: Matrix
    origin: dict[str, str]

    def evidence(self, base: Evidence) -> Evidence:
        """The stored exchanges of the base, each with an uid of its own."""
        return _TiledEvidence(base, self.origin)


class _TiledEvidence:
    def __init__(self, base: Evidence, origin: dict[str, str]) -> None:
        self._base, self._origin = base, origin

    def exchange(self, endpoint_id: str, identity_name: str) -> dict[str, Any] | None:
        found = self._base.exchange(self._origin[endpoint_id], identity_name)
        if found is None:
            return None
        uid = hashlib.sha256(f"{endpoint_id} {identity_name}".encode()).hexdigest()[:12]
        told = {key: f"{found[key]} {uid}" for key in ("message",) if key in found}
        path = {"path": f"{found['path']}?tile={uid[:6]}"} if "path" in found else {}
        return found | told | path


def tiles(cells: int, base: Matrix | None = None) -> Tiles:
    """At least `cells` cells, no more like each other than those of the base."""
    base = base or realistic()
    chance = random.Random(11)  # noqa: S311  # the same matrix each time
    endpoints: list[Endpoint] = []
    made: list[Cell] = []
    checks: list[CheckResult] = []
    findings: list[Finding] = []
    origin: dict[str, str] = {}
    number = 0
    while len(made) < cells:
        number += 1
        group = f"tile{number}-{chance.randbytes(3).hex()}.example.com"
        rows = {
            row.id: replace(row, path=f"/{group}{row.path}")
            if row.path
            else replace(row, group=f"{row.group}.{group}".lstrip("."))
            for row in base.endpoints
        }
        ids = {name: row.id for name, row in rows.items()}
        origin |= {own: name for name, own in ids.items()}
        endpoints += rows.values()
        for one in base.cells:
            uid = chance.randbytes(8).hex()
            witness = one.witness
            if witness:
                path = (*witness.path[:-1], f"{witness.path[-1]} {uid[:4]}") if witness.path else ()
                witness = replace(witness, text=f"{witness.text} ({uid})", path=path)
            made.append(replace(one, endpoint=ids[one.endpoint], witness=witness))
        for check in base.checks:
            mine = tuple(ids[name] for name in check.endpoints if name in ids)
            checks.append(replace(check, resource=f"{group}/{check.resource}", endpoints=mine))
        for finding in base.findings:
            mine = tuple(ids[name] for name in finding.evidence if name in ids)
            findings.append(replace(finding, title=f"{finding.title} of {group}", evidence=mine))
    run = replace(base.run, planned=len(made), asked=len(made), sent=2 * len(made))
    whole = replace(
        base,
        run=run,
        endpoints=tuple(endpoints),
        cells=tuple(made),
        checks=tuple(checks),
        findings=tuple(findings),
    )
    return Tiles(whole, origin)
