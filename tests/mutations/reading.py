"""Violations of what reading promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mutations.mutation import (
    Mutation,
    answers,
    asks,
    calls,
    each_item,
    instead,
    lose,
    moved,
    put,
    status,
)

if TYPE_CHECKING:
    from typing import Any

_MAPS = "v1/configmaps"


def _cluster_wide(path: str) -> str:
    head, _, rest = path.partition("/namespaces/")
    return f"{head}/{rest.partition('/')[2]}"


STALE_CACHE = Mutation(
    "stale-cache",
    "answers from a state that is older than the one asked for",
    (f"LIST-VERSION-NOT-OLDER|{_MAPS}",),
    flip=answers(calls("list", when=asks("resourceVersionMatch", "NotOlderThan")), lambda it: it | {"items": []}),
)
EXACT_IS_NEWEST = Mutation(
    "exact-is-newest",
    "answers with the newest state where an exact one is asked for",
    (f"LIST-VERSION-EXACT|{_MAPS}", "LIST-VERSION-EXPIRED|v1/events"),
    bend=moved(
        calls("list", when=asks("resourceVersionMatch", "Exact")), query=("resourceVersion", "resourceVersionMatch")
    ),
)
ONE_NAMESPACE = Mutation(
    "one-namespace",
    "lists the default namespace where all are asked for",
    (f"LIST-ALL-NAMESPACES|{_MAPS}",),
    bend=moved(
        calls("list", when=lambda call: not call.namespace and call.resource == "configmaps"),
        lambda path: path.replace("/configmaps", "/namespaces/default/configmaps"),
    ),
)
NAMESPACES_MIXED = Mutation(
    "namespaces-mixed",
    "lists the objects of all namespaces in each",
    (f"LIST-ALL-NAMESPACES|{_MAPS}",),
    bend=moved(calls("list", when=lambda call: bool(call.namespace)), _cluster_wide),
)
ITEMS_WITHOUT_DATES = Mutation(
    "items-without-dates",
    "leaves the creationTimestamp of objects out of lists",
    (f"GET-EQUALS-LIST|{_MAPS}",),
    flip=answers(calls("list"), each_item(lose("metadata", "creationTimestamp"))),
)
ITEM_OF_ANOTHER_KIND = Mutation(
    "item-of-another-kind",
    "has an object of another kind in a list",
    ("LIST-ENVELOPE|v1/namespaces",),
    flip=answers(calls("list"), each_item(put("kind", to="Secret"))),
)
OTHER_VERSION_IN_LIST = Mutation(
    "other-version-in-list",
    "says another apiVersion in lists than it was asked for",
    ("LIST-ENVELOPE|apps/v1/deployments",),
    flip=answers(calls("list"), put("apiVersion", to="apps/v1beta1")),
)
NO_SUCH_METHOD_IS_404 = Mutation(
    "no-such-method-is-404",
    "answers 404 to a method that a path does not have",
    (f"METHOD-NOT-ALLOWED|{_MAPS}",),
    flip=instead(calls("update"), 404, status("NotFound", 404), only={405}),
)
METHOD_WITHOUT_STATUS = Mutation(
    "method-without-status",
    "answers 405 without a Status",
    (f"METHOD-NOT-ALLOWED|{_MAPS}",),
    flip=instead(calls("update"), 405, "method not allowed", only={405}),
)
NAMES_ANOTHER = Mutation(
    "names-another",
    "names another object in the 404 of one that isn't there",
    (f"GET-ABSENT|{_MAPS}",),
    flip=answers(calls("get"), put("details", "name", to="other"), only={404}),
)
FORGED_TOKEN_TAKEN = Mutation(
    "forged-token-taken",
    "answers a continue token that it never gave with an empty list",
    (f"LIST-CONTINUE-FORGED|{_MAPS}",),
    flip=instead(
        calls("list", when=asks("continue")),
        200,
        {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []},
        only={400},
    ),
)
VERSION_MOVES_BETWEEN_PAGES = Mutation(
    "version-moves-between-pages",
    "gives each page of a list another resourceVersion",
    (f"LIST-CONTINUE|{_MAPS}",),
    flip=answers(
        calls("list", when=asks("continue")), put("metadata", "resourceVersion", to=lambda it: str(int(it) + 1))
    ),
)
TOO_LARGE_WITHOUT_CAUSE = Mutation(
    "too-large-without-cause",
    "does not say why a resourceVersion of the future is a time-out",
    (f"LIST-VERSION-FUTURE|{_MAPS}",),
    flip=answers(calls("list"), lose("details", "causes"), only={504}),
)
UNEQUAL_IS_EQUAL = Mutation(
    "unequal-is-equal",
    "reads != in a label selector as =",
    (f"LIST-LABELS|{_MAPS}",),
    bend=moved(
        calls("list"), values=lambda name, value: value.replace("!=", "=") if name == "labelSelector" else value
    ),
)


def _fewer_cells(table: Any) -> None:
    for row in table.get("rows") or ():
        row["cells"] = row["cells"][1:]


TABLE_LACKS_CELLS = Mutation(
    "table-lacks-cells",
    "gives rows of a Table fewer cells than there are columns",
    (f"TABLE-LIST|{_MAPS}",),
    flip=answers(calls("list"), _fewer_cells),
)
METADATA_WITH_CONTENT = Mutation(
    "metadata-with-content",
    "gives contents away where metadata alone was asked for",
    (f"PARTIAL-GET|{_MAPS}", f"PARTIAL-LIST|{_MAPS}"),
    flip=answers(
        calls("get", "list", when=lambda call: "as=Partial" in call.header("accept")), each_item(put("data", to={}))
    ),
)
METADATA_WITHOUT_UID = Mutation(
    "metadata-without-uid",
    "leaves the uid out where metadata alone is asked for",
    (f"PARTIAL-GET|{_MAPS}", f"PARTIAL-LIST|{_MAPS}"),
    flip=answers(
        calls("get", "list", when=lambda call: "as=Partial" in call.header("accept")),
        each_item(lose("metadata", "uid")),
    ),
)
WORDS_ARE_VERSIONS = Mutation(
    "words-are-versions",
    "takes any word for a resourceVersion",
    (f"LIST-VERSION-INVALID|{_MAPS}",),
    bend=moved(calls("list", when=asks("resourceVersion", "yesterday")), query=("resourceVersion",)),
)
ZERO_IS_REFUSED = Mutation(
    "zero-is-refused",
    "refuses resourceVersion=0",
    (f"LIST-VERSION-ZERO|{_MAPS}",),
    flip=instead(calls("list", when=asks("resourceVersion", "0")), 400, status("BadRequest", 400), only={200}),
)
