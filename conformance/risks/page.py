"""The page of all risk rules, for docs/risks.md: generated, so that it says what the rules say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conformance.risks.rule import Pattern, Risk

HEAD = """\
<!-- Made by `kube-conformance risks -o markdown`; a test holds it against the rules. -->
# Risk rules

What kube-conformance looks for in roles and bindings. Each rule is a file of `conformance/risks/rules/`, with one
example that matches and one that does not; [the review page](review.md) says how to use them, and how to add your own.

The severity is that of the right held in the whole cluster, in one namespace, and for objects of certain names only.
A namespace that rules the cluster (`kube-system`) counts as the whole cluster. What every cluster has by itself is
recognised by its content and left out; bindings that a run makes for its own identities are `info`.
"""


def page(risks: Sequence[Risk]) -> str:
    """Give the page: a table, then each rule."""
    lines = [HEAD, "| rule | cluster | namespace | named | what |", "| --- | --- | --- | --- | --- |"]
    for risk in risks:
        levels = f"{risk.severity.cluster} | {risk.severity.namespace} | {risk.severity.named}"
        lines.append(f"| [{risk.id}](#{risk.id.lower()}) | {levels} | {risk.title} |")
    for risk in risks:
        lines += ["", *_rule(risk)]
    return "\n".join(lines) + "\n"


def _rule(risk: Risk) -> Iterator[str]:
    yield f"## {risk.id}"
    yield ""
    yield f"**{risk.title}.** {risk.attacker}"
    yield ""
    yield f"- Looks for: {'; '.join(_looks_for(risk))}"
    yield f"- Fix: {risk.fix}"
    yield f"- References: {', '.join(f'<{address}>' for address in risk.references)}"


def _looks_for(risk: Risk) -> Iterator[str]:
    match = risk.match
    if match.any:
        yield " or ".join(map(_pattern, match.any))
    if match.all:
        yield f"together {' and '.join(map(_pattern, match.all))}"
    if match.wildcard:
        yield f"`*` in {', '.join(match.wildcard)} of one entry of `rules`"
    if match.roles:
        yield f"a binding to {', '.join(f'`{role}`' for role in match.roles)}"
    for subjects in match.subjects:
        but = f" but {', '.join(f'`{name}`' for name in subjects.but)}" if subjects.but else ""
        yield f"a subject of kind {subjects.kind} named {', '.join(f'`{name}`' for name in subjects.names)}{but}"
    if match.check:
        yield f"the check `{match.check}`"


def _pattern(pattern: Pattern) -> str:
    what = ", ".join(f"`{it}`" for it in (*pattern.resources, *pattern.paths))
    names = f" named {', '.join(f'`{it}`' for it in pattern.names)}" if pattern.names else ""
    where = f" in {', '.join(f'`{it}`' for it in pattern.namespaces)}" if pattern.namespaces else ""
    return f"{'/'.join(pattern.verbs)} on {what}{names}{where}"
