"""A cluster that is there already: a context of a kubeconfig, with all the ways to be somebody that kubectl knows.

The files are read here and not by the official client, which writes keys to temporary files, lets the last file's
current context win, and only logs what goes wrong with a credential. Nothing is taken that was not named: neither a
current context nor a pod's own account.
Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from conformance.clusters import announce, confirmation, credentials, proxies
from conformance.errors import FileError, UsageError
from conformance.model import Access, Cluster, Json

if TYPE_CHECKING:
    from conformance.clusters import Say

NAME = "kubeconfig"
CURRENT = "current"
IN_CLUSTER = "in-cluster"
WRITTEN = "kube-conformance"  # the context of a kubeconfig that we write
IN_CLUSTER_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HOST = re.compile(r"[A-Za-z0-9._-]*")
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
        return self.file.absolute().parent / named if named else None

    def flag(self, key: str) -> bool:
        """Give a switch, off when it is not there."""
        value = self.value.get(key)
        if value not in (None, True, False):
            raise FileError(self.file, None, f"{self.name}: {key} has to be true or false")
        return value is True

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
        known = ", ".join([*sorted(self.contexts), *([IN_CLUSTER] if _inside() else [])]) or "none"
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
            file = IN_CLUSTER_FOLDER / "namespace"
            return file.read_text("utf-8").strip() if file.is_file() else "default"
        return self.contexts[context].text("namespace") or "default"

    def server(self, context: str, *, say: Say = announce) -> Access:
        """Give the way to the context's server, with nobody on it yet."""
        if context not in self.contexts:
            return _inside_server(say)
        return _server(self._cluster(context), say)

    def access(self, context: str, *, say: Say = announce) -> Access:
        """Give the way in that the context describes."""
        server = self.server(context, say=say)
        if context not in self.contexts:
            account = _account()
            return credentials.add(server, account, account)
        user = self._of(self.users, self.contexts[context], "user")
        return credentials.add(server, user, self._cluster(context)) if user is not None else server

    def _cluster(self, context: str) -> Entry:
        entry = self.contexts[context]
        cluster = self._of(self.clusters, entry, "cluster")
        if cluster is None:
            raise FileError(entry.file, None, f"context {context}: the key cluster is missing")
        return cluster

    def _of(self, entries: dict[str, Entry], context: Entry, kind: str) -> Entry | None:
        name = context.text(kind)
        if not name:
            return None
        if name not in entries:
            known = ", ".join(sorted(entries)) or "none"
            problem = f"context {context.name}: there is no {kind} {name!r}; there are: {known}"
            raise FileError(context.file, None, problem)
        return entries[name]


def open(kubeconfig: Path | str | None, context: str | None, *, say: Say = announce) -> Cluster:  # noqa: A001  # a cluster is opened, and no file anywhere here
    """Give the cluster of a context; nothing is asked of it yet, but a credential plugin is run.

    Where none is named, somebody at a terminal is asked whether the current one is meant.
    """
    config = read(kubeconfig)
    if context is None and config.current in config.contexts and confirmation.is_possible():
        server = config.server(config.current, say=lambda _: None).server
        context = config.current if confirmation.given(config.current, server) else None
    name = config.context(context)
    files = config.files if name in config.contexts else ""
    return Cluster(NAME, name, config.access(name, say=say), ours=False, kubeconfig=files or None)


def read(kubeconfig: Path | str | None = None) -> Kubeconfig:
    """Read the files: those given (several as in the variable), else of KUBECONFIG, else of the home directory."""
    listed = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    named = [Path(name).expanduser().absolute() for name in listed.split(os.pathsep) if name]
    if not named:
        named = [Path.home() / ".kube" / "config"]
    files = [path for path in named if path.exists()]
    if not files and (kubeconfig or not _inside()):
        raise UsageError(f"there is no kubeconfig {os.pathsep.join(map(str, named))}; name one with --kubeconfig FILE")
    config = Kubeconfig(os.pathsep.join(map(str, files)))
    for path in files:
        document = _document(path)
        for section, kind in _SECTIONS.items():
            entries: dict[str, Entry] = getattr(config, section)
            for name, value in _entries(path, document, section, kind).items():
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


def _entries(path: Path, document: Json, section: str, kind: str) -> dict[str, Json]:
    listed = document.get(section) or []
    if not isinstance(listed, list):
        raise FileError(path, None, f"{section} has to be a list")
    entries: dict[str, Json] = {}
    for item in listed:
        name = item.get("name") if isinstance(item, dict) else None
        value: Any = (item.get(kind) or {}) if isinstance(item, dict) else None
        if not isinstance(name, str) or not isinstance(value, dict):
            raise FileError(path, None, f"{section} has to be a list of mappings, each with a name and a {kind}")
        if name in entries:
            raise FileError(path, None, f"{section} has two entries of the name {name}")
        entries[name] = value
    return entries


def _server(cluster: Entry, say: Say) -> Access:
    """Say how the server is reached, and tell the user what is unusual about it."""
    where = f"cluster {cluster.name}"
    server, insecure = _address(cluster), cluster.flag("insecure-skip-tls-verify")
    authority = cluster.data("certificate-authority")
    if insecure and authority is not None:
        problem = f"{where}: certificate-authority and insecure-skip-tls-verify contradict each other; keep one"
        raise FileError(cluster.file, None, problem)
    if authority is not None and b"-----BEGIN " not in authority:
        raise FileError(cluster.file, None, f"{where}: certificate-authority is not PEM")
    if insecure:
        say(f"{server} is not verified (insecure-skip-tls-verify): whoever answers there sees the credentials")
    elif server.startswith("http:"):
        say(f"{server} is asked without TLS: whoever is on the way reads and changes everything")
    named, name = cluster.text("proxy-url"), cluster.text("tls-server-name")
    if not _HOST.fullmatch(name):
        raise FileError(cluster.file, None, f"{where}: tls-server-name has to be the name of a host")
    return _through(
        Access(server, ca=authority, tls_server_name=name or None, insecure=insecure),
        (proxies.checked(named, f"{cluster.file}: {where}: proxy-url"), "proxy-url") if named else None,
        say,
    )


def _address(cluster: Entry) -> str:
    """Give the address of the server, with the path that may stand before Kubernetes' own."""
    said = cluster.text("server").rstrip("/")
    server = said if "://" in said else f"https://{said}"
    try:
        parts = urlsplit(server)
        good = parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.username is not None or parts.query or parts.fragment or not said.isprintable():
        # What stands there is not shown: it may hold a password.
        problem = "server has to be an address such as https://cluster.example:6443/prefix, without user, ? and #"
        raise FileError(cluster.file, None, f"cluster {cluster.name}: {problem}")
    return server


def _through(access: Access, named: tuple[str, str] | None, say: Say) -> Access:
    """Go through the proxy that is named, else through the environment's, and say so."""
    found = named or proxies.from_environment(access.server)
    if found is None:
        return access
    say(f"{access.server} is reached through the proxy {proxies.shown(found[0])} ({found[1]})")
    return replace(access, proxy=found[0])


def _inside() -> bool:
    """Say whether this process runs in a pod that has a service account."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (IN_CLUSTER_FOLDER / "token").is_file()


def _account() -> Entry:
    """Describe what a pod gets of its account, as if it stood in a kubeconfig."""
    return Entry(IN_CLUSTER, IN_CLUSTER_FOLDER / "token", {"tokenFile": "token", "certificate-authority": "ca.crt"})


def _inside_server(say: Say) -> Access:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return _through(Access(server, ca=_account().data("certificate-authority")), None, say)


def written(access: Access) -> bytes:
    """Write an access as a kubeconfig, for a program that reads nothing else; holds its credential."""

    def encoded(value: bytes | None) -> str:
        return base64.b64encode(value or b"").decode()

    server: Json = {"server": access.server} | ({"certificate-authority-data": encoded(access.ca)} if access.ca else {})
    server |= {"insecure-skip-tls-verify": True} if access.insecure else {}
    server |= {"tls-server-name": access.tls_server_name} if access.tls_server_name else {}
    # client-go knows libcurl's socks5h by the name socks5 only.
    server |= {"proxy-url": access.proxy.replace("socks5h://", "socks5://", 1)} if access.proxy else {}
    user: Json = {"token": access.token} if access.token else {}
    if isinstance(access.renew, credentials.Renewal) and (file := access.renew.user.path("tokenFile")):
        user = {"tokenFile": str(file)}  # which that program reads again, as we do
    if access.certificate and access.key:
        user |= {"client-certificate-data": encoded(access.certificate), "client-key-data": encoded(access.key)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": WRITTEN, "cluster": server}],
        "users": [{"name": WRITTEN, "user": user}],
        "contexts": [{"name": WRITTEN, "context": {"cluster": WRITTEN, "user": WRITTEN}}],
        "current-context": WRITTEN,
    }
    return json.dumps(config).encode()
