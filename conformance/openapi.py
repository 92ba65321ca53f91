"""The OpenAPI v3 documents of a server: which there are, and each when something needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from conformance.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.model import Json
    from conformance.transport import Client

_ROOT = "/openapi/v3"
_OK, _MOVED = 200, range(300, 400)


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


class Documents:
    """The documents of an index, each read from the server when it is first wanted, and once.

    A document is asked for by the hash of its contents, so that it is the one that the snapshot saw, as long as the
    server has that; one that has changed meanwhile is taken as it is now. Values of this can be handed to another
    process: what was not read yet is read then, since only one process asks the server.
    """

    def __init__(self, client: Client | None, index: Mapping[str, str]) -> None:
        self._client = client
        self._index = dict(index)
        self._read: dict[str, bytes] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._index

    def __getstate__(self) -> dict[str, Any]:
        for key in self._index:
            self.raw(key)
        return {"_client": None, "_index": self._index, "_read": self._read}

    def raw(self, key: str) -> bytes:
        """Give the bytes of a document; empty where there is none, or none that could be read."""
        if key not in self._index or (key not in self._read and self._client is None):
            return b""
        if key not in self._read:
            assert self._client is not None  # noqa: S101  # looked at above
            digest = self._index[key]
            response = self._client.ask("GET", f"{_ROOT}/{key}", query={"hash": digest} if digest else ())
            if response.status in _MOVED:  # it has changed since; the one of then is served no more
                response = self._client.ask("GET", f"{_ROOT}/{key}")
            self._read[key] = response.body if response.status == _OK and not response.error else b""
        return self._read[key]

    def forget(self, key: str) -> None:
        """Let go of the bytes of a document whose contents somebody keeps in another form."""
        if self._client is not None and self._read.get(key):
            del self._read[key]
