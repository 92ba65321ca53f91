"""Which checks ask what, and what they came to: World -> scripts of the plan, exchanges -> results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from conformance import quirks
from conformance.checks import Check, catalogue
from conformance.model import CheckResult, Verdict
from conformance.scripts import Case, Ending, Planned, Subject, replay, subjects

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conformance.model import Identity
    from conformance.scripts import Exchange, Script, World

_MODES = ("observe", "dry-run", "full")
_EVERYBODY = "(run)"  # whose access it is when no identity of the run is the admin
_MASTERS = "system:masters"


def planned(world: World) -> tuple[Planned, ...]:
    """Lay out the scripts: check by check, each over the subjects that it concerns, in the catalog's order."""
    there = tuple(subjects(world))
    number = 0
    laid = []
    for check in catalogue().values():
        if hindrance(check, world):
            continue
        for subject in there:
            if check.concerns(subject):
                number += 1
                laid.append(Planned(check.id, subject, number, check.verbs[0] if check.verbs else ""))
    return tuple(laid)


def hindrance(check: Check, world: World) -> str:
    """Say why a check is not asked on this cluster in this mode; empty when it is."""
    if _MODES.index(check.mode) > _MODES.index(world.mode):
        return f"it needs mode {check.mode}"
    lacking = sorted(check.needs - world.features - {"object"})
    return f"it needs {_said(lacking)}" if lacking else ""


def _said(lacking: Sequence[str]) -> str:
    words = {"node": "a ready node", "ours": "a cluster that kube-conformance created"}
    words["cbor"] = "a server that serves CBOR (feature gate CBORServingAndStorage)"
    words["pods"] = "an image to run in pods (--pod-image)"
    return ", ".join(words.get(each, f"the credential {each}") for each in lacking)


def begin(each: Planned, world: World) -> tuple[Script, Case]:
    """Give the script of a planned check, and its case."""
    return catalogue()[each.check].script, Case(each.check, each.subject, each.number, world)


def asker(identities: Iterable[Identity]) -> str:
    """Name the identity as which the checks ask: the one that may do anything, else the run's own access."""
    return next((each.name for each in identities if _MASTERS in each.groups), _EVERYBODY)


Departures = Mapping[str, Iterable[str]]  # how answers of a run depart from their schemas, by subject


def result(
    each: Planned, ended: Ending, asked_by: str, minor: int = 0, departures: Departures | None = None
) -> CheckResult:
    """Make the result of a check on a subject; a violation that real servers are known for is `info`.

    `departures` are those of every answer of the run, for the checks that gather them.
    """
    check = catalogue()[each.check]
    subject = each.subject.id
    found = (departures or {}).get(subject, ()) if check.gathers else ()
    gathered = [problem for problem in found if re.fullmatch(check.gathers, problem)]
    ended = _with_departures(check, subject, ended, minor, gathered)
    if ended.verdict is Verdict.FAIL and (quirk := quirks.known(check.id, subject, ended.note, minor)) is not None:
        ended = Ending(Verdict.INFO, f"{quirk.id}: {quirk.reason} ({ended.note})")
    if each.subject.trial is not None:
        asked_by = each.subject.trial.identity
    return CheckResult(
        each.check, check.level, subject, asked_by, endpoints(check, each.subject), ended.verdict, ended.note
    )


def is_known(check_id: str) -> bool:
    """Say whether the catalogue has this check; a saved run may be of another version."""
    return check_id in catalogue()


def unknown(each: Planned, asked_by: str) -> CheckResult:
    """Make the result of a check that this version does not have: nobody can say any more what its answers mean."""
    why = "this version of kube-conformance has no such check; audit again"
    return CheckResult(each.check, "INFO", each.subject.id, asked_by, (), Verdict.NOT_EVALUATED, why)


def gathers(check_id: str) -> bool:
    """Say whether a check's result holds what other answers of the run have shown."""
    return bool(catalogue()[check_id].gathers)


def _with_departures(check: Check, subject: str, ended: Ending, minor: int, departures: Iterable[str]) -> Ending:
    if ended.verdict not in {Verdict.PASS, Verdict.INFO}:
        return ended
    violations, explained = quirks.split(check.id, subject, departures, minor)
    if violations:
        return Ending(Verdict.FAIL, "; ".join(violations))
    if not explained:
        return ended
    return Ending(Verdict.INFO, "; ".join(f"{quirk.id}: {quirk.reason} ({problem})" for quirk, problem in explained))


def endpoints(check: Check, subject: Subject) -> tuple[str, ...]:
    """Name the rows that a check is about."""
    if subject.resource is None:
        return ()
    # A check that names no verbs is about all of them.
    return tuple(f"{subject.id}:{verb}" for verb in check.verbs or subject.resource.verbs)


def replayed(each: Planned, world: World, exchanges: Iterable[Exchange]) -> Ending:
    """Let a check speak again over what was stored."""
    script, case = begin(each, world)
    return replay(script, case, exchanges)


def idle(world: World, asked_by: str) -> Iterator[CheckResult]:
    """Give a result for each check that can ask nothing here, with the reason: absence must not look like a pass."""
    busy = {each.check for each in planned(world)}
    for check in catalogue().values():
        if check.id not in busy:
            why = hindrance(check, world) or "nothing that it applies to is served"
            yield CheckResult(check.id, check.level, "server", asked_by, (), Verdict.NOT_APPLICABLE, why)
