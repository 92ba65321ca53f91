"""Gives programs a directory, and lets neither outlive whoever asked for them.

Run as a script, `python -I -S supervisor.py FOLDER PREFIX`, so it imports the standard library only. It makes a
directory of mode 0700 below FOLDER, which is also its programs' working directory, and then does what its standard
input says, one JSON document a line:

    {"start": NAME, "argv": [...], "env": {...}}    output goes to NAME.log; env null keeps the own environment
    {"stop": NAME}                                  SIGTERM; that it ended is said like of any other
    {"detach": true}                                from now on end by SIGTERM only

On its standard output it says `{"directory": PATH}`, then `{"ended": NAME, "code": N}` for each program that ends.
When its standard input ends, when the process that started it is gone, or at SIGTERM, it kills the programs with all
that they started, removes the directory and exits. When it is itself killed, the kernel kills the programs
(PR_SET_PDEATHSIG), and whoever comes next finds the directory unlocked and removes it (`processes.sweep`).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import BinaryIO

UNFINISHED = "new-"  # what a directory is called before it is locked
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
NOT_STARTED = 127
LOOK_AGAIN = 500  # milliseconds after which a changed parent is noticed, where standard input did not end


class Supervisor:
    """The directory, its lock, and the programs by name."""

    def __init__(self, folder: Path, prefix: str, signals: int) -> None:
        self.owner: int | None = os.getppid()
        self.programs: dict[str, subprocess.Popen[bytes]] = {}
        self._signals = signals
        self._self = os.getpid()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._control(PR_SET_CHILD_SUBREAPER, 1)  # a program's own children come to us, to be waited for too
        # Locked before it gets its name, so that nobody ever sees a directory of this name unlocked and in use.
        unfinished = Path(tempfile.mkdtemp(prefix=f"{UNFINISHED}{prefix}", dir=folder))
        self._lock = os.open(unfinished, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.directory = unfinished.rename(unfinished.with_name(unfinished.name.removeprefix(UNFINISHED)))

    def serve(self) -> None:
        """Do what is said until it is time to end."""
        _say({"directory": str(self.directory)})
        os.set_blocking(0, False)
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        poll.register(0, select.POLLIN)
        rest = b""
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(LOOK_AGAIN if self.owner else None)}
            if self._signals in ready and bytes([signal.SIGTERM]) in os.read(self._signals, 4096):
                return
            self._report()
            if 0 in ready:
                said = os.read(0, 65536)
                if not said:
                    return
                *lines, rest = (rest + said).split(b"\n")
                for line in lines:
                    self._do(json.loads(line))
                if self.owner is None:
                    poll.unregister(0)
            elif self.owner not in {None, os.getppid()}:
                return

    def _do(self, order: dict[str, Any]) -> None:
        if "detach" in order:
            self.owner = None
            return
        if "stop" in order:
            program = self.programs.get(order["stop"])
            if program is not None:
                program.terminate()
            return
        name = order["start"]
        with (self.directory / f"{name}.log").open("ab") as log:
            try:
                self.programs[name] = self._popen(order, log)
            except OSError as problem:
                log.write(f"{problem}\n".encode())
                log.flush()
                _say({"ended": name, "code": NOT_STARTED})

    def _popen(self, order: dict[str, Any], log: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            order["argv"],
            env=order["env"],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,  # so that a compiler's own children can be killed with it
            preexec_fn=self._die_with_me,  # noqa: PLW1509  # there is no thread here that could hold a lock
        )

    def _die_with_me(self) -> None:
        self._control(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._self:  # killed before the kernel knew
            os._exit(1)

    def _control(self, what: int, value: int) -> None:
        if sys.platform == "linux":  # elsewhere there are no programs of ours, only folders
            self._libc.prctl(what, value)

    def _report(self) -> None:
        for name, program in list(self.programs.items()):
            if os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self._kill_group(program)  # before it is waited for: after that its number is anybody's
                del self.programs[name]
                _say({"ended": name, "code": self._wait_group(program)})

    @staticmethod
    def _kill_group(program: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)

    @staticmethod
    def _wait_group(program: subprocess.Popen[bytes]) -> int:
        """Wait for the program and all that it started in its group, once killed; give the program's own exit code."""
        code = program.wait()
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-program.pid, 0)
        return code

    def end(self) -> None:
        """Leave nothing: no program, no directory."""
        for program in self.programs.values():
            self._kill_group(program)
        for program in self.programs.values():
            self._wait_group(program)
        shutil.rmtree(self.directory, ignore_errors=True)


def _say(what: dict[str, object]) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more
        os.write(1, json.dumps(what).encode() + b"\n")


def main() -> None:
    """Serve, and whatever happens, leave nothing."""
    os.umask(0o077)
    signals, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)  # its number comes out of the pipe
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor = Supervisor(Path(sys.argv[1]), sys.argv[2], signals)
    try:
        supervisor.serve()
    finally:
        supervisor.end()


if __name__ == "__main__":
    main()
