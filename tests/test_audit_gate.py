"""An audit with waivers and a baseline: what is accepted is xfail with its reason, and the gate says what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from audits import audit
from faultproxy import before
from test_audit_command import FEW, command, denying

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster

pytestmark = pytest.mark.server
LISTS = ("--", "-m", "endpoint(group='apps', verb='list', scope='own')", "-rx")
WAIVER = (
    "waivers:\n  - id: '{id}'\n    reason: a proxy of ours denies it\n    owner: team\n    until: {until}\n"
    "  - id: 'cell-failed:nothing*'\n    reason: left over\n    owner: team\n    until: 2999-01-01\n"
)


def test_waivers_and_baseline(cluster: Cluster, tmp_path: Path) -> None:
    waivers = tmp_path / "waivers.yaml"
    with before(cluster, denying("/deployments", "/statefulsets")) as behind:
        waivers.write_text(WAIVER.format(id="apps/v1/*:list*", until="2999-01-31"), "utf-8")
        waived = audit(behind, tmp_path / "a", *FEW, "--waivers", str(waivers), *LISTS)
        assert waived.code == 0, waived.output[-3000:]
        assert "2 xfailed" in waived.output
        assert "waived: a proxy of ours denies it (team, until 2999-01-31)" in waived.output
        assert "cell-failed:nothing* is not needed" in waived.output
        told = orjson.loads((waived.directory / "differences.json").read_bytes())
        assert told["gate"]["passed"]
        assert [it["outcome"] for it in told["differences"]] == ["waived", "waived"]
        again = command("report", str(waived.directory), cwd=tmp_path)
        assert told["gate"]["reason"][:20] in again.stdout

    with before(cluster, denying("/deployments")) as behind:
        waivers.write_text(WAIVER.format(id="apps/v1/*:list*", until="2020-01-31"), "utf-8")
        expired = audit(behind, tmp_path / "b", *FEW, "--waivers", str(waivers), *LISTS)
        assert expired.code == 1
        assert "expired on 2020-01-31: it waives nothing" in expired.output
        same = audit(behind, tmp_path / "c", *FEW, "--baseline", str(expired.directory), *LISTS)
        assert same.code == 0, same.output[-3000:]
        assert "1 xfailed" in same.output
    with before(cluster, denying("/deployments", "/statefulsets")) as behind:
        worse = audit(behind, tmp_path / "d", *FEW, "--baseline", str(expired.directory), *LISTS)
    assert worse.code == 1
    assert "The gate says no" in worse.output
