"""What every state, mark and word of the page means, from glossary.txt.

The causes of explained differences come from their closed list, so that a new one is defined here by itself.
"""

from __future__ import annotations

from importlib.resources import files

from conformance.oracles.causes import CAUSES
from conformance.report.html.strip import text

_CAUSES = "Causes: why oracles may differ on a healthy server"


def glossary() -> str:
    """Return the glossary's sections."""
    sections: dict[str, list[tuple[str, ...]]] = {}
    for line in files(__package__).joinpath("glossary.txt").read_text("utf-8").splitlines():
        if line.startswith("## "):
            sections[line.removeprefix("## ")] = words = []
        elif line and not line.startswith("# "):
            words.append(tuple(part.strip() for part in line.split("|")))
    sections[_CAUSES] = [("", "", cause.id, f"{cause.title[:1].upper()}{cause.title[1:]}.") for cause in CAUSES]
    return "".join(
        f'<h3>{text(title)}</h3><dl class="glossary">{"".join(_word(*word) for word in words)}</dl>'
        for title, words in sections.items()
    )


def _word(look: str, mark: str, word: str, meaning: str) -> str:
    sample = f'<span class="sample {look}">{mark}</span> ' if look or mark else ""
    return f"<dt>{sample}{text(word)}</dt><dd>{text(meaning)}</dd>"
