"""Violations of what deleting promises, and of what status and scale do."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from mutations.mutation import (
    Mutation,
    answers,
    calls,
    deaf_to,
    instead,
    lose,
    moved,
    put,
    sends,
    status,
)

if TYPE_CHECKING:
    from typing import Any

    from mutations.mutation import Call

_MAPS, _DEPLOYMENTS = "v1/configmaps", "apps/v1/deployments"
_STATUS, _SCALE = f"{_DEPLOYMENTS}/status", f"{_DEPLOYMENTS}/scale"

DELETION_NOT_DONE = Mutation(
    "deletion-not-done",
    "answers a deletion and keeps the object",
    (f"DELETE-REMOVES|{_MAPS}",),
    bend=sends(calls("delete"), put("dryRun", to=["All"])),
)
DELETION_OF_NOTHING = Mutation(
    "deletion-of-nothing",
    "answers 200 to the deletion of an object that isn't there",
    (f"DELETE-ABSENT|{_MAPS}",),
    flip=instead(calls("delete"), 200, status("", 200), only={404}),
)
DRY_RUN_OF_A_BODY = Mutation(
    "dry-run-of-a-body",
    "deletes with dryRun=All, in the query or in the options",
    (f"DELETE-DRY-RUN|{_MAPS}",),
    bend=lambda call: sends(calls("delete"), lose("dryRun"))(
        _again(call, deaf_to("dryRun", when=calls("delete"))(call))
    ),
)


def _again(call: Call, bent: Any) -> Call:
    return call if bent is None else type(call)(bent)


GOING_GETS_FINALIZERS = Mutation(
    "going-gets-finalizers",
    "takes a new finalizer of an object that is going",
    (f"DELETE-FINALIZER-LATE|{_MAPS}",),
    flip=instead(calls("patch"), 200, lambda call: call.body, only={403, 409, 422}),
)
NOTHING_SAYS_IT_GOES = Mutation(
    "nothing-says-it-goes",
    "sets no deletionTimestamp on an object that a finalizer holds",
    (f"DELETE-FINALIZER|{_MAPS}",),
    flip=answers(calls("get", "delete"), lose("metadata", "deletionTimestamp")),
)
ALWAYS_IN_THE_BACKGROUND = Mutation(
    "always-in-the-background",
    "does not look at the propagation policy",
    (f"DELETE-FOREGROUND|{_MAPS}", f"DELETE-ORPHAN|{_MAPS}"),
    bend=sends(calls("delete"), lose("propagationPolicy")),
)
ANY_POLICY = Mutation(
    "any-policy",
    "takes any word for a propagation policy",
    (f"DELETE-POLICY-INVALID|{_MAPS}",),
    bend=deaf_to("propagationPolicy", when=calls("delete")),
)
UID_OF_THE_NAME = Mutation(
    "uid-of-the-name",
    "gives a new object the uid that one of its name had before",
    (f"DELETE-RECREATE|{_MAPS}",),
    flip=answers(
        calls("create"),
        lambda it: it["metadata"].update(uid=str(uuid5(NAMESPACE_URL, it["metadata"]["name"]))),
    ),
)
COLLECTION_GOES_WHOLE = Mutation(
    "collection-goes-whole",
    "deletes more of a collection than was selected",
    (f"DELETECOLLECTION-SELECTION|{_MAPS}",),
    # What is still selected are the objects of the check itself, and nobody else's.
    bend=moved(
        calls("deletecollection"),
        values=lambda name, value: ",".join(value.split(",")[:2]) if name == "labelSelector" else value,
    ),
)
COLLECTION_STAYS = Mutation(
    "collection-stays",
    "answers the deletion of a collection and keeps it",
    (f"DELETECOLLECTION-SELECTION|{_MAPS}",),
    bend=sends(calls("deletecollection"), put("dryRun", to=["All"])),
)

# --- status and scale ---

STATUS_TAKES_SPEC = Mutation(
    "status-takes-spec",
    "stores a spec that comes through the status subresource",
    (f"STATUS-WRITES|{_STATUS}",),
    bend=moved(
        calls("patch", sub="status", when=lambda call: "spec" in (call.body or {})),
        lambda path: path.removesuffix("/status"),
    ),
)
STATUS_NOT_STORED = Mutation(
    "status-not-stored",
    "stores no status that comes through the subresource",
    (f"STATUS-WRITES|{_STATUS}",),
    flip=answers(calls("get", sub=""), lose("status")),
)
OBJECT_TAKES_STATUS = Mutation(
    "object-takes-status",
    "stores a status that comes with the object",
    (f"STATUS-APART|{_STATUS}",),
    bend=moved(calls("patch", "update", sub=""), lambda path: f"{path}/status"),
)
STATUS_OF_ANOTHER_KIND = Mutation(
    "status-of-another-kind",
    "answers a read of the status with something else than the object",
    (f"STATUS-GET|{_STATUS}",),
    flip=answers(calls("get", sub="status"), put("kind", to="DeploymentStatus")),
)
STATUS_RAISES_GENERATION = Mutation(
    "status-raises-generation",
    "raises generation with the status",
    (f"STATUS-GENERATION|{_STATUS}",),
    flip=answers(calls("patch", sub="status"), put("metadata", "generation", to=lambda it: (it or 0) + 1)),
)
DRY_RUN_OF_STATUS = Mutation(
    "dry-run-of-status",
    "stores a status with dryRun=All",
    (f"STATUS-DRY-RUN|{_STATUS}",),
    bend=deaf_to("dryRun", when=calls("patch", sub="status")),
)
SCALE_OF_ANOTHER = Mutation(
    "scale-of-another",
    "gives a scale another uid than its object's",
    (f"SCALE-GET|{_SCALE}",),
    flip=answers(calls("get", sub="scale"), put("metadata", "uid", to="00000000-0000-0000-0000-000000000000")),
)
SCALE_NOT_STORED = Mutation(
    "scale-not-stored",
    "answers a scale as if it were stored",
    (f"SCALE-ROUND-TRIP|{_SCALE}",),
    bend=moved(calls("update", sub="scale"), add=("dryRun", "All")),
)
SCALE_WITHOUT_VERSION = Mutation(
    "scale-without-version",
    "lets the last writer of a scale win",
    (f"SCALE-ROUND-TRIP|{_SCALE}",),
    bend=sends(calls("update", sub="scale"), lose("metadata", "resourceVersion")),
)
LESS_THAN_NOTHING = Mutation(
    "less-than-nothing",
    "takes a scale of less than nothing for none",
    (f"SCALE-INVALID|{_SCALE}",),
    bend=sends(calls("update", sub="scale"), put("spec", "replicas", to=lambda it: max(it or 0, 0))),
)
SUBRESOURCE_OF_NOTHING = Mutation(
    "subresource-of-nothing",
    "answers 200 to a subresource of an object that isn't there",
    (f"SUBRESOURCE-ABSENT|{_STATUS}", f"SUBRESOURCE-ABSENT|{_SCALE}", "SUBRESOURCE-ABSENT|v1/pods/log"),
    flip=instead(calls("get"), 200, lambda call: {"metadata": {"name": call.name}}, only={404}),
)
