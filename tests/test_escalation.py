"""Escalation paths on paper: which steps rules give, the shortest way, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from grants import ADMIN, RBAC, cluster, manifests, rule

from conformance import cli
from conformance.change.objects import FIELDS
from conformance.errors import UsageError
from conformance.rbac import escalation_graph, escalation_paths
from conformance.rbac.escalation import Graph
from conformance.rbac.escalation_kinds import KINDS
from conformance.rbac.escalation_paths import Paths, Tried, read_subject, strength
from conformance.risks.builtin import RUN_LABEL

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Rbac


def ways(rbac: Rbac) -> dict[str, list[str]]:
    """Give who has a path to cluster-admin, and whom it goes by."""
    return {
        path.source: [f"{step.means.partition(':')[0]} {step.target}" for step in path.steps]
        for path in Paths(Graph(rbac)).to_admin()
    }


ROOT = ("ServiceAccount ops/root", "", [ADMIN])


@pytest.mark.parametrize(
    ("grants", "expected"),
    [
        ([("User a", "ops", [rule("create", "pods")]), ROOT], ["create-pods ServiceAccount ops/root"]),
        (
            [("User a", "web", [rule("create", "pods")]), ROOT],
            ["privileged-pods Node any", "node-pods ServiceAccount ops/root"],
        ),
        ([("User a", "", [rule("create", "pods")]), ROOT], ["create-pods ServiceAccount ops/root"]),
        (
            [("User a", "ops", [rule("create", "serviceaccounts/token", "root")]), ROOT],
            ["token-request ServiceAccount ops/root"],
        ),
        ([("User a", "ops", [rule("create", "serviceaccounts/token", "other")]), ROOT], None),
        ([("User a", "", [rule("impersonate", "groups")])], None),
        ([("User a", "", [rule("impersonate", "groups,users")])], ["impersonate-group cluster-admin"]),
        ([("User a", "", [rule("impersonate", "users", "b")]), ("User b", "", [ADMIN])], ["impersonate-user User b"]),
        (
            [("Group team", "ops", [rule("create", "pods/exec")]), ROOT],
            None,  # nobody is known to be in it; the group itself is asked as a random member
        ),
        (
            [
                (
                    "User a",
                    "",
                    [rule("bind", "clusterroles", group=RBAC), rule("create", "clusterrolebindings", group=RBAC)],
                )
            ],
            ["bind-cluster cluster-admin"],
        ),
        (
            [
                ("User a", "", [rule("bind", "clusterroles", group=RBAC)]),
                ("User a", "ops", [rule("create", "rolebindings", group=RBAC)]),
                ROOT,
            ],
            ["bind-clusterrole ServiceAccount ops/root"],
        ),
        (
            [("User a", "", [rule("patch,escalate", "clusterroles", "g0", group=RBAC)])],
            ["escalate-clusterrole cluster-admin"],
        ),
        ([("User a", "", [rule("patch,escalate", "clusterroles", "x", group=RBAC)])], None),
        ([("User a", "ops", [rule("get", "pods/exec"), rule("get", "nodes/proxy"), rule("get", "pods")]), ROOT], None),
        (
            [
                ("User a", "web", [rule("create", "pods")]),
                ("ServiceAccount web/x", "ops", [rule("create", "jobs", group="batch")]),
                ROOT,
            ],
            ["create-pods ServiceAccount web/x", "create-jobs ServiceAccount ops/root"],
        ),
        (
            [
                ("User a", "web", [rule("create", "pods", "named"), rule("patch", "pods", "named")]),
                ("ServiceAccount web/x", "", [ADMIN]),
            ],
            ["create-pods ServiceAccount web/x"],
        ),
        (
            [
                (
                    "User a",
                    "",
                    [
                        rule("impersonate:user-info", "users", "b", group="authentication.k8s.io"),
                        rule("impersonate-on:user-info:list", "pods"),
                    ],
                ),
                ("User b", "", [ADMIN]),
            ],
            None,
        ),
    ],
)
def test_the_shortest_way_to_cluster_admin(grants: Any, expected: list[str] | None) -> None:
    assert ways(cluster(*grants)).get("User a") == expected


def test_who_is_admin_already_has_no_path() -> None:
    assert ways(cluster(ROOT, ("User a", "", [ADMIN]))) == {}


def test_what_a_group_can_its_members_can() -> None:
    rbac = cluster(("Group team", "ops", [rule("create", "pods")]), ROOT)
    assert [it.source for it in Paths(Graph(rbac)).to_admin()] == ["Group team"]
    known = Paths(Graph(rbac, {"alice": ["team"]})).to_admin()
    assert [it.source for it in known] == ["Group team", "User alice"]
    assert "Group team" in known[1].steps[0].witness.path


def test_everybody_whom_one_can_become() -> None:
    rbac = cluster(
        ("User a", "web", [rule("create", "pods")]),
        ("ServiceAccount web/x", "", [rule("impersonate", "users", "b")]),
        ("User b", "", [rule("get", "pods")]),
        ("User c", "", [rule("get", "pods")]),
    )
    paths = Paths(Graph(rbac)).reachable(("User", "a"))
    assert {it.target: len(it.steps) for it in paths} == {"ServiceAccount web/x": 1, "User b": 2}
    to = Paths(Graph(rbac)).to(("User", "b"))
    assert {it.source: len(it.steps) for it in to} == {"User a": 2, "ServiceAccount web/x": 1}


def test_a_refused_step_is_gone_round_and_shown_where_there_is_no_way_round() -> None:
    rbac = cluster(("User a", "ops", [rule("create", "pods,pods/exec")]), ROOT)

    def tried(_: Any, edge: Any) -> Tried | None:
        return Tried("inferred", "violates PodSecurity") if edge.kind.id == "create-pods" else Tried("proved")

    path = Paths(Graph(rbac), tried).to_admin()[0]
    assert (path.steps[0].means.partition(":")[0], path.refused, strength(path)) == ("exec", "", "proved")
    path = Paths(Graph(rbac), lambda *_: Tried("inferred", "violates PodSecurity")).to_admin()[0]
    assert (path.refused, path.severity, strength(path)) == ("violates PodSecurity", "info", "inferred")


def test_a_path_is_as_sure_as_its_least_sure_step() -> None:
    rbac = cluster(
        ("User a", "web", [rule("create", "pods")]),
        ("ServiceAccount web/x", "ops", [rule("create", "pods")]),
        ROOT,
    )
    path = Paths(Graph(rbac), lambda actor, _: Tried("proved") if actor == ("User", "a") else None).to_admin()[1]
    assert [step.proof for step in path.steps] == ["proved", "inferred"] or path.source != "User a"
    assert strength(path) == "inferred"


def by_a_run(rbac: Rbac, *numbers: int) -> Rbac:
    """Label the nth grant's objects as a run labels what it makes."""
    names = {f"g{number}" for number in numbers}

    def labelled(documents: Any) -> Any:
        labels = {"labels": {RUN_LABEL: "r"}}
        return tuple(
            {**it, "metadata": it["metadata"] | labels} if it["metadata"]["name"] in names else it for it in documents
        )

    return replace(rbac, **{kind: labelled(getattr(rbac, kind)) for kind in FIELDS.values()})


def test_ways_by_what_a_run_made_are_told_from_the_clusters_own() -> None:
    rbac = cluster(
        ROOT,
        ("User mine", "ops", [rule("create", "pods")]),  # 1: the run's
        ("User both", "ops", [rule("create", "pods")]),  # 2: the run's, shorter than its own way:
        ("User both", "web", [rule("create", "pods")]),
        ("User theirs", "ops", [rule("create", "pods")]),
        ("User promoted", "ops", [rule("create", "pods")]),
        ("User promoted", "", [ADMIN]),  # 6: the run's
        ("ServiceAccount web/runs", "", [ADMIN]),  # 7: the run's, and to become it no way of the cluster's
        ("User asks", "web", [rule("create", "serviceaccounts/token", "runs")]),
    )
    made = escalation_paths.of(by_a_run(rbac, 1, 2, 6, 7))
    found = {it.source: (it.severity, len(it.steps), it.made) for it in made.to_admin()}
    by_run = escalation_paths.OF_RUN
    assert found == {
        "User asks": ("info", 1, by_run),
        "User both": ("critical", 2, ""),
        "User mine": ("info", 1, by_run),
        "User promoted": ("critical", 1, ""),
        "User theirs": ("critical", 1, ""),
    }
    root = ("User", "system:serviceaccount:ops:root")
    assert {it.source: it.made for it in made.to(root, [("User", "mine"), ("User", "theirs")])} == {
        "User mine": by_run,
        "User theirs": "",
    }
    reachable = {it.target: it.made for it in made.reachable(("User", "mine"))}
    assert reachable["cluster-admin"] == reachable["ServiceAccount ops/root"] == by_run
    # A refused way of the cluster's own does not hide one that the run opened, nor is it the run's.
    refused = escalation_paths.of(
        by_a_run(rbac, 2, 7),
        tried=lambda _, edge: Tried("inferred", "no") if edge.kind.id == "privileged-pods" else None,
    )
    path = next(it for it in refused.to_admin() if it.source == "User both")
    assert (path.made, path.refused) == (by_run, "")
    unmade = escalation_paths.of(rbac)
    assert not [it for it in unmade.to_admin() if it.made]


def test_subjects_are_read_as_people_write_them() -> None:
    graph = Graph(cluster(ROOT, ("User alice", "", [ADMIN])))
    expected = ("User", "system:serviceaccount:ops:root")
    for text in ("ops/root", "ServiceAccount ops/root", "system:serviceaccount:ops:root"):
        assert read_subject(text, graph) == expected
    with pytest.raises(LookupError, match="there are User alice, ServiceAccount ops/root"):
        read_subject("bob", graph)


def test_kinds_have_ids_of_their_own() -> None:
    assert len({kind.id for kind in KINDS}) == len(KINDS)


def test_pictures_hold_nothing_that_is_syntax_to_them() -> None:
    evil = 'User x"];a-->b\n`<script>'
    rbac = cluster((evil, "", [rule("impersonate", "groups,users")]))
    paths = Paths(Graph(rbac)).to_admin()
    drawn = escalation_graph.mermaid(paths)
    assert drawn.count("\n") == 4
    assert "<script>" not in drawn
    assert '\\"' in escalation_graph.dot(paths)


def test_the_command_answers_from_manifests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rbac = cluster(("User a", "ops", [rule("create", "pods")]), ROOT)
    file = tmp_path / "all.yaml"
    file.write_text(manifests(rbac))
    assert cli.run(["paths", "-f", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "User a -> cluster-admin  [inferred]" in shown
    assert "cluster-admin already: ServiceAccount ops/root" in shown
    assert cli.run(["paths", "-f", str(file), "--from", "a", "-o", "json"]) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert [it["target"] for it in found["paths"]] == ["cluster-admin", "ServiceAccount ops/root"]
    assert cli.run(["paths", "-f", str(file), "--to", "nobody"]) == UsageError.exit_code
    assert "no binding or identity names 'nobody'" in capsys.readouterr().err
