"""The quick way to read YAML comes to what the long way comes to, or says that it can't tell."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from conformance.quickyaml import NotPlainError, Plain

PLAIN = Plain(yaml.safe_load)
TEXTS = [
    "a: 1\nb: [x, 'y', \"z\", 1.5, 0x10, 017, 1e3, -3, +4, .5, ~, null, true, no, On, y, '']\nc:\n",
    "a: |\n  yes\n  more\nb: >-\n  folded\n  text\nc: 'on'\n",
    "- - a\n  - {b: c, d: [e]}\n-\n",
    "text",
    "",
    "# nothing\n",
    "1: a\n",
    "yes: a\n",
    "a: &x 1\nb: *x\n",
    "a: &x {c: 1}\nb: {<<: *x}\n",
    "a: !!str 1\n",
    "a: 1\na: 2\n",
    "a: 12:30:45\nb: 1_000\nd: .inf\ne: nothing\n",
    "no more: text\n",
]


def _quick(text: str) -> Any:
    try:
        return PLAIN.read(text)
    except NotPlainError:
        return yaml.safe_load(text)


@pytest.mark.parametrize("text", TEXTS)
def test_the_same_comes_out(text: str) -> None:
    assert _quick(text) == yaml.safe_load(text)


def test_what_has_to_go_the_long_way() -> None:
    for text in ("a: 1\na: 2\n", "a: &x 1\n", "a: !!str 1\n", "1: a\n", "--- 1\n--- 2\n", "{<<: {a: 1}}"):
        with pytest.raises(NotPlainError):
            PLAIN.read(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_whatever_is_written(value: Any, flow: bool) -> None:  # noqa: FBT001  # drawn
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    assert _quick(text) == yaml.safe_load(text)
