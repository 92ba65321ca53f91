"""What differs and what the gate makes of it, as a file: one module a format, found by walking this package.

A format is a module with `NAME` and `render(Comparison)`. Equal comparisons give equal bytes.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from conformance.model import Difference, Gate

OUTCOMES = ("fail", "waived", "warn", "pass")


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is shown: the two sides as name, version and moment (one side alone has no `before`)."""

    gate: Gate
    after: tuple[str, str, str]
    before: tuple[str, str, str] | None = None
    complaints: tuple[str, ...] = ()
    decided: bool = True  # by a gate; else what differs is only told

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What differs, what fails first."""
        found = self.gate.differences or ()
        return tuple(sorted(found, key=lambda it: OUTCOMES.index(it.outcome))) if self.decided else found

    @property
    def heading(self) -> str:
        """Name both sides."""
        sides = [f"{name} ({version})" for name, version, _ in filter(None, (self.before, self.after))]
        return " → ".join(sides)


class Format(Protocol):
    """A module of this package that renders a comparison."""

    NAME: str

    @staticmethod
    def render(comparison: Comparison) -> bytes:
        """Return the whole file."""


def formats() -> dict[str, Format]:
    """Every format by its name."""
    found: dict[str, Format] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        rendering = cast("Format", module)
        if rendering.NAME in found:
            raise RuntimeError(f"two formats of differences are named {rendering.NAME}")
        found[rendering.NAME] = rendering
    return found
