"""A whole audit of a real API server: it sees everything, says the truth and comes out the same."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
import pytest
import yaml
from audits import RBAC, RUN_ID, Audited, audit, masked, unpacked

from conformance import store
from conformance.files import data
from conformance.model import Outcome
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cluster

pytestmark = pytest.mark.server

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.admin) as asking:
        yield asking


@pytest.fixture(scope="module")
def matrix(audited: Audited) -> Any:
    assert audited.code == 0, audited.output[-3000:]
    return audited.matrix()


# --- everything is asked ----------------------------------------------------------------------------------------------


def walked(client: Client) -> set[tuple[str, str, str, str]]:
    """Walk the legacy discovery with no code of ours: (group, version, plural, verb) of all that is served."""
    roots = [("", version, f"/api/{version}") for version in client.get_json("/api")["versions"]]
    for group in client.get_json("/apis")["groups"]:
        name = group["name"]
        roots += [(name, v["version"], f"/apis/{v['groupVersion']}") for v in group["versions"]]
    found: set[tuple[str, str, str, str]] = set()
    for group, version, root in roots:
        for listed in client.get_json(root)["resources"]:
            found.update((group, version, listed["name"], verb) for verb in listed["verbs"])
    return found


def test_every_pair_that_is_served_has_a_cell_for_every_identity(matrix: Any, client: Client) -> None:
    pairs = walked(client)
    if matrix["cluster"]["version"] == "v1.37.2":
        assert len(pairs) == 660
    rows: dict[tuple[str, str, str, str], str] = {}
    for endpoint in matrix["endpoints"]:
        sub = f"/{endpoint['subresource']}" if endpoint["subresource"] else ""
        if endpoint["scope"] in {"own", "cluster"} and not endpoint["virtual"] and not endpoint["path"]:
            key = endpoint["group"], endpoint["version"], f"{endpoint['resource']}{sub}", endpoint["verb"]
            assert rows.setdefault(key, endpoint["id"]) == endpoint["id"]
    assert set(rows) == pairs
    names = {identity["name"] for identity in matrix["identities"]}
    assert len(names) >= 10
    asked = {(cell["endpoint"], cell["identity"]) for cell in matrix["cells"] if cell["request"] is not None}
    assert not {(row, name) for row in rows.values() for name in names} - asked
    assert len(matrix["cells"]) == len(matrix["endpoints"]) * len(names)


def test_nothing_fails_and_what_was_not_evaluated_is_accounted_for(matrix: Any) -> None:
    gaps = data("fixtures") / "known-gaps.yaml"
    known = yaml.safe_load(gaps.read_text("utf-8"))["gaps"] if gaps.exists() else []
    patterns = [re.compile(gap["endpoint"].replace("*", ".*")) for gap in known if gap["reason"]]
    found = [cell for cell in matrix["cells"] if cell["verdict"] in {"fail", "error", "not-evaluated"}]
    assert not [cell for cell in found if not any(it.fullmatch(cell["endpoint"]) for it in patterns)]
    assert matrix["run"]["complete"]
    assert matrix["summary"]["disagreements"] == 0


def test_every_request_that_was_sent_was_decided_by_its_answer(matrix: Any) -> None:
    """No probe ends in an answer that says nothing of authorization."""
    unclear = {
        (c["endpoint"], c["status"], c["note"]) for c in matrix["cells"] if c["request"] == "unknown" and c["status"]
    }
    assert unclear == set()


def test_each_identity_is_allowed_something_of_its_own(matrix: Any) -> None:
    rights: dict[str, frozenset[str]] = {}
    for identity in matrix["identities"]:
        mine = [cell for cell in matrix["cells"] if cell["identity"] == identity["name"]]
        rights[identity["name"]] = frozenset(
            f"{cell['endpoint']} {name}"
            for cell in mine
            for name in ([""] if cell["effective"] == "allowed" else []) + cell["names"]
        )
        assert bool(rights[identity["name"]]) is (identity["expect"] == "authenticated")
    assert rights["admin"] > rights["view"]
    alike = [sorted(name for name, had in rights.items() if had == one) for one in set(rights.values())]
    # An account without bindings and a person without any are told apart by what only a service account's groups have.
    assert all(len(names) == 1 for names in alike), alike


# --- the server saw what was stored -----------------------------------------------------------------------------------


def seen_by_the_server(cluster: Cluster, run: str) -> list[dict[str, Any]]:
    """Give the server's own record of a run, one entry for each request."""
    assert cluster.audit_log is not None
    found: dict[str, dict[str, Any]] = {}
    with Path(cluster.audit_log).open("rb") as log:
        for line in log:
            if run.encode() in line:
                event = orjson.loads(line)
                if run in event.get("userAgent", ""):
                    found[event["auditID"]] = event
    return list(found.values())


def asked_for(event: dict[str, Any]) -> tuple[str, str, str, tuple[tuple[str, str], ...]]:
    user = (event.get("impersonatedUser") or event["user"]).get("username", "")
    parts = urlsplit(event["requestURI"])
    query = tuple((name, masked(value)) for name, value in parse_qsl(parts.query, keep_blank_values=True))
    return masked(user), event["verb"], masked(unquote(parts.path)), query


def test_each_stored_request_is_in_the_servers_own_log(matrix: Any, audited: Audited, cluster: Cluster) -> None:
    if cluster.audit_log is None:
        pytest.skip("the server keeps no audit log that can be read here")
    events = seen_by_the_server(cluster, matrix["run"]["id"])
    logged = Counter(asked_for(event) for event in events)
    saved = store.SavedRun(audited.directory)
    users = {one.name: "" if one.expect == "unauthenticated" else one.user for one in saved.head.identities}
    stored: Counter[tuple[str, str, str, tuple[tuple[str, str], ...]]] = Counter()
    for row in saved.rows():
        for (who, oracle, name), answer in row.answers.items():
            if oracle == "request" and isinstance(answer, Outcome) and not name:
                assert row.row.request is not None
                request = row.row.request
                stored[users[who], row.row.endpoint.verb, request.path, request.query] += 1
    assert sum(stored.values()) > 10 * 660
    assert not stored - logged
    reviews = sum(1 for row in saved.rows() for _, oracle, _ in row.answers if oracle == "review")
    by_admin = sum(n for (_, verb, path, _), n in logged.items() if (verb, path) == ("create", REVIEWS))
    assert reviews <= by_admin <= reviews + len(users) * 4  # and those that probe the right to review


def test_a_whole_run_persists_nothing_and_leaves_nothing(matrix: Any, cluster: Cluster, client: Client) -> None:
    run = matrix["run"]["id"]
    for event in seen_by_the_server(cluster, run) if cluster.audit_log else []:
        user = masked((event.get("impersonatedUser") or event["user"]).get("username", ""))
        if user in {identity["user"] for identity in matrix["identities"]} and event["verb"] not in {
            "get",
            "list",
            "watch",
        }:
            uri = event["requestURI"]
            safe = "dryRun=All" in uri or "-absent/" in uri or event["objectRef"]["resource"] == "selfsubjectreviews"
            assert safe, uri
    paths = [f"{RBAC}/{kind}" for kind in ("clusterroles", "clusterrolebindings", "roles", "rolebindings")]
    until = time.monotonic() + 60  # what was in the run's namespaces goes with them, in a moment
    while left := [path for path in (*paths, "/api/v1/namespaces") if run in json.dumps(client.get_json(path))]:
        assert time.monotonic() < until, left
        time.sleep(0.2)


# --- equal runs are equal bytes ---------------------------------------------------------------------------------------

ITS_OWN = (
    (RUN_ID.pattern, "ID"),
    (r'"(startedAt|started_at|timestamp)":\s*"[^"]*"', "AT"),
    (r'\btimestamp="[^"]*"', "AT"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "AT"),
    (r'"seconds":\s*[\d.]+', "TIME"),
    (r'"t":\[[^\]]*\]', "TIME"),
    (r'\btime="[\d.]*"', "TIME"),
    (r"\bin [\d.,]+ s\b", "TIME"),
)


def without_its_own(content: bytes) -> str:
    """Give a file of a run without the run's id, clock and timings."""
    text = content.decode()
    for pattern, word in ITS_OWN:
        text = re.sub(pattern, word, text)
    return text


def differences(one: Audited, two: Audited) -> list[str]:
    names = [sorted(path.name for path in each.directory.iterdir()) for each in (one, two)]
    assert names[0] == names[1]
    assert {"matrix.json", "matrix.csv", "matrix.html", "junit.xml", "summary.md", "run.jsonl.gz"} <= set(names[0])
    found = []
    for name in names[0]:
        texts = [without_its_own(unpacked(each.directory / name)).splitlines() for each in (one, two)]
        found += [f"{name}: {a[:300]} | {b[:300]}" for a, b in zip(*texts, strict=False) if a != b][:3]
        if len(texts[0]) != len(texts[1]):
            found.append(f"{name}: {len(texts[0])} and {len(texts[1])} lines")
    return found


def test_what_is_called_a_runs_own_is_not_much() -> None:
    """The comparison below sees a flipped answer."""
    text = (
        '{"run":{"id":"20261122t163727-b476","seconds":1.5},"cells":[{"request":"allowed","status":404}],"t":[1,2.5]}'
    )
    assert (
        without_its_own(text.encode()) == '{"run":{"id":"ID",TIME},"cells":[{"request":"allowed","status":404}],TIME}'
    )


def test_a_run_by_two_workers_is_the_same(matrix: Any, audited: Audited, cluster: Cluster, tmp_path: Path) -> None:
    split = audit(cluster, tmp_path, "--", "-n", "2")
    assert split.code == 0, split.output[-3000:]
    assert split.matrix()["run"]["requests"] == matrix["run"]["requests"]
    assert differences(audited, split) == []


def test_a_run_is_the_same_the_second_time(cluster: Cluster, tmp_path: Path) -> None:
    selection = ("--", "-k", "rbac or metrics or pods")
    one, two = (audit(cluster, tmp_path / name, *selection) for name in ("one", "two"))
    assert (one.code, two.code) == (0, 0), one.output[-2000:] + two.output[-2000:]
    assert one.matrix()["run"]["requests"] == two.matrix()["run"]["requests"]
    assert differences(one, two) == []
