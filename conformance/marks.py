"""Which deprecated calls an API server had counted before this tool first asked it.

The server's metric says since its start that somebody called, not who. Reading a deprecated API's warning is such a
call, so what was set before our first one is remembered for each server process, and what came later tells nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_state_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.model import Json

_START = re.compile(r"^process_start_time_seconds\s+(\S+)", re.MULTILINE)


def first_seen(server: str, metrics: str, calls: Iterable[Json]) -> tuple[Json, ...]:
    """Give the calls that this server process had counted when we first looked, which is now unless a file says so."""
    now = tuple(calls)
    started = _START.search(metrics)
    if started is None:
        return now
    name = hashlib.sha256(f"{server} {started[1]}".encode()).hexdigest()[:32]
    file = _folder() / f"{name}.json"
    with contextlib.suppress(OSError, ValueError):
        return tuple(json.loads(file.read_text("utf-8")))
    with contextlib.suppress(OSError):  # a machine that keeps nothing knows only what the server says
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(now), "utf-8")
    return now


def _folder() -> Path:
    chosen = os.environ.get("KUBE_CONFORMANCE_STATE")
    return (Path(chosen) if chosen else user_state_path("kube-conformance")) / "deprecated-calls"
