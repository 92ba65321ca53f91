"""What the gate costs: 2,000 manifest files, beside kubeconform and pluto at equal work; snapshots of 1,000 CRDs.

python -m bench.upgrade [--snapshot DIR]

The peers are built from their Go modules where `go` is there, else left out. Of each: wall, CPU, and what it answered.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from conformance import freezing, moments, strict
from conformance.clusters import embedded
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from conformance.moments import Moment

FILES, CRDS, ROUNDS = 2_000, 1_000, 3
KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"
PLUTO = "github.com/fairwindsops/pluto/v5@latest"
_REF = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Took:
    """What one program took, the best of some rounds, and what it said."""

    wall: float
    cpu: float
    answer: str


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snapshot", type=Path, help="of the target; else one of a fresh control plane")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target = chosen.snapshot or _frozen(folder / "target")
        _manifests(folder, target)
        _snapshots(folder, target)


def _frozen(folder: Path) -> Path:
    with embedded.running() as cluster, Client(cluster.admin) as client:
        freezing.freeze(client, folder)
    return folder


# --- manifests --------------------------------------------------------------------------------------------------------


def _manifests(folder: Path, target: Path) -> None:
    files = folder / "manifests"
    wrong, old = _write(files)
    print(f"{FILES} manifest files, {wrong} of them with a schema error, {old} of an API that is gone")
    gate = [sys.executable, "-m", "conformance", "gate", "-f", str(files), "--target", str(target), "-o", "json"]
    ours = _took(gate, lambda out: f"{_count(out, 'manifest-invalid')} invalid, {_count(out, 'manifest-gone')} gone")
    _show("kube-conformance gate -f (schemas, names, permissions)", ours)
    if (program := _built(KUBECONFORM, "kubeconform")) is not None:
        schemas = folder / "schemas"
        _standalone(moments.read(target), schemas)
        location = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
        call = [program, "-strict", "-summary", "-output", "json", "-ignore-missing-schemas"]
        peer = _took([*call, "-schema-location", location, str(files)], _kubeconform)
        _show("kubeconform (schemas)", peer, ours)
    if (program := _built(PLUTO, "pluto")) is not None:
        call = [program, "detect-files", "-d", str(files), "-o", "json", "--ignore-deprecations", "--ignore-removals"]
        _show(
            "pluto (names)",
            _took(call, lambda out: f"{len(json.loads(out).get('items') or [])} deprecated or gone"),
            ours,
        )


def _write(folder: Path) -> tuple[int, int]:
    """Write manifests as charts have them: no two alike, one in a hundred wrong, one in a hundred of an old API."""
    folder.mkdir()
    wrong = old = 0
    for number in range(FILES):
        kind = number % 4
        text = _TEMPLATES[kind].replace("NAME", f"app-{number}")
        if number % 100 == 0:
            text, wrong = text.replace("replicas: 2", "replicas: two"), wrong + 1
        if number % 100 == 50:
            text, old = _OLD.replace("NAME", f"app-{number}"), old + 1
        (folder / f"{number:04}.yaml").write_text(text, "utf-8")
    return wrong, old


_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  labels: {app.kubernetes.io/name: NAME}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      serviceAccountName: NAME
      containers:
        - name: main
          image: example.org/NAME:1.2.3
          ports: [{name: http, containerPort: 8080}]
          env:
            - {name: A, value: "1"}
            - name: B
              valueFrom: {secretKeyRef: {name: NAME, key: b}}
          resources:
            requests: {cpu: 100m, memory: 128Mi}
            limits: {memory: 256Mi}
          readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 5}
"""
_SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: NAME}
  ports: [{name: http, port: 80, targetPort: http}]
"""
_CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME}
data:
  application.properties: |
    name=NAME
    level=info
"""
_INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: NAME}
spec:
  rules:
    - host: NAME.example.org
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: NAME, port: {name: http}}}}
"""
_OLD = "apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: NAME}\nspec: {minAvailable: 1}\n"
_TEMPLATES = (_DEPLOYMENT, _SERVICE, _CONFIG, _INGRESS)


def _standalone(target: Moment, folder: Path) -> None:
    """Write what kubeconform reads: one strict schema a kind, with all that it refers to."""
    folder.mkdir()
    for key in target.digests:
        schemas = target.document(key).get("components", {}).get("schemas", {})
        kinds = {name: schema.get("x-kubernetes-group-version-kind", ()) for name, schema in schemas.items()}
        strict.close(schemas)
        for name, typed in kinds.items():
            for each in typed:
                group = each["group"].partition(".")[0]
                suffix = f"-{group}-{each['version']}" if group else f"-{each['version']}"
                used = _reachable(schemas, name)
                document = {"$schema": strict.DRAFT, "$ref": f"{_REF}{name}", "components": {"schemas": used}}
                (folder / f"{each['kind'].lower()}{suffix}.json").write_bytes(orjson.dumps(document))


def _reachable(schemas: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        here = waiting.pop()
        if here in found or here not in schemas:
            continue
        found[here] = schemas[here]
        waiting += _references(schemas[here])
    return found


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"].removeprefix(_REF)] if isinstance(value.get("$ref"), str) else []
        return own + [name for each in value.values() for name in _references(each)]
    return [name for each in value for name in _references(each)] if isinstance(value, list) else []


# --- snapshots --------------------------------------------------------------------------------------------------------


def _snapshots(folder: Path, target: Path) -> None:
    """Gate between two snapshots of a cluster with 1,000 CRDs, a tenth of which changed."""
    one = moments.read(target)
    for side in ("before", "after"):
        snapshot, documents, crds = _with_crds(one, changed=side == "after")
        evidence = one.evidence | {"crds": crds}
        moments.write(folder / side, snapshot, evidence, documents, taken_at=one.taken_at, run=None)
    call = [sys.executable, "-m", "conformance", "gate", str(folder / "before"), str(folder / "after"), "-o", "json"]
    took = _took(call, lambda out: f"{len(orjson.loads(out)['differences'])} differences")
    _show(f"gate of two snapshots with {CRDS} CRDs", took)


def _with_crds(one: Moment, *, changed: bool) -> tuple[Any, dict[str, bytes], list[Any]]:
    from conformance.model import Group, Resource  # noqa: PLC0415

    documents = {key: orjson.dumps(one.document(key)) for key in one.digests}
    groups, resources, crds = [], [], []
    verbs = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
    spec = {"type": "object", "properties": {f"field{n}": {"type": "string"} for n in range(60)}}
    for number in range(CRDS):
        group, kind = f"g{number}.example.org", f"Thing{number}"
        groups.append(Group(group, ("v1",), "v1"))
        resources.append(Resource(group, "v1", f"things{number}", "", kind, group, "v1", namespaced=True, verbs=verbs))
        schema = {"type": "object", "properties": {"spec": deepcopy(spec)}}
        schema["x-kubernetes-group-version-kind"] = [{"group": group, "version": "v1", "kind": kind}]
        if changed and number % 10 == 0:
            schema["properties"]["spec"]["required"] = ["field1"]  # type: ignore[index]
        documents[f"apis/{group}/v1"] = orjson.dumps(
            {"components": {"schemas": {f"org.example.g{number}.{kind}": schema}}}
        )
        versions = [{"name": "v1", "served": True, "storage": True}]
        crds.append(
            {"name": f"things{number}.{group}", "group": group, "plural": f"things{number}", "scope": "Namespaced"}
            | {"versions": versions, "storedVersions": ["v1"], "conversion": {"strategy": "None"}, "spec": {}}
        )
    catalog = one.snapshot.catalog
    wider = replace(catalog, groups=(*catalog.groups, *groups), resources=(*catalog.resources, *resources))
    index = dict.fromkeys(documents, "")
    return replace(one.snapshot, catalog=wider, openapi=index), documents, crds


# --- measuring --------------------------------------------------------------------------------------------------------


def _built(module: str, name: str) -> str | None:
    """Have a peer: from PATH, else built from its module."""
    if (there := shutil.which(name)) is not None:
        return there
    go = shutil.which("go")
    if go is None:
        print(f"{name}: left out, there is no go to build it with")
        return None
    folder = Path(tempfile.gettempdir()) / "kube-conformance-bench"
    done = subprocess.run([go, "install", module], check=False, env=os.environ | {"GOBIN": str(folder)})
    if done.returncode:
        print(f"{name}: left out, {module} can't be built here")
        return None
    return str(folder / name)


def _took(call: Sequence[str], read: Callable[[bytes], str]) -> Took:
    best: Took | None = None
    for _ in range(ROUNDS):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(call, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if best is None or cpu < best.cpu:
            best = Took(wall, cpu, read(done.stdout))
    assert best is not None  # noqa: S101  # there is at least one round
    return best


def _show(name: str, took: Took, ours: Took | None = None) -> None:
    ratio = f"; ours takes {ours.cpu / took.cpu:.2f} of its CPU (aim 1.5)" if ours is not None and took.cpu else ""
    print(f"{name}: {took.wall:.2f} s wall, {took.cpu:.2f} s CPU; {took.answer}{ratio}")


def _count(out: bytes, change: str) -> int:
    return sum(1 for it in orjson.loads(out)["differences"] if it["change"] == change)


def _kubeconform(out: bytes) -> str:
    said = json.loads(out)["summary"]
    return (
        f"{said['invalid']} invalid, {said['errors']} errors, {said['skipped']} without schema, {said['valid']} valid"
    )


if __name__ == "__main__":
    main()
