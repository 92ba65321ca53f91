"""What tests share: one control plane for a whole session."""

from __future__ import annotations

import base64
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import audits
import hypothesis
import pytest
import yaml

from conformance.clusters import assets, embedded
from conformance.model import Access, Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


# Whoever runs the tests in the background of a shell has SIGINT ignored, which every program that they start would
# inherit: those that are to be interrupted would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes to draw says how busy the machine is, and nothing of what is tested.
hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave what takes minutes to whoever names it: tests/kind (`nox -s kind`) and tests/upgrade (`nox -s upgrade`)."""
    apart = collection_path.name
    if collection_path.parent != Path(__file__).parent or apart not in {"kind", "upgrade"}:
        return None
    named = any(apart in Path(argument.partition("::")[0]).parts for argument in config.args)
    return not named or None


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real API server: a control plane of our own, or the cluster of KUBE_CONFORMANCE_TEST_KUBECONFIG."""
    given = os.environ.get("KUBE_CONFORMANCE_TEST_KUBECONFIG")
    if given:
        yield _cluster_of(Path(given))
        return
    with embedded.running(audit_log=True) as started:
        yield started


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """The control plane's kubectl, looked up before a test changes where its cache is looked for."""
    return assets.find().program("kubectl")


@pytest.fixture(scope="session")
def audited(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> audits.Audited:
    """One audit of everything, as the packaged identities, which several files look at."""
    return audits.audit(cluster, tmp_path_factory.mktemp("audited"))


def _cluster_of(kubeconfig: Path) -> Cluster:
    """Read a kubeconfig that holds one cluster and one user, certificates in data."""
    document: dict[str, Any] = yaml.safe_load(kubeconfig.read_text("utf-8"))
    server, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    access = Access(
        server["server"],
        ca=base64.b64decode(server["certificate-authority-data"]),
        certificate=base64.b64decode(user["client-certificate-data"]),
        key=base64.b64decode(user["client-key-data"]),
    )
    return Cluster("embedded", "given", access, ours=True)
