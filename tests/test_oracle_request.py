from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from conformance.engine import read_outcome
from conformance.model import Access, Answer, Attributes, Outcome
from conformance.oracles import request
from conformance.placeholders import Placeholders
from conformance.transport import Client, impersonation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cluster, Json, Response

ALLOWED, DENIED, UNKNOWN = Answer.ALLOWED, Answer.DENIED, Answer.UNKNOWN
POD = Attributes("get", "", "v1", "pods", "", "ns", "x")
EXEC = replace(POD, subresource="exec")
ROLE = Attributes("create", "rbac.authorization.k8s.io", "v1", "roles", "", "ns")
LEASE = Attributes("update", "coordination.k8s.io", "v1", "leases", "", "ns", "x")
METRICS = Attributes("get", path="/metrics")


def forbidden(message: str, **more: Any) -> Outcome:
    return Outcome(403, "Forbidden", message, "Status", **more)


def cannot(
    user: str, verb: str, plural: str, group: str = "", *, where: str = 'in the namespace "ns"', name: str = "x"
) -> str:
    said = f'User "{user}" cannot {verb} resource "{plural}" in API group "{group}" {where}'
    return f'{plural.partition("/")[0]} "{name}" is forbidden: {said}'


# --- anything but a 403 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 204, 301, 400, 404, 405, 406, 409, 410, 415, 422])
def test_any_answer_after_authorization_is_allowed(status: int) -> None:
    reading = request.read(Outcome(status, "SomeReason", "text"), POD, "alice", None)
    assert reading.decision.answer is ALLOWED
    assert reading.decision.witness.text == f"{status} SomeReason: text"
    assert reading.note == ""


@pytest.mark.parametrize(
    ("outcome", "note"),
    [
        (Outcome(0, error="connection reset", audited=False), "no answer"),
        (Outcome(500, "InternalError"), "the server answered 500"),
        (Outcome(503, "ServiceUnavailable"), "the server answered 503"),
        (Outcome(504, "Timeout"), "the server answered 504"),
        (Outcome(429, "TooManyRequests"), "the server answered 429"),
        (
            Outcome(400, "BadRequest", "requested &user.DefaultInfo{} without impersonating a user name"),
            "impersonation",
        ),
        # What did not come from the API server says nothing of it, whatever it says.
        *((Outcome(status, audited=False), "intermediary") for status in (200, 401, 403, 404, 502)),
    ],
)
def test_what_cannot_tell_is_unknown_and_says_why(outcome: Outcome, note: str) -> None:
    for reviewed in (None, ALLOWED, DENIED):
        reading = request.read(outcome, POD, "alice", reviewed)
        assert reading.decision.answer is UNKNOWN
        assert note in reading.note


@pytest.mark.parametrize(("status", "cause"), [(504, "ResourceVersionTooLarge"), (429, "DisruptionBudget")])
def test_some_causes_make_a_refusal_an_answer(status: int, cause: str) -> None:
    assert request.read(Outcome(status, causes=(cause,)), POD, "alice", None).decision.answer is ALLOWED
    assert request.read(Outcome(status, causes=("Other",)), POD, "alice", None).decision.answer is UNKNOWN


def test_a_service_without_endpoints_was_looked_for() -> None:
    absent = Outcome(503, "ServiceUnavailable", 'no endpoints available for service "{absent}"')
    proxy = Attributes("get", "", "v1", "services", "proxy", "ns", "x")
    assert request.read(absent, proxy, "alice", None).decision.answer is ALLOWED
    assert request.read(absent, POD, "alice", None).decision.answer is UNKNOWN
    assert request.read(Outcome(503, "ServiceUnavailable"), proxy, "alice", None).decision.answer is UNKNOWN


def test_401_is_denied() -> None:
    assert request.read(Outcome(401, "Unauthorized", "Unauthorized"), POD, "alice", None).decision.answer is DENIED


# --- a 403 is looked at twice -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reviewed", [None, ALLOWED, DENIED])
@pytest.mark.parametrize(
    ("message", "user", "attributes"),
    [
        (cannot("alice", "get", "pods"), "alice", POD),
        (cannot("alice", "get", "pods/log"), "alice", replace(POD, subresource="log")),
        (cannot("alice", "create", "pods/exec"), "alice", replace(EXEC, verb="create")),
        (cannot("alice", "get", "nodes", where="at the cluster scope"), "alice", Attributes("get", resource="nodes")),
        (cannot("alice", "update", "leases", LEASE.group), "alice", LEASE),
        ('forbidden: User "alice" cannot get path "/metrics"', "alice", METRICS),
        (cannot('o\'brien \\"the\\" \\\\ admin', "get", "pods"), 'o\'brien "the" \\ admin', POD),
        (cannot("Zoë", "get", "pods"), "Zoë", POD),
        (cannot("system:anonymous", "get", "pods"), "system:anonymous", POD),
        (cannot("alice", "get", "pods") + ': rbac: RBAC: role.rbac "gone" not found', "alice", POD),
        # An object can be named like a denial, but its quotes are escaped then.
        (cannot("alice", "get", "pods", name='User \\"bob\\" cannot get resource'), "alice", POD),
    ],
)
def test_a_denial_names_user_verb_and_resource(
    message: str, user: str, attributes: Attributes, reviewed: Answer | None
) -> None:
    reading = request.read(forbidden(message), attributes, user, reviewed)
    assert reading.decision.answer is DENIED
    assert not reading.second_check


SECOND_CHECKS = [
    ('pods "x" is forbidden: ', EXEC),
    ('pods "x" is forbidden: rbac: RBAC: role.rbac.authorization.k8s.io "gone" not found', EXEC),
    (cannot("alice", "create", "leases", LEASE.group), LEASE),
    (cannot("alice", "create", "leases", LEASE.group), replace(LEASE, verb="patch")),
    ('roles "x" is forbidden: user "alice" is attempting to grant RBAC permissions not currently held:\n{}', ROLE),
    ('clusterroles "x" is forbidden: must have cluster-admin privileges to use the aggregationRule', ROLE),
    ('csr "x" is forbidden: user not permitted to approve requests with signerName "a/b"', POD),
    ('csr "x" is forbidden: user not permitted to sign requests with signerName "a/b"', POD),
    ('ctb "x" is forbidden: user not permitted to attest for signerName "a/b"', POD),
]


@pytest.mark.parametrize(("message", "attributes"), SECOND_CHECKS)
@pytest.mark.parametrize("reviewed", [None, ALLOWED])
def test_a_second_check_is_told_from_the_first(message: str, attributes: Attributes, reviewed: Answer | None) -> None:
    reading = request.read(forbidden(message), attributes, "alice", reviewed)
    assert reading.decision.answer is DENIED
    assert reading.second_check


@pytest.mark.parametrize(
    ("message", "attributes"),
    [
        ('pods "x" is forbidden: ', POD),
        ('pods "x" is forbidden: ', replace(EXEC, verb="create")),
        ('pods "x" is forbidden: ', replace(EXEC, subresource="log")),
        (cannot("bob", "create", "leases", LEASE.group), LEASE),
        (cannot("alice", "create", "leases"), LEASE),
        (cannot("alice", "create", "leases", LEASE.group), replace(LEASE, verb="delete")),
        (cannot("alice", "delete", "leases", LEASE.group), LEASE),
    ],
)
def test_what_resembles_a_second_check_is_none(message: str, attributes: Attributes) -> None:
    assert not request.read(forbidden(message), attributes, "alice", ALLOWED).second_check


AFTERWARDS = [
    'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
    'configmaps "x" is forbidden: exceeded quota: q, requested: count/configmaps=1',
    'namespaces "default" is forbidden: this namespace may not be deleted',
    'nodes "b" is forbidden: node "a" is not allowed to modify node "b"',
    'pods "x" is forbidden: error looking up service account ns/gone: serviceaccount "gone" not found',
    'secrets "x" is forbidden: unable to create new content in namespace ns because it is being terminated',
    "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
    'admission webhook "guard.example.io" denied the request: not today',
    'csr "x" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed',
]


@pytest.mark.parametrize("message", AFTERWARDS)
def test_a_refusal_after_authorization_leaves_it_allowed_with_a_note(message: str) -> None:
    for reviewed in (ALLOWED, None):
        reading = request.read(forbidden(message), replace(POD, verb="create"), "alice", reviewed)
        assert reading.decision.answer is ALLOWED
        assert reading.note == f"refused after authorization: {message}"
        assert not reading.second_check
    # Where the review denies, authorization has denied, in whatever words.
    assert request.read(forbidden(message), POD, "alice", DENIED).decision.answer is DENIED


@pytest.mark.parametrize(
    "message",
    [
        cannot("proxy", "impersonate", "users", where="at the cluster scope"),
        cannot("proxy", "impersonate-on:user-info:get", "pods"),
        cannot("proxy", "impersonate:user-info", "users", "authentication.k8s.io", where="at the cluster scope"),
    ],
)
@pytest.mark.parametrize("reviewed", [None, ALLOWED, DENIED])
def test_a_refused_impersonation_says_nothing_of_who_was_to_be_asked_as(message: str, reviewed: Answer | None) -> None:
    reading = request.read(forbidden(message), POD, "bob", reviewed)
    assert reading.decision.answer is UNKNOWN
    assert reading.note == "the server refused the impersonation"


@pytest.mark.parametrize("message", ["", "go away", cannot("bob", "get", "pods"), cannot("alice", "list", "pods")])
def test_a_403_that_nobody_knows_is_held_against_the_others(message: str) -> None:
    """It stays a denial, so that a review that allows makes the cell fail: nothing is explained by not being known."""
    reading = request.read(forbidden(message), POD, "alice", ALLOWED)
    assert reading.decision.answer is DENIED
    assert not reading.second_check


# --- the words of a real server ---------------------------------------------------------------------------------------

NONE = Placeholders("no-run", "own", "other", "absent")
RBAC, CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"
MASTERS = ("system:masters",)
APPLY, MERGE = ({"Content-Type": f"application/{kind}"} for kind in ("apply-patch+yaml", "merge-patch+json"))
CONTAINER = {"containers": [{"name": "c", "image": "i"}]}
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]


@dataclass
class Place:
    """A namespace with users in it, each named after what the test is about."""

    admin: Client
    cluster: Cluster
    name: str

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.name}"

    def rbac(self, kind: str) -> str:
        return f"/apis/{RBAC}/v1/{kind}" if kind.startswith("c") else f"/apis/{RBAC}/v1/namespaces/{self.name}/{kind}"

    def make(self, path: str, **body: Any) -> Response:
        response = self.admin.ask("POST", path, body=body)
        assert response.status == 201, response.body
        return response

    def user(self, what: str, group: str, plurals: list[str], verbs: list[str], *, everywhere: bool = False) -> str:
        """Have a user with these rights, here or everywhere."""
        name, prefix = f"{self.name}-{what}", "cluster" if everywhere else ""
        rule = {"apiGroups": [group], "resources": plurals, "verbs": verbs}
        self.make(self.rbac(f"{prefix}roles"), metadata={"name": name}, rules=[rule])
        role = {"apiGroup": RBAC, "kind": "ClusterRole" if everywhere else "Role", "name": name}
        subjects = [{"apiGroup": RBAC, "kind": "User", "name": name}]
        self.make(self.rbac(f"{prefix}rolebindings"), metadata={"name": name}, roleRef=role, subjects=subjects)
        self.until_allowed(name, verbs[0], group, plurals[0])
        return name

    def until_allowed(self, user: str, verb: str, group: str, plural: str) -> None:
        resource, _, subresource = plural.partition("/")
        asked = {"verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": self.name}
        spec = {"user": user, "resourceAttributes": asked}
        for _ in range(100):
            answer = self.make("/apis/authorization.k8s.io/v1/subjectaccessreviews", spec=spec)
            if orjson.loads(answer.body)["status"]["allowed"]:
                return
        pytest.fail(f"{user} never came to be allowed")

    def ask(self, user: str, method: str, path: str, groups: tuple[str, ...] = (), **more: Any) -> Outcome:
        access = replace(self.cluster.admin, headers=impersonation(user, groups))
        query = {"dryRun": "All"} if method != "GET" else {}
        return self.through(access, method, path, query=query | more.pop("query", {}), **more)

    def through(self, access: Access, method: str, path: str, **more: Any) -> Outcome:
        with Client(access) as client:
            return read_outcome(client.ask(method, path, **more), NONE)


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Place]:
    with Client(cluster.admin) as admin:
        place = Place(admin, cluster, f"request-{uuid.uuid4().hex[:8]}")
        place.make("/api/v1/namespaces", metadata={"name": place.name})
        yield place
        for kind in ("clusterrolebindings", "clusterroles"):
            for item in admin.get_json(place.rbac(kind))["items"]:
                if item["metadata"]["name"].startswith(place.name):
                    admin.ask("DELETE", f"{place.rbac(kind)}/{item['metadata']['name']}")
        admin.ask("DELETE", f"{place.path}/pods/x", query={"gracePeriodSeconds": "0"})
        admin.ask("DELETE", place.path)


def is_second_check(outcome: Outcome, user: str, attributes: Attributes) -> bool:
    reading = request.read(outcome, attributes, user, ALLOWED)
    return reading.second_check and reading.decision.answer is DENIED


def is_afterwards(outcome: Outcome, words: str) -> bool:
    reading = request.read(outcome, replace(POD, verb="create"), "root", ALLOWED)
    return reading.decision.answer is ALLOWED and words in reading.note


@pytest.mark.server
@pytest.mark.parametrize("user", ["nobody", 'o\'brien "the" \\ admin', "Zoë-1", "a/b@c", "system:serviceaccount:x:y"])
def test_denials_of_a_real_server(place: Place, user: str) -> None:
    for path, attributes in (
        (f"{place.path}/pods/x", POD),
        (f"{place.path}/pods", replace(POD, verb="list")),
        (f"{place.path}/pods/x/log", replace(POD, subresource="log")),
        (f"/apis/coordination.k8s.io/v1/namespaces/{place.name}/leases/x", replace(LEASE, verb="get")),
        ("/api/v1/nodes/x", replace(POD, resource="nodes")),
        ("/metrics", METRICS),
    ):
        outcome = place.ask(user, "GET", path)
        reading = request.read(outcome, attributes, user, ALLOWED)
        assert reading.decision.answer is DENIED, outcome
        assert not reading.second_check
        # It is this user's, this verb's and this resource's denial: of another one it says nothing.
        assert request._DENIAL.search(outcome.message), outcome.message
        assert outcome.audited


@pytest.mark.server
def test_connections_by_get_are_checked_twice(place: Place) -> None:
    user = place.user("execer", "", ["pods/exec", "pods/attach", "pods/portforward"], ["get"])
    for sub in ("exec", "attach", "portforward"):
        outcome = place.ask(user, "GET", f"{place.path}/pods/x/{sub}")
        assert is_second_check(outcome, user, replace(POD, subresource=sub)), outcome
    role = {"apiGroup": RBAC, "kind": "Role", "name": "gone"}
    subjects = [{"apiGroup": RBAC, "kind": "User", "name": user}]
    place.make(place.rbac("rolebindings"), metadata={"name": "dangling"}, roleRef=role, subjects=subjects)
    for _ in range(100):
        outcome = place.ask(user, "GET", f"{place.path}/pods/x/exec")
        if "not found" in outcome.message:
            break
    assert is_second_check(outcome, user, EXEC), outcome
    denied = request.read(place.ask(user, "GET", f"{place.path}/pods/x"), POD, user, ALLOWED)
    assert not denied.second_check


@pytest.mark.server
def test_an_update_that_would_create_is_checked_twice(place: Place) -> None:
    user = place.user("updater", LEASE.group, ["leases"], ["update", "patch"])
    path = f"/apis/coordination.k8s.io/v1/namespaces/{place.name}/leases/x"
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "x"}}
    put = place.ask(user, "PUT", path, body=body)
    assert is_second_check(put, user, LEASE), put
    applied = place.ask(user, "PATCH", path, body=body, headers=APPLY, query={"fieldManager": "x"})
    assert is_second_check(applied, user, replace(LEASE, verb="patch")), applied
    # A probe's body has no name, its patch is a merge patch: neither asks for a create.
    for nameless in (
        place.ask(user, "PUT", path, body={"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}),
        place.ask(user, "PATCH", path, body={}, headers=MERGE),
    ):
        assert request.read(nameless, LEASE, user, None).decision.answer is ALLOWED
        assert nameless.status in {400, 404}


@pytest.mark.server
def test_granting_more_than_one_has_is_checked_twice(place: Place) -> None:
    user = place.user("granter", RBAC, ["roles", "rolebindings", "clusterroles"], ["create"], everywhere=True)
    admin = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
    selectors = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
    bodies: dict[str, Json] = {
        "roles": {"rules": EVERYTHING},
        "rolebindings": {"roleRef": admin},
        "clusterroles": {"aggregationRule": selectors},
    }
    for kind, body in bodies.items():
        outcome = place.ask(user, "POST", place.rbac(kind), body={"metadata": {"name": "x"}} | body)
        assert is_second_check(outcome, user, replace(ROLE, resource=kind)), outcome


def signing_request(organization: str) -> Json:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "x"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)]
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    pem = asked.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    data = base64.b64encode(pem.public_bytes(serialization.Encoding.PEM)).decode()
    return {"request": data, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}


@pytest.mark.server
def test_approving_and_attesting_are_checked_twice(place: Place) -> None:
    plurals = ["certificatesigningrequests", "certificatesigningrequests/approval", "clustertrustbundles"]
    user = place.user("signer", CERTIFICATES, plurals, ["create", "update"], everywhere=True)
    path = f"/apis/{CERTIFICATES}/v1/certificatesigningrequests"
    made = orjson.loads(place.make(path, metadata={"name": place.name}, spec=signing_request("dev")).body)
    condition = {"type": "Approved", "status": "True", "reason": "x", "message": "y"}
    made["status"] = {"conditions": [condition]}
    approval = place.ask(user, "PUT", f"{path}/{place.name}/approval", body=made)
    place.admin.ask("DELETE", f"{path}/{place.name}")
    assert is_second_check(approval, user, Attributes("update", CERTIFICATES, "v1", "x", "approval")), approval
    masters = {"metadata": {"name": place.name}, "spec": signing_request("system:masters")}
    assert is_afterwards(place.ask(user, "POST", path, body=masters), "system:masters group is not allowed")
    bundle = {
        "metadata": {"name": "x.io:t:x"},
        "spec": {"signerName": "x.io/t", "trustBundle": (place.cluster.admin.ca or b"").decode()},
    }
    attested = place.ask(user, "POST", f"/apis/{CERTIFICATES}/v1/clustertrustbundles", body=bundle)
    assert is_second_check(attested, user, Attributes("create", CERTIFICATES, "v1", "x")), attested


@pytest.mark.server
def test_admission_refuses_after_authorization(place: Place) -> None:
    protected = place.ask("root", "DELETE", "/api/v1/namespaces/default", MASTERS)
    assert is_afterwards(protected, "this namespace may not be deleted")
    body = {"metadata": {"name": "b"}}
    assert is_afterwards(place.ask("system:node:a", "POST", "/api/v1/nodes", ("system:nodes",), body=body), "node")
    pod = {"metadata": {"name": "y"}, "spec": CONTAINER | {"serviceAccountName": "gone"}}
    assert is_afterwards(place.ask("root", "POST", f"{place.path}/pods", MASTERS, body=pod), "service account")
    other = f"{place.name}-restricted"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    place.make("/api/v1/namespaces", metadata={"name": other, "labels": labels})
    try:
        place.make(
            f"/api/v1/namespaces/{other}/resourcequotas",
            metadata={"name": "q"},
            spec={"hard": {"pods": "9", "count/configmaps": "0"}},
        )
        body = {"metadata": {"name": "x"}}
        for _ in range(500):
            full = place.ask("root", "POST", f"/api/v1/namespaces/{other}/configmaps", MASTERS, body=body)
            if full.status != 201:  # the controller counts first what is there
                break
        assert is_afterwards(full, "quota"), full
        pod["spec"] = CONTAINER
        for _ in range(100):
            unsafe = place.ask("root", "POST", f"/api/v1/namespaces/{other}/pods", MASTERS, body=pod)
            if "service account" not in unsafe.message:  # which the controller makes in a moment
                break
        assert is_afterwards(unsafe, "violates PodSecurity"), unsafe
        # An object with a finalizer keeps a namespace in its end.
        held = {"name": "held", "finalizers": ["example.io/held"]}
        place.make(f"/api/v1/namespaces/{other}/serviceaccounts", metadata=held)
    finally:
        place.admin.ask("DELETE", f"/api/v1/namespaces/{other}")
    ended = place.ask("root", "POST", f"/api/v1/namespaces/{other}/secrets", MASTERS, body={"metadata": {"name": "x"}})
    path = f"/api/v1/namespaces/{other}/serviceaccounts/held"
    assert place.admin.ask("PATCH", path, body={"metadata": {"finalizers": None}}, headers=MERGE).status == 200
    assert is_afterwards(ended, "it is being terminated"), ended
    assert ended.causes == ("NamespaceTerminating",)


@pytest.mark.server
def test_refusals_of_handlers_are_answers(place: Place) -> None:
    late = place.ask("root", "GET", f"{place.path}/pods", MASTERS, query={"resourceVersion": "99999999999"})
    assert (late.status, late.causes) == (504, ("ResourceVersionTooLarge",))
    for _ in range(100):
        pod = {"metadata": {"name": "x", "labels": {"a": "b"}}, "spec": CONTAINER}
        if place.admin.ask("POST", f"{place.path}/pods", body=pod).status == 201:
            break
    running = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    assert place.admin.ask("PATCH", f"{place.path}/pods/x/status", body=running, headers=MERGE).status == 200
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}
    path = f"/apis/policy/v1/namespaces/{place.name}/poddisruptionbudgets"
    place.make(path, metadata={"name": "x"}, spec=budget)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "x"}}
    kept = place.ask("root", "POST", f"{place.path}/pods/x/eviction", MASTERS, body=eviction)
    assert (kept.status, kept.causes) == (429, ("DisruptionBudget",))
    proxied = place.ask("root", "GET", f"{place.path}/services/x/proxy", MASTERS)
    read = request.read(proxied, replace(POD, resource="services", subresource="proxy"), "root", None)
    assert (proxied.status, read.decision.answer) == (503, ALLOWED)
    for outcome in (late, kept):
        assert request.read(outcome, POD, "root", None).decision.answer is ALLOWED


@pytest.mark.server
def test_who_is_not_known_or_may_not_be_another_is_told_apart(place: Place) -> None:
    bare = Access(place.cluster.admin.server, place.cluster.admin.ca)
    bogus = place.through(replace(bare, token="bogus"), "GET", "/version")
    assert (bogus.status, bogus.reason, bogus.audited) == (401, "Unauthorized", True)
    grouped = replace(place.cluster.admin, headers=(("Impersonate-Group", "dev"),))
    nameless = place.through(grouped, "GET", "/version")
    assert nameless.status == 400
    for _ in range(100):
        asked = place.admin.ask("POST", f"{place.path}/serviceaccounts/default/token", body={"spec": {}})
        if asked.status == 201:
            break
    token = orjson.loads(asked.body)["status"]["token"]
    other = replace(bare, token=token, headers=impersonation('bob "x"'))
    refused = place.through(other, "GET", f"{place.path}/pods/x")
    assert "impersonate" in refused.message
    for outcome in (nameless, refused):
        assert request.read(outcome, POD, 'bob "x"', DENIED).decision.answer is UNKNOWN, outcome
    anonymous = place.through(bare, "GET", "/metrics")
    assert request.read(anonymous, METRICS, "system:anonymous", None).decision.answer is DENIED
