"""Makes something that outlives a process, and unmakes it unless that process says to keep it.

Run as a script, `python -I -S keeper.py MAKE UNMAKE LOOK LOG` with three commands as JSON lists, so it imports the
standard library only. It runs MAKE with its output in LOG, prints its exit code as a line, and waits for its standard
input:

    keep    what was made stays, and this ends
    (end)   MAKE is killed with all that it started, if it still runs, and UNMAKE runs until LOOK prints nothing

So a cluster of containers goes with whoever asked for it, even when that was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

POLL = 0.1  # seconds between two looks at MAKE
UNMAKE_SECONDS = 120
QUIET = 5.0  # seconds that nothing may have appeared after a creation was cut short


def main() -> None:
    """Make, wait, and keep or unmake."""
    make, unmake, look = map(json.loads, sys.argv[1:4])
    log = Path(sys.argv[4])
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the end of standard input is the only word that counts
    with log.open("ab") as output:
        try:
            making = subprocess.Popen(
                make, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, process_group=0
            )
        except OSError as problem:
            output.write(f"{problem}\n".encode())
            output.flush()
            _say(127)
            return
        told = False
        while True:
            ready = select.select([0], [], [], None if told else POLL)[0]
            if not told and making.poll() is not None:
                told = _say(making.returncode)
            if not ready:
                continue
            if os.read(0, 64).startswith(b"keep"):
                return
            break
        # What was asked of a daemon goes on there, and may appear after it was looked for.
        quiet = 0.0 if told else QUIET
        with contextlib.suppress(ProcessLookupError):
            os.killpg(making.pid, signal.SIGKILL)
        making.wait()
        _unmake(unmake, look, output, quiet)


def _unmake(unmake: list[str], look: list[str], output: BinaryIO, quiet: float) -> None:
    """Unmake again and again, until nothing has been seen for so many seconds."""
    until = time.monotonic() + UNMAKE_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(unmake, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=UNMAKE_SECONDS)  # noqa: PLW1510  # there is nobody left to tell
        begun = time.monotonic()
        while not (seen := _sees(look)) and time.monotonic() - begun < quiet:
            time.sleep(POLL)
        if not seen:
            return


def _sees(look: list[str]) -> bool:
    try:
        found = subprocess.run(look, stdin=subprocess.DEVNULL, capture_output=True, timeout=UNMAKE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return bool(found.stdout.strip())


def _say(code: int) -> bool:
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{code}\n".encode())
    return True


if __name__ == "__main__":
    main()
