"""One laboratory for all mutations: identities, snapshot and samples are prepared once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mutations.laboratory import Laboratory, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cluster


@pytest.fixture(scope="package")
def laboratory(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A run on the session's control plane, behind the proxy."""
    with opened(cluster, tmp_path_factory.mktemp("laboratory")) as it:
        yield it
