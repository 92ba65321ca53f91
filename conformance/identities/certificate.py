"""A client certificate: by the cluster's authority where we have it, else by the certificates API.

With `ca: foreign` an authority that the server does not know signs it; with `expired: true` its time is over.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from conformance.clusters import pki
from conformance.errors import IdentityError
from conformance.identities import Who
from conformance.identities.anonymous import bare
from conformance.identities.ground import WAIT, read, until
from conformance.yamlfile import Key, choice, flag, line, texts

if TYPE_CHECKING:
    from conformance.identities import Spec
    from conformance.identities.ground import Ground
    from conformance.model import Access, Json

NAME = "certificate"
KEYS = {
    "user": Key(line),
    "groups": Key(texts),
    "ca": Key(choice("cluster", "foreign")),
    "expired": Key(flag),
}
DAY = 86400
_MASTERS = "system:masters"
_REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


def problem(spec: Spec) -> str:
    """Check that what the server cannot accept is expected to be refused."""
    refused = "ca: foreign" if _is_foreign(spec) else "expired: true" if spec.settings.get("expired") else ""
    if refused and spec.expect != "unauthenticated":
        return f"a server refuses a certificate with `{refused}`; add `expect: unauthenticated`"
    if not refused and spec.expect == "unauthenticated":
        return "expect: a server accepts its own authority's certificate; add `ca: foreign` or `expired: true`"
    return ""


def hindrance(spec: Spec, ground: Ground) -> str:
    """What a cluster's own authority signs is valid until it lapses, so it is made on clusters of ours only."""
    cluster = ground.cluster
    if _is_foreign(spec) or cluster.signer:
        return ""
    if not cluster.ours:
        return "a certificate can't be revoked, so none is made on a cluster that kube-conformance did not create"
    if spec.settings.get("expired"):
        return "an expired certificate needs the cluster's authority, which this provider does not give"
    if _MASTERS in spec.settings.get("groups", ()):
        return f"the certificates API signs nothing for {_MASTERS} (admission plugin CertificateSubjectRestriction)"
    return "" if ground.creates else "certificates are requested in mode full only"


def who(spec: Spec, ground: Ground) -> Who:
    """Name user and groups as the certificate's subject does."""
    return Who(ground.user_of(spec), (*spec.settings.get("groups", ()), "system:authenticated"))


def access(spec: Spec, ground: Ground) -> Access:
    """Have the certificate signed."""
    user, groups = ground.user_of(spec), spec.settings.get("groups", ())
    if _is_foreign(spec):
        certificate, key = pki.sign_client(pki.authority("kube-conformance-foreign"), user, groups, DAY)
    elif ground.cluster.signer:
        seconds = -DAY if spec.settings.get("expired") else DAY
        certificate, key = pki.sign_client(ground.cluster.signer, user, groups, seconds)
    else:
        certificate, key = _requested(f"kc-{ground.run_id}-{spec.name}", user, groups, ground)
    return replace(bare(ground.cluster.admin), certificate=certificate, key=key)


def _is_foreign(spec: Spec) -> bool:
    return bool(spec.settings.get("ca") == "foreign")


def _requested(name: str, user: str, groups: tuple[str, ...], ground: Ground) -> pki.Pair:
    """Ask the cluster to sign, approve that, and wait for its signer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [*(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups)]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(key, SHA256())
    body: Json = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(request.public_bytes(Encoding.PEM)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "expirationSeconds": DAY,
            "usages": ["client auth"],
        },
    }
    made = ground.create(_REQUESTS, body)
    approval = {"type": "Approved", "status": "True", "reason": "KubeConformance", "message": "made for this run"}
    ground.sent("PUT", f"{_REQUESTS}/{name}/approval", made | {"status": {"conditions": [approval]}})
    signed: list[bytes] = []

    def is_signed() -> bool:
        status = read(ground.ask("GET", f"{_REQUESTS}/{name}"), f"GET {_REQUESTS}/{name}").get("status") or {}
        if refusal := next((c for c in status.get("conditions", ()) if c["type"] in {"Denied", "Failed"}), None):
            raise IdentityError(f"the cluster did not sign the certificate of {user}: {refusal.get('message', '')}")
        if status.get("certificate"):
            signed.append(base64.b64decode(status["certificate"]))
        return bool(signed)

    if not until(is_signed, WAIT):
        raise IdentityError(f"no controller signed the certificate of {user} within {WAIT:.0f} s")
    return signed[0], key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
