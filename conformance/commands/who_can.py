"""`kube-conformance who-can`: everybody who may do something, as bindings name them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from conformance.commands.can_i import as_json, of, question, say, target_of

if TYPE_CHECKING:
    from conformance.rbac.explain import Holder


@click.command()
@question
def command(verb: str, resource: str, output: str, **asked: Any) -> None:
    """Say who may VERB a RESOURCE: users, groups and service accounts as bindings name them, with the way.

    RESOURCE is PLURAL[.GROUP][/SUBRESOURCE], or a path such as /metrics. With -A: in at least one namespace, which
    are listed. Groups are not expanded. Group system:masters can do everything and always stands first.

    \b
    Examples:
      kube-conformance who-can get secrets -n kube-system
      kube-conformance who-can create pods/exec -A -o json
      kube-conformance who-can delete nodes -f dump.yaml
    """
    from conformance.questions import ground  # noqa: PLC0415  # --help must not wait for it
    from conformance.rbac.explain import who_can  # noqa: PLC0415

    where = of(asked)
    found = ground(where)
    target = target_of(found, verb, resource)
    attributes = found.attributes(where, verb, target)
    everywhere = where.everywhere and not target.path and target.namespaced is not False
    holders = who_can(found.resolver, attributes, everywhere=everywhere)
    complete = found.complete(None if everywhere else attributes.namespace)
    if output == "json":
        document = {
            "subjects": [_entry(holder, everywhere=everywhere) for holder in holders if not holder.names],
            "complete": complete,
        }
        limited = [_entry(holder, everywhere=everywhere) for holder in holders if holder.names]
        say(json.dumps(document | ({"named": limited} if limited else {}), indent=2), exactly=True)
        return
    for holder in holders:
        names = f" (only named {', '.join(holder.names)})" if holder.names else ""
        places = f" in {_places(holder)}" if everywhere else ""
        say(f"{holder.subject}{places}{names}: {holder.witness.text}")
    if not complete:
        click.echo("warning: not complete: not every role or binding could be read", err=True)


def _entry(holder: Holder, *, everywhere: bool) -> dict[str, Any]:
    subject = holder.subject
    entry = {
        "kind": subject.kind,
        "name": subject.name,
        "namespace": subject.namespace,
        "witness": as_json(holder.witness),
    }
    places = {"namespaces": ["*"] if "" in holder.namespaces else [*holder.namespaces]} if everywhere else {}
    return entry | places | ({"names": [*holder.names]} if holder.names else {})


def _places(holder: Holder) -> str:
    return "all namespaces" if "" in holder.namespaces else ", ".join(holder.namespaces)
