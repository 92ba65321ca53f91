"""What a kubeconfig's user shows to the server: certificate, token, token file, credential plugin, impersonation.

Nothing here writes a credential anywhere, and no error repeats one.
"""

from __future__ import annotations

import base64
import datetime as dt
import importlib
import json
import os
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cryptography import x509

from conformance.errors import ClusterError, FileError
from conformance.transport import impersonation

if TYPE_CHECKING:
    from conformance.clusters.kubeconfig import Entry
    from conformance.model import Access, Json

READ_AGAIN = 60  # seconds after which a token file is read again, as client-go does
MARGIN = 0.2  # of a credential's life that is left when it is renewed
_SECRET = re.compile(r"[A-Za-z0-9_\-+/=.]{24,}")  # what may be a token in a plugin's complaint
_WORDS = 300


def add(access: Access, user: Entry, cluster: Entry) -> Access:
    """Show to a server what a user has; the value renews itself where the credential can change."""
    for key, instead in (("username", "a token"), ("password", "a token")):
        if user.text(key):
            problem = f"user {user.name}: {key} is not supported, no API server since 1.19 takes it; use {instead}"
            raise FileError(user.file, None, problem)
    bare = access
    access = replace(
        access,
        certificate=user.data("client-certificate"),
        key=user.data("client-key"),
        token=user.text("token") or None,
        headers=_as_somebody(user),
    )
    plugin, provider = user.value.get("exec"), user.value.get("auth-provider")
    if plugin and not access.token and not user.path("tokenFile"):
        return _from_plugin(access, user, cluster)
    if provider and not access.token:
        return _from_provider(access, user)
    if user.path("tokenFile"):
        return _from_file(access, user)
    if access.certificate is not None and access.key is None:
        raise FileError(user.file, None, f"user {user.name}: client-certificate has no client-key")
    if user.path("client-certificate"):
        return replace(access, renew=lambda: add(bare, user, cluster))
    return access


def _as_somebody(user: Entry) -> tuple[tuple[str, str], ...]:
    name = user.text("as")
    groups, extra = user.value.get("as-groups") or [], user.value.get("as-user-extra") or {}
    if not name:
        if groups or extra or user.text("as-uid"):
            raise FileError(user.file, None, f"user {user.name}: as-groups, as-uid and as-user-extra need the key as")
        return ()
    return impersonation(name, groups, user.text("as-uid"), extra.items())


def _from_file(access: Access, user: Entry) -> Access:
    """Show what the file holds now; an empty or missing one falls back to what was there before."""

    def fresh(before: Access) -> Access:
        path = user.path("tokenFile")
        assert path is not None  # noqa: S101  # asked before
        try:
            token = user.read(path, "tokenFile").decode("ascii", "replace").strip()
        except FileError:
            if before.token is None:
                raise
            token = before.token
        if not token:
            raise FileError(user.file, None, f"user {user.name}: tokenFile {path} is empty")
        now = replace(before, token=token, expires=time.time() + READ_AGAIN)
        return replace(now, renew=lambda: fresh(now))

    return fresh(access)


def _from_provider(access: Access, user: Entry) -> Access:
    """Show the ID token of the provider `oidc`; renewing it is left to kubectl, which writes the new one down."""
    provider: Any = user.value["auth-provider"]
    name = provider.get("name") if isinstance(provider, dict) else None
    if name != "oidc":
        problem = f"auth-provider {name!r} left kubectl with 1.26; use a credential plugin (exec) instead"
        raise FileError(user.file, None, f"user {user.name}: {problem}")
    token = (provider.get("config") or {}).get("id-token")
    if not isinstance(token, str) or _jwt_expiry(token) <= time.time():
        problem = "its ID token is not there or has expired; ask once with kubectl, which renews it"
        raise FileError(user.file, None, f"user {user.name}: {problem}")
    return replace(access, token=token)


def _jwt_expiry(token: str) -> float:
    try:
        payload = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (ValueError, IndexError, KeyError, TypeError):
        return 0.0


def _from_plugin(access: Access, user: Entry, cluster: Entry) -> Access:
    """Run a credential plugin; its certificate and key, or its token, are shown until they lapse."""
    begun = time.time()
    status = _run(user, cluster)
    certificate, key, token = (status.get(f) for f in ("clientCertificateData", "clientKeyData", "token"))
    if not token and not (certificate and key):
        raise ClusterError(f"the credential plugin of user {user.name} gave neither a token nor a certificate with key")
    ends = _ends(user, status, certificate)
    return replace(
        access,
        token=token or None,
        certificate=certificate.encode() if certificate else access.certificate,
        key=key.encode() if key else access.key,
        expires=None if ends is None else ends - MARGIN * (ends - begun),
        renew=lambda: _from_plugin(access, user, cluster),
    )


def _run(user: Entry, cluster: Entry) -> Json:
    # It costs a second and 80 MB, and few kubeconfigs have a plugin.
    client: Any = importlib.import_module("kubernetes.config.exec_provider")
    node: Any = importlib.import_module("kubernetes.config.kube_config").ConfigNode

    plugin = user.value["exec"]
    if not isinstance(plugin, dict) or not isinstance(plugin.get("command"), str) or not plugin["command"]:
        raise FileError(user.file, None, f"user {user.name}: exec needs a command")
    command = plugin["command"]
    if os.sep in command:
        # The official client would also start a command of PATH in the kubeconfig's folder; kubectl does not.
        plugin = plugin | {"command": str((user.file.parent / command).resolve())}
    try:
        provider = client.ExecProvider(node("exec", plugin), None, node("cluster", _about(cluster)))
    except (client.ConfigException, KeyError, TypeError):
        problem = "exec has to have apiVersion, command, and env as a list of mappings with name and value"
        raise FileError(user.file, None, f"user {user.name}: {problem}") from None
    try:
        status = provider.run()
    except client.ConfigException as problem:
        raise ClusterError(f"the credential plugin {command} of user {user.name} failed: {_said(problem)}") from None
    except OSError as problem:
        hint = f"; {plugin['installHint']}" if plugin.get("installHint") else ""
        said = f"the credential plugin {command} of user {user.name} cannot be run: {problem.strerror}{hint}"
        raise ClusterError(said) from None
    if not isinstance(status, dict):
        raise ClusterError(f"the credential plugin {command} of user {user.name} gave no ExecCredential with a status")
    return status


def _about(cluster: Entry) -> Json:
    """Describe the cluster as an ExecCredential does: the CA always as data."""
    ca = cluster.data("certificate-authority")
    kept = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url", "extensions")
    about = {key: cluster.value[key] for key in kept if key in cluster.value}
    return about | ({"certificate-authority-data": base64.b64encode(ca).decode()} if ca else {})


def _said(problem: Exception) -> str:
    words = _SECRET.sub("(left out)", str(problem).removeprefix("exec: "))
    return words if len(words) <= _WORDS else f"{words[:_WORDS]} (and more)"


def _ends(user: Entry, status: Json, certificate: str | None) -> float | None:
    """Give the moment at which a plugin's credential lapses: what it says, else what its certificate says."""
    stamp = status.get("expirationTimestamp")
    try:
        if stamp:
            return dt.datetime.fromisoformat(stamp).timestamp()
        if certificate:
            return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc.timestamp()
    except (ValueError, TypeError):
        raise ClusterError(
            f"the credential plugin of user {user.name} gave a date or certificate that is none"
        ) from None
    return None
