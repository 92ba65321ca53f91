"""Which checks notice the mutations of `from_documents.py`, found out when the checks were there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAPS, _DEPLOYMENTS = "v1/configmaps", "apps/v1/deployments"
_GADGETS = "kc-{run}.kube-conformance.io/v1/gadgets"

CAUGHT_BY: Mapping[str, tuple[str, ...]] = {
    "no-chunks": (f"LIST-LIMIT|{_MAPS}", f"LIST-CONTINUE|{_MAPS}"),
    "first-chunk-again": (
        f"LIST-CONTINUE|{_MAPS}",
        f"LIST-CONTINUE-FORGED|{_MAPS}",
        "LIST-CONTINUE-EXPIRED|v1/events",
    ),
    "chunk-loses-one": (f"LIST-CONTINUE|{_MAPS}", f"LIST-LIMIT|{_MAPS}"),
    "one-too-many-remain": (f"LIST-REMAINING|{_MAPS}",),
    "list-without-version": (f"LIST-VERSION|{_MAPS}",),
    "list-of-another-kind": (f"LIST-ENVELOPE|{_MAPS}",),
    "items-are-null": ("LIST-ENVELOPE|v1/persistentvolumes", "LIST-VERSION-ZERO|v1/persistentvolumes"),
    "changes-unseen": (f"WATCH-ORDER|{_MAPS}",),
    "gone-unseen": (f"WATCH-ORDER|{_MAPS}", f"WATCH-SELECTOR|{_MAPS}"),
    "added-twice": (f"WATCH-ORDER|{_MAPS}", f"WATCH-INITIAL|{_MAPS}"),
    "out-of-order": (f"WATCH-ORDER|{_MAPS}", f"WATCH-SELECTOR|{_MAPS}"),
    "changed-as-added": (f"WATCH-ORDER|{_MAPS}",),
    "no-bookmarks": (f"WATCH-LIST|{_MAPS}", f"WATCH-BOOKMARK|{_MAPS}"),
    "watch-from-now": (f"WATCH-ORDER|{_MAPS}",),
    "unconditional-update": (f"UPDATE-STALE|{_MAPS}",),
    "future-is-now": (f"LIST-VERSION-FUTURE|{_MAPS}", f"LIST-VERSION-EXACT|{_MAPS}", f"LIST-VERSION-INVALID|{_MAPS}"),
    "dry-run-creates": (f"CREATE-DRY-RUN|{_MAPS}",),
    "dry-run-deletes": (f"DELETE-DRY-RUN|{_MAPS}",),
    "strict-is-lax": (f"CREATE-STRICT|{_MAPS}", f"CREATE-DUPLICATE-FIELD|{_MAPS}"),
    "warns-not": (f"CREATE-WARN|{_MAPS}", "VERSION-WARNING|v1/endpoints"),
    "name-not-generated": (f"CREATE-GENERATE-NAME|{_MAPS}",),
    "exists-is-conflict": (f"CREATE-CONFLICT|{_MAPS}", f"STATUS-CONFLICT|{_MAPS}"),
    "preconditions-ignored": (f"DELETE-PRECONDITION-UID|{_MAPS}", f"DELETE-PRECONDITION-VERSION|{_MAPS}"),
    "finalizers-swallowed": (f"DELETE-FINALIZER|{_MAPS}",),
    "apply-takes-all": (f"APPLY-CONFLICT|{_MAPS}",),
    "missing-is-fine": (f"GET-ABSENT|{_MAPS}",),
    "no-reason": (f"GET-ABSENT|{_MAPS}",),
    "all-labels-match": (f"LIST-LABELS|{_MAPS}", f"LIST-LABELS-INVALID|{_MAPS}", f"WATCH-SELECTOR|{_MAPS}"),
    "all-fields-match": (
        f"LIST-FIELDS|{_MAPS}",
        f"LIST-FIELDS-INVALID|{_MAPS}",
        f"WATCH-FIELDS|{_MAPS}",
        f"CRD-SELECTABLE-FIELDS|{_GADGETS}",
    ),
    "never-a-table": (
        f"TABLE-LIST|{_MAPS}",
        f"PARTIAL-LIST|{_MAPS}",
        f"PARTIAL-GET|{_MAPS}",
        f"MEDIA-NOT-ACCEPTABLE|{_MAPS}",
        f"MEDIA-PROTOBUF|{_MAPS}",
        f"MEDIA-PROTOBUF-CUSTOM|{_GADGETS}",
        f"MEDIA-YAML|{_MAPS}",
    ),
    "generation-always-grows": (f"GENERATION-METADATA|{_DEPLOYMENTS}",),
    "no-uid": (f"CREATE-METADATA|{_MAPS}",),
    "no-audit-id": ("AUDIT-ID|server",),
}
