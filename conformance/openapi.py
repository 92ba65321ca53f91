"""The OpenAPI v3 documents of a server: which there are, and each when something needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from conformance.errors import ClusterError

if TYPE_CHECKING:
    from conformance.model import Json
    from conformance.transport import Client

_ROOT = "/openapi/v3"


def index(client: Client) -> dict[str, str]:
    """Map each document's key (`api/v1`, `apis/apps/v1`) to the hash of its contents, sorted by key.

    The hash is empty where the server gives none (documents of aggregated servers).
    """
    listed = client.get_json(_ROOT)
    paths = listed.get("paths") if isinstance(listed, dict) else None
    if not isinstance(paths, dict):
        raise ClusterError(f"GET {_ROOT}: `paths` is no object")
    found = {}
    for key in sorted(paths):
        address = paths[key].get("serverRelativeURL") if isinstance(paths[key], dict) else None
        if not isinstance(address, str):
            raise ClusterError(f"GET {_ROOT}: {key} has no serverRelativeURL")
        found[key] = parse_qs(urlsplit(address).query).get("hash", [""])[0]
    return found


def document(client: Client, key: str) -> Json:
    """Read the document of a key of the index."""
    path = f"{_ROOT}/{key}"
    found = client.get_json(path)
    if not isinstance(found, dict):
        raise ClusterError(f"GET {path}: the document is no object")
    return found
