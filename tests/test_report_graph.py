from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

import pytest
from matrices import escalations

from conformance.model import EscalationPath, Step, Witness
from conformance.report.html.graph import drawn

WITNESS = Witness("rbac", "RBAC allows it")


def way(*names: str, severity: str = "high", refused: str = "", means: str = "bind") -> EscalationPath:
    steps = tuple(Step(source, target, means, "proved", WITNESS) for source, target in itertools.pairwise(names))
    return EscalationPath("-".join(names), severity, names[0], names[-1], steps, refused)


def boxes(svg: str) -> dict[str, tuple[int, int]]:
    """Subject -> the corner of its box."""
    root = ET.fromstring(svg[: svg.index("</svg>") + 6])  # noqa: S314  # our own
    found = {}
    for group in root.iter("g"):
        if (group.get("class") or "").startswith("subject"):
            box = group.find("rect")
            assert box is not None
            found[group.findtext("title") or ""] = (int(box.get("x") or 0), int(box.get("y") or 0))
    return found


def test_no_paths_are_no_drawing() -> None:
    assert drawn(()) == ""


def test_every_step_leads_to_the_right_and_no_box_lies_on_another() -> None:
    spots = boxes(drawn(escalations()))
    for path in escalations():
        for step in path.steps:
            assert spots[step.source][0] < spots[step.target][0], step
    assert len(set(spots.values())) == len(spots)


def test_a_circle_is_drawn_too() -> None:
    assert set(boxes(drawn([way("a", "b", "c"), way("c", "a")]))) == {"a", "b", "c"}


def test_a_shared_step_is_one_line_that_knows_its_paths() -> None:
    svg = drawn([way("a", "hub", "top"), way("b", "hub", "top")])
    assert re.findall(r'class="edge proved" data-paths="([\d ]+)"><title>hub → top', svg) == ["0 1"]


def test_what_the_server_refused_and_how_sure_a_step_is_stand_in_letters() -> None:
    svg = drawn(escalations())
    assert "create a pod on itself ✕" in svg
    assert "read its Secret P" in svg
    assert "run a pod as it R" in svg
    assert "impersonate I" in svg


def test_lines_cross_no_more_than_they_must() -> None:
    spots = boxes(drawn([way("a", "x"), way("b", "y"), way("c", "x"), way("d", "y")]))
    left = sorted("abcd", key=lambda name: spots[name][1])
    assert {"".join(sorted(left[:2])), "".join(sorted(left[2:]))} == {"ac", "bd"}


@pytest.mark.parametrize("number", [41, 200])
def test_of_very_many_paths_the_worst_are_drawn_and_the_others_counted(number: int) -> None:
    svg = drawn(
        [way(f"s{n}", "top", severity="low") for n in range(number)] + [way("worst", "top", severity="critical")]
    )
    assert "worst" in boxes(svg)
    assert len(boxes(svg)) == 40
    assert f"{number - 38} more paths not drawn" in svg


def test_the_same_paths_are_the_same_drawing() -> None:
    assert drawn(escalations()) == drawn(escalations())
