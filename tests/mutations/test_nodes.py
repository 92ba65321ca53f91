"""Checks of what runs on a node, against a node that is played."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import catalogs
import pytest

from conformance.checks import catalogue
from conformance.model import Verdict
from conformance.scripts import Ask, Case, Ending, Sample, World, ending, subjects
from mutations.nodes import FAULTS, Fault, answer

if TYPE_CHECKING:
    from conformance.scripts import Reply

WORLD = World(
    catalog=catalogs.snapshot(
        catalogs.resource("pods", kind="Pod"),
        *(catalogs.resource(f"pods/{sub}", "get", "create", kind="Pod") for sub in ("log", "exec", "resize")),
    ).catalog,
    identities=(catalogs.identity("alice"),),
    mode="full",
    server_version="v1.37.2",
    features=frozenset({"node", "pods"}),
    samples={"v1/pods": Sample({"apiVersion": "v1", "kind": "Pod", "metadata": {}})},
    pod_image="busybox",
)
SUBJECTS = {subject.id: subject for subject in subjects(WORLD)}
TESTS = sorted({fault.caught_by for fault in FAULTS})


def played(test: str, fault: Fault | None = None) -> tuple[Ending, int]:
    """Drive a script with a node that is played; gives its ending, and how many answers the fault changed."""
    check, _, subject = test.partition("|")
    steps = catalogue()[check].script(Case(check, SUBJECTS[subject], 1, WORLD))
    met = 0

    def reply(ask: Ask) -> Reply:
        nonlocal met
        right = answer(ask)
        if fault is None or not fault.when(ask):
            return right
        met += 1
        return fault.answer(right) if met > fault.spared else right

    given: Any = None
    raised: Exception | None = None
    try:
        while True:
            wanted = steps.send(given)
            given = tuple(map(reply, wanted)) if isinstance(wanted, tuple) else reply(wanted)
    except StopIteration:
        pass
    except Exception as problem:  # noqa: BLE001  # whatever a check raises is its ending
        raised = problem
    return ending(raised), met - fault.spared if fault else 0


@pytest.mark.parametrize("test", TESTS)
def test_no_check_fails_with_a_node_that_is_well(test: str) -> None:
    assert played(test)[0] == Ending(Verdict.PASS)


@pytest.mark.parametrize("fault", [pytest.param(each, id=f"{each.caught_by} {each.says}") for each in FAULTS])
def test_a_fault_of_a_node_is_caught_by_the_check_that_owns_it(fault: Fault) -> None:
    ended, changed = played(fault.caught_by, fault)
    assert changed > 0, "the fault changed nothing"
    assert ended.verdict is Verdict.FAIL, f"a node that {fault.says} is not noticed: {ended}"


def test_every_check_of_a_node_has_a_fault_that_it_fails_on() -> None:
    wanted = {each.id for each in catalogue().values() if each.needs & {"node", "pods"} and each.level != "INFO"}
    assert sorted(wanted - {fault.caught_by.partition("|")[0] for fault in FAULTS}) == []


def test_a_service_whose_endpoint_is_known_late_is_waited_for() -> None:
    fault = next(each for each in FAULTS if each.says == "knows no endpoint of a service")
    late = iter((True, True))
    lagging = replace(fault, answer=lambda right: fault.answer(right) if next(late, False) else right)
    assert played(fault.caught_by, lagging) == (Ending(Verdict.PASS), 3)
