"""Recipes, and every one of them on a real server."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import orjson
import pytest
from samples import refusals

from conformance import discovery, objects, openapi
from conformance.errors import FileError
from conformance.model import Catalog, Resource
from conformance.placeholders import Placeholders
from conformance.scripts import Case, Subject, World, fill
from conformance.transport import Client

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster, Json


def resource(name: str, group: str = "", version: str = "v1", subresource: str = "", kind: str = "Thing") -> Resource:
    return Resource(group, version, name, subresource, kind, group, version, namespaced=True, verbs=("create", "get"))


def nothing(_: str) -> Json:
    return {}


def test_a_recipe_of_the_version_wins_over_one_of_any_and_the_users_over_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "- resources: [apps/v1/deployments]\n  object: {spec: {mine: true}}\n"
        "- resources: [apps/*/statefulsets, example.com/*/things]\n  object: {}\n"
    )
    there = Catalog(
        (), (resource("deployments", "apps"), resource("deployments", "apps", "v2"), resource("things", "example.com"))
    )
    made = objects.samples(there, nothing, objects.load(tmp_path))
    assert made["apps/v1/deployments"].body == {"apiVersion": "apps/v1", "kind": "Thing", "spec": {"mine": True}}
    assert made["apps/v1/deployments"].origin == "mine.yaml:1"
    assert made["apps/v2/deployments"].origin.startswith("apps.yaml:")
    assert made["example.com/v1/things"].origin == "mine.yaml:3"


def test_what_neither_file_nor_schema_gives_says_why() -> None:
    made = objects.samples(Catalog((), (resource("things", "example.com"),)), nothing)
    assert made["example.com/v1/things"].body is None
    assert "no schema of example.com/v1 Thing" in made["example.com/v1/things"].problem
    assert "--objects" in made["example.com/v1/things"].problem


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("- resource: [v1/pods]\n  object: {}\n", 1, "unknown key 'resource'; valid keys: resources, object"),
        ("- resources: [v1/pods]\n", 1, "the key 'object' is missing"),
        ("- resources: [pods]\n  object: {}\n", 1, "'pods' is no [group/]version/plural"),
        ("- resources: [a/b/c/d/e]\n  object: {}\n", 1, "is no [group/]version"),
        ("- resources: []\n  object: {}\n", 1, "at least one"),
        ("- resources: [v1/pods]\n  object: []\n", 2, "has to be a mapping, not a list"),
        ("- resources: [v1/pods]\n  object: {kind: Pod}\n", 1, "object.kind comes from the server's discovery"),
        ("- resources: [v1/pods]\n  object: {}\n- resources: [v1/pods]\n  object: {}\n", 3, "stands in mine.yaml:1"),
        ("- resources: [v1/pods]\n  object: &a {a: *a}\n", 2, "nested too deeply"),
        ("- resources: [v1/pods]\n  object: {day: 2026-01-01}\n", 2, "has to be text, not a date"),
    ],
)
def test_a_mistake_in_a_file_names_its_line_and_what_is_valid(tmp_path: Path, text: str, line: int, words: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(FileError) as raised:
        objects.load(tmp_path)
    assert raised.value.line == line
    assert words in str(raised.value)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no folder"):
        objects.load(tmp_path / "none")


def test_addresses_of_a_run_are_its_own_and_canonical() -> None:
    recipe = objects.load()["networking.k8s.io/*/ipaddresses"]
    seen = set()
    for number in range(200):
        case = Case("X", Subject("x"), number, World(Catalog((), ()), (), "full", "v1.37.2"))
        holders = Placeholders(f"run{number % 2}", "own", "other", "absent")
        name = holders.fill(fill(recipe.object["metadata"]["name"], case, "a"))
        assert str(ipaddress.ip_address(name)) == name
        assert holders.mask(f"{name} is taken").startswith("{address}")
        seen.add(name)
    assert len(seen) == 200


@pytest.mark.server
def test_every_sample_of_the_server_is_one_that_it_takes(cluster: Cluster) -> None:
    with Client(cluster.admin) as client:
        catalog = discovery.discover(client)
        documents = openapi.Documents(client, openapi.index(client))
        made = objects.samples(catalog, lambda key: orjson.loads(documents.raw(key)))
        refused = refusals(client, catalog, made)
    assert len(made) > 60
    assert refused == {}
