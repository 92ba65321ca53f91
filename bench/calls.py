"""The calls of an audit as data that other programs can send: recorded once, with identities that stay alive."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance import transport
from conformance.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conformance.model import Access, Outcome, Request, Response, Review
    from conformance.run import Work

_TAKEN_OUT = "expect"  # a header that only tells libcurl not to send one


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it went out, and the status that it brought."""

    access: Access
    request: Request
    status: int

    @property
    def target(self) -> str:
        """Path and query, escaped."""
        return transport.url_of(self.access, self.request).removeprefix(self.access.server.rstrip("/"))

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers, the credential's among them."""
        request, access = self.request, self.access
        headers = [*access.headers, *request.headers, ("User-Agent", transport.USER_AGENT)]
        if access.token is not None:
            headers.append(("Authorization", f"Bearer {access.token}"))
        return [pair for pair in headers if pair[0].lower() != _TAKEN_OUT]


def statuses(calls: Sequence[Call]) -> Counter[int]:
    """How often each status came."""
    return Counter(call.status for call in calls)


class _Recorder(Engine):
    """An engine that keeps what it sent. Only the last try of a call is kept: it is the one that was answered."""

    def __init__(self, work: Work) -> None:
        super().__init__(
            work.plan, work.accesses, work.reviewer, work.placeholders, work.limits, user_agent=work.user_agent
        )
        self.calls: list[Call] = []

    def _read(self, work: Any, response: Response) -> Outcome | Review:
        self.calls.append(Call(self._accesses[work.access], work.request, response.status))
        return super()._read(work, response)


def record(work: Work) -> list[Call]:
    """Ask a whole plan, and give every call of it in the order of the answers."""
    engine = _Recorder(work)
    try:
        engine.run_ahead(work.plan.rows)
        for row in work.plan.rows:
            engine.answers(row)
    finally:
        engine.close()
    return engine.calls


def write(calls: Sequence[Call], file: Path) -> None:
    """Write them for tools/replay, which says what each line holds."""
    admin = calls[0].access
    pairs = list(dict.fromkeys((c.access.certificate, c.access.key) for c in calls if c.access.certificate))
    certificates = [{"certificate": (c or b"").decode(), "key": (k or b"").decode()} for c, k in pairs]
    with file.open("w", encoding="utf-8") as out:
        json.dump({"server": admin.server, "ca": (admin.ca or b"").decode(), "certificates": certificates}, out)
        for call in calls:
            shown = call.access.certificate, call.access.key
            line = {
                "method": call.request.method,
                "path": call.target,
                "headers": call.headers,
                "body": (call.request.body or b"").decode(),
                "certificate": pairs.index(shown) if shown in pairs else -1,
                "headersOnly": call.request.headers_only,
            }
            out.write("\n")
            json.dump(line, out)
