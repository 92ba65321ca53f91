"""Checks on a real server: equal runs are equal, saved runs say the same again, and modes are kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from audits import audit, unpacked
from test_audit import differences, seen_by_the_server

from conformance import checks, contract, matrix, store
from conformance.model import Catalog, Resource, Verdict
from conformance.scripts import Ending, Planned, Sample, Subject, World, subjects
from conformance.transport import Client

if TYPE_CHECKING:
    from pathlib import Path

    from audits import Audited

    from conformance.model import Cluster

# Among them what controllers write into while a script is at it, and what others make when they like.
WRITTEN_BY_OTHERS = "flowschemas or v1/events or (customresourcedefinitions and (DELETE or STATUS or UPDATE or WATCH))"
CHOSEN = f"test_contract and (v1/configmaps or deployments/s or AUDIT-ID or AUTH-TOKEN or {WRITTEN_BY_OTHERS})"


@pytest.fixture(scope="module")
def checked(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    done = audit(cluster, tmp_path_factory.mktemp("checked"), "--checks", "--identity", "cluster-admin", *selection())
    assert done.code == 0, done.output[-3000:]
    return done


def selection(chosen: str = CHOSEN) -> tuple[str, ...]:
    return ("--", "-k", chosen)


@pytest.mark.server
def test_a_healthy_server_keeps_its_word(checked: Audited) -> None:
    results = checked.matrix()["checks"]
    verdicts = {result["verdict"] for result in results}
    assert verdicts <= {"pass", "info", "not-applicable"}, [r for r in results if r["verdict"] == "fail"]
    by_id = {result["id"] for result in results if result["resource"] == "v1/configmaps"}
    assert {"CREATE-ECHO", "LIST-CONTINUE", "WATCH-ORDER", "APPLY-CONFLICT", "DELETE-FINALIZER"} <= by_id
    assert all(result["note"].startswith("Q") for result in results if result["verdict"] == "info")
    scale = next(it for it in results if it["id"] == "SCALE-ROUND-TRIP")
    assert scale["endpoints"] == ["apps/v1/deployments/scale:get", "apps/v1/deployments/scale:update"]
    assert scale["identity"] == "cluster-admin"


@pytest.mark.server
def test_each_result_is_a_test_case_of_junit(checked: Audited) -> None:
    text = (checked.directory / "junit.xml").read_text("utf-8")
    assert 'name="CREATE-ECHO v1/configmaps [cluster-admin]"' in text


@pytest.mark.server
def test_a_saved_run_says_the_same_again_without_a_cluster(checked: Audited) -> None:
    again = matrix.judged(store.SavedRun(checked.directory))
    said = [(it.id, it.resource, str(it.verdict), it.note) for it in again.checks]
    assert said == [(it["id"], it["resource"], it["verdict"], it["note"]) for it in checked.matrix()["checks"]]


@pytest.mark.server
def test_nothing_of_the_run_or_the_server_stands_in_what_is_stored(checked: Audited, cluster: Cluster) -> None:
    run = checked.matrix()["run"]["id"]
    lines = unpacked(checked.directory / "run.jsonl.gz").splitlines()
    scripts = [line for line in lines if line.startswith(b'{"script"')]
    assert len(scripts) > 100
    assert not [line[:300] for line in scripts if run.encode() in line]
    assert not [line[:300] for line in scripts if b"eyJ" in line and b"Bearer eyJ" in line]
    with Client(cluster.admin) as client:
        uid = client.get_json("/api/v1/namespaces/default")["metadata"]["uid"]
    assert not [line for line in scripts if uid.encode() in line]


@pytest.mark.server
def test_equal_runs_are_equal_in_one_process_or_two(checked: Audited, cluster: Cluster, tmp_path: Path) -> None:
    arguments = ("--checks", "--identity", "cluster-admin", *selection())
    again = audit(cluster, tmp_path / "again", *arguments)
    split = audit(cluster, tmp_path / "split", *arguments, "-n", "2")
    assert (again.code, split.code) == (0, 0), again.output[-2000:] + split.output[-2000:]
    for other in (again, split):
        assert other.matrix()["run"]["requests"] == checked.matrix()["run"]["requests"]
        assert differences(checked, other) == []


@pytest.mark.server
@pytest.mark.parametrize("mode", ["observe", "dry-run"])
def test_a_mode_runs_its_own_checks_only(mode: str, cluster: Cluster, tmp_path: Path) -> None:
    done = audit(
        cluster, tmp_path, "--checks", "--mode", mode, "--identity", "cluster-admin", *selection("v1/configmaps")
    )
    assert done.code == 0, done.output[-3000:]
    modes = {name: check.mode for name, check in checks.catalogue().items()}
    results = done.matrix()["checks"]
    asked = {result["id"] for result in results if result["verdict"] != "not-applicable"}
    assert {modes[name] for name in asked} == ({"observe"} if mode == "observe" else {"observe", "dry-run"})
    left = {result["id"]: result["note"] for result in results if result["verdict"] == "not-applicable"}
    assert left["CREATE-ECHO"] == "it needs mode full"
    if cluster.audit_log is None:
        pytest.skip("the server keeps no audit log that can be read here")
    for event in seen_by_the_server(cluster, done.matrix()["run"]["id"]):
        if event["verb"] not in {"get", "list", "watch"} and "reviews" not in json.dumps(event.get("objectRef")):
            assert mode == "dry-run"
            assert "dryRun=All" in event["requestURI"], event["requestURI"]


@pytest.mark.server
def test_a_marker_chooses_by_what_an_item_exercises(cluster: Cluster, tmp_path: Path) -> None:
    marked = ("--", "-m", "endpoint(resource='configmaps', verb='watch')")
    done = audit(cluster, tmp_path, "--checks", "--identity", "cluster-admin", *marked)
    assert done.code == 0, done.output[-2000:]
    asked = {it["id"] for it in done.matrix()["checks"] if it["verdict"] == "pass"}
    assert "WATCH-TIMEOUT" in asked
    assert "LIST-LIMIT" not in asked


# --- without a server -------------------------------------------------------------------------------------------------

DEPLOYMENTS = Resource("apps", "v1", "deployments", "", "Deployment", "apps", "v1", True, ("create", "get", "list"))  # noqa: FBT003
STATUS = Resource("apps", "v1", "deployments", "status", "Deployment", "apps", "v1", True, ("get", "patch"))  # noqa: FBT003


def world(**more: Any) -> World:
    given: dict[str, Any] = {"mode": "observe", "samples": {"apps/v1/deployments": Sample(body={})}} | more
    return World(Catalog((), (DEPLOYMENTS, STATUS)), (), server_version="v1.37.2", **given)


def test_subjects_are_the_server_each_group_version_and_its_resources() -> None:
    found = list(subjects(world()))
    assert [subject.id for subject in found] == [
        "server",
        "apps/v1",
        "apps/v1/deployments",
        "apps/v1/deployments/status",
    ]
    assert [subject.kind for subject in found] == ["server", "group version", "resource", "subresource"]
    assert found[-1].parent is DEPLOYMENTS
    assert found[-1].sample is found[-2].sample


def test_a_plan_has_each_check_on_what_it_concerns() -> None:
    laid = contract.planned(world())
    ids = {each.id for each in laid}
    assert "LIST-ENVELOPE|apps/v1/deployments" in ids
    assert "CREATE-ECHO|apps/v1/deployments" not in ids
    assert len({each.number for each in laid}) == len(laid)
    assert "CREATE-DRY-RUN|apps/v1/deployments" in {each.id for each in contract.planned(world(mode="dry-run"))}


def test_what_can_ask_nothing_is_listed_with_the_reason() -> None:
    idle = {it.id: it for it in contract.idle(world(), "admin")}
    assert idle["CREATE-ECHO"].note == "it needs mode full"
    assert idle["CREATE-ECHO"].verdict is Verdict.NOT_APPLICABLE
    assert "LIST-ENVELOPE" not in idle


def test_a_violation_that_servers_are_known_for_is_info_with_the_quirk() -> None:
    maps = Resource("", "v1", "limitranges", "", "LimitRange", "", "v1", True, ("create", "get"))  # noqa: FBT003
    subject = Subject("v1/limitranges", "", "v1", maps)
    planned = Planned("CREATE-NAME-MISSING", subject, 1)
    known = contract.result(planned, Ending(Verdict.FAIL, "it is answered 201"), "admin", 37)
    assert known.verdict is Verdict.INFO
    assert known.note.startswith("Q25: ")
    other = contract.result(planned, Ending(Verdict.FAIL, "it is answered 500"), "admin", 37)
    assert other.verdict is Verdict.FAIL


def test_the_catalogue_is_a_command() -> None:
    from click.testing import CliRunner  # noqa: PLC0415

    from conformance.commands.checks import command  # noqa: PLC0415

    listed = orjson.loads(CliRunner().invoke(command, ["-o", "json"]).output)
    assert len(listed) >= 60
    assert all({"id", "level", "title"} <= set(each) for each in listed)
    assert "LIST-LIMIT" in CliRunner().invoke(command, []).output
    one = CliRunner().invoke(command, ["LIST-LIMIT"])
    assert checks.catalogue()["LIST-LIMIT"].quote in one.output
    assert CliRunner().invoke(command, ["LIST-NONE"]).exit_code != 0


def test_a_check_that_this_version_does_not_have_is_said_to_be_unknown() -> None:
    each = Planned("GONE-AWAY", Subject("server"), 1)
    assert not contract.is_known(each.check)
    result = contract.unknown(each, "cluster-admin")
    assert (result.verdict, "no such check" in result.note) == (Verdict.NOT_EVALUATED, True)
