"""How long a whole big cluster takes: loading, full matrix, who-can, paths, risks; and that it is right.

python -m bench.rbac_scale [FOLDER]
"""

from __future__ import annotations

import gc
import random
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.cluster_generator import BUILT_IN, PATHS, VERBS, Size, generate
from conformance.model import Answer, Attributes, Identity, Rbac
from conformance.oracles.rules import Rules
from conformance.rbac.algebra import Axis, Point
from conformance.rbac.escalation import Graph
from conformance.rbac.escalation_paths import Paths
from conformance.rbac.escalation_rights import account
from conformance.rbac.matrix import WholeMatrix
from conformance.rbac.resolver import Resolver, Who
from conformance.rbac.whocan import WhoCan
from conformance.risks import catalogue
from conformance.risks.finding import Wording
from conformance.risks.scan import Scan

DRAWN = 100_000
DRAWN_PEOPLE = 1_000


def load(folder: Path) -> tuple[Rbac, list[Point], list[str]]:
    """Read the lists: RBAC, the endpoints of built-in resources and CRDs, the namespaces."""
    rbac = Rbac(
        cluster_roles=tuple(items(folder, "clusterroles")),
        cluster_role_bindings=tuple(items(folder, "clusterrolebindings")),
        roles=tuple(items(folder, "roles")),
        role_bindings=tuple(items(folder, "rolebindings")),
    )
    points = [Point(group, plural, verb, namespaced=True) for group, plural in BUILT_IN for verb in VERBS]
    for crd in items(folder, "crds"):
        spec = crd["spec"]
        for version in spec["versions"]:
            for sub in ("", *version["subresources"]):
                plural = f"{spec['names']['plural']}/{sub}" if sub else spec["names"]["plural"]
                verbs = ("get", "update", "patch") if sub else VERBS
                points += [Point(spec["group"], plural, verb, spec["scope"] == "Namespaced") for verb in verbs]
    points += [Point("", "", "get", namespaced=False, path=path) for path in PATHS]
    return rbac, points, [it["metadata"]["name"] for it in items(folder, "namespaces")]


def items(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Read one list."""
    found: list[dict[str, Any]] = orjson.loads((folder / f"{kind}.json").read_bytes())["items"]
    return found


def everybody(resolver: Resolver) -> list[Who]:
    """Give each user, account and group (as a random member) that a binding names, with the groups that all have."""
    found = []
    for kind, name in dict.fromkeys(it for binding in resolver.bindings() for it in binding.principals):
        if kind == "Group":
            found.append(Who(f"member of {name}", frozenset({name, "system:authenticated"})))
        else:
            groups = {"system:authenticated"}
            if name.startswith("system:serviceaccount:"):
                groups |= {"system:serviceaccounts", f"system:serviceaccounts:{name.split(':')[2]}"}
            found.append(Who(name, frozenset(groups)))
    return found


def compare(rbac: Rbac, matrix: WholeMatrix, seed: int = 5) -> tuple[int, int]:
    """Hold drawn cells against the readable evaluator; give how many were drawn and how many were allowed.

    Half are near a rule that somebody has, because of cells drawn from all few are allowed.
    """
    chance = random.Random(seed)  # noqa: S311  # a reproducible draw, no secret
    rules, allowed = Rules(rbac), 0
    numbers = {(point.verb, point.plural): number for number, point in enumerate(matrix.axis.points)}
    for who in chance.sample(matrix.people, DRAWN_PEOPLE):
        identity = Identity("x", "x", who.user, tuple(sorted(who.groups)))
        grants = list(rules.grants(identity))
        for _ in range(DRAWN // DRAWN_PEOPLE):
            number, namespace = chance.randrange(len(matrix.axis)), chance.choice((*matrix.namespaces[:9], ""))
            if grants and chance.random() < 0.7:
                grant = chance.choice(grants)
                near = chance.choice(grant.rule.verbs), chance.choice(grant.rule.resources or ("",))
                number, namespace = numbers.get(near, number), grant.namespace
            point = matrix.axis.points[number]
            namespace = namespace if point.namespaced else ""
            names = (*(it for grant in grants for it in grant.rule.resource_names), "absent")
            name = "" if point.nameless or point.path else chance.choice(names)
            resource_name, _, sub = point.plural.partition("/")
            asked = Attributes(point.verb, point.group, "", resource_name, sub, namespace, name, point.path)
            expected = rules.decide(identity, asked).answer == Answer.ALLOWED
            found = bool(matrix.allowed(who, namespace).for_name(name) >> number & 1)
            if expected != found:
                raise AssertionError(f"{who} {asked}: rules say {expected}, the matrix {found}")
            allowed += expected
    return DRAWN, allowed


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by the clock and by the CPU; the difference of two reads as text."""

    clock: float
    cpu: float

    def __sub__(self, other: Moment) -> str:
        return f"{self.clock - other.clock:.2f} s ({self.cpu - other.cpu:.2f} s of CPU)"


def _now() -> Moment:
    return Moment(time.perf_counter(), time.process_time())


def peak_mb() -> float:
    """Peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print one line a step: seconds by the clock, and of this process's CPU, which a busy machine changes less."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        if not (folder / "rolebindings.json").exists():
            # In a process of its own, the memory of generating would not count as ours; here it is freed and said.
            generate(Size()).write(folder)
            gc.collect()
        print(f"before loading: peak {peak_mb():.0f} MB")
        gc.disable()  # nothing here makes cycles, and collecting walks millions of live objects in vain
        start = _now()
        rbac, points, namespaces = load(folder)
        resolver = Resolver(rbac)
        loaded = _now()
        matrix = WholeMatrix(resolver, Axis(points), everybody(resolver), namespaces)
        plain, some_name = matrix.counts()
        digest = matrix.digest()
        done = _now()
        answers = WhoCan(resolver).all(points)
        asked = _now()
        peak = peak_mb()
    cells = len(matrix.people) * sum(1 + len(matrix.namespaces) if it.namespaced else 1 for it in points)
    print(f"loading: {loaded - start}; {len(points)} endpoints, {len(matrix.people)} people")
    print(f"full matrix: {done - loaded}; {len(matrix.unions)} distinct unions, {cells:.3g} cells")
    print(f"allowed: {sum(plain):.4g}, for some name only: {sum(some_name):.4g}; digest {digest}")
    entries = sum((able.plain | able.some_name).bit_count() for able in answers.values())
    print(f"who-can for {len(answers)} endpoints: {asked - done}; {entries} subjects named")
    print(f"peak: {peak:.0f} MB")
    print(f"loading and full matrix together: {done - start}")
    begun = _now()
    graph = Graph(rbac)
    built = _now()
    paths = Paths(graph)
    target = next(actor for actor, bindings in graph.holdings.bindings_of.items() if account(actor) and bindings)
    found = (*paths.to_admin(), *paths.to(target))
    ended = _now()
    edges = sum(len(them) for them in graph.edges.values())
    print(f"escalation graph: {built - begun}; {len(graph.actors)} subjects, {edges} steps")
    print(f"escalation paths to cluster-admin and to one account: {ended - built}; {len(found)} paths")
    print(f"peak with escalation paths: {peak_mb():.0f} MB")
    begun = _now()
    scan = Scan(catalogue())
    ready = _now()
    hits = scan.hits(rbac)
    looked = _now()
    findings = Wording(scan.rights).findings(hits)
    print(f"risk rules: {ready - begun}; {len(scan.risks)} of them")
    print(f"risks: {looked - ready}; {len(hits)} hits")
    print(f"findings worded: {_now() - looked}; {len(findings)}; peak {peak_mb():.0f} MB")
    gc.enable()
    drawn, allowed = compare(rbac, matrix)
    print(f"{drawn} cells drawn equal the readable evaluator, {allowed / drawn:.0%} of them allowed")


if __name__ == "__main__":
    main()
