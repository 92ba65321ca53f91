"""What a change takes away that an audit log shows in use: who asked for it, how often, and why it would fail."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from conformance.model import Answer, Identity
from conformance.oracles.rules import Rules
from conformance.rbac.beyond import also_needed
from conformance.rbac.escalation import subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.auditlog import Log
    from conformance.model import Attributes, Rbac

NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Use:
    """Requests of one subject that the log holds and that would be refused: one verb of one resource in one place.

    `names` are those of the objects, `why` says which right of a second check is lost where the first one stays.
    `doubt` when a role that could not be read may allow it all the same.
    """

    subject: str
    namespace: str
    verb: str
    resource: str
    names: tuple[str, ...]
    times: int
    why: str = ""
    doubt: bool = False

    def __str__(self) -> str:
        more = len(self.names) - NAMES_SHOWN
        shown = ", ".join(self.names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
        names = f" named {shown}" if self.names else ""
        where = f" in {self.namespace}" if self.namespace else ""
        often = "once" if self.times == 1 else f"{self.times} times"
        why = f"; {self.why}" if self.why else ""
        doubt = "; unless a role that could not be read allows it" if self.doubt else ""
        return f"{self.subject}: {self.verb} {self.resource}{names}{where}, {often}{why}{doubt}"


@dataclass(slots=True)
class _Gathered:
    names: set[str] = field(default_factory=set)
    times: int = 0


def lost(log: Log, before: Rbac, after: Rbac) -> tuple[Use, ...]:
    """Ask everything in a log of the rules before a change and after it; give what only the former allow."""
    then, now = Rules(before), Rules(after)
    found: dict[tuple[str, str, str, str, str, bool], _Gathered] = defaultdict(_Gathered)
    for user, used in log.users.items():
        # In the groups that the server saw: a right that only a group gave is lost with the group's.
        identity = Identity(user, "log", user, tuple(sorted(used.groups)))
        who = subject(("User", user))
        for attributes, times in used.times.items():
            for why, doubt in _refusals(then, now, identity, attributes):
                key = who, attributes.namespace, _resource(attributes), attributes.verb, why, doubt
                found[key].times += times
                found[key].names |= {attributes.name} - {""}
    return tuple(
        Use(who, namespace, verb, resource, tuple(sorted(it.names)), it.times, why, doubt)
        for (who, namespace, resource, verb, why, doubt), it in sorted(found.items())
    )


def _refusals(then: Rules, now: Rules, identity: Identity, attributes: Attributes) -> Iterator[tuple[str, bool]]:
    """Say why a request that was seen would be refused: one reason, or none."""
    if then.decide(identity, attributes).answer is not Answer.ALLOWED:
        return  # something else than these rules allowed it, and still does
    answer = now.decide(identity, attributes).answer
    if answer is not Answer.ALLOWED:
        yield "", answer is Answer.UNKNOWN
        return
    for needed, why in also_needed(attributes):
        # A PUT that created something is in the log as the create that it was.
        if needed.verb == "create" and not needed.subresource:
            continue
        if then.decide(identity, needed).answer is Answer.ALLOWED:
            answer = now.decide(identity, needed).answer
            if answer is not Answer.ALLOWED:
                yield f"perhaps: {why}", answer is Answer.UNKNOWN
        elif set(then.names(identity, needed)) - set(now.names(identity, needed)):
            yield f"perhaps: {why}", False


def _resource(attributes: Attributes) -> str:
    if attributes.path:
        return attributes.path
    group = f".{attributes.group}" if attributes.group else ""
    return f"{attributes.resource}{group}{f'/{attributes.subresource}' if attributes.subresource else ''}"
