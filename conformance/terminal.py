"""What may be shown on a terminal: strings of clusters and files can carry escapes that act on it."""

from __future__ import annotations

import unicodedata

# Cc: control characters, Cf: format characters (bidi marks among them), Cs: lone surrogates, Zl, Zp: line separators.
_ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def plain(text: str) -> str:
    r"""Give the text on one line with each character that acts on a terminal spelled out, as `\x1b` or `\u202e`."""
    return "".join(_spelled(letter) if unicodedata.category(letter) in _ACTING else letter for letter in text)


def _spelled(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
