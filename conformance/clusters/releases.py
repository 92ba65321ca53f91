"""The control plane's programs as the official release binaries, checked against pinned SHA-256 sums.

A sum that is not pinned in controlplane/releases.json is taken from beside the file only when the user allows that: it
tells a broken transfer from a good one, but not a good server from a bad one.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance import __version__
from conformance.clusters.gomodule import ETCD, PROGRAMS, required
from conformance.errors import AssetsError
from conformance.files import data

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.clusters import Say
    from conformance.clusters.processes import Programs

KUBERNETES_SITE = "https://dl.k8s.io"
ETCD_SITE = "https://github.com/etcd-io/etcd/releases/download"
CONNECT_SECONDS = 5
STALLED_SECONDS = 30
_WORD_SECONDS = 5
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Release:
    """One file to have: where it is, and the name under which its sum is pinned or published."""

    name: str
    url: str
    sums: str

    @property
    def file(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]


def releases(version: str, platform: str) -> tuple[Release, ...]:
    """List the files of a version (`v1.37.2`) for a platform (`linux/amd64`).

    KUBE_CONFORMANCE_MIRROR is a server with the same paths as dl.k8s.io, and etcd's releases below `/etcd`.
    """
    mirror = os.environ.get("KUBE_CONFORMANCE_MIRROR", "").rstrip("/")
    programs = f"{mirror or KUBERNETES_SITE}/release/{version}/bin/{platform}"
    etcd = required(ETCD)  # any Kubernetes can be served by the etcd of the newest
    folder = f"{mirror}/etcd/{etcd}" if mirror else f"{ETCD_SITE}/{etcd}"
    return (
        Release("etcd", f"{folder}/etcd-{etcd}-{platform.replace('/', '-')}.tar.gz", f"{folder}/SHA256SUMS"),
        *(Release(name, f"{programs}/{name}", f"{programs}/{name}.sha256") for name in PROGRAMS if name != "etcd"),
    )


def pins(version: str, platform: str) -> dict[str, str]:
    """Give the SHA-256 sums that the repository knows, by the name of the file."""
    document = json.loads((data("controlplane") / "releases.json").read_text("utf-8"))
    known: dict[str, str] = document.get(version, {}).get(platform, {})
    return known


def newest(minor: str) -> str:
    """Give the newest patch of a minor version, as the release server says."""
    site = os.environ.get("KUBE_CONFORMANCE_MIRROR", "").rstrip("/") or KUBERNETES_SITE
    return _text(f"{site}/release/stable-{minor}.txt").strip()


def download(home: Programs, version: str, platform: str, *, allow_unpinned: bool, say: Say) -> Path:
    """Download and check the programs of a version; give the folder that holds them."""
    if os.environ.get("KUBE_CONFORMANCE_OFFLINE", "") not in {"", "0"}:
        raise AssetsError("KUBE_CONFORMANCE_OFFLINE is set")
    files, pinned = releases(version, platform), pins(version, platform)
    unpinned = [release.file for release in files if release.file not in pinned]
    if unpinned and not allow_unpinned:
        raise AssetsError(
            f"no SHA-256 of {version} for {platform} is pinned (missing: {', '.join(unpinned)});"
            " --allow-unpinned trusts the sums that the server publishes"
        )
    say(
        f"downloading Kubernetes {version} from {files[-1].url.partition('/release/')[0]}"
        f" ({CONNECT_SECONDS} s to connect; KUBE_CONFORMANCE_OFFLINE=1 skips this)"
    )
    made = home.directory / "programs"
    made.mkdir()
    for release in files:
        wanted = pinned.get(release.file) or _published(release)
        part = home.directory / f"{release.file}.part"
        got = _fetch(release, part, say)
        if got != wanted:
            raise AssetsError(f"{release.url} has the SHA-256 {got}, not {wanted}: it is refused")
        if release.name == "etcd":
            _unpack(part, made / "etcd")
        else:
            part.rename(made / release.name)
        (made / release.name).chmod(0o755)
    return made


def _published(release: Release) -> str:
    """Look a sum up where the release has it: alone in a file, or in a list of `SUM  FILE`."""
    for line in _text(release.sums).splitlines():
        fields = line.split()
        if len(fields) == 1 or (fields and fields[-1].lstrip("*") == release.file):
            return fields[0]
    raise AssetsError(f"{release.sums} says nothing of {release.file}")


def _unpack(archive: Path, target: Path) -> None:
    """Take the one program out of etcd's archive."""
    with tarfile.open(archive) as files:
        for member in files:
            if member.isfile() and member.name.endswith("/etcd"):
                source = files.extractfile(member)
                if source is not None:
                    with source, target.open("wb") as out:
                        shutil.copyfileobj(source, out)
                    archive.unlink()
                    return
    raise AssetsError(f"{archive.name} holds no etcd")


def _text(url: str) -> str:
    with _open(url) as answer:
        said: bytes = answer.read(65536)
        return said.decode("utf-8", "replace")


def _fetch(release: Release, target: Path, say: Say) -> str:
    """Read a file from its server and give its SHA-256; what came short has raised an error."""
    digest, had, said = hashlib.sha256(), 0, time.monotonic()
    with _open(release.url) as answer, target.open("wb") as out:
        size = int(answer.headers.get("Content-Length") or 0)
        try:
            while block := answer.read(_BLOCK):
                digest.update(block)
                out.write(block)
                had += len(block)
                if time.monotonic() - said > _WORD_SECONDS:
                    said = time.monotonic()
                    say(f"  {release.file}: {had >> 20} of {size >> 20} MB")
        except (TimeoutError, ConnectionError, http.client.HTTPException) as problem:
            raise AssetsError(f"{release.url} stopped after {had} bytes: {_reason(problem)}") from problem
    if had != size and size:
        raise AssetsError(f"{release.url} ended after {had} of {size} bytes")
    return digest.hexdigest()


class _Patient(http.client.HTTPConnection):
    """Connects soon or not at all, and then bears a stall."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(STALLED_SECONDS)


class _PatientTls(http.client.HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(STALLED_SECONDS)


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Patient, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_PatientTls, req)


def _open(url: str) -> Any:
    """Ask for a URL; proxies come from HTTPS_PROXY and its kin, as everywhere."""
    request = urllib.request.Request(url, headers={"User-Agent": f"kube-conformance/{__version__}"})
    try:
        return urllib.request.build_opener(_Http, _Https).open(request, timeout=CONNECT_SECONDS)
    except urllib.error.HTTPError as problem:
        problem.close()
        raise AssetsError(f"{url}: {problem.code} {problem.reason}") from problem
    except (OSError, ValueError, http.client.HTTPException) as problem:
        raise AssetsError(f"{url}: {_reason(problem)}") from problem


def _reason(problem: Exception) -> str:
    reason = getattr(problem, "reason", None) or problem
    return str(reason) or type(problem).__name__
