from __future__ import annotations

import base64
import datetime as dt
import json
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from conformance.clusters import pki
from conformance.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIGNER = pki.authority("an authority")


def names(certificate: bytes, oid: x509.ObjectIdentifier) -> list[str | bytes]:
    return [name.value for name in x509.load_pem_x509_certificate(certificate).subject.get_attributes_for_oid(oid)]


def test_a_client_is_named_as_the_server_reads_it() -> None:
    certificate, _ = pki.sign_client(SIGNER, "jane", ("devs", "system:masters"))
    assert names(certificate, NameOID.COMMON_NAME) == ["jane"]
    assert names(certificate, NameOID.ORGANIZATION_NAME) == ["devs", "system:masters"]


@pytest.mark.parametrize("sign", [pki.sign_client, lambda signer, user: pki.sign_server(signer, user, ("localhost",))])
def test_a_signature_is_by_the_authority_and_the_key_fits(sign: Callable[[pki.Pair, str], pki.Pair]) -> None:
    certificate, key = sign(SIGNER, "somebody")
    parsed, authority = x509.load_pem_x509_certificate(certificate), x509.load_pem_x509_certificate(SIGNER[0])
    parsed.verify_directly_issued_by(authority)
    assert load_pem_private_key(key, None).public_key() == parsed.public_key()
    with pytest.raises(ValueError, match="subject"):
        parsed.verify_directly_issued_by(x509.load_pem_x509_certificate(pki.authority("another")[0]))


@pytest.mark.parametrize(("seconds", "valid"), [(3600, True), (-60, False)])
def test_a_certificate_is_valid_for_the_time_that_was_said(seconds: float, *, valid: bool) -> None:
    parsed = x509.load_pem_x509_certificate(pki.sign_client(SIGNER, "jane", seconds=seconds)[0])
    assert parsed.not_valid_before_utc < parsed.not_valid_after_utc
    assert (parsed.not_valid_before_utc < dt.datetime.now(dt.UTC) < parsed.not_valid_after_utc) is valid


def test_a_server_answers_at_names_and_addresses(tmp_path: Path) -> None:
    certificate, key = pki.sign_server(SIGNER, "server", ("localhost", "127.0.0.1"))
    (tmp_path / "pair.pem").write_bytes(certificate + key)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(tmp_path / "pair.pem")
    asking = ssl.create_default_context(cadata=SIGNER[0].decode())
    for host, accepted in (("localhost", True), ("127.0.0.1", True), ("example.org", False)):
        assert handshake(asking, served, host) is accepted


def handshake(asking: ssl.SSLContext, served: ssl.SSLContext, host: str) -> bool:
    """Say whether a client that wants this host takes the server's certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server, server_hostname=host)
    server = served.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return True


def test_keys_are_in_the_form_that_kube_apiserver_reads() -> None:
    assert pki.signing_key().startswith(b"-----BEGIN EC PRIVATE KEY-----")
    assert isinstance(load_pem_private_key(pki.signing_key(), None), ec.EllipticCurvePrivateKey)


def test_a_token_says_what_its_key_vouches_for() -> None:
    key = pki.signing_key()
    token = pki.sign_token(key, {"sub": "jane", "exp": 1})
    head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    assert json.loads(head) == {"alg": "ES256", "typ": "JWT"}
    assert json.loads(claims) == {"sub": "jane", "exp": 1}
    private = load_pem_private_key(key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    both = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    private.public_key().verify(both, token.rpartition(".")[0].encode(), ec.ECDSA(SHA256()))


@pytest.mark.parametrize(("user", "groups"), [("", ()), ("x" * 65, ()), ("jane", ("g" * 65,))])
def test_a_name_that_no_certificate_holds_is_refused(user: str, groups: tuple[str, ...]) -> None:
    with pytest.raises(IdentityError, match="1 to 64"):
        pki.sign_client(SIGNER, user, groups)
