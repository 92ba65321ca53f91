"""The hard cases of tests/corpus/rbac, asked of our evaluator and of a real server."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import reviews
import yaml
from policies import policies

from conformance.model import Answer, Attributes, Identity, Rbac, Request
from conformance.oracles.rules import Rules
from conformance.rbac.resolver import aggregated
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cluster, Json

CORPUS = Path(__file__).parent / "corpus" / "rbac"
FILES = sorted(CORPUS.glob("[0-9]*.yaml"))
API = "/apis/rbac.authorization.k8s.io/v1"
API_GROUP = "rbac.authorization.k8s.io"
PLURALS = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Role": "roles",
    "RoleBinding": "rolebindings",
}
DEADLINE_SECONDS = 20


def read(file: Path, run: str) -> Json:
    case: Json = yaml.safe_load(file.read_text("utf-8").replace("RUN", run))
    for item in case["objects"]:
        complete(item)
    return case


def complete(item: Json) -> None:
    item["apiVersion"] = f"{API_GROUP}/v1"
    if "roleRef" in item:
        item["roleRef"].setdefault("apiGroup", API_GROUP)
        for subject in item["subjects"]:
            if subject["kind"] != "ServiceAccount":
                subject.setdefault("apiGroup", API_GROUP)


def rbac_of(objects: list[Json]) -> Rbac:
    bootstrap = yaml.safe_load((CORPUS / "bootstrap.yaml").read_text("utf-8"))
    by_kind = {kind: tuple(it for it in (*bootstrap, *objects) if it["kind"] == kind) for kind in PLURALS}
    return Rbac(by_kind["ClusterRole"], by_kind["ClusterRoleBinding"], by_kind["Role"], by_kind["RoleBinding"])


def identity_of(question: Json) -> Identity:
    """Somebody with the groups that the server adds by itself."""
    user: str = question["as"]
    groups = [*question.get("groups", ())]
    if user.startswith("system:serviceaccount:"):
        groups += ["system:serviceaccounts", f"system:serviceaccounts:{user.split(':')[2]}"]
    groups.append("system:unauthenticated" if user == "system:anonymous" else "system:authenticated")
    return Identity(user, "case", user, tuple(groups))


def attributes_of(question: Json) -> Attributes:
    resource, _, subresource = question.get("resource", "").partition("/")
    keys = ("verb", "group", "version", "namespace", "name", "path")
    return Attributes(resource=resource, subresource=subresource, **{key: question.get(key, "") for key in keys})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_evaluator_answers_as_the_server_does(file: Path) -> None:
    case = read(file, "run")
    rbac = rbac_of(case["objects"])
    if case.get("aggregated"):
        before = Rules(rbac)
        answers = {before.decide(identity_of(it), attributes_of(it)).answer for it in case["questions"]}
        assert answers == {Answer.DENIED}, "labels decide nothing before the controller manager has acted on them"
        rbac = aggregated(rbac)
    rules = Rules(rbac)
    for question in case["questions"]:
        decision = rules.decide(identity_of(question), attributes_of(question))
        assert decision.answer == question["answer"], (question, decision)


# --- the same of a server ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def admin(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.admin) as client:
        yield client


@pytest.mark.server
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_server_answers_as_the_corpus_says(file: Path, admin: Client) -> None:
    run = f"rc{secrets.token_hex(4)}"
    case = read(file, run)
    made: list[str] = []
    try:
        for namespace in ("t1", "t2"):
            make(admin, made, "/api/v1/namespaces", {"metadata": {"name": f"{run}-{namespace}"}})
        for given in case.get("given", ()):
            make(admin, made, given["path"], given["object"])
        for item in (*case["objects"], *sentinels(run)):
            namespace = item["metadata"].get("namespace")
            place = f"namespaces/{namespace}/" if namespace else ""
            make(admin, made, f"{API}/{place}{PLURALS[item['kind']]}", item)
        await_sentinels(admin, run)
        for question in case["questions"]:
            ask_review(admin, question, patiently=bool(case.get("aggregated")))
        for question in case["questions"]:
            ask_requests(admin, question)
    finally:
        for path in reversed(made):
            admin.ask("DELETE", path)


def make(admin: Client, made: list[str], path: str, item: Json) -> None:
    answer = admin.ask("POST", path, body=item)
    assert answer.status == 201, answer.body
    made.append(f"{path}/{item['metadata']['name']}")


def sentinels(run: str) -> Iterator[Json]:
    """Give what is made last of each kind: once it counts, so does all that was made before."""
    for kind, namespace in (("ClusterRole", None), ("Role", f"{run}-t1")):
        metadata = {"name": f"{run}-sentinel"} | ({"namespace": namespace} if namespace else {})
        rule = {"apiGroups": ["example.test"], "resources": ["sentinels"], "verbs": [kind]}
        yield {"kind": kind, "metadata": metadata, "rules": [rule]}
        reference = {"apiGroup": API_GROUP, "kind": kind, "name": metadata["name"]}
        subject = {"apiGroup": API_GROUP, "kind": "User", "name": f"{run}-sentinel"}
        yield {"kind": f"{kind}Binding", "metadata": metadata, "roleRef": reference, "subjects": [subject]}


def await_sentinels(admin: Client, run: str) -> None:
    for kind in ("ClusterRole", "Role"):
        asked = {"as": f"{run}-sentinel", "verb": kind, "group": "example.test", "resource": "sentinels"}
        ask_review(admin, asked | {"namespace": f"{run}-t1", "answer": "allowed"}, patiently=True)


def review(admin: Client, question: Json) -> Json:
    identity, asked = identity_of(question), attributes_of(question)
    if asked.path:
        attributes = {"nonResourceAttributes": {"path": asked.path, "verb": asked.verb}}
    else:
        keys = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
        attributes = {"resourceAttributes": {key: getattr(asked, key) for key in keys}}
    spec = {"user": identity.user, "groups": identity.groups} | attributes
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    answer = admin.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=body)
    assert answer.status == 201, answer.body
    status: Json = orjson.loads(answer.body)["status"]
    return status


def ask_review(admin: Client, question: Json, *, patiently: bool = False) -> None:
    expected = question.get("review", question["answer"]) == "allowed"
    deadline = time.monotonic() + DEADLINE_SECONDS
    status = review(admin, question)
    while patiently and status["allowed"] != expected and time.monotonic() < deadline:
        status = review(admin, question)
    assert status["allowed"] == expected, (question, status)
    assert question.get("reason", "") in status.get("reason", ""), (question, status)


def ask_requests(admin: Client, question: Json) -> None:
    requests = question.get("requests", ())
    access, headers = admin.access, {}
    match question.get("by", "impersonation"):
        case "impersonation":
            headers = {"Impersonate-User": question["as"]}
            groups: list[str] = question.get("groups", [])
            if groups:
                headers["Impersonate-Group"] = groups[0]
        case "anonymous":
            access = replace(access, certificate=None, key=None)
        case "token":
            access = replace(access, certificate=None, key=None, token=token(admin, question["as"]))
        case "bogus":
            access = replace(access, certificate=None, key=None, token="bogus")
        case other:
            raise AssertionError(other)
    with Client(access) as client:
        for request in requests:
            check_request(client, request, headers, question["as"])


def token(admin: Client, user: str) -> str:
    _, _, namespace, name = user.split(":")
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    answer = admin.ask("POST", path, body={"spec": {"expirationSeconds": 600}})
    assert answer.status == 201, answer.body
    secret: str = orjson.loads(answer.body)["status"]["token"]
    return secret


def check_request(client: Client, request: Json, headers: dict[str, str], user: str) -> None:
    known = {"method", "path", "query", "headers", "body", "raw", "type", "status", "says"}
    assert set(request) <= known, request
    headers = headers | request.get("headers", {})
    body: Any = request.get("body", request.get("raw"))
    if isinstance(body, str):
        body = body.encode()
    if isinstance(body, dict):
        body = orjson.dumps(body)
    if body is not None:
        headers["Content-Type"] = request.get("type", "application/json")
    query = tuple(request.get("query", {}).items())
    answer = client.send(Request(request["method"], request["path"], query, tuple(headers.items()), body))
    assert answer.status == request["status"], (user, request, answer.status, answer.error, answer.body)
    if "says" in request:
        assert request["says"] in orjson.loads(answer.body)["message"], (user, request, answer.body)


@pytest.mark.server
def test_drawn_policies_are_reviewed_by_the_server_as_by_us(admin: Client) -> None:
    total = reviews.compare(admin, policies(31, 6, 60))
    assert not total.differences, total.differences
    assert 0.1 < total.allowed / total.decisions < 0.8
