"""An upgrade tried out before it happens: a snapshot's policy and definitions in a control plane of the target version.

RBAC is loaded before a restart of the target's server, so that its start-up reconciliation adds to default roles what a
real upgrade adds, and leaves alone those whose autoupdate is off. What can't be carried over is said, and taken out of
the comparison on both sides, so that a rehearsal never calls it gone.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from conformance import freezing, moments
from conformance.clusters import embedded
from conformance.errors import AssetsError, ClusterError
from conformance.transport import Client
from conformance.usage import release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.model import Cluster, Json
    from conformance.moments import Moment

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_SUCCESS = range(200, 300)
_GONE, _CONFLICT = 404, 409
_OWN_SPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
# What a rehearsal has no part in: it stays as it was.
_STAYS = ("webhooks", "apiServices", "components", "accounts", "unseen", "objects", "calls", "audit")


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The target as it came out: the cluster, as long as it lives, what it looks like, and what was left behind."""

    cluster: Cluster
    before: Moment
    after: Moment
    left_behind: tuple[str, ...]
    emulated: str = ""


@contextmanager
def rehearsed(
    source: Moment, version: str, *, emulate: bool = False, say: Callable[[str], None]
) -> Iterator[Rehearsed]:
    """Have the target version with what the source holds, for as long as the block lasts."""
    loading = _Loading(source)
    emulated = f"{release(version)[0]}.{release(version)[1]}" if emulate else ""
    with _target(version, emulated, loading.load, say) as (cluster, emulated_as), TemporaryDirectory() as folder:
        with Client(cluster.admin) as client:
            freezing.freeze(client, Path(folder))
        after = moments.read(Path(folder))
        before, after = _comparable(source, after)
        if emulated_as:
            shown = f"{after.version} as {emulated_as}"
            loading.left.append(
                f"{emulated_as} was emulated by {after.version}: it shows served APIs and gated roles, not schemas"
            )
            after = replace(after, snapshot=replace(after.snapshot, server_version=f"v{emulated_as}.0"), name=shown)
        yield Rehearsed(cluster, before, after, tuple(loading.left), emulated_as)


@contextmanager
def _target(
    version: str, emulated: str, load: Callable[[Cluster], None], say: Callable[[str], None]
) -> Iterator[tuple[Cluster, str]]:
    """Start the target's own programs; where they can't be had, a newer server that emulates it."""
    if not emulated:
        try:
            started = embedded.running(version, load=load, say=say)
            cluster = started.__enter__()
        except AssetsError as problem:
            say(f"no programs of {version} ({problem}); a newer server emulates it")
            emulated = f"{release(version)[0]}.{release(version)[1]}"
        else:
            try:
                yield cluster, ""
            finally:
                started.__exit__(None, None, None)
            return
    with embedded.running(load=load, extra_args=(f"--emulated-version={emulated}",), say=say) as cluster:
        yield cluster, emulated


class _Loading:
    """Puts what a moment holds into an empty cluster; `left` says what it could not."""

    def __init__(self, source: Moment) -> None:
        self._source = source
        self.left: list[str] = []

    def load(self, cluster: Cluster) -> None:
        """Load RBAC, namespaces, CRDs and admission policies, in this order."""
        with Client(cluster.admin) as client:
            self._rbac(client)
            for space in self._source.evidence.get("namespaces") or ():
                if space["name"] not in _OWN_SPACES:
                    self._create(client, "/api/v1/namespaces", "Namespace", "v1", space["name"], labels=space["labels"])
            self._crds(client)
            self._policies(client)
        evidence = self._source.evidence
        self.left += [f"the webhook {it['configuration']}/{it['name']}" for it in evidence.get("webhooks") or ()]
        services = evidence.get("apiServices") or ()
        self.left += [f"the aggregated API {it['name']}" for it in services if it["service"]]
        self.left += [f"not seen in the source: {sentence}" for sentence in evidence.get("unseen") or ()]
        if not evidence:
            self.left.append("namespaces, CRDs and admission policies: a run holds none of them, a snapshot does")

    def _rbac(self, client: Client) -> None:
        """Make the target's RBAC that of the source: an upgraded server finds what the old one left, and no more."""
        rbac = self._source.snapshot.rbac
        wanted = (
            ("clusterrolebindings", "ClusterRoleBinding", rbac.cluster_role_bindings),
            ("clusterroles", "ClusterRole", rbac.cluster_roles),
            ("rolebindings", "RoleBinding", rbac.role_bindings),
            ("roles", "Role", rbac.roles),
        )
        for plural, _, _ in wanted:
            for item in client.get_json(f"{_RBAC}/{plural}")["items"]:
                client.ask("DELETE", _path(f"{_RBAC}", plural, item["metadata"]))
        spaces = {item["metadata"]["namespace"] for _, _, items in wanted[2:] for item in items}
        for space in sorted(spaces):
            client.ask("POST", "/api/v1/namespaces", body={"metadata": {"name": space}})
        for plural, kind, items in wanted:
            for item in items:
                self._put(client, plural, kind, item)
        self.left += [f"RBAC: {sentence}" for sentence in rbac.incomplete]

    def _put(self, client: Client, plural: str, kind: str, item: Json) -> None:
        kept = {key: item["metadata"][key] for key in ("name", "labels", "annotations") if key in item["metadata"]}
        body = {**item, "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": kept}
        path = _path(_RBAC, plural, item["metadata"])
        answer = client.ask("POST", path.rpartition("/")[0], body=body)
        if answer.status not in _SUCCESS:
            self.left.append(f"{kind} {item['metadata']['name']}: {answer.status} {_message(answer.body)}")

    def _crds(self, client: Client) -> None:
        for crd in self._source.evidence.get("crds") or ():
            spec = dict(crd["spec"])
            if (spec.get("conversion") or {}).get("strategy") == "Webhook":
                spec["conversion"] = {"strategy": "None"}
                self.left.append(f"the conversion webhook of {crd['name']}")
            version = "apiextensions.k8s.io/v1"
            self._create(client, _CRDS, "CustomResourceDefinition", version, crd["name"], spec=spec)

    def _policies(self, client: Client) -> None:
        kinds = {
            f"{word}admissionpolic{end}": f"{word.capitalize()}AdmissionPolicy{more}"
            for word in ("validating", "mutating")
            for end, more in (("ies", ""), ("ybindings", "Binding"))
        }
        for policy in self._source.evidence.get("policies") or ():
            path, kind = f"{_ADMISSION}/{policy['of']}", kinds[policy["of"]]
            version = "admissionregistration.k8s.io/v1"
            self._create(client, path, kind, version, policy["name"], spec=policy["spec"])

    def _create(self, client: Client, path: str, kind: str, version: str, name: str, **more: Any) -> None:
        metadata = {"name": name} | ({"labels": more.pop("labels")} if "labels" in more else {})
        body = {"apiVersion": version, "kind": kind, "metadata": metadata, **more}
        answer = client.ask("POST", path, body=body)
        if answer.status not in {*_SUCCESS, _CONFLICT}:
            self.left.append(f"{kind} {name}: the target refuses it: {answer.status} {_message(answer.body)}")


def _comparable(source: Moment, target: Moment) -> tuple[Moment, Moment]:
    """Take out of both sides what a rehearsal has no part in."""
    evidence = target.evidence | {key: source.evidence[key] for key in _STAYS if key in source.evidence}
    if not source.evidence:
        evidence = {}
    if evidence.get("crds") is not None:
        # What is stored stays stored; only the server knows it, and it was not asked to store anything here.
        stored = {it["name"]: it["storedVersions"] for it in source.evidence.get("crds") or ()}
        conversion = {it["name"]: it["conversion"] for it in source.evidence.get("crds") or ()}
        evidence["crds"] = [
            it
            | {
                "storedVersions": stored.get(it["name"], it["storedVersions"]),
                "conversion": conversion.get(it["name"], it["conversion"]),
            }
            for it in evidence["crds"]
        ]
    catalog = source.snapshot.catalog
    own = tuple(it for it in catalog.resources if it.group_version not in catalog.aggregated)
    before = replace(source, snapshot=replace(source.snapshot, catalog=replace(catalog, resources=own)))
    return before, replace(target, name="rehearsal", evidence=evidence)


def _path(prefix: str, plural: str, metadata: Json) -> str:
    space = f"/namespaces/{metadata['namespace']}" if metadata.get("namespace") else ""
    return f"{prefix}{space}/{plural}/{metadata['name']}"


def _message(body: bytes) -> str:
    import orjson  # noqa: PLC0415

    try:
        return str(orjson.loads(body).get("message", ""))[:200]
    except (ValueError, AttributeError):
        return ""


def live(client: Client, folder: Path) -> Moment:
    """Freeze a live cluster into a folder, as what to rehearse from."""
    freezing.freeze(client, folder)
    found = moments.read(folder)
    if not found.snapshot.rbac.cluster_roles:
        raise ClusterError("the roles of the source can't be read, so that there is nothing to rehearse")
    return replace(found, name=client.access.server)
