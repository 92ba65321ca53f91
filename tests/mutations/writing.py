"""Violations of what creating, updating and patching promise."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from mutations.mutation import (
    Mutation,
    answers,
    asks,
    calls,
    deaf_to,
    each_item,
    hears,
    instead,
    lose,
    moved,
    put,
    reads_header,
    sends,
    status,
)

if TYPE_CHECKING:
    from typing import Any

    from mutations.mutation import Call

_MAPS, _DEPLOYMENTS = "v1/configmaps", "apps/v1/deployments"
_HELD = "kube-conformance.io/mutation"
_numbers = count(1)


def _patches(kind: str) -> Any:
    return lambda call: call.verb == "patch" and f"{kind}-patch" in call.header("content-type")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(member) for key, member in value.items() if member is not None}
    return value


# --- creating ---

ANSWER_LACKS_LABELS = Mutation(
    "answer-lacks-labels",
    "answers a creation with less than what is stored",
    (f"CREATE-ECHO|{_MAPS}",),
    flip=answers(calls("create"), lose("metadata", "labels")),
)
DATES_BY_THE_CLIENT = Mutation(
    "dates-by-the-client",
    "gives a new object the creationTimestamp that the client wished for",
    (f"CREATE-METADATA|{_MAPS}",),
    flip=answers(calls("create", "get"), put("metadata", "creationTimestamp", to="2001-01-01T00:00:00Z")),
)
ANOTHER_UID_EACH_TIME = Mutation(
    "another-uid-each-time",
    "gives an object another uid each time it is read",
    (f"CREATE-ECHO|{_MAPS}",),
    flip=answers(calls("get"), put("metadata", "uid", to=lambda _: f"00000000-0000-0000-0000-{next(_numbers):012d}")),
)
CREATED_IS_200 = Mutation(
    "created-is-200",
    "answers a creation with 200",
    (f"CREATE-ECHO|{_MAPS}",),
    flip=answers(calls("create"), lambda it: it, status=200, only={201}),
)
SECOND_REPLACES_FIRST = Mutation(
    "second-replaces-first",
    "answers the creation of an object that is there with 201",
    (f"CREATE-CONFLICT|{_MAPS}",),
    flip=instead(calls("create"), 201, lambda call: call.body, only={409}),
)
IGNORE_WARNS = Mutation(
    "ignore-warns",
    "warns although fieldValidation=Ignore was asked for",
    (f"CREATE-IGNORE|{_MAPS}",),
    bend=hears("fieldValidation", "Warn", when=asks("fieldValidation", "Ignore")),
)
WARN_REFUSES = Mutation(
    "warn-refuses",
    "refuses unknown fields where a warning was asked for",
    (f"CREATE-WARN|{_MAPS}",),
    bend=hears("fieldValidation", "Strict", when=asks("fieldValidation", "Warn")),
)
STRICT_NAMES_NO_FIELD = Mutation(
    "strict-names-no-field",
    "refuses an unknown field without a word on which",
    (f"CREATE-STRICT|{_MAPS}", f"CREATE-DUPLICATE-FIELD|{_MAPS}"),
    flip=answers(calls("create", when=asks("fieldValidation", "Strict")), put("message", to="invalid"), only={400}),
)
UNKNOWN_FIELDS_KEPT = Mutation(
    "unknown-fields-kept",
    "keeps fields that the schema does not know",
    (f"CREATE-WARN|{_MAPS}", f"CREATE-IGNORE|{_MAPS}"),
    flip=answers(calls("create"), put("kubeConformanceUnknown", to="yes")),
)
MALFORMED_BREAKS_IT = Mutation(
    "malformed-breaks-it",
    "answers a body that is no JSON with 500",
    (f"CREATE-MALFORMED|{_MAPS}", f"PATCH-MALFORMED|{_MAPS}"),
    flip=instead(
        calls("create", "patch", when=lambda call: call.body is None), 500, status("InternalError", 500), only={400}
    ),
)
MEDIA_TYPE_GUESSED = Mutation(
    "media-type-guessed",
    "reads a body as JSON whatever its Content-Type says",
    (f"CREATE-MEDIA-TYPE|{_MAPS}",),
    bend=reads_header("content-type", "application/json", when=calls("create")),
)
INVALID_WITHOUT_CAUSE = Mutation(
    "invalid-without-cause",
    "does not say which field of an object is invalid",
    (f"CREATE-NAME-INVALID|{_MAPS}", "UPDATE-IMMUTABLE|batch/v1/jobs"),
    flip=answers(calls("create", "patch"), lose("details", "causes"), only={422}),
)
INVALID_WITHOUT_REASON = Mutation(
    "invalid-without-reason",
    "gives another reason than Invalid for an object that is",
    (f"CREATE-NAME-INVALID|{_MAPS}",),
    flip=answers(calls("create", "patch"), put("reason", to="BadRequest"), only={422}),
)
NAMES_THE_NAMELESS = Mutation(
    "names-the-nameless",
    "gives an object without a name one",
    (f"CREATE-NAME-MISSING|{_MAPS}",),
    bend=sends(
        calls("create", when=lambda call: not {"name", "generateName"} & set((call.body or {}).get("metadata", {}))),
        put("metadata", "name", to="kc-nameless"),
    ),
)
ABSENT_NAMESPACE_FORBIDDEN = Mutation(
    "absent-namespace-forbidden",
    "says that a namespace that isn't there is forbidden",
    (f"CREATE-NAMESPACE-ABSENT|{_MAPS}",),
    flip=instead(calls("create"), 403, status("Forbidden", 403), only={404}),
)
TERMINATING_WITHOUT_CAUSE = Mutation(
    "terminating-without-cause",
    "does not say that a namespace is being deleted when it refuses an object",
    ("CREATE-NAMESPACE-TERMINATING|server",),
    flip=answers(calls("create"), lose("details", "causes"), only={403}),
)
TOO_LARGE_BREAKS_IT = Mutation(
    "too-large-breaks-it",
    "answers a body that is too large with 500",
    (f"CREATE-TOO-LARGE|{_MAPS}",),
    flip=instead(calls("create"), 500, status("InternalError", 500), only={413, 422}),
)
KIND_GUESSED = Mutation(
    "kind-guessed",
    "takes an object of any kind for one of the path's",
    (f"CREATE-WRONG-KIND|{_MAPS}",),
    bend=sends(calls("create"), lambda body: body | {"kind": "ConfigMap", "apiVersion": "v1"}),
)
NAMESPACE_GUESSED = Mutation(
    "namespace-guessed",
    "does not look at the namespace in a body",
    (f"CREATE-WRONG-NAMESPACE|{_MAPS}", f"UPDATE-NAMESPACE|{_MAPS}"),
    bend=sends(calls("create", "update"), lose("metadata", "namespace")),
)
ONE_NAME_FOR_ALL = Mutation(
    "one-name-for-all",
    "generates the same name for every object",
    (f"CREATE-GENERATE-NAME|{_MAPS}",),
    bend=sends(
        calls("create", when=lambda call: "generateName" in (call.body or {}).get("metadata", {})),
        lambda body: body["metadata"].update(name=body["metadata"].pop("generateName") + "00000"),
    ),
)

# --- updating ---

UPDATES_LOST = Mutation(
    "updates-lost",
    "answers an update as if it were stored",
    (f"UPDATE-WRITES|{_MAPS}",),
    bend=hears("dryRun", "All", when=calls("update")),
)
UPDATE_KEEPS_VERSION = Mutation(
    "update-keeps-version",
    "answers an update with the resourceVersion that was there before",
    (f"UPDATE-WRITES|{_MAPS}",),
    flip=lambda call, answered: answers(
        calls("update"),
        put("metadata", "resourceVersion", to=(call.body or {}).get("metadata", {}).get("resourceVersion")),
    )(call, answered),
)
PATCH_KEEPS_VERSION = Mutation(
    "patch-keeps-version",
    "keeps the resourceVersion when an object is patched",
    (f"PATCH-MERGE|{_MAPS}",),
    flip=answers(calls("create", "patch"), put("metadata", "resourceVersion", to="1")),
)
NAME_OF_THE_PATH = Mutation(
    "name-of-the-path",
    "does not look at the name in the body of an update",
    (f"UPDATE-NAME|{_MAPS}",),
    flip=instead(calls("update"), 200, lambda call: call.body, only={400}),
)
UID_NOT_LOOKED_AT = Mutation(
    "uid-not-looked-at",
    "updates an object whatever uid the client means",
    (f"UPDATE-UID|{_MAPS}",),
    bend=sends(calls("update"), lose("metadata", "uid")),
)
DRY_RUN_UPDATES = Mutation(
    "dry-run-updates",
    "stores an update with dryRun=All",
    (f"UPDATE-DRY-RUN|{_MAPS}",),
    bend=deaf_to("dryRun", when=calls("update")),
)
UPDATE_OF_NOTHING = Mutation(
    "update-of-nothing",
    "answers 200 to the update of an object that isn't there",
    (f"UPDATE-ABSENT|{_MAPS}",),
    flip=instead(calls("update"), 200, lambda call: call.body, only={404}),
)
IMMUTABLE_PASSED_OVER = Mutation(
    "immutable-passed-over",
    "answers the change of an immutable field with 200 and leaves it out",
    ("UPDATE-IMMUTABLE|batch/v1/jobs",),
    bend=sends(calls("patch"), lambda _: {}),
)
GENERATION_STANDS_STILL = Mutation(
    "generation-stands-still",
    "keeps generation at 1",
    (f"GENERATION-SPEC|{_DEPLOYMENTS}",),
    flip=answers(calls("get", "list", "create", "update", "patch"), each_item(put("metadata", "generation", to=1))),
)
ALWAYS_WRITES = Mutation(
    "always-writes",
    "writes an object anew when nothing has changed",
    (f"UPDATE-UNCHANGED|{_MAPS}",),
    bend=sends(calls("update"), put("metadata", "annotations", to=lambda _: {_HELD: str(next(_numbers))})),
)
CONFLICT_WITHOUT_REASON = Mutation(
    "conflict-without-reason",
    "gives the reason AlreadyExists where Conflict is meant",
    (f"UPDATE-STALE|{_MAPS}",),
    flip=answers(calls("update"), put("reason", to="AlreadyExists"), only={409}),
)

# --- patching ---

PATCHES_LOST = Mutation(
    "patches-lost",
    "answers a patch as if it were stored",
    (f"CHANGE-STORED|{_MAPS}", f"PATCH-MERGE|{_MAPS}", f"PATCH-JSON|{_MAPS}", f"PATCH-STRATEGIC|{_MAPS}"),
    bend=hears("dryRun", "All", when=calls("patch", sub="")),
)
NULL_KEEPS = Mutation(
    "null-keeps",
    "does not remove what a merge patch sets to null",
    (f"PATCH-MERGE|{_MAPS}",),
    bend=sends(_patches("merge"), _without_nulls),
)
TEST_NOT_LOOKED_AT = Mutation(
    "test-not-looked-at",
    "passes over the test operations of a JSON patch",
    (f"PATCH-JSON|{_MAPS}",),
    bend=sends(_patches("json"), lambda body: [each for each in body if each["op"] != "test"]),
)
STRATEGIC_UNKNOWN = Mutation(
    "strategic-unknown",
    "refuses strategic merge patches of a built-in kind",
    (f"PATCH-STRATEGIC|{_MAPS}",),
    flip=instead(_patches("strategic-merge"), 415, status("UnsupportedMediaType", 415), only={200}),
)
DRY_RUN_PATCHES = Mutation(
    "dry-run-patches",
    "stores a patch with dryRun=All",
    (f"PATCH-DRY-RUN|{_MAPS}",),
    bend=deaf_to("dryRun", when=calls("patch", sub="")),
)
PATCH_WITHOUT_VERSION = Mutation(
    "patch-without-version",
    "does not look at the resourceVersion in a patch",
    (f"PATCH-STALE|{_MAPS}",),
    bend=sends(_patches("merge"), lose("metadata", "resourceVersion")),
)
PATCH_OF_NOTHING = Mutation(
    "patch-of-nothing",
    "answers 200 to a patch of an object that isn't there",
    (f"PATCH-ABSENT|{_MAPS}",),
    flip=instead(calls("patch"), 200, lambda call: call.body, only={404}),
)
ANY_PATCH_IS_A_MERGE = Mutation(
    "any-patch-is-a-merge",
    "takes a patch of any media type for a merge patch",
    (f"PATCH-MEDIA-TYPE|{_MAPS}",),
    bend=reads_header("content-type", "application/merge-patch+json", when=calls("patch")),
)


# --- applying ---


def _applies(call: Call) -> bool:
    return "apply-patch" in call.header("content-type")


NOBODY_MANAGES = Mutation(
    "nobody-manages",
    "keeps no managedFields",
    (f"MANAGED-FIELDS|{_MAPS}", f"APPLY-CREATE|{_MAPS}", f"APPLY-SHARED|{_MAPS}"),
    flip=answers(calls("get", "create", "update", "patch"), lose("metadata", "managedFields")),
)
MANAGERS_BY_OTHER_WORDS = Mutation(
    "managers-by-other-words",
    "writes of an operation Create in managedFields",
    (f"MANAGED-FIELDS|{_MAPS}",),
    flip=answers(
        calls("create"),
        put("metadata", "managedFields", to=lambda held: [each | {"operation": "Create"} for each in held or ()]),
    ),
)
APPLIES_LOST = Mutation(
    "applies-lost",
    "answers an apply as if it were stored",
    (f"APPLY-UPDATE|{_MAPS}",),
    bend=hears("dryRun", "All", when=_applies),
)
FORCE_NOT_LOOKED_AT = Mutation(
    "force-not-looked-at",
    "refuses to take a field over by force",
    (f"APPLY-FORCE|{_MAPS}",),
    bend=deaf_to("force", when=_applies),
)
APPLIER_FORGOTTEN = Mutation(
    "applier-forgotten",
    "does not know an applier again, so that nothing that it gives up is removed",
    (f"APPLY-GIVE-UP|{_MAPS}", f"APPLY-SHARED|{_MAPS}"),
    bend=moved(_applies, values=lambda name, value: f"{value}-{next(_numbers)}" if name == "fieldManager" else value),
)
ANYBODY_APPLIES = Mutation(
    "anybody-applies",
    "lets a manager apply who does not say who it is",
    (f"APPLY-MANAGER|{_MAPS}",),
    bend=lambda call: None if call.says("fieldManager") else hears("fieldManager", "somebody", when=_applies)(call),
)
DRY_RUN_APPLIES = Mutation(
    "dry-run-applies",
    "stores an apply with dryRun=All",
    (f"APPLY-DRY-RUN|{_MAPS}",),
    bend=deaf_to("dryRun", when=_applies),
)
CONFLICT_WITHOUT_CAUSES = Mutation(
    "conflict-without-causes",
    "does not say which manager has a field that another one applies",
    (f"APPLY-CONFLICT|{_MAPS}",),
    flip=answers(_applies, lose("details", "causes"), only={409}),
)
