"""Asks at a terminal whether the current context is really meant; elsewhere it has to be named.

The current context is whatever somebody last looked at, which may be anybody's production.
"""

from __future__ import annotations

import sys

from conformance.terminal import plain

_YES = frozenset({"y", "yes"})


def is_possible() -> bool:
    """Whether somebody is there to be asked: a terminal to read from and one to write to."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def given(context: str, server: str) -> bool:
    """Ask, and say whether the answer was yes; no answer is none."""
    sys.stderr.write(f"no --context: is the current context {plain(context)!r} meant ({plain(server)})? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in _YES
