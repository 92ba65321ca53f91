from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.placeholders import Placeholders

RUN = "20261122t163727-b476"
MADE = Placeholders(RUN, f"kc-{RUN}-own", f"kc-{RUN}-other", f"kc-{RUN}-absent")
UID, UID2 = "0d3e2f50-7a9f-4c6f-8f0e-1a2b3c4d5e6f", "11111111-7a9f-4c6f-8f0e-1a2b3c4d5e6f"


@pytest.mark.parametrize(
    ("real", "masked"),
    [
        (f"/api/v1/namespaces/kc-{RUN}-own/pods/kc-{RUN}-absent", "/api/v1/namespaces/{own}/pods/{absent}"),
        (f'in the namespace "kc-{RUN}-other"', 'in the namespace "{other}"'),
        (f"system:serviceaccount:kc-{RUN}-own:view", "system:serviceaccount:{own}:view"),
        (f"system:node:kube-conformance-{RUN}", "system:node:kube-conformance-{run}"),
        (f"kc-{RUN}-own-view and kc-{RUN}-own", "{own}-view and {own}"),
        ("nothing of the run", "nothing of the run"),
        ("", ""),
    ],
)
def test_the_runs_names_are_taken_out_and_put_back(real: str, masked: str) -> None:
    assert MADE.mask(real) == masked
    assert MADE.fill(masked) == real


@given(st.lists(st.sampled_from(["{own}", "{other}", "{absent}", "{run}", "/", "-", ":", " ", "a"])))
def test_what_was_filled_in_comes_out_again(parts: list[str]) -> None:
    text = "".join(parts)
    assert MADE.mask(MADE.fill(text)) == text
    assert RUN not in MADE.mask(MADE.fill(text))


def test_two_runs_leave_the_same_text() -> None:
    other = Placeholders("r2", "kc-r2-own", "kc-r2-other", "kc-r2-absent")
    said = 'pods "{absent}" not found in {own}, {other}, by {run}'
    assert other.mask_message(other.fill(said)) == MADE.mask_message(MADE.fill(said)) == said


def test_a_namespace_that_the_run_did_not_make_keeps_its_name() -> None:
    given_namespace = Placeholders(RUN, "default", f"kc-{RUN}-other", f"kc-{RUN}-absent")
    assert given_namespace.fill("/namespaces/{own}") == "/namespaces/default"
    assert given_namespace.mask(f"default {RUN}") == "default {run}"


def test_uids_and_moments_are_numbered_in_the_order_of_the_message() -> None:
    message = f"uid {UID} is not {UID2}, was {UID} at 2026-11-22T16:37:27Z, until 2026-11-22T16:37:27.123456+01:00"
    expected = "uid {uid1} is not {uid2}, was {uid1} at {time1}, until {time2}"
    assert MADE.mask_message(message) == expected


@pytest.mark.parametrize("text", ["v1.37.2", "10.0.0.1", "sha256:0d3e2f507a9f", "2026-11-22", "resource version 1234"])
def test_what_does_not_differ_from_run_to_run_stays(text: str) -> None:
    assert MADE.mask_message(text) == text
