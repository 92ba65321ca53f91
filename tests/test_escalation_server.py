"""Escalation steps as a real server has them: everybody tries everything, and the graph has to have said the same."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING

import orjson
import pytest
from audits import audit
from escalation import FIXTURE, Stage, as_token, graph_of

from conformance import cli
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conformance.model import Cluster

pytestmark = pytest.mark.server


def test_what_is_predicted_is_what_happens(
    cluster: Cluster, record_testsuite_property: Callable[[str, object], None]
) -> None:
    with Client(cluster.admin) as admin:
        stage = Stage(admin, secrets.token_hex(3))
        try:
            stage.lay()
            paths = graph_of(admin)
            wrong, tried, refused, happened = [], 0, 0, Counter[str]()
            for name, token in stage.tokens.items():
                with Client(as_token(cluster.admin, token)) as client:
                    for it in stage.every(name):
                        tried += 1
                        found, refusal = stage.happens(name, it, client)
                        expected = stage.expected(paths, name, it)
                        happened[it.kind] += found
                        if (
                            expected
                            and not found
                            and it.kind in {"privileged-pods", "hostpath-volume"}
                            and "violates PodSecurity" in refusal
                        ):
                            refused += 1  # and shown as refused, with this reason
                        elif found != expected:
                            what = "false negative" if found else "false positive"
                            wrong.append(f"{what}: {name} {it.kind} {it.namespace[:5]} {it.target}: {refusal[:160]}")
        finally:
            stage.clear()
    record_testsuite_property(
        "escalation", f"{len(stage.tokens)} identities, {len(happened)} kinds, {tried} steps tried"
    )
    assert not wrong, "\n".join(wrong)
    assert len(stage.tokens) >= 25
    assert refused, "namespace b takes no privileged pods"
    never = [kind for kind, times in happened.items() if times < 2]
    assert not never, f"tried by everybody, and nobody could but those who can everything: {never}"


def test_an_audit_tries_each_identitys_first_steps(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Its odd identities are findings as bad as any, which is not what is looked at here.
    audited = FIXTURE.with_name("audited.yaml")
    done = audit(cluster, tmp_path, "--checks", f"--identities={audited}", "--", "-k", "ESCALATION")
    assert done.code == any(it["severity"] in {"high", "critical"} for it in done.matrix()["findings"]), done.output
    assert not [it for it in done.matrix()["checks"] if it["verdict"] in {"fail", "error", "not-evaluated"}]
    found = {it["resource"]: it for it in done.matrix()["checks"] if it["id"] == "ESCALATION-STEP"}
    verdicts = {key: it["verdict"] for key, it in found.items()}
    for step in ("edit/create-pods:own", "edit/token-request:own", "impy/impersonate-group", "binder/bind-cluster"):
        assert verdicts[f"step/{step}"] == "pass", found[f"step/{step}"]
    assert verdicts["step/signer/sign-client"] == "pass"
    assert found["step/hooks/impersonate-user"]["note"] == "REVIEWED: who is impersonated can impersonate nobody"
    assert "refused: no Secret" in found["step/edit/read-secrets:own"]["note"]
    assert {it["identity"] for it in found.values()} == {"edit", "admin", "nodey", "impy", "binder", "signer", "hooks"}
    assert cli.run(["paths", "--run", str(done.directory), "-o", "json"]) == 0
    paths = {it["source"]: it for it in orjson.loads(capsys.readouterr().out)["paths"]}
    assert paths["ServiceAccount {own}/impy"]["proof"] == "proved"
    assert paths["ServiceAccount {own}/binder"]["proof"] == "proved"
    assert paths["User hooks-{run}"]["proof"] == "reviewed"
    assert paths["ServiceAccount {own}/edit"]["steps"][0]["proof"] == "proved"
    assert paths["ServiceAccount {own}/edit"]["proof"] == "inferred"  # the next step is somebody else's
    with Client(cluster.admin) as client:
        left = client.get_json("/apis/certificates.k8s.io/v1/certificatesigningrequests")["items"]
        assert not [it for it in left if it["metadata"]["name"].startswith("kc-")]
