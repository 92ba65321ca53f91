"""What is dangerous in a cluster's roles and bindings: risk rules as data, and the findings that they come to.

A rule is one YAML file of `rules/`, or of a folder of the user's, in the form that `rule.py` reads.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.errors import FileError, UsageError
from conformance.risks.rule import Risk, parse, read

if TYPE_CHECKING:
    from collections.abc import Iterable

RULES = Path(__file__).resolve().parent / "rules"


def catalogue(folder: Path | None = None) -> tuple[Risk, ...]:
    """Give the packaged rules, and those of a folder of the user's after them, each by the order of file names."""
    return _packaged() if folder is None else with_own((file, file.read_text("utf-8")) for file in files_of(folder))


def with_own(files: Iterable[tuple[Path | str, str]]) -> tuple[Risk, ...]:
    """Give the packaged rules, and after them those that files of the user's held."""
    return _unique((*_packaged(), *(parse(Path(file), content) for file, content in files)))


def texts(folder: Path) -> tuple[tuple[str, str], ...]:
    """Give the files of a folder of rules as a run stores them, once each is known to be right."""
    found = [(file, file.read_text("utf-8")) for file in files_of(folder)]
    with_own(found)
    return tuple((file.name, content) for file, content in found)


def files_of(folder: Path) -> list[Path]:
    """List the files of a folder of rules."""
    files = sorted(file for file in folder.glob("*") if file.suffix in {".yaml", ".yml"}) if folder.is_dir() else []
    if not files:
        raise UsageError(f"{folder}: a folder with risk rules, one YAML file each, is needed here")
    return files


@cache
def _packaged() -> tuple[Risk, ...]:
    return _unique(read(file, quick=True) for file in sorted(RULES.glob("*.yaml")))


def _unique(risks: Iterable[Risk]) -> tuple[Risk, ...]:
    found: dict[str, Risk] = {}
    for risk in risks:
        if risk.id in found:
            raise FileError(risk.file, risk.line, f"id: {risk.id} is the id of {found[risk.id].file} already")
        found[risk.id] = risk
    return tuple(found.values())
