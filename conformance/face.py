"""What the command `audit` shows of pytest: how far it is instead of dots, and the result instead of long lists.

A plugin beside the runner; pytest started by itself keeps its own face.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from conformance.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator

    from conformance.engine import Counters
    from conformance.runner import Controller

MOST_SHOWN = 20  # failing items that pytest itself shows; more are in the reports, and the worst in the summary


def progress(*, quiet: bool = False) -> Progress:
    """Make the progress of this process: on standard error, live where that is a terminal."""
    stream = sys.stderr
    live = stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
    return Progress(stream, live=live, quiet=quiet, width=lambda: shutil.get_terminal_size().columns)


class Face:
    """Counts items for the progress, and keeps pytest's own lines back."""

    __name__ = "kube-conformance-face"

    def __init__(self, controller: Controller, shown: Progress, *, quiet: bool) -> None:
        self._controller, self._shown = controller, shown
        self._most = 0 if quiet else MOST_SHOWN
        self._verbose = False
        self._failed = False

    @property
    def _counters(self) -> Counters:
        return self._controller.counters

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Begin to count."""
        self._verbose = session.config.option.verbose >= 0
        if session.items and not session.config.option.collectonly and not self._verbose:
            self._shown.begin("asking", len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Begin to count: the workers have collected."""
        del node
        if not self._verbose:
            self._shown.begin("asking", len(ids))

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self) -> Generator[None, tuple[str, str, Any], tuple[str, str, Any]]:
        """Give no letter to an item: the progress counts it."""
        category, letter, word = yield
        return category, letter if self._verbose else "", word

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count an item when it is done."""
        self._failed = self._failed or report.failed
        if report.when == "teardown":
            self._shown.step(failed=self._failed, sent=self._counters.sent)
            self._failed = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """End the progress; of very many failures pytest shows none, for the summary shows the worst."""
        self._shown.end()
        if session.testsfailed > self._most and not self._verbose:
            session.config.option.tbstyle = "no"
            reporter = session.config.pluginmanager.get_plugin("terminalreporter")
            if reporter is not None:
                reporter.reportchars = ""
