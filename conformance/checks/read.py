"""What reading promises: lists, pages, selectors, resource versions, and what is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import INFO, MUST, SHOULD, check
from conformance.checks.asking import (
    CONCEPTS,
    CONVENTIONS,
    FIELDS_PAGE,
    LABELS_PAGE,
    MARK,
    OBJECT,
    PARAMETERS,
    count_of_items,
    names_in,
    stock,
    version_of,
)
from conformance.scripts import DRY_RUN, Ask, NotEvaluated, Reply, at, expect, need

if TYPE_CHECKING:
    from conformance.model import Json
    from conformance.scripts import Case, Memory, Seen, Steps

_OK, _BAD, _NOT_FOUND, _GONE, _NOT_ALLOWED = 200, 400, 404, 410, 405
_FUTURE = "9007199254740991"
_TRIES = 3
_PARTIAL = "https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#PartialObjectMetadata"


def _envelope(seen: Seen, _: Memory) -> object:
    document = seen.document
    return {
        "kind": at(document, "kind"),
        "apiVersion": at(document, "apiVersion"),
        "hasResourceVersion": bool(at(document, "metadata", "resourceVersion")),
        "items": isinstance(at(document, "items"), list),
        "foreign": sum(
            at(item, "kind") not in {None, str(at(document, "kind")).removesuffix("List")}
            for item in at(document, "items") or ()
        ),
    }


@check(
    "LIST-ENVELOPE",
    MUST,
    "A list is of kind <Kind>List and holds items and nothing but objects of that kind",
    url=CONVENTIONS,
    quote='The name of a list kind must end with "List". … All lists use the required "items" field to contain the'
    " array of objects they return.",
    on="resource",
    verbs=("list",),
)
def list_envelope(case: Case) -> Steps:
    """Look at the frame of a list, not at what is in it."""
    reply: Reply = yield Ask("GET", case.collection(), (("limit", "5"),), read=_envelope)
    expect(reply.status == _OK, f"the list is answered {reply.status}")
    expect(reply.get("kind") == f"{case.resource.kind}List", f"its kind is {reply.get('kind')}")
    expect(reply.get("apiVersion") == case.resource.group_version, f"its apiVersion is {reply.get('apiVersion')}")
    expect(reply.get("items"), "items is no list")
    expect(not reply.get("foreign"), "it holds objects of another kind")


@check(
    "LIST-VERSION",
    SHOULD,
    "A list has the resourceVersion that a watch can start from",
    url=CONVENTIONS,
    quote="Every list or simple kind SHOULD have the following metadata in a nested object field called"
    ' "metadata": resourceVersion',
    on="resource",
    verbs=("list",),
)
def list_version(case: Case) -> Steps:
    """Look for the list's own resourceVersion."""
    reply: Reply = yield Ask("GET", case.collection(), (("limit", "1"),), read=_envelope)
    expect(reply.status == _OK, f"the list is answered {reply.status}")
    expect(reply.get("hasResourceVersion"), "metadata.resourceVersion is missing")


# --- pages ------------------------------------------------------------------------------------------------------------


def _first_page(seen: Seen, memory: Memory) -> object:
    """Read a page, and forget what was read before it."""
    memory["paged"] = []
    return _page(seen, memory)


def _page(seen: Seen, memory: Memory) -> Json:
    """Read a page: its size, and whether it goes on where the last one ended."""
    names = [
        (at(item, "metadata", "namespace"), at(item, "metadata", "name")) for item in at(seen.document, "items") or ()
    ]
    known = memory.setdefault("paged", [])
    known += names
    return {
        "count": len(names),
        "listVersion": at(seen.document, "metadata", "resourceVersion"),
        "continue": at(seen.document, "metadata", "continue"),
        "reason": at(seen.document, "reason"),
    }


def _next_page(seen: Seen, memory: Memory) -> object:
    """Read the page after it; whether that goes on in turn depends on what else there is to look through."""
    return {key: value for key, value in _page(seen, memory).items() if key != "continue"}


def _whole(seen: Seen, memory: Memory) -> object:
    """Hold a list in one piece against the pages that were read."""
    paged = memory.get("paged", [])
    names = [
        (at(item, "metadata", "namespace"), at(item, "metadata", "name")) for item in at(seen.document, "items") or ()
    ]
    return {
        "reason": at(seen.document, "reason"),
        "twice": len(paged) - len(set(paged)),
        "sameStart": names[: len(paged)] == paged,
    }


@check(
    "LIST-LIMIT",
    MUST,
    "A list with limit has no more objects than that, and goes on with continue",
    url=CONCEPTS,
    quote="the server will return up to `limit` resources in the result and include a `continue` value if there are"
    " more resources in the collection",
    on="resource",
    verbs=("list",),
)
def list_limit(case: Case) -> Steps:
    """Read two pages of two objects, and the same state in one piece."""
    path, selection = yield from stock(case, 2)
    for _ in range(_TRIES):
        first: Reply = yield Ask("GET", path, (*selection, ("limit", "1")), read=_first_page)
        expect(first.status == _OK, f"the first page is answered {first.status}")
        expect(first.get("count") <= 1, "a page of limit=1 has more than one object")
        token, version = first.get("continue"), first.get("listVersion")
        if not token and not selection:
            return  # all that is there is on one page
        expect(token, "there are more objects, and no continue token for them")
        expect(first.get("count") == 1, "a page that says there is more is empty")
        second: Reply = yield Ask("GET", path, (*selection, ("limit", "1"), ("continue", token)), read=_next_page)
        if second.status == _GONE:
            continue
        expect(second.status == _OK, f"the second page is answered {second.status}")
        expect(second.get("count") == 1, "the second page of limit=1 has not one object")
        query = (*selection, ("resourceVersion", version), ("resourceVersionMatch", "Exact"), ("limit", "500"))
        whole: Reply = yield Ask("GET", path, query, read=_whole)
        if whole.status == _GONE:
            continue
        expect(whole.status == _OK, f"the same state in one piece is answered {whole.status}")
        expect(not whole.get("twice"), "an object is on both pages")
        expect(whole.get("sameStart"), "the pages hold other objects than the list in one piece")
        return
    raise NotEvaluated("the state expired before it could be read again")


@check(
    "LIST-CONTINUE",
    MUST,
    "The pages of a list are together exactly the list in one piece, at one resourceVersion",
    url=f"{PARAMETERS}#limit",
    quote="The server guarantees that the objects returned when using continue will be identical to issuing a single"
    " list call without a limit - that is, no objects created, modified, or deleted after the first request is issued"
    " will be included in any subsequent continued requests.",
    on="resource",
    verbs=("list", *OBJECT),
    mode="full",
    needs=("object",),
)
def list_continue(case: Case) -> Steps:
    """Make five objects, and read them by twos while another one comes."""
    names = []
    for letter in "abcde":
        made: Reply = yield from case.created(letter)
        names.append(made.get("metadata", "name"))
    for attempt in range(_TRIES):
        found: list[str] = []
        versions = set()
        query: tuple[tuple[str, str], ...] = (case.selector, ("limit", "2"))
        reply: Reply = yield Ask("GET", case.collection(), query)
        late: Reply = yield from case.created(f"late{attempt}")
        while reply.status == _OK:
            expect(len(names_in(reply.body)) <= 2, "a page of limit=2 has more objects than that")  # noqa: PLR2004
            found += names_in(reply.body)
            versions.add(version_of(reply.body))
            token = reply.get("metadata", "continue")
            expect(len(found) <= len(names) + _TRIES, "the pages do not come to an end")
            if not token:
                break
            reply = yield Ask("GET", case.collection(), (*query, ("continue", token)))
        if reply.status == _GONE:
            names.append(late.get("metadata", "name"))
            continue
        expect(reply.status == _OK, f"a page is answered {reply.said()}")
        expect(len(found) == len(set(found)), "an object is on two pages")
        expect(sorted(found) == sorted(names), "the pages together are not the objects that were there")
        expect(len(versions) == 1, "the resourceVersion changes from page to page")
        return
    raise NotEvaluated("the pages expired again and again")


def _remaining(seen: Seen, memory: Memory) -> object:
    memory["remaining"] = at(seen.document, "metadata", "remainingItemCount")
    memory["paged"] = at(seen.document, "items") or []
    return {
        "given": memory["remaining"] is not None,
        "listVersion": at(seen.document, "metadata", "resourceVersion"),
        "continues": bool(at(seen.document, "metadata", "continue")),
    }


def _held_against_remaining(seen: Seen, memory: Memory) -> object:
    # A list that does not go on is whole, whatever it says of more to come.
    goes_on = at(seen.document, "metadata", "continue")
    more = (at(seen.document, "metadata", "remainingItemCount") or 0) if goes_on else 0
    there = len(at(seen.document, "items") or []) + int(more)
    return {"right": memory["remaining"] == there - len(memory["paged"])}


@check(
    "LIST-REMAINING",
    SHOULD,
    "remainingItemCount, where it is given, is the number of objects on the pages to come",
    url="https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/list-meta/",
    quote="remainingItemCount is the number of subsequent items in the list which are not included in this list"
    " response.",
    on="resource",
    verbs=("list",),
)
def list_remaining(case: Case) -> Steps:
    """Count what is left after a page of one, without a selector: it is not given with one."""
    path, _ = yield from stock(case, 2, selected=False)
    for _ in range(_TRIES):
        first: Reply = yield Ask("GET", path, (("limit", "1"),), read=_remaining)
        expect(first.status == _OK, f"the first page is answered {first.status}")
        if not first.get("given"):
            return
        expect(first.get("continues"), "there is more to come, and no continue token for it")
        query = (("resourceVersion", first.get("listVersion")), ("resourceVersionMatch", "Exact"), ("limit", "500"))
        whole: Reply = yield Ask("GET", path, query, read=_held_against_remaining)
        if whole.status == _GONE:
            continue
        expect(whole.status == _OK, f"the same state in one piece is answered {whole.status}")
        expect(whole.get("right"), "it is another number than that of the objects to come")
        return
    raise NotEvaluated("the state expired before it could be counted")


@check(
    "LIST-CONTINUE-FORGED",
    MUST,
    "A continue token that the server did not give is refused as 400",
    url=f"{PARAMETERS}#continue",
    quote="clients may only use the continue value from a previous query result with identical query parameters"
    " (except for the value of continue) and the server may reject a continue value it does not recognize",
    on="resource",
    verbs=("list",),
)
def list_continue_forged(case: Case) -> Steps:
    """Send a token of our own making."""
    reply: Reply = yield Ask("GET", case.collection(), (("limit", "1"), ("continue", "Zm9yZ2Vk")), read=count_of_items)
    expect(reply.status == _BAD, f"a forged token is answered {reply.status}")


# --- selectors --------------------------------------------------------------------------------------------------------


@check(
    "LIST-LABELS",
    MUST,
    "A label selector selects exactly the objects whose labels match it",
    url=LABELS_PAGE,
    quote="Via a label selector, the client/user can identify a set of objects.",
    on="resource",
    verbs=("list", *OBJECT),
    mode="full",
    needs=("object",),
)
def list_labels(case: Case) -> Steps:
    """Make three objects, two of them with a label, and select by each operator."""
    names: dict[str, str] = {}
    for letter, value in (("a", "one"), ("b", "two"), ("c", None)):
        body = case.object(letter)
        if value:
            body["metadata"]["labels"][MARK] = value
        yield from case.needed(letter)
        made: Reply = yield Ask("POST", case.collection(), body=body)
        need(made.status == 201, f"no object could be created: {made.said()}")  # noqa: PLR2004
        names[letter] = made.get("metadata", "name")
    key, own = case.selector
    for selector, letters in (
        (f"{MARK}=one", "a"),
        (f"{MARK}!=one", "bc"),
        (f"{MARK} in (one,two)", "ab"),
        (f"{MARK} notin (one)", "bc"),
        (MARK, "ab"),
        (f"!{MARK}", "c"),
        (f"{MARK}=one,{MARK}=two", ""),
    ):
        reply: Reply = yield Ask("GET", case.collection(), ((key, f"{own},{selector}"),))
        expect(reply.status == _OK, f"the selector {selector} is answered {reply.said()}")
        wanted = sorted(names[letter] for letter in letters)
        expect(sorted(names_in(reply.body)) == wanted, f"the selector {selector} selects other objects")


def _only(seen: Seen, _: Memory) -> Any:
    items = at(seen.document, "items") or ()
    return {"names": sorted({str(at(item, "metadata", "name")) for item in items})[:5], "count": len(items)}


@check(
    "LIST-FIELDS",
    MUST,
    "A field selector for metadata.name selects exactly the object of that name",
    url=FIELDS_PAGE,
    quote="All resource types support the `metadata.name` and `metadata.namespace` fields.",
    on="resource",
    verbs=("list", *OBJECT),
    mode="full",
    needs=("object",),
)
def list_fields(case: Case) -> Steps:
    """Make two objects and select one by its name."""
    names = []
    for letter in "ab":
        made: Reply = yield from case.created(letter)
        names.append(made.get("metadata", "name"))
    reply: Reply = yield Ask("GET", case.collection(), (("fieldSelector", f"metadata.name={names[0]}"),), read=_only)
    expect(reply.status == _OK, f"the selector is answered {reply.status}")
    expect(reply.get("names") == [names[0]], "metadata.name selects other objects")
    other: Reply = yield Ask("GET", case.collection(), (case.selector, ("fieldSelector", f"metadata.name!={names[0]}")))
    expect(names_in(other.body) == [names[1]], "metadata.name with != selects other objects")


@check(
    "LIST-LABELS-INVALID",
    MUST,
    "A label selector that cannot be parsed is refused as 400",
    url=CONVENTIONS,
    quote="400 StatusBadRequest: Indicates the requested is invalid.",
    on="resource",
    verbs=("list",),
)
def list_labels_invalid(case: Case) -> Steps:
    """Send a selector without a closing bracket."""
    query = (("labelSelector", "a in (b"), ("limit", "1"))
    reply: Reply = yield Ask("GET", case.collection(), query, read=count_of_items)
    expect(reply.status == _BAD, f"it is answered {reply.status}")


@check(
    "LIST-FIELDS-INVALID",
    MUST,
    "A field selector for a field that the kind does not support is refused as 400",
    url=FIELDS_PAGE,
    quote="Using unsupported field selectors produces an error.",
    on="resource",
    verbs=("list",),
)
def list_fields_invalid(case: Case) -> Steps:
    """Select by a field that no kind has."""
    query = (("fieldSelector", "kubeConformance.absent=1"), ("limit", "1"))
    reply: Reply = yield Ask("GET", case.collection(), query, read=count_of_items)
    expect(reply.status == _BAD, f"it is answered {reply.status}")


# --- resource versions ------------------------------------------------------------------------------------------------


@check(
    "LIST-VERSION-ZERO",
    MUST,
    "A list at resourceVersion 0 is answered from any state that the server has",
    url=f"{CONCEPTS}#semantics-for-get-and-list",
    quote="Return data at any resource version. The newest available resource version is preferred, but strong"
    " consistency is not required",
    on="resource",
    verbs=("list",),
)
def list_version_zero(case: Case) -> Steps:
    """Ask for whatever the server has at hand."""
    reply: Reply = yield Ask("GET", case.collection(), (("resourceVersion", "0"), ("limit", "5")), read=_envelope)
    expect(reply.status == _OK, f"it is answered {reply.status}")
    expect(reply.get("items"), "items is no list")


@check(
    "LIST-VERSION-EXACT",
    MUST,
    "A list at an exact resourceVersion shows that state and no later one",
    url=f"{CONCEPTS}#resource-versions",
    quote="Return data at the exact resource version provided. If the provided resourceVersion is unavailable, the"
    " server responds with HTTP 410 Gone.",
    on="resource",
    verbs=("list", *OBJECT),
    mode="full",
    needs=("object",),
)
def list_version_exact(case: Case) -> Steps:
    """Make an object, remember the state, make another one, and ask for the first state again."""
    made: Reply = yield from case.created("a")
    for attempt in range(_TRIES):
        before: Reply = yield Ask("GET", case.collection(), (case.selector,))
        yield from case.created(f"b{attempt}")
        query = (case.selector, ("resourceVersion", version_of(before.body)), ("resourceVersionMatch", "Exact"))
        then: Reply = yield Ask("GET", case.collection(), query)
        if then.status == _GONE:
            continue
        expect(then.status == _OK, f"it is answered {then.said()}")
        expect(version_of(then.body) == version_of(before.body), "the list has another resourceVersion")
        expect(names_in(then.body) == names_in(before.body), "it shows another state")
        expect(made.get("metadata", "name") in names_in(then.body), "an object of that state is missing")
        return
    raise NotEvaluated("the state expired before it could be read again")


@check(
    "LIST-VERSION-NOT-OLDER",
    MUST,
    "A list not older than a resourceVersion shows what was written at it",
    url=f"{CONCEPTS}#semantics-for-get-and-list",
    quote="Return data at least as new as the provided resourceVersion.",
    on="resource",
    verbs=("list", *OBJECT),
    mode="full",
    needs=("object",),
)
def list_version_not_older(case: Case) -> Steps:
    """Make an object and ask for a state that has to hold it."""
    made: Reply = yield from case.created("a")
    version = version_of(made.body)
    query = (case.selector, ("resourceVersion", version), ("resourceVersionMatch", "NotOlderThan"))
    reply: Reply = yield Ask("GET", case.collection(), query)
    expect(reply.status == _OK, f"it is answered {reply.said()}")
    expect(made.get("metadata", "name") in names_in(reply.body), "what was written at that version is missing")


@check(
    "LIST-VERSION-FUTURE",
    MUST,
    "A list not older than a resourceVersion that is not there yet is a 504 with cause ResourceVersionTooLarge",
    url=f"{CONCEPTS}#unavailable-resource-versions",
    quote="wait briefly for the resource version to become available, then timeout with a 504 (Gateway Timeout) … the"
    " kube-apiserver additionally identifies its error responses with a message Too large resource version",
    on="resource",
    verbs=("list",),
)
def list_version_future(case: Case) -> Steps:
    """Ask for a state of the far future."""
    query = (("resourceVersion", _FUTURE), ("resourceVersionMatch", "NotOlderThan"), ("limit", "1"))
    reply: Reply = yield Ask("GET", case.collection(), query, expects=frozenset({504}), slow=True)
    expect(reply.status == 504, f"it is answered {reply.status}")  # noqa: PLR2004  # Gateway Timeout
    causes = [at(cause, "reason") for cause in reply.get("details", "causes") or ()]
    expect("ResourceVersionTooLarge" in causes, "the Status does not name the cause ResourceVersionTooLarge")


@check(
    "LIST-VERSION-INVALID",
    MUST,
    "A resourceVersion that is none, or a match without a version, is refused",
    url=f"{CONCEPTS}#semantics-for-get-and-list",
    quote="Setting the resourceVersionMatch parameter without setting resourceVersion is not valid.",
    on="resource",
    verbs=("list",),
)
def list_version_invalid(case: Case) -> Steps:
    """Ask for a version that is a word, and for a match with nothing."""
    word, alone = yield (
        Ask("GET", case.collection(), (("resourceVersion", "yesterday"), ("limit", "1")), read=count_of_items),
        Ask("GET", case.collection(), (("resourceVersionMatch", "Exact"), ("limit", "1")), read=count_of_items),
    )
    expect(word.status == _BAD, f"a version that is a word is answered {word.status}")
    expect(alone.status in {_BAD, 422}, f"a match without a version is answered {alone.status}")


# --- one object -------------------------------------------------------------------------------------------------------


@check(
    "GET-EQUALS-LIST",
    MUST,
    "An object that is got equals the item of that name in the list",
    url=CONCEPTS,
    quote="When you query the API for a particular type, all items returned by that query are of that type.",
    on="resource",
    verbs=("list", *OBJECT),
    mode="full",
    needs=("object",),
)
def get_equals_list(case: Case) -> Steps:
    """Make an object, and read it both ways; a writer in between is no difference."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    for _ in range(_TRIES):
        got: Reply = yield Ask("GET", case.item(name), status=True)
        listed: Reply = yield Ask("GET", case.collection(), (case.selector,), status=True)
        again: Reply = yield Ask("GET", case.item(name))
        need(got.ok and listed.ok and again.ok, f"the object is answered {got.said()}")
        if version_of(got.body) != version_of(again.body):
            continue
        item = next((each for each in listed.get("items") if at(each, "metadata", "name") == name), None)
        expect(item is not None, "the object is not in the list")
        # In a list kind and apiVersion stand once, at its head.
        head = {key: got.get(key) for key in ("kind", "apiVersion")}
        expect(got.get("kind") == case.resource.kind, f"the object's kind is {got.get('kind')}")
        expect({**head, **(item or {})} == got.body, "the list has another content than the object")
        return
    raise NotEvaluated("the object does not come to rest")


@check(
    "LIST-ALL-NAMESPACES",
    MUST,
    "The list across all namespaces has the objects of each namespace",
    url=CONCEPTS,
    quote="return the collection of all instances of the resource type across all namespaces",
    on="resource",
    verbs=("list", *OBJECT),
    applies=lambda subject: subject.resource is not None and subject.resource.namespaced,
    mode="full",
    needs=("object",),
)
def list_all_namespaces(case: Case) -> Steps:
    """Make an object in one namespace, look for it across all of them, and in another."""
    made: Reply = yield from case.created("a")
    every: Reply = yield Ask("GET", case.collection(""), (case.selector,))
    expect(names_in(every.body) == [made.get("metadata", "name")], "the list across all namespaces lacks the object")
    other: Reply = yield Ask("GET", case.collection("{other}"), (case.selector,))
    expect(other.status == _OK, f"the list of another namespace is answered {other.said()}")
    expect(names_in(other.body) == [], "the object is in the list of another namespace, too")


@check(
    "GET-ABSENT",
    MUST,
    "An object that is not there is a 404 Status with its name and resource",
    url=CONVENTIONS,
    quote="404 StatusNotFound: Indicates that the requested resource does not exist.",
    on="resource",
    verbs=("get",),
)
def get_absent(case: Case) -> Steps:
    """Ask for a name that no object has."""
    reply: Reply = yield Ask("GET", case.item("{absent}"))
    expect(reply.status == _NOT_FOUND, f"the answer is {reply.said() or reply.status}")
    expect(reply.get("kind") == "Status" and reply.reason == "NotFound", f"it is no Status NotFound: {reply.said()}")
    expect(reply.get("details", "name") == "{absent}", "details.name does not name it")
    expect(reply.get("details", "kind"), "details.kind is missing")


@check(
    "HEAD-AS-DOCUMENTED",
    INFO,
    "HEAD is authorised as the read that it stands for, and has no body",
    url=CONVENTIONS,
    quote="405 StatusMethodNotAllowed: Indicates that the action the client attempted to perform on the resource was"
    " not supported by the code.",
    on="resource",
    verbs=("list",),
)
def head(case: Case) -> Steps:
    """Ask for the headers of a list: 405 of a server that has no HEAD, else what a read is answered."""
    reply: Reply = yield Ask(
        "HEAD", case.collection(), (("limit", "1"),), read=lambda seen, _: {"bytes": len(seen.body)}
    )
    expect(reply.status in {_OK, _NOT_ALLOWED}, f"it is answered {reply.status}")
    expect(reply.get("bytes") == 0, "it has a body")


@check(
    "METHOD-NOT-ALLOWED",
    MUST,
    "A method that a path does not have is a 405 Status MethodNotAllowed",
    url=CONVENTIONS,
    quote="API calls that return MethodNotAllowed can never succeed.",
    on="resource",
    verbs=("list",),
    mode="dry-run",
)
def method_not_allowed(case: Case) -> Steps:
    """Replace a whole collection, which nobody can."""
    reply: Reply = yield Ask("PUT", case.collection(), (DRY_RUN,), {})
    expect(reply.status == _NOT_ALLOWED, f"it is answered {reply.said()}")
    expect(reply.get("kind") == "Status" and reply.reason == "MethodNotAllowed", "it is no Status MethodNotAllowed")


# --- other forms ------------------------------------------------------------------------------------------------------


def _table(seen: Seen, _: Memory) -> Any:
    columns, rows = at(seen.document, "columnDefinitions"), at(seen.document, "rows")
    return {
        "kind": at(seen.document, "kind"),
        "apiVersion": at(seen.document, "apiVersion"),
        "named": all(at(each, "name") and at(each, "type") for each in columns or ()),
        "firstColumn": str(at(columns, 0, "name")),
        "rows": rows is None or isinstance(rows, list),
        "cells": all(len(at(row, "cells") or ()) == len(columns or ()) for row in rows or ()),
        "objects": all(at(row, "object", "metadata", "name") for row in rows or ()),
    }


@check(
    "TABLE-LIST",
    MUST,
    "A list as a Table has a cell for each column, and names each row's object",
    url=f"{CONCEPTS}#receiving-resources-as-tables",
    quote="clients may request the Table representation of objects, delegating specific details of printing to the"
    " server",
    on="resource",
    verbs=("list",),
)
def table_list(case: Case) -> Steps:
    """Ask for a list as kubectl prints it."""
    headers = (("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1"),)
    reply: Reply = yield Ask("GET", case.collection(""), (("limit", "5"),), headers=headers, read=_table)
    expect(reply.status == _OK, f"it is answered {reply.status}")
    kind = (reply.get("kind"), reply.get("apiVersion"))
    expect(kind == ("Table", "meta.k8s.io/v1"), f"it is a {kind[1]} {kind[0]}")
    expect(reply.get("named"), "a column has no name or no type")
    expect(reply.get("rows"), "rows is no list")
    expect(reply.get("cells"), "a row has another number of cells than there are columns")
    expect(reply.get("objects"), "a row does not say whose it is")


def _metadata_only(seen: Seen, _: Memory) -> Any:
    document = seen.document
    items = at(document, "items")
    shown = [document] if items is None and at(document, "kind") == "PartialObjectMetadata" else items or []
    return {
        "kind": at(document, "kind"),
        "apiVersion": at(document, "apiVersion"),
        "more": sorted({key for item in shown if isinstance(item, dict) for key in item})[:8],
        "named": all(at(item, "metadata", "name") and at(item, "metadata", "uid") for item in shown),
        "kinds": sorted({str(at(item, "kind")) for item in items or () if at(item, "kind")}),
    }


@check(
    "PARTIAL-LIST",
    MUST,
    "A list as PartialObjectMetadataList has the metadata of each object and nothing else",
    url=f"{_PARTIAL}List",
    quote="PartialObjectMetadataList contains a list of objects containing only their metadata",
    on="resource",
    verbs=("list", "get"),
    applies=lambda subject: subject.has("watch"),
)
def partial_list(case: Case) -> Steps:
    """Ask for a list without contents, of objects and of none."""
    headers = (("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),)
    path, selection = yield from stock(case, 1)
    for query in ((*selection, ("limit", "5")), (("labelSelector", "kube-conformance.io/nothing=selected"),)):
        reply: Reply = yield Ask("GET", path, query, headers=headers, read=_metadata_only)
        expect(reply.status == _OK, f"it is answered {reply.status}")
        kind = (reply.get("kind"), reply.get("apiVersion"))
        expect(kind == ("PartialObjectMetadataList", "meta.k8s.io/v1"), f"it is a {kind[1]} {kind[0]}")
        expect(set(reply.get("more")) <= {"metadata", "kind", "apiVersion"}, f"it has {reply.get('more')}")
        expect(reply.get("named"), "an object has no name or no uid")


@check(
    "PARTIAL-GET",
    MUST,
    "An object as PartialObjectMetadata has its own metadata and nothing else",
    url=_PARTIAL,
    quote="PartialObjectMetadata is a generic representation of any object with ObjectMeta. It allows clients to get"
    " access to a particular ObjectMeta schema without knowing the details of the version.",
    on="resource",
    verbs=OBJECT,
    mode="full",
    needs=("object",),
)
def partial_get(case: Case) -> Steps:
    """Make an object and ask for its metadata alone."""
    made: Reply = yield from case.created("a")
    name = made.get("metadata", "name")
    headers = (("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),)
    reply: Reply = yield Ask("GET", case.item(name), headers=headers)
    expect(reply.status == _OK, f"it is answered {reply.said()}")
    kind = (reply.get("kind"), reply.get("apiVersion"))
    expect(kind == ("PartialObjectMetadata", "meta.k8s.io/v1"), f"it is a {kind[1]} {kind[0]}")
    expect(set(reply.body) == {"kind", "apiVersion", "metadata"}, f"it has {sorted(reply.body)}")
    expect(reply.get("metadata", "uid") == made.get("metadata", "uid"), "its uid is another one")
