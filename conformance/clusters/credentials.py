"""What a kubeconfig's user shows to the server: certificate, token, token file, credential plugin, impersonation.

Nothing here writes a credential anywhere, and no error repeats one.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from conformance.clusters import execplugin
from conformance.errors import FileError
from conformance.transport import impersonation

if TYPE_CHECKING:
    from conformance.clusters.kubeconfig import Entry
    from conformance.model import Access, Json

READ_AGAIN = 60  # seconds after which files are read again, as client-go does with tokens
MARGIN = 0.2  # of a credential's life that is left when it is renewed


@dataclass(frozen=True, slots=True)
class Renewal:
    """Shows the same server what the same user has now. A value, so that it can be handed to another process.

    The kubeconfig itself is not read again: whoever changes it during a run changes nothing of the run.
    """

    server: Access
    user: Entry
    cluster: Entry
    token: str | None = field(default=None, repr=False)  # the last one, for a token file that is being replaced

    def __call__(self) -> Access:
        """Read the files, or run the plugin, once more."""
        return add(self.server, self.user, self.cluster, token=self.token)


def add(server: Access, user: Entry, cluster: Entry, *, token: str | None = None) -> Access:
    """Show to a server what a user has; the value renews itself where the credential can change."""
    _refuse(user)
    begun = time.time()
    access = replace(
        server,
        certificate=_pem(user, "client-certificate"),
        key=_pem(user, "client-key"),
        token=_token(user, "token", user.text("token")) or None,
        headers=_as_somebody(user),
    )
    if (access.certificate is None) != (access.key is None):
        there, missing = ("certificate", "key") if access.key is None else ("key", "certificate")
        raise FileError(user.file, None, f"user {user.name}: client-{there} has no client-{missing}")
    files = [key for key in ("client-certificate", "client-key", "tokenFile") if user.path(key)]
    if user.path("tokenFile"):
        access = replace(access, token=_from_file(user, token or access.token))
    elif access.token is None and access.certificate is None:  # which win over plugins, as for kubectl
        if user.value.get("exec"):
            given = execplugin.read(user.file, user.name, user.value["exec"], _about(cluster)).run()
            return replace(
                access,
                token=given.token,
                certificate=given.certificate,
                key=given.key,
                expires=None if given.ends is None else given.ends - MARGIN * (given.ends - begun),
                renew=Renewal(server, user, cluster),
            )
        if user.value.get("auth-provider"):
            return replace(access, token=_from_provider(user))
    if not files:
        return access
    return replace(access, expires=begun + READ_AGAIN, renew=Renewal(server, user, cluster, access.token))


def _refuse(user: Entry) -> None:
    for key in ("username", "password"):
        if user.text(key):
            problem = f"user {user.name}: {key} is not supported, no API server since 1.19 takes it; use a token"
            raise FileError(user.file, None, problem)


def _token(user: Entry, key: str, said: str) -> str:
    """Give a token without the white space around it; one that would break the header that it goes into is refused."""
    token = said.strip()
    if not execplugin.is_token(token):
        raise FileError(user.file, None, f"user {user.name}: {key} holds a character that no token has")
    return token


def _pem(user: Entry, key: str) -> bytes | None:
    data = user.data(key)
    if data is None:
        return None
    if b"-----BEGIN " not in data:
        raise FileError(user.file, None, f"user {user.name}: {key} is not PEM")
    if b"ENCRYPTED" in data:
        # OpenSSL would ask for the passphrase at the terminal, in the middle of a run.
        raise FileError(
            user.file, None, f"user {user.name}: {key} is encrypted; decrypt it, or use a credential plugin"
        )
    return data


def _as_somebody(user: Entry) -> tuple[tuple[str, str], ...]:
    name, uid = user.text("as"), user.text("as-uid")
    groups, extra = user.value.get("as-groups") or [], user.value.get("as-user-extra") or {}
    if not _are_texts(groups):
        raise FileError(user.file, None, f"user {user.name}: as-groups has to be a list of texts")
    if not isinstance(extra, dict) or not all(map(_are_texts, extra.values())) or not _are_texts(list(extra)):
        raise FileError(user.file, None, f"user {user.name}: as-user-extra has to be a mapping to lists of texts")
    if name:
        return impersonation(name, groups, uid, extra.items())
    if groups or extra or uid:
        raise FileError(user.file, None, f"user {user.name}: as-groups, as-uid and as-user-extra need the key as")
    return ()


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _from_file(user: Entry, before: str | None) -> str:
    """Give what the token file holds now; while it is missing or empty, what was there before."""
    path = user.path("tokenFile")
    assert path is not None  # noqa: S101  # the caller looked
    try:
        token = _token(user, f"tokenFile {path}", user.read(path, "tokenFile").decode("utf-8", "replace"))
    except FileError:
        if before is None:
            raise
        return before
    if not token and before is None:
        raise FileError(user.file, None, f"user {user.name}: tokenFile {path} is empty")
    return token or str(before)


def _from_provider(user: Entry) -> str:
    """Give the ID token of the provider `oidc`; renewing it is left to kubectl, which writes the new one down."""
    provider: Any = user.value["auth-provider"]
    name = provider.get("name") if isinstance(provider, dict) else None
    if name != "oidc":
        problem = f"auth-provider {name!r} left kubectl with 1.26; use a credential plugin (exec) instead"
        raise FileError(user.file, None, f"user {user.name}: {problem}")
    token = (provider.get("config") or {}).get("id-token")
    if not isinstance(token, str) or _jwt_expiry(token) <= time.time():
        problem = "its ID token is not there or has expired; ask once with kubectl, which renews it"
        raise FileError(user.file, None, f"user {user.name}: {problem}")
    return _token(user, "id-token", token)


def _jwt_expiry(token: str) -> float:
    try:
        payload = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (ValueError, IndexError, KeyError, TypeError):
        return 0.0


def _about(cluster: Entry) -> Json:
    """Describe the cluster as an ExecCredential does: the CA always as data, the plugin's own part as `config`."""
    kept = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url", "disable-compression")
    about: Json = {key: cluster.value[key] for key in kept if cluster.value.get(key)}
    ca = cluster.data("certificate-authority")
    if ca:
        about["certificate-authority-data"] = base64.b64encode(ca).decode()
    for extension in cluster.value.get("extensions") or []:
        if isinstance(extension, dict) and extension.get("name") == "client.authentication.k8s.io/exec":
            about["config"] = extension.get("extension")
    return about
