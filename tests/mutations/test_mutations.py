"""Each check notices the violation that it is there for, and a server without one gives it no cause."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conformance.checks import catalogue
from conformance.model import Verdict
from mutations.catalogue import mutations, owned
from mutations.laboratory import Laboratory, opened
from mutations.owners import CAUGHT_BY

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster

# Their scripts need pods that run, which a control plane alone hasn't (`test_nodes.py` plays that), or CBOR, for which
# `test_cbor.py` starts one of its own.
ELSEWHERE = frozenset(each.id for each in catalogue().values() if each.needs & {"node", "pods", "cbor"})

PLANTED = [
    (each, test) for each in mutations().values() for test in each.caught_by if test[: test.index("|")] in catalogue()
]
ASKED = sorted({test for _, test in PLANTED})


@pytest.mark.server
@pytest.mark.parametrize("test", ASKED)
def test_no_check_fails_without_a_mutation(laboratory: Laboratory, test: str) -> None:
    result, touched = laboratory.ask(test)
    assert (result.verdict, touched) in {(Verdict.PASS, 0), (Verdict.INFO, 0)}, result.note


@pytest.mark.server
@pytest.mark.parametrize(
    ("mutation", "test"), [pytest.param(each.id, test, id=f"{each.id}-{test}") for each, test in PLANTED]
)
def test_a_mutation_is_caught_by_the_check_that_owns_it(laboratory: Laboratory, mutation: str, test: str) -> None:
    planted = mutations()[mutation]
    result, touched = laboratory.ask(test, planted)
    assert touched, f"the mutation changed nothing: {planted.says}"
    assert result.verdict is Verdict.FAIL, f"a server that {planted.says} is not noticed: {result.note}"


def test_every_check_has_a_mutation_that_it_fails_on() -> None:
    wanted = {each.id for each in catalogue().values() if each.level in {"MUST", "SHOULD"}} - ELSEWHERE
    assert sorted(wanted - owned()) == []


def test_every_mutation_names_checks_that_there_are() -> None:
    assert sorted(owned() - set(catalogue())) == []


def test_there_are_fifty_mutations_and_fifteen_of_them_by_somebody_who_had_not_seen_the_checks() -> None:
    assert len(mutations()) >= 50
    assert len([of for of, tests in CAUGHT_BY.items() if tests]) >= 15


def test_no_other_cluster_than_an_embedded_one_is_lied_about(cluster: Cluster, tmp_path: Path) -> None:
    for other in (replace(cluster, provider="kind"), replace(cluster, ours=False), replace(cluster, audit_log=None)):
        with pytest.raises(ValueError, match="embedded"), opened(other, tmp_path):
            pass
