"""Text from a cluster made fit to be shown: every string that a report draws goes through here first.

This only makes a string harmless to look at (terminals, bidi spoofing, invisible marks). What a format's own syntax
needs on top (quotes, entities, formula prefixes) is that format's business and stands in its file.
"""

from __future__ import annotations

from conformance.terminal import plain


def display(text: str) -> str:
    r"""Return `text` with each character that cannot be seen, or that moves others, written as `\x1b` or `\u202e`.

    That takes control characters, bidi and zero-width marks, line separators and lone surrogates: what comes back is
    one line that can always be encoded as UTF-8.
    """
    return text if text.isprintable() else plain(text)


def clip(text: str, length: int) -> str:
    """Return `text`, or its beginning and an ellipsis where it has more than `length` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 cell`, `7,260 cells`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
