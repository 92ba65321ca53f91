"""What an auditor cannot see of a cluster, said before the first probe, and whether the cluster can be seen at all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Access, Snapshot

SILENCE = 5.0  # seconds without any answer after which a server counts as gone
_FORBIDDEN = 403
_LOOKS = (
    ("/api/v1/nodes", "the nodes", "checks of live nodes are left out"),
    (
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "the CustomResourceDefinitions",
        "checks of custom resources are left out",
    ),
)


def unseen(client: Client, frozen: Snapshot, *, reviews: bool, checks: bool, unasked: int) -> Iterator[str]:
    """Say what the auditor may not read and what that costs; docs/permissions.md says what would mend it.

    `reviews` is whether it may ask reviews about others, `unasked` how many namespaces are not asked for want of sight.
    """
    yield from frozen.notes
    if frozen.rbac.incomplete:
        kinds = ", ".join(dict.fromkeys(each.partition(":")[0].partition(" in ")[0] for each in frozen.rbac.incomplete))
        yield f"RBAC could not be read ({kinds}): of the rules only what they allow is known, and not what they deny"
    if unasked:
        yield (
            f"{unasked} namespaces are not asked, as it cannot be read who is bound there; --namespaces names"
            " those to be asked"
        )
    if not reviews:
        yield "others cannot be reviewed (create subjectaccessreviews): each identity reviews itself, where it may"
    for path, what, cost in _LOOKS if checks else ():
        if client.ask("GET", path, query={"limit": "1"}).status == _FORBIDDEN:
            yield f"{what} could not be read: {cost}"


def silence(access: Access) -> str:
    """Say that a server does not answer any more; empty as soon as it does, to anything."""
    until, last = time.monotonic() + SILENCE, ""
    while time.monotonic() < until:
        with Client(access) as client:
            answer = client.ask("GET", "/readyz")
        if not answer.error:
            return ""
        last = answer.error
        time.sleep(0.5)
    return f"{access.server} does not answer any more ({last}): the run ends here, with what was asked before"
