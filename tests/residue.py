"""What runs leave behind: nothing, when two of them go on at once, and when one is killed at any moment and cleaned up.

As a program: `python residue.py [--together] [--kills 20] [--seed N] [-k EXPRESSION]`, on an embedded control plane of
its own. `-k` says which checks, as pytest's does.
"""

from __future__ import annotations

import argparse
import email.utils
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import audits
from faultproxy import before as proxied

from conformance import discovery
from conformance.clusters import embedded, kubeconfig
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from faultproxy import Answered, Asked

    from conformance.model import Cluster

# What changes by itself while nobody does anything, and the reason.
ALONE = {
    "events": "controllers tell what they do",
    "leases": "processes say that they are alive",
    "clusterroles": "admin, edit and view are filled from others, as long as these are there",
    "apiservices": "their status follows what is served",
    "configmaps": "the authorities of authentication are published anew",
    "storageversions": "servers say which version they store",
}
GONE = 90.0
LATER = 3600.0  # seconds after which nobody doubts that a run is dead
audits.MINUTES = 40 * 60.0  # on a machine that others use, too

Found = dict[str, tuple[str, str]]


def objects(client: Client) -> Found:
    """Give uid -> (where, resourceVersion) of everything that can be listed."""
    found: Found = {}
    for resource in discovery.discover(client).resources:
        if resource.subresource or "list" not in resource.verbs:
            continue
        listed = client.get_json(f"{resource.prefix}/{resource.name}")
        for item in listed.get("items") or ():
            metadata = item["metadata"]
            where = f"{resource.name}/{metadata.get('namespace', '')}/{metadata['name']}"
            if "uid" in metadata:
                found.setdefault(metadata["uid"], (where, metadata.get("resourceVersion", "")))
    return found


def residue(before: Found, after: Found) -> tuple[list[str], list[str]]:
    """Tell what is another than before: what may be by itself, and what may not."""
    changed = {uid for uid in before.keys() | after.keys() if before.get(uid) != after.get(uid)}
    said = sorted((after.get(uid) or before[uid])[0] for uid in changed)
    alone = [where for where in said if where.partition("/")[0] in ALONE]
    return alone, [where for where in said if where.partition("/")[0] not in ALONE]


def settled(client: Client) -> Found:
    """Wait until the run's namespaces are gone, and count what is there."""
    until = time.monotonic() + GONE
    while True:
        found = objects(client)
        if not any("/kc-" in where for where, _ in found.values()) or time.monotonic() > until:
            return found
        time.sleep(0.5)


def in_an_hour(asked: Asked, answered: Answered) -> Answered:
    """Be a server whose clock says that an hour has gone by."""
    del asked
    kept = tuple(pair for pair in answered.headers if pair[0].lower() != "date")
    date = email.utils.formatdate(time.time() + LATER, usegmt=True)
    return answered._replace(headers=(*kept, ("Date", date)))


def clean(cluster: Cluster, folder: Path) -> str:
    """Run `kube-conformance cleanup --yes`, an hour later as far as it can tell; gives what it said."""
    with proxied(cluster, in_an_hour) as late:
        file = folder / "kubeconfig"
        file.touch(0o600)
        file.write_bytes(kubeconfig.written(late.admin))
        arguments = ["cleanup", "--kubeconfig", str(file), "--context", kubeconfig.WRITTEN, "--yes"]
        done = subprocess.run(
            [sys.executable, "-m", "conformance", *arguments], capture_output=True, text=True, check=False, timeout=300
        )
    return f"{done.stdout}{done.stderr}\nended with {done.returncode}"


def killed(
    cluster: Cluster, client: Client, folder: Path, arguments: Sequence[str], parts: Sequence[float]
) -> Iterator[str]:
    """Kill audits with all checks after these parts of a whole run; say what one clean-up left of each."""
    begun = time.monotonic()
    done = audits.audit(cluster, folder / "whole", *arguments)
    seconds = time.monotonic() - begun
    if done.code:
        yield f"the audit that nobody kills ended with {done.code}: {done.output[-1500:]}"
    settled(client)
    for number, part in enumerate(parts):
        before = objects(client)
        moment = part * seconds
        process = audits.start(cluster, folder / f"killed-{number}", *arguments)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        said = clean(cluster, folder)
        alone, left = residue(before, settled(client))
        print(f"killed after {moment:5.1f} s: {len(left)} left, {len(alone)} changed by themselves", flush=True)
        if left or "ended with 0" not in said:
            yield f"after {moment:.1f} s of {seconds:.0f}: {', '.join(left) or 'nothing'} left; clean-up: {said}"


def together(cluster: Cluster, client: Client, folder: Path, arguments: Sequence[str]) -> Iterator[str]:
    """Let two audits with all checks go on at once; say what was wrong with either, and what they left."""
    before = objects(client)
    started = [(audits.start(cluster, folder / name, *arguments), folder / name) for name in ("one", "other")]
    for process, reports in started:
        done = audits.end(process, reports)
        matrix = done.matrix()
        verdicts = Counter(result["verdict"] for result in matrix["checks"])
        print(f"{reports.name}: code {done.code}, {dict(verdicts)}", flush=True)
        for result in matrix["checks"]:
            if result["verdict"] in {"fail", "error", "not-evaluated"}:
                yield f"{reports.name}: {result['verdict']}: {result['id']} on {result['resource']}: {result['note']}"
        if done.code:
            yield f"{reports.name} ended with {done.code}: {done.output[-1500:]}"
    alone, left = residue(before, settled(client))
    print(f"after both: {len(left)} left; changed by themselves: {sorted({w.partition('/')[0] for w in alone})}")
    yield from (f"left or changed: {where}" for where in left)


def main() -> int:
    """Say what is left behind."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("-k", dest="selection")
    given = parser.parse_args()
    arguments = ["--checks", *(["--", "-k", given.selection] if given.selection else [])]
    wrong: list[str] = []
    with (
        embedded.running(audit_log=True) as cluster,
        tempfile.TemporaryDirectory() as folder,
        Client(cluster.admin) as client,
    ):
        if given.together:
            wrong += together(cluster, client, Path(folder), arguments)
        if given.kills:
            print(f"seed {given.seed}")
            drawn = random.Random(given.seed)  # noqa: S311  # moments, no secrets
            parts = [(part + drawn.random()) / given.kills for part in range(given.kills)]
            wrong += killed(cluster, client, Path(folder), arguments, parts)
    for sentence in wrong:
        print(f"WRONG {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
