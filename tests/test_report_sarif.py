from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

import official_sarif
import pytest
import yaml
from click.testing import CliRunner
from matrices import hostile, realistic, small

from conformance.cli import group as cli
from conformance.report.sarif import render

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Matrix

ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {name}
rules:
- apiGroups: [""]
  resources: [secrets]
  verbs: [list]
"""
BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {name}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}
subjects:
- {{apiGroup: rbac.authorization.k8s.io, kind: Group, name: {name}}}
"""


@pytest.mark.parametrize("matrix", [small(), hostile(), realistic()], ids=["small", "hostile", "realistic"])
def test_it_is_valid_against_the_official_schema(matrix: Matrix) -> None:
    official_sarif.validate(json.loads(render(matrix)))


def test_a_finding_is_a_result_with_its_rule() -> None:
    run = json.loads(render(small()))["runs"][0]
    rules, results = run["tool"]["driver"]["rules"], run["results"]
    assert [rule["id"] for rule in rules] == ["read-secrets", "exec"]
    assert [(result["ruleId"], result["ruleIndex"], result["level"]) for result in results] == [
        ("read-secrets", 0, "error"),
        ("exec", 1, "note"),
    ]
    assert results[0]["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "v1/pods:get [view]"
    steps = results[0]["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [step["location"]["message"]["text"] for step in steps][1] == "RoleBinding audit-own/view"


def test_a_fingerprint_holds_across_runs_and_differs_between_findings() -> None:
    first = json.loads(render(small()))["runs"][0]["results"]
    again = json.loads(render(replace(small(), findings=small().findings[::-1])))["runs"][0]["results"]
    prints = [result["partialFingerprints"]["finding/v1"] for result in first]
    assert prints == [result["partialFingerprints"]["finding/v1"] for result in again][::-1]
    assert len(set(prints)) == 2


def test_links_and_placeholders_of_the_cluster_are_text() -> None:
    texts = [result["message"]["text"] for result in json.loads(render(hostile()))["runs"][0]["results"]]
    assert any("\\[x\\](javascript:alert(1))" in text for text in texts)
    assert any("{{0}}" in text for text in texts)
    assert not any("\x1b" in text or "\u202e" in text for text in texts)


def test_a_finding_of_manifests_names_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `risks -f` writes is official SARIF, and its places are where the objects begin, as grep counts."""
    below = tmp_path / "ein Ordner" / "#1%"
    below.mkdir(parents=True)
    odd = r"{0}\u202e[c](d)"
    items = [yaml.safe_load(text.format(name='"' + odd + '"')) for text in (ROLE, BINDING)]
    made = {
        below / "beides.yaml": f"# two of them\n---\n{ROLE.format(name='a')}---\n\n{BINDING.format(name='a')}",
        tmp_path / "b.yaml": f"kind: List\napiVersion: v1\nitems:\n{_item(ROLE)}{_item(BINDING)}",
        tmp_path / "c.json": json.dumps({"kind": "List", "items": items}, indent=2),
    }
    for file, text in made.items():
        file.write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["risks", "-f", ".", "-o", "sarif", "--rule", "SECRETS-READ"], standalone_mode=False)
    assert done.exception is None
    document = json.loads(done.stdout_bytes)
    official_sarif.validate(document)
    found = {}
    for result in document["runs"][0]["results"]:
        place = result["locations"][0]["physicalLocation"]
        file = tmp_path / unquote(place["artifactLocation"]["uri"])
        assert "#" not in place["artifactLocation"]["uri"]
        found[file] = place["region"]["startLine"]
    assert set(found) == set(made)
    for file, line in found.items():
        lines = file.read_text("utf-8").splitlines()
        # The role is what is dangerous: its object begins at that line, in JSON with a bracket.
        assert any("Role" in it and "Binding" not in it for it in lines[line - 1 : line + 3]), (file, line)
        assert lines[line - 1].strip(" -").startswith(("apiVersion", "{")), (file, line)


def _item(text: str) -> str:
    return "- " + text.format(name="b").replace("\n", "\n  ").rstrip(" ")
