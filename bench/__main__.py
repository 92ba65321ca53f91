"""What an audit costs, beside the same calls sent by programs that do nothing else; both by turns, on one server.

python -m bench [--rounds N]

Prints medians, each with its aim where it has one. Ends with 1 when a replay was answered otherwise than the audit.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import audit_once
from bench.calls import record, statuses
from bench.replay import Loop, Wrk, fit_for_wrk
from conformance import config, run
from conformance.clusters import embedded

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from bench.calls import Call
    from bench.replay import Replayed
    from conformance.run import Ready

NAME = f"bench-{os.getpid()}"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
# Where there is nothing that pytest could find, as on a user's machine.
_ROOT = Path(__file__).resolve().parent.parent
_ENVIRONMENT = os.environ | {"PYTHONPATH": str(_ROOT)}
COLLECTIONS = {660: 0.3, 11_000: 2.0}  # rows -> seconds that their collection may take
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Audited:
    """What one audit took, as its parent saw it; `peak` is in MB."""

    seconds: float
    cpu: float
    server: float
    peak: float
    calls: int
    cells: int
    asked: int  # oracles that send something


@dataclass(frozen=True, slots=True)
class Round:
    """An audit, and right after it the replay."""

    audit: Audited
    replay: Replayed


class Bench:
    """One cluster with recorded calls, and everything that is measured on it."""

    def __init__(self, folder: Path, made: Ready) -> None:
        self._folder, self.made = folder, made
        self.calls: list[Call] = record(made.work)
        self.expected = statuses(self.calls)
        self.loop = Loop(folder)
        self.differ: list[str] = []

    def settle(self) -> dict[int, float]:
        """Warm the server up, and find how many workers the loop does best with."""
        self.loop.load(self.calls[::4])
        took = self.loop.settle()
        self.loop.load(self.calls)
        return took

    def round(self) -> Round:
        """Audit, then replay."""
        audited = self.audit()
        self.made.prepared.beat()
        replayed = self.loop.send()
        self._hold("the loop", self.expected, replayed.statuses)
        return Round(audited, replayed)

    def audit(self, *flags: str) -> Audited:
        """Audit in a process of its own."""
        reports = self._folder / "reports"
        command = [sys.executable, "-m", "bench.audit_once", NAME, str(reports), *flags]
        before, began = _server_seconds(), time.monotonic()
        with (self._folder / "audit.txt").open("wb") as out:
            audit = subprocess.Popen(command, cwd=self._folder, env=_ENVIRONMENT, stdout=out, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(audit.pid, 0)
        audit.returncode = os.waitstatus_to_exitcode(status)
        seconds, server = time.monotonic() - began, _server_seconds() - before
        if audit.returncode:
            text = (self._folder / "audit.txt").read_text("utf-8", "replace")
            raise SystemExit(f"the audit ended with {audit.returncode}:\n{text[-3000:]}")
        matrix: dict[str, Any] = json.loads((reports / "latest" / "matrix.json").read_bytes())
        made = matrix["run"]
        return Audited(
            seconds,
            used.ru_utime + used.ru_stime,
            server,
            used.ru_maxrss / 1000,
            made["requests"]["sent"] + made["requests"]["retried"],
            matrix["summary"]["cells"],
            len({"request", "review"}.intersection(made["oracles"])),
        )

    def collection(self, rows: int, rounds: int) -> float:
        """Have pytest collect a plan of so many rows, in processes of their own."""
        file = self._folder / "work.pickle"
        file.write_bytes(pickle.dumps(self.made.work))
        command = [sys.executable, "-m", "bench.collection", str(file), str(rows)]
        took = (subprocess.check_output(command, cwd=self._folder, env=_ENVIRONMENT) for _ in range(rounds))
        return statistics.median(map(float, took))

    def against_wrk(self, rounds: int) -> tuple[int, int, float, float] | None:
        """Send what wrk can send by both, by turns: how many calls, wrk's connections, its seconds, the loop's."""
        wrk = Wrk(self._folder)
        if not wrk:
            return None
        some = [call for call in self.calls if fit_for_wrk(call)]
        self.loop.load(some)
        wrk.load(some)
        connections = wrk.settle()
        by_wrk, by_loop = [], []
        for _ in range(rounds):
            by_wrk.append(wrk.send(connections))
            by_loop.append(self.loop.send())
            self._hold("wrk", statuses(some), by_wrk[-1].statuses)
            self._hold("the loop", statuses(some), by_loop[-1].statuses)
            self.made.prepared.beat()
        return len(some), connections, _median(by_wrk), _median(by_loop)

    def _hold(self, name: str, expected: Counter[int], got: Counter[int]) -> None:
        if expected != got:
            self.differ.append(f"{name} got {_sorted(got)}, recorded were {_sorted(expected)}")


def main() -> int:
    """Measure all of it, and print."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often audit and replay take turns (default: 5)")
    rounds: int = parser.parse_args().rounds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that the cluster goes, too
    try:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            audit_once.take(embedded.up(NAME))
            options = config.load({"reports": Path(folder) / "reports"})
            bench = Bench(Path(folder), run.ready(options, stack, _say))
            _report(bench, rounds)
    finally:
        embedded.down(NAME)
    for sentence in bench.differ:
        print(f"NOT EQUAL: {sentence}")
    return 1 if bench.differ else 0


def _report(bench: Bench, rounds: int) -> None:
    swept = bench.settle()
    done = []
    for number in range(1, rounds + 1):
        done.append(bench.round())
        last = done[-1]
        _say(f"round {number}: audit {last.audit.seconds:.1f} s, replay {last.replay.seconds:.1f} s")
    pairs = bench.audit("--pairs")
    audits, replays = [each.audit for each in done], [each.replay for each in done]
    calls, cells = audits[0].calls, audits[0].cells
    compared = bench.against_wrk(rounds)
    head = bench.made.head
    print(f"Kubernetes {head.server_version}, {os.cpu_count()} CPUs, Python {sys.version.split()[0]}, rounds: {rounds}")
    print(f"{len(bench.made.work.plan.rows)} rows x {len(head.identities)} identities, median (least to most), aim\n")
    _line("audit, seconds from a ready server to its reports", [a.seconds for a in audits])
    _line("  client CPU, seconds", [a.cpu for a in audits])
    _line("  server CPU, seconds", [a.server for a in audits])
    _line("  calls", [a.calls for a in audits], "{:,.0f}", most=cells * audits[0].asked * 1.05)
    _line("  calls a cell", [a.calls / a.cells for a in audits], "{:.3f}")
    _line("  client CPU, ms a call", [1000 * a.cpu / a.calls for a in audits], "{:.3f}", most=0.3)
    _line("  peak memory, MB", [a.peak for a in audits], "{:.0f}")
    sweep = ", ".join(f"{workers}: {seconds:.1f} s" for workers, seconds in swept.items())
    _line(f"replay by the Go loop, {bench.loop.workers} workers, seconds", [r.seconds for r in replays])
    _line("  its CPU, seconds", [r.cpu for r in replays])
    print(f"  a quarter of the calls with other numbers of workers: {sweep}")
    _line("audit / replay by the loop, measured", [r.audit.seconds / r.replay.seconds for r in done], most=1.5)
    if compared is None:
        print("  wrk is not installed, and was not compared")
    else:
        some, connections, by_wrk, by_loop = compared
        print(f"  wrk can send {some:,} of the calls (no client certificates, no watches that end at their headers):")
        print(f"  {by_wrk:.1f} s on {connections} connections, the loop {by_loop:.1f} s for the same")
        # It never sent the rest, so this is no measurement: what it saved on each of these, saved on each of all calls.
        saved = max(0.0, (by_loop - by_wrk) / some) * len(bench.calls)
        _line(
            "audit / replay by wrk, ESTIMATED", [r.audit.seconds / (r.replay.seconds - saved) for r in done], most=1.5
        )
    for rows, most in COLLECTIONS.items():
        _line(f"collection of {rows:,} items, seconds", [bench.collection(rows, rounds)], most=most)
    _line(f"peak memory of an audit of {pairs.cells // len(head.identities)} items, MB", [pairs.peak], "{:.0f}", 200)
    if calls != len(bench.calls):
        bench.differ.append(f"the audit sent {calls} calls, {len(bench.calls)} were recorded")
    print(f"statuses, the same in every replay: {_sorted(bench.expected)}" if not bench.differ else "")


def _median(replays: Sequence[Replayed]) -> float:
    return statistics.median(each.seconds for each in replays)


def _line(name: str, values: Sequence[float], form: str = "{:.2f}", most: float | None = None) -> None:
    median = statistics.median(values)
    spread = f"({form.format(min(values))} to {form.format(max(values))})" if len(values) > 1 else ""
    aim = "" if most is None else f"at most {form.format(most)}: {'met' if median <= most else 'MISSED'}"
    print(f"{name:56} {form.format(median):>10} {spread:24} {aim}".rstrip())


def _sorted(counts: Counter[int]) -> dict[int, int]:
    return dict(sorted(counts.items()))


def _server_seconds() -> float:
    """CPU seconds that the cluster's programs have used."""
    status = embedded.status(NAME)
    if status is None:
        raise SystemExit("the cluster is gone")
    home, found = status.kubeconfig.parent, 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.joinpath("cwd").readlink() != home:
                continue
            name = Path(process.joinpath("cmdline").read_bytes().partition(b"\0")[0].decode()).name
            times = process.joinpath("stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue  # it ended, or is none of ours
        if name in PROGRAMS:
            found += (int(times[11]) + int(times[12])) / _TICK
    return found


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
