"""What a run would do, before it does anything: requests, seconds, and what would be written (`audit --plan`)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.run import Ready

OF_A_CHECK = 8  # requests, on the average; how many it really sends only the answers tell
_SAMPLES = 10
_BUSY = 2.0  # in flight together, requests wait for each other: no server answers all of them as fast as one
_EACH = 0.0016  # seconds of a request where a server of two cores is asked as fast as it answers


def lines(made: Ready) -> Iterator[str]:
    """Give what is printed, a summary first and then every endpoint with its request."""
    work, laid = made.work, made.work.plan
    beyond = work.beyond((*laid.rows, *laid.scripts))
    count = sum(1 for row in laid.rows if row.id not in beyond for _ in laid.calls(row))
    checks = sum(1 for script in laid.scripts if script.id not in beyond)
    yield f"{made.cluster.admin.server}  Kubernetes {work.snapshot.server_version}  mode {laid.mode}"
    yield f"{len(laid.rows)} endpoints x {len(laid.identities)} identities = {laid.planned} cells, {count} requests"
    if checks:
        yield f"{checks} checks, about {checks * OF_A_CHECK} requests"
    yield _time(made, count + checks * OF_A_CHECK)
    yield f"written: {_written(made, checks)}"
    yield from (f"  {scope:<8} {', '.join(names)}" for scope, names in laid.namespaces.items())
    yield from (f"  {identity.name:<20} {identity.kind:<16} {identity.user}" for identity in laid.identities)
    yield from (f"  left out: {name}: {why}" for name, why in made.prepared.left_out)
    yield from (f"  not seen: {each}" for each in made.unseen)
    for row in laid.rows:
        if row.id in beyond:
            yield f"{row.id}  not asked: beyond --max-requests"
        elif row.request is None:
            yield f"{row.id}  review and rules only: {row.refused}"
        else:
            query = "&".join(f"{name}={value}" for name, value in row.request.query)
            yield f"{row.id}  {row.request.method} {row.request.path}{f'?{query}' if query else ''}"


def _time(made: Ready, count: int) -> str:
    limits = made.work.limits
    begun = time.monotonic()
    for _ in range(_SAMPLES):
        made.client.ask("GET", "/version")
    answer = (time.monotonic() - begun) / _SAMPLES
    seconds = count * max(answer * _BUSY / limits.concurrency, _EACH, 1 / limits.qps if limits.qps else 0.0)
    rate = f"at most {limits.qps:g} requests a second and" if limits.qps else "at most"
    return f"{rate} {limits.concurrency} in flight: about {seconds:.0f} s (an answer takes {answer * 1000:.1f} ms now)"


def _written(made: Ready, checks: int) -> str:
    match made.work.plan.mode:
        case "observe":
            return "nothing; no request is sent that could write"
        case "dry-run":
            return "nothing; each write carries dryRun=All"
    objects = " and objects of checks in them" if checks else ""
    return f"{', '.join(made.written)}{objects}; all of it is labelled, and removed at the end"
