"""The whole catalogue on healthy servers: every pair has its class, nothing fails, and nothing is left behind.

As a program: `python whole.py [--version 1.36] [--all] [--identity NAME]`. `--all` serves every API (api/all=true), and
CBOR.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import audits
from audits import audit
from residue import objects, residue, settled

from conformance import checks
from conformance.clusters import embedded
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conformance.model import Cluster

CBOR = "--feature-gates=CBORServingAndStorage=true"
CONNECT = {"exec", "attach", "portforward", "proxy"}
audits.MINUTES = 40 * 60.0  # on a machine that others use, too
QUIRK = re.compile(r"\bQ\d+(?=: )")
PAIRS = {("1.37", False): 660, ("1.37", True): 852}


def classes(matrix: Any) -> dict[str, str]:
    """Give each pair of resource and verb its class, by the checks that asked it."""
    verdicts: dict[str, Counter[str]] = {}
    for result in matrix["checks"]:
        for endpoint in result["endpoints"]:
            verdicts.setdefault(endpoint, Counter())[result["verdict"]] += 1
    found = {}
    for endpoint in matrix["endpoints"]:
        if endpoint["virtual"] or endpoint["path"] or endpoint["scope"] not in {"own", "cluster"}:
            continue
        held = verdicts.get(endpoint["id"], Counter())
        if held["fail"] or held["error"]:
            found[endpoint["id"]] = "fail"
        elif endpoint["subresource"] in CONNECT:
            found[endpoint["id"]] = "needs a node" if held["pass"] else "not asked"
        elif held["info"]:
            found[endpoint["id"]] = "known quirk"
        else:
            found[endpoint["id"]] = "pass" if held["pass"] else "not asked"
    return found


def said(matrix: Any, minor: str, *, everything: bool) -> Iterator[str]:
    """Print what came out; give a sentence for each thing that is wrong."""
    pairs = classes(matrix)
    counted = Counter(pairs.values())
    print(f"{len(pairs)} pairs: " + ", ".join(f"{number} {name}" for name, number in counted.most_common()))
    watch = sum(endpoint.endswith(":watch") for endpoint in pairs)
    rbac = sum(endpoint.startswith("rbac.authorization.k8s.io/") for endpoint in pairs)
    print(f"among them {watch} of watch and {rbac} of RBAC")
    wanted = PAIRS.get((minor, everything))
    if wanted is not None and len(pairs) != wanted:
        yield f"{len(pairs)} pairs instead of {wanted}"
    if counted["not asked"]:
        left = ", ".join(endpoint for endpoint, name in pairs.items() if name == "not asked")
        yield f"{counted['not asked']} pairs have no checked answer: {left}"
    verdicts = Counter(result["verdict"] for result in matrix["checks"])
    print(f"{len(matrix['checks'])} results: " + ", ".join(f"{n} {name}" for name, n in verdicts.most_common()))
    seen = Counter(name for result in matrix["checks"] for name in set(QUIRK.findall(result["note"])))
    print("quirks: " + ", ".join(f"{name} {seen[name]}" for name in sorted(seen, key=lambda name: int(name[1:]))))
    by_check: dict[str, Counter[str]] = {}
    for result in matrix["checks"]:
        by_check.setdefault(result["id"], Counter())[result["verdict"]] += 1
        if result["verdict"] in {"fail", "error", "not-evaluated"}:
            yield f"{result['verdict']}: {result['id']} on {result['resource']}: {result['note']}"
        # A step of escalation is information by what it is: that it was reviewed, and not tried.
        if (
            result["verdict"] == "info"
            and not result["note"].startswith("Q")
            and not result["resource"].startswith("step/")
        ):
            yield f"{result['id']} on {result['resource']} is info and names no quirk"
    for name in checks.catalogue():
        held = by_check.get(name, Counter())
        if not held["pass"]:
            why = {result["note"] for result in matrix["checks"] if result["id"] == name}
            print(f"  passed on nothing: {name}: {'; '.join(sorted(why))[:200]}")


def whole(cluster: Cluster, reports: Path, arguments: Sequence[str], *, everything: bool) -> list[str]:
    """Run an audit, and say what is wrong with it."""
    with Client(cluster.admin) as client:
        minor = ".".join(client.get_json("/version")["gitVersion"].removeprefix("v").split(".")[:2])
        before = objects(client)
        begun = time.monotonic()
        done = audit(cluster, reports, "--checks", *arguments)
        seconds = time.monotonic() - begun
        alone, left = residue(before, settled(client))
    matrix = done.matrix()
    sent = matrix["run"]["requests"]["sent"]
    held = len(matrix["checks"])
    print(f"{matrix['cluster']['version']}: {held / seconds:.0f} checks and {sent / seconds:.0f} requests a second")
    wrong = list(said(matrix, minor, everything=everything))
    print(f"changed by themselves: {', '.join(sorted(Counter(w.partition('/')[0] for w in alone))) or 'nothing'}")
    wrong += [f"left or changed: {where}" for where in left]
    if done.code and not wrong:
        wrong.append(f"the audit ended with {done.code}: {done.output[-1500:]}")
    return wrong


def main() -> int:
    """Hold one server against the whole catalogue."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--version")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--identity", action="append", default=[])
    given = parser.parse_args()
    arguments = [part for name in given.identity for part in ("--identity", name)]
    runtime, flags = ("api/all=true", [CBOR]) if given.all else (None, [])
    with (
        embedded.running(given.version, runtime_config=runtime, extra_args=flags) as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        wrong = whole(cluster, Path(folder), arguments, everything=given.all)
    for sentence in wrong[:200]:
        print(f"WRONG {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
