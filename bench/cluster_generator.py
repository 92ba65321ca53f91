"""A big cluster that nobody runs, always the same for one seed: RBAC objects and CRDs as List JSON on disk.

python -m bench.cluster_generator FOLDER
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

Json = dict[str, Any]
API = "rbac.authorization.k8s.io"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
BUILT_IN = (
    ("", "pods"),
    ("", "pods/log"),
    ("", "pods/exec"),
    ("", "secrets"),
    ("", "configmaps"),
    ("", "services"),
    ("", "serviceaccounts"),
    ("", "serviceaccounts/token"),
    ("", "persistentvolumeclaims"),
    ("", "events"),
    ("apps", "deployments"),
    ("apps", "deployments/scale"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("networking.k8s.io", "ingresses"),
    (API, "roles"),
    (API, "rolebindings"),
)
PATHS = ("/metrics", "/healthz", "/livez", "/readyz", "/version", "/openapi/v3", "/logs", "/debug/pprof")


@dataclass(frozen=True, slots=True)
class Size:
    """How much of each there is."""

    namespaces: int = 5_000
    bindings: int = 20_000
    roles: int = 5_000
    crds: int = 1_000
    users: int = 4_000
    groups: int = 600
    seed: int = 1


@dataclass
class Cluster:
    """What is written: one list a kind."""

    namespaces: list[Json] = field(default_factory=list)
    crds: list[Json] = field(default_factory=list)
    clusterroles: list[Json] = field(default_factory=list)
    clusterrolebindings: list[Json] = field(default_factory=list)
    roles: list[Json] = field(default_factory=list)
    rolebindings: list[Json] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write `KIND.json` for each kind, as `kubectl get KIND -o json` does."""
        folder.mkdir(parents=True, exist_ok=True)
        for kind, items in vars(self).items():
            document = {"apiVersion": "v1", "kind": "List", "items": items}
            (folder / f"{kind}.json").write_bytes(orjson.dumps(document))


def generate(size: Size) -> Cluster:
    """Make the cluster: most roles differ, group sizes follow Zipf's law, a few rules are very wide."""
    chance = random.Random(size.seed)  # noqa: S311  # the same cluster every time, no secret
    made = Cluster()
    namespaces = [f"team-{number:04}" for number in range(size.namespaces)]
    made.namespaces = [{"metadata": {"name": name}} for name in namespaces]
    made.crds = [_crd(chance, number) for number in range(size.crds)]
    served = [*BUILT_IN, *((it["spec"]["group"], it["spec"]["names"]["plural"]) for it in made.crds)]
    wide = size.roles // 16
    cluster_roles = [f"wide-{number}" for number in range(wide)]
    made.clusterroles = [
        _role(chance, served, name, "", wide=number % 3 == 0) for number, name in enumerate(cluster_roles)
    ]
    places = [chance.choice(namespaces) for _ in range(size.roles - wide)]
    made.roles = [_role(chance, served, f"role-{number}", place, wide=False) for number, place in enumerate(places)]
    subjects = _Subjects(chance, size)
    across = size.bindings // 20
    made.clusterrolebindings = [
        _binding(
            f"all-{number}",
            "",
            "ClusterRole",
            _missing_at_times(chance, chance.choice(cluster_roles)),
            subjects.draw(""),
        )
        for number in range(across)
    ]
    for number in range(size.bindings - across):
        if chance.random() < 0.6:
            which = chance.randrange(len(places))
            place, kind, role = places[which], "Role", f"role-{which}"
        else:
            place, kind, role = chance.choice(namespaces), "ClusterRole", chance.choice(cluster_roles)
        role = _missing_at_times(chance, role)
        made.rolebindings.append(_binding(f"b-{number}", place, kind, role, subjects.draw(place)))
    return made


def _missing_at_times(chance: random.Random, role: str) -> str:
    return "no-such-role" if chance.random() < 0.01 else role


def _crd(chance: random.Random, number: int) -> Json:
    group, plural = f"g{number % 90}.example.test", f"widgets{number}"
    subresources: Json = {"status": {}} if chance.random() < 0.6 else {}
    if chance.random() < 0.1:
        subresources["scale"] = {}
    version = {"name": "v1", "served": True, "storage": True, "subresources": subresources}
    names = {"plural": plural, "singular": plural[:-1], "kind": plural.title()}
    scope = "Namespaced" if chance.random() < 0.8 else "Cluster"
    spec = {"group": group, "names": names, "scope": scope, "versions": [version]}
    return {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}


def _role(chance: random.Random, served: Sequence[tuple[str, str]], name: str, namespace: str, *, wide: bool) -> Json:
    rules = [_rule(chance, served, wide=wide) for _ in range(chance.randint(1, 6))]
    if not namespace and chance.random() < 0.2:
        urls = chance.sample(["/metrics", "/healthz", "/healthz/*", "/logs*", "/debug/*", "*"], 2)
        rules.append({"nonResourceURLs": urls, "verbs": ["get"]})
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"metadata": metadata, "rules": rules}


def _rule(chance: random.Random, served: Sequence[tuple[str, str]], *, wide: bool) -> Json:
    draw = chance.random()
    chosen = chance.sample(BUILT_IN, 2) if draw < 0.4 else chance.sample(served, chance.randint(1, 4))
    rule: Json = {
        "apiGroups": sorted({group for group, _ in chosen}),
        "resources": sorted({plural for _, plural in chosen}),
        "verbs": sorted(chance.sample(VERBS, chance.randint(1, 6))),
    }
    odd = chance.random()
    if odd < 0.08:
        rule["resources"] = [*rule["resources"], chance.choice(["*/scale", "*/status", "pods/*", "*/*"])]
    elif odd < 0.14:
        rule["verbs"] = ["*"]
    elif odd < (0.5 if wide else 0.16):
        rule["resources"] = ["*"]
    if wide and odd > 0.8:
        rule["apiGroups"] = ["*"]
    if chance.random() < 0.12:
        rule["resourceNames"] = chance.sample([f"object-{number}" for number in range(60)], chance.randint(1, 3))
    return rule


class _Subjects:
    """Draws whom a binding is for: service accounts of the namespace most often, then users, then groups.

    How many bindings a group has falls like 1, 1/2, 1/3 ... with its rank.
    """

    def __init__(self, chance: random.Random, size: Size) -> None:
        self._chance, self._size = chance, size
        self._totals = list(accumulate(1 / (rank + 1) for rank in range(size.groups)))

    def draw(self, namespace: str) -> list[Json]:
        return [self._one(namespace) for _ in range(self._chance.choice((1, 1, 1, 2, 3)))]

    def _one(self, namespace: str) -> Json:
        draw = self._chance.random()
        if draw < 0.5:
            home = namespace or f"team-{self._chance.randrange(self._size.namespaces):04}"
            return {"kind": "ServiceAccount", "name": f"robot-{self._chance.randrange(3)}", "namespace": home}
        if draw < 0.8:
            return {"kind": "User", "apiGroup": API, "name": f"user-{self._chance.randrange(self._size.users)}"}
        if draw < 0.802:
            return {"kind": "Group", "apiGroup": API, "name": "system:authenticated"}
        if draw < 0.82 and namespace:
            return {"kind": "Group", "apiGroup": API, "name": f"system:serviceaccounts:{namespace}"}
        number = self._chance.choices(range(self._size.groups), cum_weights=self._totals)[0]
        return {"kind": "Group", "apiGroup": API, "name": f"group-{number}"}


def _binding(name: str, namespace: str, kind: str, role: str, subjects: list[Json]) -> Json:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"metadata": metadata, "roleRef": {"apiGroup": API, "kind": kind, "name": role}, "subjects": subjects}


if __name__ == "__main__":
    generate(Size()).write(Path(sys.argv[1]))
