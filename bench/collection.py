"""How long pytest takes to collect a plan of so many rows: seconds on stdout.

python -m bench.collection PICKLED_WORK ROWS
"""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
import time
from dataclasses import replace
from itertools import count, cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance import audit, config
from conformance.runner import Controller

if TYPE_CHECKING:
    from collections.abc import Generator

    from conformance.plan import Row
    from conformance.run import Work


class Watch:
    """Takes the time of the collection, in which items are made of rows."""

    seconds = 0.0

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """Time it whole, with what plugins do to the items."""
        began = time.perf_counter()
        result = yield
        self.seconds = time.perf_counter() - began
        return result


def rows(work: Work, wanted: int) -> tuple[Row, ...]:
    """Give so many rows: those that there are, again and again as other resources."""
    found = []
    for row, number in zip(cycle(work.plan.rows), islice(count(), wanted), strict=False):
        rounds = number // len(work.plan.rows)
        endpoint = replace(row.endpoint, version=f"{row.endpoint.version}x{rounds}") if rounds else row.endpoint
        path = f"{endpoint.path}/{rounds}" if endpoint.path and rounds else endpoint.path
        endpoint = replace(endpoint, path=path)
        found.append(replace(row, id=endpoint.id, endpoint=endpoint))
    return tuple(found)


def main(file: str, wanted: str) -> int:
    """Collect, without a cluster, and say how long it took."""
    work: Work = pickle.loads(Path(file).read_bytes())  # noqa: S301  # the bench wrote it
    runner, watch = Controller(config.load({})), Watch()
    runner.work = replace(work, plan=replace(work.plan, rows=rows(work, int(wanted))))
    arguments = audit._arguments(runner.options, ["--collect-only"])  # noqa: SLF001  # as an audit calls pytest
    listed = io.StringIO()
    with contextlib.redirect_stdout(listed):
        code = pytest.main(arguments, plugins=[runner, watch])
    if code or f"{wanted} tests collected" not in listed.getvalue():
        sys.stderr.write(listed.getvalue()[-2000:])
        return 1
    print(watch.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
