"""Credential plugins: programs named by a kubeconfig that print an ExecCredential.

They are run here and not by the official client: that one knows no interactiveMode (it takes standard output for the
terminal), loses a plugin's last words there, and is a second and 80 MB of imports for one subprocess.
Source: https://kubernetes.io/docs/reference/config-api/client-authentication.v1/
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509

from conformance.errors import ClusterError, FileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from conformance.model import Json

SECONDS = 60  # that a plugin has where nobody is asked anything
VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
NEVER, IF_AVAILABLE, ALWAYS = "Never", "IfAvailable", "Always"
_SECRET = re.compile(r"[A-Za-z0-9_\-+/=.]{24,}")  # what may be a token in a plugin's complaint
_WORDS = 300


@dataclass(frozen=True, slots=True)
class Given:
    """What a plugin gave: a token, a certificate with its key, or both; `ends` is when it lapses, since 1970."""

    token: str | None = field(repr=False)
    certificate: bytes | None = field(repr=False)
    key: bytes | None = field(repr=False)
    ends: float | None


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin as a user of a kubeconfig names it. `cluster` is what it is told of the server, None for nothing."""

    user: str
    command: str
    version: str
    interactive: str
    hint: str
    arguments: tuple[str, ...] = field(repr=False)
    environment: tuple[tuple[str, str], ...] = field(repr=False)
    cluster: Json | None = field(repr=False)

    def run(self) -> Given:
        """Run it and take what it gives."""
        terminal = sys.stdin is not None and sys.stdin.isatty()
        if self.interactive == ALWAYS and not terminal:
            raise self._failed("wants to ask at a terminal (interactiveMode: Always), and there is none")
        status = self._status(self._ask(terminal and self.interactive != NEVER))
        token, certificate, key = (status.get(name) for name in ("token", "clientCertificateData", "clientKeyData"))
        if any(value is not None and not isinstance(value, str) for value in (token, certificate, key)):
            raise self._failed("gave a credential that is not text")
        if not is_token(token or ""):
            raise self._failed("gave a token with a character that no token has")
        if not token and not (certificate and key):
            raise self._failed("gave neither a token nor a certificate with its key")
        return Given(
            token=token or None,
            certificate=certificate.encode() if certificate and key else None,
            key=key.encode() if certificate and key else None,
            ends=self._ends(status.get("expirationTimestamp"), certificate),
        )

    def _ask(self, interactive: bool) -> str:  # noqa: FBT001  # called in one place
        spec: Json = {"interactive": interactive} | ({"cluster": self.cluster} if self.cluster is not None else {})
        told = {"apiVersion": self.version, "kind": "ExecCredential", "spec": spec}
        try:
            done = subprocess.run(
                [self.command, *self.arguments],
                env={**os.environ, **dict(self.environment), "KUBERNETES_EXEC_INFO": json.dumps(told)},
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=None if interactive else subprocess.PIPE,  # whoever is asked has to read the question
                timeout=None if interactive else SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise self._failed(f"did not end within {SECONDS} s{_words(late.stderr)}") from None
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else "its name or environment has a zero byte"
            raise self._failed(f"cannot be run: {reason}{f'; {self.hint}' if self.hint else ''}") from None
        if done.returncode:
            raise self._failed(f"ended with code {done.returncode}{_words(done.stderr)}")
        return done.stdout.decode("utf-8", "replace")

    def _status(self, printed: str) -> Json:
        try:
            document: Any = json.loads(printed)
        except ValueError:
            raise self._failed("printed no JSON") from None
        if not isinstance(document, dict) or document.get("kind") != "ExecCredential":
            raise self._failed("printed no ExecCredential")
        if document.get("apiVersion") != self.version:
            raise self._failed(f"does not answer in the version that the kubeconfig names, {self.version}")
        status = document.get("status")
        if not isinstance(status, dict):
            raise self._failed("gave no status")
        return status

    def _ends(self, stamp: Any, certificate: str | None) -> float | None:
        """Give the moment at which the credential lapses: what the plugin says, else what its certificate says."""
        try:
            if stamp:
                when = dt.datetime.fromisoformat(stamp)
                if when.tzinfo is None:
                    raise self._failed("gave a date without its time zone")
                return when.timestamp()
            if certificate:
                return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc.timestamp()
        except (ValueError, TypeError):
            raise self._failed("gave a date or certificate that is none") from None
        return None

    def _failed(self, problem: str) -> ClusterError:
        return ClusterError(f"the credential plugin {self.command} of user {self.user} {problem}")


def read(file: Path, user: str, value: Any, cluster: Json) -> Plugin:
    """Read the key `exec` of a user; `cluster` describes the server for a plugin that wants to know it."""

    def wrong(problem: str) -> FileError:
        return FileError(file, None, f"user {user}: exec: {problem}")

    if not isinstance(value, dict):
        raise wrong("has to be a mapping")
    table: Mapping[str, Any] = value
    command, version = table.get("command"), table.get("apiVersion")
    if not command or not isinstance(command, str):
        raise wrong("the key command is missing")
    if version not in VERSIONS:
        raise wrong(f"apiVersion has to be one of {', '.join(VERSIONS)}")
    interactive = table.get("interactiveMode") or (IF_AVAILABLE if version == VERSIONS[1] else "")
    if interactive not in {NEVER, IF_AVAILABLE, ALWAYS}:
        raise wrong(f"interactiveMode has to be {NEVER}, {IF_AVAILABLE} or {ALWAYS}")
    arguments, environment = table.get("args") or [], table.get("env") or []
    if not isinstance(arguments, list) or not all(isinstance(argument, str) for argument in arguments):
        raise wrong("args has to be a list of texts")
    if not isinstance(environment, list) or not all(_is_variable(entry) for entry in environment):
        raise wrong("env has to be a list of mappings with name and value")
    return Plugin(
        user=user,
        # With a slash in it a command lies beside its kubeconfig, without one on PATH.
        command=str(file.absolute().parent / command) if os.sep in command else command,
        version=str(version),
        interactive=str(interactive),
        hint=str(table.get("installHint") or "").strip(),
        arguments=tuple(arguments),
        environment=tuple((entry["name"], entry["value"]) for entry in environment),
        cluster=cluster if table.get("provideClusterInfo") is True else None,
    )


def is_token(text: str) -> bool:
    """Say whether this can be sent as a bearer token: visible ASCII only; nothing at all can be, too."""
    return all("!" <= letter <= "~" for letter in text)


def _is_variable(entry: Any) -> bool:
    return isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in ("name", "value"))


def _words(said: bytes | None) -> str:
    """Give what a plugin complained of, without what may be a credential."""
    words = _SECRET.sub("(left out)", (said or b"").decode("utf-8", "replace").strip())
    return f": {words[-_WORDS:]}" if words else ""
