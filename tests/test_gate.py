"""The decision: defaults, a team's policy, waivers, one run by itself; and the command's exit codes."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import matrices
import official_sarif
import orjson
import pytest
from moments_made import changes, moment

from conformance import cli, gate, moments
from conformance.compare import change_of, differs
from conformance.errors import FileError
from conformance.gate import Terms
from conformance.model import Answer, Verdict
from conformance.policy import rules, waivers
from conformance.policy.waivers import Waiver, Waivers
from conformance.report import differences

if TYPE_CHECKING:
    from conformance.model import Difference

TODAY = dt.date(2026, 12, 1)


def _one(change: str, severity: str = "high", kind: str = "api", subject: str = "apps/v1/things") -> Difference:
    return differs(change, subject, kind, severity, "something", identity="alice")


DEFAULTS = [
    (_one("api-gone", "critical"), "fail"),
    (_one("api-gone", "high"), "fail"),
    (_one("api-gone", "medium"), "warn"),
    (_one("api-new", "info"), "pass"),
    (_one("field-required", "high", "schema"), "fail"),
    (_one("field-gone", "high", "schema"), "warn"),
    (_one("permission-lost", "high", "permission"), "fail"),
    (_one("permission-lost", "medium", "permission"), "warn"),
    (_one("permission-gained", "high", "permission"), "fail"),
    (_one("permission-gained", "low", "permission"), "pass"),
    (_one("check-failed", "high", "behaviour"), "fail"),
    (_one("unknown", "medium", "permission"), "fail"),
    (_one("finding-new", "critical", "risk"), "fail"),
    (_one("finding-new", "medium", "risk"), "warn"),
    (_one("crd-version-unserved", "high", "cluster"), "fail"),
    (_one("webhook-without-endpoints", "high", "cluster"), "warn"),
]


@pytest.mark.parametrize(("difference", "outcome"), DEFAULTS)
def test_defaults(difference: Difference, outcome: str) -> None:
    decided = gate.decide([difference], Terms())
    assert [it.outcome for it in decided.differences or ()] == [outcome]
    assert decided.passed is (outcome != "fail")
    assert change_of(difference) in decided.reason or outcome != "fail"


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"outcome": "pass", "kind": "api"}, "pass"),
        ({"outcome": "warn", "group": "apps"}, "warn"),
        ({"outcome": "warn", "group": "core"}, "fail"),
        ({"outcome": "warn", "identity": "ali*"}, "warn"),
        ({"outcome": "warn", "identity": "bob"}, "fail"),
        ({"outcome": "warn", "severity": "critical"}, "fail"),
        ({"outcome": "warn", "severity": "high"}, "warn"),
        ({"outcome": "warn", "change": "api-*"}, "warn"),
    ],
)
def test_a_policy_comes_before_the_defaults(rule: dict[str, str], outcome: str, tmp_path: Path) -> None:
    terms = Terms(rules=rules.read([rule], tmp_path, 1))
    assert [it.outcome for it in gate.decide([_one("api-gone")], terms).differences or ()] == [outcome]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"outcome": "maybe"}, "gate[1].outcome: 'maybe' is not valid; valid: one of fail, warn, pass"),
        ({"kind": "api"}, "gate[1]: has to be a mapping with the key outcome"),
        ({"outcome": "fail", "kinds": "api"}, "gate[1]: unknown key 'kinds'; valid keys: outcome, kind, severity"),
        ({"outcome": "fail", "severity": "bad"}, "valid: one of critical, high, medium, low, info"),
    ],
)
def test_a_wrong_policy_says_where(entry: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(FileError) as problem:
        rules.read([entry], tmp_path / "kube-conformance.yaml", 7)
    assert words in str(problem.value)
    assert "kube-conformance.yaml:7" in str(problem.value)


def _waiver(pattern: str, until: dt.date = TODAY) -> Waiver:
    return Waiver(pattern, "agreed", "team", until, "waivers.yaml", 3)


@pytest.mark.parametrize(
    ("pattern", "until", "outcome", "complaint"),
    [
        ("api-gone:apps/v1/things", TODAY, "waived", ""),
        ("api-gone:*", TODAY, "waived", ""),
        ("api-gone:*", TODAY - dt.timedelta(days=1), "fail", "expired on 2026-11-30: it waives nothing"),
        ("api-gone:core/*", TODAY, "fail", "is not needed"),
    ],
)
def test_waivers(pattern: str, until: dt.date, outcome: str, complaint: str) -> None:
    terms = Terms(waivers=Waivers([_waiver(pattern, until)], TODAY))
    decided = gate.decide([_one("api-gone")], terms)
    (only,) = decided.differences or ()
    assert only.outcome == outcome
    assert only.waiver == ("agreed (team, until 2026-12-01)" if outcome == "waived" else "")
    assert [complaint in said for said in terms.waivers.complaints()] == ([True] if complaint else [])
    assert ("1 waiver expired or unused" in decided.reason) is bool(complaint)


@pytest.mark.parametrize("missing", ["id", "reason", "owner", "until"])
def test_a_waiver_says_everything(missing: str, tmp_path: Path) -> None:
    lines = {"id": "x", "reason": "y", "owner": "z", "until": "2027-01-31"}
    del lines[missing]
    file = tmp_path / "waivers.yaml"
    file.write_text("waivers:\n  - " + "\n    ".join(f"{key}: {value}" for key, value in lines.items()), "utf-8")
    with pytest.raises(FileError, match=f"waivers.yaml:2: .*the key '{missing}' is missing"):
        waivers.load(file)


def test_what_is_written_reads_back_and_says_little_when_one_is_added(tmp_path: Path) -> None:
    two = [_waiver("b[x]*"), _waiver('a: "quoted"')]
    file = tmp_path / "waivers.yaml"
    file.write_text(text := waivers.write(two), "utf-8")
    assert {(it.id, it.until) for it in waivers.load(file)} == {(it.id, it.until) for it in two}
    assert waivers.load(file)[1].covers("b[x]y")
    more = waivers.write([*two, _waiver("c")])
    assert more.startswith(text)  # an addition is new lines and no others
    assert [waivers.restore(waivers.dump(it)) for it in two] == two


def test_a_run_by_itself() -> None:
    good = matrices.small()
    cells = tuple(replace(cell, verdict=Verdict.PASS) for cell in good.cells)
    clean = replace(good, cells=cells, checks=(), findings=(), run=replace(good.run, complete=True))
    assert gate.of_one(moment(matrix=clean), Terms()).passed
    bad = replace(clean, cells=(replace(cells[0], verdict=Verdict.FAIL, note="differ"), *cells[1:]))
    decided = gate.of_one(moment(matrix=bad), Terms())
    assert not decided.passed
    assert "1 cell-failed" in decided.reason
    partial = replace(clean, run=replace(clean.run, complete=False))
    assert not gate.of_one(moment(matrix=partial), Terms()).passed
    assert gate.of_one(moment(matrix=partial), Terms(allow_partial=True)).passed


def test_verdicts_and_findings_of_two_runs() -> None:
    one = matrices.small()
    passed = replace(one, checks=tuple(replace(it, verdict=Verdict.PASS) for it in one.checks), findings=())
    failed = replace(one, checks=tuple(replace(it, verdict=Verdict.FAIL, level="MUST") for it in one.checks))
    decided = gate.of_two(moment(matrix=passed), moment(matrix=failed), Terms())
    told = {change_of(it) for it in decided.differences or ()}
    assert {"check-failed", "finding-new"} <= told
    assert {"check-passed", "finding-gone"} <= changes(moment(matrix=failed), moment(matrix=passed))
    assert any(cell.effective is Answer.UNKNOWN for cell in one.cells) == ("unknown" in told)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Give the folders of two snapshots: in the second an API that was in use is gone."""
    monkeypatch.chdir(tmp_path)
    import catalogs  # noqa: PLC0415

    both = moment(catalogs.resource("things"), catalogs.resource("others"))
    for name, made in (("before", both), ("after", moment(catalogs.resource("things")))):
        moments.write(tmp_path / name, made.snapshot, {}, {}, taken_at="2026-12-01T00:00:00Z", run=None)
    return "before", "after"


def test_the_command_decides(sides: tuple[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["compare", *sides]) == 0
    assert cli.run(["gate", *sides]) == 1
    assert "The gate says no: 1 of 1 difference fails (1 api-gone)." in capfd.readouterr().out
    assert cli.run(["gate", sides[0], sides[0]]) == 0
    assert cli.run(["gate", sides[1], "--baseline", sides[0]]) == 1
    assert cli.run(["gate"]) == 4
    assert cli.run(["gate", "nowhere"]) == 4
    assert cli.run(["gate", *sides, "-o", "pdf"]) == 4


def test_waivers_are_made_and_added(sides: tuple[str, str], tmp_path: Path) -> None:
    agreed = ["--owner", "team", "--until", "2999-01-31"]
    assert cli.run(["gate", "init", *sides, *agreed]) == 0
    assert cli.run(["gate", *sides, "--waivers", "waivers.yaml"]) == 0
    assert cli.run(["gate", "init", *sides, *agreed]) == 4  # it may hold what people wrote
    assert cli.run(["gate", "accept", "x:*", "--reason", "why", *agreed]) == 0
    assert len(waivers.load(tmp_path / "waivers.yaml")) == 2
    (tmp_path / "bad.yaml").write_text("waivers: [{id: x, reason: y, until: 2027-01-01}]", "utf-8")
    assert cli.run(["gate", *sides, "--waivers", "bad.yaml"]) == 4


def test_the_configuration_holds_the_policy(sides: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "kube-conformance.yaml"
    file.write_text("gate:\n  - outcome: pass\n    change: api-gone\n", "utf-8")
    assert cli.run(["gate", *sides]) == 0
    file.write_text("gate:\n  - outcome: never\n", "utf-8")
    assert cli.run(["gate", *sides]) == 4
    file.unlink()
    (tmp_path / "pyproject.toml").write_text('[tool.kube-conformance]\ngate = [{outcome = "pass"}]\n', "utf-8")
    assert cli.run(["gate", *sides]) == 0


def test_every_format(sides: tuple[str, str], tmp_path: Path) -> None:
    for name in differences.formats():
        assert cli.run(["gate", *sides, "-o", name, "--to", f"out.{name}"]) == 1
        content = (tmp_path / f"out.{name}").read_bytes()
        assert b"api-gone" in content
        assert cli.run(["gate", *sides, "-o", name, "--to", f"again.{name}"]) == 1
        assert (tmp_path / f"again.{name}").read_bytes() == content
    schema = orjson.loads((Path(gate.__file__).parent / "schema" / "differences.schema.json").read_bytes())
    jsonschema.validate(orjson.loads((tmp_path / "out.json").read_bytes()), schema)
    official_sarif.validate(orjson.loads((tmp_path / "out.sarif").read_bytes()))


def test_hostile_words_act_on_nobody() -> None:
    said = "<img src=x>\x1b[2J | [a](b) \u202e"
    evil = differs("api-gone", "<script>\x1b[2J|`", "api", "critical", said, affected=["=1"])
    found = gate.decide([evil], Terms())
    comparison = differences.Comparison(found, ("a<b>", "v1\x1b", "t"), ("b", "v", "t"))
    for name, form in differences.formats().items():
        text = form.render(comparison).decode()
        assert "\x1b" not in text, name
        assert name == "json" or "\u202e" not in text, name
        assert name != "html" or "<img" not in text
        if name == "sarif":
            official_sarif.validate(orjson.loads(text))
        assert name != "markdown" or "[a](" not in text
