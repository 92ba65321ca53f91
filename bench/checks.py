"""What checks cost: how many of them and of their requests a second, and what part of it is validation.

    python -m bench.checks [--rounds N] [-k EXPRESSION]

Audits one embedded control plane in full mode, each round in a process of its own, and counts the answers that were
held against the server's schemas beside those that came, which have to be as many. `-k contract` leaves the matrix of
access out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NAME = "bench-checks"
_AIM_SHARE, _AIM_MICROS = 0.10, 60.0
_NONE_FAILED, _SOMETHING_FAILED = 0, 1


def main() -> int:
    """Print the medians; 1 where an answer was not validated."""
    parser = argparse.ArgumentParser(
        prog="bench.checks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-k", dest="keyword", default="")
    parser.add_argument("--once", nargs=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        sys.stdout.write(json.dumps(_once(options.once[0], options.keyword)) + "\n")
        return 0
    from conformance.clusters import embedded  # noqa: PLC0415  # the rounds are processes of their own

    embedded.up(NAME)
    try:
        with tempfile.TemporaryDirectory() as folder:
            rounds = [_round(folder, options.keyword) for _ in range(options.rounds)]
    finally:
        embedded.down(NAME)
    return _print(rounds)


def _round(folder: str, keyword: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.checks", "--once", folder, *(["-k", keyword] if keyword else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _once(folder: str, keyword: str) -> dict[str, Any]:
    """Audit in this process, with an eye on what its validations took."""
    from unittest import mock  # noqa: PLC0415

    from bench import audit_once  # noqa: PLC0415
    from conformance import audit, config  # noqa: PLC0415
    from conformance.clusters import embedded  # noqa: PLC0415

    kept: list[Any] = []

    class Watched(audit.Controller):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            kept.append(self)

    audit_once.take(embedded.up(NAME, say=lambda _: None))
    reports = Path(folder, "reports")
    began, out = time.monotonic(), os.dup(1)
    os.dup2(2, 1)  # what pytest prints is not what is measured
    with mock.patch.object(audit, "Controller", Watched):
        code = audit.main(config.load({"reports": reports}), ("-k", keyword) if keyword else (), quiet=True)
    os.dup2(out, 1)
    if code not in {_NONE_FAILED, _SOMETHING_FAILED}:
        raise SystemExit(f"the audit ended with {code}")
    matrix = json.loads((reports / "latest" / "matrix.json").read_bytes())
    tally = kept[0].schemas.tally
    used = os.times()
    asked = [each for each in matrix["checks"] if each["verdict"] != "not-applicable"]
    return {
        "seconds": time.monotonic() - began,
        "asking": matrix["run"]["seconds"],
        "cpu": used.user + used.system,
        "sent": matrix["run"]["requests"]["sent"],
        "results": len(asked),
        "checks": len({each["id"] for each in asked}),
        "failed": sum(each["verdict"] in {"fail", "error"} for each in asked),
        "received": tally.received,
        "validated": tally.validated,
        "validation": sum(tally.micros) / 1e6,
        "median": statistics.median(tally.micros),
    }


def _print(rounds: list[dict[str, Any]]) -> int:
    middle = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
    share = middle["validation"] / middle["cpu"]
    rows = (
        (
            "checks that were asked",
            f"{middle['checks']:,.0f}, {middle['results']:,.0f} results, {middle['failed']:,.0f} failed",
        ),
        ("seconds of the audit", f"{middle['seconds']:.1f}"),
        ("results a second", f"{middle['results'] / middle['asking']:,.0f}"),
        ("requests a second", f"{middle['sent'] / middle['asking']:,.0f}"),
        ("client CPU, seconds", f"{middle['cpu']:.1f}"),
        ("client CPU, ms a request", f"{1000 * middle['cpu'] / middle['sent']:.2f}"),
        ("validation, share of client CPU", f"{share:.1%} (aim: below {_AIM_SHARE:.0%})"),
        ("validation, µs an answer, median", f"{middle['median']:.0f} (aim: below {_AIM_MICROS:.0f})"),
        ("answers validated / received", f"{middle['validated']:,.0f} / {middle['received']:,.0f}"),
    )
    for name, value in rows:
        print(f"{name:34} {value}")
    return int(any(each["validated"] != each["received"] for each in rounds))


if __name__ == "__main__":
    sys.exit(main())
