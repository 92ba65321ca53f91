"""What the server's audit log says that somebody did, and the smallest roles that would have let them.

A log is JSON lines, plain or gzip, one file or a folder of them. Only what was authorised counts. The roles are exact:
without any one of their verbs something in the log would have been refused; `replay` proves the other half.
"""

from __future__ import annotations

import gzip
import zlib
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from conformance.errors import FileError, UsageError
from conformance.model import Answer, Attributes, Identity, Rbac
from conformance.oracles.rules import Rules
from conformance.rbac.escalation import subject
from conformance.rbac.escalation_rights import account
from conformance.rbac.predicates import rule_allows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from conformance.model import Json
    from conformance.oracles.rules import Grant

_GROUP = "rbac.authorization.k8s.io"
_REFUSED = frozenset({401, 403})
_CREATED = 201
_GZIP = b"\x1f\x8b"
NAMELESS = frozenset({"create", "deletecollection"})
_Things = dict[tuple[str, str], dict[str, set[str]]]  # (group, plural) -> verb -> names
NAMES_AT_MOST = 20  # of one rule; with more, one for all names is what a person would write


@dataclass(slots=True)
class Used:
    """What one subject did: each thing once, with how often; and the groups that the server saw."""

    groups: set[str] = field(default_factory=set)
    times: dict[Attributes, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(slots=True)
class Log:
    """A log: what each user did, how many requests it holds, and how many lines of it could not be read."""

    users: dict[str, Used] = field(default_factory=lambda: defaultdict(Used))
    events: int = 0
    unread: int = 0


def read(path: Path) -> Log:
    """Read a file, or each file of a folder."""
    log = Log()
    if not path.exists():
        raise UsageError(f"{path}: there is no such audit log")
    files = sorted(it for it in path.rglob("*") if it.is_file()) if path.is_dir() else [path]
    for file in files:
        seen: set[tuple[str, str]] = set()
        try:
            with file.open("rb") as raw:
                for line in _lines(raw):
                    _take(line, log, seen)
        except (OSError, zlib.error) as problem:
            raise FileError(file, None, f"cannot be read: {problem}") from None
    if not log.events:
        raise FileError(path, None, "holds no event of audit.k8s.io: a log of JSON lines is wanted")
    return log


def _lines(raw: IO[bytes]) -> Iterator[bytes]:
    packed = raw.read(len(_GZIP)) == _GZIP
    raw.seek(0)
    if not packed:
        yield from raw
        return
    try:
        with gzip.open(raw) as unpacked:
            yield from unpacked
    except EOFError:
        return  # it is still being written


def _take(line: bytes, log: Log, seen: set[tuple[str, str]]) -> None:
    if not line.strip():
        return
    try:
        event = orjson.loads(line)
        if event["kind"] != "Event" or event["stage"] == "RequestReceived":
            return
        key = event["auditID"], event["user"]["username"]
    except (ValueError, KeyError, TypeError):
        log.unread += 1
        return
    if key in seen:
        return  # a watch is told of twice
    seen.add(key)
    log.events += 1
    if not _was_authorised(event):
        return
    asked = event["user"]
    as_whom = event.get("impersonatedUser") or asked
    if as_whom is not asked:
        for attributes in _impersonation(as_whom):
            _note(log, asked, attributes)
    attributes = attributes_of(event)
    _note(log, as_whom, attributes)
    if (second := _also_created(event, attributes)) is not None:
        _note(log, as_whom, second)


def _note(log: Log, user: Json, attributes: Attributes) -> None:
    used = log.users[str(user.get("username", ""))]
    used.groups.update(user.get("groups") or ())
    used.times[attributes] += 1


def _also_created(event: Json, attributes: Attributes) -> Attributes | None:
    """Give the second right that a request took: to create, for an update or patch of what was not there."""
    created = (event.get("responseStatus") or {}).get("code") == _CREATED
    return replace(attributes, verb="create") if created and attributes.verb in {"update", "patch"} else None


def _was_authorised(event: Json) -> bool:
    decision = (event.get("annotations") or {}).get("authorization.k8s.io/decision")
    if decision is not None:
        return bool(decision == "allow")
    return (event.get("responseStatus") or {}).get("code") not in _REFUSED


def _impersonation(user: Json) -> Iterator[Attributes]:
    name = str(user.get("username", ""))
    found = account(("User", name))
    if found:
        yield Attributes("impersonate", "", "", "serviceaccounts", "", found[0], found[1])
    else:
        yield Attributes("impersonate", "", "", "users", "", "", name)
    added = {"system:authenticated"} | (
        {it for it in user.get("groups") or () if "serviceaccounts" in it} if found else set()
    )
    for group in sorted(set(user.get("groups") or ()) - added):
        yield Attributes("impersonate", "", "", "groups", "", "", group)


def attributes_of(event: Json) -> Attributes:
    """Give what the authorizer was asked."""
    verb, what = str(event["verb"]), event.get("objectRef")
    if not what or not what.get("resource"):
        return Attributes(verb, path=urlsplit(str(event.get("requestURI", ""))).path)
    subresource = what.get("subresource", "")
    # The log has the name of what was created, which the authorizer did not.
    name = "" if verb in NAMELESS and not subresource else what.get("name", "")
    namespace = what.get("namespace", "")
    return Attributes(verb, what.get("apiGroup", ""), "", what["resource"], subresource, namespace, name)


# --- what was granted and not used ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unused:
    """A rule that somebody has: what of it they never used. `whole` when they used nothing of it."""

    grant: Grant
    whole: bool
    never: tuple[str, ...]


def unused(rules: Rules, identity: Identity, used: Used) -> list[Unused]:
    """Compare what somebody was granted with what they did."""
    found = []
    for grant in rules.grants(identity):
        here = [it for it in used.times if grant.namespace in {"", it.namespace} and rule_allows(it, grant.rule)]
        verbs = {it.verb for it in here}
        things = {f"{it.resource}/{it.subresource}" if it.subresource else it.resource for it in here}
        never = [f"verb {it}" for it in grant.rule.verbs if it not in verbs and it != "*"]
        never += [f"resource {it}" for it in grant.rule.resources if it not in things and "*" not in it]
        never += [f"name {it}" for it in grant.rule.resource_names if it not in {each.name for each in here}]
        if "*" in grant.rule.verbs:
            never.append(f"all verbs but {', '.join(sorted(verbs))}" if here else "verb *")
        if "*" in grant.rule.resources:
            never.append(f"all resources but {', '.join(sorted(things))}" if here else "resource *")
        if never or not here:
            found.append(Unused(grant, not here, tuple(never)))
    return found


# --- the smallest roles -----------------------------------------------------------------------------------------------


def smallest(user: str, used: Used, *, names: bool = False) -> Rbac:
    """Make the roles that cover what somebody did, and their bindings: one for each namespace, one for the rest."""
    places: dict[str, _Things] = defaultdict(lambda: defaultdict(dict))
    paths: dict[str, set[str]] = defaultdict(set)
    for it in used.times:
        if it.path:
            paths[it.path].add(it.verb)
            continue
        plural = f"{it.resource}/{it.subresource}" if it.subresource else it.resource
        places[it.namespace][it.group, plural].setdefault(it.verb, set()).add(it.name)
    wide = places.pop("", {})
    near = {namespace: left for namespace, things in places.items() if (left := _beside(things, wide, names=names))}
    name = _name(user)
    roles: list[Json] = []
    bindings: list[Json] = []
    near_roles: list[Json] = []
    near_bindings: list[Json] = []
    rules = _rules(wide, names=names)
    rules += [{"verbs": sorted(verbs), "nonResourceURLs": [path]} for path, verbs in sorted(paths.items())]
    if rules:
        roles.append(_object("ClusterRole", name, "", rules=rules))
        bindings.append(_binding("ClusterRole", name, "", user))
    for namespace in sorted(near):
        near_roles.append(_object("Role", name, namespace, rules=_rules(near[namespace], names=names)))
        near_bindings.append(_binding("Role", name, namespace, user))
    return Rbac(tuple(roles), tuple(bindings), tuple(near_roles), tuple(near_bindings))


def _beside(things: _Things, wide: _Things, *, names: bool) -> _Things:
    """Leave out what the whole cluster's role covers already."""
    left: _Things = {}
    for key, verbs in things.items():
        covered = {verb for verb, there in wide.get(key, {}).items() if not names or "" in there}
        if kept := {verb: found for verb, found in verbs.items() if verb not in covered}:
            left[key] = kept
    return left


def _rules(things: _Things, *, names: bool) -> list[Json]:
    """Write rules: resources of one group with the same verbs (and names) stand in one."""
    together: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, plural), verbs in sorted(things.items()):
        by_names: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for verb, found in verbs.items():
            limited = names and "" not in found and len(found) <= NAMES_AT_MOST
            by_names[tuple(sorted(found)) if limited else ()].append(verb)
        for named, listed in by_names.items():
            together[group, tuple(sorted(listed)), named].append(plural)
    return [
        {"apiGroups": [group], "resources": resources, "verbs": [*verbs]}
        | ({"resourceNames": [*named]} if named else {})
        for (group, verbs, named), resources in sorted(together.items())
    ]


def _name(user: str) -> str:
    short = "".join(letter if letter.isascii() and (letter.isalnum() or letter in ".-") else "-" for letter in user)
    return f"least-{short.lower().strip('.-')}"[:63].rstrip(".-")


def _object(kind: str, name: str, namespace: str, **more: Any) -> Json:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": metadata, **more}


def _binding(role: str, name: str, namespace: str, user: str) -> Json:
    found = account(("User", user))
    who: Json = {"apiGroup": _GROUP, "kind": "User", "name": user}
    if found:
        who = {"kind": "ServiceAccount", "namespace": found[0], "name": found[1]}
    reference = {"apiGroup": _GROUP, "kind": role, "name": name}
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    return _object(kind, name, namespace, subjects=[who], roleRef=reference)


def replay(user: str, used: Used, roles: Rbac) -> list[Attributes]:
    """Ask the evaluator all that the log holds with these roles alone; give what would be refused."""
    rules, identity = Rules(roles), Identity(user, "log", user)
    return [it for it in used.times if rules.decide(identity, it).answer is not Answer.ALLOWED]


def chosen(log: Log, subjects: Iterable[str]) -> list[str]:
    """Give the users of these names (as reports or the log name them); without any, all but Kubernetes' own."""
    wanted = set(subjects)
    known = sorted(log.users)
    if wanted:
        found = [it for it in known if it in wanted or subject(("User", it)) in wanted]
        if not found:
            raise UsageError(f"nobody in the log is {', '.join(sorted(wanted))}; there are {', '.join(known[:12])}")
        return found
    return [it for it in known if not it.startswith("system:") or _is_theirs(it)]


def _is_theirs(user: str) -> bool:
    found = account(("User", user))
    return found is not None and found[0] != "kube-system"
