"""Mutations written from the documents of the Kubernetes API alone, by somebody who had not seen the checks.

The documents are "Kubernetes API Concepts", "Server-Side Apply", "Dry run" and the API conventions. Which check notices
which stands in `owners.py`, so that nothing in this file had to change when the checks were there. A violation that
no check noticed would have been a hole in the catalogue.
"""

from __future__ import annotations

from typing import Any

from mutations.mutation import (
    Mutation,
    answers,
    asks,
    calls,
    calls_it,
    deaf_to,
    doubles,
    drops,
    each_item,
    hears,
    instead,
    lose,
    put,
    reads_header,
    sends,
    stream,
    swaps,
    without_header,
)

NOT_FOUND, CONFLICT = {404}, {409}

# --- retrieving large results sets in chunks ---

NO_CHUNKS = Mutation(
    "no-chunks",
    "gives the whole collection at once, whatever `limit` says",
    bend=deaf_to("limit", when=calls("list")),
)
FIRST_CHUNK_AGAIN = Mutation(
    "first-chunk-again",
    "answers a `continue` token with the first chunk",
    bend=deaf_to("continue", when=calls("list")),
)
CHUNK_LOSES_ONE = Mutation(
    "chunk-loses-one",
    "leaves the first item of each later chunk out",
    flip=answers(calls("list", when=asks("continue")), lambda it: it | {"items": it["items"][1:]}),
)
ONE_TOO_MANY_REMAIN = Mutation(
    "one-too-many-remain",
    "counts one item more in `remainingItemCount` than there are",
    flip=answers(calls("list"), put("metadata", "remainingItemCount", to=lambda n: n + 1 if n else 1)),
)

# --- collections ---

LIST_WITHOUT_VERSION = Mutation(
    "list-without-version",
    "gives lists without the resourceVersion that a watch could begin at",
    flip=answers(calls("list"), lose("metadata", "resourceVersion")),
)
LIST_OF_ANOTHER_KIND = Mutation(
    "list-of-another-kind",
    "calls every collection just List",
    flip=answers(calls("list"), put("kind", to="List")),
)
ITEMS_ARE_NULL = Mutation(
    "items-are-null",
    "writes an empty collection as null",
    flip=answers(calls("list"), lambda it: it if it.get("items", ()) else it | {"items": None}),
)

# --- watches ---

CHANGES_UNSEEN = Mutation("changes-unseen", "leaves MODIFIED events out", stream=stream(drops("MODIFIED")))
GONE_UNSEEN = Mutation("gone-unseen", "leaves DELETED events out", stream=stream(drops("DELETED")))
ADDED_TWICE = Mutation("added-twice", "tells of each new object twice", stream=stream(doubles("ADDED")))
OUT_OF_ORDER = Mutation("out-of-order", "sends an ADDED event after the next one", stream=stream(swaps("ADDED")))
CHANGED_AS_ADDED = Mutation(
    "changed-as-added", "calls changes of known objects ADDED", stream=stream(calls_it("MODIFIED", "ADDED"))
)
NO_BOOKMARKS = Mutation("no-bookmarks", "never sends a bookmark", stream=stream(drops("BOOKMARK")))
WATCH_FROM_NOW = Mutation(
    "watch-from-now",
    "begins each watch with what is there, whatever resourceVersion it was to begin at",
    bend=deaf_to("resourceVersion", when=calls("watch")),
)

# --- resource versions ---

UNCONDITIONAL_UPDATE = Mutation(
    "unconditional-update",
    "doesn't look at the resourceVersion of an update, so that the last writer wins",
    bend=sends(calls("update"), lose("metadata", "resourceVersion")),
)
FUTURE_IS_NOW = Mutation(
    "future-is-now",
    "answers a read at a resourceVersion that isn't reached yet with what is there",
    bend=deaf_to("resourceVersion", "resourceVersionMatch", when=calls("get", "list")),
)

# --- writing ---

DRY_RUN_CREATES = Mutation(
    "dry-run-creates", "persists what is created with dryRun=All", bend=deaf_to("dryRun", when=calls("create"))
)
DRY_RUN_DELETES = Mutation("dry-run-deletes", "deletes with dryRun=All", bend=deaf_to("dryRun", when=calls("delete")))
STRICT_IS_LAX = Mutation(
    "strict-is-lax",
    "drops unknown fields although fieldValidation=Strict was asked for",
    bend=hears("fieldValidation", "Ignore", when=asks("fieldValidation", "Strict")),
)
WARNS_NOT = Mutation("warns-not", "sends no Warning header for unknown fields", flip=without_header("warning"))
NAME_NOT_GENERATED = Mutation(
    "name-not-generated",
    "takes a generateName as the name",
    bend=sends(
        calls("create", when=lambda call: (call.body or {}).get("metadata", {}).get("generateName") is not None),
        lambda body: body["metadata"].update(name=body["metadata"].pop("generateName").rstrip("-")),
    ),
)
EXISTS_IS_CONFLICT = Mutation(
    "exists-is-conflict",
    "gives the reason Conflict where AlreadyExists is meant",
    flip=answers(calls("create"), put("reason", to="Conflict"), only=CONFLICT),
)
PRECONDITIONS_IGNORED = Mutation(
    "preconditions-ignored",
    "deletes whatever the preconditions of the DeleteOptions say",
    bend=sends(calls("delete"), lose("preconditions")),
)
FINALIZERS_SWALLOWED = Mutation(
    "finalizers-swallowed",
    "doesn't keep finalizers, so that nothing holds a deletion up",
    bend=sends(calls("create", "update", "patch"), lose("metadata", "finalizers")),
)
APPLY_TAKES_ALL = Mutation(
    "apply-takes-all",
    "lets an applier take fields of another manager without force",
    bend=hears("force", "true", when=lambda call: "apply-patch" in call.header("content-type")),
)

# --- absent things, representations ---

MISSING_IS_FINE = Mutation(
    "missing-is-fine",
    "answers 200 with an empty object for one that isn't there",
    flip=instead(
        calls("get"),
        200,
        lambda call: {"kind": "Empty", "apiVersion": "v1", "metadata": {"name": call.name}},
        only=NOT_FOUND,
    ),
)
NO_REASON = Mutation(
    "no-reason",
    "sends no reason with a 404",
    flip=answers(calls("get", "delete", "update", "patch"), lose("reason"), only=NOT_FOUND),
)
ALL_LABELS_MATCH = Mutation(
    "all-labels-match", "doesn't look at labelSelector", bend=deaf_to("labelSelector", when=calls("list", "watch"))
)
ALL_FIELDS_MATCH = Mutation(
    "all-fields-match", "doesn't look at fieldSelector", bend=deaf_to("fieldSelector", when=calls("list", "watch"))
)
NEVER_A_TABLE = Mutation(
    "never-a-table", "answers in plain JSON whatever Accept says", bend=reads_header("accept", "application/json")
)


def _by_time(item: Any) -> None:
    metadata = item.get("metadata")
    if isinstance(metadata, dict) and metadata.get("resourceVersion"):
        metadata["generation"] = int(metadata["resourceVersion"])


GENERATION_ALWAYS_GROWS = Mutation(
    "generation-always-grows",
    "raises `generation` with each write, of labels, too",
    flip=answers(calls("get", "list", "create", "update", "patch"), each_item(_by_time)),
)
NO_UID = Mutation("no-uid", "gives new objects no uid", flip=answers(calls("create", "get"), lose("metadata", "uid")))
NO_AUDIT_ID = Mutation("no-audit-id", "sends no Audit-Id", flip=without_header("audit-id"))
