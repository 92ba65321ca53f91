"""A cluster that is there already: a context of a kubeconfig, with all the ways to be somebody that kubectl knows.

The files are read here and not by the official client, which writes keys to temporary files; ours stay in memory.
Credential plugins are run by the official client; what it leaves undone is done around it: certificates and expiry of
an ExecCredential, a plugin's path relative to its kubeconfig, the cluster's CA from a file, words for what went wrong.
Sources: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/ and client-authentication.v1.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from conformance.clusters import announce, credentials
from conformance.errors import FileError, UsageError
from conformance.model import Access, Cluster, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.clusters import Say

PROVIDER = "kubeconfig"
CURRENT = "current"
IN_CLUSTER = "in-cluster"
IN_CLUSTER_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A named cluster, user or context, with the file that it stands in; may hold a credential."""

    name: str
    file: Path
    value: Json = field(repr=False)

    def path(self, key: str) -> Path | None:
        """Give the file that a key names; a relative one lies beside the kubeconfig."""
        named = self.text(key)
        return self.file.parent / named if named else None

    def text(self, key: str) -> str:
        """Give a text, empty when it is not there."""
        value = self.value.get(key)
        if value is not None and not isinstance(value, str):
            raise FileError(self.file, None, f"{self.name}: {key} has to be text; put it in quotes")
        return value or ""

    def data(self, key: str) -> bytes | None:
        """Give what is in `KEY-data`, else in the file that KEY names."""
        encoded = self.text(f"{key}-data")
        if encoded:
            try:
                return base64.b64decode("".join(encoded.split()), validate=True)
            except binascii.Error:
                raise FileError(self.file, None, f"{self.name}: {key}-data is no base64") from None
        path = self.path(key)
        return self.read(path, key) if path else None

    def read(self, path: Path, key: str) -> bytes:
        """Read a file that a key names."""
        try:
            return path.read_bytes()
        except OSError as problem:
            said = f"{self.name}: {key} {path} cannot be read: {problem.strerror}"
            raise FileError(self.file, None, said) from None


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """What the files say together: the first that names a thing wins, as for kubectl."""

    files: str
    clusters: dict[str, Entry] = field(default_factory=dict)
    users: dict[str, Entry] = field(default_factory=dict)
    contexts: dict[str, Entry] = field(default_factory=dict)
    current: str = ""

    def context(self, wanted: str | None) -> str:
        """Give the name of the context that is meant; `current` means the current one, and has to be written out."""
        known = ", ".join(sorted(self.contexts)) or "none"
        if not wanted:
            raise UsageError(f"say which cluster is meant: --context NAME, or --context {CURRENT}; contexts: {known}")
        if wanted in self.contexts or (wanted == IN_CLUSTER and _inside()):
            return wanted
        if wanted != CURRENT:
            raise UsageError(f"there is no context {wanted!r} in {self.files or 'any kubeconfig'}; contexts: {known}")
        if self.current in self.contexts:
            return self.current
        if self.current:
            raise UsageError(f"the current context {self.current!r} is not there; contexts: {known}")
        if not self.contexts and _inside():
            return IN_CLUSTER
        raise UsageError(f"{self.files or 'no kubeconfig'} names no current context; contexts: {known}")

    def namespace(self, context: str) -> str:
        """Give the namespace that the context is about."""
        if context not in self.contexts:
            return (IN_CLUSTER_FOLDER / "namespace").read_text("utf-8").strip()
        return self.contexts[context].text("namespace") or "default"

    def access(self, context: str, *, say: Say = announce) -> Access:
        """Give the way in that the context describes."""
        if context not in self.contexts:
            return _inside_access()
        entry = self.contexts[context]
        cluster = self._of(self.clusters, entry, "cluster")
        if cluster is None:
            raise FileError(entry.file, None, f"context {context}: the key cluster is missing")
        access = self._server(cluster, say)
        user = self._of(self.users, entry, "user")
        return credentials.add(access, user, cluster) if user is not None else access

    def _of(self, entries: dict[str, Entry], context: Entry, kind: str) -> Entry | None:
        name = context.text(kind)
        if not name:
            return None
        if name not in entries:
            known = ", ".join(sorted(entries)) or "none"
            problem = f"context {context.name}: there is no {kind} {name!r}; there are: {known}"
            raise FileError(context.file, None, problem)
        return entries[name]

    @staticmethod
    def _server(cluster: Entry, say: Say) -> Access:
        server = cluster.text("server")
        if not server:
            raise FileError(cluster.file, None, f"cluster {cluster.name}: the key server is missing")
        insecure = cluster.value.get("insecure-skip-tls-verify") is True
        if insecure:
            say(f"{server} is not verified (insecure-skip-tls-verify): whoever answers there sees the credentials")
        return Access(
            server if "://" in server else f"https://{server}",
            ca=None if insecure else cluster.data("certificate-authority"),
            tls_server_name=cluster.text("tls-server-name") or None,
            insecure=insecure,
            proxy=cluster.text("proxy-url") or None,
        )


def cluster(kubeconfig: Path | str | None, context: str | None, *, say: Say = announce) -> Cluster:
    """Give the cluster of a context; nothing is asked of it yet."""
    config = read(kubeconfig)
    name = config.context(context)
    return Cluster(PROVIDER, name, config.access(name, say=say), ours=False, kubeconfig=config.files or None)


def read(kubeconfig: Path | str | None = None) -> Kubeconfig:
    """Read the files: those given (several as in the variable), else of KUBECONFIG, else of the home directory."""
    listed = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    named = [Path(name).expanduser() for name in listed.split(os.pathsep) if name]
    if not named:
        named = [Path.home() / ".kube" / "config"]
    files = [path for path in named if path.exists()]
    if kubeconfig and not files:
        raise UsageError(f"there is no kubeconfig {listed}")
    config = Kubeconfig(os.pathsep.join(map(str, files)))
    for path in files:
        document = _document(path)
        for section, kind in _SECTIONS.items():
            entries: dict[str, Entry] = getattr(config, section)
            for name, value in _entries(path, document, section, kind):
                entries.setdefault(name, Entry(name, path, value))
        if not config.current:
            config = replace(config, current=str(document.get("current-context") or ""))
    return config


def _document(path: Path) -> Json:
    try:
        document = yaml.load(path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is no UTF-8 text"
        raise FileError(path, None, f"cannot be read: {reason}") from None
    except yaml.YAMLError as problem:
        # What stands there is not shown: it may be a key.
        mark = getattr(problem, "problem_mark", None)
        raise FileError(path, mark.line + 1 if mark else None, "is no YAML") from None
    if not isinstance(document or {}, dict):
        raise FileError(path, None, "is no kubeconfig: it has to be a mapping")
    return document or {}


def _entries(path: Path, document: Json, section: str, kind: str) -> Iterator[tuple[str, Json]]:
    listed = document.get(section) or []
    for item in listed if isinstance(listed, list) else [listed]:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise FileError(path, None, f"{section} has to be a list of mappings, each with a name and a {kind}")
        value: Any = item.get(kind) or {}
        if not isinstance(value, dict):
            raise FileError(path, None, f"{kind} {item['name']}: has to be a mapping")
        yield item["name"], value


def _inside() -> bool:
    """Say whether this process runs in a pod that has a service account."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (IN_CLUSTER_FOLDER / "token").is_file()


def _inside_access() -> Access:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    account = Entry(IN_CLUSTER, IN_CLUSTER_FOLDER / "token", {"tokenFile": "token", "certificate-authority": "ca.crt"})
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return credentials.add(Access(server, ca=account.data("certificate-authority")), account, account)


def written(access: Access) -> bytes:
    """Write an access as a kubeconfig of one context, for a program that reads nothing else; holds its credential."""

    def encoded(value: bytes | None) -> str:
        return base64.b64encode(value or b"").decode()

    server: Json = {"server": access.server, "certificate-authority-data": encoded(access.ca)}
    server |= {"insecure-skip-tls-verify": True} if access.insecure else {}
    server |= {"tls-server-name": access.tls_server_name} if access.tls_server_name else {}
    server |= {"proxy-url": access.proxy} if access.proxy else {}
    user: Json = {"client-certificate-data": encoded(access.certificate), "client-key-data": encoded(access.key)}
    user |= {"token": access.token} if access.token else {}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": server}],
        "users": [{"name": "it", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    return json.dumps(config).encode()
