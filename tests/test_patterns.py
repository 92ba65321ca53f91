from __future__ import annotations

import re

import pytest

from conformance.patterns import example

PATTERNS = (
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    r"^\d{3}-\d{4}$",
    r"^(foo|ba[rz])+$",
    r"^[A-Za-z]([\w\-]{2,61}\w)?$",
    r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$",
    r"^[^/]+/[^/]*$",
    r"^(\d+|0x[\da-f]+)$",
    r"^v\d+((alpha|beta)\d+)?$",
    r"^https?://",
    r"(?i)^abc$",
    r"^[+-]?(\d+)%?$",
    r"^]?[]a]{3}$",
    r"^(?:a|b)(?P<name>c){2,3}\.$",
    r"\S+@\S+",
    r"^a{0}b$",
    r"^\x41\x{42}|\t$",
)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("variant", range(5))
def test_an_example_matches(pattern: str, variant: int) -> None:
    text = example(pattern, variant=variant)
    assert re.search(pattern.replace(r"\x{42}", "B"), text), (pattern, text)


def test_an_example_is_as_short_as_may_be_and_as_long_as_has_to_be() -> None:
    assert example(PATTERNS[0]) == "a"
    for pattern in PATTERNS[:9]:
        try:
            text = example(pattern, least=20)
        except ValueError:
            assert pattern in {r"^\d{3}-\d{4}$", r"^v\d+((alpha|beta)\d+)?$"} or "no text of 20" in pattern
        else:
            assert len(text) >= 20
            assert re.search(pattern, text), (pattern, text)


@pytest.mark.parametrize(
    ("go", "python"),
    [
        (r"^[[:alpha:]]+[[:digit:]]\z", r"^[a-zA-Z]+[0-9]$"),
        (r"^\pL\p{N}$", r"^\w\d$"),
        (r"^\Qa.b(\E$", r"^a\.b\($"),
        (r"^[[:^alpha:]]$", r"^[^a-zA-Z]$"),
        (r"^\PL$", r"^[^a-zA-Z]$"),
    ],
)
def test_what_only_go_writes_is_read(go: str, python: str) -> None:
    assert re.search(python, example(go))


@pytest.mark.parametrize("pattern", ["(", "a)", "[a", "a(?=b)", r"\1", "[^\\x00-\U0010ffff]"])
def test_what_cannot_be_read_or_matched_is_said(pattern: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        example(pattern)


def test_a_text_beyond_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        example("^a+$", least=1 << 20)


def test_variants_differ() -> None:
    assert len({example("^[a-z]+$", variant=n) for n in range(20)}) == 20
