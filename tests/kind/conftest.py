"""Real kind clusters: a container engine has to answer, and a node image be there; `nox -s node-image` builds one."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from kindplaces import HOST, Place, kept, mounted

from conformance.clusters import engines, kind, kindmaking

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def engine() -> str:
    """The container engine; without one nothing here can be true, so nothing passes."""
    problem = kind.is_available()
    if problem is not None:
        pytest.fail(f"kind: NOT RUN: {problem}", pytrace=False)
    found = engines.engine()
    if not engines.images(found, kindmaking.REPOSITORY) and not os.environ.get(kindmaking.IMAGE):
        pytest.fail(f"kind: NOT RUN: no image {kindmaking.REPOSITORY}; `nox -s node-image` builds one", pytrace=False)
    return found


@pytest.fixture(scope="session")
def place(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Where this session works; what its clusters leave is an error of the session."""
    before = set(kept(engine))
    found = Place(tmp_path_factory.mktemp("kind"))
    yield found
    left = [name for name in engines.clusters(engine) if name.startswith(found.mark)]
    for name in left:
        subprocess.run([kindmaking.program(), "delete", "cluster", "--name", name], check=False, capture_output=True)
    assert not left, f"clusters were left: {left}"
    assert set(kept(engine)) <= before, "volumes were left"


@pytest.fixture(scope="session")
def lasting(place: Place) -> Iterator[str]:
    """A cluster of two nodes that `cluster up` made, by its name."""
    name = place.name("lasting")
    done = place.run("cluster", "up", "--provider", "kind", "--name", name, "--nodes", "2")
    assert done.code == 0, done.said
    yield name
    done = place.run("cluster", "down", "--provider", "kind", "--name", name)
    assert done.code == 0, done.said


@pytest.fixture(scope="session")
def foreign(place: Place, engine: str) -> Iterator[str]:
    """A cluster that somebody else made with the command kind itself; its node sees the folders of our Python."""
    name, file = place.name("foreign"), place.folder / "foreign.yaml"
    image = kindmaking.node_image(engine, None)
    config = place.folder / "foreign-kind.yaml"
    mounts = [{"hostPath": it, "containerPath": f"{HOST}{it}", "readOnly": True} for it in mounted()]
    node = {"role": "control-plane", "extraMounts": mounts}
    config.write_text(yaml.safe_dump({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [node]}))
    command = [kindmaking.program(), "create", "cluster", "--name", name, "--kubeconfig", str(file), "--wait", "3m"]
    command += ["--config", str(config)]
    subprocess.run([*command, *(("--image", image) if image else ())], check=True, capture_output=True)
    yield name
    delete = [kindmaking.program(), "delete", "cluster", "--name", name, "--kubeconfig", str(file)]
    subprocess.run(delete, check=True, capture_output=True)
