"""The command `audit` as users type it: what is selected, how it stops, what it says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from audits import RBAC, Audited, audit, end, kubeconfig, start
from faultproxy import Answered, Asked, before

import conformance
from conformance.identities import stage
from conformance.transport import Client

if TYPE_CHECKING:
    from conformance.model import Cluster

pytestmark = pytest.mark.server

FEW = ("--identity=cluster-admin", "--identity=view")


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "conformance", *arguments]
    path = str(Path(conformance.__file__).resolve().parents[1])  # of what is tested: the wheel's, or the checkout's
    return subprocess.run(
        program,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def ids(done: Audited) -> list[str]:
    return [endpoint["id"] for endpoint in done.matrix()["endpoints"]]


@pytest.mark.parametrize(
    ("selection", "some", "every"),
    [
        (("-k", "deployments and scale"), "apps/v1/deployments/scale:patch", "deployments/scale:"),
        (("-m", "endpoint(verb='get', resource='pods')"), "v1/pods/log:get", "v1/pods"),
        (("-m", "endpoint(group='policy')", "-n", "2"), "policy/v1/poddisruptionbudgets:get", "policy/"),
    ],
)
def test_what_is_selected_is_asked_and_nothing_else(
    cluster: Cluster, tmp_path: Path, selection: tuple[str, ...], some: str, every: str
) -> None:
    done = audit(cluster, tmp_path, *FEW, "--", *selection)
    assert done.code == 0, done.output[-2000:]
    assert some in ids(done)
    assert all(every in one for one in ids(done))
    assert not [one for one in ids(done) if "poddisruptionbudgets" in one and "resource='pods'" in str(selection)]


def test_nothing_selected_is_a_usage_error(cluster: Cluster, tmp_path: Path) -> None:
    done = audit(cluster, tmp_path, *FEW, "--", "-k", "no_such_resource")
    assert done.code == 4, done.output[-2000:]
    assert not (tmp_path / "latest").exists()


def test_collecting_asks_nothing_but_the_last_run(audited: Audited, tmp_path: Path) -> None:
    last = audited.directory
    reports = f"--reports={audited.reports}"
    done = command("audit", reports, "--", "--collect-only", "-k", "deployments and scale", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "test_access[apps/v1/deployments/scale:patch]" in done.stdout
    assert audited.directory == last


def test_where_nothing_was_ever_asked_one_item_says_what_to_do(tmp_path: Path) -> None:
    done = command("audit", "--", "--collect-only", cwd=tmp_path)
    assert "1 test collected" in done.stdout, done.stdout + done.stderr
    assert not (tmp_path / "reports" / "latest").exists()


def denying(*targets: str) -> Any:
    """Make a flip that denies what the cluster's admin is allowed."""

    def flip(asked: Asked, answered: Answered) -> Answered | None:
        if not asked.user.endswith(":cluster-admin") or not asked.target.partition("?")[0].endswith(targets):
            return None
        resource = asked.target.partition("?")[0].rpartition("/")[2]
        said = f'x is forbidden: User "{asked.user}" cannot list resource "{resource}" in API group "apps" at'
        status = {"kind": "Status", "reason": "Forbidden", "message": said}
        return Answered(403, tuple(h for h in answered.headers if h[0].lower() == "audit-id"), orjson.dumps(status))

    return flip


def test_failures_are_named_stopped_at_and_asked_again_by_themselves(cluster: Cluster, tmp_path: Path) -> None:
    lists = ("-m", "endpoint(group='apps', verb='list', scope='own')")
    with before(cluster, denying("/deployments", "/statefulsets")) as behind:
        done = audit(behind, tmp_path, *FEW, "--", *lists)
        assert done.code == 1
        failed = {cell["endpoint"] for cell in done.matrix()["cells"] if cell["verdict"] == "fail"}
        assert failed == {"apps/v1/deployments:list", "apps/v1/statefulsets:list"}
        assert "apps/v1/deployments:list as cluster-admin: the oracles differ: request says denied (403" in done.output

        stopped = audit(behind, tmp_path, *FEW, "--", *lists, "-x")
        verdicts = Counter(cell["verdict"] for cell in stopped.matrix()["cells"])
        assert stopped.code == 1
        assert verdicts["fail"] == 1
        assert verdicts["not-evaluated"] > 0
        assert not stopped.matrix()["run"]["complete"]
        done = audit(behind, tmp_path, *FEW, "--", *lists)
    again = audit(cluster, tmp_path, *FEW, "--", "--lf")
    assert again.code == 0, again.output[-2000:]
    assert set(ids(again)) == failed


def test_a_server_that_is_not_there_is_one_sentence(cluster: Cluster, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = kubeconfig(cluster, tmp_path, f"https://127.0.0.1:{port}")
    arguments = ("--cluster=kubeconfig", f"--kubeconfig={config}", "--context=current")
    done = command("audit", *arguments, cwd=tmp_path)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "127.0.0.1" in line and "onnect" in line]
    assert len(lines) == 1, done.stderr
    assert not (tmp_path / "reports" / "latest").exists()


def test_a_server_that_goes_away_ends_the_run_with_what_was_asked(cluster: Cluster, tmp_path: Path) -> None:
    seen: list[str] = []
    with before(cluster, lambda asked, _: seen.append(asked.target)) as behind:
        process = start(behind, tmp_path, *FEW)
        until = time.monotonic() + 90
        while len(seen) < 300 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
    done = end(process, tmp_path)
    with Client(cluster.admin) as client:
        stage.sweep(client, wait=True, say=lambda _: None)  # the run itself could reach nobody any more
    assert done.code == 5, done.output[-3000:]
    assert "Traceback" not in done.output
    assert "does not answer any more" in done.output
    found = done.matrix()
    assert not found["run"]["complete"]
    assert found["summary"]["verdicts"]["fail"] == 0
    assert found["summary"]["verdicts"]["pass"] > 0


def test_ctrl_c_saves_what_was_asked(cluster: Cluster, tmp_path: Path) -> None:
    seen: list[str] = []

    def watch(asked: Asked, _: Answered) -> None:
        if asked.user.endswith(":cluster-admin"):
            seen.append(asked.target)

    with before(cluster, watch) as behind:
        process = start(behind, tmp_path, *FEW)
        until = time.monotonic() + 90
        while len(seen) < 100 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        done = end(process, tmp_path)
    assert done.code == 2, done.output[-3000:]
    assert "Traceback" not in done.output
    found = done.matrix()
    verdicts = Counter(cell["verdict"] for cell in found["cells"])
    assert verdicts["pass"] > 0
    assert verdicts["not-evaluated"] > verdicts["pass"]
    assert not found["run"]["complete"]
    assert len(found["cells"]) == found["run"]["planned"]
    for name in ("terminal", "markdown", "json"):
        rendered = command("report", str(done.directory), "-o", name, cwd=tmp_path)
        assert rendered.returncode == 0, rendered.stderr
        assert rendered.stdout
    with Client(cluster.admin) as client:
        assert found["run"]["id"] not in json.dumps(client.get_json(f"{RBAC}/clusterrolebindings"))


@pytest.mark.parametrize("flag", ["--baseline", "--waivers"])
def test_a_file_that_is_not_there_is_told_before_anything_starts(flag: str, tmp_path: Path) -> None:
    result = command("audit", flag, "nowhere", cwd=tmp_path)
    assert (result.returncode, "nowhere" in result.stderr) == (4, True)


@pytest.mark.parametrize(
    ("folder", "why"), [("file", "is no folder"), ("file/x", "is no folder"), ("/proc/x", "nothing can")]
)
def test_a_folder_that_no_report_can_be_written_to_is_told_before_anything_starts(
    folder: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = command("audit", "--reports", folder, cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    assert f"error: --reports {folder}: " in done.stderr
    assert why in done.stderr
    assert "starting" not in done.stdout + done.stderr


def test_observe_sends_nothing_but_reads_and_reviews(cluster: Cluster, tmp_path: Path) -> None:
    if cluster.audit_log is None:
        pytest.skip("the server keeps no audit log that can be read here")
    done = audit(cluster, tmp_path, "--mode=observe", "--", "-k", "v1/pods or selfsubject")
    assert done.code == 0, done.output[-3000:]
    found = done.matrix()
    assert found["run"]["mode"] == "observe"
    writes = [cell for cell in found["cells"] if cell["endpoint"] == "v1/pods:create"]
    assert writes
    assert {cell["request"] for cell in writes} == {"unknown"}
    assert {cell["verdict"] for cell in writes} == {"pass", "not-applicable"}  # nobody can't be reviewed
    sent = {
        (event["verb"], event.get("objectRef", {}).get("resource", ""))
        for line in Path(cluster.audit_log).read_bytes().splitlines()
        if found["run"]["id"].encode() in line and (event := orjson.loads(line))
    }
    assert len(sent) > 5
    assert {
        (verb, kind) for verb, kind in sent if verb not in {"get", "list", "watch"} and "reviews" not in kind
    } == set()


def test_it_says_how_far_it_is_in_plain_lines_where_output_is_kept(cluster: Cluster, tmp_path: Path) -> None:
    done = audit(cluster, tmp_path, *FEW, "--", "-k", "deployments and scale")
    lines = done.output.splitlines()
    number = len(ids(done))
    assert f"asking: {number} to do" in lines
    assert any(line.startswith(f"asking: {number} of {number} in ") for line in lines), done.output
    assert "\r" not in done.output
    assert "\x1b" not in done.output
    assert "." * number not in done.output, "the progress stands for pytest's dots"
    assert f"  open {done.directory / 'matrix.html'}; beside it findings.sarif" in done.output


def test_quiet_is_the_verdict_and_where_the_files_are(cluster: Cluster, tmp_path: Path) -> None:
    done = audit(cluster, tmp_path, "--quiet", *FEW, "--", "-k", "deployments and scale")
    assert done.code == 0, done.output
    assert "asking" not in done.output
    told = done.output[done.output.index("PASSED") :].splitlines()
    assert [line for line in told if line] == [told[0], f"reports: {done.directory}"]
