"""A bearer token that the user has: given, in a file, or, without either, one that no server accepts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.errors import FileError
from conformance.identities.anonymous import bare
from conformance.yamlfile import Key, line

if TYPE_CHECKING:
    from conformance.identities import Spec, Who
    from conformance.identities.ground import Ground
    from conformance.model import Access

NAME = "token"
KEYS = {"token": Key(line), "tokenFile": Key(line)}
INVALID = "invalid"


def problem(spec: Spec) -> str:
    """Check that one token is meant, and that nothing is bound to a user whom only the server knows."""
    if len(spec.settings) > 1:
        return "has the keys token and tokenFile; keep one"
    if spec.settings.get("token", INVALID) == INVALID and "tokenFile" not in spec.settings:
        return "" if spec.expect == "unauthenticated" else "no server accepts this token; add `expect: unauthenticated`"
    if not all("!" <= letter <= "~" for letter in spec.settings.get("token", "")):
        return "token: holds a character that no token has"
    if spec.bind:
        return "bind: whose token it is only the server knows; bind a serviceaccount, certificate or impersonate"
    return ""


def hindrance(spec: Spec, ground: Ground) -> str:
    """Nothing is created for it."""
    del spec, ground
    return ""


def who(spec: Spec, ground: Ground) -> Who | None:
    """Only the server knows."""
    del spec, ground
    return None


def access(spec: Spec, ground: Ground) -> Access:
    """Show the token; one from a file is read anew when the server no longer takes it."""
    known = bare(ground.cluster.admin)
    if "tokenFile" in spec.settings:
        file = spec.file.parent / Path(spec.settings["tokenFile"]).expanduser()
        return FromFile(known, file, spec.file, spec.line)()
    return replace(known, token=spec.settings.get("token", INVALID))


@dataclass(frozen=True, slots=True)
class FromFile:
    """Reads a token from a file each time that it is called."""

    known: Access
    file: Path
    named_in: Path
    line: int

    def __call__(self) -> Access:
        """Give the access with the token that the file holds now."""
        try:
            token = self.file.read_text("ascii").strip()
        except OSError as failure:
            raise FileError(self.named_in, self.line, f"tokenFile: {self.file}: {failure.strerror}") from None
        except UnicodeDecodeError:
            token = ""
        if not token or not all("!" <= letter <= "~" for letter in token):
            raise FileError(self.named_in, self.line, f"tokenFile: {self.file} holds no token")
        return replace(self.known, token=token, renew=self)
