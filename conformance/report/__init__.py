"""The judged run as files: one module a format, found by walking this package.

A format is a module with `NAME` (as in `report RUN -o NAME`), `FILE` (its name in a run's folder, None where it has
none) and `render`. Rendering reads no clock and no network: equal matrices give equal bytes.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from conformance.model import Matrix


class Evidence(Protocol):
    """The stored requests and answers of a run, where the report may show them."""

    def exchange(self, endpoint_id: str, identity_name: str) -> dict[str, Any] | None:
        """Return the stored request and answer of a cell (method, path, query, status, message...), redacted."""


class Format(Protocol):
    """A module of this package that renders a matrix."""

    NAME: str
    FILE: str | None

    @staticmethod
    def render(matrix: Matrix, evidence: Evidence | None = None) -> bytes:
        """Return the whole file."""


def formats() -> dict[str, Format]:
    """Every format by its name. Modules without `render` are what formats share."""
    found: dict[str, Format] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        if not hasattr(module, "render"):
            continue
        rendering = cast("Format", module)
        if rendering.NAME in found:
            raise RuntimeError(f"two report formats are named {rendering.NAME}: the second is {module.__name__}")
        found[rendering.NAME] = rendering
    return found


def write_all(matrix: Matrix, directory: Path, evidence: Evidence | None = None) -> list[Path]:
    """Write the file of each format that has one into `directory`; each appears whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for rendering in formats().values():
        if rendering.FILE is not None:
            path = directory / rendering.FILE
            write(path, rendering.render(matrix, evidence))
            written.append(path)
    return written


def write(path: Path, content: bytes) -> None:
    """Put `content` at `path`, so that nobody ever reads half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
