"""Everybody whom a binding names, as identities of an audit: `--identities discovered`.

The admin impersonates them. Who has the same rules as somebody else is not asked once more: one of each distinct set
of permissions is asked and reviewed, of the others the rules speak alone, and say so. A group is asked as a member of
it whom nobody knows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.identities import Spec
from conformance.model import Identity
from conformance.oracles.rules import Rules
from conformance.rbac.escalation import subject
from conformance.rbac.escalation_rights import account, implied_groups, principals
from conformance.rbac.node import node_name
from conformance.rbac.resolver import MASTERS, Resolver, Who

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conformance.model import Rbac
    from conformance.plan import Plan

WORD = "discovered"
KIND = "impersonate"
BEYOND = "beyond --max-requests"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom a binding names: how they are impersonated, and who of the same rights is asked instead."""

    name: str
    user: str
    groups: tuple[str, ...]
    groups_known: bool
    alike: str = ""  # empty: they are asked themselves

    @property
    def identity(self) -> Identity:
        """The column of somebody who is not asked."""
        unasked = f"{self.alike} has the same rules and is asked" if self.alike else "nobody could be asked"
        return Identity(
            self.name,
            KIND,
            self.user,
            self.groups,
            groups_known=self.groups_known,
            alike=self.alike,
            unasked=unasked,
        )


def people(rbac: Rbac, names: Sequence[str] = ()) -> tuple[Person, ...]:
    """Give everybody whom a binding names (or those of these names), the first of each set of rights to be asked."""
    rules = Rules(rbac)
    first: dict[object, str] = {}
    found = []
    named = dict.fromkeys(it for binding in Resolver(rbac).bindings() for _, it in principals(binding))
    for kind, name in sorted(named, key=subject):
        shown = subject((kind, name))
        if names and shown not in names:
            continue
        groups = tuple(sorted(implied_groups((kind, name))))
        user = name
        if kind == "Group":
            # Nobody's name, the same in each run; which member is asked makes no difference to RBAC.
            user, groups = f"kube-conformance:member:{hashlib.sha256(name.encode()).hexdigest()[:12]}", (name, *groups)
        person = Person(shown, user, groups, kind == "Group" or account((kind, name)) is not None)
        held = frozenset((it.rule, it.namespace) for it in rules.grants(Identity(shown, KIND, user, groups)))
        key = held, MASTERS in groups, node_name(Who(user, frozenset(groups)))
        asked = first.setdefault(key, shown)
        found.append(person if asked == shown else replace(person, alike=asked))
    return tuple(found)


def specs(found: Iterable[Person]) -> tuple[Spec, ...]:
    """Give those who are asked, as a file of identities would describe them."""
    made = []
    for it in found:
        if not it.alike:
            own = tuple(group for group in it.groups if not group.startswith("system:serviceaccounts"))
            settings = {"user": it.user} if account(("User", it.user)) else {"user": it.user, "groups": own}
            made.append(Spec(it.name, KIND, settings, (), "authenticated", Path(WORD), 0))
    return tuple(made)


def columns(found: Sequence[Person], confirmed: Iterable[Identity]) -> tuple[Identity, ...]:
    """Give everybody's column: as the server confirmed them who are asked, from the rules alone who are not."""
    asked = {it.name: it for it in confirmed}
    known = []
    for it in found:
        identity = asked.get(it.name)
        if identity is not None:
            known.append(replace(identity, groups_known=identity.groups_known and it.groups_known))
        else:
            there = it if it.alike in asked else replace(it, alike="")
            known.append(there.identity)
    return tuple(known)


def within(laid: Plan, at_most: int | None) -> Plan:
    """Leave as many to be asked as these requests suffice for; of the others the rules speak, and say why."""
    if at_most is None:
        return laid
    spent, left = 0, set()
    kept: dict[str, Identity] = {}
    for identity in laid.identities:
        if not identity.unasked:
            spent += sum(1 for row in laid.rows for _ in laid.of_cell(row, identity))
            if spent > at_most:
                left.add(identity.name)
        kept[identity.name] = identity
    done = (
        replace(it, alike="", unasked=BEYOND) if it.name in left or it.alike in left else it for it in kept.values()
    )
    return replace(laid, identities=tuple(done))
