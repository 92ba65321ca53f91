from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import quirks
from conformance.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = "- {id: Q1, where: w, reason: r, seen: ['1.37']%s}\n"


def test_every_quirk_says_where_why_and_on_which_versions() -> None:
    assert len(quirks.catalogue()) > 35
    for quirk in quirks.catalogue().values():
        assert quirk.seen
        assert quirk.where
        assert quirk.reason


@pytest.mark.parametrize(
    ("check", "resource", "note", "known"),
    [
        ("SCHEMA-LIST", "v1/events", "Event eventTime: null where string is documented", "Q1"),
        (
            "SCHEMA-LIST",
            "events.k8s.io/v1/events",
            "Event deprecatedLastTimestamp: null where string is documented",
            "Q1",
        ),
        ("SCHEMA-LIST", "v1/pods", "Event eventTime: null where string is documented", None),
        ("LIST-ENVELOPE", "v1/events", "Event eventTime: null where string is documented", None),
        ("SCHEMA-LIST", "v1/events", "Event eventTime: null where string is documented; and more", None),
        (
            "SCHEMA-GET",
            "resource.k8s.io/v1/resourceclaims",
            "ResourceClaim spec.devices.requests: null where array is documented",
            "Q8",
        ),
        (
            "SCHEMA-GET",
            "resource.k8s.io/v1/resourceclaimtemplates",
            "ResourceClaimTemplate spec.spec.devices.requests: null where array is documented",
            "Q8",
        ),
    ],
)
def test_a_quirk_explains_its_own_violations_and_no_others(
    check: str, resource: str, note: str, known: str | None
) -> None:
    found = quirks.known(check, resource, note, 37)
    assert (found.id if found else None) == known


def test_a_quirk_that_was_mended_explains_nothing_from_then_on(tmp_path: Path) -> None:
    file = tmp_path / "quirks.yaml"
    file.write_text(ENTRY % ", checks: ['*'], resources: ['*'], note: wrong, mended: '1.38'")
    (quirk,) = quirks.read(file).values()
    assert quirk.explains("A-B", "v1/pods", "wrong", 37)
    assert not quirk.explains("A-B", "v1/pods", "wrong", 38)


def test_problems_are_told_apart() -> None:
    null = "LimitRange spec.limits: null where array is documented"
    violations, explained = quirks.split("SCHEMA-GET", "v1/limitranges", [null, "LimitRange spec: gone"], 37)
    assert violations == ("LimitRange spec: gone",)
    assert [(quirk.id, problem) for quirk, problem in explained] == [("Q2", null)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ENTRY % ", note: '('", "no regular expression"),
        (ENTRY % ", note: 'a'", "go together"),
        (ENTRY % "" + ENTRY % "", "the id Q1 stands twice"),
        (ENTRY % ", mended: '2'", "no version such as 1.37"),
        (ENTRY % ", versions: []", "unknown key 'versions'; valid keys: id, where"),
    ],
)
def test_a_mistake_in_the_file_is_said(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "quirks.yaml").write_text(text)
    with pytest.raises(FileError, match=words.replace("(", r"\(")):
        quirks.read(tmp_path / "quirks.yaml")
