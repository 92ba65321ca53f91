"""Names that a run makes, and the words that stand for them in everything that is stored.

Plans, ids, messages and snapshots hold `{own}`, `{other}`, `{absent}` and `{run}`; only the engine puts the real names
in, at the last moment, and takes them out of every answer. So two equal runs are equal byte for byte.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

OWN, OTHER, ABSENT, RUN = "{own}", "{other}", "{absent}", "{run}"
ADDRESS = "{address}"  # the beginning of the run's own IPv6 addresses, for objects that are named by one

# What servers put into messages that differs from run to run: uids and moments.
_UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


def address_of(run: str) -> str:
    """Give the beginning of a run's own addresses, without leading zeros, as an address is canonically written."""
    digest = hashlib.sha256(run.encode()).digest()
    parts = [int.from_bytes(digest[i : i + 2], "big") | 0x1000 for i in (0, 2)]
    return "2001:db8:{:x}:{:x}::".format(*parts)


@dataclass(frozen=True, slots=True)
class Placeholders:
    """The real names of one run: its id, its two namespaces and a name that no object has.

    `address` begins the IPv6 addresses of this run alone, for objects whose name is one: RFC 3849 sets these aside for
    documentation, and no host has any.
    """

    run: str
    own: str
    other: str
    absent: str
    address: str = field(init=False)
    _pairs: tuple[tuple[str, str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", address_of(self.run))
        pairs = {self.own: OWN, self.other: OTHER, self.absent: ABSENT, self.run: RUN}
        # A namespace that the run did not make keeps its name: it is no secret of the run and rules speak of it.
        made = {real: word for real, word in pairs.items() if self.run in real}
        # The longest first: names hold the run id.
        ordered = tuple(sorted(made.items(), key=lambda pair: -len(pair[0])))
        object.__setattr__(self, "_pairs", ordered)

    def fill(self, text: str) -> str:
        """Put the real names in."""
        if "{" not in text:
            return text
        for word, real in (
            (OWN, self.own),
            (OTHER, self.other),
            (ABSENT, self.absent),
            (RUN, self.run),
            (ADDRESS, self.address),
        ):
            text = text.replace(word, real)
        return text

    def mask(self, text: str) -> str:
        """Take the run's names out."""
        if self.address in text:
            text = text.replace(self.address, ADDRESS)
        if self.run not in text:
            return text
        for real, word in self._pairs:
            text = text.replace(real, word)
        return text

    def mask_message(self, text: str) -> str:
        """Take the run's names out of a server's message, and number the uids and moments in it."""
        text = self.mask(text)
        if text.count("-") < 2:  # noqa: PLR2004  # neither a uid nor a moment: what most messages are like
            return text
        return _numbered(_MOMENT, "time", _numbered(_UID, "uid", text))


def _numbered(pattern: re.Pattern[str], word: str, text: str) -> str:
    seen: dict[str, str] = {}
    return pattern.sub(lambda found: seen.setdefault(found[0], f"{{{word}{len(seen) + 1}}}"), text)
