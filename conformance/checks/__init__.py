"""The statements of the Kubernetes API contract that are checked: one file a topic, found by walking this package.

Each is a value with the sentence that it cites and the script that asks a server whether it holds. A module's checks
are its functions decorated with `check`; a new one is written in the file of its topic, or in a new file, and nowhere
else.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from conformance.model import Mode
    from conformance.scripts import Script, Subject

Level = Literal["MUST", "SHOULD", "INFO"]
On = Literal["server", "group version", "resource", "subresource", "step"]

MUST: Level = "MUST"
SHOULD: Level = "SHOULD"
INFO: Level = "INFO"

_ID = re.compile(r"[A-Z0-9]+(-[A-Z0-9]+)+")


def _always(_: Subject) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Check:
    """One statement of the API contract.

    `url` and `quote` are the document and the sentence that it stands in. It applies to subjects of the kind `on` that
    are served with all `verbs` and for which `applies` holds. `mode` is the least in which it may run: `observe` reads
    only, `dry-run` writes with dryRun=All alone, `full` makes objects of its own. `needs` are features of the cluster:
    `node` (a ready node), `ours` (we created the cluster), `@NAME` (a prepared credential), `object` (a sample).
    Its result holds, too, what any answer of the run about the subject departs in, where `gathers` matches the words.
    """

    id: str
    level: Level
    title: str
    url: str
    quote: str
    on: On
    script: Script
    topic: str
    verbs: tuple[str, ...] = ()
    applies: Callable[[Subject], bool] = _always
    mode: Mode = "observe"
    needs: frozenset[str] = frozenset()
    gathers: str = ""

    def concerns(self, subject: Subject) -> bool:
        """Whether the statement is one about this subject."""
        return subject.kind == self.on and (not self.verbs or subject.has(*self.verbs)) and self.applies(subject)


def check(
    id: str,  # noqa: A002  # what everybody calls it
    level: Level,
    title: str,
    *,
    url: str,
    quote: str,
    on: On,
    verbs: tuple[str, ...] = (),
    applies: Callable[[Subject], bool] = _always,
    mode: Mode = "observe",
    needs: tuple[str, ...] = (),
    gathers: str = "",
) -> Callable[[Script], Check]:
    """Make a check of a script."""
    if not _ID.fullmatch(id):
        raise ValueError(f"{id!r} is no id of a check: words of capitals with '-' between them")

    def made(script: Script) -> Check:
        topic = script.__module__.rpartition(".")[2].replace("_", " ")
        return Check(id, level, title, url, quote, on, script, topic, verbs, applies, mode, frozenset(needs), gathers)

    return made


@cache
def catalogue() -> Mapping[str, Check]:
    """Give every check by its id, topics and ids in alphabetical order."""
    found: dict[str, Check] = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        mine = [value for value in vars(module).values() if isinstance(value, Check)]
        for each in sorted(mine, key=lambda each: each.id):
            if found.setdefault(each.id, each) is not each:
                raise RuntimeError(f"two checks have the id {each.id}: the second is in {module.__name__}")
    return found
