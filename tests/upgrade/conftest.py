"""Two real versions of the control plane, side by side; and the commands run on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import freezing, moments
from conformance.clusters import embedded
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conformance.model import Cluster
    from conformance.moments import Moment

OLD = "1.36"


@pytest.fixture(scope="session", autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is remembered of servers out of the user's own state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBE_CONFORMANCE_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def old() -> Iterator[Cluster]:
    with embedded.running(OLD, audit_log=True) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def new() -> Iterator[Cluster]:
    with embedded.running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Moment]]:
    """Freeze a cluster, and read back what was kept of it."""

    def freeze(cluster: Cluster, *logs: Path) -> tuple[Path, Moment]:
        folder = tmp_path_factory.mktemp("snapshot")
        with Client(cluster.admin) as client:
            freezing.freeze(client, folder, logs=logs)
        return folder, moments.read(folder)

    return freeze


@pytest.fixture(scope="session")
def before(old: Cluster, frozen: Callable[..., tuple[Path, Moment]]) -> tuple[Path, Moment]:
    return frozen(old)


@pytest.fixture(scope="session")
def after(new: Cluster, frozen: Callable[..., tuple[Path, Moment]]) -> tuple[Path, Moment]:
    return frozen(new)
