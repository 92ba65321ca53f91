"""Escalation steps, tried by who could take them: as a dry run, about what is not there, or asked of a review.

The result says how sure the step is: pass is proved (the server accepted the request), info reviewed, not-applicable
refused, with the reason. It proves no promise of the API; it belongs to the paths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from conformance.checks import INFO, check
from conformance.placeholders import OTHER, OWN, RUN
from conformance.rbac import escalation_bodies as bodies
from conformance.rbac import escalation_trials as ways
from conformance.rbac.escalation_kinds import CERTIFICATES, RBAC, WORKLOADS
from conformance.scripts import Ask, NotApplicable, Quirk, Reply, at, need

if TYPE_CHECKING:
    from collections.abc import Generator

    from conformance.model import Identity, Json, Request
    from conformance.scripts import Case, Memory, Seen, Steps, Trial

_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_CREATED, _BAD, _UNAUTHORIZED, _FORBIDDEN, _INVALID = 201, 400, 401, 403, 422
_CSRS = f"certificatesigningrequests.{CERTIFICATES}"


def _allowed(seen: Seen, _: Memory) -> object:
    return {"allowed": at(seen.document, "status", "allowed"), "reason": at(seen.document, "status", "reason")}


def _first(seen: Seen, _: Memory) -> object:
    item = at(seen.document, "items", 0)
    if not isinstance(item, dict):
        return None
    return {"name": at(item, "metadata", "name"), "container": at(item, "spec", "containers", 0, "name")}


@check(
    "ESCALATION-STEP",
    INFO,
    "A step by which rules let somebody gain rights is one that the server lets them take",
    url="https://kubernetes.io/docs/concepts/security/rbac-good-practices/#privilege-escalation-risks",
    quote="Within Kubernetes RBAC there are a number of privileges which, if granted, can allow a user or a service"
    " account to escalate their privileges in the cluster or affect systems outside the cluster.",
    on="step",
)
def escalation_step(case: Case) -> Steps:
    """Ask a review of every right that the step takes; then try it by every way that does no harm."""
    trial = case.subject.trial
    assert trial is not None  # noqa: S101  # a check of steps
    identity = next(it for it in case.world.identities if it.name == trial.identity)
    for right in trial.rights:
        reply: Reply = yield Ask("POST", _REVIEWS, body=_review(identity, right), read=_allowed)
        need(reply.status == _CREATED, f"no review could be had: {reply.status}")
        if not reply.get("allowed"):
            raise NotApplicable(f"refused: a review says so: {reply.get('reason') or 'without a reason'}")
    if hindrance := _hindrance(case, trial, identity):
        raise Quirk("REVIEWED", hindrance)
    there = yield from _there(case, trial)
    attempts = ways.attempts(trial.kind, trial.where or OWN, trial.target, there)
    refusals: list[str] = []
    for attempt in (it for it in attempts if not any(_harms(case, request) for request in it)):
        refusal = yield from _try(attempt, identity)
        if not refusal:
            return
        refusals.append(refusal)
    if not refusals:
        raise Quirk("REVIEWED", "nothing is there that it could be tried on")
    raise NotApplicable(f"refused: {refusals[0]}")


def _review(identity: Identity, right: Json) -> Json:
    spec: dict[str, Any] = {"user": identity.user, "groups": [*identity.groups], "resourceAttributes": right}
    if identity.uid:
        spec["uid"] = identity.uid
    if identity.extra:
        spec["extra"] = {key: [*values] for key, values in identity.extra}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def _hindrance(case: Case, trial: Trial, identity: Identity) -> str:
    """Say why a step is reviewed and not tried."""
    if case.world.mode == "observe":
        return "mode observe tries nothing"
    if identity.kind == "impersonate" and trial.kind.startswith(("impersonate-", "constrained-")):
        return "who is impersonated can impersonate nobody"
    if trial.kind == "token-request" and (case.world.mode != "full" or trial.where not in {"", OWN, OTHER}):
        return "a token would be made for real"
    if trial.kind in {"exec", "attach"}:
        if case.world.mode != "full" or trial.where not in {"", OWN, OTHER}:
            return "there is no dry run of it"
        if trial.holder:
            return "it is allowed in certain pods only"
    if trial.kind == "node-proxy" and trial.holder:
        return "it is allowed on certain nodes only"
    if trial.kind.startswith("sign-") and not ("ours" in case.world.features and case.world.mode == "full"):
        return "a request for a certificate would be made for real"
    return ""


def _harms(case: Case, request: Request) -> bool:
    """Whether a request is one that is not sent on this cluster: a write without dryRun outside of the run's own."""
    if request.method == "GET" or request.path.endswith("reviews") or ("dryRun", "All") in request.query:
        return False
    inside = any(f"/namespaces/{place}/" in request.path for place in (OWN, OTHER))
    return not (case.world.mode == "full" and inside)


def _there(case: Case, trial: Trial) -> Generator[Ask, Any, ways.There]:
    """Look for what a step needs to be there, or make it; only names are read of what others made."""
    place = trial.where or OWN
    objects: dict[tuple[str, str], Json] = {}
    name = trial.holder if trial.kind.startswith(("create-", "bind-", "mutating-", "aggregate")) else ""
    if trial.kind == "read-secrets":
        kind = ("fieldSelector", "type=kubernetes.io/service-account-token")
        reply = yield Ask("GET", f"/api/v1/namespaces/{place}/secrets", (kind, ("limit", "1")), read=_first)
        found = trial.holder or str(reply.get("name") or "")
        if not reply.get("name"):
            raise NotApplicable("refused: no Secret there holds a token of an account")
        objects["secrets", place] = {"metadata": {"name": found}}
    for resource in WORKLOADS:
        plural = resource.partition(".")[0]
        if trial.kind == f"change-{plural}" or (trial.kind == "ephemeral-containers" and plural == "pods"):
            reply = yield Ask("GET", bodies.collection(resource, place), (("limit", "1"),), read=_first)
            found = trial.holder or str(reply.get("name") or "")
            if not reply.get("name"):
                raise Quirk("REVIEWED", f"there is none of {resource} there that it could be tried on")
            container = {"name": reply.get("container") or "main"}
            objects[resource, place] = {"metadata": {"name": found}, "spec": {"containers": [container]}}
    if resource := ways.ADMISSION_RESOURCES.get(trial.kind, ""):
        reply = yield Ask("GET", bodies.collection(resource, ""), (("limit", "1"),), read=_first)
        if not reply.get("name"):
            raise Quirk("REVIEWED", f"there is none of {resource} there that it could be tried on")
        objects[resource, ""] = {"metadata": {"name": trial.holder or str(reply.get("name"))}}
    if trial.kind.startswith("sign-"):
        signer = "kubernetes.io/kube-apiserver-client" + ("-kubelet" if trial.kind == "sign-node" else "")
        body = bodies.certificate_request(case.name("csr"), signer)
        body["metadata"] |= {"labels": case.labels}
        reply = yield Ask("POST", bodies.collection(_CSRS, ""), body=body)
        need(reply.status == _CREATED, f"no certificate could be requested: {reply.said()}")
        objects[_CSRS, signer] = body
    if trial.role[1] and trial.kind in {"escalate-clusterrole", "escalate-role", "aggregate"}:
        where = place if trial.role[0] == "Role" else ""
        objects[f"{trial.role[0].lower()}s.{RBAC}", where] = {"metadata": {"name": trial.role[1]}}
    role = trial.role if trial.role[1] else ("ClusterRole", "cluster-admin")
    return ways.There(
        absent=trial.holder if trial.kind == "constrained-node" and trial.holder else f"kc-{RUN}-absent",
        name=name or f"kc-{RUN}-absent",
        objects=objects,
        role=role,
        user=trial.holder or f"kc-{RUN}-absent",
    )


def _try(attempt: ways.Attempt, identity: Identity) -> Generator[Ask, Any, str]:
    """Send what an attempt takes; say why it was refused, empty when all was accepted."""
    for request in attempt:
        if request.method == "PUT":
            return "only a whole object could be put"
        body = orjson.loads(request.body) if request.body else None
        reply: Reply = yield Ask(
            request.method,
            request.path,
            request.query,
            body,
            request.headers,
            identity.name,
            read=_status,
        )
        message = reply.message
        if reply.status in {_UNAUTHORIZED, _FORBIDDEN, _INVALID} or (reply.status == _BAD and "mpersonat" in message):
            impersonated = any(name == "Impersonate-User" for name, _ in request.headers)
            # Who is refused as the one that they impersonate does impersonate them.
            if impersonated and 'User "' in message and f'User "{identity.user}"' not in message:
                continue
            return message or str(reply.status)
    return ""


def _status(seen: Seen, _: Memory) -> object:
    """Keep of an answer what says why it was refused: the rest is somebody's object."""
    if at(seen.document, "kind") != "Status":
        return None
    return {"reason": at(seen.document, "reason"), "message": str(at(seen.document, "message") or "")[:1024]}
