"""Whole collections of an API server, read page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.errors import ClusterError
from conformance.transport import expect_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.model import Json
    from conformance.transport import Client

PAGE = 500
RESTARTS = 3
_GONE = 410
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


def items(client: Client, path: str, *, metadata_only: bool = False) -> list[Json]:
    """Read every object of a collection, in the server's order; a ClusterError says why it can't be read.

    A continue token that has expired (410) means that the pages so far belong to a state that is gone, so the list
    starts again; when it expires again and again, the last attempt asks for everything in one answer.
    """
    for attempt in range(RESTARTS + 1):
        query: dict[str, str] = {} if attempt == RESTARTS else {"limit": str(PAGE)}
        found = _pages(client, path, query, {"Accept": _METADATA} if metadata_only else {})
        if found is not None:
            return found
    raise ClusterError(f"GET {path}: 410, even without pages")


def _pages(client: Client, path: str, query: dict[str, str], headers: Mapping[str, str]) -> list[Json] | None:
    found: list[Json] = []
    used: set[str] = set()
    while True:
        response = client.ask("GET", path, query=query, headers=headers)
        if response.status == _GONE:
            return None
        document = expect_json(response, f"GET {path}")
        page = document.get("items") if isinstance(document, dict) else None
        metadata = document.get("metadata") if isinstance(document, dict) else None
        if not isinstance(page, list | None) or not isinstance(metadata, dict):
            raise ClusterError(f"GET {path}: this is no list of objects")
        for item in page or ():
            if not isinstance(item, dict) or not isinstance(item.get("metadata"), dict):
                raise ClusterError(f"GET {path}: an item of the list is no object with metadata")
            found.append(item)
        token = metadata.get("continue")
        if not token:
            return found
        if str(token) in used:
            raise ClusterError(f"GET {path}: the server gives the same continue token again and again")
        used.add(str(token))
        query = query | {"continue": str(token)}
