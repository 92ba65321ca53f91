"""Tries every kind of escalation step as every identity of a fixture, on a real server, and predicts the same.

What is tried does not depend on what was predicted: each identity tries each kind towards each target.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import yaml

from conformance import snapshot
from conformance.rbac import escalation_bodies as bodies
from conformance.rbac import escalation_trials as trials
from conformance.rbac.escalation import Graph
from conformance.rbac.escalation_kinds import CERTIFICATES, KINDS, RBAC, WORKLOADS
from conformance.rbac.escalation_paths import Paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Access, Json, Request, Response
    from conformance.rbac.escalation import Edge
    from conformance.transport import Client

FIXTURE = Path(__file__).parent / "corpus" / "escalation" / "identities.yaml"
API = f"/apis/{RBAC}/v1"
PATIENCE = 60.0
# Who may act as somebody in everything may do so for single verbs.
STRONGER = {
    "constrained-user": "impersonate-user",
    "constrained-serviceaccount": "impersonate-serviceaccount",
    "constrained-node": "impersonate-user",
}


@dataclass(frozen=True, slots=True)
class Tried:
    """A step that somebody tries: towards whom or what, in which namespace."""

    kind: str
    namespace: str = ""
    target: str = ""
    there: trials.There = field(default_factory=trials.There)
    more: tuple[trials.There, ...] = ()  # other things that will do as well


@dataclass(slots=True)
class Stage:
    """The fixture on a server: two namespaces, what is there to be used, and everybody's token."""

    client: Client
    run: str
    tokens: dict[str, str] = field(default_factory=dict)
    held: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # (kind, name) of the roles of each
    made: list[str] = field(default_factory=list)
    objects: dict[tuple[str, str], Json] = field(default_factory=dict)

    def place(self, letter: str) -> str:
        return f"esc-{letter}-{self.run}"

    @property
    def big(self) -> str:
        return f"esc-big-{self.run}"

    @property
    def hook(self) -> str:
        return f"esc-hook-{self.run}"

    # --- making -------------------------------------------------------------------------------------------------------

    def create(self, path: str, body: Json) -> Json:
        response = self.client.ask("POST", path, body=body)
        assert response.status in {200, 201}, (path, response.status, response.body[:400])
        found: Json = orjson.loads(response.body)
        if body.get("kind") != "TokenRequest" and "/namespaces/" not in path:
            self.made.append(f"{path}/{found['metadata']['name']}")
        return found

    def lay(self) -> None:
        for letter in "ab":
            self._lay_namespace(self.place(letter))
        # What nobody of the fixture holds, so that to bind it or to add it needs more than the verb.
        rule = [{"apiGroups": ["example.org"], "resources": ["widgets"], "verbs": ["get"]}]
        self.create(f"{API}/clusterroles", {"metadata": {"name": self.big}, "rules": rule})
        self._keep(
            f"clusterrolebindings.{RBAC}",
            "",
            self._bind("", self.big, ("ClusterRole", self.big), {"kind": "User", "name": "nobody"}),
        )
        for signer in ("kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet"):
            body = bodies.certificate_request(f"esc-{signer.rpartition('-')[2]}-{self.run}", signer)
            path = bodies.collection(f"certificatesigningrequests.{CERTIFICATES}", "")
            self.objects[f"certificatesigningrequests.{CERTIFICATES}", signer] = self.create(path, body)
        selector = {"matchLabels": {"kube-conformance/trial": "true"}}
        self.create(
            f"{API}/clusterroles",
            {
                "metadata": {"name": f"esc-collector-{self.run}"},
                "aggregationRule": {"clusterRoleSelectors": [selector]},
            },
        )
        for kind, resource in trials.ADMISSION_RESOURCES.items():
            body = bodies.admission(kind, self.hook)
            self.objects[resource, ""] = self.create(bodies.collection(resource, ""), body)
        for name, lines in yaml.safe_load(FIXTURE.read_text("utf-8")).items():
            self._identity(name, lines)
        self._await()

    def _lay_namespace(self, place: str) -> None:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"} if place == self.place("b") else {}
        self.create("/api/v1/namespaces", {"metadata": {"name": place, "labels": labels}})
        core = f"/api/v1/namespaces/{place}"
        for account in ("target", "other"):
            self.create(f"{core}/serviceaccounts", {"metadata": {"name": account}})
        note = {"kubernetes.io/service-account.name": "target"}
        held = {"metadata": {"name": "held", "annotations": note}, "type": "kubernetes.io/service-account-token"}
        self._keep("secrets", place, self.create(f"{core}/secrets", held))
        self.create(f"{core}/secrets", {"metadata": {"name": "plain"}})
        until(lambda: self.client.ask("GET", f"{core}/serviceaccounts/default").status == 200)
        for resource in WORKLOADS:
            body = bodies.workload(resource, "one", "other")
            self._keep(resource, place, self.create(bodies.collection(resource, place), body))
        rule = [{"apiGroups": ["example.org"], "resources": ["widgets"], "verbs": ["list"]}]
        self.create(f"{API}/namespaces/{place}/roles", {"metadata": {"name": self.big}, "rules": rule})
        self._keep(
            f"rolebindings.{RBAC}",
            place,
            self._bind(place, self.big, ("ClusterRole", "view"), {"kind": "User", "name": "nobody"}),
        )
        bound = self._bind(place, f"{self.big}-r", ("Role", self.big), {"kind": "User", "name": "nobody"})
        self._keep(f"rolebindings.{RBAC}/role", place, bound)

    def _keep(self, resource: str, place: str, body: Json) -> None:
        self.objects[resource, place] = body

    def _bind(self, place: str, name: str, role: tuple[str, str], subject: Json) -> Json:
        subject = {"apiGroup": RBAC, **subject} if subject["kind"] != "ServiceAccount" else subject
        body = {
            "metadata": {"name": name},
            "subjects": [subject],
            "roleRef": {"apiGroup": RBAC, "kind": role[0], "name": role[1]},
        }
        return self.create(f"{API}/namespaces/{place}/rolebindings" if place else f"{API}/clusterrolebindings", body)

    def _identity(self, name: str, lines: list[str]) -> None:
        account = f"esc-{name}"
        home = self.place("a")
        self.create(f"/api/v1/namespaces/{home}/serviceaccounts", {"metadata": {"name": account}})
        token = self.create(
            f"/api/v1/namespaces/{home}/serviceaccounts/{account}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}},
        )
        self.tokens[name] = token["status"]["token"]
        self.held[name] = []
        subject = {"kind": "ServiceAccount", "namespace": home, "name": account}
        for number, line in enumerate(lines, 1):
            own = f"esc-{name}-{number}-{self.run}"
            if line == "collect":
                self._bind("", own, ("ClusterRole", f"esc-collector-{self.run}"), subject)
                self.held[name].append(("ClusterRole", f"esc-collector-{self.run}"))
                continue
            verbs, resources, place, *names = line.split()
            rule: Json = {"verbs": verbs.split(",")}
            rule["apiGroups"] = sorted({group(it) for it in resources.split(",")})
            rule["resources"] = [plural(it) for it in resources.split(",")]
            if names:
                first = f"esc-{name}-1-{self.run}"
                known = {"{1}": first, "{big}": self.big, "{hook}": self.hook, "{a}": self.place("a")}
                named = names[0]
                for placeholder, name_there in known.items():
                    named = named.replace(placeholder, name_there)
                rule["resourceNames"] = [named]
            kind = "Role" if place in {"a", "b"} else "ClusterRole"
            space = "" if place == "wide" else self.place(place[-1])
            path = f"{API}/namespaces/{space}/roles" if kind == "Role" else f"{API}/clusterroles"
            self.create(path, {"metadata": {"name": own}, "rules": [rule]})
            self._bind(space, own, (kind, own), subject)
            self.held[name].append((kind, own))

    def _await(self) -> None:
        """Wait until the authorizer knows the last of them."""
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{self.place('a')}:esc-resource-star",
                "resourceAttributes": {"verb": "create", "resource": "anything"},
            },
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        until(lambda: orjson.loads(self.client.ask("POST", path, body=body).body)["status"]["allowed"])

    def clear(self) -> None:
        for path in reversed(self.made):
            self.client.ask("DELETE", path)

    # --- trying -------------------------------------------------------------------------------------------------------

    def every(self, name: str) -> Iterator[Tried]:
        """Give everything that one identity tries."""
        spaces = (self.place("a"), self.place("b"))
        there = trials.There(objects=self.objects, name="kc-new", account="other", user="kc-victim")
        named = replace(there, name="kc-named", absent="kc-node")
        for kind in KINDS:
            match kind.becomes:
                case "account":
                    yield from (Tried(kind.id, it, who, there) for it in spaces for who in ("target", "other"))
                case "accounts":
                    yield from (Tried(kind.id, it, "", there, (named,)) for it in spaces)
                case "user":
                    targets = ("kc-victim", "kc-somebody")
                    yield from (Tried(kind.id, it, who, there) for it in spaces for who in targets)
                case "group":
                    accounts = tuple(f"system:serviceaccount:{it}:target" for it in spaces)
                    more = tuple(replace(there, user=it) for it in ("kc-somebody", *accounts))
                    yield from (Tried(kind.id, "", who, there, more) for who in ("kc-victims", "system:masters"))
                case "node" if kind.namespaced:
                    yield from (Tried(kind.id, it, "", there, (named,)) for it in spaces)
                case "self-role":
                    yield from self._self_roles(kind.id, name, there)
                case "role":
                    yield from self._roles(kind.id, there)
                case _:
                    target = {"impersonate-uid": "0", "impersonate-extra": "all"}.get(kind.id, "")
                    yield Tried(kind.id, "", target, there, (named,))

    def _roles(self, kind: str, there: trials.There) -> Iterator[Tried]:
        named = replace(there, name="kc-named")
        wide = kind in {"bind-cluster", "change-clusterrolebinding"}
        roles = [("ClusterRole", "cluster-admin"), ("ClusterRole", self.big)]
        if kind == "bind-role":
            roles = [("Role", self.big)]
        elif kind == "change-clusterrolebinding":
            roles = [("ClusterRole", self.big)]
        elif kind == "change-rolebinding-role":
            roles = [("Role", self.big)]
        elif kind == "change-rolebinding":
            roles = [("ClusterRole", "view")]
        for role in roles:
            for place in ("",) if wide else (self.place("a"), self.place("b")):
                yield Tried(kind, place, role[1], replace(there, role=role), (replace(named, role=role),))

    def _self_roles(self, kind: str, name: str, there: trials.There) -> Iterator[Tried]:
        wanted = "Role" if kind == "escalate-role" else "ClusterRole"
        for place in (self.place("a"), self.place("b")) if wanted == "Role" else ("",):
            some = []
            for role_kind, role in self.held[name]:
                path = f"{API}/namespaces/{place}/roles" if wanted == "Role" else f"{API}/clusterroles"
                if role_kind != wanted or (kind == "aggregate" and "collector" not in role):
                    continue
                found = self.client.ask("GET", f"{path}/{role}")
                if found.status != 200:
                    continue  # it is one of the other namespace
                objects = {**self.objects, (f"{wanted.lower()}s.{RBAC}", place): orjson.loads(found.body)}
                some += [replace(there, role=(wanted, role), objects=objects, name=it) for it in ("kc-new", "kc-named")]
            if some:
                yield Tried(kind, place, "", some[0], tuple(some[1:]))

    def happens(self, name: str, tried: Tried, client: Client) -> tuple[bool, str]:
        """Try it by every way; say whether one of them was accepted whole, and the last refusal."""
        user = f"system:serviceaccount:{self.place('a')}:esc-{name}"
        refusals = []
        for there in (tried.there, *tried.more):
            for attempt in trials.attempts(tried.kind, tried.namespace, tried.target, there):
                refusal = next((said for it in attempt if (said := refused(client, it, user))), "")
                if not refusal:
                    return True, ""
                refusals.append(refusal)
        return False, "; ".join(refusals) or "there is no way to try it"

    def expected(self, paths: Paths, name: str, tried: Tried) -> bool:
        """Say whether the graph has such a step."""
        actor = ("User", f"system:serviceaccount:{self.place('a')}:esc-{name}")
        if paths.graph.is_admin(actor):
            return True
        return any(
            edge.kind.id in {tried.kind, STRONGER.get(tried.kind)}
            and (edge.where in {"", tried.namespace} or edge.kind.becomes == "group")
            and self._fits(edge, tried)
            for edge in paths.edges_of(actor)
        )

    def _fits(self, edge: Edge, tried: Tried) -> bool:
        if edge.names is not None and edge.kind.becomes != "self-role" and tried.target not in edge.names:
            return False
        used = self._used(tried)
        return edge.among is None or not used or bool(edge.among & used)

    def _used(self, tried: Tried) -> set[str]:
        """Name the objects that a trial uses and that have to be there."""
        kind = tried.kind
        if kind in trials.ADMISSION_RESOURCES:
            return {self.hook}
        if kind == "change-rolebinding-role":
            return {f"{self.big}-r"}
        if kind in {"exec", "attach", "ephemeral-containers"} or kind.startswith("change-"):
            return {self.big} if kind.endswith("binding") else {"one"}
        return {"held"} if kind == "read-secrets" else set()


def refused(client: Client, request: Request, user: str) -> str:
    """Send a request of a trial; say why it was refused, empty when it was not."""
    response = client.send(request)
    message = said(response)
    if response.status in {401, 403}:
        # Who is refused as the one that they impersonate does impersonate them.
        other = 'User "' in message and f'User "{user}"' not in message and "cannot impersonate" not in message
        return "" if other and any(name == "Impersonate-User" for name, _ in request.headers) else message
    assert response.status < 500 or "pods/one" in request.path, (request, response.status, message)
    assert response.status != 422, (request, message)
    return "" if response.status != 400 or "/pods/one/" in request.path else message


def said(response: Response) -> str:
    try:
        return str(orjson.loads(response.body).get("message", ""))
    except orjson.JSONDecodeError:
        return response.body[:200].decode("utf-8", "replace")


def until(done: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)


def group(text: str) -> str:
    return text.partition("/")[0].partition(".")[2]


def plural(text: str) -> str:
    name, slash, subresource = text.partition("/")
    return name.partition(".")[0] + slash + subresource


def graph_of(client: Client) -> Paths:
    return Paths(Graph(snapshot.reread_rbac(client)))


def as_token(access: Access, token: str) -> Access:
    return replace(access, certificate=None, key=None, token=token)
