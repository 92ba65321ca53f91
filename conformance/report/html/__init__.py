"""matrix.html: one file that a platform team, a security reviewer and an auditor can read, offline and for years.

The page is matrix.html with style, data and scripts put in. Its Content-Security-Policy allows those very scripts and
that style by their hashes and nothing else: no network, no inline handler, no markup made from text.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING

from conformance.report.html.data import pack
from conformance.report.html.glossary import glossary
from conformance.report.html.graph import drawn
from conformance.report.html.paper import document
from conformance.report.html.strip import counters, strip, text
from conformance.report.summary import headline

if TYPE_CHECKING:
    from conformance.model import Matrix
    from conformance.report import Evidence

NAME = "html"
FILE = "matrix.html"

# In this order they are one script: a page of one file can import nothing.
_SCRIPTS = (
    *("data.js", "query.js", "grid.js", "models.js", "commands.js", "evidence.js", "lists.js", "leaves.js"),
    *("saving.js", "help.js", "page.js", "keys.js"),
)
_EARLY = 'document.documentElement.className = "js";'
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def render(matrix: Matrix, evidence: Evidence | None = None) -> bytes:
    """Return matrix.html."""
    packed = pack(matrix, evidence)
    style = _asset("matrix.css")
    script = "(() => {\n'use strict';\n" + "\n".join(map(_asset, _SCRIPTS)) + "\n})();\n"
    word, _ = headline(matrix)
    values = {
        "policy": _policy((_EARLY, script), style),
        "title": text(f"{word.capitalize()}: {matrix.run.server_version} access matrix"),
        "style": style,
        "early": _EARLY,
        "strip": strip(matrix),
        "counters": counters(matrix),
        "document": document(matrix),
        "graph": drawn(matrix.paths or ()),
        "glossary": glossary(),
        "index": packed.index,
        "states": packed.states,
        "leaves": packed.leaves,
        "script": script,
        "chunks": "\n".join(
            f'<script type="text/plain" id="chunk-{number}">{chunk}</script>'
            for number, chunk in enumerate(packed.chunks)
        ),
    }
    # One pass: what is put in is never looked at again.
    return _SLOT.sub(lambda slot: values[slot[1]], _asset("matrix.html")).encode()


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _policy(scripts: tuple[str, ...], style: str) -> str:
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'sha256-{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
