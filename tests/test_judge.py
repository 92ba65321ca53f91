from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from catalogs import OWN, Granting, endpoint, identity, path, resource, snapshot

from conformance import plan
from conformance.judge import OWN_BINDINGS, Judge, unasked
from conformance.model import Answer, Cell, Decision, Endpoint, Outcome, Review, Verdict, Witness
from conformance.plan import Row
from conformance.probe import attributes_of, refusal, request_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.model import Attributes, Identity
    from conformance.store import Answers

ALLOWED, DENIED, UNKNOWN = Answer.ALLOWED, Answer.DENIED, Answer.UNKNOWN
ALL = ("request", "review", "rules")
ALICE = identity()
NOBODY = identity("nobody", expect="unauthenticated")

FOUND = Outcome(404, "NotFound", 'things "{absent}" not found', "Status")
REFUSED = Outcome(
    403,
    "Forbidden",
    'things "x" is forbidden: User "alice" cannot get resource "things" in API group "" in the namespace "{own}"',
)
HANDLER = Outcome(403, "Forbidden", 'csr "x" is forbidden: user not permitted to sign requests with signerName "a"')
ADMISSION = Outcome(403, "Forbidden", 'things "x" is forbidden: exceeded quota: q')
LAPSED = Outcome(401, "Unauthorized", "Unauthorized", "Status")
BUSY, GONE = Outcome(503, "ServiceUnavailable"), Outcome(0, error="reset", audited=False)
PROXY = Outcome(404, audited=False)
YES = Review(allowed=True, reason="RBAC: allowed by X")
OTHER, NO, FAILED = Review(allowed=True, reason="webhook"), Review(allowed=False), Review(allowed=False, error="500")


class Saying:
    """Rules that say one thing of everything, and others of names."""

    def __init__(self, answer: Answer, names: Mapping[str, Answer] | None = None) -> None:
        self._answer, self._names = answer, names or {}

    def decide(self, identity: Identity, attributes: Attributes) -> Decision:
        answer = self._names.get(attributes.name, self._answer)
        return Decision(answer, Witness("rbac", f"rules on {identity.name}", ("subject", "binding", "role", "rule")))


def row_of(of: Endpoint | None = None, names: Mapping[str, tuple[str, ...]] | None = None) -> Row:
    of = of or endpoint("things", "get")
    why = refusal(of, "dry-run", aggregated=False)
    of_resource = None if of.path else resource(of.plural)
    request = None if why else request_of(of, of_resource)
    return Row(of.id, of, attributes_of(of), request, why, of_resource, names or {})


def judged(
    outcome: Outcome | None,
    review: Review | None,
    rules: Answer,
    *,
    who: Identity = ALICE,
    oracles: tuple[str, ...] = ALL,
    row: Row | None = None,
) -> Cell:
    answers: Answers = {}
    if outcome is not None:
        answers[who.name, "request", ""] = outcome
    if review is not None:
        answers[who.name, "review", ""] = review
    return Judge((who,), oracles, Saying(rules)).cell(row or row_of(), who, answers)


def opinions(cell: Cell) -> tuple[Answer | None, Answer | None, Answer | None]:
    return cell.request, cell.review, cell.rules


@pytest.mark.parametrize(
    ("seen", "verdict", "effective", "cause"),
    [
        # All that decided agree.
        ((FOUND, YES, ALLOWED), Verdict.PASS, ALLOWED, None),
        ((REFUSED, NO, DENIED), Verdict.PASS, DENIED, None),
        ((ADMISSION, YES, ALLOWED), Verdict.PASS, ALLOWED, None),
        # Two are enough.
        ((FOUND, FAILED, ALLOWED), Verdict.PASS, ALLOWED, None),
        ((FOUND, YES, UNKNOWN), Verdict.PASS, ALLOWED, None),
        ((BUSY, NO, DENIED), Verdict.PASS, DENIED, None),
        ((GONE, YES, ALLOWED), Verdict.PASS, ALLOWED, None),
        ((PROXY, NO, DENIED), Verdict.PASS, DENIED, None),
        # They differ for a named cause.
        ((HANDLER, YES, ALLOWED), Verdict.INFO, DENIED, "second-check"),
        ((FOUND, OTHER, DENIED), Verdict.INFO, ALLOWED, "other-authorizer"),
        # They differ without one.
        ((FOUND, YES, DENIED), Verdict.FAIL, ALLOWED, None),
        ((FOUND, NO, ALLOWED), Verdict.FAIL, ALLOWED, None),
        ((FOUND, NO, DENIED), Verdict.FAIL, ALLOWED, None),
        ((REFUSED, YES, ALLOWED), Verdict.FAIL, DENIED, None),
        ((REFUSED, NO, ALLOWED), Verdict.FAIL, DENIED, None),
        ((REFUSED, YES, DENIED), Verdict.FAIL, DENIED, None),
        ((BUSY, YES, DENIED), Verdict.FAIL, ALLOWED, None),
        # Fewer than two decided.
        ((FOUND, FAILED, UNKNOWN), Verdict.NOT_EVALUATED, ALLOWED, None),
        ((BUSY, FAILED, DENIED), Verdict.NOT_EVALUATED, DENIED, None),
        ((BUSY, YES, UNKNOWN), Verdict.NOT_EVALUATED, ALLOWED, None),
        ((GONE, FAILED, UNKNOWN), Verdict.NOT_EVALUATED, UNKNOWN, None),
    ],
)
def test_the_verdict_of_three_opinions(
    seen: tuple[Outcome, Review, Answer], verdict: Verdict, effective: Answer, cause: str | None
) -> None:
    cell = judged(*seen)
    assert (cell.verdict, cell.effective, cell.cause) == (verdict, effective, cause)
    assert cell.witness is not None
    assert (cell.note == "") is (verdict in {Verdict.PASS, Verdict.INFO} and seen[0] in {FOUND, REFUSED, HANDLER})


def test_a_failing_cell_says_who_said_what() -> None:
    note = judged(FOUND, NO, ALLOWED).note
    assert note.startswith("the oracles differ: request says allowed (404 NotFound: ")
    assert "review says denied (not allowed, without a reason)" in note
    assert note.endswith("rules says allowed (rules on alice)")


def test_a_cell_that_was_not_evaluated_says_what_was_lacking() -> None:
    assert judged(BUSY, FAILED, DENIED).note.startswith("the server answered 503; only rules decided: ")
    assert "no oracle decided" in judged(GONE, FAILED, UNKNOWN).note


def test_opinions_stand_side_by_side_with_status_and_reason() -> None:
    cell = judged(FOUND, NO, UNKNOWN)
    assert opinions(cell) == (ALLOWED, DENIED, UNKNOWN)
    assert (cell.status, cell.reason) == (404, "NotFound")
    assert (cell.endpoint, cell.identity) == ("v1/things:get", "alice")
    assert judged(GONE, YES, ALLOWED).status is None


def test_the_rules_are_the_witness_where_they_decide_then_the_review_then_the_status() -> None:
    def witness(*seen: Outcome | Review | Answer) -> Witness:
        found = judged(*seen).witness  # type: ignore[arg-type]
        assert found is not None
        return found

    assert witness(FOUND, YES, ALLOWED).path == ("subject", "binding", "role", "rule")
    assert witness(FOUND, YES, UNKNOWN).text == "RBAC: allowed by X"
    assert witness(FOUND, FAILED, UNKNOWN).kind == "status"
    assert witness(GONE, FAILED, UNKNOWN).kind == "rbac", "nobody decided: the first that spoke"


@pytest.mark.parametrize(
    ("oracles", "seen", "expected", "verdict"),
    [
        (("request", "review"), (FOUND, YES), (ALLOWED, ALLOWED, None), Verdict.PASS),
        (("request", "rules"), (REFUSED, None), (DENIED, None, DENIED), Verdict.PASS),
        (("review", "rules"), (None, NO), (None, DENIED, DENIED), Verdict.PASS),
        (("request",), (FOUND, None), (ALLOWED, None, None), Verdict.NOT_EVALUATED),
        (("rules",), (None, None), (None, None, DENIED), Verdict.NOT_EVALUATED),
    ],
)
def test_an_oracle_that_was_not_asked_is_null(
    oracles: tuple[str, ...],
    seen: tuple[Outcome | None, Review | None],
    expected: tuple[Answer | None, ...],
    verdict: Verdict,
) -> None:
    cell = judged(*seen, DENIED, oracles=oracles)
    assert opinions(cell) == expected
    assert cell.verdict is verdict


@pytest.mark.parametrize(
    ("of", "note"),
    [
        (Endpoint("", "v1", "users", "", "impersonate", namespaced=False, scope="cluster", virtual=True), "virtual"),
        (path("/api/v1/pods"), "the server takes this path for a resource's"),
        (endpoint("things", "frobnicate"), "no request is known for this verb"),
    ],
)
def test_rows_without_a_request_are_decided_by_the_other_two(of: Endpoint, note: str) -> None:
    cell = judged(None, NO, DENIED, row=row_of(of))
    assert opinions(cell) == (UNKNOWN, DENIED, DENIED)
    assert (cell.verdict, cell.effective, cell.note, cell.status) == (Verdict.PASS, DENIED, note, None)
    assert judged(None, YES, DENIED, row=row_of(of)).verdict is Verdict.FAIL
    assert judged(None, FAILED, DENIED, row=row_of(of)).verdict is Verdict.NOT_EVALUATED


# --- 401 --------------------------------------------------------------------------------------------------------------


def test_a_lapsed_credential_is_an_error_and_nobody_is_asked_about() -> None:
    for review, rules in ((YES, ALLOWED), (NO, DENIED), (FAILED, UNKNOWN)):
        cell = judged(LAPSED, review, rules)
        assert opinions(cell) == (DENIED, None, None)
        assert (cell.verdict, cell.status, cell.reason) == (Verdict.ERROR, 401, "Unauthenticated")


def test_a_401_that_is_not_the_servers_lapses_nothing() -> None:
    cell = judged(replace(LAPSED, audited=False), NO, DENIED)
    assert (cell.verdict, cell.request, cell.note) == (Verdict.PASS, UNKNOWN, "intermediary")


@pytest.mark.parametrize(
    ("outcome", "verdict", "answer"),
    [
        (LAPSED, Verdict.PASS, DENIED),
        (FOUND, Verdict.FAIL, ALLOWED),
        (REFUSED, Verdict.FAIL, DENIED),  # somebody is known, if only as one who may not
        (GONE, Verdict.NOT_EVALUATED, UNKNOWN),
        (BUSY, Verdict.NOT_EVALUATED, UNKNOWN),
        (replace(LAPSED, audited=False), Verdict.NOT_EVALUATED, UNKNOWN),
    ],
)
def test_who_must_not_be_known_is_met_with_401_and_nothing_else(
    outcome: Outcome, verdict: Verdict, answer: Answer
) -> None:
    cell = judged(outcome, None, ALLOWED, who=NOBODY)
    assert (cell.verdict, cell.request, cell.review, cell.rules) == (verdict, answer, None, None)
    if verdict is Verdict.PASS:
        assert (cell.effective, cell.reason) == (DENIED, "Unauthenticated")


def test_where_nobody_can_be_asked_a_row_does_not_apply_to_nobody() -> None:
    virtual = row_of(Endpoint("", "v1", "users", "", "impersonate", namespaced=False, scope="cluster", virtual=True))
    cell = judged(None, None, ALLOWED, who=NOBODY, row=virtual)
    assert (cell.verdict, cell.request, cell.note) == (Verdict.NOT_APPLICABLE, UNKNOWN, "virtual")
    unasked_request = judged(None, None, ALLOWED, who=NOBODY, oracles=("review", "rules"))
    assert (unasked_request.verdict, unasked_request.request) == (Verdict.NOT_APPLICABLE, None)


def test_groups_that_are_not_known_are_said_of_denials_only() -> None:
    half_known = identity(groups_known=False)
    assert judged(REFUSED, NO, DENIED, who=half_known).note == OWN_BINDINGS
    assert judged(FOUND, YES, ALLOWED, who=half_known).note == ""


# --- names ------------------------------------------------------------------------------------------------------------


def named(seen: Mapping[str, tuple[Outcome | None, Review | None, Answer]], *, verb: str = "get") -> Cell:
    row = row_of(endpoint("things", verb), {"alice": tuple(seen)})
    answers: Answers = {("alice", "request", ""): REFUSED, ("alice", "review", ""): NO}
    for name, (outcome, review, _) in seen.items():
        if outcome is not None:
            answers["alice", "request", name] = outcome
        if review is not None:
            answers["alice", "review", name] = review
    rules = Saying(DENIED, {name: rule for name, (_, _, rule) in seen.items()})
    return Judge((ALICE,), ALL, rules).cell(row, ALICE, answers)


def test_a_cell_with_names_bears_them_beside_its_denial() -> None:
    cell = named({"a": (FOUND, YES, ALLOWED), "b": (None, YES, ALLOWED)})
    assert (cell.verdict, cell.effective, cell.names) == (Verdict.PASS, DENIED, ("a", "b"))


@pytest.mark.parametrize(
    ("seen", "verdict", "cause"),
    [
        ((REFUSED, YES, ALLOWED), Verdict.FAIL, None),
        ((FOUND, NO, ALLOWED), Verdict.FAIL, None),
        ((None, NO, ALLOWED), Verdict.FAIL, None),
        ((None, FAILED, ALLOWED), Verdict.NOT_EVALUATED, None),
        ((BUSY, FAILED, ALLOWED), Verdict.NOT_EVALUATED, None),
        ((HANDLER, YES, ALLOWED), Verdict.INFO, "second-check"),
        ((FOUND, OTHER, DENIED), Verdict.INFO, "other-authorizer"),
    ],
)
def test_the_worst_name_is_the_cells_verdict(
    seen: tuple[Outcome | None, Review | None, Answer], verdict: Verdict, cause: str | None
) -> None:
    cell = named({"a": (FOUND, YES, ALLOWED), "bad": seen, "c": (FOUND, YES, ALLOWED)})
    assert (cell.verdict, cell.cause) == (verdict, cause)
    assert "'bad'" in cell.note
    assert "'a'" not in cell.note


def test_names_beyond_the_twentieth_are_counted() -> None:
    many = {f"n{number:02}": (FOUND, YES, ALLOWED) for number in range(23)}
    cell = named(many)
    assert len(cell.names) == 23
    assert cell.note == "3 further names were not asked"


# --- rows -------------------------------------------------------------------------------------------------------------


def test_a_row_has_a_cell_for_each_identity_in_their_order() -> None:
    bob = identity("bob")
    made = plan.make(
        snapshot(resource("things", "get")),
        (bob, ALICE, NOBODY),
        grants=Granting(),
        mode="dry-run",
        oracles=ALL,
        namespaces=OWN,
    )
    cells = Judge(made.identities, ALL, Saying(DENIED)).row(made.rows[0], {("nobody", "request", ""): LAPSED})
    assert [(cell.identity, cell.verdict) for cell in cells] == [
        ("bob", Verdict.NOT_EVALUATED),
        ("alice", Verdict.NOT_EVALUATED),
        ("nobody", Verdict.PASS),
    ]


def test_a_cell_that_was_never_asked_is_not_evaluated_and_unknown() -> None:
    cell = unasked(row_of(), ALICE, "not asked: interrupted")
    assert opinions(cell) == (None, None, None)
    assert (cell.verdict, cell.effective, cell.note) == (Verdict.NOT_EVALUATED, UNKNOWN, "not asked: interrupted")
