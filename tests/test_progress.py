from __future__ import annotations

import io

import pytest

from conformance.progress import LIVE_SECONDS, PLAIN_SECONDS, Progress, span


class Clock:
    """A clock that goes on by itself when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def counted(*, live: bool, quiet: bool = False, step: float = 1.0, parts: int = 30) -> str:
    clock, stream = Clock(), io.StringIO()
    shown = Progress(stream, live=live, quiet=quiet, width=lambda: 100, clock=clock)
    shown.say("mode full, as admin")
    shown.begin("asking", parts)
    for number in range(parts):
        clock.now += step
        shown.step(failed=number == 3, sent=(number + 1) * 40)
    shown.end()
    return stream.getvalue()


def test_where_output_is_kept_there_are_plain_lines_and_few() -> None:
    lines = counted(live=False).splitlines()
    assert lines == [
        "mode full, as admin",
        "asking: 30 to do",
        "asking: 10 of 30, 40 requests/s, about 20 s left, 1 failed",
        "asking: 20 of 30, 40 requests/s, about 10 s left, 1 failed",
        "asking: 30 of 30, 40 requests/s, about 0.0 s left, 1 failed",
        "asking: 30 of 30 in 30 s, 1,200 requests, 1 failed",
    ]
    assert PLAIN_SECONDS == 10


def test_on_a_terminal_one_line_is_drawn_over_and_gone_at_the_end() -> None:
    text = counted(live=True)
    drawings = text.split("\r\x1b[2K")
    assert "asking: ██████████░░░░░░░░░░  50%  15 of 30, 40 requests/s, about 15 s left, 1 failed" in drawings
    assert all("\n" not in drawing for drawing in drawings[1:-1])
    assert drawings[-1] == "asking: 30 of 30 in 30 s, 1,200 requests, 1 failed\n"


def test_the_live_line_is_not_drawn_more_often_than_anybody_sees() -> None:
    assert counted(live=True, step=LIVE_SECONDS / 20, parts=200).count("\r\x1b[2K") <= 12


def test_a_line_is_no_wider_than_the_terminal() -> None:
    stream, clock = io.StringIO(), Clock()
    shown = Progress(stream, live=True, width=lambda: 40, clock=clock)
    shown.begin("asking", 10)
    clock.now += 5
    shown.step()
    assert len(stream.getvalue().removeprefix("\r\x1b[2K")) == 39


def test_quiet_says_only_what_has_to_be_known() -> None:
    assert counted(live=True, quiet=True) == "mode full, as admin\n"
    assert counted(live=False, quiet=True) == "mode full, as admin\n"


def test_a_terminal_without_the_letters_gets_others() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    shown = Progress(stream, live=True, clock=Clock())
    shown.say("für alle")
    assert raw.getvalue() == b"f?r alle\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (200, "3 min 20 s"), (59.7, "60 s")]
)
def test_a_span_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert span(seconds) == text
