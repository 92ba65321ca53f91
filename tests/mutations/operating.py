"""Violations of what operations promise that are subresources."""

from __future__ import annotations

from mutations.mutation import Mutation, answers, calls, deaf_to, instead, lose, moved, sends

_PODS, _DEPLOYMENTS = "v1/pods", "apps/v1/deployments"
_CONNECT = frozenset({"exec", "attach", "portforward", "proxy"})
_APPROVAL = "certificates.k8s.io/v1/certificatesigningrequests/approval"

COLLECTION_GOES_IN_A_DRY_RUN = Mutation(
    "collection-goes-in-a-dry-run",
    "deletes a collection with dryRun=All",
    ("DELETECOLLECTION-DRY-RUN|v1/configmaps",),
    bend=deaf_to("dryRun", when=calls("deletecollection")),
)
APPROVED_BY_ANYBODY = Mutation(
    "approved-by-anybody",
    "stores an approval that comes with the signing request",
    (f"APPROVAL-APART|{_APPROVAL}",),
    bend=moved(
        calls("patch", sub="", when=lambda call: call.resource == "certificatesigningrequests"),
        lambda path: f"{path}/approval",
    ),
)
BOUND_TWICE = Mutation(
    "bound-twice",
    "binds a pod that is bound already",
    (f"BINDING-ASSIGNS|{_PODS}/binding",),
    flip=instead(calls("create", sub="binding"), 201, lambda call: call.body, only={404, 409}),
)
DEBUGGED_BY_ANYBODY = Mutation(
    "debugged-by-anybody",
    "stores ephemeral containers that come with the pod",
    (f"EPHEMERAL-ADDED|{_PODS}/ephemeralcontainers",),
    bend=moved(
        calls("patch", sub="", when=lambda call: "ephemeralContainers" in (call.body or {}).get("spec", {})),
        lambda path: f"{path}/ephemeralcontainers",
    ),
)
EVICTED_AND_STAYS = Mutation(
    "evicted-and-stays",
    "grants an eviction and keeps the pod",
    (f"EVICTION-REMOVES|{_PODS}/eviction",),
    bend=moved(calls("create", sub="eviction"), add=("dryRun", "All")),
)
FINALIZED_BY_ANYBODY = Mutation(
    "finalized-by-anybody",
    "stores finalizers of a namespace's spec that come with the namespace",
    ("FINALIZE-WRITES|v1/namespaces/finalize",),
    bend=moved(
        calls("update", sub="", when=lambda call: call.resource == "namespaces"), lambda path: f"{path}/finalize"
    ),
)
RESIZED_BY_ANYBODY = Mutation(
    "resized-by-anybody",
    "changes what a running container may use with the pod",
    (f"RESIZE-APART|{_PODS}/resize",),
    bend=moved(calls("patch", sub="", when=lambda call: call.resource == "pods"), lambda path: f"{path}/resize"),
)
CONNECTED_TO_NOTHING = Mutation(
    "connected-to-nothing",
    "answers 200 to a connection to something that isn't there",
    (f"CONNECT-ABSENT|{_PODS}/exec", f"CONNECT-ABSENT|{_PODS}/proxy", "CONNECT-ABSENT|v1/services/proxy"),
    flip=instead(lambda call: call.sub in _CONNECT, 200, {}, only={400, 404, 503}),
)
TOKEN_WITHOUT_END = Mutation(
    "token-without-end",
    "does not say when a token lapses",
    ("TOKEN-REQUEST|v1/serviceaccounts/token",),
    flip=answers(calls("create", sub="token"), lose("status", "expirationTimestamp")),
)
SCALE_PATCH_LOST = Mutation(
    "scale-patch-lost",
    "answers a patch of a scale as if it were stored",
    (f"SCALE-PATCH|{_DEPLOYMENTS}/scale",),
    bend=moved(calls("patch", sub="scale"), add=("dryRun", "All")),
)
STATUS_WITHOUT_VERSION = Mutation(
    "status-without-version",
    "lets the last writer of a status win",
    (f"STATUS-UPDATE|{_DEPLOYMENTS}/status",),
    bend=sends(calls("update", sub="status"), lose("metadata", "resourceVersion")),
)
