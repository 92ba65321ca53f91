"""All mutations, found by walking this package; two of one id are an error."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mutations.mutation import Mutation
from mutations.owners import CAUGHT_BY

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def mutations() -> Mapping[str, Mutation]:
    """Give every mutation by its id."""
    found: dict[str, Mutation] = {}
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if info.name.startswith("test_") or info.name == "conftest":
            continue
        for value in vars(importlib.import_module(f"mutations.{info.name}")).values():
            if isinstance(value, Mutation):
                owned = replace(value, caught_by=value.caught_by or CAUGHT_BY[value.id])
                if found.setdefault(value.id, owned) != owned:
                    raise RuntimeError(f"two mutations have the id {value.id}")
    return found


def owned() -> frozenset[str]:
    """Name the checks that some mutation has to trip."""
    return frozenset(test.partition("|")[0] for each in mutations().values() for test in each.caught_by)
