"""How far an audit is: one live line on a terminal, a plain line now and then where output is kept, as in CI."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

LIVE_SECONDS = 0.1  # between two drawings of the live line
PLAIN_SECONDS = 10.0  # between two plain lines
_SURE_SECONDS = 1.0  # before that, nobody can say how long it will take
_BAR = 20
_CLEAR = "\r\x1b[2K"
_MINUTE = 60


@dataclass(slots=True)
class _Phase:
    what: str
    total: int
    started: float
    done: int = 0
    failed: int = 0
    sent: int = 0


class Progress:
    """Says sentences, and between them how far the phase is that goes on. `live` where lines can be drawn over."""

    def __init__(
        self,
        stream: TextIO,
        *,
        live: bool = False,
        quiet: bool = False,
        width: Callable[[], int] = lambda: 80,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream, self._live, self._quiet = stream, live, quiet
        self._width, self._clock = width, clock
        self._phase: _Phase | None = None
        self._last = 0.0
        self._drawn = False

    def say(self, sentence: str) -> None:
        """Say what has to be known, however quiet."""
        self._wipe()
        self._write(f"{sentence}\n")

    def note(self, sentence: str) -> None:
        """Say which phase begins, unless only the result is wanted."""
        if not self._quiet:
            self.say(sentence)

    def begin(self, what: str, total: int) -> None:
        """Begin a phase of so many parts."""
        now = self._clock()
        self._phase, self._last = _Phase(what, total, now), now
        if not self._live:
            self.note(f"{what}: {total:,} to do")

    def step(self, *, failed: bool = False, sent: int = 0) -> None:
        """Count a part as done; `sent` is how many requests were sent until now."""
        phase = self._phase
        if phase is None:
            return
        phase.done += 1
        phase.failed += failed
        phase.sent = sent
        now = self._clock()
        if self._quiet or now - self._last < (LIVE_SECONDS if self._live else PLAIN_SECONDS):
            return
        self._last = now
        if self._live:
            self._write(_CLEAR + self._line(phase, now)[: max(20, self._width() - 1)])
            self._drawn = True
        else:
            self._write(self._line(phase, now) + "\n")

    def end(self) -> None:
        """End the phase and say what it came to."""
        phase, self._phase = self._phase, None
        self._wipe()
        if phase is not None and not self._quiet:
            seconds = self._clock() - phase.started
            asked = f", {phase.sent:,} requests" if phase.sent else ""
            bad = f", {phase.failed:,} failed" if phase.failed else ""
            self._write(f"{phase.what}: {phase.done:,} of {phase.total:,} in {span(seconds)}{asked}{bad}\n")

    def _line(self, phase: _Phase, now: float) -> str:
        seconds = max(now - phase.started, 1e-6)
        share = phase.done / phase.total if phase.total else 1.0
        rate = f"{phase.sent / seconds:,.0f} requests/s" if phase.sent else f"{phase.done / seconds:,.0f}/s"
        parts = [f"{phase.done:,} of {phase.total:,}", rate]
        if seconds >= _SURE_SECONDS and phase.done:
            parts.append(f"about {span(seconds / phase.done * (phase.total - phase.done))} left")
        if phase.failed:
            parts.append(f"{phase.failed:,} failed")
        bar = ""
        if self._live:
            full = int(share * _BAR)
            bar = f" {'█' * full}{'░' * (_BAR - full)} {share:4.0%} "
        return f"{phase.what}:{bar} {', '.join(parts)}"

    def _wipe(self) -> None:
        if self._drawn:
            self._write(_CLEAR)
            self._drawn = False

    def _write(self, text: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()


def span(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`."""
    if seconds < 10:  # noqa: PLR2004  # below that a tenth matters
        return f"{seconds:.1f} s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s"
