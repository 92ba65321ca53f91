"""Where the programs of the control plane come from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.clusters import announce
from conformance.errors import AssetsError

if TYPE_CHECKING:
    from conformance.clusters import Say


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
    """Find the programs of a version."""
    del allow_unpinned, say
    explicit = os.environ.get("KUBE_CONFORMANCE_ASSETS")
    if not explicit:
        raise AssetsError("set KUBE_CONFORMANCE_ASSETS to a directory with the programs")
    return Assets(version or "v1.37.2", Path(explicit))
