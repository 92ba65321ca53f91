"""Served APIs: which went, came, are deprecated now, and which verbs and subresources were lost or gained.

Whether an API is in use is read from the evidence before: objects that were written in it, objects for which no other
version is left, clients that called it. Where there is no evidence, it has to be taken for used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.compare import differs
from conformance.usage import release, versions_in_use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Catalog, Difference, Resource
    from conformance.moments import Moment

KIND = "api"
_SHOWN = 6


def differences(before: Moment, after: Moment) -> Iterator[Difference]:
    """Compare two catalogs."""
    old, new = _by_id(before.snapshot.catalog), _by_id(after.snapshot.catalog)
    uses = Uses(before, after)
    unread = {each.group_version for each in after.snapshot.catalog.unavailable}
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            resource = old[name]
            if resource.group_version in unread:
                yield _unavailable(name, resource)
            elif resource.subresource and _parent(resource) not in new:
                continue  # told once, with what it is a part of
            else:
                yield _gone(name, resource, uses)
        elif name not in old:
            resource = new[name]
            if not resource.subresource or _parent(resource) in old:
                change = "subresource-new" if resource.subresource else "api-new"
                yield differs(change, name, KIND, "info", f"{name} is served now", after=", ".join(resource.verbs))
        else:
            yield from _verbs(name, old[name], new[name], uses)
    yield from _scopes(old, new)
    yield from _deprecated(before, after, uses)


class Uses:
    """Who uses which version of which resource, as far as the evidence tells."""

    def __init__(self, before: Moment, after: Moment) -> None:
        evidence = before.evidence
        # The metric covers what no audit log was given for; a log names whom the metric does not.
        calls = [*(evidence.get("audit") or ()), *(evidence.get("calls") or ())]
        self._by = versions_in_use(evidence.get("objects") or {}, calls)
        self._objects = evidence.get("objects")
        self._seen = evidence.get("objects") is not None
        self._left: dict[tuple[str, str], int] = {}
        for resource in after.snapshot.catalog.resources:
            key = resource.group, resource.plural
            self._left[key] = self._left.get(key, 0) + 1

    def of(self, resource: Resource) -> tuple[str, ...] | None:
        """Say who uses a resource in its version; None when that is not known."""
        found = list(self._by.get((resource.group_version, resource.plural), ()))
        entry = (self._objects or {}).get(f"{resource.group}/{resource.name}")
        if entry and entry["count"] and not self._left.get((resource.group, resource.plural)):
            found.append(f"{entry['count']} objects of {resource.name} are stored, and no version of it is left")
        if found:
            return tuple(found)
        if not self._seen or (entry is None and "list" in resource.verbs and not resource.subresource):
            return None
        return ()


def _gone(name: str, resource: Resource, uses: Uses) -> Difference:
    used = uses.of(resource)
    change = "subresource-gone" if resource.subresource else "api-gone"
    known = "high" if used is None else "critical" if used else "medium"
    doubt = "whether it is in use is not known: compare with a snapshot taken before" if used is None else ""
    return differs(
        change,
        name,
        KIND,
        known,
        f"{name} is not served any more" + (", and is in use" if used else ""),
        before=", ".join(resource.verbs),
        after="not served",
        affected=(used or ())[:_SHOWN],
        advice=doubt or f"write manifests and clients of {resource.kind} in a version that is served, before upgrading",
    )


def _unavailable(name: str, resource: Resource) -> Difference:
    return differs(
        "api-unavailable",
        name,
        KIND,
        "high",
        f"the server of {resource.group_version} does not answer, so nothing is known of {name}",
        before=", ".join(resource.verbs),
        after="unknown",
        advice="bring the APIService's backend up, and compare again",
    )


def _verbs(name: str, old: Resource, new: Resource, uses: Uses) -> Iterator[Difference]:
    lost, gained = sorted({*old.verbs} - {*new.verbs}), sorted({*new.verbs} - {*old.verbs})
    if lost:
        used = uses.of(old)
        yield differs(
            "verb-lost",
            f"{name}:{'+'.join(lost)}",
            KIND,
            "medium" if used == () else "high",
            f"{name} does not take {', '.join(lost)} any more",
            before=", ".join(old.verbs),
            after=", ".join(new.verbs),
            affected=(used or ())[:_SHOWN],
            advice="find the clients that send it (audit log) and the roles that grant it",
        )
    if gained:
        subject = f"{name}:{'+'.join(gained)}"
        title = f"{name} takes {', '.join(gained)} now"
        yield differs("verb-gained", subject, KIND, "info", title, after=", ".join(new.verbs))


def _scopes(old: dict[str, Resource], new: dict[str, Resource]) -> Iterator[Difference]:
    words = {True: "namespaced", False: "cluster-scoped"}
    for name in sorted(old.keys() & new.keys()):
        was, is_now = old[name], new[name]
        if was.namespaced != is_now.namespaced:
            yield differs(
                "scope-changed",
                name,
                KIND,
                "critical",
                f"{name} is {words[is_now.namespaced]} now",
                before=words[was.namespaced],
                after=words[is_now.namespaced],
            )


def _deprecated(before: Moment, after: Moment, uses: Uses) -> Iterator[Difference]:
    """Tell what the server after warns of and the one before did not, and what is on its way out while in use."""
    known, warned = before.evidence.get("deprecations"), after.evidence.get("deprecations")
    if known is None or warned is None:
        return
    served = _by_id(before.snapshot.catalog)
    target = release(after.version)
    for name in sorted(warned):
        said = warned[name]
        used = uses.of(served[name]) if name in served else ()
        removed = said["removedRelease"]
        next_one = bool(removed) and release(removed) <= (target[0], target[1] + 1)
        if name not in known:
            yield differs(
                "api-deprecated",
                name,
                KIND,
                "medium" if used else "low",
                f"{name} is deprecated now",
                after=said["warning"],
                affected=(used or ())[:_SHOWN],
                advice="move to what the server's warning names",
            )
        if used:
            yield differs(
                "deprecated-in-use",
                name,
                KIND,
                "medium" if next_one else "low",
                f"{name} is deprecated and in use" + (f"; it is gone in {removed}" if removed else ""),
                after=said["warning"],
                affected=used[:_SHOWN],
                advice="move to what the server's warning names",
            )


def _by_id(catalog: Catalog) -> dict[str, Resource]:
    return {f"{each.group_version}/{each.plural}": each for each in catalog.resources}


def _parent(resource: Resource) -> str:
    return f"{resource.group_version}/{resource.name}"
