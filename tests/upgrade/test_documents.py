"""Every command of docs/upgrade.md and of the pipelines, run in order on two real versions."""

from __future__ import annotations

import base64
import io
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from conformance import cli

if TYPE_CHECKING:
    from conformance.model import Cluster
    from conformance.moments import Moment

DOCS = Path(__file__).parent.parent.parent / "docs"
PIPELINES = ("github-actions.yaml", "gitlab-ci.yaml")
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\n"


def _kubeconfig(cluster: Cluster) -> str:
    admin = cluster.admin
    assert admin.ca is not None
    assert admin.certificate is not None
    assert admin.key is not None
    ca, certificate, key = (base64.b64encode(it).decode() for it in (admin.ca, admin.certificate, admin.key))
    document: dict[str, Any] = {
        "clusters": [{"name": "c", "cluster": {"server": admin.server, "certificate-authority-data": ca}}],
        "users": [{"name": "u", "user": {"client-certificate-data": certificate, "client-key-data": key}}],
        "contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "staging",
    }
    text: str = yaml.safe_dump(document)
    return text


@pytest.fixture
def desk(
    old: Cluster,
    before: tuple[Path, Moment],
    after: tuple[Path, Moment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Give a folder that holds all that the documents speak of, and go there."""
    monkeypatch.chdir(tmp_path)
    for name in ("after", "snapshots/next"):
        shutil.copytree(after[0], tmp_path / name)
    for name in ("before", "accepted", "reports/latest", "snapshots/staging"):
        shutil.copytree(before[0], tmp_path / name)
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "app.yaml").write_text(MANIFEST, "utf-8")
    assert old.audit_log is not None
    shutil.copyfile(old.audit_log, tmp_path / "audit.log")
    (tmp_path / "config").write_text(_kubeconfig(old), "utf-8")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    return tmp_path


def _run(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    words = shlex.split(line.partition(" || ")[0])
    if "<" in words:
        monkeypatch.setattr("sys.stdin", io.StringIO(Path(words[-1]).read_text("utf-8")))
        words = words[:-2]
    assert words[0] == "kube-conformance", line
    return cli.run(words[1:])


def test_a_snapshot_of_a_context(desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["snapshot", "--context", "staging", "-o", "frozen"]) == 0
    assert (desk / "frozen" / "snapshot.json.gz").exists()
    assert capfd.readouterr().out.startswith("frozen: https://")
    assert cli.run(["snapshot", "--context", "elsewhere", "-o", "frozen"]) == 4
    assert cli.run(["snapshot", "--cluster", "embedded", "--context", "nobody", "-o", "frozen"]) == 4
    assert cli.run(["rehearse", "--to", "1.37", "--from", "elsewhere"]) == 4


def test_the_page(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DOCS / "upgrade.md").read_text("utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    assert len(lines) > 10
    for line in lines:
        code = _run(line, monkeypatch)
        wanted = {1} if "||" in line else {0, 1} if "rehearse" in line else {0}
        assert code in wanted, line
    assert (desk / "differences.md").exists()
    policy = re.search(r"```yaml\n(gate:.*?)```", text, re.DOTALL)
    assert policy is not None
    (desk / "kube-conformance.yaml").write_text(policy[1], "utf-8")
    assert cli.run(["gate", "after", "after"]) == 0


@pytest.mark.parametrize("name", PIPELINES)
def test_the_pipelines(name: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DOCS / "pipelines" / name).read_text("utf-8")
    assert yaml.safe_load(text)
    agreed = ["--owner", "team", "--until", "2999-01-01", "--waivers", str(desk / "waivers.yaml")]
    assert cli.run(["gate", "init", "snapshots/staging", "snapshots/next", *agreed]) == 0
    lines = re.findall(r"(?:run: |- )(kube-conformance .*)", text)
    assert len(lines) >= 2
    assert [_run(line, monkeypatch) for line in lines] == [0] * len(lines)


def test_actions_are_well_formed() -> None:
    program = shutil.which("actionlint")
    if program is None:
        pytest.skip("actionlint is not on PATH; `go install github.com/rhysd/actionlint/cmd/actionlint` has it")
    file = DOCS / "pipelines" / "github-actions.yaml"
    done = subprocess.run([program, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_image_runs_as_nobody() -> None:
    lines = (DOCS / "pipelines" / "Containerfile").read_text("utf-8").splitlines()
    last = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]
    users = [line.split()[1] for line in last if line.startswith("USER ")]
    assert users
    assert not users[-1].startswith(("0", "root"))
    assert not [line for line in last if line.startswith("RUN ")]
