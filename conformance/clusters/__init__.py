"""Where a cluster comes from: one file a provider, found by walking this package.

A provider is a module that has the attributes of `Provider`; adding one is a new file here and no edit elsewhere.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from conformance.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from conformance.model import Cluster

Say: TypeAlias = "Callable[[str], None]"


def announce(sentence: str) -> None:
    """Tell the user on stderr what is going on."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Status:
    """A named cluster as it is now. `running` is what its server says, `problem` why it does not."""

    provider: str
    name: str
    version: str
    server: str
    kubeconfig: Path
    running: bool
    problem: str = ""


class Provider(Protocol):
    """One way to have a cluster that we may do anything to."""

    NAME: str

    def is_available(self) -> str | None:
        """Say why this machine cannot have such a cluster; None when it can."""

    def running(
        self, version: str | None = None, *, allow_unpinned: bool = False, say: Say = announce
    ) -> AbstractContextManager[Cluster]:
        """Have a cluster for as long as the block lasts."""

    def up(
        self, name: str, version: str | None = None, *, allow_unpinned: bool = False, say: Say = announce
    ) -> Cluster:
        """Have a cluster that outlives this process; one of this name that runs already is used again."""

    def down(self, name: str, *, say: Say = announce) -> bool:
        """End the cluster of this name and leave nothing of it; False when there is none."""

    def status(self, name: str) -> Status | None:
        """Look how the cluster of this name is; None when there is none."""

    def names(self) -> tuple[str, ...]:
        """List the clusters that `up` made and `down` has not ended."""


def providers() -> Iterator[Provider]:
    """Give every provider, in the order of their names."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        found = importlib.import_module(f"{__name__}.{module.name}")
        if hasattr(found, "NAME") and hasattr(found, "up"):
            yield cast("Provider", found)


def provider(name: str) -> Provider:
    """Give the provider of this name."""
    known = {found.NAME: found for found in providers()}
    if name not in known:
        raise UsageError(f"there is no cluster provider {name!r}; there are {', '.join(known)}")
    return known[name]
