"""The door itself: how subcommands are found, and the code of each way to end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from conformance import __version__, cli, commands
from conformance.errors import ClusterError, ConformanceError, FileError, RunFileError, UsageError

HEAVY = ("kubernetes", "jsonschema", "pycurl", "yaml", "orjson", "cryptography", "pytest", "platformdirs", "filelock")
NAMES = cli.Subcommands().list_commands(click.Context(click.Command("kube-conformance")))


@pytest.fixture
def speaker(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A subcommand `speak` whose work is `act`."""
    module = SimpleNamespace(act=lambda: None)

    @click.command()
    @click.option("--loud", type=int)
    @click.argument("words", nargs=-1)
    def command(loud: int | None, words: tuple[str, ...]) -> object:
        """Speak."""
        del loud, words
        return module.act()

    module.command = command
    monkeypatch.setitem(sys.modules, "conformance.commands.speak", module)
    monkeypatch.setattr(cli.Subcommands, "list_commands", lambda *_: [*NAMES, "speak"])
    return module


def raising(problem: BaseException) -> object:
    def act() -> None:
        raise problem

    return act


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (1, 1), (6, 6)])
def test_what_a_subcommand_returns_is_the_exit_code(speaker: SimpleNamespace, result: int | None, code: int) -> None:
    speaker.act = lambda: result
    assert cli.run(["speak"]) == code


def test_click_s_own_exit_is_heard(speaker: SimpleNamespace) -> None:
    speaker.act = lambda: click.get_current_context().exit(6)
    assert cli.run(["speak"]) == 6


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (ConformanceError("broken"), 3, "error: broken"),
        (UsageError("--context is missing"), 4, "error: --context is missing"),
        (FileError("ids.yaml", 7, "unknown key"), 4, "error: ids.yaml:7: unknown key"),
        (RunFileError("no run"), 4, "error: no run"),
        (ClusterError("GET /version: refused\x1b[2J\nagain"), 5, "error: GET /version: refused\\x1b[2J\\nagain"),
        (KeyboardInterrupt(), 2, "interrupted"),
    ],
)
def test_each_error_is_one_line_and_its_code(
    speaker: SimpleNamespace, capsys: pytest.CaptureFixture[str], problem: BaseException, code: int, said: str
) -> None:
    speaker.act = raising(problem)
    assert cli.run(["speak"]) == code
    captured = capsys.readouterr()
    assert captured.err.strip() == said
    assert captured.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["--no-such-flag"],
        ["speak", "--no-such-flag"],
        ["speak", "--loud", "very"],
        ["speak", "--loud"],
        [],
    ],
)
def test_wrong_usage_is_4(speaker: SimpleNamespace, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert speaker.command
    assert cli.run(arguments) == 4
    assert re.search("Usage: kube-conformance|^Error: ", capsys.readouterr().err)


def test_a_fault_of_ours_is_3_and_leaves_the_traceback_in_a_file(
    speaker: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    speaker.act = raising(KeyError("lost"))
    assert cli.run(["speak", "--", "--debug"]) == 3
    said = capsys.readouterr().err
    (file,) = tmp_path.iterdir()
    assert str(file) in said
    assert "internal error: KeyError: 'lost'" in said
    assert "Traceback" not in said
    assert "Traceback" in file.read_text("utf-8")
    assert f"kube-conformance {__version__}, Python" in file.read_text("utf-8")
    assert file.stat().st_mode & 0o077 == 0


def test_debug_shows_the_traceback_and_leaves_no_file(
    speaker: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    speaker.act = raising(KeyError("lost"))
    assert cli.run(["--debug", "speak"]) == 3
    assert "Traceback" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"kube-conformance {__version__}\n"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_with_2(end: signal.Signals) -> None:
    program = """
        import signal, sys, types, click
        from conformance import cli
        @click.command()
        def command():
            try:
                print("ready", flush=True)
                signal.pause()
            finally:
                print("cleaned up", flush=True)
        sys.modules["conformance.commands.wait"] = types.SimpleNamespace(command=command)
        cli.Subcommands.list_commands = lambda *_: ["wait"]
        sys.argv = ["kube-conformance", "wait"]
        cli.main()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(end)
        assert process.stdout.read() == "cleaned up\n"
        assert process.wait(10) == 2


def test_every_file_is_a_subcommand_with_its_help() -> None:
    files = {file.stem for folder in commands.__path__ for file in Path(folder).glob("*.py")}
    assert {name.replace("-", "_") for name in NAMES} == files - {"__init__"}
    group = cli.Subcommands()
    for name in NAMES:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str(), f"{name} has no help"
        assert "\\b" not in (command.help or ""), f"{name}: click's mark is a backspace, which a raw string spells out"


def test_help_imports_nothing_heavy() -> None:
    program = f"""
        import contextlib, io, sys
        from conformance import cli
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            for arguments in [["--help"], *([name, "--help"] for name in {NAMES})]:
                assert cli.run(arguments) == 0, arguments
                heavy = {set(HEAVY)} & set(sys.modules)
                assert not heavy, (arguments, heavy)
        for word in ("see", "gate", "review", "kube-conformance doctor", *{NAMES}):
            assert word in said.getvalue(), word
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
