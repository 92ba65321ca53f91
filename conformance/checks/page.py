"""The catalogue as a page of docs/: generated, so that it can't tell of another catalogue than the code's."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from conformance.checks import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.checks import Check

_HEAD = """# Checks: the catalogue

<!-- Generated: `nox -s pages` writes this file from conformance/checks/. -->

Each check is one statement of the Kubernetes API contract, asked of every server, group version, resource or
subresource that it applies to. `MUST` and `SHOULD` are as binding as the cited document says; `INFO` is worth knowing.
What a verdict means, and how a check is written, stands in [contract.md](contract.md).

A check of mode `observe` only reads; one of `dry-run` writes with `dryRun=All` alone; one of `full` makes objects of
its own and removes them.
"""


def render() -> str:
    """Give the whole page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    every = sorted(catalogue().values(), key=lambda each: each.topic)
    yield f"{len(every)} checks:"
    yield ""
    for topic, checks in groupby(every, key=lambda each: each.topic):
        yield f"- {topic}: " + ", ".join(f"[{each.id}](#{each.id.lower()})" for each in checks)
    for topic, checks in groupby(every, key=lambda each: each.topic):
        yield f"\n## {topic.capitalize()}"
        for each in checks:
            yield from _entry(each)
    yield ""


def _entry(each: Check) -> Iterator[str]:
    needs = {"object": "an object that can be made", "node": "a ready node", "ours": "a cluster of ours"}
    asked = f"each {each.on}" if each.on != "server" else "the server"
    verbs = f" with {', '.join(each.verbs)}" if each.verbs else ""
    lacking = ", ".join(needs.get(need, f"the credential {need}") for need in sorted(each.needs))
    yield f"\n### {each.id}\n"
    yield f"{each.title}.\n"
    yield f"- {each.level}, asked of {asked}{verbs}; mode {each.mode}" + (f"; needs {lacking}" if lacking else "")
    yield f"- <{each.url}>: “{' '.join(each.quote.split())}”"
