"""What operations promise that are subresources: approval, tokens, eviction, binding, resizing, connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, check
from conformance.checks.asking import CONVENTIONS, MERGE, STRATEGIC
from conformance.scripts import Ask, NotEvaluated, Reply, at, expect, need

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.scripts import Case, Memory, Seen, Steps, Subject

_OK, _CREATED, _NOT_FOUND, _CONFLICT = 200, 201, 404, 409
_TRIES = 8  # at an object that controllers write, too
_CONNECT = frozenset({"exec", "attach", "portforward", "proxy"})
_METHODS = {"get": "GET", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
_PODS = "https://kubernetes.io/docs/concepts/workloads/pods"


def _is(*names: str) -> Callable[[Subject], bool]:
    def holds(subject: Subject) -> bool:
        resource = subject.resource
        return resource is not None and f"{resource.group}/{resource.plural}".lstrip("/") in names

    return holds


def _granted(seen: Seen, _: Memory) -> Any:
    token = at(seen.document, "status", "token")
    return {
        "kind": at(seen.document, "kind"),
        "isToken": isinstance(token, str) and token.count(".") == 2,  # noqa: PLR2004  # three parts
        "expires": bool(at(seen.document, "status", "expirationTimestamp")),
        "message": at(seen.document, "message"),
    }


@check(
    "TOKEN-REQUEST",
    MUST,
    "A TokenRequest is answered with a token and the time when it lapses",
    url="https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/",
    quote="TokenRequest requests a token for a given service account.",
    on="subresource",
    verbs=("create",),
    applies=_is("serviceaccounts/token"),
    mode="full",
)
def token_request(case: Case) -> Steps:
    """Make an account and ask for a token of ten minutes."""
    made: Reply = yield from case.created("a")
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["kube-conformance"], "expirationSeconds": 600},
    }
    reply: Reply = yield Ask("POST", case.item(made.get("metadata", "name")), body=body, read=_granted)
    expect(reply.status == _CREATED, f"it is answered {reply.said() or reply.status}")
    expect(reply.get("kind") == "TokenRequest", f"its kind is {reply.get('kind')}")
    expect(reply.get("isToken"), "status.token is none")
    expect(reply.get("expires"), "status.expirationTimestamp is missing")


@check(
    "EVICTION-REMOVES",
    MUST,
    "The eviction of a pod that no budget protects is granted, and the pod goes",
    url="https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/",
    quote="API-initiated eviction is the process by which you use the Eviction API to create an Eviction object that"
    " triggers graceful pod termination.",
    on="subresource",
    verbs=("create",),
    applies=_is("pods/eviction"),
    mode="full",
)
def eviction_removes(case: Case) -> Steps:
    """Make a pod and evict it."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": "{own}"},
        "deleteOptions": {"gracePeriodSeconds": 0},
    }
    reply: Reply = yield Ask("POST", case.item(name), body=body)
    expect(reply.status == _CREATED, f"it is answered {reply.said()}")
    got: Reply = yield Ask("GET", f"{case.collection()}/{name}")
    going = got.status == _NOT_FOUND or got.get("metadata", "deletionTimestamp")
    expect(going, "the pod is there and stays")


@check(
    "BINDING-ASSIGNS",
    MUST,
    "A binding assigns the pod to its node, once",
    url=CONVENTIONS,
    quote="/binding: Used to bind a resource representing a user request (e.g., Pod, PersistentVolumeClaim) to a"
    " cluster infrastructure resource (e.g., Node, PersistentVolume).",
    on="subresource",
    verbs=("create",),
    applies=_is("pods/binding"),
    mode="full",
)
def binding_assigns(case: Case) -> Steps:
    """Make a pod, bind it to a node that is not there, and try to bind it to another."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")

    def bound(node: str) -> Ask:
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        metadata = {"name": name, "namespace": "{own}"}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        return Ask("POST", case.item(name), body=body)

    reply: Reply = yield bound("kube-conformance-none")
    expect(reply.status == _CREATED, f"it is answered {reply.said()}")
    got: Reply = yield Ask("GET", f"{case.collection()}/{name}")
    if got.status == _OK:  # a pod of a node that is not there may be collected at once
        expect(got.get("spec", "nodeName") == "kube-conformance-none", "spec.nodeName is not the node")
        again: Reply = yield bound("kube-conformance-other")
        expect(again.status in {_CONFLICT, _NOT_FOUND}, f"a second binding is answered {again.said()}")


@check(
    "EPHEMERAL-ADDED",
    MUST,
    "Ephemeral containers are added through their subresource and not with the pod",
    url=f"{_PODS}/ephemeral-containers/",
    quote="Ephemeral containers are created using a special ephemeralcontainers handler in the API rather than by"
    " adding them directly to pod.spec",
    on="subresource",
    verbs=("get", "patch", "update"),
    applies=_is("pods/ephemeralcontainers"),
    mode="full",
)
def ephemeral_added(case: Case) -> Steps:
    """Make a pod, and add a container both ways."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    main = f"{case.collection()}/{name}"
    wanted = {"name": "debug", "image": "kube-conformance.invalid/none"}
    direct: Reply = yield Ask("PATCH", main, body={"spec": {"ephemeralContainers": [wanted]}}, headers=STRATEGIC)
    got: Reply = yield Ask("GET", main)
    expect(not got.get("spec", "ephemeralContainers"), f"it is stored with the pod, which is answered {direct.status}")
    reply: Reply = yield Ask(
        "PATCH", case.item(name), body={"spec": {"ephemeralContainers": [wanted]}}, headers=STRATEGIC
    )
    expect(reply.status == _OK, f"the patch is answered {reply.said()}")
    whole: Reply = yield Ask("GET", case.item(name))
    expect(whole.status == _OK and whole.get("kind") == "Pod", f"it is read as {whole.get('kind')}")
    names = [at(one, "name") for one in whole.get("spec", "ephemeralContainers") or ()]
    expect(names == ["debug"], "the container is not there")
    put: Reply = yield Ask("PUT", case.item(name), body=whole.body)
    expect(put.status in {_OK, _CONFLICT}, f"an update that changes nothing is answered {put.said()}")


@check(
    "RESIZE-APART",
    MUST,
    "Resources of a running pod's containers change through resize and not with the pod",
    url="https://kubernetes.io/blog/2025/05/16/kubernetes-v1-33-in-place-pod-resize-beta/",
    quote="Modifying Pod resources must now be done via the Pod's resize subresource",
    on="subresource",
    verbs=("get", "patch", "update"),
    applies=_is("pods/resize"),
    mode="full",
)
def resize_apart(case: Case) -> Steps:
    """Make a pod with a request, and change the request both ways."""
    body = case.object("a")
    name = case.name_of(body)
    containers = [one | {"resources": {"requests": {"cpu": "10m"}}} for one in body["spec"]["containers"]]
    made: Reply = yield Ask("POST", case.collection(), body=body | {"spec": body["spec"] | {"containers": containers}})
    need(made.status == _CREATED, f"no pod could be created: {made.said()}")
    first = str(at(containers, 0, "name"))
    change = {"spec": {"containers": [{"name": first, "resources": {"requests": {"cpu": "20m"}}}]}}
    main = f"{case.collection()}/{name}"
    direct: Reply = yield Ask("PATCH", main, body=change, headers=STRATEGIC)
    expect(not direct.ok, f"with the pod it is answered {direct.status}")
    reply: Reply = yield Ask("PATCH", case.item(name), body=change, headers=STRATEGIC)
    expect(reply.status == _OK, f"through resize it is answered {reply.said()}")
    got: Reply = yield Ask("GET", case.item(name))
    wanted = got.get("spec", "containers", 0, "resources", "requests", "cpu")
    expect(wanted == "20m", f"the request is {wanted}")
    put: Reply = yield Ask("PUT", case.item(name), body=got.body)
    expect(put.status in {_OK, _CONFLICT}, f"an update that changes nothing is answered {put.said()}")


@check(
    "APPROVAL-APART",
    MUST,
    "A signing request is approved through its subresource and not with the request",
    url="https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/",
    quote="Users of the REST API can approve CSRs by submitting an UPDATE request to the approval subresource of the"
    " CSR to be approved.",
    on="subresource",
    verbs=("get", "patch", "update"),
    applies=_is("certificates.k8s.io/certificatesigningrequests/approval"),
    mode="full",
)
def approval_apart(case: Case) -> Steps:
    """Make a request to a signer that is not there, and approve it both ways."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    main = f"{case.collection()}/{name}"
    said = {"type": "Approved", "status": "True", "reason": "Checked", "message": "checked"}
    direct: Reply = yield Ask("PATCH", main, body={"status": {"conditions": [said]}}, headers=MERGE)
    need(direct.ok, f"a patch of the request is answered {direct.said()}")
    got: Reply = yield Ask("GET", main, status=True)
    expect(not got.get("status", "conditions"), "the approval is stored with the request")
    for _ in range(_TRIES):
        current: Reply = yield Ask("GET", case.item(name))
        expect(current.status == _OK, f"the subresource is answered {current.said()}")
        reply: Reply = yield Ask("PUT", case.item(name), body=current.body | {"status": {"conditions": [said]}})
        if reply.status == _CONFLICT:
            continue
        expect(reply.status == _OK, f"the approval is answered {reply.said()}")
        got = yield Ask("GET", main, status=True)
        kinds = [at(one, "type") for one in got.get("status", "conditions") or ()]
        expect(kinds == ["Approved"], "the approval is not stored")
        again: Reply = yield Ask("PATCH", case.item(name), body={"metadata": {}}, headers=MERGE)
        expect(again.status == _OK, f"a patch of nothing is answered {again.said()}")
        return
    raise NotEvaluated("somebody else keeps writing the object")


@check(
    "FINALIZE-WRITES",
    MUST,
    "The finalizers in a namespace's spec change through finalize and not with the namespace",
    url="https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/",
    quote="Finalizers is an opaque list of values that must be empty to permanently remove object from storage.",
    on="subresource",
    verbs=("update",),
    applies=_is("namespaces/finalize"),
    mode="full",
)
def finalize_writes(case: Case) -> Steps:
    """Make a namespace, and add a finalizer both ways; then take it off again."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    main = f"{case.collection()}/{name}"
    more = ["kubernetes", "kube-conformance.io/hold"]
    for _ in range(_TRIES):
        current: Reply = yield Ask("GET", main)
        need(current.ok, f"the namespace is answered {current.said()}")
        body = current.body | {"spec": {"finalizers": more}}
        direct: Reply = yield Ask("PUT", main, body=body)
        got: Reply = yield Ask("GET", main)
        held = got.get("spec", "finalizers")
        expect(held == ["kubernetes"], f"an update of the namespace, answered {direct.status}, stores them")
        reply: Reply = yield Ask("PUT", case.item(name), body=got.body | {"spec": {"finalizers": more}})
        if _CONFLICT in {direct.status, reply.status}:
            continue
        expect(reply.status == _OK, f"it is answered {reply.said()}")
        expect(reply.get("spec", "finalizers") == more, "they are not stored")
        off: Reply = yield Ask("PUT", case.item(name), body=reply.body | {"spec": {"finalizers": ["kubernetes"]}})
        expect(off.status == _OK, f"taking it off is answered {off.said()}")
        return
    raise NotEvaluated("somebody else keeps writing the object")


def _connects(subject: Subject) -> bool:
    return subject.resource is not None and subject.resource.subresource in _CONNECT


@check(
    "CONNECT-ABSENT",
    MUST,
    "A connection to something that is not there is an error of the API, by each method",
    url=CONVENTIONS,
    quote="Two additional subresources, proxy and portforward, provide access to cluster resources",
    on="subresource",
    applies=_connects,
    mode="full",
)
def connect_absent(case: Case) -> Steps:
    """Ask each verb of a name that nobody has; what it does where there is a node other checks tell."""
    for verb in case.resource.verbs:
        method = _METHODS.get(verb)
        if method is None:
            continue
        query = (("command", "true"),) if case.resource.subresource == "exec" else ()
        reply: Reply = yield Ask(method, case.item("{absent}"), query, expects=frozenset({503}))
        # A service that is not there is answered as one without endpoints.
        expected = {_NOT_FOUND, 503} if case.main.name == "services" else {_NOT_FOUND}
        expect(reply.status in expected, f"{verb} is answered {reply.said() or reply.status}")
        expect(reply.get("kind") == "Status", f"the answer to {verb} is no Status")
