"""Violations of what watching promises."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from conformance.checks.asking import MARK
from mutations.mutation import (
    Mutation,
    asks,
    calls,
    calls_it,
    drops,
    hears,
    instead,
    lose,
    put,
    status,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mutations.mutation import Edit, Events

_MAPS = "v1/configmaps"


def _edited(edit: Edit, kind: str = "") -> Callable[[], Events]:
    def fresh() -> Events:
        def events(event: dict[str, object]) -> list[object]:
            if kind in {"", event["type"]}:
                edit(event["object"])
            return [event]

        return events

    return fresh


def _change_first(event: dict[str, Any]) -> list[object]:
    if event["type"] != "DELETED":
        return [event]
    changed = deepcopy(event) | {"type": "MODIFIED"}
    put("metadata", "labels", MARK, to="out")(changed["object"])
    return [changed, event]


NEW_UNSEEN = Mutation(
    "new-unseen",
    "leaves ADDED events out",
    (f"WATCH-ORDER|{_MAPS}", f"WATCH-INITIAL|{_MAPS}", f"WATCH-LIST|{_MAPS}"),
    stream=stream(drops("ADDED")),
)
EVENTS_LACK_DATES = Mutation(
    "events-lack-dates",
    "sends objects without their creationTimestamp in events",
    (f"WATCH-OBJECT|{_MAPS}",),
    stream=stream(_edited(lose("metadata", "creationTimestamp"))),
)
EVENTS_WITHOUT_VERSION = Mutation(
    "events-without-version",
    "sends objects without their resourceVersion in events",
    (f"WATCH-OBJECT|{_MAPS}", f"WATCH-ORDER|{_MAPS}"),
    stream=stream(_edited(lose("metadata", "resourceVersion"))),
)
OUT_OF_SELECTION_IS_CHANGED = Mutation(
    "out-of-selection-is-changed",
    "calls it MODIFIED when an object is selected no longer",
    (f"WATCH-SELECTOR|{_MAPS}",),
    stream=stream(calls_it("DELETED", "MODIFIED")),
)
CHANGE_BEYOND_SELECTION = Mutation(
    "change-beyond-selection",
    "tells of the change that takes an object out of the selection, before it calls it DELETED",
    (f"WATCH-SELECTOR|{_MAPS}",),
    stream=stream(lambda: _change_first),
)
FIRST_IS_MODIFIED = Mutation(
    "first-is-modified",
    "begins a watch with what is there, as MODIFIED",
    (f"WATCH-INITIAL|{_MAPS}",),
    stream=stream(calls_it("ADDED", "MODIFIED")),
)
BOOKMARK_SAYS_NOTHING = Mutation(
    "bookmark-says-nothing",
    "does not say in the bookmark that the list has ended",
    (f"WATCH-LIST|{_MAPS}",),
    stream=stream(_edited(lose("metadata", "annotations"), "BOOKMARK")),
)
BOOKMARK_HAS_A_NAME = Mutation(
    "bookmark-has-a-name",
    "sends a bookmark as if it were an object",
    (f"WATCH-BOOKMARK|{_MAPS}",),
    stream=stream(_edited(put("metadata", "name", to="bookmark"), "BOOKMARK")),
)
WATCH_WITHOUT_END = Mutation(
    "watch-without-end",
    "lets a watch go on when its time is over",
    (f"WATCH-TIMEOUT|{_MAPS}",),
    bend=hears("timeoutSeconds", "60", when=calls("watch")),
)
LONG_AGO_IS_A_MISTAKE = Mutation(
    "long-ago-is-a-mistake",
    "refuses a watch from long ago as 400",
    (f"WATCH-VERSION-OLD|{_MAPS}",),
    flip=instead(calls("watch", when=asks("resourceVersion", "1")), 400, status("BadRequest", 400), only={200, 410}),
)
