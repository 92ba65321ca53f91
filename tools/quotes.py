"""Hold the sentences that checks cite against a copy of the documents: python tools/quotes.py FILE_OR_FOLDER...

For instance a checkout of kubernetes/website's content/en/docs, of kubernetes/community, and the Go modules k8s.io/api,
apimachinery and apiextensions-apiserver, whose comments are the API reference. Prints what stands in none of them.
"""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

from conformance import checks

TEXTS = {".md", ".go", ".html", ".txt"}


def words(text: str) -> str:
    """Give the bare words of a text, without markup and signs."""
    text = html.unescape(text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)  # links
    text = re.sub(r'\{\{<\s*glossary_tooltip[^>]*text="([^"]*)"[^>]*>\}\}', r"\1", text)
    text = re.sub(r"(?m)^\s*//", " ", text)  # comments of Go
    text = re.sub("[`*\"“”'\u2019\\\\]", "", text)
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def main() -> int:
    """Print what was not found; 1 where something was not."""
    files = [file for given in map(Path, sys.argv[1:]) for file in (given.rglob("*") if given.is_dir() else [given])]
    texts = [words(file.read_text("utf-8", "replace")) for file in files if file.suffix in TEXTS and file.is_file()]
    lost = 0
    for check in checks.catalogue().values():
        parts = [words(part) for part in check.quote.split("…")]
        if not any(all(part in text for part in parts) for text in texts):
            lost += 1
            print(f"{check.id}\n  {check.url}\n  {check.quote}")
    print(f"{lost} of {len(checks.catalogue())} citations stand in none of {len(texts)} files")
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
