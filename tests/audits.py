"""Runs the command `audit` in a process of its own, against a cluster that a test has already.

As a program: `python audits.py CLUSTER ARGS...`, where CLUSTER is a pickled Cluster.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import pickle
import re
import subprocess
import sys
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from conformance.model import Cluster

MINUTES = 6 * 60.0
SEED = int(os.environ.get("KUBE_CONFORMANCE_SEED", "1"))  # another one looks at other cells
RUN_ID = re.compile(r"\d{8}t\d{6}-[0-9a-f]{4}")
RBAC = "/apis/rbac.authorization.k8s.io/v1"
_PACKED = re.compile(rb">\s*([A-Za-z0-9+/=]{200,})\s*<")


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit left."""

    code: int
    output: str
    reports: Path

    @property
    def directory(self) -> Path:
        """The folder of the run."""
        return (self.reports / "latest").resolve(strict=True)

    def matrix(self) -> Any:
        """matrix.json."""
        return orjson.loads((self.directory / "matrix.json").read_bytes())


def start(cluster: Cluster, reports: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start an audit of a cluster, without checks unless they are asked for. What follows `--` goes to pytest."""
    if "--checks" not in arguments:
        arguments = ("--no-checks", *arguments)
    reports.mkdir(parents=True, exist_ok=True)
    given = reports / "cluster.pickle"
    given.touch(0o600)
    given.write_bytes(pickle.dumps(replace(cluster, audit_log=None)))
    command = [sys.executable, __file__, str(given), "audit", "--reports", str(reports), *arguments]
    return subprocess.Popen(
        command,
        cwd=reports,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},  # so that it is what the test tests
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str], reports: Path) -> Audited:
    """Wait for an audit."""
    try:
        output, _ = process.communicate(timeout=MINUTES)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return Audited(process.returncode, output, reports)


def audit(cluster: Cluster, reports: Path, *arguments: str) -> Audited:
    """Run an audit of a cluster to its end."""
    return end(start(cluster, reports, *arguments), reports)


def masked(text: str) -> str:
    """Take the run's names out, whichever run's they are."""
    from conformance.placeholders import Placeholders  # noqa: PLC0415  # this file is a program, too

    for found in set(RUN_ID.findall(text)):
        text = Placeholders(found, f"kc-{found}-own", f"kc-{found}-other", f"kc-{found}-absent").mask(text)
    return text


def unpacked(file: Path) -> bytes:
    """Give the content of a report with all that is packed in it laid open."""
    content = file.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    return _PACKED.sub(lambda it: zlib.decompress(base64.b64decode(it[1]), -zlib.MAX_WBITS), content)


def kubeconfig(cluster: Cluster, folder: Path, server: str | None = None) -> Path:
    """Write a kubeconfig of the cluster's admin."""

    def encoded(pem: bytes | None) -> str:
        return base64.b64encode(pem or b"").decode()

    admin = cluster.admin
    user = {"client-certificate-data": encoded(admin.certificate), "client-key-data": encoded(admin.key)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [
            {
                "name": "it",
                "cluster": {"server": server or admin.server, "certificate-authority-data": encoded(admin.ca)},
            }
        ],
        "users": [{"name": "it", "user": user}],
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(document), "utf-8")
    return file


def main() -> None:
    """Be the command, with the cluster that was given."""
    given = Path(sys.argv.pop(1))
    cluster: Cluster = pickle.loads(given.read_bytes())  # noqa: S301  # from the test
    given.unlink()

    from conformance import cli, run  # noqa: PLC0415

    run._open = lambda *_: (cluster, True)
    cli.main()


if __name__ == "__main__":
    main()
