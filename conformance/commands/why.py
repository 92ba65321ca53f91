"""`kube-conformance why`: every way by which somebody may do something, or what is missing."""

from __future__ import annotations

import json
from typing import Any

import click

from conformance.commands.can_i import as_json, of, question, say, somebody, target_of, whom


@click.command()
@question
@somebody
def command(verb: str, resource: str, output: str, **asked: Any) -> None:
    """Say why somebody may VERB a RESOURCE: every way from subject over binding and role to the rule.

    Where they may not: the rules that lack only one thing, the names and namespaces for which they may, and the roles
    that bindings refer to but that are not there. RESOURCE is PLURAL[.GROUP][/SUBRESOURCE], or a path.

    \b
    Examples:
      kube-conformance why delete secrets -n web --as alice
      kube-conformance why get pods/exec -n web --as system:serviceaccount:web:default -f dump.yaml
    """
    from conformance.questions import ground  # noqa: PLC0415  # --help must not wait for it
    from conformance.rbac.beyond import also_needed  # noqa: PLC0415
    from conformance.rbac.explain import rule_text, why  # noqa: PLC0415

    where = of(asked)
    found = ground(where)
    identity = whom(found, where)
    attributes = found.attributes(where, verb, target_of(found, verb, resource))
    answer = why(found.rbac, identity, attributes, found.decide(identity, attributes))
    if output == "json":
        document = {
            "decision": answer.decision.answer,
            "witness": as_json(answer.decision.witness),
            "ways": [as_json(witness) for witness, _ in answer.ways],
        }
        say(json.dumps(document, indent=2), exactly=True)
        return
    say(f"{answer.decision.answer}: {answer.decision.witness.text}")
    for witness, rule in answer.ways:
        say(f"  {' > '.join(witness.path)}: {rule_text(rule)}")
    if answer.names:
        say(f"  but for objects named {', '.join(answer.names)}")
    if answer.elsewhere:
        say(f"  but in namespaces {', '.join(answer.elsewhere)}")
    for near in answer.near:
        say(f"  nearly: {near}")
    if answer.ways:
        for needed, sentence in also_needed(attributes):
            say(f"  besides: {sentence}: {found.decide(identity, needed).answer}")
