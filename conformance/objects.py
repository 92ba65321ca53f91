"""The smallest valid object of a resource: from a file where there is one, else made out of the schema.

Files are those of fixtures/objects/ (its README says their form) and of a folder of the user's, which win. What neither
gives is synthesised from the OpenAPI document of its group and version; where that fails, too, the reason is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import files, schemas, synthesis, yamlfile
from conformance.errors import ConformanceError, FileError
from conformance.placeholders import OWN
from conformance.probe import CONNECT
from conformance.scripts import Sample
from conformance.yamlfile import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conformance.model import Catalog, Json, Resource
    from conformance.yamlfile import Node

ANY = "*"  # for the version in a file


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a file says of one kind; the words in its texts are yet to be filled in."""

    resources: tuple[str, ...]
    object: Json
    change: Json | None = None
    immutable: Json | None = None
    settled: Json | None = None
    needs: str = ""
    source: str = ""


Recipes = dict[str, Recipe]  # by what `resources` in a file says


def load(folder: Path | None = None) -> Recipes:
    """Read the packaged recipes and a folder of the user's, whose recipes win."""
    return _folder(files.data("fixtures") / "objects") | (_folder(folder) if folder is not None else {})


def samples(
    catalog: Catalog,
    document: Callable[[str], Json],
    recipes: Recipes | None = None,
    *,
    fill: Callable[[str], str] = str,
) -> dict[str, Sample]:
    """Give a sample of everything that can be created, by `[group/]version/plural[/subresource]`.

    `document` reads the OpenAPI document of a key (`apis/apps/v1`); it is called only for what no recipe knows. `fill`
    puts the real names into a catalog's, where that has placeholders.
    """
    known = load() if recipes is None else recipes
    creatable = (r for r in catalog.resources if "create" in r.verbs and r.subresource not in CONNECT)
    return {
        f"{resource.group_version}/{resource.plural}": sample(resource, catalog, document, known, fill)
        for resource in creatable
    }


def sample(
    resource: Resource,
    catalog: Catalog,
    document: Callable[[str], Json],
    recipes: Recipes,
    fill: Callable[[str], str] = str,
) -> Sample:
    """Give the sample of one resource; one without a body says why there is none."""
    recipe = _recipe_of(resource, recipes)
    typed = {"apiVersion": _version(resource), "kind": resource.kind}
    if recipe is not None:
        return Sample(
            body=typed | _unnamed(recipe.object),
            needs=_needs(recipe, catalog, recipes),
            change=recipe.change,
            immutable=recipe.immutable,
            settled=recipe.settled,
            origin=recipe.source,
        )
    try:
        described = document(fill(resource.prefix.strip("/")))
        typed_as = (fill(resource.kind_group), resource.kind_version, resource.kind)
        made = synthesis.make(described, *typed_as, valid=schemas.validity(described, *typed_as))
    except (synthesis.Unknown, ConformanceError) as problem:
        return Sample(problem=f"{problem}; a file in the folder of --objects can give one")
    keeps = bool((synthesis.schema_of(described, *typed_as) or {}).get("x-kubernetes-preserve-unknown-fields"))
    return Sample(body=made | typed, origin="schema", keeps_unknown=keeps)


def _version(resource: Resource) -> str:
    return f"{resource.kind_group}/{resource.kind_version}" if resource.kind_group else resource.kind_version


def _recipe_of(resource: Resource, recipes: Recipes) -> Recipe | None:
    exact = f"{resource.group_version}/{resource.plural}"
    group = f"{resource.group}/" if resource.group else ""
    return recipes.get(exact) or recipes.get(f"{group}{ANY}/{resource.plural}")


def _unnamed(body: Json) -> Json:
    """Say that an object has no name where its metadata is written out without one."""
    metadata = body.get("metadata")
    return body if metadata is None else body | {"metadata": {"name": None} | metadata}


def _needs(recipe: Recipe, catalog: Catalog, recipes: Recipes) -> tuple[tuple[str, Json], ...]:
    needed = (r for r in catalog.resources if f"{r.group_version}/{r.plural}" == recipe.needs)
    found = []
    for resource in needed:
        inside = f"/namespaces/{OWN}" if resource.namespaced else ""
        body = recipes[recipe.needs].object if recipe.needs in recipes else {}
        named = {"apiVersion": _version(resource), "kind": resource.kind, "metadata": {"name": "{name}"}}
        found.append((f"{resource.prefix}{inside}/{resource.name}", named | body))
    return tuple(found)


# --- the files --------------------------------------------------------------------------------------------------------


def _folder(folder: Path) -> dict[str, Recipe]:
    if not folder.is_dir():
        raise FileError(folder, None, "is no folder of objects")
    found: dict[str, Recipe] = {}
    for file in sorted(folder.glob("*.yaml")):
        for node in yamlfile.read(file).items():
            recipe = _recipe(node)
            for resource in recipe.resources:
                if resource in found:
                    raise node.wrong(f"{resource} stands in {found[resource].source} already")
                found[resource] = recipe
    return found


def _recipe(node: Node) -> Recipe:
    table = node.table(_KEYS)
    if not table["resources"]:
        raise node.wrong("resources: at least one has to be named")
    for wrong in sorted({"apiVersion", "kind"} & table["object"].keys()):
        raise node.wrong(f"object.{wrong} comes from the server's discovery; leave it out")
    return Recipe(**table, source=f"{node.file.name}:{node.line}")


def _resource(node: Node) -> str:
    named = yamlfile.line(node)
    parts = named.split("/")
    # The version is what begins with a v and a digit, or any; a group that looks like one has a dot.
    for at in (0, 1):
        versioned = at < len(parts) and (parts[at] == ANY or (parts[at][:1] == "v" and parts[at][1:2].isdigit()))
        if versioned and len(parts) - at in {2, 3} and all(parts):
            return named
    raise node.wrong(f"{named!r} is no [group/]version/plural[/subresource], as v1/pods or apps/v1/deployments/scale")


def _mapping(node: Node) -> Json:
    node.pairs()  # says what is wrong where it is none
    read: Json = yamlfile.tree(node)
    return read


_KEYS: Mapping[str, Key] = {
    "resources": Key(yamlfile.each(_resource), required=True),
    "object": Key(_mapping, required=True),
    "change": Key(_mapping),
    "immutable": Key(_mapping),
    "settled": Key(_mapping),
    "needs": Key(_resource, default=""),
}
