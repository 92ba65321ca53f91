"""Escalation steps as a real server has them: everybody tries everything, and the graph has to have said the same."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from escalation import Stage, as_token, graph_of

from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.model import Cluster

pytestmark = pytest.mark.server


def test_what_is_predicted_is_what_happens(
    cluster: Cluster, record_testsuite_property: Callable[[str, object], None]
) -> None:
    with Client(cluster.admin) as admin:
        stage = Stage(admin, secrets.token_hex(3))
        try:
            stage.lay()
            paths = graph_of(admin)
            wrong, tried, refused, happened = [], 0, 0, Counter[str]()
            for name, token in stage.tokens.items():
                with Client(as_token(cluster.admin, token)) as client:
                    for it in stage.every(name):
                        tried += 1
                        found, refusal = stage.happens(name, it, client)
                        expected = stage.expected(paths, name, it)
                        happened[it.kind] += found
                        if (
                            expected
                            and not found
                            and it.kind == "privileged-pods"
                            and "violates PodSecurity" in refusal
                        ):
                            refused += 1  # and shown as refused, with this reason
                        elif found != expected:
                            what = "false negative" if found else "false positive"
                            wrong.append(f"{what}: {name} {it.kind} {it.namespace[:5]} {it.target}: {refusal[:160]}")
        finally:
            stage.clear()
    record_testsuite_property(
        "escalation", f"{len(stage.tokens)} identities, {len(happened)} kinds, {tried} steps tried"
    )
    assert not wrong, "\n".join(wrong)
    assert len(stage.tokens) >= 25
    assert refused, "namespace b takes no privileged pods"
    never = [kind for kind, times in happened.items() if times < 2]
    assert not never, f"tried by everybody, and nobody could but those who can everything: {never}"
