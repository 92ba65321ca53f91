"""How a cell is asked without harm: one request for each endpoint, the same for every identity.

Measured on v1.37: authorization comes before the body is parsed, before existence and before the method, so a request
for an absent name tells allowed (404, 400, 422, 201 of a dry run) from denied (403). Names are placeholders here; the
engine fills them in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from conformance.model import Attributes, Endpoint, Request
from conformance.placeholders import ABSENT, OTHER, OWN

if TYPE_CHECKING:
    from conformance.model import Mode, Resource

JSON = ("Accept", "application/json")
DRY_RUN = ("dryRun", "All")
# Selects nothing: no object bears a label of this name, and a watch with it stays silent.
NOTHING = ("labelSelector", "kube-conformance.io/nothing=selected")
# A watch is over when its headers are there; should they never come, the server ends it itself.
WATCH_SECONDS = "5"

READS = frozenset({"get", "list", "watch"})
# Subresources whose requests open a connection to something else; dryRun is nothing to them, an absent name the shield.
CONNECT = frozenset({"exec", "attach", "portforward", "proxy"})
_ON_COLLECTION = frozenset({"list", "watch", "create", "deletecollection"})
_METHODS = {"get": "GET", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
_VERBS = _ON_COLLECTION | _METHODS.keys()
_RBAC_GROUP = "rbac.authorization.k8s.io"
_REVIEWS = frozenset(
    {
        "selfsubjectaccessreviews",
        "selfsubjectrulesreviews",
        "selfsubjectreviews",
        "subjectaccessreviews",
        "localsubjectaccessreviews",
    },
)


def namespace_of(scope: str) -> str:
    """The namespace (or its placeholder) that a scope stands for; empty for cluster-wide asks."""
    if scope.startswith("ns."):
        return scope[3:]
    return {"own": OWN, "other": OTHER}.get(scope, "")


def attributes_of(endpoint: Endpoint, name: str = ABSENT) -> Attributes:
    """What the server's authorizer is asked when the endpoint's probe arrives.

    A request for `/api/v1/namespaces/NAME` is authorised *in* the namespace NAME (RequestInfo sets it), so a Role there
    counts.
    """
    if endpoint.path:
        return Attributes(endpoint.verb, path=endpoint.path)
    on_item = bool(endpoint.subresource) or endpoint.verb not in _ON_COLLECTION
    named = name if on_item or name != ABSENT else ""
    namespace = namespace_of(endpoint.scope)
    if endpoint.resource == "namespaces" and not endpoint.group and named and on_item:
        namespace = named
    return Attributes(
        verb=endpoint.verb,
        group=endpoint.group,
        version=endpoint.version,
        resource=endpoint.resource,
        subresource=endpoint.subresource,
        namespace=namespace,
        name=named,
    )


def refusal(endpoint: Endpoint, mode: Mode, *, aggregated: bool) -> str:
    """Why the endpoint has no request of its own in this mode: a note for the cell, or empty when it has one."""
    if endpoint.virtual:
        return "virtual"
    if endpoint.path:
        if _is_of_resource(endpoint.path):
            return "the server takes this path for a resource's"
        return "" if endpoint.verb == "get" else "only GET is sent to paths"
    if endpoint.verb not in _VERBS or (endpoint.subresource and endpoint.verb not in _METHODS):
        return "no request is known for this verb"
    reads = endpoint.verb in READS and endpoint.subresource not in CONNECT
    if reads:
        return ""
    if mode == "observe":
        return "" if _is_review(endpoint) else "observe sends no writes"
    if aggregated and mode != "full":
        return "writes to aggregated APIs are asked in mode full only"
    return ""


def _is_of_resource(path: str) -> bool:
    """Say whether a path that a rule names is one of the API: a GET of it would ask for a right of another kind.

    Upstream: RequestInfoFactory.NewRequestInfo of k8s.io/apiserver.
    """
    root, *parts = path.strip("/").split("/")
    return (root == "api" and len(parts) > 1) or (root == "apis" and len(parts) > 2)  # noqa: PLR2004  # group, version, resource


def _is_review(endpoint: Endpoint) -> bool:
    return endpoint.verb == "create" and endpoint.resource in _REVIEWS


def request_of(endpoint: Endpoint, resource: Resource | None) -> Request:
    """Return the endpoint's harmless request, names as placeholders."""
    if endpoint.path or resource is None:
        return Request("GET", endpoint.path, headers=(JSON,), headers_only=True)
    collection = resource.prefix
    if namespace := namespace_of(endpoint.scope):
        collection += f"/namespaces/{namespace}"
    collection += f"/{resource.name}"
    if resource.subresource:
        return _of_item(endpoint, resource, f"{collection}/{ABSENT}/{resource.subresource}")
    match endpoint.verb:
        case "list":
            return Request("GET", collection, (("limit", "1"),), (JSON,))
        case "watch":
            query = (("watch", "true"), ("timeoutSeconds", WATCH_SECONDS), NOTHING)
            return Request("GET", collection, query, (JSON,), headers_only=True)
        case "deletecollection":
            query = (DRY_RUN, NOTHING, ("fieldSelector", f"metadata.name={ABSENT}"))
            return Request("DELETE", collection, query, (JSON,))
        case "create":
            return Request("POST", collection, (DRY_RUN,), _headers("application/json"), _new(resource))
        case _:
            return _of_item(endpoint, resource, f"{collection}/{ABSENT}")


def named_request_of(endpoint: Endpoint, resource: Resource | None, name: str) -> Request | None:
    """Return the request for an object that rules name, or None where only a review may ask: reads alone are sent.

    Rules may name what no object can be called (`..`, `a/exec`): in a path it would ask for something else.
    """
    if resource is None or endpoint.verb not in READS or resource.subresource not in {"", "status", "scale"}:
        return None
    if name in {"", ".", ".."} or not name.isprintable() or "/" in name or "%" in name:
        return None
    request = request_of(endpoint, resource)
    if endpoint.verb == "get":
        return Request("GET", request.path.replace(ABSENT, name), request.query, request.headers)
    # A list or watch of one name is authorised for that name only when the field selector says so.
    value = name.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    query = (*request.query, ("fieldSelector", f"metadata.name={value}"))
    return Request("GET", request.path, query, request.headers, headers_only=request.headers_only)


def _of_item(endpoint: Endpoint, resource: Resource, path: str) -> Request:
    method = _METHODS[endpoint.verb]
    if method == "GET":
        return Request(method, path, (), (JSON,))
    query = () if resource.subresource in CONNECT else (DRY_RUN,)
    if method == "PATCH":
        # A merge patch of an absent object is a 404; an apply would create it and need a second right.
        return Request(method, path, query, _headers("application/merge-patch+json"), b"{}")
    if method == "DELETE":
        return Request(method, path, query, (JSON,))
    # Without a name in the body an update is refused as 400 and never becomes a create.
    body = b"{}" if resource.subresource in CONNECT else _typed(resource)
    return Request(method, path, query, _headers("application/json"), body)


def _headers(content_type: str) -> tuple[tuple[str, str], ...]:
    return (JSON, ("Content-Type", content_type))


def _typed(resource: Resource) -> bytes:
    version = f"{resource.kind_group}/{resource.kind_version}" if resource.kind_group else resource.kind_version
    body: dict[str, object] = {"apiVersion": version, "kind": resource.kind}
    if resource.kind == "Binding" and not resource.kind_group:
        body["target"] = {"kind": "Node", "name": ABSENT}  # without one the server answers 500
    return orjson.dumps(body)


def _new(resource: Resource) -> bytes:
    """Build the body of a dry-run create: of its kind, with an absent name, and nothing that grants.

    Bindings get a complete roleRef: an empty one makes the escalation check answer 500 for some identities.
    """
    body: dict[str, object] = orjson.loads(_typed(resource)) | {"metadata": {"name": ABSENT}}
    if resource.group == _RBAC_GROUP and resource.name.endswith("bindings"):
        kind = "Role" if resource.namespaced else "ClusterRole"
        body["roleRef"] = {"apiGroup": _RBAC_GROUP, "kind": kind, "name": ABSENT}
    return orjson.dumps(body)
