"""Programs in a directory of their own that live no longer than this process (supervisor.py does the work)."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from conformance.clusters import supervisor
from conformance.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STALE = 60  # seconds after which a directory that was never locked is nobody's
_LOG_LINES = 15


class Programs:
    """A directory and the programs that run in it; both are gone when this is closed or this process is."""

    def __init__(self, folder: Path, prefix: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder, prefix)
        self._ended: dict[str, int] = {}
        self._rest = b""
        self._detached = False
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, str(folder.resolve()), prefix],
            cwd="/",  # it may live long and is not to keep anybody's directory busy
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to answer
        )
        assert self._process.stdin is not None  # noqa: S101  # for mypy: it is a pipe
        assert self._process.stdout is not None  # noqa: S101
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        line = self._stdout.readline()
        if not line:
            self.close()
            raise ClusterError(f"{folder} is no place to run programs in: no directory can be made there")
        self.directory = Path(json.loads(line)["directory"])
        os.set_blocking(self._stdout.fileno(), False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process to end, once this is detached."""
        return self._process.pid

    def start(self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        """Start a program in the directory; its output goes to NAME.log there."""
        self._tell({"start": name, "argv": [str(part) for part in argv], "env": dict(env) if env else None})

    def stop(self, name: str) -> None:
        """Ask a program to end (SIGTERM); `ended` says when it has."""
        self._tell({"stop": name})

    def ended(self, name: str, seconds: float = 0) -> int | None:
        """Give a program's exit code, waiting so long for it; None while it runs."""
        deadline = time.monotonic() + seconds
        while name not in self._ended:
            rest = max(deadline - time.monotonic(), 0)
            if not select.select([self._stdout], [], [], rest)[0]:
                return None
            said = self._stdout.read()
            if not said:
                raise ClusterError("the process that watches over the cluster's programs is gone; they ended with it")
            *lines, self._rest = (self._rest + said).split(b"\n")
            for what in map(json.loads, lines):
                self._ended[what["ended"]] = what["code"]
        return self._ended[name]

    def last_lines(self, name: str, lines: int = _LOG_LINES) -> str:
        """Give the end of a program's output."""
        with contextlib.suppress(FileNotFoundError):
            text = (self.directory / f"{name}.log").read_text("utf-8", "replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    def detach(self) -> None:
        """Let the programs outlive this process; SIGTERM to `pid` ends them."""
        self._tell({"detach": True})
        self._stdin.close()
        self._stdout.close()
        self._process.returncode = 0  # not ours to wait for any more
        self._detached = True

    def close(self) -> None:
        """End the programs and wait until they and the directory are gone; nothing after `detach`."""
        if self._detached:
            return
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        self._process.wait()
        self._stdout.close()
        if hasattr(self, "directory"):
            shutil.rmtree(self.directory, ignore_errors=True)  # only there when the supervisor was killed

    def _tell(self, order: dict[str, object]) -> None:
        try:
            self._stdin.write(json.dumps(order).encode() + b"\n")
            self._stdin.flush()
        except BrokenPipeError:
            raise ClusterError("the process that watches over the cluster's programs is gone") from None


def sweep(folder: Path, prefix: str) -> None:
    """Remove directories whose supervisor was killed: those that nobody holds a lock on."""
    for directory in (*folder.glob(f"{prefix}*"), *folder.glob(f"{supervisor.UNFINISHED}{prefix}*")):
        with contextlib.suppress(OSError):  # another user's, or another sweep was faster
            found = directory.lstat()
            fresh = time.time() - found.st_mtime < STALE
            if found.st_uid != os.getuid() or (directory.name.startswith(supervisor.UNFINISHED) and fresh):
                continue
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(lock)


def birth(pid: int) -> str | None:
    """Say when a process was started, in a form that no other process of this number ever has; None without one."""
    try:
        # The name in parentheses may hold anything; the start time is the 20th field behind it (proc_pid_stat(5)).
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (FileNotFoundError, ProcessLookupError):  # the second when it ends between opening and reading
        return None
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"  # a zombie has ended


def end(pid: int, born: str, seconds: float = 20) -> None:
    """End the process of this number and birth and wait for it; never touches another that has its number now.

    A number is handed out again only after all others were, so between the look and the signal it stays what it is.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if birth(pid) != born:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while birth(pid) == born and time.monotonic() < deadline:
            time.sleep(0.01)
        with contextlib.suppress(ChildProcessError):  # ours to bury only when this very process detached it
            os.waitpid(pid, os.WNOHANG)
