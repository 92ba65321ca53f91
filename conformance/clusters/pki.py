"""Certificates of a cluster of ours: its authorities, its servers, and clients that it is to know.

A pair is a certificate and its private key, both PEM. Keys are written in the traditional form (`EC PRIVATE KEY`),
because kube-apiserver reads a service account key in no other.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from conformance.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Pair: TypeAlias = tuple[bytes, bytes]

YEAR = 365 * 86400
LONGEST_NAME = 64  # ub-common-name and ub-organization-name of RFC 5280
_SKEW = 300  # a server whose clock is a little behind must take a certificate that was made just now


def authority(name: str) -> Pair:
    """Make a certificate authority that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name, ())
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _builder(subject, subject, key, 10 * YEAR)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.add_extension(usage, critical=True).sign(key, SHA256())
    return certificate.public_bytes(Encoding.PEM), _pem(key)


def sign_client(signer: Pair, user: str, groups: Sequence[str] = (), seconds: float = YEAR) -> Pair:
    """Make the credential of a user in these groups; valid for so long from now, expired if `seconds` is negative."""
    extension = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return _sign(signer, _subject(user, groups), seconds, extension)


def sign_server(signer: Pair, name: str, hosts: Sequence[str], seconds: float = YEAR) -> Pair:
    """Make the certificate of a server that answers at these DNS names and IP addresses."""
    extension = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return _sign(signer, _subject(name, ()), seconds, extension, x509.SubjectAlternativeName([*map(_host, hosts)]))


def signing_key() -> bytes:
    """Make a private key for service account tokens."""
    return _pem(ec.generate_private_key(ec.SECP256R1()))


def sign_token(key: bytes, claims: Mapping[str, Any]) -> str:
    """Make a token that says this and that a key of `signing_key` vouches for: a JWS, by ES256 (RFC 7515, RFC 7518)."""
    private = load_pem_private_key(key, None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise TypeError("service account tokens of ours are signed by an elliptic curve's key")
    said = b".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "ES256", "typ": "JWT"}, claims))
    first, second = decode_dss_signature(private.sign(said, ec.ECDSA(SHA256())))
    size = (private.key_size + 7) // 8
    signature = first.to_bytes(size, "big") + second.to_bytes(size, "big")
    return b".".join((said, _base64url(signature))).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _sign(signer: Pair, subject: x509.Name, seconds: float, *extensions: x509.ExtensionType) -> Pair:
    issuer = x509.load_pem_x509_certificate(signer[0])
    issuer_key = load_pem_private_key(signer[1], None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise TypeError("an authority's key is an elliptic curve's, as ours, or RSA, as kubeadm's")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(subject, issuer.subject, key, seconds)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, SHA256()).public_bytes(Encoding.PEM), _pem(key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, seconds: float
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(seconds=min(seconds, 0) - _SKEW))
        .not_valid_after(now + dt.timedelta(seconds=seconds))
    )


def _subject(user: str, groups: Sequence[str]) -> x509.Name:
    """Name a user as the API server reads a certificate: the common name, and an organization for each group."""
    for name in (user, *groups):
        if not 0 < len(name) <= LONGEST_NAME:
            raise IdentityError(
                f"a certificate holds names of 1 to {LONGEST_NAME} characters; {name!r} has {len(name)}"
            )
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
