"""When the pytest plugin wakes up: where our suites are named, and at nothing else that somebody writes there."""

from __future__ import annotations

from pathlib import Path

import pytest

import conformance.suites
from conformance import plugin

SUITES = Path(conformance.suites.__path__[0])


@pytest.mark.parametrize(
    ("argument", "wakes"),
    [
        (str(SUITES), True),
        (f"{next(SUITES.glob('test_*.py'))}::test_access[v1/pods:get]", True),
        ("conformance.suites.test_access", True),
        (str(Path(__file__)), False),
        ("tests", False),
        ("-k", False),
        ("a or " * 200, False),
        ("no\0file", False),
    ],
)
def test_it_wakes_up_where_a_suite_is_named(argument: str, wakes: bool) -> None:  # noqa: FBT001
    assert plugin._is_suite(argument) is wakes
