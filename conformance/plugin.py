"""The pytest plugin: a thin face that stays asleep until one of our options or suites is used.

Everything heavy is in conformance.runner, which is imported only then.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from conformance import config as options

if TYPE_CHECKING:
    import pytest

MARKER = "endpoint(group, version, resource, subresource, verb, scope): the endpoint that an item exercises"

_SUITES = Path(__file__).resolve().parent / "suites"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options, spelled `--conformance-NAME`."""
    options.add_pytest_flags(parser.getgroup("kube-conformance"))


def pytest_configure(config: pytest.Config) -> None:
    """Wake up where our suites are to be run."""
    config.addinivalue_line("markers", MARKER)
    if config.pluginmanager.has_plugin("kube-conformance-runner") or not _wanted(config):
        return
    from conformance import runner  # noqa: PLC0415  # the cost of it is for those who use it

    config.pluginmanager.register(runner.for_config(config), "kube-conformance-runner")


def _wanted(config: pytest.Config) -> bool:
    if hasattr(config, "workerinput"):
        return options.WORKER_KEY in config.workerinput
    if any(given is not None for given in options.from_pytest(config).values()):
        return True
    return any(_is_suite(argument) for argument in config.invocation_params.args)


def _is_suite(argument: object) -> bool:
    text = str(argument).partition("::")[0]
    if text.startswith("conformance.suites"):
        return True
    try:
        path = Path(text).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # no file, as a long expression of -k is none
        return False
    return path == _SUITES or _SUITES in path.parents
