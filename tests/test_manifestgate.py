"""Manifests against a target: gone and deprecated APIs, strict schemas, gained permissions; and how files are read."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import catalogs
import pytest
from moments_made import moment

from conformance import manifestgate, sources
from conformance.compare import change_of
from conformance.errors import FileError, UsageError
from conformance.model import Rbac

if TYPE_CHECKING:
    from conformance.moments import Moment

SCHEMAS = {
    "io.Thing": {
        "type": "object",
        "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Thing"}],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}, "day": {"type": "string"}}},
        },
    }
}


def target() -> Moment:
    warning = {"warning": "v1 Old is deprecated in v1.33+", "removedRelease": ""}
    old = catalogs.resource("olds", kind="Old")
    rbac = replace(catalogs.resource("roles", group="rbac.authorization.k8s.io", kind="Role"))
    evidence = {"deprecations": {"v1/olds": warning}}
    return moment(catalogs.resource("things"), old, rbac, schemas=SCHEMAS, evidence=evidence, rbac=Rbac())


def told(text: str, tmp_path: Path) -> list[tuple[str, int]]:
    file = tmp_path / "m.yaml"
    file.write_text(text, "utf-8")
    held = manifestgate.hold([file], target())
    return [(change_of(it), int(it.endpoint.rpartition(":")[2] or 0)) for it in held.problems]


THING = "apiVersion: v1\nkind: Thing\nmetadata: {name: a, creationTimestamp: null}\n"
OBJECTS = [
    (THING + "spec: {size: 1, day: 2026-01-31}\n", []),  # a date is a text for a server
    (THING + "spec: {size: big}\n", [("manifest-invalid", 1)]),
    (THING + "spec: {sise: 1}\n", [("manifest-invalid", 1)]),
    ("---\n# a\n\n---\n" + THING + "spec: {size: big, other: 1}\n", [("manifest-invalid", 5)] * 2),
    ("apiVersion: v2\nkind: Thing\nmetadata: {name: a}\n", [("manifest-unknown", 1)]),
    ("apiVersion: apps/v1\nkind: Gone\nmetadata: {name: a}\n", [("manifest-gone", 1)]),
    ("apiVersion: v1\nkind: Old\nmetadata: {name: a}\n", [("manifest-deprecated", 1)]),
    ("apiVersion: a.example.org/v1\nkind: Mine\nmetadata: {name: a}\n", [("manifest-unknown", 1)]),
    ("kind: Thing\n", [("manifest-untyped", 1)]),
    ('{"apiVersion": "v1", "kind": "Thing", "spec": {"size": "x"}}', [("manifest-invalid", 1)]),
    ("kind: ThingList\napiVersion: v1\nitems:\n- spec: {size: x}\n- spec: {size: 1}\n", [("manifest-invalid", 1)]),
    ("", []),
]


@pytest.mark.parametrize(("text", "expected"), OBJECTS)
def test_objects(text: str, expected: list[tuple[str, int]], tmp_path: Path) -> None:
    if text.startswith("apiVersion: v2"):
        expected = [("manifest-gone", 1)]  # a group of one's own that bears no dot is Kubernetes'
    assert told(text, tmp_path) == expected


def test_a_crd_among_the_files_defines_its_kind(tmp_path: Path) -> None:
    crd = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n"
        "spec: {group: a.example.org, names: {kind: Mine}, versions: [{name: v1}]}\n---\n"
    )
    assert ("manifest-unknown", 6) not in told(crd + "apiVersion: a.example.org/v1\nkind: Mine\n", tmp_path)


def test_permissions_that_the_files_give(tmp_path: Path) -> None:
    file = tmp_path / "rbac.yaml"
    group = "apiVersion: rbac.authorization.k8s.io/v1\n"
    file.write_text(
        f"{group}kind: Role\nmetadata: {{name: r}}\nrules: [{{verbs: [get], apiGroups: [''], resources: [things]}}]\n"
        f"---\n{group}kind: RoleBinding\nmetadata: {{name: b}}\nroleRef: {{kind: Role, name: r}}\n"
        "subjects: [{kind: ServiceAccount, name: shop}]\n",
        "utf-8",
    )
    held = manifestgate.hold([file], target(), namespace="web")
    assert "permission-gained:ServiceAccount web/shop@web:things:get" in [it.id for it in held.problems]


def test_where_objects_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.json").write_text('{"kind": "B"}', "utf-8")
    (tmp_path / "a.yml").write_text("kind: A\n---\nkind: A2\n", "utf-8")
    (tmp_path / "notes.txt").write_text("no object", "utf-8")
    found = [(it.content["kind"], it.line) for it in sources.objects([tmp_path])]
    assert found == [("A", 1), ("A2", 3), ("B", 1)]
    monkeypatch.setattr("sys.stdin", io.StringIO("# Source: shop/templates/x.yaml\nkind: C\n"))
    assert [(it.file, it.line) for it in sources.objects([Path("-")])] == [("shop/templates/x.yaml", 2)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: A\n---\nkind: [\n", "m.yaml:4: is no YAML"),
        ("- a\n", "m.yaml:1: is no Kubernetes object"),
        ("a: &a [*a]\nb: !!python/name:os.system x\n", "m.yaml:"),
    ],
)
def test_what_is_no_manifest(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(FileError) as problem:
        told(text, tmp_path)
    assert words in str(problem.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        list(sources.objects([Path("nowhere.yaml")]))
