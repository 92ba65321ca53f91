"""What an upgrade can break on a cluster, read before it: server -> evidence, plain JSON, without a Secret's content.

Nothing but GET is sent. What the identity may not see is said in `unseen`, one sentence each, and its part is None, so
that it is never taken for empty. The server's own words come first: its metric of deprecated calls is read before any
other request, its Warning headers are kept as they are.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from conformance import listing
from conformance.errors import ClusterError
from conformance.identities.leftovers import RUN
from conformance.marks import first_seen
from conformance.snapshot import deprecated_calls
from conformance.transport import Client
from conformance.usage import Uses, removal, warning_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conformance.model import Access, Catalog, Json, Resource

_OK = 200
_SECONDS = 1.0
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_UNCOUNTED = frozenset({"events", "componentstatuses"})  # they come and go, or are not stored
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_SLICES = "/apis/discovery.k8s.io/v1"


class Gathering:
    """One reading of a cluster; `unseen` says what could not be seen."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.unseen: list[str] = []
        self.calls = self._calls()  # before anything of ours can set the metric

    def rest(self, catalog: Catalog) -> Json:
        """Read everything else."""
        deprecations, objects = self._resources(catalog)
        pods = self._listed("pods, so which accounts are in use", "/api/v1/pods", _account)
        return {
            "calls": self.calls,
            "deprecations": deprecations,
            "objects": objects,
            "crds": self._listed("CRDs", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", _crd),
            "apiServices": self._listed("APIServices", "/apis/apiregistration.k8s.io/v1/apiservices", _api_service),
            "webhooks": self._webhooks(),
            "policies": self._policies(catalog),
            "components": self._components(),
            "accounts": None if pods is None else sorted(set(filter(None, pods))),
            "namespaces": self._listed("namespaces", "/api/v1/namespaces", _labelled),
            "unseen": self.unseen,
        }

    # --- who calls what -----------------------------------------------------------------------------------------------

    def _calls(self) -> list[Json] | None:
        """Read the metric of deprecated calls from this API server and from each other one that can be addressed."""
        found: dict[str, list[Json]] = {}
        for access in (self._client.access, *self._servers()):
            try:
                found[access.server] = list(_metric(self._client, access))
            except ClusterError as problem:
                self.unseen.append(f"the metric of deprecated calls: {problem}")
        if not found:
            return None
        merged = {tuple(sorted(labels.items())): labels for each in found.values() for labels in each}
        return [merged[key] for key in sorted(merged)]

    def _servers(self) -> Iterator[Access]:
        """Give the further API servers of the cluster, by the addresses of its own service."""
        here = urlsplit(self._client.access.server)
        with suppress(ClusterError, KeyError, TypeError):
            document = self._client.get_json(f"{_SLICES}/namespaces/default/endpointslices/kubernetes")
            port = document["ports"][0]["port"]
            for address in (each for entry in document["endpoints"] for each in entry["addresses"]):
                if (address, port) == (here.hostname, here.port) or not _listens(address, port):
                    continue
                host = f"[{address}]" if ":" in address else address
                name = "kubernetes.default.svc"
                yield replace(self._client.access, server=f"https://{host}:{port}", tls_server_name=name, renew=None)

    # --- what is served, and what is stored of it ---------------------------------------------------------------------

    def _resources(self, catalog: Catalog) -> tuple[dict[str, Json], dict[str, Json]]:
        """Ask each served collection once: for its warning, and in one version of each for what is stored."""
        chosen = _one_version_each(catalog)
        deprecations: dict[str, Json] = {}
        objects: dict[str, Json] = {}
        for resource in catalog.resources:
            if resource.subresource or "list" not in resource.verbs or resource.group_version in catalog.aggregated:
                continue
            path = f"{resource.prefix}/{resource.name}"
            answer = self._client.ask("GET", path, query={"limit": "1"}, headers={"Accept": _METADATA})
            for text in map(warning_text, answer.warnings):
                if "deprecated" in text:
                    key = f"{resource.group_version}/{resource.name}"
                    deprecations[key] = {"warning": text, "removedRelease": removal(text)}
            counted = resource.name not in _UNCOUNTED
            if counted and chosen.get((resource.group, resource.name)) == resource.version:
                uses = self._uses(path)
                if uses is not None:
                    objects[f"{resource.group}/{resource.name}"] = uses
        return deprecations, objects

    def _uses(self, path: str) -> Json | None:
        uses = Uses()
        try:
            for item in listing.items(self._client, path, metadata_only=True):
                uses.add(item["metadata"])
        except ClusterError as problem:
            self.unseen.append(f"objects: {problem}")
            return None
        return uses.plain()

    # --- what stands around it ----------------------------------------------------------------------------------------

    def _listed(self, what: str, path: str, read: Callable[[Json], Any]) -> list[Any] | None:
        try:
            # What an audit made comes and goes with it.
            return [read(item) for item in listing.items(self._client, path) if not _of_a_run(item)]
        except ClusterError as problem:
            self.unseen.append(f"{what}: {problem}")
            return None

    def _webhooks(self) -> list[Json] | None:
        found: list[Json] = []
        for kind in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
            listed = self._listed(kind, f"{_ADMISSION}/{kind}", lambda item: item)
            if listed is None:
                return None
            for item in listed:
                for hook in item.get("webhooks") or ():
                    config = dict(hook.get("clientConfig") or {})
                    bundle = config.pop("caBundle", "")
                    entry = {key: value for key, value in hook.items() if key != "clientConfig"}
                    entry |= {"configuration": item["metadata"]["name"], "of": kind, "client": config}
                    entry |= {"caBundle": bool(bundle), "endpoints": self._endpoints(config.get("service"))}
                    found.append(entry)
        return found

    def _endpoints(self, service: Any) -> int | None:
        """Count the ready endpoints of a service; None where it is no service, or could not be seen."""
        if not isinstance(service, dict):
            return None
        path = f"{_SLICES}/namespaces/{service.get('namespace')}/endpointslices"
        query = {"labelSelector": f"kubernetes.io/service-name={service.get('name')}"}
        try:
            slices = self._client.get_json(path, query=query).get("items") or ()
        except ClusterError:
            return None
        ready = (entry.get("conditions") or {} for each in slices for entry in each.get("endpoints") or ())
        return sum(1 for conditions in ready if conditions.get("ready") is not False)

    def _policies(self, catalog: Catalog) -> list[Json]:
        served = {(each.name, each.version) for each in catalog.resources if each.group.startswith("admissionreg")}
        found: list[Json] = []
        for mutating in ("validating", "mutating"):
            for kind in (f"{mutating}admissionpolicies", f"{mutating}admissionpolicybindings"):
                if (kind, "v1") in served:
                    listed = self._listed(kind, f"{_ADMISSION}/{kind}", lambda item: item) or ()
                    found += [{"of": kind, "name": it["metadata"]["name"], "spec": it.get("spec")} for it in listed]
        return found

    def _components(self) -> list[Json]:
        """Give the versions of what runs beside the API server: kubelets, and control plane pods by their images."""
        found = []
        for name, info in self._listed("nodes, so the versions of kubelets", "/api/v1/nodes", _node_info) or ():
            found.append({"component": "kubelet", "instance": name, "version": info.get("kubeletVersion", "")})
        pods = self._listed("pods of kube-system", "/api/v1/namespaces/kube-system/pods", _image_versions) or ()
        return found + [entry for each in pods for entry in each]


def _metric(client: Client, access: Access) -> tuple[Json, ...]:
    """Read the metric of one API server; what we may have set ourselves is left out of it."""
    if access is client.access:
        answer = client.ask("GET", "/metrics", headers={"Accept": "text/plain"})
    else:
        with Client(access) as other:
            answer = other.ask("GET", "/metrics", headers={"Accept": "text/plain"})
    if answer.error or answer.status != _OK:
        raise ClusterError(f"GET {access.server}/metrics: {answer.error or answer.status}")
    text = answer.body.decode("utf-8", "replace")
    return first_seen(access.server, text, deprecated_calls(text))


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=_SECONDS).close()
    except OSError:
        return False
    return True


def _one_version_each(catalog: Catalog) -> Mapping[tuple[str, str], str]:
    """Choose for each resource the version in which its objects are counted: all versions show the same objects."""
    order = {(group.name, version): n for group in catalog.groups for n, version in enumerate(group.versions)}
    found: dict[tuple[str, str], Resource] = {}
    for each in catalog.resources:
        if each.subresource or "list" not in each.verbs:
            continue
        best = found.get((each.group, each.name))
        if best is None or order.get((each.group, each.version), 99) < order.get((best.group, best.version), 99):
            found[each.group, each.name] = each
    return {key: each.version for key, each in found.items()}


def _crd(item: Json) -> Json:
    spec, status = item["spec"], item.get("status") or {}
    keys = ("name", "served", "storage", "deprecated", "deprecationWarning")
    conversion = spec.get("conversion") or {}
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    return {
        "name": item["metadata"]["name"],
        "group": spec["group"],
        "plural": spec["names"]["plural"],
        "scope": spec["scope"],
        "versions": [{key: each[key] for key in keys if key in each} for each in spec["versions"]],
        "storedVersions": status.get("storedVersions") or [],
        "conversion": {"strategy": conversion.get("strategy", "None"), "service": service},
        "spec": _without_bundles(spec),
    }


def _without_bundles(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_bundles(each) for key, each in value.items() if key != "caBundle"}
    return [_without_bundles(each) for each in value] if isinstance(value, list) else value


def _api_service(item: Json) -> Json:
    spec = item["spec"]
    conditions = (item.get("status") or {}).get("conditions") or ()
    available: Json = next((each for each in conditions if each.get("type") == "Available"), {})
    return {
        "name": item["metadata"]["name"],
        "service": spec.get("service"),
        "insecure": bool(spec.get("insecureSkipTLSVerify")),
        "available": available.get("status", "Unknown"),
        "reason": available.get("reason", ""),
    }


def _account(item: Json) -> str:
    """Name the account of a pod; nothing else of it is kept."""
    name = (item.get("spec") or {}).get("serviceAccountName") or "default"
    return f"{item['metadata'].get('namespace', '')}/{name}"


def _of_a_run(item: Json) -> bool:
    return RUN in ((item.get("metadata") or {}).get("labels") or {})


def _labelled(item: Json) -> Json:
    return {"name": item["metadata"]["name"], "labels": item["metadata"].get("labels") or {}}


def _node_info(item: Json) -> tuple[str, Json]:
    return item["metadata"]["name"], (item.get("status") or {}).get("nodeInfo") or {}


def _image_versions(item: Json) -> list[Json]:
    labels = item["metadata"].get("labels") or {}
    component = labels.get("component") if labels.get("tier") == "control-plane" else labels.get("k8s-app")
    if component not in {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kube-proxy"}:
        return []
    images = [str(each.get("image", "")) for each in (item.get("spec") or {}).get("containers") or ()]
    tags = [image.rpartition(":")[2].partition("@")[0] for image in images if ":" in image.rpartition("/")[2]]
    return [{"component": component, "instance": item["metadata"]["name"], "version": tag} for tag in tags[:1]]
