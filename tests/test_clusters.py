from __future__ import annotations

import inspect

import pytest

from conformance import clusters
from conformance.errors import UsageError

PARTS = [name for name, value in vars(clusters.Provider).items() if inspect.isfunction(value) and name[0] != "_"]


def test_each_provider_has_every_part() -> None:
    found = list(clusters.providers())
    assert "embedded" in [provider.NAME for provider in found]
    for provider in found:
        for part in PARTS:
            wanted = [name for name in inspect.signature(getattr(clusters.Provider, part)).parameters if name != "self"]
            assert set(wanted) <= set(inspect.signature(getattr(provider, part)).parameters), f"{provider.NAME}.{part}"


def test_a_provider_is_found_by_its_name() -> None:
    assert clusters.provider("embedded").is_available() is None
    with pytest.raises(UsageError, match=r"no cluster provider 'clouds'; there are .*embedded"):
        clusters.provider("clouds")
