"""What creating promises: what is sent is there, once, and only when it is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from conformance.checks import MUST, SHOULD, check
from conformance.checks.asking import (
    CONCEPTS,
    CONVENTIONS,
    MARK,
    OBJECT,
    dry_run,
    get,
    is_named_freely,
    knows_its_fields,
    pause,
)
from conformance.scripts import DRY_RUN, RUN, Ask, Reply, Subject, at, collection_of, expect, filled, need

if TYPE_CHECKING:
    from conformance.scripts import Case, Steps

_CREATED, _OK = 201, 200
_BAD, _NOT_FOUND, _CONFLICT, _TOO_LARGE, _MEDIA, _INVALID = 400, 404, 409, 413, 415, 422
_FORBIDDEN = 403
_TRIES = 5
_NAMES = "https://kubernetes.io/docs/concepts/overview/working-with-objects/names/"


def _lacks(sent: Any, got: Any, path: str = "") -> str:
    """Name the first field that was sent and did not come back; lists are compared by length and members."""
    if isinstance(sent, dict):
        if not isinstance(got, dict):
            return path
        for key, value in sent.items():
            if value in (None, "", [], {}):
                continue  # nothing was said
            lacking = _lacks(value, got.get(key), f"{path}.{key}".lstrip("."))
            if lacking:
                return lacking
        return ""
    if isinstance(sent, list):
        if not isinstance(got, list) or len(got) < len(sent):
            return path
        return next((lacking for one, two in zip(sent, got, strict=False) if (lacking := _lacks(one, two, path))), "")
    if isinstance(got, str) and got.startswith("{time"):
        return ""  # a moment may be spelled otherwise
    return "" if sent == got or str(sent) == str(got) else path


@check(
    "CREATE-ECHO",
    MUST,
    "A creation answers 201 with the object, as it is stored from then on",
    url=CONVENTIONS,
    quote="201 StatusCreated: Indicates that the request to create kind completed successfully.",
    on="resource",
    verbs=OBJECT,
    mode="full",
    needs=("object",),
)
def create_echo(case: Case) -> Steps:
    """Make an object, hold the answer against what was sent, and against what can be read."""
    body = case.object("a")
    yield from case.needed("a")
    made: Reply = yield Ask("POST", case.collection(), body=body)
    expect(made.status == _CREATED, f"the creation is answered {made.said()}")
    expect(made.get("kind") == case.resource.kind, f"the answer's kind is {made.get('kind')}")
    lacking = _lacks({key: value for key, value in body.items() if key not in {"status", "stringData"}}, made.body)
    expect(not lacking, f"{lacking} is not as it was sent")
    got: Reply = yield get(case, case.name_of(body))
    expect(got.status == _OK, f"what was created is answered {got.said()}")
    expect(got.get("metadata", "uid") == made.get("metadata", "uid"), "it can be read with another uid")
    lacking = _lacks({key: value for key, value in body.items() if key not in {"status", "stringData"}}, got.body)
    expect(not lacking, f"{lacking} is stored otherwise than it was sent")


@check(
    "CREATE-METADATA",
    MUST,
    "The server gives a new object uid, creationTimestamp and resourceVersion",
    url=CONVENTIONS,
    quote='Every object kind MUST have the following metadata in a nested object field called "metadata": … name … uid',
    on="resource",
    verbs=OBJECT,
    mode="full",
    needs=("object",),
)
def create_metadata(case: Case) -> Steps:
    """Make an object that claims a uid and a date of its own."""
    claimed = "11111111-2222-3333-4444-555555555555"
    body = case.object("a", uid=claimed, creationTimestamp="2001-01-01T00:00:00Z")
    yield from case.needed("a")
    made: Reply = yield Ask("POST", case.collection(), body=body)
    need(made.status == _CREATED, f"no object could be created: {made.said()}")
    metadata = made.get("metadata") or {}
    for key in ("uid", "creationTimestamp", "resourceVersion"):
        expect(metadata.get(key), f"metadata.{key} is missing")
    got: Reply = yield get(case, case.name_of(body))
    for key in ("uid", "creationTimestamp"):
        expect(got.get("metadata", key) == metadata.get(key), f"metadata.{key} is another one when it is read")
    wanted = "{own}" if case.resource.namespaced else None
    expect(metadata.get("namespace") == wanted, "metadata.namespace is not that of the path")
    old = body["metadata"]["creationTimestamp"]
    sent: Reply = yield get(
        case,
        case.name_of(body),
        read=lambda seen, _: {
            "uid": at(seen.document, "metadata", "uid") == claimed,
            "date": at(seen.document, "metadata", "creationTimestamp") == old,
        },
    )
    expect(not sent.get("uid"), "the uid is that of the request, which nobody but the server may choose")
    expect(not sent.get("date"), "the creationTimestamp is that of the request")


@check(
    "CREATE-CONFLICT",
    MUST,
    "A second object of one name is a 409 AlreadyExists that names it",
    url=CONVENTIONS,
    quote='All compatible Kubernetes APIs MUST support "name idempotency" and respond with an HTTP status code 409 when'
    " a request is made to POST an object that has the same name as an existing object in the system.",
    on="resource",
    verbs=OBJECT,
    mode="full",
    needs=("object",),
)
def create_conflict(case: Case) -> Steps:
    """Make an object twice."""
    made: Reply = yield from case.created("a")
    again: Reply = yield Ask("POST", case.collection(), body=case.object("a"))
    expect(again.status == _CONFLICT, f"the second creation is answered {again.said()}")
    expect(again.reason == "AlreadyExists", f"the reason is {again.reason or 'missing'}")
    expect(again.get("details", "name") == made.get("metadata", "name"), "details.name does not name it")
    got: Reply = yield get(case, made.get("metadata", "name"))
    expect(got.get("metadata", "uid") == made.get("metadata", "uid"), "the second creation replaced the object")


@check(
    "CREATE-GENERATE-NAME",
    MUST,
    "generateName gives each object a name of its own that begins so",
    url=CONVENTIONS,
    quote="The value of this field will be combined with a random suffix on the server if the Name field has not been"
    " provided.",
    on="resource",
    verbs=OBJECT,
    applies=is_named_freely,
    mode="full",
    needs=("object",),
)
def create_generate_name(case: Case) -> Steps:
    """Make two objects of one generateName, and see that both are there."""
    prefix = case.name("g")
    names = []
    for _ in range(2):
        body = case.object("g", name=None, generateName=prefix)
        yield from case.needed("g")
        made: Reply = yield Ask(
            "POST",
            case.collection(),
            body=body,
        )
        expect(made.status == _CREATED, f"the creation is answered {made.said()}")
        names.append(made.get("metadata", "name"))
        expect(str(names[-1]).startswith("{generated"), f"the name is {names[-1]}")
        got: Reply = yield get(case, names[-1])
        expect(got.status == _OK, f"the object of that name is answered {got.said()}")
    expect(names[0] != names[1], "both objects have one name")


@check(
    "CREATE-DRY-RUN",
    MUST,
    "A dry run of a creation answers with the object and persists nothing",
    url=f"{CONCEPTS}#dry-run",
    quote="Kubernetes guarantees that dry-run requests will not be persisted in storage or have any other side"
    " effects.",
    on="resource",
    verbs=("create", "get"),
    mode="dry-run",
    needs=("object",),
)
def create_dry_run(case: Case) -> Steps:
    """Try to make an object, and look whether it is there."""
    body = case.object("a")
    tried: Reply = yield dry_run(case, body)
    expect(tried.status == _CREATED, f"the dry run is answered {tried.said()}")
    expect(tried.get("metadata", "name") == case.name_of(body), "the answer does not name the object")
    got: Reply = yield get(case, case.name_of(body))
    expect(got.status == _NOT_FOUND, f"after the dry run the object is answered {got.said() or got.status}")


# --- field validation -------------------------------------------------------------------------------------------------


def _with_unknown(case: Case) -> Any:
    return case.object("a") | {"kubeConformanceUnknown": "yes"}


@check(
    "CREATE-STRICT",
    MUST,
    "fieldValidation=Strict refuses a field that the schema does not know",
    url=f"{CONCEPTS}#setting-the-field-validation-level",
    quote="The API server rejects the request with a 400 Bad Request error when it detects any unknown or duplicate"
    " fields. The response message from the API server specifies all the unknown or duplicate fields",
    on="resource",
    verbs=("create",),
    mode="dry-run",
    applies=knows_its_fields,
    needs=("object",),
)
def create_strict(case: Case) -> Steps:
    """Send an unknown field."""
    reply: Reply = yield dry_run(case, _with_unknown(case), ("fieldValidation", "Strict"))
    expect(reply.status == _BAD, f"it is answered {reply.said() or reply.status}")
    expect("kubeConformanceUnknown" in reply.message, "the message does not name the field")


@check(
    "CREATE-WARN",
    MUST,
    "fieldValidation=Warn takes an unknown field, drops it and warns of it",
    url=f"{CONCEPTS}#setting-the-field-validation-level",
    quote="The warning is sent using the Warning: response header, adding one warning item for each unknown or"
    " duplicate field.",
    on="resource",
    verbs=("create", "get"),
    mode="dry-run",
    applies=knows_its_fields,
    needs=("object",),
)
def create_warn(case: Case) -> Steps:
    """Send an unknown field, and look for the header."""
    reply: Reply = yield dry_run(case, _with_unknown(case), ("fieldValidation", "Warn"))
    expect(reply.status == _CREATED, f"it is answered {reply.said() or reply.status}")
    warned = any("kubeConformanceUnknown" in warning for warning in reply.warnings)
    expect(warned, "no Warning header names the field")
    expect("kubeConformanceUnknown" not in (reply.body or {}), "the unknown field is in the answer")


@check(
    "CREATE-IGNORE",
    MUST,
    "fieldValidation=Ignore takes an unknown field, drops it and says nothing",
    url=f"{CONCEPTS}#setting-the-field-validation-level",
    quote="The API server succeeds in handling the request as it would without the erroneous fields being set,"
    " dropping all unknown and duplicate fields and giving no indication it has done so.",
    on="resource",
    verbs=("create", "get"),
    mode="dry-run",
    applies=knows_its_fields,
    needs=("object",),
)
def create_ignore(case: Case) -> Steps:
    """Send an unknown field, and look for silence."""
    reply: Reply = yield dry_run(case, _with_unknown(case), ("fieldValidation", "Ignore"))
    expect(reply.status == _CREATED, f"it is answered {reply.said() or reply.status}")
    warned = any("kubeConformanceUnknown" in warning for warning in reply.warnings)
    expect(not warned, "a Warning header names the field")
    expect("kubeConformanceUnknown" not in (reply.body or {}), "the unknown field is in the answer")


@check(
    "CREATE-DUPLICATE-FIELD",
    MUST,
    "fieldValidation=Strict refuses a field that is given twice",
    url=f"{CONCEPTS}#setting-the-field-validation-level",
    quote="The API server rejects the request with a 400 Bad Request error when it detects any unknown or duplicate"
    " fields.",
    on="resource",
    verbs=("create",),
    mode="dry-run",
    needs=("object",),
)
def create_duplicate_field(case: Case) -> Steps:
    """Send a body with its kind in it twice."""
    body = case.object("a")
    text = orjson.dumps(body).decode()
    text = text[:-1] + ',"kind":' + orjson.dumps(body["kind"]).decode() + "}"
    strict: Reply = yield dry_run(case, text, ("fieldValidation", "Strict"))
    expect(strict.status == _BAD, f"it is answered {strict.said() or strict.status}")
    expect("duplicate" in strict.message, "the message does not speak of a duplicate field")


# --- refusals ---------------------------------------------------------------------------------------------------------


def _refused(reply: Reply, *statuses: int) -> None:
    expect(reply.status in statuses, f"it is answered {reply.said() or reply.status}")
    expect(reply.get("kind") == "Status", "the answer is no Status")


@check(
    "CREATE-WRONG-KIND",
    MUST,
    "A body of another kind than the path's is refused as 400",
    url=CONVENTIONS,
    quote="400 StatusBadRequest: Indicates the requested is invalid.",
    on="resource",
    verbs=("create",),
    mode="dry-run",
    needs=("object",),
)
def create_wrong_kind(case: Case) -> Steps:
    """Send the object under the name of another kind, and of another version."""
    other = "Secret" if case.resource.kind != "Secret" else "ConfigMap"
    kind: Reply = yield dry_run(case, case.object("a") | {"apiVersion": "v1", "kind": other})
    _refused(kind, _BAD)
    version: Reply = yield dry_run(case, case.object("a") | {"apiVersion": "kube-conformance.io/v9"})
    _refused(version, _BAD)


@check(
    "CREATE-WRONG-NAMESPACE",
    MUST,
    "A body whose namespace is not the path's is refused as 400",
    url=CONVENTIONS,
    quote="400 StatusBadRequest: Indicates the requested is invalid.",
    on="resource",
    verbs=("create", "get"),
    applies=lambda subject: subject.resource is not None and subject.resource.namespaced,
    mode="dry-run",
    needs=("object",),
)
def create_wrong_namespace(case: Case) -> Steps:
    """Send the object to one namespace as if it were of another."""
    reply: Reply = yield dry_run(case, case.object("a", namespace="{other}"))
    _refused(reply, _BAD)


@check(
    "CREATE-MALFORMED",
    MUST,
    "A body that is no JSON is refused as 400",
    url=CONVENTIONS,
    quote="400 StatusBadRequest: Indicates the requested is invalid.",
    on="resource",
    verbs=("create",),
    mode="dry-run",
)
def create_malformed(case: Case) -> Steps:
    """Send half a JSON document."""
    reply: Reply = yield dry_run(case, '{"kind": ')
    _refused(reply, _BAD)


@check(
    "CREATE-MEDIA-TYPE",
    MUST,
    "A body of a media type that the server does not read is refused as 415",
    url="https://www.rfc-editor.org/rfc/rfc9110#section-15.5.16",
    quote="The 415 (Unsupported Media Type) status code indicates that the origin server is refusing to service the"
    " request because the content is in a format not supported by this method on the target resource.",
    on="resource",
    verbs=("create",),
    mode="dry-run",
    needs=("object",),
)
def create_media_type(case: Case) -> Steps:
    """Send the object as if it were a picture."""
    body = orjson.dumps(case.object("a")).decode()
    reply: Reply = yield dry_run(case, body, headers=(("Content-Type", "image/png"),))
    _refused(reply, _MEDIA)


@check(
    "CREATE-NAME-INVALID",
    MUST,
    "A name that is no segment of a path is refused as 422 with its field as a cause",
    url=_NAMES,
    quote="Some resource types require their names to be able to be safely encoded as a path segment.",
    on="resource",
    verbs=("create", "get"),
    mode="dry-run",
    needs=("object",),
)
def create_name_invalid(case: Case) -> Steps:
    """Send an object whose name has a slash in it."""
    reply: Reply = yield dry_run(case, case.object("a", name=f"kc/{RUN}"))
    _refused(reply, _INVALID)
    expect(reply.reason == "Invalid", f"the reason is {reply.reason or 'missing'}")
    fields = [at(cause, "field") for cause in reply.get("details", "causes") or ()]
    expect("metadata.name" in fields, "no cause names metadata.name")


@check(
    "CREATE-NAME-MISSING",
    SHOULD,
    "An object without name and generateName is refused as 422",
    url=_NAMES,
    quote="Each object in your cluster has a Name that is unique for that type of resource.",
    on="resource",
    verbs=("create", "get"),
    mode="dry-run",
    needs=("object",),
)
def create_name_missing(case: Case) -> Steps:
    """Send an object that has no name."""
    body = case.object("a")
    del body["metadata"]["name"]
    reply: Reply = yield dry_run(case, body)
    _refused(reply, _INVALID)


@check(
    "CREATE-NAMESPACE-ABSENT",
    MUST,
    "An object in a namespace that is not there is refused as 404",
    url=CONVENTIONS,
    quote="NotFound: Indicates that one or more resources required for this operation could not be found.",
    on="resource",
    verbs=("create", "get"),
    applies=lambda subject: subject.resource is not None and subject.resource.namespaced,
    mode="dry-run",
    needs=("object",),
)
def create_namespace_absent(case: Case) -> Steps:
    """Send an object to a namespace of a name that nobody has."""
    body = case.object("a", namespace="{absent}")
    path = collection_of(case.resource, "{absent}")
    reply: Reply = yield Ask("POST", path, (DRY_RUN,), _with_namespace(body))
    _refused(reply, _NOT_FOUND)
    expect(reply.reason == "NotFound", f"the reason is {reply.reason or 'missing'}")


def _with_namespace(body: Any) -> Any:
    """Let an event speak of an object in its own namespace, which it has to."""
    return {
        key: value | {"namespace": "{absent}"} if key in {"involvedObject", "regarding"} else value
        for key, value in body.items()
    }


@check(
    "CREATE-NAMESPACE-TERMINATING",
    MUST,
    "A new object in a namespace that is being deleted is refused as 403 with cause NamespaceTerminating",
    url="https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#namespacelifecycle",
    quote="This admission controller enforces that a Namespace that is undergoing termination cannot have new objects"
    " created in it",
    on="server",
    mode="full",
)
def create_namespace_terminating(case: Case) -> Steps:
    """Delete a namespace that a finalizer holds, and send it an object of each namespaced kind."""
    name = case.name("ns")
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": case.labels, "finalizers": ["kube-conformance.io/hold"]},
    }
    made: Reply = yield Ask("POST", "/api/v1/namespaces", body=body)
    need(made.status == _CREATED, f"no namespace could be created: {made.said()}")
    gone: Reply = yield Ask("DELETE", f"/api/v1/namespaces/{name}")
    need(gone.ok, f"the namespace could not be deleted: {gone.said()}")
    # Another replica of the server may learn of it a moment later.
    for _ in range(_TRIES):
        first: Reply = yield Ask("POST", f"/api/v1/namespaces/{name}/configmaps", (DRY_RUN,), _map(case, name))
        if first.status == _FORBIDDEN:
            break
        yield pause(case, 1)
    refused = 0
    for resource in case.world.catalog.resources:
        sample = case.world.samples.get(f"{resource.group_version}/{resource.plural}")
        if not (resource.namespaced and sample and sample.body and {"create", "get"} <= set(resource.verbs)):
            continue
        if resource.subresource or resource.group_version in case.world.catalog.aggregated:
            continue
        object_ = filled(sample.body, case, "a", namespace=name)
        reply: Reply = yield Ask("POST", collection_of(resource, name), (DRY_RUN,), _in(object_, name))
        if reply.reason in {"Invalid", "BadRequest"}:
            continue
        expect(reply.status == _FORBIDDEN, f"{resource.group_version}/{resource.name}: {reply.said() or reply.status}")
        causes = [at(cause, "reason") for cause in reply.get("details", "causes") or ()]
        expect("NamespaceTerminating" in causes, f"{resource.name}: no cause NamespaceTerminating")
        refused += 1
    need(refused, "no kind could be tried")


def _map(case: Case, namespace: str) -> Any:
    metadata = {"name": case.name("m"), "namespace": namespace, "labels": case.labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def _in(body: Any, namespace: str) -> Any:
    return {
        key: value | {"namespace": namespace} if key in {"involvedObject", "regarding"} else value
        for key, value in body.items()
    }


def _is_configmaps(subject: Subject) -> bool:
    return subject.id == "v1/configmaps"


@check(
    "CREATE-TOO-LARGE",
    MUST,
    "A body beyond the server's limit is refused as 413",
    url="https://kubernetes.io/docs/concepts/configuration/configmap/",
    quote="The data stored in a ConfigMap cannot exceed 1 MiB.",
    on="resource",
    verbs=("create",),
    applies=_is_configmaps,
    mode="dry-run",
)
def create_too_large(case: Case) -> Steps:
    """Send four mebibytes, and two that are read and then refused by validation."""
    for mebibytes, statuses in ((4, {_TOO_LARGE}), (2, {_TOO_LARGE, _INVALID})):
        body = case.object("a") | {"data": {MARK.replace("/", "."): "x" * (mebibytes << 20)}}
        reply: Reply = yield dry_run(case, orjson.dumps(body).decode())
        _refused(reply, *statuses)
