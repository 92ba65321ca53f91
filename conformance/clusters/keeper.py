"""Makes something that outlives a process, and unmakes it unless that process says to keep it.

Run as a script, `python -I -S keeper.py MAKE UNMAKE LOG` with two commands as JSON lists, so it imports the standard
library only. It runs MAKE with its output in LOG, prints its exit code as a line, and waits for its standard input:

    keep    what was made stays, and this ends
    (end)   MAKE is killed with all that it started, if it still runs, and UNMAKE runs

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
from pathlib import Path

POLL = 0.1  # seconds between two looks at MAKE
UNMAKE_SECONDS = 120


def main() -> None:
    """Make, wait, and keep or unmake."""
    make, unmake, log = json.loads(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
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
        with contextlib.suppress(ProcessLookupError):
            os.killpg(making.pid, signal.SIGKILL)
        making.wait()
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(unmake, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=UNMAKE_SECONDS)  # noqa: PLW1510  # there is nobody left to tell


def _say(code: int) -> bool:
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{code}\n".encode())
    return True


if __name__ == "__main__":
    main()
