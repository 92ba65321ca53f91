"""The paths of a server that are no resources, and which of them are worth a row of the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.errors import ClusterError

if TYPE_CHECKING:
    from conformance.model import Rbac
    from conformance.transport import Client

# Asked for even where the server's own index can't be read or doesn't list them. Sources: the default ClusterRoles
# system:discovery, system:monitoring, system:public-info-viewer, system:service-account-issuer-discovery; docs "API
# health endpoints", "Z-pages"; `--profiling` and `--enable-logs-handler` of kube-apiserver.
_KNOWN = frozenset(
    {
        *("/", "/api", "/apis", "/version"),
        *("/healthz", "/livez", "/readyz"),
        *("/metrics", "/metrics/slis", "/flagz", "/statusz", "/logs", "/debug/pprof"),
        *("/openapi/v2", "/openapi/v3", "/.well-known/openid-configuration", "/openid/v1/jwks"),
    }
)
# What lies below these is many paths with one answer: see `rows`.
_FOLDED = ("/api/", "/apis/", "/healthz/", "/livez/", "/readyz/", "/openapi/v3/")


def rows(client: Client, rbac: Rbac) -> tuple[str, ...]:
    """Give the paths that are rows, sorted: the server's index, a fixed list, and whatever rules name.

    Of the index the discovery documents of groups and versions (`/apis/apps/v1`), the single health checks
    (`/healthz/etcd`) and the OpenAPI v3 documents are left out: hundreds of rows that rules tell apart by patterns
    only. A rule's pattern is a row of its own, asked literally (`/apis/*` is matched by the rule that names it), and
    so is a single check where a rule names it. A rule's `*` becomes the row `/*`: whoever has it may ask any path.
    """
    found = set(_KNOWN)
    found.update(path for path in _index(client) if not path.startswith(_FOLDED))
    for role in (*rbac.cluster_roles, *rbac.roles):
        for rule in role.get("rules") or ():
            found.update("/*" if url == "*" else url for url in rule.get("nonResourceURLs") or ())
    return tuple(sorted(path for path in found if _can_be_asked(path)))


def _index(client: Client) -> list[str]:
    try:
        document = client.get_json("/")
    except ClusterError:
        return []  # not authorised: the fixed list has to do
    paths = document.get("paths") if isinstance(document, dict) else None
    return [path.rstrip("/") or "/" for path in paths if isinstance(path, str)] if isinstance(paths, list) else []


def _can_be_asked(path: str) -> bool:
    """Tell whether a request for the path asks for just that: dot segments would be another path's."""
    return path.startswith("/") and path.isprintable() and not {".", ".."} & set(path.split("/"))
