"""What goes wrong with kind clusters is one error, and nothing is left of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import orjson
import pytest
from kindplaces import state_of

from conformance.clusters import engines, kindmaking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kindplaces import Done, Place

PATIENCE = 180.0
MAPPED = """kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  extraPortMappings:
  - {{containerPort: 30080, hostPort: {port}, listenAddress: 127.0.0.1}}
"""


def wait(done: Callable[[], object]) -> None:
    """Wait until it is so."""
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.1)


def one_error(done: Done, code: int, *words: str) -> None:
    """Hold that it ended with this code and one sentence with these words."""
    assert done.code == code, done.said[-2000:]
    assert "Traceback" not in done.said
    errors = [line for line in done.errors.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.errors[-2000:]
    for word in words:
        assert word in errors[0], errors[0]


def nothing_left(place: Place, engine: str, name: str) -> None:
    """Hold that neither a container nor a record is left."""
    wait(lambda: not engines.nodes(engine, name))
    assert name not in state_of(place)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_creation_that_is_interrupted_leaves_nothing(place: Place, engine: str, number: signal.Signals) -> None:
    name = place.name(number.name.lower())
    process = place.start("cluster", "up", "--provider", "kind", "--name", name)
    wait(lambda: engines.nodes(engine, name) or process.poll() is not None)
    process.send_signal(number)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "Traceback" not in output + errors
    wait(lambda: not engines.nodes(engine, name))
    # Whoever was killed cannot tidy its record up: it holds no cluster, and is written over.
    down = place.run("cluster", "down", "--provider", "kind", "--name", name)
    assert down.code == 0, down.said
    nothing_left(place, engine, name)


def test_an_audit_that_is_killed_leaves_no_cluster(place: Place, engine: str, tmp_path: Path) -> None:
    before = set(engines.clusters(engine))
    process = place.start("audit", "--cluster=kind", f"--reports={tmp_path}")
    wait(lambda: set(engines.clusters(engine)) - before or process.poll() is not None)
    process.kill()
    process.communicate(timeout=PATIENCE)
    wait(lambda: not set(engines.clusters(engine)) - before)


def test_a_port_in_use(place: Place, engine: str, tmp_path: Path) -> None:
    name, config = place.name("port"), tmp_path / "kind.yaml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config.write_text(MAPPED.format(port=taken.getsockname()[1]), "utf-8")
        done = place.run("cluster", "up", "--provider", "kind", "--name", name, "--config", str(config))
    one_error(done, 5, "a port that the configuration maps is in use")
    nothing_left(place, engine, name)


def test_an_image_that_is_nowhere(place: Place, engine: str) -> None:
    name = place.name("image")
    done = place.run("cluster", "up", "--provider", "kind", "--name", name, "--image", "localhost:1/no/such:image")
    one_error(done, 5, "nox -s node-image")
    nothing_left(place, engine, name)


def test_a_configuration_that_is_none(place: Place, engine: str, tmp_path: Path) -> None:
    name, config = place.name("config"), tmp_path / "kind.yaml"
    config.write_text("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodez: []\n", "utf-8")
    done = place.run("cluster", "up", "--provider", "kind", "--name", name, "--config", str(config))
    one_error(done, 5, "nodez")
    nothing_left(place, engine, name)


@pytest.mark.parametrize("taken", [56, 52], ids=["kubeconfig", "record"])
def test_a_disk_without_room_for_what_is_known_of_it(place: Place, engine: str, tmp_path: Path, taken: int) -> None:
    name = place.name(f"full{taken}")
    with disk(tmp_path / "state", 64 << 10) as state:
        (state / "ballast").write_bytes(bytes(taken << 10))
        done = place.run("cluster", "up", "--provider", "kind", "--name", name, KUBE_CONFORMANCE_STATE=str(state))
        assert not list(state.glob("clusters/kind/*/*"))
    one_error(done, 5, "the disk is full")
    wait(lambda: not engines.nodes(engine, name))


def test_an_engine_whose_disk_is_full(place: Place, engine: str, tmp_path: Path) -> None:
    if engine != "docker":
        pytest.skip("an engine of its own is started as Docker's is")
    name = place.name("small")
    with small_docker(tmp_path) as host:
        done = place.run("cluster", "up", "--provider", "kind", "--name", name, DOCKER_HOST=host)
        one_error(done, 5, "the disk is full")
        environment = place.environment(DOCKER_HOST=host)
        left = subprocess.run(["docker", "ps", "-aq"], env=environment, capture_output=True, text=True, check=True)
        assert left.stdout == ""
    nothing_left(place, engine, name)


def test_a_cluster_that_is_deleted_under_a_run(place: Place, engine: str, tmp_path: Path) -> None:
    name = place.name("gone")
    made = place.run("cluster", "up", "--provider", "kind", "--name", name)
    assert made.code == 0, made.said
    process = place.start("audit", "--cluster=kind", f"--context={name}", f"--reports={tmp_path}", "--no-checks")
    assert process.stderr is not None
    said_first = b""
    while b"requests/s" not in said_first:  # the first items have passed
        part = os.read(process.stderr.fileno(), 4096)
        assert part, said_first
        said_first += part
    for node in engines.nodes(engine, name):
        subprocess.run([engine, "rm", "-f", "-v", node], check=True, capture_output=True)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 5, (output + errors)[-3000:]
    said = [line for line in (output + errors).splitlines() if "does not answer any more" in line]
    assert said, (output + errors)[-3000:]
    assert "Traceback" not in output + errors
    matrix = orjson.loads((tmp_path / "latest" / "matrix.json").read_bytes())
    assert not matrix["run"]["complete"]
    assert matrix["summary"]["verdicts"]["fail"] == 0
    assert matrix["summary"]["verdicts"]["pass"] > 0
    down = place.run("cluster", "down", "--provider", "kind", "--name", name)
    assert down.code == 0, down.said
    nothing_left(place, engine, name)


# --- disks of a size --------------------------------------------------------------------------------------------------


@contextmanager
def disk(folder: Path, size: int) -> Iterator[Path]:
    """Have a file system of so many bytes in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def small_docker(folder: Path) -> Iterator[str]:
    """Have a Docker daemon of our own, with the node image and little room beside it; gives its address."""
    image = kindmaking.node_image("docker", None)
    if image is None:
        pytest.skip("no node image of ours is here")
    host = f"unix://{folder}/docker.sock"
    environment = os.environ | {"DOCKER_HOST": host}
    with disk(folder / "data", 3 << 30) as data:
        command = ["dockerd", f"--data-root={data}", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
        command += [f"--host={host}", "--bridge=none", "--iptables=false", "--ip6tables=false"]
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            asked = ["docker", "info"]
            wait(lambda: subprocess.run(asked, env=environment, capture_output=True, check=False).returncode == 0)
            with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
                load = ["docker", "load"]
                subprocess.run(load, stdin=saved.stdout, env=environment, check=True, capture_output=True)
            free = shutil.disk_usage(data).free - (100 << 20)
            with (data / "ballast").open("wb") as ballast:
                os.posix_fallocate(ballast.fileno(), 0, free)
            yield host
        finally:
            daemon.terminate()
            daemon.wait(60)
