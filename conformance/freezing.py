"""Server -> the folder of a snapshot, in the order that keeps our own reading out of the evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from conformance import moments, snapshot
from conformance.evidence import Gathering
from conformance.openapi import Documents
from conformance.usage import audited_calls

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conformance.transport import Client


def freeze(client: Client, folder: Path, *, logs: Sequence[Path] = (), run: Path | None = None) -> tuple[str, ...]:
    """Write a snapshot of the cluster; gives what could not be seen, one sentence each."""
    moment = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    audited = [call for log in logs for call in audited_calls(log)] if logs else None  # a wrong file is told first
    gathering = Gathering(client)
    whole = snapshot.without_runs(snapshot.take(client))  # an audit's own may still be on their way out
    taken = replace(whole, deprecated_calls=None)  # evidence has it, without our own calls
    evidence = gathering.rest(taken.catalog) | {"audit": audited}
    documents = Documents(client, taken.openapi)
    contents = {key: documents.raw(key) for key in taken.openapi}
    gathering.unseen += [f"the OpenAPI document {key}" for key, raw in contents.items() if not raw]
    gathering.unseen += [*taken.notes, *taken.catalog.notes, *taken.rbac.incomplete]
    read = {key: raw for key, raw in contents.items() if raw}
    moments.write(folder, taken, evidence, read, taken_at=moment, run=run)
    return tuple(gathering.unseen)
