from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from matrices import HOSTILE, hostile, realistic, small

from conformance.report.terminal import colours, columns, draw, render, show

if TYPE_CHECKING:
    from conformance.model import Matrix

COLOUR = re.compile("\x1b\\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [40, 60, 80, 100, 132, 250])
@pytest.mark.parametrize("matrix", [small(), realistic(), hostile()], ids=["small", "realistic", "hostile"])
def test_it_fits_the_width(matrix: Matrix, width: int) -> None:
    lines = COLOUR.sub("", draw(matrix, width=width, coloured=True)).splitlines()
    # The command to run again is there to be copied, so it is never cut.
    assert [line for line in lines if columns(line) > width and not line.startswith("again: ")] == []


def test_every_identity_and_group_is_drawn_in_a_narrow_terminal() -> None:
    shown = draw(realistic(), width=60)
    assert all(identity.name[:15] in shown for identity in realistic().identities)
    assert shown.count("storagemigration") > 1


def test_named_is_not_denied_and_unknown_groups_are_said() -> None:
    shown = draw(small(), width=80)
    assert "1+1/2" in shown
    assert "groups unknown, denied by own bindings only: jane" in shown


def test_quiet_is_the_verdict_alone_and_verbose_cuts_nothing() -> None:
    assert draw(realistic(), width=80, quiet=True).count("\n") == 1
    assert "more" in draw(hostile(), width=80)
    assert "… and" not in draw(hostile(), width=80, verbose=True)


@pytest.mark.parametrize(
    ("terminal", "environment", "expected"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_colours_only_where_they_are_wanted(terminal: bool, environment: dict[str, str], expected: bool) -> None:  # noqa: FBT001
    assert colours(Terminal() if terminal else io.StringIO(), environment) is expected


def test_a_pipe_gets_no_escape() -> None:
    assert b"\x1b" not in render(hostile())
    pipe = io.StringIO()
    show(small(), pipe)
    assert "\x1b" not in pipe.getvalue()


def test_a_terminal_gets_only_our_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    show(hostile(), screen, verbose=True)
    assert COLOUR.search(screen.getvalue())
    assert "\x1b" not in COLOUR.sub("", screen.getvalue())
    assert all(text not in screen.getvalue() for text in HOSTILE if "\x1b" in text)
