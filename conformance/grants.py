"""The roles and bindings that a question is about, all of them: a cluster's, a saved run's, or those of files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.errors import ClusterError, UsageError
from conformance.rbac.resolver import filled
from conformance.rbac.served import Served

if TYPE_CHECKING:
    from conformance.model import Catalog, Rbac
    from conformance.questions import Asked
    from conformance.risks.finding import Places
    from conformance.store import SavedRun


@dataclass(frozen=True, slots=True)
class Grants:
    """RBAC objects and what is served; `places` says where each object stands in files, `run` is there for a run."""

    rbac: Rbac
    served: Served
    catalog: Catalog | None = None
    places: Places = field(default_factory=dict)
    run: SavedRun | None = None
    origin: str = ""


def read(asked: Asked) -> Grants:
    """Read what a question names; without a name it is the current context's cluster."""
    if asked.files:
        return of_files(asked.files, asked.namespace or "")
    if asked.run:
        from conformance.store import SavedRun  # noqa: PLC0415  # only what is needed, so that the answer comes at once

        saved = SavedRun(asked.run)
        catalog = saved.snapshot.catalog
        origin = f"run {saved.head.id} of {saved.head.server}, Kubernetes {saved.head.server_version}"
        return Grants(saved.snapshot.rbac, Served.of(catalog), catalog, run=saved, origin=origin)
    return _live(asked)


def of_files(files: tuple[Path, ...], namespace: str = "") -> Grants:
    """Read manifests; aggregated roles that no controller has filled are filled as it would."""
    from conformance import manifests  # noqa: PLC0415

    found = manifests.read(files, namespace=namespace)
    places = {key: (_shown(file), line) for key, (file, line) in found.places.items()}
    origin = f"files {', '.join(map(str, files))}"
    return Grants(filled(found.rbac), Served.without_server(found.defined), places=places, origin=origin)


def _shown(file: Path) -> str:
    """Give a file's name as code-scanning pages want it: relative to where the command runs, where it is below."""
    if file == Path("-"):
        return "stdin"
    try:
        return file.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return file.as_posix()


def _live(asked: Asked) -> Grants:
    from conformance import discovery, snapshot  # noqa: PLC0415
    from conformance.clusters import kubeconfig  # noqa: PLC0415
    from conformance.transport import Client  # noqa: PLC0415

    config = kubeconfig.read(asked.kubeconfig)
    context = config.context(asked.context or kubeconfig.CURRENT)
    with Client(config.access(context)) as client:
        rbac = snapshot.reread_rbac(client, namespaces=[asked.namespace or config.namespace(context)])
        if not (rbac.cluster_roles or rbac.roles or rbac.role_bindings or rbac.cluster_role_bindings):
            raise UsageError(f"no role or binding could be read: {'; '.join(rbac.incomplete) or 'there are none'}")
        try:
            catalog = discovery.discover(client)
        except ClusterError:
            catalog = None  # who may not discover may still read roles
        origin = client.access.server
    served = Served.of(catalog) if catalog else Served.without_server({})
    return Grants(rbac, served, catalog, origin=origin)
