"""Violations of what discovery, OpenAPI and the schemas of answers promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mutations.mutation import (
    Mutation,
    answers,
    asks,
    calls,
    deaf_to,
    each_item,
    lose,
    path,
    put,
    reads_header,
    without_header,
)

if TYPE_CHECKING:
    from typing import Any

_MAPS = "v1/configmaps"
_NAMES = frozenset({"api", "apis"})


def _is_document(call: Any) -> bool:
    """Whether it is the unaggregated document of a group version."""
    parts = call.path.strip("/").split("/")
    return parts[0] in _NAMES and not call.resource and "as=APIGroupDiscoveryList" not in call.header("accept")


def _without_verb(document: Any) -> None:
    for each in document.get("resources", ())[:1]:
        each["verbs"] = each["verbs"][1:]


LYING_DISCOVERY = Mutation(
    "lying-discovery",
    "leaves a verb out of one of its two kinds of discovery",
    ("DISCOVERY-AGREE|apps/v1", "DISCOVERY-AGREE|v1"),
    flip=answers(_is_document, _without_verb),
)


def _other_scope(document: Any) -> None:
    for each in document.get("resources", ())[:1]:
        each["namespaced"] = not each["namespaced"]


LYING_SCOPE = Mutation(
    "lying-scope",
    "says another scope in one of its two kinds of discovery",
    ("DISCOVERY-AGREE|apps/v1",),
    flip=answers(_is_document, _other_scope),
)


def _one_short_name(document: Any) -> None:
    for each in document.get("resources", ()):
        if "/" not in each["name"]:
            each["shortNames"] = ["it"]


SHORT_NAME_TWICE = Mutation(
    "short-name-twice",
    "gives two resources one short name",
    ("DISCOVERY-NAMES|apps/v1",),
    flip=answers(_is_document, _one_short_name),
)


def _kind_twice(document: Any) -> None:
    for each in document.get("resources", ()):
        each["kind"] = "Deployment"


KIND_TWICE = Mutation(
    "kind-twice",
    "gives two resources of a group version one kind",
    ("DISCOVERY-NAMES|apps/v1",),
    flip=answers(_is_document, _kind_twice),
)
PREFERS_ANOTHER = Mutation(
    "prefers-another",
    "prefers a version that isn't the first",
    ("DISCOVERY-PREFERRED|autoscaling/v2",),
    flip=answers(
        path("/apis/autoscaling"),
        lambda it: it.update(preferredVersion=it["versions"][-1]) if "versions" in it else None,
    ),
)
PREFERS_WHAT_IS_NOT_THERE = Mutation(
    "prefers-what-is-not-there",
    "prefers a version that it does not serve",
    ("DISCOVERY-PREFERRED|apps/v1",),
    flip=answers(path("/apis/apps"), put("preferredVersion", "groupVersion", to="apps/v9")),
)
OLDEST_FIRST = Mutation(
    "oldest-first",
    "names the oldest version of a group first",
    ("DISCOVERY-PRIORITY|autoscaling/v2",),
    flip=answers(
        path("/apis/autoscaling"), lambda it: it.update(versions=it["versions"][::-1]) if "versions" in it else None
    ),
)
ALWAYS_MODIFIED = Mutation(
    "always-modified",
    "sends discovery again to who has it already",
    ("DISCOVERY-ETAG|server",),
    bend=reads_header("if-none-match", None),
)
NO_ETAG = Mutation("no-etag", "sends no ETag with discovery", ("DISCOVERY-ETAG|server",), flip=without_header("etag"))


def _without_a_patch(document: Any) -> None:
    document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"].pop("patch")


UNDESCRIBED_VERB = Mutation(
    "undescribed-verb",
    "does not describe a verb that it serves",
    ("DISCOVERY-OPENAPI|apps/v1", "OPENAPI-VERSIONS|server"),
    flip=answers(path("/openapi/v3/apis/apps/v1"), _without_a_patch),
)


def _with_a_path(document: Any) -> None:
    known = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    document["paths"]["/apis/apps/v1/namespaces/{namespace}/machines/{name}"] = known


DESCRIBES_WHAT_IS_NOT_THERE = Mutation(
    "describes-what-is-not-there",
    "describes a resource that discovery does not have",
    ("DISCOVERY-OPENAPI|apps/v1",),
    flip=answers(path("/openapi/v3/apis/apps/v1"), _with_a_path),
)
INDEX_LACKS_A_GROUP = Mutation(
    "index-lacks-a-group",
    "leaves a group version out of the index of OpenAPI",
    ("OPENAPI-INDEX|server",),
    flip=answers(path("/openapi/v3"), lose("paths", "apis/apps/v1")),
)
ANY_HASH = Mutation(
    "any-hash",
    "answers a document of OpenAPI by any hash",
    ("OPENAPI-HASH|apps/v1",),
    bend=deaf_to("hash", when=path("/openapi/v3/")),
)
NOT_TO_BE_KEPT = Mutation(
    "not-to-be-kept",
    "does not say that a hashed document may be kept",
    ("OPENAPI-HASH|apps/v1",),
    flip=without_header("cache-control"),
)
ANOTHER_MINOR = Mutation(
    "another-minor",
    "says another minor version than gitVersion does",
    ("VERSION-INFO|server",),
    flip=answers(path("/version"), put("minor", to="10")),
)

# --- schemas ---

UNKNOWN_FIELD = Mutation(
    "unknown-field",
    "sends a field that its schema does not have",
    (f"SCHEMA-ANSWERS|{_MAPS}", "SCHEMA-ANSWERS|v1/namespaces"),
    flip=answers(calls("get", "list"), each_item(put("metadata", "colour", to="blue"))),
)
WRONG_TYPE = Mutation(
    "wrong-type",
    "sends a number where the schema says text",
    ("SCHEMA-ANSWERS|v1/namespaces",),
    flip=answers(calls("get", "list"), each_item(put("metadata", "labels", to=7))),
)
WRITES_WITH_MORE = Mutation(
    "writes-with-more",
    "answers a creation or a patch with a field that its schema does not have",
    (f"SCHEMA-WRITES|{_MAPS}",),
    flip=answers(calls("create", "patch"), put("colour", to="blue")),
)
WRONG_KIND = Mutation(
    "wrong-kind",
    "answers with another kind than it describes",
    (f"SCHEMA-KINDS|{_MAPS}",),
    flip=answers(calls("list"), put("kind", to="SecretList")),
)
STATUS_WITHOUT_KIND = Mutation(
    "status-without-kind",
    "sends errors that are no whole Status",
    ("SCHEMA-SUBRESOURCES|apps/v1/deployments/status",),
    flip=answers(calls("get"), lose("status"), only={404}),
)
VERSION_WITH_MORE = Mutation(
    "version-with-more",
    "tells more in /version than it describes",
    ("SCHEMA-PATHS|server",),
    flip=answers(path("/version"), put("codename", to="none")),
)
ANOTHER_KIND_OF_DOCUMENT = Mutation(
    "groups-as-a-map",
    "sends the groups of discovery as a map",
    ("SCHEMA-PATHS|server",),
    flip=answers(
        lambda call: call.path == "/apis", lambda it: it | {"groups": {each["name"]: each for each in it["groups"]}}
    ),
)
PAGES_HAVE_NO_TOKEN = Mutation(
    "pages-have-no-token",
    "says how many objects remain and gives no token for them",
    (f"LIST-REMAINING|{_MAPS}",),
    flip=answers(calls("list", when=asks("limit", "1")), lose("metadata", "continue")),
)
