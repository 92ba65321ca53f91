"""What a cluster with a node promises of pods that run: logs, exec, attach, port-forward, proxies, eviction, services.

Pods run an image with a shell, keep to the Pod Security Standard `restricted`, and end with their check. Of what they
and their proxies say, only words of ours are kept: how many lines and events there are is chance.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, SHOULD, check
from conformance.scripts import DRY_RUN, OWN, Ask, Reply, at, expect, need

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from conformance.scripts import Case, Memory, Seen, Steps, Subject

    Asking = Generator[Ask | tuple[Ask, ...], Any, Reply]

_DOCS = "https://kubernetes.io/docs"
_PROXIES = f"{_DOCS}/concepts/cluster-administration/proxies/"
_PODS = f"/api/v1/namespaces/{OWN}/pods"
_SERVICES = f"/api/v1/namespaces/{OWN}/services"
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_CHANNELS = "v5.channel.k8s.io"
_OUTPUT, _STATUS = 1, 3  # channels of it
_PORT_CHANNELS = "v4.channel.k8s.io"  # 0 data, 1 what goes wrong
_SERVED, _SPEAKING, _SILENT = "8080", "8081", "8082"  # by HTTP; says a word to whoever connects; nobody listens
_WAIT = 120.0  # seconds for a pod to run, on a machine that is busy
_ANSWER = 30.0
_NEEDS = ("node", "pods")
_TOO_MANY, _NOWHERE = 429, 503
_TRIES, _MOMENT_SECONDS = 20, 2.0
_MOMENT = (("fieldSelector", "metadata.name=kube-conformance-nothing"), ("watch", "true"), ("timeoutSeconds", "2"))
_SERVE = (
    "echo the page > /www/index.html; httpd -p 8080 -h /www; (while :; do echo the greeting | nc -l -p 8081; done) & "
    "echo the first line; while :; do sleep 0.3; echo another line; done"
)
_WORDS = ("the page", "the greeting", "the first line", "another line", "refused", "an answer")
_SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65534,
    "seccompProfile": {"type": "RuntimeDefault"},
}
# Of each subresource the request that exercises it on a pod that runs, as any identity.
_ASKED = {
    "log": ("get", (("tailLines", "1"),), ""),
    "exec": ("get", (("command", "true"), ("stdout", "true")), _CHANNELS),
    "attach": ("get", (("stdout", "true"),), _CHANNELS),
    "portforward": ("get", (("ports", _SPEAKING),), _PORT_CHANNELS),
    "proxy": ("get", (), ""),
    "eviction": ("create", (), ""),
}


# --- steps that many of them take -------------------------------------------------------------------------------------


def _pod(case: Case, suffix: str = "a", **labels: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": case.world.pod_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", _SERVE],
        "securityContext": _SAFE,
        "volumeMounts": [{"name": "www", "mountPath": "/www"}],
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}},
    }
    spec: dict[str, Any] = {
        "containers": [container],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
    }
    spec |= {"volumes": [{"name": "www", "emptyDir": {}}]}
    metadata = {"name": case.name(suffix), "labels": case.labels | labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _running(case: Case, suffix: str = "a", **labels: str) -> Steps:
    """Create a pod and wait until it is ready."""
    made: Reply = yield Ask("POST", _PODS, body=_pod(case, suffix, **labels))
    need(made.status == 201, f"no pod could be created: {made.said()}")  # noqa: PLR2004  # Created
    ready: Reply = yield _until(case, _is_ready, suffix)
    need(ready.get("seen"), f"no pod of the image {case.world.pod_image} was ready within {_WAIT:.0f} s")


def _until(case: Case, holds: Callable[[Any], bool], suffix: str = "a") -> Ask:
    """Watch a pod until something holds of it; the reply's body says whether it came to."""
    query = (("fieldSelector", f"metadata.name={case.name(suffix)}"), ("watch", "true"), ("timeoutSeconds", "120"))

    def reached(seen: Seen, _: Memory) -> Any:
        events = seen.document if isinstance(seen.document, list) else []
        return {"seen": any(map(holds, events))}

    return Ask("GET", _PODS, query, ends=lambda events: any(map(holds, events)), read=reached, seconds=_WAIT)


def _is_ready(event: Any) -> bool:
    conditions = at(event, "object", "status", "conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _is_gone(event: Any) -> bool:
    return bool(at(event, "type") == "DELETED")


def _get(path: str, *query: tuple[str, str]) -> Ask:
    return Ask("GET", path, query, read=_said)


def _said(seen: Seen, _: Memory) -> Any:
    """Keep the words of ours in an answer, of a Status its reason, and of anything else whether it is `ok`."""
    text = seen.body.decode("utf-8", "replace")
    kept: dict[str, Any] = {"words": [word for word in _WORDS if word in text], "ok": text.strip() == "ok"}
    if at(seen.document, "kind") == "Status":
        kept |= {key: at(seen.document, key) for key in ("reason", "message")}
    return kept


def _connect(path: str, *query: tuple[str, str], until: str, ports: bool = False) -> Ask:
    """Open a WebSocket until a word (or the end of the command) is heard; its body holds what was."""

    def over(events: list[Any]) -> bool:
        heard = "".join(text for _, text in events)
        return until in heard if until else any(channel == _STATUS for channel, _ in events)

    def heard(seen: Seen, _: Memory) -> Any:
        if not isinstance(seen.document, list):
            return _said(seen, {})
        texts: dict[int, str] = {}
        for channel, text in seen.document:
            texts[channel] = texts.get(channel, "") + text
        return {
            "words": {str(channel): [word for word in _WORDS if word in text] for channel, text in texts.items()},
            "status": texts.get(_STATUS, "") if not ports else "",
        }

    protocol = _PORT_CHANNELS if ports else _CHANNELS
    return Ask("GET", path, query, ends=over, read=heard, seconds=_ANSWER, upgrade=protocol)


def _exec(case: Case, command: str, suffix: str = "a") -> Ask:
    words = tuple(("command", word) for word in ("sh", "-c", command))
    return _connect(f"{_PODS}/{case.name(suffix)}/exec", *words, ("stdout", "true"), ("stderr", "true"), until="")


# --- the checks -------------------------------------------------------------------------------------------------------


@check(
    "NODE-POD-RUNS",
    MUST,
    "A pod is bound to a node, its containers are started, and its status says so",
    url=f"{_DOCS}/concepts/workloads/pods/pod-lifecycle/",
    quote="The Pod has been bound to a node, and all of the containers have been created.",
    on="server",
    mode="full",
    needs=_NEEDS,
)
def pod_runs(case: Case) -> Steps:
    """Look at the status of a pod that runs."""
    yield from _running(case)

    def state(seen: Seen, _: Memory) -> Any:
        status, first = at(seen.document, "status"), at(seen.document, "status", "containerStatuses", 0)
        return {
            "phase": at(status, "phase"),
            "address": bool(at(status, "podIP")),
            "bound": bool(at(seen.document, "spec", "nodeName")),
            "started": at(first, "started") is True and "running" in (at(first, "state") or {}),
        }

    reply: Reply = yield Ask("GET", f"{_PODS}/{case.name()}", read=state)
    expect(reply.get("phase") == "Running", f"the phase of a pod that is ready is {reply.get('phase')}")
    for key in ("bound", "address", "started"):
        expect(reply.get(key), f"its status does not say that it is {key}")


@check(
    "NODE-LOG",
    MUST,
    "pods/log gives what a container wrote, and no more than was asked for",
    url=f"{_DOCS}/concepts/cluster-administration/logging/",
    quote="Kubernetes captures logs from each container in a running Pod.",
    on="server",
    mode="full",
    needs=_NEEDS,
)
def log(case: Case) -> Steps:
    """Read the whole log, its end alone, and that of a container that the pod has not."""
    yield from _running(case)
    path = f"{_PODS}/{case.name()}/log"
    whole: Reply = yield _get(path, ("limitBytes", "4096"))
    expect(whole.ok and "the first line" in whole.get("words"), f"the log misses its first line: {whole.said()}")
    second: Reply = yield _until_logged(path)
    expect(second.get("another"), "tailLines=1 does not give the last line alone")
    absent: Reply = yield _get(path, ("container", "absent"))
    expect(absent.status == 400, f"the log of a container that is not there is answered {absent.said()}")  # noqa: PLR2004


def _until_logged(path: str) -> Ask:
    def lines(seen: Seen, _: Memory) -> Any:
        found = seen.body.decode("utf-8", "replace").splitlines()
        return {"another": len(found) == 1 and "line" in found[0]}

    return Ask("GET", path, (("tailLines", "1"),), read=lines)


@check(
    "NODE-EXEC",
    MUST,
    "pods/exec runs a command by WebSocket, gives its output and says how it ended",
    url=f"{_DOCS}/tasks/debug/debug-application/get-shell-running-container/",
    quote="In an ordinary command window, not your shell, list the environment variables in the running container",
    on="server",
    mode="full",
    needs=_NEEDS,
)
def execute(case: Case) -> Steps:
    """Run one command that succeeds and one that ends with another code."""
    yield from _running(case)
    fine: Reply = yield _exec(case, "echo an answer")
    expect(fine.status == 101, f"the connection is not upgraded: {fine.said()}")  # noqa: PLR2004
    expect("an answer" in (fine.get("words", str(_OUTPUT)) or ()), "the output of the command does not arrive")
    expect('"Success"' in fine.get("status"), f"a command that succeeded ended with {fine.get('status')}")
    failed: Reply = yield _exec(case, "exit 3")
    expect("NonZeroExitCode" in failed.get("status"), f"a command that failed ended with {failed.get('status')}")
    expect('"3"' in failed.get("status"), "the exit code is not told")


@check(
    "NODE-ATTACH",
    MUST,
    "pods/attach gives the output of a container that runs",
    url=f"{_DOCS}/reference/kubectl/generated/kubectl_attach/",
    quote="Attach to a process that is already running inside an existing container.",
    on="server",
    mode="full",
    needs=_NEEDS,
)
def attach(case: Case) -> Steps:
    """Listen until the next line."""
    yield from _running(case)
    reply: Reply = yield _connect(f"{_PODS}/{case.name()}/attach", ("stdout", "true"), until="another line")
    expect(reply.status == 101, f"the connection is not upgraded: {reply.said()}")  # noqa: PLR2004
    expect("another line" in (reply.get("words", str(_OUTPUT)) or ()), "what the container writes does not arrive")


@check(
    "NODE-PORT-FORWARD",
    MUST,
    "pods/portforward leads to a port of the pod, and says when nobody listens there",
    url=f"{_DOCS}/tasks/access-application-cluster/port-forward-access-application-cluster/",
    quote="Connections made to local port 28015 are forwarded to port 27017 of the Pod",
    on="server",
    mode="full",
    needs=_NEEDS,
)
def port_forward(case: Case) -> Steps:
    """Connect to a port that greets, and to one where nobody listens."""
    yield from _running(case)
    path = f"{_PODS}/{case.name()}/portforward"
    reply: Reply = yield _connect(path, ("ports", _SPEAKING), until="the greeting", ports=True)
    expect(reply.status == 101, f"the connection is not upgraded: {reply.said()}")  # noqa: PLR2004
    expect("the greeting" in (reply.get("words", "0") or ()), "what the port says does not arrive")
    silent: Reply = yield _connect(path, ("ports", _SILENT), until="refused", ports=True)
    expect("refused" in (silent.get("words", "1") or ()), "a port where nobody listens is not told as such")


@check(
    "NODE-POD-PROXY",
    MUST,
    "pods/proxy reaches a server in a pod through the API server",
    url=_PROXIES,
    quote="can be used to reach a Node, Pod, or Service",
    on="server",
    mode="full",
    needs=_NEEDS,
)
def pod_proxy(case: Case) -> Steps:
    """Get the page that a pod serves."""
    yield from _running(case)
    reply: Reply = yield _get(f"{_PODS}/{case.name()}:{_SERVED}/proxy/index.html")
    expect(reply.ok and "the page" in reply.get("words"), f"the page of the pod is answered {reply.said()}")


@check(
    "NODE-NODE-PROXY",
    MUST,
    "nodes/proxy reaches the kubelet through the API server",
    url=_PROXIES,
    quote="can be used to reach a Node, Pod, or Service",
    on="server",
    mode="full",
    needs=_NEEDS,
)
def node_proxy(case: Case) -> Steps:
    """Ask the kubelet of the first ready node how it is."""
    del case

    def name(seen: Seen, memory: Memory) -> Any:
        del memory
        for node in at(seen.document, "items") or ():
            if _is_ready({"object": node}):
                return {"name": at(node, "metadata", "name")}
        return {"name": ""}

    found: Reply = yield Ask("GET", "/api/v1/nodes", read=name)
    need(found.get("name"), "no node is ready any more")
    reply: Reply = yield _get(f"/api/v1/nodes/{found.get('name')}/proxy/healthz")
    expect(reply.ok and reply.get("ok"), f"the health of the kubelet is answered {reply.said()}")


def _service(case: Case) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": case.name("s"), "labels": case.labels},
        "spec": {
            "selector": {"kube-conformance.io/serves": case.name("a")},
            "ports": [{"name": "http", "port": 80, "targetPort": int(_SERVED)}],
        },
    }


def _serving(case: Case) -> Steps:
    """Have a pod behind a service, and wait until the service knows it."""
    made: Reply = yield Ask("POST", _SERVICES, body=_service(case))
    need(made.status == 201, f"no service could be created: {made.said()}")  # noqa: PLR2004  # Created
    yield from _running(case, **{"kube-conformance.io/serves": case.name("a")})
    query = (("labelSelector", f"kubernetes.io/service-name={case.name('s')}"), ("watch", "true"))

    def knows(event: Any) -> bool:
        ends = at(event, "object", "endpoints") or ()
        return any(at(end, "conditions", "ready") for end in ends)

    def reached(seen: Seen, _: Memory) -> Any:
        return {"seen": any(map(knows, seen.document if isinstance(seen.document, list) else []))}

    slices = f"/apis/discovery.k8s.io/v1/namespaces/{OWN}/endpointslices"
    known: Reply = yield Ask(
        "GET", slices, query, ends=lambda events: any(map(knows, events)), read=reached, seconds=_WAIT
    )
    need(known.get("seen"), "the service has no ready endpoint")


@check(
    "NODE-SERVICE-PROXY",
    MUST,
    "services/proxy reaches a service through the API server, which is not kube-proxy's way",
    url=_PROXIES,
    quote="is a bastion built into the apiserver",
    on="server",
    mode="full",
    needs=_NEEDS,
)
def service_proxy(case: Case) -> Steps:
    """Get the page through the API server."""
    yield from _serving(case)
    page = Ask("GET", f"{_SERVICES}/{case.name('s')}:http/proxy/index.html", read=_said, expects=frozenset({_NOWHERE}))
    reply: Reply = yield page
    for _ in range(_TRIES):
        if reply.status != _NOWHERE:
            break
        # It goes by an older list of endpoints, which another controller writes a moment before or after.
        yield Ask("GET", _PODS, _MOMENT, ends=lambda _: False, read=lambda *_: None, seconds=_MOMENT_SECONDS)
        reply = yield page
    expect(reply.ok and "the page" in reply.get("words"), f"the page of the service is answered {reply.said()}")


@check(
    "NODE-KUBE-PROXY",
    MUST,
    "A service's address leads to its pods from within the cluster: kube-proxy's work, not that of `kubectl proxy`",
    url=_PROXIES,
    quote="is only used to reach services",
    on="server",
    mode="full",
    needs=_NEEDS,
)
def kube_proxy(case: Case) -> Steps:
    """Get the page from another pod, by the service's own address."""
    yield from _serving(case)
    yield from _running(case, "b")
    service: Reply = yield Ask("GET", f"{_SERVICES}/{case.name('s')}")
    address = service.get("spec", "clusterIP")
    need(address, "the service has no address of its own")
    # kube-proxy learns of an endpoint a moment after everybody else does.
    fetch = f"timeout 3 wget -qO- http://{address}/index.html"
    command = f"for i in 1 2 3 4 5 6 7 8 9 10; do {fetch} && exit 0; sleep 1; done; exit 1"
    reply: Reply = yield _exec(case, command, "b")
    expect("the page" in (reply.get("words", str(_OUTPUT)) or ()), "the service's address does not lead to its pod")


@check(
    "NODE-EPHEMERAL-CONTAINER",
    MUST,
    "pods/ephemeralcontainers adds a container to a pod that runs, and the node starts it",
    url=f"{_DOCS}/concepts/workloads/pods/ephemeral-containers/",
    quote="Ephemeral containers are created using a special ephemeralcontainers handler in the API",
    on="server",
    mode="full",
    needs=_NEEDS,
)
def ephemeral_container(case: Case) -> Steps:
    """Add one and wait until it runs."""
    yield from _running(case)
    added = {"name": "debug", "image": case.world.pod_image, "command": ["sleep", "600"], "securityContext": _SAFE}
    reply: Reply = yield Ask(
        "PATCH",
        f"{_PODS}/{case.name()}/ephemeralcontainers",
        body={"spec": {"ephemeralContainers": [added]}},
        headers=(("Content-Type", "application/strategic-merge-patch+json"),),
    )
    expect(reply.ok, f"the patch is answered {reply.said()}")

    def runs(event: Any) -> bool:
        return "running" in (at(event, "object", "status", "ephemeralContainerStatuses", 0, "state") or {})

    started: Reply = yield _until(case, runs)
    expect(started.get("seen"), f"it was not started within {_WAIT:.0f} s")


@check(
    "NODE-RESIZE",
    SHOULD,
    "pods/resize changes what a container may use without another container",
    url=f"{_DOCS}/tasks/configure-pod-container/resize-container-resources/",
    quote="change the CPU and memory resource requests and limits assigned to a container without recreating the Pod",
    on="server",
    mode="full",
    needs=_NEEDS,
)
def resize(case: Case) -> Steps:
    """Ask for more and wait until the kubelet has taken note."""
    need(any(each.plural == "pods/resize" for each in case.world.catalog.resources), "pods/resize is not served")
    yield from _running(case)
    wanted = {"requests": {"cpu": "2m"}, "limits": {"cpu": "400m"}}
    reply: Reply = yield Ask(
        "PATCH",
        f"{_PODS}/{case.name()}/resize",
        body={"spec": {"containers": [{"name": "main", "resources": wanted}]}},
        headers=(("Content-Type", "application/strategic-merge-patch+json"),),
    )
    expect(reply.ok, f"the patch is answered {reply.said()}")

    def taken(event: Any) -> bool:
        status = at(event, "object", "status", "containerStatuses", 0)
        shown = (at(status, "allocatedResources", "cpu"), at(status, "resources", "requests", "cpu"))
        return "2m" in shown

    done: Reply = yield _until(case, taken)
    expect(done.get("seen"), f"its status did not follow within {_WAIT:.0f} s")


@check(
    "NODE-EVICTION",
    MUST,
    "pods/eviction ends a pod, but not one that a disruption budget protects",
    url=f"{_DOCS}/concepts/scheduling-eviction/api-eviction/",
    quote="the eviction is not currently allowed because of the configured PodDisruptionBudget",
    on="server",
    mode="full",
    needs=_NEEDS,
)
def eviction(case: Case) -> Steps:
    """Evict a protected pod, which is refused, and one that is free to go."""
    yield from _running(case, "b", **{"kube-conformance.io/protected": case.name("b")})
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": case.name("p"), "labels": case.labels},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"kube-conformance.io/protected": case.name("b")}}},
    }
    made: Reply = yield Ask("POST", f"/apis/policy/v1/namespaces/{OWN}/poddisruptionbudgets", body=budget)
    need(made.status == 201, f"no budget could be created: {made.said()}")  # noqa: PLR2004  # Created
    refused: Reply = yield _evicted(case, "b")
    expect(refused.status == _TOO_MANY, f"the eviction of a protected pod is answered {refused.said()}")
    causes = [at(cause, "reason") for cause in refused.get("details", "causes") or ()]
    expect("DisruptionBudget" in causes, "the answer does not name the budget as its cause")
    yield from _running(case)
    replies: tuple[Reply, Reply] = yield (_until(case, _is_gone), _evicted(case, "a"))
    gone, done = replies
    expect(done.status == 201, f"the eviction of a pod that nothing protects is answered {done.said()}")  # noqa: PLR2004
    expect(gone.get("seen"), f"the evicted pod was still there after {_WAIT:.0f} s")


def _evicted(case: Case, suffix: str, *query: tuple[str, str], identity: str = "") -> Ask:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": case.name(suffix), "namespace": OWN}}
    path = f"{_PODS}/{case.name(suffix)}/eviction"
    return Ask("POST", path, query, body=body, identity=identity, expects=frozenset({_TOO_MANY}))


# --- who may ----------------------------------------------------------------------------------------------------------


def _is_asked(subject: Subject) -> bool:
    resource = subject.resource
    return (
        resource is not None
        and (resource.group_version, resource.name) == ("v1", "pods")
        and (resource.subresource in _ASKED)
    )


def _review(identity: Any, verb: str, subresource: str) -> Ask:
    spec: dict[str, Any] = {"user": identity.user, "groups": list(identity.groups)}
    spec |= {"uid": identity.uid} if identity.uid else {}
    spec |= {"extra": {key: list(values) for key, values in identity.extra}} if identity.extra else {}
    asked = {"verb": verb, "resource": "pods", "subresource": subresource, "namespace": OWN}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    return Ask("POST", _REVIEWS, body=body | {"spec": spec | {"resourceAttributes": asked}}, read=_allowed)


def _allowed(seen: Seen, _: Memory) -> Any:
    return {"allowed": at(seen.document, "status", "allowed") is True}


@check(
    "NODE-WHO-MAY",
    MUST,
    "On a pod that runs, exactly those identities get an answer whom the access review allows it",
    url=f"{_DOCS}/reference/access-authn-authz/authorization/",
    quote="All parts of an API request must be allowed by some authorization mechanism in order to proceed.",
    on="subresource",
    applies=_is_asked,
    mode="full",
    needs=_NEEDS,
)
def who_may(case: Case) -> Steps:
    """Ask for real as every identity, and hold that against what the server's own review says of it."""
    subresource = case.resource.subresource
    verb, query, protocol = _ASKED[subresource]
    # A connection by WebSocket takes the right to create, too.
    verbs = (verb, "create") if protocol else (verb,)
    yield from _running(case)
    for identity in case.world.identities:
        may = identity.expect == "authenticated"
        if may:
            for each in verbs:
                said: Reply = yield _review(identity, each, subresource)
                may = may and bool(said.get("allowed"))
        path = f"{_PODS}/{case.name()}/{subresource}"
        if subresource == "eviction":
            ask = _evicted(case, "a", DRY_RUN, identity=identity.name)
        elif subresource == "proxy":
            ask = Ask("GET", f"{_PODS}/{case.name()}:{_SERVED}/proxy/", identity=identity.name, read=_said)
        elif protocol:
            opened = _connect(path, *query, until="line", ports=subresource == "portforward")
            ask = replace(opened, identity=identity.name, upgrade=protocol, ends=bool, seconds=_ANSWER)
        else:
            ask = Ask("GET", path, query, identity=identity.name, read=_said)
        reply: Reply = yield ask
        got = reply.status in {101, 200, 201}
        if may and reply.status == 403 and " cannot " not in reply.message:  # noqa: PLR2004
            continue  # authorized, and refused by admission: a node may evict its own pods only
        expect(
            got == may and (got or reply.status in {401, 403}),
            f"{identity.name}: the review says {'yes' if may else 'no'}, and the answer is {reply.said()}",
        )
