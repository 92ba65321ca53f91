"""Violations of what media types, errors, versions and custom resources promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mutations.mutation import (
    Mutation,
    answers,
    asks,
    calls,
    deaf_to,
    instead,
    lose,
    path,
    put,
    reads_header,
    sends,
    without_header,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from faultproxy import Answered

    from mutations.mutation import Call, Flip, When

_MAPS = "v1/configmaps"
_GROUP = "kc-{run}.kube-conformance.io"
_GADGETS, _OLD_GADGETS, _BAGS = f"{_GROUP}/v1/gadgets", f"{_GROUP}/v1beta1/gadgets", f"{_GROUP}/v1alpha1/bags"
_SCALERS = "autoscaling/v2/horizontalpodautoscalers"
_YAML, _PROTOBUF = "application/yaml", "application/vnd.kubernetes.protobuf"


def _accepts(text: str, *verbs: str) -> When:
    return lambda call: text in call.header("accept") and (not verbs or call.verb in verbs)


def _bytes(when: When, edit: Callable[[bytes], bytes]) -> Flip:
    """Be a server whose bodies are wrong, whatever they are written in."""

    def flip(call: Call, answered: Answered) -> Answered | None:
        body = edit(answered.body)
        return answered._replace(body=body) if when(call) and body != answered.body else None

    return flip


# --- media types ---

YAML_FIRST = Mutation(
    "yaml-first",
    "serves YAML to who takes anything",
    (f"MEDIA-JSON|{_MAPS}",),
    bend=reads_header("accept", _YAML, calls("list")),
)
OTHER_IN_YAML = Mutation(
    "other-in-yaml",
    "serves another uid in YAML",
    (f"MEDIA-YAML|{_MAPS}",),
    flip=_bytes(_accepts(_YAML, "get"), lambda body: body.replace(b"uid: ", b"uid: 0")),
)
READS_NO_YAML = Mutation(
    "reads-no-yaml",
    "takes no YAML",
    (f"MEDIA-YAML-WRITE|{_MAPS}",),
    bend=reads_header("content-type", "text/plain", calls("create")),
)
NO_MAGIC = Mutation(
    "no-magic",
    "leaves the magic number of protobuf out",
    (f"MEDIA-PROTOBUF|{_MAPS}", f"MEDIA-PROTOBUF-LIST|{_MAPS}"),
    flip=_bytes(_accepts(_PROTOBUF), lambda body: body.removeprefix(b"k8s\x00")),
)
MORE_IN_PROTOBUF = Mutation(
    "more-in-protobuf",
    "does not look at selectors where protobuf is asked for",
    (f"MEDIA-PROTOBUF-LIST|{_MAPS}",),
    bend=deaf_to("labelSelector", when=_accepts(_PROTOBUF)),
)
JSON_FOR_PROTOBUF = Mutation(
    "json-for-protobuf",
    "serves JSON to who takes protobuf alone",
    (f"MEDIA-PROTOBUF-CUSTOM|{_GADGETS}",),
    bend=reads_header("accept", "application/json", calls("list")),
)
ALWAYS_JSON = Mutation(
    "always-json",
    "serves JSON whatever is asked for",
    (f"MEDIA-NOT-ACCEPTABLE|{_MAPS}",),
    bend=reads_header("accept", "application/json", calls("list")),
)
NO_ROWS = Mutation(
    "no-rows",
    "serves Tables without rows",
    (f"MEDIA-TABLE-GET|{_MAPS}",),
    flip=answers(_accepts("as=Table"), put("rows", to=[])),
)

# --- errors ---

OTHER_CODE = Mutation(
    "other-code",
    "says another code in a Status than HTTP says",
    (f"STATUS-ERROR|{_MAPS}",),
    flip=answers(calls("get", "list"), put("code", to=500), only={400, 404}),
)
NAMELESS = Mutation(
    "nameless",
    "does not name what is not there",
    (f"STATUS-NOT-FOUND|{_MAPS}",),
    flip=answers(calls("get"), lose("details", "name"), only={404}),
)
ANY_CONFLICT = Mutation(
    "any-conflict",
    "gives no reason for a name that is taken",
    (f"STATUS-CONFLICT|{_MAPS}",),
    flip=answers(calls("create"), lose("reason"), only={409}),
)
NO_CAUSES = Mutation(
    "no-causes",
    "does not say which field is invalid",
    (f"STATUS-INVALID|{_MAPS}", f"CRD-VALIDATION|{_GADGETS}"),
    flip=answers(calls("create"), lose("details", "causes"), only={422}),
)
ANY_RESOURCE = Mutation(
    "any-resource",
    "has whatever resource is asked for",
    ("STATUS-ABSENT-RESOURCE|apps/v1", "STATUS-ABSENT-RESOURCE|v1"),
    flip=instead(calls("list"), 200, {"kind": "List", "apiVersion": "v1", "items": []}, only={404}),
)

# --- versions ---

SAME_VERSION = Mutation(
    "same-version",
    "calls an object by the version that it was created in",
    (f"VERSION-READ|{_SCALERS}",),
    flip=answers(path("/apis/autoscaling/v1/"), put("apiVersion", to="autoscaling/v2")),
)
DEAF_VERSION = Mutation(
    "deaf-version",
    "takes changes through one version alone",
    (f"VERSION-WRITE|{_SCALERS}",),
    bend=sends(path("/apis/autoscaling/v1/"), lose("metadata", "labels")),
)
NO_WARNING = Mutation(
    "no-warning",
    "does not warn of a deprecated version",
    ("VERSION-WARNING|v1/endpoints", f"VERSION-WARNING|{_OLD_GADGETS}"),
    flip=without_header("warning"),
)

# --- custom resources ---

NO_DEFAULTS = Mutation(
    "no-defaults",
    "sets no default",
    (f"CRD-DEFAULTS|{_GADGETS}",),
    flip=answers(calls("create"), lose("spec", "material")),
)
UNPRUNED = Mutation(
    "unpruned",
    "keeps fields that the schema does not have",
    (f"CRD-PRUNING|{_GADGETS}",),
    flip=answers(calls("get"), put("spec", "unknown", to=1)),
)
ALL_PRUNED = Mutation(
    "all-pruned",
    "drops what the schema lets be",
    (f"CRD-PRESERVE|{_BAGS}",),
    bend=sends(calls("create"), lose("holds", "deep")),
)
NULLS_DROPPED = Mutation(
    "nulls-dropped",
    "drops every null",
    (f"CRD-NULLABLE|{_GADGETS}",),
    bend=sends(calls("create"), lose("spec", "note")),
)
NO_RULES = Mutation(
    "no-rules",
    "holds nobody to rules",
    (f"CRD-RULE|{_GADGETS}",),
    flip=instead(calls("create"), 201, lambda call: call.body, only={422}),
)
NO_TRANSITION_RULES = Mutation(
    "no-transition-rules",
    "holds no update to rules",
    (f"CRD-TRANSITION-RULE|{_GADGETS}",),
    flip=instead(calls("patch"), 200, lambda call: call.body, only={422}),
)
UNSELECTABLE = Mutation(
    "unselectable",
    "selects everything by the field of a custom resource",
    (f"CRD-SELECTABLE-FIELDS|{_GADGETS}",),
    bend=deaf_to("fieldSelector", when=asks("fieldSelector")),
)
OTHER_COLUMNS = Mutation(
    "other-columns",
    "prints a custom resource with other columns",
    (f"CRD-COLUMNS|{_GADGETS}",),
    flip=answers(_accepts("as=Table"), put("columnDefinitions", to=lambda columns: columns[:-1])),
)
ANY_PATCH = Mutation(
    "any-patch",
    "takes a strategic merge patch of a custom resource",
    (f"CRD-STRATEGIC|{_GADGETS}",),
    bend=reads_header("content-type", "application/merge-patch+json", calls("patch")),
)
UNESTABLISHED = Mutation(
    "unestablished",
    "serves what it has not established",
    (f"CRD-ACCEPTED|{_GADGETS}", f"CRD-ACCEPTED|{_BAGS}"),
    flip=answers(path("/apis/apiextensions.k8s.io/"), put("status", "conditions", to=[])),
)
OLD_DEFAULTS = Mutation(
    "old-defaults",
    "reads an object without the defaults of the version that is read",
    (f"CRD-VERSION-DEFAULTS|{_OLD_GADGETS}",),
    flip=answers(calls("get"), lose("spec", "maximum")),
)
