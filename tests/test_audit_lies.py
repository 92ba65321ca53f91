"""An audit behind a proxy that lies: exactly the cells that it lied about fail, and nothing secret is written."""

from __future__ import annotations

import base64
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import orjson
import pytest
from audits import RBAC, SEED, Audited, audit, masked, unpacked
from faultproxy import Answered, Asked, before

from conformance import store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from conformance.model import Cluster

pytestmark = pytest.mark.server

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
SOME = 'endpoint(scope="own") or endpoint(scope="cluster")'
WHO = ("cluster-admin", "admin", "view", "deployer", "cluster-reader", "anonymous")
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


def allows(rules: Any, group: str, plural: str, verb: str, path: str) -> bool:
    """RBAC in a few lines, for names that nobody has: no resourceNames ever match."""
    sub = plural.partition("/")[2]
    for rule in rules or ():
        if not {"*", verb} & set(rule["verbs"]):
            continue
        if path:
            urls = rule.get("nonResourceURLs") or ()
            if any(url in {"*", path} or (url.endswith("*") and path.startswith(url.rstrip("*"))) for url in urls):
                return True
        elif not rule.get("resourceNames") and {"*", group} & set(rule.get("apiGroups") or ()):
            wanted = {"*", plural} | ({f"*/{sub}"} if sub else set())
            if wanted & set(rule.get("resources") or ()):
                return True
    return False


@dataclass
class Rulebook:
    """The rules of a snapshot by (kind, namespace, name), and who is bound to them."""

    roles: dict[tuple[str, str, str], Any]
    bindings: list[tuple[str, Any, list[Any]]]  # namespace, roleRef, subjects

    @staticmethod
    def of(rbac: Any) -> Rulebook:
        kinds = {"ClusterRole": rbac.cluster_roles, "Role": rbac.roles}
        roles = {
            (kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]): item.get("rules") or []
            for kind, items in kinds.items()
            for item in items
        }
        bindings = [
            (item["metadata"].get("namespace", ""), item["roleRef"], item.get("subjects") or [])
            for item in (*rbac.cluster_role_bindings, *rbac.role_bindings)
        ]
        return Rulebook(roles, bindings)

    def allowed(self, who: Any, endpoint: Any) -> bool:
        if "system:masters" in who["groups"]:
            return True
        at = {"own": "{own}", "other": "{other}"}.get(endpoint["scope"], "")
        sub = f"/{endpoint['subresource']}" if endpoint["subresource"] else ""
        for namespace, ref, subjects in self.bindings:
            if namespace not in {"", at} or (endpoint["path"] and namespace):
                continue
            names = {(s["kind"], s.get("namespace") or namespace, s["name"]) for s in subjects}
            mine = {("User", n, who["user"]) for n in ("", namespace)}
            mine |= {("Group", n, group) for n in ("", namespace) for group in who["groups"]}
            if who["user"].startswith("system:serviceaccount:"):
                mine.add(("ServiceAccount", *who["user"].split(":")[2:]))
            if names & mine:
                rules = self.roles.get((ref["kind"], namespace if ref["kind"] == "Role" else "", ref["name"]))
                asked = endpoint["group"], f"{endpoint['resource']}{sub}", endpoint["verb"], endpoint["path"]
                if allows(rules, *asked):
                    return True
        return False


@dataclass
class Liar:
    """Flips chosen answers on their way; notes what it did, and the credentials that it saw."""

    users: dict[str, str]  # masked user -> identity
    reviews: set[tuple[str, str]] = field(default_factory=set)  # (identity, what is asked)
    statuses: set[tuple[str, str, str]] = field(default_factory=set)  # (identity, method, masked target)
    denials: dict[tuple[str, str, str], str] = field(default_factory=dict)  # what a 403 would say after the user
    rules: dict[tuple[str, str, str], Any] = field(default_factory=dict)  # role -> the rules that are told instead
    done: Counter[str] = field(default_factory=Counter)
    tokens: set[str] = field(default_factory=set)
    flipped: set[tuple[str, str, str]] = field(default_factory=set)  # of the statuses

    def __call__(self, asked: Asked, answered: Answered) -> Answered | None:
        headers = {name.lower(): value for name, value in asked.headers}
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if bearer:
            self.tokens.add(bearer)
        path = unquote(urlsplit(asked.target).path)
        if path == REVIEWS and answered.status == 201:
            return self._review(asked, answered)
        user = headers.get("impersonate-user") or asked.user or _subject(bearer)
        identity = self.users.get(masked(user), "")
        target = masked(unquote(asked.target))
        key = identity, asked.method, target
        if identity and key in self.statuses:  # first: a probe may list roles, too
            return self._status(key, user, answered)
        if (
            path.startswith(RBAC)
            and path.rpartition("/")[2] in {"roles", "clusterroles"}
            and b"List" in answered.body[:40]
        ):
            return self._list(answered)
        return None

    def _review(self, asked: Asked, answered: Answered) -> Answered | None:
        spec = orjson.loads(asked.body)["spec"]
        key = self.users.get(masked(spec["user"]), ""), what_of(spec)
        if key not in self.reviews:
            return None
        self.done["review"] += 1
        document = orjson.loads(answered.body)
        allowed = not document["status"]["allowed"]
        document["status"] = {"allowed": allowed, "reason": "RBAC: allowed by a lie" if allowed else ""}
        return answered._replace(body=orjson.dumps(document))

    def _list(self, answered: Answered) -> Answered | None:
        document = orjson.loads(answered.body)
        kind = document["kind"].removesuffix("List")
        for item in document.get("items") or ():
            key = kind, masked(item["metadata"].get("namespace", "")), masked(item["metadata"]["name"])
            if key in self.rules:
                self.done["rules"] += 1
                item["rules"] = orjson.loads(masked(orjson.dumps(self.rules[key]).decode()))
        return answered._replace(body=orjson.dumps(document))

    def _status(self, key: tuple[str, str, str], user: str, answered: Answered) -> Answered:
        self.done["status"] += 1
        self.flipped.add(key)
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        if answered.status == 403:
            status |= {"code": "404", "reason": "NotFound", "message": "it is not there"}
            return answered._replace(status=404, body=orjson.dumps(status))
        status |= {"reason": "Forbidden", "message": f'x is forbidden: User "{user}" cannot {self.denials[key]}'}
        kept = tuple(header for header in answered.headers if header[0].lower() == "audit-id")
        return Answered(403, kept, orjson.dumps(status))


def _subject(token: str) -> str:
    parts = token.split(".")
    if len(parts) != 3:
        return "" if token else "system:anonymous"
    return str(orjson.loads(base64.urlsafe_b64decode(parts[1] + "=="))["sub"])


def what_of(spec: Any) -> str:
    asked = spec.get("resourceAttributes") or spec.get("nonResourceAttributes")
    return masked(json.dumps({key: value for key, value in asked.items() if value}, sort_keys=True))


def what(row: store.StoredRow) -> str:
    a = row.row.attributes
    fields = ("verb", "group", "version", "resource", "subresource", "namespace", "name", "path")
    return json.dumps({name: found for name in fields if (found := getattr(a, name))}, sort_keys=True)


def denied_words(endpoint: Any) -> str:
    if endpoint["path"]:
        return f'{endpoint["verb"]} path "{endpoint["path"]}"'
    sub = f"/{endpoint['subresource']}" if endpoint["subresource"] else ""
    return f'{endpoint["verb"]} resource "{endpoint["resource"]}{sub}" in API group "{endpoint["group"]}"'


def lying_rules(book: Rulebook, bound: set[tuple[str, str, str]], chance: random.Random) -> dict[Any, Any]:
    """Choose 50 rules, half of them of roles that somebody is bound to; drop them, or let them grant a verb more.

    None that speaks of namespaces: bound in a namespace it grants that one by name, of which allows() knows nothing.
    """
    places = [
        (role, n)
        for role, rules in sorted(book.roles.items())
        for n, rule in enumerate(rules)
        if not rule.get("resourceNames")
        and not any(plural.partition("/")[0] in {"namespaces", "*"} for plural in rule.get("resources") or ())
    ]
    near = [place for place in places if place[0] in bound]
    far = [place for place in places if place[0] not in bound]
    told: dict[Any, Any] = {}
    for role, number in (*chance.sample(near, 25), *chance.sample(far, 25)):
        rules = told.setdefault(role, [dict(rule) for rule in book.roles[role]])
        held = rules[number]["verbs"]
        more = [
            verb for verb in VERBS if verb not in held and "*" not in held and not rules[number].get("nonResourceURLs")
        ]
        rules[number]["verbs"] = [*held, chance.choice(more)] if more and chance.random() < 0.5 else []
    return told


def test_exactly_the_cells_that_were_lied_about_fail(audited: Audited, cluster: Cluster, tmp_path: Path) -> None:
    matrix = audited.matrix()
    chance = random.Random(SEED)  # noqa: S311  # to be had again
    sys.stdout.write(f"KUBE_CONFORMANCE_SEED={SEED}\n")
    saved = store.SavedRun(audited.directory)
    book = Rulebook.of(saved.snapshot.rbac)
    identities = {one["name"]: one for one in matrix["identities"] if one["name"] in WHO}
    endpoints = {e["id"]: e for e in matrix["endpoints"] if e["scope"] in {"own", "cluster"}}
    rows = {row.row.id: row for row in saved.rows()}
    liar = Liar({one["user"]: one["name"] for one in identities.values()})

    bound = {
        (ref["kind"], namespace if ref["kind"] == "Role" else "", ref["name"])
        for namespace, ref, subjects in book.bindings
        for one in identities.values()
        if any(s["name"] == one["name"] or s["name"] in one["groups"] for s in subjects)
    }
    liar.rules = lying_rules(book, {role for role in bound if role in book.roles}, chance)
    told = Rulebook({**book.roles, **liar.rules}, book.bindings)

    def turned(rows: Iterable[Any]) -> set[tuple[str, str]]:
        """Give the cells of these rows that the lying rules decide otherwise."""
        return {
            (e["id"], one["name"])
            for one in identities.values()
            for e in rows
            if book.allowed(one, e) is not told.allowed(one, e)
        }

    by_rules = turned(endpoints.values())

    cells = [
        cell
        for cell in matrix["cells"]
        if cell["identity"] in WHO
        and cell["endpoint"] in endpoints
        and {cell["request"], cell["review"], cell["rules"]} in ({"allowed"}, {"denied"})
        and not cell["names"]
        and (cell["endpoint"], cell["identity"]) not in by_rules
    ]
    # What asks the same is flipped for all who ask it: rows that share a question are left out.
    times = Counter((cell["identity"], what(rows[cell["endpoint"]])) for cell in cells)
    cells = [cell for cell in cells if times[cell["identity"], what(rows[cell["endpoint"]])] == 1]
    for_review, for_status = (
        chance.sample([c for c in cells if c["request"] == kind], 50) for kind in ("allowed", "denied")
    )
    chosen = for_review + for_status
    chance.shuffle(chosen)
    for_review, for_status = chosen[:50], chosen[50:]
    liar.reviews = {(cell["identity"], what(rows[cell["endpoint"]])) for cell in for_review}
    for cell in for_status:
        request = rows[cell["endpoint"]].row.request
        assert request is not None
        query = "&".join(f"{name}={value}" for name, value in request.query)
        key = cell["identity"], request.method, f"{request.path}?{query}" if query else request.path
        liar.statuses.add(key)
        liar.denials[key] = denied_words(endpoints[cell["endpoint"]])

    with before(cluster, liar) as behind:
        lied = audit(behind, tmp_path, *(f"--identity={name}" for name in WHO), "--", "-m", SOME)
    assert lied.code == 1, lied.output[-3000:]
    found = lied.matrix()
    # Rows that only a rule names are gone with its rule, and nothing of them could be flipped.
    there = {endpoint["id"] for endpoint in found["endpoints"]}
    for_review, for_status = ([c for c in some if c["endpoint"] in there] for some in (for_review, for_status))
    assert liar.statuses - liar.flipped == set()
    assert (liar.done["review"], liar.done["status"]) == (len(for_review), len(for_status))
    assert min(len(for_review), len(for_status)) >= 40
    # And a lie can name a right that no rule named before: a row more.
    expected = turned(found["endpoints"]) | {(c["endpoint"], c["identity"]) for c in (*for_review, *for_status)}
    failed = {(cell["endpoint"], cell["identity"]) for cell in found["cells"] if cell["verdict"] == "fail"}
    assert failed == expected
    assert len(by_rules) >= 10
    assert {cell["verdict"] for cell in found["cells"]} <= {"pass", "fail"}

    assert len(liar.tokens) >= 3
    secret = [token.encode() for token in liar.tokens]
    for file in lied.directory.iterdir():
        content = unpacked(file)
        assert not [token for token in secret if token in content or token[-40:] in content], file
        assert b"PRIVATE KEY" not in content
