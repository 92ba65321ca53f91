"""Credential plugins: real programs, what they are told, what they give, and what is said when they fail."""

from __future__ import annotations

import json
import os
import pickle
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from kubeconfigs import DEFAULT, SECRET, SERVER, V1, access_of, b64, server_of, token_of, told, whoami, write

from conformance.clusters import execplugin, pki
from conformance.errors import ClusterError, FileError
from conformance.transport import Client

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster

SCRIPT = """\
#!{python}
import json, os, pathlib, sys
here = pathlib.Path(sys.argv[0]).parent
with (here / "told").open("a") as file:
    file.write(os.environ["KUBERNETES_EXEC_INFO"] + "\\n")
assert os.environ["FROM_KUBECONFIG"] == "yes" and sys.argv[1:] == ["get", "it"]
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
answer = sys.stdin.readline().strip()
if info["spec"]["interactive"]:
    sys.stderr.write(f"you said {{answer}}\\n")
status = json.loads((here / "status").read_text())
print(json.dumps({{"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": status}}))
"""


class Script:
    """A plugin beside the kubeconfig: what it gives can be changed, what it was told can be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "plugins"
        self.folder.mkdir()
        program = self.folder / "give"
        program.write_text(SCRIPT.format(python=sys.executable))
        program.chmod(0o700)

    def user(self, **keys: Any) -> dict[str, Any]:
        environment = [{"name": "FROM_KUBECONFIG", "value": "yes"}]
        plugin = {"apiVersion": V1, "command": "./plugins/give", "args": ["get", "it"], "env": environment}
        return {"exec": plugin | {"interactiveMode": "Never"} | keys}

    def gives(self, **status: Any) -> None:
        (self.folder / "status").write_text(json.dumps(status))

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "told").read_text().splitlines()]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@pytest.mark.server
@pytest.mark.parametrize("version", execplugin.VERSIONS)
def test_a_token_is_shown_until_it_lapses(cluster: Cluster, tmp_path: Path, script: Script, version: str) -> None:
    script.gives(token="stale", expirationTimestamp="2020-01-01T00:00:00Z")
    access = access_of(write(tmp_path, server_of(cluster), script.user(apiVersion=version)))
    assert access.expires is not None
    assert access.expires < time.time()
    script.gives(token=token_of(cluster), expirationTimestamp="2999-01-01T00:00:00.123456789+01:00")
    with Client(access) as client:
        assert told(client)[0] == DEFAULT  # it had lapsed, so the plugin was run before the request
        assert told(client)[0] == DEFAULT
        assert client.access.expires is not None
        assert client.access.expires > time.time() + 3600
    assert len(script.told()) == 2


@pytest.mark.server
def test_a_token_that_the_server_refuses_is_asked_for_again_in_any_process(
    cluster: Cluster, tmp_path: Path, script: Script
) -> None:
    script.gives(token="revoked")
    access = access_of(write(tmp_path, server_of(cluster), script.user()))
    assert access.expires is None
    handed = pickle.loads(pickle.dumps(access))  # noqa: S301  # our own
    script.gives(token=token_of(cluster))
    assert whoami(handed)[0] == DEFAULT


@pytest.mark.server
def test_a_certificate_lapses_when_it_says_so(cluster: Cluster, tmp_path: Path, script: Script) -> None:
    if cluster.signer is None:
        pytest.skip("the cluster's authority is not at hand")
    certificate, key = (part.decode() for part in pki.sign_client(cluster.signer, "from-plugin", ["some"], 3600))
    script.gives(clientCertificateData=certificate, clientKeyData=key)
    access = access_of(write(tmp_path, server_of(cluster), script.user()))
    assert whoami(access) == ("from-plugin", ["some", "system:authenticated"])
    assert access.expires is not None
    assert time.time() + 2000 < access.expires < time.time() + 3500


def test_what_a_plugin_is_told_of_the_server(tmp_path: Path, script: Script) -> None:
    authority = b"-----BEGIN CERTIFICATE-----"
    (tmp_path / "ca").write_bytes(authority)
    extensions = [{"name": "other", "extension": 1}, {"name": "client.authentication.k8s.io/exec", "extension": [7]}]
    server = SERVER | {"certificate-authority": "ca", "tls-server-name": "n", "extensions": extensions}
    script.gives(token="t")
    access_of(write(tmp_path, server, script.user(provideClusterInfo=True)))
    access_of(write(tmp_path, server, script.user()))
    about = SERVER | {"certificate-authority-data": b64(authority), "tls-server-name": "n", "config": [7]}
    base = {"apiVersion": V1, "kind": "ExecCredential"}
    assert script.told() == [
        base | {"spec": {"interactive": False, "cluster": about}},
        base | {"spec": {"interactive": False}},
    ]


def test_a_plugin_is_not_run_where_the_user_has_a_token(tmp_path: Path, script: Script) -> None:
    assert access_of(write(tmp_path, SERVER, script.user() | {"token": "t"})).token == "t"
    assert not (script.folder / "told").exists()


def test_a_command_without_a_slash_is_one_of_path(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.gives(token="t")
    monkeypatch.setenv("PATH", str(script.folder), prepend=os.pathsep)
    assert access_of(write(tmp_path, SERVER, script.user(command="give"))).token == "t"


# At a terminal of its own, as a user would start it.
AT_A_TERMINAL = """
import sys
from pathlib import Path
from conformance.clusters import kubeconfig
sys.stdout.write(kubeconfig.open(Path(sys.argv[1]), "it").admin.token)
"""


@pytest.mark.parametrize(
    ("version", "mode", "asked"),
    [
        (V1, "Always", True),
        (V1, "IfAvailable", True),
        (f"{V1}beta1", "", True),
        (V1, "Never", False),
    ],
)
def test_at_a_terminal_a_plugin_may_ask(
    tmp_path: Path, script: Script, version: str, mode: str, *, asked: bool
) -> None:
    script.gives(token="t")
    file = write(tmp_path, SERVER, script.user(apiVersion=version, interactiveMode=mode))
    ours, theirs = pty.openpty()
    os.write(ours, b"yes\n")
    done = subprocess.run(
        [sys.executable, "-c", AT_A_TERMINAL, str(file)], stdin=theirs, capture_output=True, text=True, check=False
    )
    os.close(ours)
    os.close(theirs)
    assert (done.stdout, done.stderr) == ("t", "you said yes\n" if asked else "")
    assert script.told()[0]["spec"] == {"interactive": asked}


def test_without_a_terminal_a_plugin_that_may_ask_is_run_quietly(tmp_path: Path, script: Script) -> None:
    script.gives(token="t")
    assert access_of(write(tmp_path, SERVER, script.user(interactiveMode="IfAvailable"))).token == "t"
    with pytest.raises(ClusterError, match="give of user u wants to ask at a terminal"):
        access_of(write(tmp_path, SERVER, script.user(interactiveMode="Always")))
    assert [info["spec"]["interactive"] for info in script.told()] == [False]


PLUGINS = {
    "it fails": (f"sys.exit('log in again, not {SECRET}')", "ended with code 1: log in again, not (left out)"),
    "it says nothing": ("sys.exit(3)", "ended with code 3"),
    "it talks much": ("print('long ' * 9999, file=sys.stderr); sys.exit('the end')", "long \nthe end"),
    "it gives no JSON": (f"print('{SECRET}')", "printed no JSON"),
    "it gives another kind": ("print('{}')", "printed no ExecCredential"),
    "it gives a list": ("print('[]')", "printed no ExecCredential"),
    "it gives another version": ("print(json.dumps(base | {'apiVersion': 'v1'}))", "the version that the kubeconfig"),
    "it gives no status": ("print(json.dumps(base))", "gave no status"),
    "it gives nothing": ("print(json.dumps(base | {'status': {}}))", "neither a token nor a certificate"),
    "it gives half a pair": ("print(json.dumps(base | {'status': {'clientKeyData': 'k'}}))", "with its key"),
    "it gives a number": ("print(json.dumps(base | {'status': {'token': 7}}))", "that is not text"),
    "it gives two words": ("print(json.dumps(base | {'status': {'token': 'a\\nb'}}))", "that no token has"),
    "it gives a bad date": ("print(json.dumps(base | {'status': {'token': 't', 'expirationTimestamp': 'x'}}))", "none"),
    "it gives no zone": (
        "print(json.dumps(base | {'status': {'token': 't', 'expirationTimestamp': '2020-01-01T00:00:00'}}))",
        "time zone",
    ),
    "it gives a bad certificate": (
        "print(json.dumps(base | {'status': {'clientCertificateData': 'c', 'clientKeyData': 'k'}}))",
        "that is none",
    ),
}


@pytest.mark.parametrize(("body", "words"), PLUGINS.values(), ids=PLUGINS)
def test_a_plugin_that_does_not_do_its_work(tmp_path: Path, body: str, words: str) -> None:
    head = f"import json, sys; base = {{'apiVersion': '{V1}', 'kind': 'ExecCredential'}}; "
    plugin = {"apiVersion": V1, "command": sys.executable, "args": ["-c", head + body], "interactiveMode": "Never"}
    with pytest.raises(ClusterError) as caught:
        access_of(write(tmp_path, SERVER, {"exec": plugin}))
    assert f"the credential plugin {sys.executable} of user u " in str(caught.value)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_plugin_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execplugin, "SECONDS", 0.5)
    plugin = {"apiVersion": V1, "command": "/bin/sh", "args": ["-c", "echo waiting >&2; exec sleep 60"]}
    with pytest.raises(ClusterError, match=r"/bin/sh of user u did not end within 0\.5 s: waiting"):
        access_of(write(tmp_path, SERVER, {"exec": plugin | {"interactiveMode": "Never"}}))


def test_a_plugin_that_is_not_installed(tmp_path: Path) -> None:
    plugin = {"apiVersion": V1, "command": "no-such", "interactiveMode": "Never", "installHint": "get it from the shop"}
    with pytest.raises(ClusterError, match=r"no-such of user u cannot be run: No such file .*; get it from the shop"):
        access_of(write(tmp_path, SERVER, {"exec": plugin}))


BAD: dict[str, tuple[Any, str]] = {
    "no mapping": ("aws", "exec: has to be a mapping"),
    "no command": ({"command": None}, "the key command is missing"),
    "no version": ({"apiVersion": None}, "apiVersion has to be one of"),
    "an old version": ({"apiVersion": f"{V1}alpha1"}, "apiVersion has to be one of"),
    "no mode, which v1 needs": ({"interactiveMode": None}, "interactiveMode has to be Never, IfAvailable or Always"),
    "another mode": ({"interactiveMode": "Maybe"}, "interactiveMode has to be"),
    "arguments that are none": ({"args": f"--token={SECRET}"}, "args has to be a list"),
    "numbers for arguments": ({"args": [7]}, "args has to be a list of texts"),
    "variables without name": ({"env": [{"nam": "a", "value": SECRET}]}, "env has to be a list"),
    "variables as a mapping": ({"env": {"A": SECRET}}, "env has to be a list"),
}


@pytest.mark.parametrize(("change", "words"), BAD.values(), ids=BAD)
def test_an_entry_that_cannot_be_read(tmp_path: Path, change: Any, words: str) -> None:
    good = {"apiVersion": V1, "command": "true", "interactiveMode": "Never"}
    with pytest.raises(FileError) as caught:
        access_of(write(tmp_path, SERVER, {"exec": good | change if isinstance(change, dict) else change}))
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_nothing_that_is_shown_holds_a_credential() -> None:
    plugin = execplugin.Plugin("u", "c", V1, "Never", "", (SECRET,), (("A", SECRET),), {"proxy-url": SECRET})
    assert SECRET not in repr(plugin) + repr(execplugin.Given(SECRET, SECRET.encode(), SECRET.encode(), 0.0))
