"""Drawn policies on a real server: its SubjectAccessReviews against the readable evaluator.

    python tests/reviews.py --policies 200 --questions 100 [--kubeconfig FILE]

Everything is made under names of its own and removed again, policy by policy; nobody else's rights are touched.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from policies import NAMESPACES, Policy, Question, policies
from upstream import Compared, readable

from conformance.clusters import embedded, kubeconfig
from conformance.model import Attributes, Rbac
from conformance.rbac.resolver import Who
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conformance.model import Json

API, GROUP = "/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
PATIENCE = 30
Made = list[tuple[str, str]]  # path of the collection, name


def compare(client: Client, drawn: Iterable[Policy]) -> Compared:
    """Ask the server every question of every policy, as far as it takes the policy's objects."""
    total = Compared()
    for policy in drawn:
        run = f"rv{secrets.token_hex(4)}"
        own = renamed(policy, run)
        made: Made = []
        try:
            accepted = _create(client, own.rbac, run, made)
            _await(client, run)
            asked = replace(own, rbac=accepted)
            for question, expected in zip(asked.questions, readable(asked), strict=True):
                found = _allowed(client, question)
                total.decisions += 1
                total.allowed += found
                if found != (expected is not None):
                    total.differences.append(f"{question}: the server {found}, ours {expected!r}; {accepted}")
        finally:
            for path, name in reversed(made):
                client.ask("DELETE", f"{path}/{name}")
        total.policies += 1
    return total


def renamed(policy: Policy, run: str) -> Policy:
    """Give everything that others might share a name of the run's own; only the privileged group stays itself."""
    text = orjson.dumps(
        [policy.rbac.cluster_roles, policy.rbac.cluster_role_bindings, policy.rbac.roles, policy.rbac.role_bindings]
    )
    roles, bindings, near_roles, near_bindings = orjson.loads(text)
    for item in (*roles, *bindings):
        item["metadata"]["name"] = f"{run}-{item['metadata']['name']}"
    for item in (*near_roles, *near_bindings):
        item["metadata"]["namespace"] = f"{run}-{item['metadata']['namespace']}"
    for item in (*roles, *near_roles):
        near = "namespace" in item["metadata"]
        item["rules"] = [part for rule in item["rules"] or () for part in _acceptable(rule, near=near)]
    for item in (*bindings, *near_bindings):
        near = "namespace" in item["metadata"]
        item["subjects"] = [it for it in item["subjects"] or () if _is_subject(it, near=near)]
        reference = item["roleRef"]
        if reference["kind"] == "ClusterRole":
            reference["name"] = f"{run}-{reference['name']}"
        for subject in item["subjects"] or ():
            if subject["kind"] == "ServiceAccount":
                if "namespace" in subject:
                    subject["namespace"] = f"{run}-{subject['namespace']}"
            else:
                subject["name"] = _somebody(subject["name"], run)
    questions = tuple(
        Question(
            Who(_somebody(it.who.user, run), frozenset(_somebody(group, run) for group in it.who.groups)),
            replace(it.asked, namespace=f"{run}-{it.asked.namespace}" if it.asked.namespace else ""),
        )
        for it in policy.questions
        # A review of a path has no namespace.
        if not (it.asked.path and it.asked.namespace)
    )
    return Policy(Rbac(tuple(roles), tuple(bindings), tuple(near_roles), tuple(near_bindings)), questions)


def _acceptable(rule: Json, *, near: bool) -> Iterator[Json]:
    """Give what a server takes of a rule: paths and resources apart, paths in ClusterRoles only."""
    if "resources" in rule:
        yield {key: words for key, words in rule.items() if key != "nonResourceURLs"}
    if "nonResourceURLs" in rule and not near:
        yield {"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]}


def _is_subject(subject: Json, *, near: bool) -> bool:
    if subject.pop("apiGroup", None) == "foreign" or subject["kind"] not in {"User", "Group", "ServiceAccount"}:
        return False
    return subject["kind"] != "ServiceAccount" or near or "namespace" in subject


def _somebody(name: str, run: str) -> str:
    if name.startswith("system:serviceaccount:"):
        _, _, namespace, account = name.split(":")
        return f"system:serviceaccount:{run}-{namespace}:{account}"
    return name if name == "system:masters" else f"{run}:{name}"


def _create(client: Client, rbac: Rbac, run: str, made: Made) -> Rbac:
    """Make the objects; give those that the server took, as it holds them."""
    for namespace in NAMESPACES:
        _post(client, "/api/v1/namespaces", {"metadata": {"name": f"{run}-{namespace}"}}, made)
    kept = Rbac(
        cluster_roles=tuple(_all(client, rbac.cluster_roles, "clusterroles", made)),
        cluster_role_bindings=tuple(_all(client, rbac.cluster_role_bindings, "clusterrolebindings", made)),
        roles=tuple(_all(client, rbac.roles, "roles", made)),
        role_bindings=tuple(_all(client, rbac.role_bindings, "rolebindings", made)),
    )
    # Made last of each kind: once these count, all do.
    rule = {"apiGroups": ["sentinel.test"], "resources": ["sentinels"], "verbs": ["get"]}
    subject = {"kind": "User", "apiGroup": GROUP, "name": f"{run}:sentinel"}
    for kind, place in (("ClusterRole", ""), ("Role", f"namespaces/{run}-t1/")):
        name = f"{run}-sentinel-{kind.lower()}"
        role = {**rule, "resources": [kind.lower()]}
        _post(client, f"{API}/{place}{kind.lower()}s", {"metadata": {"name": name}, "rules": [role]}, made)
        reference = {"apiGroup": GROUP, "kind": kind, "name": name}
        body = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        _post(client, f"{API}/{place}{kind.lower()}bindings", body, made)
    return kept


def _all(client: Client, items: Iterable[Json], plural: str, made: Made) -> Iterator[Json]:
    for item in items:
        if "roleRef" in item:
            item["roleRef"]["apiGroup"] = GROUP
        namespace = item["metadata"].get("namespace")
        taken = _post(client, f"{API}/{f'namespaces/{namespace}/' if namespace else ''}{plural}", item, made)
        if taken is not None:
            yield taken


def _post(client: Client, path: str, item: Json, made: Made) -> Json | None:
    # An aggregated role would be filled by a controller, at a moment of its choosing.
    response = client.ask("POST", path, body={key: value for key, value in item.items() if key != "aggregationRule"})
    if response.status != 201:
        assert response.status in {400, 422}, response
        return None
    made.append((path, item["metadata"]["name"]))
    taken: Json = orjson.loads(response.body)
    return taken


def _await(client: Client, run: str) -> None:
    who = Who(f"{run}:sentinel")
    deadline = time.monotonic() + PATIENCE
    for kind in ("clusterrole", "role"):
        asked = Attributes("get", "sentinel.test", "", kind, namespace=f"{run}-t1")
        while not _allowed(client, Question(who, asked)):
            assert time.monotonic() < deadline, "the server does not heed a new binding"


def _allowed(client: Client, question: Question) -> bool:
    asked = question.asked
    spec: Json = {"user": question.who.user, "groups": sorted(question.who.groups)}
    if asked.path:
        spec["nonResourceAttributes"] = {"path": asked.path, "verb": asked.verb}
    else:
        keys = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
        spec["resourceAttributes"] = {key: getattr(asked, key) for key in keys}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    response = client.ask("POST", REVIEWS, body=body)
    assert response.status == 201, response
    found: bool = orjson.loads(response.body)["status"]["allowed"]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", type=int, default=200)
    parser.add_argument("--questions", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kubeconfig", type=Path, help="a cluster for throwing away; else one is started")
    given = parser.parse_args()
    drawn = policies(given.seed, given.policies, given.questions)
    if given.kubeconfig:
        with Client(kubeconfig.open(given.kubeconfig, kubeconfig.CURRENT).admin) as client:
            total = compare(client, drawn)
    else:
        with embedded.running() as cluster, Client(cluster.admin) as client:
            total = compare(client, drawn)
    share = total.allowed / max(1, total.decisions)
    said = f"{total.decisions} decisions of a server over {total.policies} policies, {share:.1%} of them allowed"
    sys.stdout.write("\n".join([said, f"{len(total.differences)} differences", *total.differences[:20], ""]))
    return 1 if total.differences else 0


if __name__ == "__main__":
    sys.exit(main())
