r"""A short text that a regular expression matches, for fields of custom resources that are held to one.

Expressions are those of Go's regexp (RE2): no look-around and no back-references, but classes such as `[[:alpha:]]`,
`\pL` and `\z`. Source: https://github.com/google/re2/wiki/Syntax. What cannot be read is a `ValueError`.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field

_POSIX = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "ascii": string.printable,
    "blank": " \t",
    "digit": string.digits,
    "graph": string.ascii_letters + string.digits + string.punctuation,
    "lower": string.ascii_lowercase,
    "print": string.ascii_letters + string.digits + string.punctuation + " ",
    "punct": string.punctuation,
    "space": string.whitespace,
    "upper": string.ascii_uppercase,
    "word": string.ascii_letters + string.digits + "_",
    "xdigit": string.hexdigits,
}
_PERL = {"d": _POSIX["digit"], "w": _POSIX["word"], "s": " \t\n\r\f"}
_UNICODE = {
    "L": _POSIX["alpha"],
    "Lu": _POSIX["upper"],
    "Ll": _POSIX["lower"],
    "N": _POSIX["digit"],
    "Nd": "0123456789",
}
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_ALL = _POSIX["alnum"] + string.punctuation + " "  # letters first: they are the least trouble elsewhere
_EMPTY = "AzbB"  # escapes that match a place
_HEX = 16
_LONGEST = 1 << 16


@dataclass(slots=True)
class _Repeat:
    """A part and how often it has to and may occur (None: as often as one likes)."""

    part: _Part
    least: int
    most: int | None


@dataclass(slots=True)
class _Letters:
    """One letter out of several."""

    letters: str


@dataclass(slots=True)
class _Sequence:
    parts: list[_Repeat] = field(default_factory=list)


@dataclass(slots=True)
class _Either:
    branches: list[_Sequence]


_Part = _Letters | _Either


def example(pattern: str, *, least: int = 0, variant: int = 0) -> str:
    """Write a text that matches: as short as it can be but of at least so many letters; variants differ, if they can.

    Whether it does match is for the caller to look at: anchors in the middle of an expression are taken to hold.
    """
    if least > _LONGEST:
        raise ValueError(f"a text of {least} letters is too long to be worth the making")
    text = _of_either(_Reader(pattern).read(), least, variant)
    if len(text) < least and not pattern.endswith(("$", "\\z")):
        text += "a" * (least - len(text))
    if len(text) < least:
        raise ValueError(f"no text of {least} letters was found that matches {pattern!r}")
    return text


def _of_either(either: _Either, least: int, variant: int) -> str:
    """Choose the branch that is shortest among those long enough; the longest where none is."""
    texts = [_of_sequence(branch, least, variant) for branch in either.branches]
    enough = [text for text in texts if len(text) >= least]
    if not enough:
        return max(texts, key=len)
    return enough[variant % len(enough)] if variant else min(enough, key=len)


def _of_sequence(sequence: _Sequence, least: int, variant: int) -> str:
    """Write each part as short as may be, then let parts grow, the last one first, until there are enough letters."""
    texts = [_of_item(item, 0, variant) for item in sequence.parts]
    for index in reversed(range(len(texts))):
        lacking = least - sum(map(len, texts))
        if lacking > 0:
            texts[index] = _of_item(sequence.parts[index], len(texts[index]) + lacking, variant)
    return "".join(texts)


def _of_item(item: _Repeat, least: int, variant: int) -> str:
    if not least or item.most == 0:
        return _once(item.part, 0, variant) * item.least
    once = _once(item.part, least, variant)
    times = max(item.least, 1, -(-least // len(once)) if once else 1)
    return once * (times if item.most is None else min(times, item.most))


def _once(part: _Part, least: int, variant: int) -> str:
    return part.letters[variant % len(part.letters)] if isinstance(part, _Letters) else _of_either(part, least, variant)


class _Reader:
    """Reads an expression from left to right."""

    def __init__(self, pattern: str) -> None:
        self._text, self._at = pattern, 0

    def read(self) -> _Either:
        tree = self._either()
        if self._at < len(self._text):
            raise ValueError(f"an unmatched ) in {self._text!r}")
        return tree

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        letter = self._peek()
        if not letter:
            raise ValueError(f"{self._text!r} ends too early")
        self._at += 1
        return letter

    def _take(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _either(self) -> _Either:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return _Either(branches)

    def _sequence(self) -> _Sequence:
        found = _Sequence()
        while (letter := self._peek()) and letter not in "|)":
            part = self._part()
            if part is not None:
                found.parts.append(self._repeated(part))
        return found

    def _part(self) -> _Part | None:
        letter = self._next()
        match letter:
            case "^" | "$":
                return None
            case ".":
                return _Letters(_ALL)
            case "(":
                return self._group()
            case "[":
                return _Letters(self._class())
            case "\\":
                return self._escape()
            case _:
                return _Letters(letter)

    def _group(self) -> _Part | None:
        if self._take("?"):
            if self._take("P<") or self._take("<"):
                while self._next() != ">":
                    pass
            else:
                while (letter := self._next()) not in ":)":
                    if letter not in "imsU-":
                        raise ValueError(f"(?{letter} is not known in {self._text!r}")
                if letter == ")":
                    return None  # flags for what follows, which one letter of each case satisfies
        inner = self._either()
        if not self._take(")"):
            raise ValueError(f"a ) is missing in {self._text!r}")
        return inner

    def _repeated(self, part: _Part) -> _Repeat:
        least, most = 1, 1
        bounds: tuple[int, int | None] = (least, most)
        if self._take("*"):
            bounds = (0, None)
        elif self._take("+"):
            bounds = (1, None)
        elif self._take("?"):
            bounds = (0, 1)
        elif self._peek() == "{" and (end := self._text.find("}", self._at)) > 0:
            low, comma, high = self._text[self._at + 1 : end].partition(",")
            if low.isdigit() and (not high or high.isdigit()):
                self._at = end + 1
                bounds = (int(low), int(high) if high else (None if comma else int(low)))
        if bounds != (least, most):
            self._take("?")  # as little as possible: which is what we write anyway
        return _Repeat(part, *bounds)

    def _escape(self) -> _Part | None:
        letter = self._next()
        if letter in _EMPTY:
            return None
        if letter == "Q":
            end = self._text.find("\\E", self._at)
            quoted = self._text[self._at : end if end >= 0 else len(self._text)]
            self._at += len(quoted) + (2 if end >= 0 else 0)
            return _Either([_Sequence([_Repeat(_Letters(letter), 1, 1) for letter in quoted])])
        return _Letters(self._letters_of(letter))

    def _letters_of(self, letter: str) -> str:
        """Say which letters an escape stands for."""
        if letter.lower() in _PERL:
            letters = _PERL[letter.lower()]
            return letters if letter.islower() else _without(letters)
        if letter in "pP":
            name = self._braced() if self._take("{") else self._next()
            letters = _UNICODE.get(name.removeprefix("^"), _POSIX["alpha"])
            return letters if (letter == "p") != name.startswith("^") else _without(letters)
        if letter == "x":
            digits = self._braced() if self._take("{") else self._next() + self._next()
            return chr(int(digits, _HEX))
        if letter in _CONTROL:
            return _CONTROL[letter]
        if letter.isalnum():
            raise ValueError(f"\\{letter} is not known in {self._text!r}")
        return letter

    def _braced(self) -> str:
        name = ""
        while (letter := self._next()) != "}":
            name += letter
        return name

    def _class(self) -> str:
        negated = self._take("^")
        found: list[str] = []
        first = True
        while first or self._peek() != "]":
            first = False
            if self._take("[:"):
                name = self._text[self._at : self._text.index(":]", self._at)]
                self._at += len(name) + 2
                letters = _POSIX[name.removeprefix("^")]
                found.append(_without(letters) if name.startswith("^") else letters)
                continue
            start = self._letter_of_class()
            if len(start) == 1 and self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in {"]", ""}:
                self._next()
                end = self._letter_of_class()
                found.append("".join(chr(code) for code in range(ord(start), min(ord(end), ord(start) + 255) + 1)))
            else:
                found.append(start)
        self._next()
        letters = "".join(found)
        chosen = _without(letters) if negated else letters
        if not chosen:
            raise ValueError(f"a class of {self._text!r} holds no letter")
        # Letters and digits first: a text that begins with a dot or a dash is refused elsewhere.
        return "".join(sorted(dict.fromkeys(chosen), key=lambda letter: not letter.isalnum()))

    def _letter_of_class(self) -> str:
        letter = self._next()
        return self._letters_of(self._next()) if letter == "\\" else letter


def _without(letters: str) -> str:
    return "".join(letter for letter in _ALL if letter not in letters)
