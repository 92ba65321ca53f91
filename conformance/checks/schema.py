"""That every answer is what the server's own OpenAPI v3 documents say that it is.

The scripts here ask for the usual answers of each resource; beside these, whatever any other request of the run brought
counts for the subject that it asked for, the probes of the access matrix among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import quirks
from conformance.checks import MUST, check
from conformance.probe import CONNECT
from conformance.scripts import Ask, Quirk, expect, need

if TYPE_CHECKING:
    from conformance.scripts import Case, Memory, Reply, Seen, Steps, Subject

_OPENAPI = "https://kubernetes.io/docs/concepts/overview/kubernetes-api/"
_QUOTE = (
    "It includes all the available API paths, as well as all resources consumed and produced for every operations on"
    " every endpoints."
)
# Of what kind an answer is stands apart from whether it is a valid one of its kind.
_OF_KINDS = r"\w+ answers (the|a) .* is documented"
_OF_SCHEMAS = rf"(?!{_OF_KINDS}$).*"
_OK, _CREATED = 200, 201


def _nothing(_: Seen, __: Memory) -> None:
    """Keep nothing: the answer was held against its schema when it came."""


def _is_served(subject: Subject) -> bool:
    return not subject.aggregated


def _has_object(subject: Subject) -> bool:
    """Whether a subresource answers with an object, not with what something else says."""
    return subject.resource is not None and subject.resource.subresource not in CONNECT and not subject.aggregated


@check(
    "SCHEMA-ANSWERS",
    MUST,
    "Every answer about a resource is valid by the server's OpenAPI v3 document, which leaves no field out",
    url=_OPENAPI,
    quote=_QUOTE,
    on="resource",
    applies=_is_served,
    gathers=_OF_SCHEMAS,
)
def answers(case: Case) -> Steps:
    """Ask for everything there is, across namespaces; the rest is what the run asks anyway."""
    if case.subject.has("list"):
        reply: Reply = yield Ask("GET", case.collection(namespace=""), (("limit", "50"),), read=_nothing)
        need(reply.status == _OK, f"the list is answered {reply.status}")


@check(
    "SCHEMA-SUBRESOURCES",
    MUST,
    "Every answer about a subresource is valid by the server's OpenAPI v3 document",
    url=_OPENAPI,
    quote=_QUOTE,
    on="subresource",
    applies=_has_object,
    gathers=".*",
)
def subresources(case: Case) -> Steps:
    """Ask for one of an object that is not there: an error is held, too."""
    if case.subject.has("get"):
        yield Ask("GET", case.item("{absent}"), read=_nothing)


@check(
    "SCHEMA-KINDS",
    MUST,
    "An answer is of the kind that the server's OpenAPI v3 document declares for its operation",
    url=_OPENAPI,
    quote=_QUOTE,
    on="resource",
    applies=_is_served,
    gathers=_OF_KINDS,
)
def kinds(case: Case) -> Steps:
    """Ask for one page; the answers of all other operations come from the rest of the run."""
    if case.subject.has("list"):
        reply: Reply = yield Ask("GET", case.collection(), (("limit", "1"),), read=_nothing)
        need(reply.status == _OK, f"the list is answered {reply.status}")


@check(
    "SCHEMA-WRITES",
    MUST,
    "What answers a creation, a patch and an update is the object, valid by its schema",
    url=_OPENAPI,
    quote=_QUOTE,
    on="resource",
    verbs=("create", "get", "update", "patch"),
    applies=_is_served,
    mode="full",
    needs=("object",),
)
def writes(case: Case) -> Steps:
    """Let an object go through its life."""
    body = case.object("w")
    yield from case.needed("w")
    made: Reply = yield Ask("POST", case.collection(), body=body, schema=True)
    need(made.status == _CREATED, f"no object could be created: {made.said()}")
    item = case.item(case.name_of(made.body))
    merge = (("Content-Type", "application/merge-patch+json"),)
    patch = {"metadata": {"annotations": {"kube-conformance.io/schema": "yes"}}}
    patched: Reply = yield Ask("PATCH", item, body=patch, headers=merge, schema=True)
    need(patched.status == _OK, f"a patch is answered {patched.said()}")
    put: Reply = yield Ask("PUT", item, body=patched.body, schema=True)
    need(put.ok or put.reason == "Conflict", f"an update is answered {put.said()}")  # a controller may be quicker
    found = [problem for reply in (made, patched, put) for problem in reply.problems]
    violations, explained = quirks.split(case.check, case.subject.id, dict.fromkeys(found), case.world.minor)
    expect(not violations, "; ".join(violations))
    if explained:
        raise Quirk(explained[0][0].id, "; ".join(problem for _, problem in explained))


@check(
    "SCHEMA-PATHS",
    MUST,
    "The documents of discovery, of the version and of the service account issuer are valid by their schemas",
    url=_OPENAPI,
    quote=_QUOTE,
    on="server",
    gathers=".*",
)
def paths(case: Case) -> Steps:
    """Ask for each path that has a document of its own."""
    del case
    asked = ("/version", "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/.well-known/openid-configuration")
    for path in asked:
        reply: Reply = yield Ask("GET", path, read=_nothing)
        need(reply.status == _OK, f"{path} is answered {reply.status}")
