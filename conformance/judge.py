"""Stored answers -> cells: every opinion side by side, and the verdict.

Works on what the store holds and on nothing else, so that a saved run can be judged again anywhere.
"""

from __future__ import annotations

from dataclasses import replace as _replace
from typing import TYPE_CHECKING, Protocol

from conformance.model import Answer, Cell, Outcome, Review, Verdict, Witness
from conformance.oracles import causes, request, review
from conformance.oracles.causes import Evidence
from conformance.plan import MAX_NAMES
from conformance.probe import attributes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.model import Attributes, Decision, Identity
    from conformance.plan import Row

Answers = dict[tuple[str, str, str], Outcome | Review]
_UNAUTHORIZED = 401
OWN_BINDINGS = "denied (own bindings only): the groups of this user are not known"


class Rules(Protocol):
    """The rules oracle."""

    def decide(self, identity: Identity, attributes: Attributes) -> Decision:
        """Say what the rules say."""


class Judge:
    """Judges rows by the rules of one snapshot; `oracles` are those that the run asked."""

    def __init__(self, identities: tuple[Identity, ...], oracles: tuple[str, ...], rules: Rules) -> None:
        self._identities = identities
        self._rules = rules if "rules" in oracles else None
        self._requests = "request" in oracles

    def row(self, row: Row, answers: Answers) -> tuple[Cell, ...]:
        """Judge every cell of a row, in the order of the identities."""
        return tuple(self.cell(row, identity, answers) for identity in self._identities)

    def cell(self, row: Row, identity: Identity, answers: Answers) -> Cell:
        """Judge one cell."""
        if identity.unasked:
            return self._by_rules(row, identity)
        outcome = _outcome(answers, identity, "")
        if identity.expect == "unauthenticated":
            return _unauthenticated(row, identity, outcome)
        evidence = self._evidence(identity, row.attributes, answers, "")
        if outcome is not None and outcome.status == _UNAUTHORIZED and outcome.audited:
            return _lapsed(row, identity, outcome)
        cell = self._judged(row, identity, outcome, evidence)
        names = row.names.get(identity.name, ())
        return cell if not names else self._with_names(row, identity, answers, cell, names)

    def _by_rules(self, row: Row, identity: Identity) -> Cell:
        """Make the cell of somebody who was not asked: what the rules say, and why they speak alone."""
        cell = unasked(row, identity, f"rules only: {identity.unasked}")
        if self._rules is None:
            return cell
        decision = self._rules.decide(identity, row.attributes)
        denied = decision.answer is Answer.DENIED and not identity.groups_known
        return _replace(
            cell,
            rules=decision.answer,
            effective=decision.answer,
            names=row.names.get(identity.name, ()),
            witness=decision.witness,
            note=_joined(OWN_BINDINGS if denied else "", cell.note),
        )

    def _evidence(self, identity: Identity, attributes: Attributes, answers: Answers, name: str) -> Evidence:
        outcome = _outcome(answers, identity, name)
        reviewed = answers.get((identity.name, "review", name))
        if not isinstance(reviewed, Review):
            reviewed = None
        said = review.read(reviewed) if reviewed else None
        asked = request.read(outcome, attributes, identity.user, said.answer if said else None) if outcome else None
        rules = self._rules.decide(identity, attributes) if self._rules else None
        return Evidence(asked, said, reviewed, rules)

    def _judged(self, row: Row, identity: Identity, outcome: Outcome | None, evidence: Evidence) -> Cell:
        asked = evidence.request.decision.answer if evidence.request else (Answer.UNKNOWN if self._requests else None)
        said = evidence.review.answer if evidence.review else None
        ruled = evidence.rules.answer if evidence.rules else None
        verdict, cause, note = self._verdict(row, evidence)
        effective = _effective(asked, said, ruled) if cause is None or cause.effective is None else cause.effective
        if effective is Answer.DENIED and not identity.groups_known:
            note = _joined(OWN_BINDINGS, note)
        return Cell(
            endpoint=row.id,
            identity=identity.name,
            request=asked,
            review=said,
            rules=ruled,
            effective=effective,
            status=outcome.status if outcome and outcome.status else None,
            reason=outcome.reason if outcome else "",
            names=(),
            witness=cause.witness(evidence) if cause else _witness(evidence),
            cause=cause.id if cause else None,
            verdict=verdict,
            note=note,
        )

    def _verdict(self, row: Row, evidence: Evidence) -> tuple[Verdict, causes.Cause | None, str]:
        note = evidence.request.note if evidence.request else (row.refused if self._requests else "")
        opinions = {o: a for o in ("request", "review", "rules") if (a := evidence.answer(o)) is not None}
        if len(opinions) < 2:  # noqa: PLR2004  # one opinion alone proves nothing
            return Verdict.NOT_EVALUATED, None, _joined(note, _lacking(evidence, opinions))
        if len(set(opinions.values())) == 1:
            return Verdict.PASS, None, note
        cause = causes.explain(evidence)
        if cause is not None:
            return Verdict.INFO, cause, note
        return Verdict.FAIL, None, _joined("the oracles differ: " + _said(evidence), note)

    def _with_names(self, row: Row, identity: Identity, answers: Answers, cell: Cell, names: tuple[str, ...]) -> Cell:
        """Hold the opinions on each name that was asked against each other; the worst verdict is the cell's."""
        verdict, cause, note = cell.verdict, cell.cause, cell.note
        for name in names[:MAX_NAMES]:
            if not any((identity.name, oracle, name) in answers for oracle in ("request", "review")):
                continue
            evidence = self._evidence(identity, attributes_of(row.endpoint, name), answers, name)
            of_name, why, said = self._verdict(row, evidence)
            if of_name is Verdict.PASS:
                continue
            note = _joined(note, f"for {name!r}: {said or _said(evidence)}")
            if _WORSE.index(of_name) > _WORSE.index(verdict):
                verdict, cause = of_name, why.id if why else None
        if len(names) > MAX_NAMES:
            note = _joined(note, f"{len(names) - MAX_NAMES} further names were not asked")
        return _replace(cell, names=names, verdict=verdict, cause=cause, note=note)


_WORSE = (Verdict.PASS, Verdict.INFO, Verdict.NOT_EVALUATED, Verdict.FAIL)


def _lapsed(row: Row, identity: Identity, outcome: Outcome) -> Cell:
    """Make the cell of a credential that the server does not accept: it must not look like a locked-down user."""
    note = "the server did not accept the credential: it lapsed or was revoked"
    witness = request.read(outcome, row.attributes, identity.user, None).decision.witness
    return _replace(
        unasked(row, identity, note),
        request=Answer.DENIED,
        effective=Answer.DENIED,
        status=outcome.status,
        reason="Unauthenticated",
        witness=witness,
        verdict=Verdict.ERROR,
    )


def unasked(row: Row, identity: Identity, why: str) -> Cell:
    """Make the cell of a row that was never asked."""
    return Cell(
        row.id, identity.name, None, None, None, Answer.UNKNOWN, None, "", (), None, None, Verdict.NOT_EVALUATED, why
    )


def _unauthenticated(row: Row, identity: Identity, outcome: Outcome | None) -> Cell:
    """Judge an identity that the server must not know: 401 is right, and there is nobody to ask the others about."""
    if outcome is None:
        asked = Answer.UNKNOWN if row.refused else None
        cell = unasked(row, identity, row.refused or "the request was not asked, and there is nobody to review")
        return _replace(cell, request=asked, verdict=Verdict.NOT_APPLICABLE)
    reading = request.read(outcome, row.attributes, identity.user, None)
    known = outcome.status != _UNAUTHORIZED or not outcome.audited
    verdict, note = Verdict.PASS, reading.note
    if known:
        verdict = Verdict.NOT_EVALUATED
    if known and reading.decision.answer is not Answer.UNKNOWN:
        verdict, note = Verdict.FAIL, f"expected 401, for this credential names nobody: {reading.decision.witness.text}"
    return _replace(
        unasked(row, identity, note),
        request=reading.decision.answer,
        effective=reading.decision.answer,
        status=outcome.status or None,
        reason=outcome.reason if known else "Unauthenticated",
        witness=reading.decision.witness,
        verdict=verdict,
    )


def _outcome(answers: Answers, identity: Identity, name: str) -> Outcome | None:
    found = answers.get((identity.name, "request", name))
    return found if isinstance(found, Outcome) else None


def _effective(*answers: Answer | None) -> Answer:
    decided = (answer for answer in answers if answer is not None and answer is not Answer.UNKNOWN)
    return next(decided, Answer.UNKNOWN)


def _witness(evidence: Evidence) -> Witness | None:
    """Give the rules' path where they decide, else the review's reason, else the status line."""
    decisions = (evidence.rules, evidence.review, evidence.request.decision if evidence.request else None)
    decided = [decision for decision in decisions if decision is not None]
    clear = [decision for decision in decided if decision.answer is not Answer.UNKNOWN]
    return next((decision.witness for decision in (*clear, *decided)), None)


def _said(evidence: Evidence) -> str:
    decisions = {
        "request": evidence.request.decision if evidence.request else None,
        "review": evidence.review,
        "rules": evidence.rules,
    }
    return "; ".join(f"{name} says {d.answer} ({d.witness.text})" for name, d in decisions.items() if d is not None)


def _lacking(evidence: Evidence, opinions: Mapping[str, Answer]) -> str:
    only = f"only {', '.join(opinions)} decided" if opinions else "no oracle decided"
    unclear = _said(evidence)
    return f"{only}: {unclear}" if unclear else only


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
