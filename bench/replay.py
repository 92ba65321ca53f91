"""Recorded calls sent again by programs that do nothing else: a Go loop (tools/replay) and wrk."""

from __future__ import annotations

import json
import re
import shutil
import string
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.calls import write
from conformance.errors import ConformanceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.calls import Call

SOURCES = Path(__file__).resolve().parent.parent / "tools" / "replay"
CONCURRENCIES = (4, 8, 16, 32)
_MINUTES = 20 * 60


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay took, and how often each status came."""

    seconds: float
    statuses: Counter[int]
    cpu: float = 0.0


class Loop:
    """The Go loop: sends anything, client certificates and watches too."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "replay"
        self._folder = folder
        self._calls = folder / "calls.jsonl"
        subprocess.run(["go", "build", "-o", str(self._program), "."], cwd=SOURCES, check=True)
        self.workers = CONCURRENCIES[-1]

    def load(self, calls: Sequence[Call]) -> None:
        """Take these calls from now on."""
        write(calls, self._calls)

    def settle(self) -> dict[int, float]:
        """Find the best concurrency for the loaded calls; give the seconds of each."""
        took = {workers: self.send(workers).seconds for workers in CONCURRENCIES}
        self.workers = min(took, key=took.__getitem__)
        return took

    def send(self, workers: int | None = None) -> Replayed:
        """Send the loaded calls once."""
        command = [str(self._program), "-calls", str(self._calls), "-workers", str(workers or self.workers)]
        done = subprocess.run(command, check=True, capture_output=True, timeout=_MINUTES)
        said = json.loads(done.stdout)
        statuses = Counter({int(status): count for status, count in said["statuses"].items()})
        return Replayed(said["seconds"], statuses, said["cpu"])


def fit_for_wrk(call: Call) -> bool:
    """Say whether wrk could send it: it shows no client certificate, and ends at no headers."""
    return call.access.certificate is None and not call.request.headers_only


class Wrk:
    """wrk, which sends the same requests for a while; one thread, since each would start at the first of them."""

    def __init__(self, folder: Path) -> None:
        self._program = shutil.which("wrk")
        self._script = folder / "calls.lua"
        self._server = ""
        self._count = 0

    def __bool__(self) -> bool:
        return self._program is not None

    def load(self, calls: Sequence[Call]) -> None:
        """Write the script that sends these calls, one after the other, and stops after as many answers."""
        self._server, self._count = calls[0].access.server, len(calls)
        lines = ["local calls = {"]
        for call in calls:
            headers = ", ".join(f"[{_lua(name)}] = {_lua(value)}" for name, value in call.headers)
            body = _lua(call.request.body.decode()) if call.request.body else "nil"
            lines.append(f"{{{_lua(call.request.method)}, {_lua(call.target)}, {{{headers}}}, {body}}},")
        lines += ["}", _SCRIPT]
        self._script.write_text("\n".join(lines), encoding="utf-8")

    def settle(self) -> int:
        """Find the best concurrency for the loaded calls."""
        took = {connections: self.send(connections).seconds for connections in CONCURRENCIES}
        return min(took, key=took.__getitem__)

    def send(self, connections: int) -> Replayed:
        """Send the loaded calls once; connections that have no call left are told 417 until the last answer."""
        if self._program is None:
            raise ConformanceError("wrk is not installed")
        options = ["-t1", f"-c{connections}", f"-d{_MINUTES}s", "--timeout", "60s", "-s", str(self._script)]
        done = subprocess.run(
            [self._program, *options, self._server], check=True, capture_output=True, timeout=_MINUTES, text=True
        )
        found = re.findall(r"^(\d+)=(\d+)$", done.stdout, re.MULTILINE)
        counts = Counter({int(status): int(count) for status, count in found})
        took = re.search(r"^took=([\d.]+)$", done.stdout, re.MULTILINE)
        if took is None or counts.total() != self._count:
            raise ConformanceError(f"wrk ended after {counts.total()} of {self._count} answers:\n{done.stdout}")
        return Replayed(float(took[1]), counts)


def _lua(text: str) -> str:
    """Quote for Lua: every byte that could mean something by its number."""
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03}" for byte in text.encode()) + '"'


_PLAIN = frozenset((string.ascii_letters + string.digits + " -_./:;,=+*?&%{}[]()@").encode())

# wrk knows a duration and no number of requests: the script ends the program itself, and so has to take the time, too.
_SCRIPT = """
local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds, nanoseconds; } moment; int clock_gettime(int clock, moment *now);")
local function now()
  local read = ffi.new("moment")
  ffi.C.clock_gettime(1, read)
  return tonumber(read.seconds) + tonumber(read.nanoseconds) / 1e9
end
local built, sent, answered = {}, -1, 0 -- wrk looks at one request before it begins
local seen, idle, began = {}, nil, nil
function init()
  for number, call in ipairs(calls) do built[number] = wrk.format(call[1], call[2], call[3], call[4]) end
  idle = wrk.format("GET", "/version", {Expect = "nothing"})
end
function request()
  if sent == #built then return idle end
  if sent == 0 then began = now() end
  sent = sent + 1
  return built[sent] or idle
end
function response(status)
  if status == 417 then return end
  answered = answered + 1
  seen[status] = (seen[status] or 0) + 1
  if answered < #built then return end
  print("took=" .. now() - began)
  for code, count in pairs(seen) do print(code .. "=" .. count) end
  io.stdout:flush()
  os.exit(0)
end
"""
