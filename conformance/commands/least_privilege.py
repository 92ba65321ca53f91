"""`kube-conformance least-privilege`: what was granted and never used, and the smallest roles for what was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conformance.commands.can_i import say

if TYPE_CHECKING:
    from conformance.auditlog import Used
    from conformance.model import Rbac
    from conformance.oracles.rules import Rules


@click.command()
@click.option(
    "--audit-log",
    "log",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The server's audit log: JSON lines, plain or gzip, or a folder of such files.",
)
@click.option("--subject", "subjects", multiple=True, metavar="SUBJECT", help="Only this user or account. Repeatable.")
@click.option("--names", is_flag=True, help="Narrow rules to the objects' names that were used.")
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What is granted, from manifests. Repeatable.",
)
@click.option("-n", "--namespace", metavar="NAMESPACE", help="The namespace of manifests that name none.")
@click.option("--run", type=click.Path(path_type=Path), metavar="RUN", help="What is granted, from a saved run.")
@click.option("--kubeconfig", metavar="FILE", help="What is granted, from a cluster: its kubeconfig.")
@click.option("--context", metavar="NAME", help="The context of the kubeconfig; else the current one.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    show_default=True,
    help="The form; yaml gives the roles and bindings alone.",
)
def command(log: Path, subjects: tuple[str, ...], output: str, *, names: bool, **asked: Any) -> int:
    """Say of each subject in an audit log what it was granted and never used, and the smallest roles for what it did.

    The roles are checked by asking the evaluator everything in the log once more with them alone. Without -f, --run,
    --kubeconfig or --context nothing is said of what is granted. Rights that a handler asks for besides (escalate,
    bind, approve) are in no log.

    \b
    Exit codes: 0, or 1 when the roles would not cover the log

    \b
    Examples:
      kube-conformance least-privilege --audit-log /var/log/kubernetes/ --run reports/latest
      kube-conformance least-privilege --audit-log audit.log.gz --subject "ServiceAccount web/deployer" -o yaml
    """
    from conformance import auditlog  # noqa: PLC0415  # --help must not wait for it
    from conformance.oracles.rules import Rules  # noqa: PLC0415
    from conformance.questions import Asked, ground  # noqa: PLC0415

    found = auditlog.read(log)
    given = any(asked[key] for key in ("files", "run", "kubeconfig", "context"))
    rules = Rules(ground(Asked(**asked)).rbac) if given else None
    entries, documents, failed = [], [], False
    for user in auditlog.chosen(found, subjects):
        used = found.users[user]
        roles = auditlog.smallest(user, used, names=names)
        refused = auditlog.replay(user, used, roles)
        failed |= bool(refused)
        documents += [it for them in _lists(roles) for it in them]
        entries.append(_entry(user, used, rules, roles, covered=not refused))
    if output == "yaml":
        import yaml  # noqa: PLC0415  # --help must not wait for it

        from conformance.media import careful_dumper  # noqa: PLC0415

        say(yaml.dump_all(documents, Dumper=careful_dumper(), sort_keys=False).rstrip(), exactly=True)
    elif output == "json":
        say(json.dumps({"events": found.events, "subjects": entries}, indent=2), exactly=True)
    else:
        say(f"{found.events} requests in the log, {len(entries)} subjects")
        for entry in entries:
            _show(entry)
    if found.unread:
        click.echo(f"warning: {found.unread} lines are no audit events", err=True)
    return 1 if failed else 0


def _lists(roles: Rbac) -> tuple[tuple[Any, ...], ...]:
    return roles.cluster_roles, roles.cluster_role_bindings, roles.roles, roles.role_bindings


def _entry(user: str, used: Used, rules: Rules | None, roles: Rbac, *, covered: bool) -> dict[str, Any]:
    from conformance.auditlog import unused  # noqa: PLC0415
    from conformance.model import Identity  # noqa: PLC0415
    from conformance.rbac.escalation import subject  # noqa: PLC0415
    from conformance.rbac.explain import rule_text  # noqa: PLC0415

    identity = Identity(user, "log", user, tuple(sorted(used.groups)))
    never = None
    if rules is not None:
        never = [
            {
                "binding": str(it.grant.source.binding),
                "role": it.grant.source.binding.role,
                "rule": it.grant.source.number,
                "text": rule_text(it.grant.rule),
                "whole": it.whole,
                "never": [*it.never],
            }
            for it in unused(rules, identity, used)
        ]
    return {
        "subject": subject(("User", user)),
        "requests": sum(used.times.values()),
        "distinct": len(used.times),
        "unused": never,
        "roles": [*roles.cluster_roles, *roles.roles],
        "covered": covered,
    }


def _show(entry: dict[str, Any]) -> None:
    from conformance.rbac.explain import rule_text  # noqa: PLC0415
    from conformance.rbac.predicates import Rule  # noqa: PLC0415

    say("")
    say(f"{entry['subject']}: {entry['requests']} requests, {entry['distinct']} of them different")
    for it in entry["unused"] or ():
        what = "never used" if it["whole"] else f"never used: {', '.join(it['never'])}"
        say(f"  {it['binding']} {it['role']} rules[{it['rule']}] ({it['text']}): {what}")
    if entry["unused"] == []:
        say("  it used all that it was granted")
    for role in entry["roles"]:
        place = role["metadata"].get("namespace")
        say(f"  enough would be: {role['kind']}{f' in {place}' if place else ''}")
        for rule in role["rules"]:
            say(f"    {rule_text(Rule.of(rule))}")
    say("  with it alone everything in the log is allowed" if entry["covered"] else "  NOT everything would be allowed")
