"""Violations of what custom resources, several versions and media types promise, and of what an error is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mutations.mutation import Mutation, answers, calls, each_item, instead, lose, put, reads_header, sends, status

if TYPE_CHECKING:
    from faultproxy import Answered

    from mutations.mutation import Call, When

_MAPS = "v1/configmaps"
_GROUP = "kc-{run}.kube-conformance.io"
_GADGETS, _BAGS = f"{_GROUP}/v1/gadgets", f"{_GROUP}/v1alpha1/bags"
_OLD_GADGETS = f"{_GROUP}/v1beta1/gadgets"
_SCALERS = "autoscaling/v2/horizontalpodautoscalers"


def _of(resource: str) -> When:
    return lambda call: call.resource == resource


# --- custom resources ---

DEFINITION_NOT_ESTABLISHED = Mutation(
    "definition-not-established",
    "serves a resource whose definition is not established",
    (f"CRD-ACCEPTED|{_GADGETS}",),
    flip=answers(
        calls("get", when=_of("customresourcedefinitions")),
        put("status", "conditions", to=lambda held: [each | {"status": "False"} for each in held]),
    ),
)
COLUMNS_BACKWARDS = Mutation(
    "columns-backwards",
    "has the columns of a Table in another order than the definition",
    (f"CRD-COLUMNS|{_GADGETS}",),
    flip=answers(
        lambda call: "as=Table" in call.header("accept"),
        lambda it: it.update(columnDefinitions=it["columnDefinitions"][::-1]),
    ),
)
NO_DEFAULTS = Mutation(
    "no-defaults",
    "sets no defaults",
    (f"CRD-DEFAULTS|{_GADGETS}",),
    flip=answers(calls("create", when=_of("gadgets")), lose("spec", "material")),
)
NULL_IS_NOTHING = Mutation(
    "null-is-nothing",
    "drops a null where the schema says nullable",
    (f"CRD-NULLABLE|{_GADGETS}",),
    flip=answers(calls("create", when=_of("gadgets")), lose("spec", "note")),
)
PRUNES_ALL = Mutation(
    "prunes-all",
    "drops unknown fields where the schema preserves them",
    (f"CRD-PRESERVE|{_BAGS}",),
    bend=sends(calls("create", when=_of("bags")), lose("holds", "deep")),
)
PRUNES_NOTHING = Mutation(
    "prunes-nothing",
    "keeps fields that a custom resource's schema does not have",
    (f"CRD-PRUNING|{_GADGETS}",),
    flip=answers(calls("get", "create", when=_of("gadgets")), put("spec", "unknown", to=1)),
)
RULES_NOT_HELD = Mutation(
    "rules-not-held",
    "takes an object that breaks a rule over two fields",
    (f"CRD-RULE|{_GADGETS}",),
    bend=sends(calls("create", when=_of("gadgets")), put("spec", "maximum", to=10)),
)
OLD_SELF_FORGOTTEN = Mutation(
    "old-self-forgotten",
    "does not hold rules that speak of the object as it was",
    (f"CRD-TRANSITION-RULE|{_GADGETS}",),
    flip=instead(calls("patch", when=_of("gadgets")), 200, lambda call: call.body, only={422}),
)
STRATEGIC_EVERYWHERE = Mutation(
    "strategic-everywhere",
    "takes a strategic merge patch of a custom resource",
    (f"CRD-STRATEGIC|{_GADGETS}",),
    bend=reads_header("content-type", "application/merge-patch+json", when=calls("patch", when=_of("gadgets"))),
)
OLD_DEFAULTS = Mutation(
    "old-defaults",
    "does not set the defaults of the version that is read",
    (f"CRD-VERSION-DEFAULTS|{_OLD_GADGETS}",),
    flip=answers(calls("get", when=_of("gadgets")), lose("spec", "maximum")),
)

# --- versions ---

VERSION_AS_STORED = Mutation(
    "version-as-stored",
    "answers in another version than it is asked in",
    (f"VERSION-READ|{_SCALERS}",),
    flip=answers(calls("get"), put("apiVersion", to="autoscaling/v2beta2")),
)
VERSIONS_APART = Mutation(
    "versions-apart",
    "does not show in one version what was changed through another",
    (f"VERSION-WRITE|{_SCALERS}",),
    flip=answers(calls("get"), lose("metadata", "labels", "kube-conformance.io/version")),
)

# --- media types ---

ANY_IS_YAML = Mutation(
    "any-is-yaml",
    "answers in YAML who takes anything",
    (f"MEDIA-JSON|{_MAPS}",),
    bend=reads_header("accept", "application/yaml", when=lambda call: "*/*" in call.header("accept")),
)


def _renamed(call: Call, answered: Answered) -> Answered | None:
    if "yaml" not in call.header("accept"):
        return None
    return answered._replace(body=answered.body.replace(b"creationTimestamp:", b"createdAt:"))


YAML_OF_OTHER_WORDS = Mutation(
    "yaml-of-other-words", "has other names for fields in YAML", (f"MEDIA-YAML|{_MAPS}",), flip=_renamed
)
YAML_IS_READ_ONLY = Mutation(
    "yaml-is-read-only",
    "does not read YAML",
    (f"MEDIA-YAML-WRITE|{_MAPS}",),
    flip=instead(
        calls("create", when=lambda call: "yaml" in call.header("content-type")),
        415,
        status("UnsupportedMediaType", 415),
        only={201},
    ),
)


def _other_row(table: Any) -> None:
    for row in table.get("rows", ()):
        row["object"]["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"


ROW_OF_ANOTHER = Mutation(
    "row-of-another",
    "gives the Table of one object a row of another",
    (f"MEDIA-TABLE-GET|{_MAPS}",),
    flip=answers(calls("get"), _other_row),
)


def _truncated(call: Call, answered: Answered) -> Answered | None:
    if "protobuf" not in call.header("accept") or answered.status != 200:
        return None
    return answered._replace(body=answered.body[4:])


PROTOBUF_WITHOUT_FRAME = Mutation(
    "protobuf-without-frame",
    "sends protobuf without the four bytes that begin it",
    (f"MEDIA-PROTOBUF|{_MAPS}", f"MEDIA-PROTOBUF-LIST|{_MAPS}"),
    flip=_truncated,
)

# --- errors ---

ERROR_OF_ANOTHER_CODE = Mutation(
    "error-of-another-code",
    "says another code in a Status than in HTTP",
    (f"STATUS-ERROR|{_MAPS}", f"STATUS-NOT-FOUND|{_MAPS}"),
    flip=answers(calls("get", "list"), put("code", to=418), only={400, 404}),
)
ABSENT_WITHOUT_RESOURCE = Mutation(
    "absent-without-resource",
    "does not say in a 404 which resource is absent",
    (f"STATUS-NOT-FOUND|{_MAPS}",),
    flip=answers(calls("get"), lose("details", "kind"), only={404}),
)
UNKNOWN_RESOURCE_IS_EMPTY = Mutation(
    "unknown-resource-is-empty",
    "answers 200 for a resource that it does not have",
    ("STATUS-ABSENT-RESOURCE|apps/v1", "STATUS-ABSENT-RESOURCE|v1"),
    flip=instead(calls("list"), 200, {"items": []}, only={404}),
)
LABELS_OF_ANY_FORM = Mutation(
    "labels-of-any-form",
    "gives no cause for a label that is none",
    (f"STATUS-INVALID|{_MAPS}", f"CRD-VALIDATION|{_GADGETS}"),
    flip=answers(calls("create"), each_item(lose("details", "causes")), only={422}),
)
