"""What watching promises: every change, once, in order, from the state that a list showed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.checks import MUST, SHOULD, check
from conformance.checks.asking import (
    CONCEPTS,
    LABELS_PAGE,
    MARK,
    OBJECT,
    PARAMETERS,
    label_patch,
    mark_of,
    merge,
    version_of,
)
from conformance.checks.delete import cleaned_up, delete
from conformance.scripts import Ask, NotEvaluated, Reply, at, expect, need

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.scripts import Case, Memory, Seen, Steps

_OK, _BAD, _GONE = 200, 400, 410
_WATCHED = (*OBJECT, "list", "watch", "patch")
_TIMEOUT = ("timeoutSeconds", "50")
_PATIENCE = 45.0  # seconds: nobody waits so long, but for a machine that is very busy
# Of kinds that no cache holds, events above all, a bookmark comes with the store's own notice of progress: late on a
# busy server, and never while something changes in what is watched. Of a name that nothing has nothing changes.
_QUIET = ("fieldSelector", "metadata.name=kube-conformance-nothing")
_CHANGES = f"{CONCEPTS}#efficient-detection-of-changes"
_TRIES = 3
Events = list[Any]


def until(kind: str, times: int = 1) -> Callable[[Events], bool]:
    """End a watch after events of a kind."""
    return lambda events: sum(at(event, "type") == kind for event in events) >= times


def after(count: int) -> Callable[[Events], bool]:
    """End a watch after so many events."""
    return lambda events: len(events) >= count


def follow(case: Case, *query: tuple[str, str], ends: Callable[[Events], bool], **how: Any) -> Ask:
    """Watch the collection of the script's resource."""
    asked = (("watch", "true"), *query)
    if not any(name == "timeoutSeconds" for name, _ in query):
        asked = (*asked, _TIMEOUT)
    return Ask("GET", case.collection(), asked, ends=ends, seconds=how.pop("seconds", _PATIENCE), **how)


def told(reply: Reply) -> list[tuple[Any, str, str]]:
    """Give type, name and resourceVersion of each event."""
    return [
        (at(event, "type"), str(at(event, "object", "metadata", "name")), version_of(at(event, "object")))
        for event in reply.events
    ]


def _refused(reply: Reply) -> bool:
    """Whether a watch says that its start is too far in the past, by its status or by an ERROR event."""
    return reply.status == _GONE or any(at(event, "object", "code") == _GONE for event in reply.events)


@check(
    "WATCH-ORDER",
    MUST,
    "A watch from a list's resourceVersion tells creation, changes and deletion once each and in order",
    url=_CHANGES,
    quote="These changes itemize the outcome of operations (such as create, delete, and update) that occurred after"
    " the resourceVersion you specified as a parameter to the watch request.",
    on="resource",
    verbs=_WATCHED,
    mode="full",
    needs=("object",),
)
def watch_order(case: Case) -> Steps:
    """List, then make, change twice and delete an object, and let the watch tell it."""
    emptied_first = case.subject.id == "v1/namespaces"  # by a controller, which takes its time
    for attempt in range(_TRIES):
        listed: Reply = yield Ask("GET", case.collection(), (case.selector,))
        need(listed.ok, f"the list is answered {listed.said()}")
        letter = f"a{attempt}"
        made: Reply = yield from case.created(letter, finalizers=["kube-conformance.io/hold"])
        name = made.get("metadata", "name")
        versions = [("ADDED", version_of(made.body))]
        for value in ("one", "two"):
            reply: Reply = yield merge(case, name, label_patch(value))
            need(reply.ok, f"a change is answered {reply.said()}")
            versions.append(("MODIFIED", version_of(reply.body)))
        if not emptied_first:
            going: Reply = yield delete(case, name)
            need(going.ok, f"the deletion is answered {going.said()}")
            yield from cleaned_up(case, going)
            gone: Reply = yield merge(case, name, {"metadata": {"finalizers": None}})
            need(gone.ok, f"the removal of its finalizer is answered {gone.said()}")
        marker: Reply = yield from case.created(f"z{attempt}")
        last = marker.get("metadata", "name")

        def is_whole(events: Events) -> bool:
            added = {str(at(event, "object", "metadata", "uid")) for event in events if at(event, "type") == "ADDED"}
            return len(added) > 1 or any(at(event, "type") == "ERROR" for event in events)

        start = ("resourceVersion", version_of(listed.body))
        watched: Reply = yield follow(case, case.selector, start, ends=is_whole)
        if _refused(watched) or (watched.ended == "server" and attempt < _TRIES - 1):
            continue  # a server may end a watch whose client it finds too slow
        expect(watched.status == _OK, f"the watch is answered {watched.said()}")
        expect(watched.ended == "", f"the watch ended ({watched.ended}) before it had told everything")
        events = told(watched)
        mine = [event for event in events if event[1] == name]
        expect([kind for kind, _, _ in mine][:1] == ["ADDED"], "the creation is not told first")
        held = [(kind, version) for kind, _, version in mine]
        for wanted in versions:
            expect(wanted in held, f"{wanted[0]} is not told with the version that was written")
        told_versions = [version for _, version in held]
        expect(len(set(told_versions)) == len(told_versions), "a state is told twice")
        places = [held.index(wanted) for wanted in versions]
        expect(places == sorted(places), "the changes are told in another order than they happened")
        kinds = [kind for kind, _ in held]
        if not emptied_first:
            expect(kinds.count("DELETED") == 1 and kinds[-1] == "DELETED", "the deletion is not told once and last")
        expect(kinds.count("ADDED") == 1, "the creation is told twice")
        order = [event[1] for event in events if event[0] == "ADDED"]
        expect(order == [name, last], "objects are told in another order than they were made")
        return
    raise NotEvaluated("the server no longer knew the list's resourceVersion")


@check(
    "WATCH-OBJECT",
    MUST,
    "Events carry the whole object as it can be read",
    url=_CHANGES,
    quote="receive notifications of any API operations (such as create, delete, patch or update) … Each change"
    " notification is a JSON document.",
    on="resource",
    verbs=_WATCHED,
    mode="full",
    needs=("object",),
)
def watch_object(case: Case) -> Steps:
    """Make an object while a watch is open, and hold the event against the answer."""
    for attempt in range(_TRIES):
        listed: Reply = yield Ask("GET", case.collection(), (case.selector,))
        need(listed.ok, f"the list is answered {listed.said()}")
        letter = f"a{attempt}"
        yield from case.needed(letter)
        start = ("resourceVersion", version_of(listed.body))
        watched, made = yield (
            follow(case, case.selector, start, ends=lambda events: any(at(e, "type") for e in events)),
            Ask("POST", case.collection(), body=case.object(letter)),
        )
        need(made.status == 201, f"no object could be created: {made.said()}")  # noqa: PLR2004  # Created
        if _refused(watched):
            continue
        expect(watched.status == _OK, f"the watch is answered {watched.said()}")
        expect(watched.events, "no event tells the creation")
        event = watched.events[0]
        expect(at(event, "type") == "ADDED", f"the first event is {at(event, 'type')}")
        expect(at(event, "object", "kind") == case.resource.kind, "the object's kind is missing or another")
        expect(version_of(at(event, "object")) == version_of(made.body), "it has another resourceVersion")
        ours = {key: value for key, value in made.body.items() if key != "status"}
        shown = {key: value for key, value in at(event, "object").items() if key != "status"}
        expect(shown == ours, "it has another content than the answer of the creation")
        return
    raise NotEvaluated("the server no longer knew the list's resourceVersion")


@check(
    "WATCH-INITIAL",
    MUST,
    "A watch without a resourceVersion begins with what is there, as ADDED",
    url=f"{CONCEPTS}#semantics-for-watch",
    quote='To establish initial state, the watch begins with synthetic "Added" events of all resources instances that'
    " exist at the starting resource version.",
    on="resource",
    verbs=_WATCHED,
    mode="full",
    needs=("object",),
)
def watch_initial(case: Case) -> Steps:
    """Make two objects and watch from nowhere."""
    names = []
    for letter in "ab":
        made: Reply = yield from case.created(letter)
        names.append(made.get("metadata", "name"))
    watched: Reply = yield follow(case, case.selector, ends=after(2))
    expect(watched.status == _OK, f"it is answered {watched.said()}")
    events = told(watched)[:2]
    expect([kind for kind, _, _ in events] == ["ADDED", "ADDED"], "it does not begin with what is there")
    expect(sorted(name for _, name, _ in events) == sorted(names), "it tells other objects than are there")


@check(
    "WATCH-SELECTOR",
    MUST,
    "For a watch with a selector a change into it is ADDED, and one out of it DELETED",
    url=LABELS_PAGE,
    quote="Both label selector styles can be used to list or watch resources via a REST client.",
    on="resource",
    verbs=_WATCHED,
    mode="full",
    needs=("object",),
)
def watch_selector(case: Case) -> Steps:
    """Change an object into a selection and out of it, beside one that never was in it."""
    for attempt in range(_TRIES):
        listed: Reply = yield Ask("GET", case.collection(), (case.selector,))
        need(listed.ok, f"the list is answered {listed.said()}")
        made: Reply = yield from case.created(f"a{attempt}")
        yield from case.created(f"b{attempt}")
        name = made.get("metadata", "name")
        for value in ("in", "out", "in"):
            reply: Reply = yield merge(case, name, label_patch(value))
            need(reply.ok, f"a change is answered {reply.said()}")
        key, own = case.selector
        start = ("resourceVersion", version_of(listed.body))
        watched: Reply = yield follow(case, (key, f"{own},{MARK}=in"), start, ends=until("ADDED", 2))
        if _refused(watched) or (watched.ended == "server" and attempt < _TRIES - 1):
            continue
        expect(watched.status == _OK, f"it is answered {watched.said()}")
        # Where controllers run, one may write to an object while it is selected: a finalizer, a condition.
        changed = [at(event, "object") for event in watched.events if at(event, "type") == "MODIFIED"]
        expect(all(mark_of(each) == "in" for each in changed), "it tells of a change to what is not selected")
        events = [(kind, of) for kind, of, _ in told(watched) if kind != "MODIFIED"]
        wanted = [("ADDED", name), ("DELETED", name), ("ADDED", name)]
        expect(events == wanted, f"it tells {', '.join(str(kind) for kind, _ in events) or 'nothing'}")
        return
    raise NotEvaluated("the server no longer knew the list's resourceVersion")


@check(
    "WATCH-FIELDS",
    MUST,
    "A watch with a field selector for a name tells of that object only",
    url="https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/",
    quote="All resource types support the `metadata.name` and `metadata.namespace` fields.",
    on="resource",
    verbs=_WATCHED,
    mode="full",
    needs=("object",),
)
def watch_fields(case: Case) -> Steps:
    """Make two objects, and watch one of them by name."""
    yield from case.created("a")
    made: Reply = yield from case.created("b")
    name = made.get("metadata", "name")
    watched: Reply = yield follow(case, ("fieldSelector", f"metadata.name={name}"), ends=after(1))
    expect(watched.status == _OK, f"it is answered {watched.said()}")
    expect([of for _, of, _ in told(watched)] == [name], "it tells of another object")


@check(
    "WATCH-LIST",
    MUST,
    "A streaming list tells what is there and ends it with a bookmark that says so",
    url=f"{PARAMETERS}#sendInitialEvents",
    quote="In that case, the watch stream will begin with synthetic events to produce the current state of objects in"
    ' the collection. Once all such events have been sent, a synthetic "Bookmark" event will be sent.',
    on="resource",
    verbs=_WATCHED,
    mode="full",
    needs=("object",),
)
def watch_list(case: Case) -> Steps:
    """Make two objects and have the list as a stream."""
    names = []
    for letter in "ab":
        made: Reply = yield from case.created(letter)
        names.append(made.get("metadata", "name"))
    query = (
        ("sendInitialEvents", "true"),
        ("resourceVersionMatch", "NotOlderThan"),
        ("allowWatchBookmarks", "true"),
    )
    watched: Reply = yield follow(case, case.selector, *query, ends=until("BOOKMARK"))
    if watched.status in {_BAD, 422} and "sendInitialEvents" in watched.message:
        return  # forbidden where the feature is off
    expect(watched.status == _OK, f"it is answered {watched.said()}")
    if watched.ended:
        # See _QUIET: once more, of an object beside which nothing changes.
        del names[1:]
        one = ("fieldSelector", f"metadata.name={names[0]}")
        watched = yield follow(case, one, *query, ends=until("BOOKMARK"))
        expect(watched.ended == "", "no bookmark ends the list")
    added = sorted(of for kind, of, _ in told(watched) if kind == "ADDED")
    expect(added == sorted(names), "it tells other objects")
    mark = watched.events[-1]
    expect(at(mark, "type") == "BOOKMARK", f"it ends with {at(mark, 'type')}")
    said = at(mark, "object", "metadata", "annotations", "k8s.io/initial-events-end")
    expect(said == "true", "the bookmark does not bear the annotation k8s.io/initial-events-end")
    expect(version_of(at(mark, "object")), "the bookmark has no resourceVersion")


@check(
    "WATCH-BOOKMARK",
    SHOULD,
    "A bookmark is an object of the kind with nothing but its resourceVersion",
    url=f"{CONCEPTS}#watch-bookmarks",
    quote="The document representing the BOOKMARK event is of the type requested by the request, but only includes a"
    " .metadata.resourceVersion field.",
    on="resource",
    verbs=("list", "watch", "get"),
)
def watch_bookmark(case: Case) -> Steps:
    """Read the stream of a list up to its bookmark, and look at that alone."""
    query = (
        ("sendInitialEvents", "true"),
        ("resourceVersionMatch", "NotOlderThan"),
        ("allowWatchBookmarks", "true"),
    )
    reply: Reply = yield follow(case, _QUIET, *query, ends=until("BOOKMARK"), read=_bookmark)
    if reply.status in {_BAD, 422}:
        return  # forbidden where the feature is off
    expect(reply.status == _OK, f"it is answered {reply.status}")
    expect(reply.get("there"), "no bookmark came")
    expect(reply.get("kind") == case.resource.kind, f"its kind is {reply.get('kind')}")
    expect(reply.get("version"), "it has no resourceVersion")
    expect(not reply.get("name"), "it has a name, as if it were an object")


def _bookmark(seen: Seen, _: Memory) -> Any:
    found = [at(event, "object") for event in seen.document if at(event, "type") == "BOOKMARK"]
    mark = found[0] if found else None
    return {
        "there": bool(found),
        "kind": at(mark, "kind"),
        "version": bool(at(mark, "metadata", "resourceVersion")),
        "name": bool(at(mark, "metadata", "name")),
    }


@check(
    "WATCH-TIMEOUT",
    MUST,
    "A watch with timeoutSeconds is ended by the server when they are over",
    url="https://kubernetes.io/docs/reference/kubernetes-api/common-parameters/common-parameters/#timeoutSeconds",
    quote="Timeout for the list/watch call. This limits the duration of the call, regardless of any activity or"
    " inactivity.",
    on="resource",
    verbs=("watch",),
)
def watch_timeout(case: Case) -> Steps:
    """Watch for a second what never comes."""
    nothing = ("labelSelector", "kube-conformance.io/nothing=selected")
    watched: Reply = yield follow(case, nothing, ("timeoutSeconds", "1"), ends=lambda _: False)
    expect(watched.status == _OK, f"it is answered {watched.said()}")
    expect(watched.ended == "server", "the server lets it go on")
    expect(not watched.events, "it tells of objects that were not selected")


@check(
    "WATCH-VERSION-OLD",
    MUST,
    "A watch from long ago is served whole, or refused as 410",
    url=_CHANGES,
    quote="When the requested watch operations fail because the historical version of that resource is not available,"
    " clients must handle the case by recognizing the status code 410 Gone",
    on="resource",
    verbs=_WATCHED,
    mode="full",
    needs=("object",),
)
def watch_version_old(case: Case) -> Steps:
    """Make an object and watch from the first state there ever was."""
    yield from case.created("a")
    watched: Reply = yield follow(
        case,
        case.selector,
        ("resourceVersion", "1"),
        ends=lambda events: any(at(e, "type") for e in events),
        read=_whole_or_refused,
    )
    expect(watched.status in {_OK, _GONE}, f"it is answered {watched.status}")
    expect(watched.get("right"), "it neither tells the object's creation nor says that the start is gone")


def _whole_or_refused(seen: Seen, _: Memory) -> Any:
    """Read whether it is one or the other: which of both depends on how long the server has been there."""
    first = at(seen.document, 0)
    refused = seen.status == _GONE or (at(first, "type") == "ERROR" and at(first, "object", "code") == _GONE)
    return {"right": refused or at(first, "type") == "ADDED"}
