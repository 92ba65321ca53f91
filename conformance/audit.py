"""The command `audit`: the stages up to the plan, then pytest with the packaged configuration."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.face import Face, progress
from conformance.runner import Controller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.config import Options

_SUITES = Path(__file__).resolve().parent / "suites"
_LISTS = frozenset({"--collect-only", "--co"})  # to list what would run needs no cluster
_UNUSED = ("logging", "faulthandler", "unraisableexception", "threadexception", "doctest", "unittest")
_USAGE = 4
_OURS = frozenset({0, 1, 2})  # pytest's codes that mean what ours mean; the run itself says which


def main(options: Options, arguments: Sequence[str], *, quiet: bool = False, verbose: bool = False) -> int:
    """Audit, and give the exit code. `quiet` shows the verdict alone, `verbose` cuts no list."""
    shown = progress(quiet=quiet)
    controller = Controller(options, shown, quiet=quiet, verbose=verbose)
    try:
        if not _LISTS.intersection(arguments):
            controller.prepare(shlex.join(_selecting(arguments)))
        if options.plan:
            _show(controller)
            return 0
        code = pytest.main(
            _arguments(options, ["-q", *arguments] if quiet else arguments),
            plugins=[controller, Face(controller, shown, quiet=quiet)],
        )
    finally:
        controller.undo()
    if int(code) in _OURS or controller.lost:
        return controller.exit_code() if controller.matrix is not None else int(code)
    return _USAGE if int(code) in {4, 5} else int(code)


def _selecting(arguments: Sequence[str]) -> list[str]:
    """Leave out in how many processes it goes: the run is the same."""
    left = iter(arguments)
    kept = []
    for argument in left:
        if argument in {"-n", "--numprocesses", "--dist", "--maxprocesses"}:
            next(left, None)
        elif not argument.startswith(("-n", "--numprocesses=", "--dist=", "--maxprocesses=")):
            kept.append(argument)
    return kept


def _arguments(options: Options, arguments: Sequence[str]) -> list[str]:
    os.environ.pop("PYTEST_ADDOPTS", None)  # a user's own defaults are for a user's own tests
    distributed = any(argument.startswith(("-n", "--numprocesses", "--dist")) for argument in arguments)
    return [
        str(_SUITES),  # by its path: with a name pytest would look for conftest.py files in the working directory
        "-c",
        str(_SUITES / "pytest.ini"),
        f"--rootdir={_SUITES}",
        f"--confcutdir={_SUITES}",
        "--disable-plugin-autoload",
        "-p",
        "conformance.plugin",
        # What these do for every item nobody needs here, and it costs as much as three requests.
        "--capture=no",
        *(part for name in _UNUSED for part in ("-p", f"no:{name}")),
        *(("-p", "xdist") if distributed else ()),
        "-o",
        f"cache_dir={(options.reports / '.pytest_cache').resolve()}",
        "-q",
        *arguments,
    ]


def _show(controller: Controller) -> None:
    """Say what would be sent, to whom, how long that takes, and what would be written."""
    from conformance import estimate  # noqa: PLC0415  # only who wants to know it first

    sys.stdout.write("\n".join(estimate.lines(controller.ready)) + "\n")
