from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from conformance import config
from conformance.config import OPTIONS, load, words
from conformance.errors import FileError, UsageError

BAD_VALUES: list[tuple[str, object, str]] = [
    ("cluster", "minikube", "'minikube' is not valid; valid: embedded, kind, kubeconfig"),
    ("mode", "full!", "'full!' is not valid; valid: observe, dry-run, full"),
    ("oracles", "request,rulez", "'rulez' is not valid; valid: request, review, rules"),
    ("oracles", " , ", "names nothing; valid: request, review, rules"),
    ("namespaces", ",", "names nothing"),
    ("qps", "-1", "'-1' is not valid; valid: a number above 0"),
    ("qps", "nan", "'nan' is not valid; valid: a number above 0"),
    ("qps", "inf", "'inf' is not valid; valid: a number above 0"),
    ("qps", "fast", "'fast' is not valid; valid: a number above 0"),
    ("concurrency", "0", "'0' is not valid; valid: a whole number from 1"),
    ("concurrency", "1.5", "'1.5' is not valid; valid: a whole number from 1"),
    ("max-requests", "1e3", "'1e3' is not valid; valid: a whole number from 1"),
    ("plan", "maybe", "'maybe' is not valid; valid: true, false"),
    ("fail-on", "severe", "'severe' is not valid; valid: info, low, medium, high, critical"),
    ("context", "  ", "must be a text"),
]
BAD_TYPES: list[tuple[str, str, str]] = [
    ("qps", "true", "True is not valid; valid: a number above 0"),
    ("concurrency", "true", "True is not valid; valid: a whole number from 1"),
    ("kubernetes-version", "1.40", '1.4 is a number; write it in quotes: "1.4"'),
    ("reports", "7", '7 is a number; write it in quotes: "7"'),
    ("identity", "[1]", "must be a list of texts"),
    ("context", "[]", "must be a text"),
]


def options(folder: Path, environment: dict[str, str] | None = None, **given: object) -> config.Options:
    return load(given, folder=folder, environment=environment or {})


def pyproject(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(f'[project]\nqps = "decoy"\n\n[tool.kube-conformance]\n{text}\n')


def test_the_table_and_the_value_have_the_same_fields() -> None:
    assert [field.name for field in fields(config.Options)] == [*(option.field for option in OPTIONS), "given"]


def test_defaults_are_themselves_valid(tmp_path: Path) -> None:
    nothing_given = options(tmp_path)
    for option in OPTIONS:
        if option.default is None or option.default == ():
            continue
        assert getattr(nothing_given, option.field) == option.read(option.default)


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    pyproject(tmp_path, 'qps = 1\nconcurrency = 2\nmode = "observe"\nfail-on = "low"')
    environment = {"KUBE_CONFORMANCE_QPS": "3", "KUBE_CONFORMANCE_CONCURRENCY": "4", "KUBE_CONFORMANCE_MODE": ""}
    got = options(tmp_path, environment, qps="5", concurrency=None, identity=(), debug=True)
    assert (got.qps, got.concurrency, got.mode, got.fail_on, got.cluster) == (5, 4, "observe", "low", "embedded")
    assert got.given == {"qps"}


@pytest.mark.parametrize("name", ["pyproject.toml", "kube-conformance.yaml"])
def test_every_kind_of_value_can_stand_in_a_file(tmp_path: Path, name: str) -> None:
    settings = {
        "oracles": '["request", "rules"]',
        "namespaces": '"a, b"',
        "identity": '["dev", "ops"]',
        "kubernetes-version": '"1.36"',
        "qps": "2.5",
        "max-requests": "1000",
        "allow-partial": "true",
        "reports": '"out/runs"',
    }
    if name == "pyproject.toml":
        pyproject(tmp_path, "\n".join(f"{key} = {value}" for key, value in settings.items()))
    else:
        (tmp_path / name).write_text("\n".join(f"{key}: {value}" for key, value in settings.items()))
    got = options(tmp_path)
    assert got.oracles == ("request", "rules")
    assert got.namespaces == ("a", "b")
    assert got.identity == ("dev", "ops")
    assert (got.kubernetes_version, got.qps, got.max_requests, got.allow_partial) == ("1.36", 2.5, 1000, True)
    assert got.reports == Path("out/runs")


@pytest.mark.parametrize(("name", "raw", "problem"), BAD_VALUES)
def test_a_bad_value_is_named_with_its_source(tmp_path: Path, name: str, raw: str, problem: str) -> None:
    with pytest.raises(UsageError) as flag:
        load({name.replace("-", "_"): raw}, folder=tmp_path, environment={})
    assert str(flag.value) == f"--{name}: {problem}"
    variable = f"KUBE_CONFORMANCE_{name.replace('-', '_').upper()}"
    with pytest.raises(UsageError) as environment:
        options(tmp_path, {variable: raw})
    assert str(environment.value) == f"{variable}: {problem}"
    pyproject(tmp_path, f'# {name}\n{name} = "{raw}"')
    with pytest.raises(FileError) as file:
        options(tmp_path)
    assert str(file.value) == f"{tmp_path / 'pyproject.toml'}:6: {name}: {problem}"


@pytest.mark.parametrize("name", ["pyproject.toml", "kube-conformance.yaml"])
@pytest.mark.parametrize(("key", "raw", "problem"), BAD_TYPES)
def test_a_value_of_the_wrong_type_is_named(tmp_path: Path, name: str, key: str, raw: str, problem: str) -> None:
    if name == "pyproject.toml":
        pyproject(tmp_path, f"{key} = {raw}")
        line = 5
    else:
        (tmp_path / name).write_text(f"# ours\n\n{key}: {raw}\n")
        line = 3
    with pytest.raises(FileError) as error:
        options(tmp_path)
    assert str(error.value) == f"{tmp_path / name}:{line}: {key}: {problem}"


@pytest.mark.parametrize("name", ["pyproject.toml", "kube-conformance.yaml"])
def test_an_unknown_key_names_the_valid_ones(tmp_path: Path, name: str) -> None:
    if name == "pyproject.toml":
        pyproject(tmp_path, "qps = 1\nspeed = 3")
        line = 6
    else:
        (tmp_path / name).write_text("qps: 1\nspeed: 3\n")
        line = 2
    with pytest.raises(FileError, match="unknown key 'speed'; valid: cluster, kubeconfig") as error:
        options(tmp_path)
    assert error.value.line == line


@pytest.mark.parametrize(
    "text",
    ["qps: [", "- qps", "just a text", "qps: 1\nqps: 2\n", "qps: 1\n---\nqps: 2\n", "qps: !!python/name:os.system\n"],
)
def test_a_yaml_file_that_is_no_mapping_of_settings_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "kube-conformance.yaml").write_text(text)
    with pytest.raises(FileError) as error:
        options(tmp_path)
    assert error.value.file == str(tmp_path / "kube-conformance.yaml")


def test_an_empty_yaml_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "kube-conformance.yaml").write_text("# nothing yet\n")
    assert options(tmp_path) == load({}, folder=tmp_path / "elsewhere", environment={})


def test_broken_toml_is_only_our_business_when_it_speaks_of_us(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool\n")
    options(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.kube-conformance\n")
    with pytest.raises(FileError):
        options(tmp_path)


def test_settings_in_both_files_are_a_mistake(tmp_path: Path) -> None:
    pyproject(tmp_path, "qps = 1")
    (tmp_path / "kube-conformance.yaml").write_text("qps: 2")
    with pytest.raises(FileError, match="keep one"):
        options(tmp_path)


def test_click_flags_come_from_the_table(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    @click.command()
    @config.flags()
    def command(**flags: object) -> None:
        seen.update(flags)

    result = CliRunner().invoke(command, ["--identity", "a", "--identity", "b", "--no-plan", "--qps", "7"])
    assert result.exit_code == 0, result.output
    got = options(tmp_path, {"KUBE_CONFORMANCE_PLAN": "1"}, **seen)
    assert (got.identity, got.plan, got.qps) == (("a", "b"), False, 7)
    assert got.given == {"identity", "plan", "qps"}
    text = CliRunner().invoke(command, ["--help"], terminal_width=200).output
    assert all(f"--{option.name}" in text for option in OPTIONS)
    assert "embedded|kind|kubeconfig" in text
    assert "[default: request,review,rules]" in text


def test_pytest_flags_come_from_the_table(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from conformance import config

        def pytest_addoption(parser):
            config.add_pytest_flags(parser.getgroup("conformance"), "identity", "plan", "qps", "fail-on")

        def pytest_report_header(config):
            from conformance.config import from_pytest, load
            got = load(from_pytest(config), environment={})
            return f"got {got.identity} {got.plan} {got.qps} {sorted(got.given)}"
        """
    )
    result = pytester.runpytest_inprocess(
        *("-p", "no:kube-conformance"),
        *("--conformance-identity=a", "--conformance-identity=b", "--conformance-plan", "--conformance-qps=7"),
    )
    result.stdout.fnmatch_lines(["got ('a', 'b') True 7.0 *'identity', 'plan', 'qps'*"])


def test_the_module_costs_nothing() -> None:
    code = (
        "import sys, conformance.config;"
        " heavy = {'click', 'yaml', 'kubernetes', 'pycurl', 'orjson'} & set(sys.modules);"
        " sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_options_are_spelled_as_the_flags_that_gave_them() -> None:
    given = {"context": "a b", "identity": ["x", "y"], "oracles": "rules,review", "allow_partial": True, "qps": 5}
    options = load(given, folder=Path("/nonexistent"), environment={})
    assert words(options, "qps") == (
        *("--context", "a b", "--identity", "x", "--identity", "y", "--oracles", "rules,review", "--allow-partial"),
    )
    assert words(load({}, folder=Path("/nonexistent"), environment={})) == ()
