"""The options of an audit: each written once, and read from defaults, file, environment and flags, the last winning.

The file is `[tool.kube-conformance]` of pyproject.toml or kube-conformance.yaml in the working directory (one of them),
its keys are the flags without dashes in front; the environment has `KUBE_CONFORMANCE_FAIL_ON` for `--fail-on`.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from conformance.errors import FileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pytest

PYPROJECT = "pyproject.toml"
YAML = "kube-conformance.yaml"
GATE = "gate"  # a key whose value is no option, but the gate's policy
PREFIX = "KUBE_CONFORMANCE_"
WORKER_KEY = "kube_conformance"  # under which a pytest worker gets its work

Kind = Literal["text", "path", "choice", "list", "number", "count", "switch"]
Value = str | Path | float | int | bool | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Options:
    """What the user wants of an audit; a None leaves the choice to what the cluster is."""

    cluster: str
    kubeconfig: Path | None
    context: str | None
    kubernetes_version: str | None
    pod_image: str | None
    identities: Path | None
    identity: tuple[str, ...]
    mode: str | None
    oracles: tuple[str, ...]
    namespaces: tuple[str, ...]
    qps: float | None
    concurrency: int | None
    max_requests: int | None
    plan: bool
    objects: Path | None
    checks: bool
    expectations: Path | None
    baseline: Path | None
    waivers: Path | None
    fail_on: str
    risks: Path | None
    exclusions: Path | None
    allow_partial: bool
    reports: Path
    allow_unpinned: bool
    given: frozenset[str] = (
        frozenset()
    )  # fields that the command line itself named: mode full may have to be among them


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `name` as its flag and key spell it. A list with `repeated` is a flag given several times."""

    name: str
    kind: Kind
    default: Value
    help: str
    values: tuple[str, ...] = ()
    metavar: str | None = None
    repeated: bool = False

    @property
    def field(self) -> str:
        """The name of the field of Options."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The name of the environment variable."""
        return PREFIX + self.field.upper()

    def read(self, raw: object) -> Value:
        """Make the value out of what a file, the environment or a flag gave; a ValueError says what would be valid."""
        return _READERS[self.kind](self, raw)


OPTIONS = (
    Option(
        "cluster",
        "choice",
        "embedded",
        "Where the cluster comes from: a disposable control plane, kind, or what a kubeconfig points at.",
        ("embedded", "kind", "kubeconfig"),
    ),
    Option("kubeconfig", "path", None, "The kubeconfig file; else KUBECONFIG, else the usual place.", metavar="FILE"),
    Option(
        "context",
        "text",
        None,
        "The context of the kubeconfig, which has to be named (`current` takes the current one); or the name of a"
        " disposable cluster that `cluster up` started.",
        metavar="NAME",
    ),
    Option(
        "kubernetes-version",
        "text",
        None,
        "The Kubernetes version of a disposable cluster, as 1.37 or 1.37.2; else the one that is pinned here.",
        metavar="VERSION",
    ),
    Option(
        "pod-image",
        "text",
        None,
        "An image with a shell that the nodes can run, for checks that need pods; kind clusters of ours have one.",
        metavar="IMAGE",
    ),
    Option(
        "identities",
        "path",
        None,
        "A file of identities, or `discovered`: everybody whom a binding names; else the packaged set.",
        metavar="FILE",
    ),
    Option(
        "identity",
        "list",
        (),
        "Only the identity of this name; may be given several times.",
        metavar="NAME",
        repeated=True,
    ),
    Option(
        "mode",
        "choice",
        None,
        "How far probes may go; else full on a cluster that we created and dry-run on any other.",
        ("observe", "dry-run", "full"),
    ),
    Option(
        "oracles",
        "list",
        ("request", "review", "rules"),
        "The opinions that are asked for, with commas.",
        ("request", "review", "rules"),
        metavar="NAMES",
    ),
    Option(
        "namespaces",
        "list",
        ("bound",),
        "Namespaces with commas; `bound`: those with a binding of a chosen identity and one without; `all`.",
        metavar="NAMES",
    ),
    Option("qps", "number", None, "Requests a second at most; else 50 on a cluster that is not ours."),
    Option("concurrency", "count", None, "Requests in flight at most; else 8 on a cluster that is not ours."),
    Option("max-requests", "count", None, "Requests of the whole run at most; what is left is not evaluated."),
    Option("plan", "switch", default=False, help="Say what would be sent, and stop."),
    Option(
        "objects",
        "path",
        None,
        "A folder of smallest objects, for kinds whose schema does not say enough.",
        metavar="FOLDER",
    ),
    Option("checks", "switch", default=True, help="Hold the API contract's checks; else the matrix of access alone."),
    Option(
        "expectations",
        "path",
        None,
        "A file of what identities and subjects must or must not be allowed; each line is an item.",
        metavar="FILE",
    ),
    Option(
        "baseline",
        "path",
        None,
        "The accepted run that this one is compared with: what fails there, too, is no failure.",
        metavar="RUN",
    ),
    Option(
        "waivers",
        "path",
        None,
        "A file of accepted failures and differences, each with reason, owner and last day.",
        metavar="FILE",
    ),
    Option(
        "fail-on",
        "choice",
        "high",
        "The least severity of a finding that fails the run.",
        ("info", "low", "medium", "high", "critical"),
    ),
    Option("risks", "path", None, "A folder of risk rules of your own, one file each.", metavar="FOLDER"),
    Option("exclusions", "path", None, "A file of accepted findings, each with its reason.", metavar="FILE"),
    Option("allow-partial", "switch", default=False, help="Let a run pass that could not evaluate everything."),
    Option("reports", "path", Path("reports"), "The folder that runs are written to.", metavar="FOLDER"),
    Option(
        "allow-unpinned",
        "switch",
        default=False,
        help="Let release binaries be downloaded whose checksum is not pinned here.",
    ),
)
_BY_NAME = {option.name: option for option in OPTIONS}


# --- reading one value ------------------------------------------------------------------------------------------------


def _text(_: Option, raw: object) -> str:
    if isinstance(raw, int | float):
        raise ValueError(f'{raw} is a number; write it in quotes: "{raw}"')  # noqa: TRY004  # all reasons are one kind
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError("must be a text")
    return raw.strip()


def _path(option: Option, raw: object) -> Path:
    return raw if isinstance(raw, Path) else Path(_text(option, raw)).expanduser()


def _choice(option: Option, raw: object) -> str:
    if raw not in option.values:
        raise ValueError(f"{raw!r} is not valid; valid: {', '.join(option.values)}")
    return str(raw)


def _list(option: Option, raw: object) -> tuple[str, ...]:
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise ValueError("must be a list of texts")
    names = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not names:
        raise ValueError("names nothing" + (f"; valid: {', '.join(option.values)}" if option.values else ""))
    for name in names:
        if option.values:
            _choice(option, name)
    return names


def _number(_: Option, raw: object) -> float:
    try:
        number = float("nan") if isinstance(raw, bool) else float(raw)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 < number < float("inf"):
        raise ValueError(f"{raw!r} is not valid; valid: a number above 0")
    return number


def _count(_: Option, raw: object) -> int:
    if isinstance(raw, bool) or not re.fullmatch(r"0*[1-9][0-9]*", str(raw)):
        raise ValueError(f"{raw!r} is not valid; valid: a whole number from 1")
    return int(str(raw))


_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _switch(_: Option, raw: object) -> bool:
    value = _SWITCH.get(str(raw).lower())
    if value is None:
        raise ValueError(f"{raw!r} is not valid; valid: true, false")
    return value


_READERS: dict[Kind, Callable[[Option, object], Value]] = {
    "text": _text,
    "path": _path,
    "choice": _choice,
    "list": _list,
    "number": _number,
    "count": _count,
    "switch": _switch,
}


# --- where values come from -------------------------------------------------------------------------------------------


def load(
    flags: Mapping[str, object], *, folder: Path | None = None, environment: Mapping[str, str] = os.environ
) -> Options:
    """Merge defaults, the file in `folder` (else the working directory), environment and flags, by field.

    A flag that is None (or an empty tuple) was not given; flags that are no options of an audit are passed over.
    """
    values: dict[str, Any] = {option.field: option.default for option in OPTIONS}
    values |= _from_file(folder or Path())
    for option in OPTIONS:
        if raw := environment.get(option.variable):
            values[option.field] = _read(option, raw, option.variable)
    given = [option for option in OPTIONS if flags.get(option.field) not in (None, ())]
    for option in given:
        values[option.field] = _read(option, flags[option.field], f"--{option.name}")
    return Options(**values, given=frozenset(option.field for option in given))


def _read(option: Option, raw: object, source: str) -> Value:
    try:
        return option.read(raw)
    except ValueError as problem:
        raise UsageError(f"{source}: {problem}") from None


def _from_file(folder: Path) -> dict[str, Value]:
    """Read the settings of the working directory's file; two files that both have some are a mistake."""
    pyproject, own = folder / PYPROJECT, folder / YAML
    entries = list(_toml(pyproject)) if pyproject.is_file() else []
    source = pyproject
    entries = [entry for entry in entries if entry[0] != GATE]
    if own.is_file():
        if entries:
            raise FileError(own, None, f"settings stand here and in [tool.kube-conformance] of {PYPROJECT}; keep one")
        entries, source = [entry for entry in _yaml(own) if entry[0] != GATE], own
    values: dict[str, Value] = {}
    for key, raw, line in entries:
        option = _BY_NAME.get(key)
        if option is None:
            raise FileError(source, line, f"unknown key {key!r}; valid: {', '.join((*_BY_NAME, GATE))}")
        try:
            values[option.field] = option.read(raw)
        except ValueError as problem:
            raise FileError(source, line, f"{key}: {problem}") from None
    return values


def gate_rules(folder: Path | None = None) -> tuple[object, Path, int | None]:
    """Give the setting `gate` of the working directory's file as it stands there, None where there is none."""
    pyproject, own = (folder or Path()) / PYPROJECT, (folder or Path()) / YAML
    for file, entries in ((own, _yaml), (pyproject, _toml)):
        if file.is_file():
            for key, raw, line in entries(file):
                if key == GATE:
                    return raw, file, line
    return None, own, None


def _toml(file: Path) -> Iterable[tuple[str, object, int | None]]:
    """Give key, value and line of each setting of pyproject.toml's table."""
    text = file.read_text(encoding="utf-8")
    try:
        table = tomllib.loads(text).get("tool", {}).get("kube-conformance", {})
    except tomllib.TOMLDecodeError as problem:
        if "kube-conformance" not in text:
            return  # somebody else's broken file says nothing to us
        raise FileError(file, None, str(problem)) from None
    # tomllib keeps no lines: the key's first line after the table's heading is where the user has to look.
    lines = text.splitlines()
    heading = re.compile(r"\s*\[\s*tool\s*\.\s*[\"']?kube-conformance[\"']?\s*\]")
    start = next((number for number, line in enumerate(lines) if heading.match(line)), 0)
    for key, raw in table.items():
        wanted = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
        yield key, raw, next((n for n, line in enumerate(lines[start:], start + 1) if wanted.match(line)), None)


def _yaml(file: Path) -> Iterable[tuple[str, object, int | None]]:
    """Give key, value and line of each setting of a YAML file; one of comments alone has none."""
    from conformance import yamlfile  # noqa: PLC0415  # who has no such file does not wait for the parser

    if all(line.lstrip().startswith("#") or not line.strip() for line in file.read_text("utf-8").splitlines()):
        return
    for key, node in yamlfile.read(file).pairs().items():
        yield key, (yamlfile.tree if key == GATE else yamlfile.plain)(node), node.line


# --- flags ------------------------------------------------------------------------------------------------------------


def flags(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a click command with the flags of these options, all of them when none is named."""
    import click  # noqa: PLC0415  # the pytest plugin uses this module without click

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed([_BY_NAME[name] for name in names] or OPTIONS):
            flag = f"--{option.name}"
            function = click.option(
                f"{flag}/--no-{option.name}" if option.kind == "switch" else flag,
                option.field,
                default=None,
                multiple=option.repeated,
                metavar="|".join(option.values)
                if option.kind == "choice"
                else option.metavar or _METAVARS.get(option.kind),
                help=_help(option),
            )(function)
        return function

    return decorate


def words(options: Options, *left_out: str) -> tuple[str, ...]:
    """Spell options as flags, but for those that have their default and those that are `left_out`."""
    found: list[str] = []
    for option in OPTIONS:
        value = getattr(options, option.field)
        if value == option.default or option.name in left_out:
            continue
        if option.kind == "switch":
            found.append(f"--{option.name}" if value else f"--no-{option.name}")
            continue
        values = value if option.repeated else (",".join(value) if isinstance(value, tuple) else value,)
        found += [word for each in values for word in (f"--{option.name}", str(each))]
    return tuple(found)


def add_pytest_flags(group: pytest.OptionGroup, *names: str) -> None:
    """Add `--conformance-NAME` of these options, all when none is named, to a group of pytest's own options."""
    import argparse  # noqa: PLC0415  # like click above

    for option in [_BY_NAME[name] for name in names] or OPTIONS:
        flag, destination = f"--conformance-{option.name}", f"conformance_{option.field}"
        text = _help(option).replace("%", "%%")
        if option.kind == "switch":
            group.addoption(flag, dest=destination, default=None, action=argparse.BooleanOptionalAction, help=text)
        else:
            action = "append" if option.repeated else "store"
            group.addoption(flag, dest=destination, default=None, action=action, metavar=option.metavar, help=text)


def from_pytest(config: pytest.Config) -> dict[str, object]:
    """Give the flags that pytest was called with, as load() takes them."""
    return {option.field: config.getoption(f"conformance_{option.field}", None) for option in OPTIONS}


_METAVARS = {"number": "NUMBER", "count": "NUMBER"}


def _help(option: Option) -> str:
    if option.kind == "switch" or option.default in (None, ()):
        return option.help
    default = ",".join(option.default) if isinstance(option.default, tuple) else option.default
    return f"{option.help} [default: {default}]"
