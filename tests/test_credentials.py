"""Who a kubeconfig's user is on the real server, in each way that takes no plugin; no error repeats a key."""

from __future__ import annotations

import base64
import importlib
import json
import pickle
import time
from typing import TYPE_CHECKING, Any

import pytest
from kubeconfigs import DEFAULT, SECRET, SERVER, V1, access_of, admin_of, b64, server_of, token_of, told, whoami, write

from conformance.clusters import credentials, kubeconfig
from conformance.errors import UsageError
from conformance.transport import Client

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster

PEM = "-----BEGIN CERTIFICATE-----"


@pytest.mark.server
def test_a_certificate_in_data_and_in_files_beside_the_kubeconfig(cluster: Cluster, tmp_path: Path) -> None:
    who = whoami(cluster.admin)
    access = access_of(write(tmp_path, server_of(cluster), admin_of(cluster)))
    assert whoami(access) == who
    assert access.renew is None
    for name, content in (("ca", cluster.admin.ca), ("crt", cluster.admin.certificate), ("key", cluster.admin.key)):
        (tmp_path / name).write_bytes(content or b"")
    user = {"client-certificate": "crt", "client-key": str(tmp_path / "key")}
    access = access_of(write(tmp_path, {"server": cluster.admin.server, "certificate-authority": "ca"}, user))
    assert whoami(access) == who
    assert access.renew is not None
    assert whoami(access.renew()) == who


@pytest.mark.server
def test_a_token_file_that_rotates_while_it_is_used(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("no-token\n")
    file = write(tmp_path, server_of(cluster), {"tokenFile": "token", "token": "beside-a-file-it-counts-for-nothing"})
    with Client(access_of(file)) as client:
        assert client.access.expires is not None
        assert time.time() < client.access.expires <= time.time() + credentials.READ_AGAIN
        assert client.ask("GET", "/api").status == 401
        token.write_text(token_of(cluster))
        assert told(client)[0] == DEFAULT  # read again after the 401
        token.write_text(token_of(cluster, "namespace-controller"))
        assert told(client)[0] == DEFAULT  # not yet
    monkeypatch.setattr(credentials, "READ_AGAIN", 0)
    token.write_text(token_of(cluster))
    with Client(access_of(file)) as client:
        assert told(client)[0] == DEFAULT
        token.write_text(token_of(cluster, "namespace-controller"))
        assert told(client)[0] == "system:serviceaccount:kube-system:namespace-controller"  # without any 401
        for content in (None, ""):
            token.unlink() if content is None else token.write_text(content)
            assert told(client)[0] == "system:serviceaccount:kube-system:namespace-controller"  # what it had last


@pytest.mark.server
def test_a_renewal_can_be_handed_to_another_process_and_stays_with_its_user(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("stale")
    file = write(tmp_path, server_of(cluster), {"tokenFile": "token"})
    handed = pickle.loads(pickle.dumps(access_of(file)))  # noqa: S301  # our own
    (tmp_path / "token").write_text(token_of(cluster))
    write(tmp_path, SERVER, {"token": "of somebody else"})  # the run goes on as it began
    assert whoami(handed)[0] == DEFAULT


@pytest.mark.server
def test_a_context_that_asks_as_somebody_else(cluster: Cluster, tmp_path: Path) -> None:
    somebody = {"as": "Jürgen", "as-groups": ["g1", "g 2"], "as-uid": "7", "as-user-extra": {"a/b": ["1", "2"]}}
    access = access_of(write(tmp_path, server_of(cluster), admin_of(cluster) | somebody))
    assert whoami(access) == ("Jürgen", ["g1", "g 2", "system:authenticated"])


@pytest.mark.server
def test_a_context_without_a_user_is_anonymous(cluster: Cluster, tmp_path: Path) -> None:
    file = write(tmp_path, server_of(cluster), {})
    for content in (file.read_text(), file.read_text().replace("user: u\n", "user: ''\n")):
        file.write_text(content)
        with Client(access_of(file)) as client:
            answer = client.ask("GET", "/api/v1/namespaces")
        assert 'User \\"system:anonymous\\"' in answer.body.decode()


@pytest.mark.server
@pytest.mark.parametrize("shown", ["data", "files", "token", "tokenFile", "exec"])
def test_the_official_client_is_the_same_person_by_the_same_kubeconfig(
    cluster: Cluster, tmp_path: Path, shown: str
) -> None:
    official, config = importlib.import_module("kubernetes.client"), importlib.import_module("kubernetes.config")
    token = token_of(cluster)
    for name, content in (("crt", cluster.admin.certificate), ("key", cluster.admin.key), ("token", token.encode())):
        (tmp_path / name).write_bytes(content or b"")
    given = {"apiVersion": V1, "kind": "ExecCredential", "status": {"token": token}}
    users: dict[str, dict[str, Any]] = {
        "data": admin_of(cluster),
        "files": {"client-certificate": "crt", "client-key": "key"},
        "token": {"token": token},
        "tokenFile": {"tokenFile": "token"},
        "exec": {
            "exec": {"apiVersion": V1, "command": "echo", "args": [json.dumps(given)], "interactiveMode": "Never"}
        },
    }
    file = write(tmp_path, server_of(cluster), users[shown])
    with config.new_client_from_config(str(file), context="it", persist_config=False) as client:
        info = official.AuthenticationV1Api(client).create_self_subject_review({}).status.user_info
    assert whoami(access_of(file)) == (info.username, info.groups)


def _id_token(ends: float) -> str:
    body = base64.urlsafe_b64encode(json.dumps({"exp": ends}).encode()).decode().rstrip("=")
    return f"head.{body}.{SECRET}"


def test_an_id_token_of_the_provider_oidc_is_shown_while_it_lasts(tmp_path: Path) -> None:
    token = _id_token(time.time() + 60)
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}
    assert access_of(write(tmp_path, SERVER, user)).token == token


BAD_USERS: dict[str, tuple[dict[str, Any], str]] = {
    "a number for a token": ({"token": 12}, "token has to be text"),
    "a token that splits a header": ({"token": f"{SECRET}\nImpersonate-User: admin"}, "token holds a character"),
    "no base64": ({"client-certificate-data": "%" + SECRET}, "client-certificate-data is no base64"),
    "no PEM": ({"client-certificate-data": b64(SECRET.encode())}, "client-certificate is not PEM"),
    "a key that is not there": ({"client-certificate": "absent"}, "absent cannot be read: No such file"),
    "a certificate without key": ({"client-certificate-data": b64(PEM.encode())}, "client-certificate has no"),
    "a key without certificate": ({"client-key-data": b64(PEM.encode())}, "client-key has no client-certificate"),
    "a key under a passphrase": (
        {"client-key-data": b64(b"-----BEGIN ENCRYPTED PRIVATE KEY-----" + SECRET.encode())},
        "client-key is encrypted",
    ),
    "a token file that is not there": ({"tokenFile": "absent"}, "absent cannot be read: No such file"),
    "an empty token file": ({"tokenFile": "/dev/null"}, "/dev/null is empty"),
    "a password": ({"username": "u", "password": SECRET}, "username is not supported"),
    "a provider that is gone": ({"auth-provider": {"name": "gcp"}}, "left kubectl with 1.26"),
    "a provider's old token": (
        {"auth-provider": {"name": "oidc", "config": {"id-token": _id_token(1)}}},
        "has expired",
    ),
    "a provider's broken token": ({"auth-provider": {"name": "oidc", "config": {"id-token": SECRET}}}, "has expired"),
    "groups of nobody": ({"as-groups": ["g"]}, "need the key as"),
    "groups that are none": ({"as": "a", "as-groups": "system:masters"}, "as-groups has to be a list"),
    "extra that is none": ({"as": "a", "as-user-extra": {"k": "v"}}, "as-user-extra has to be"),
    "a name that splits a header": ({"token": SECRET, "as": "a\nImpersonate-Group: system:masters"}, "cannot be sent"),
}


@pytest.mark.parametrize(("user", "words"), BAD_USERS.values(), ids=BAD_USERS)
def test_a_user_that_cannot_be_read(tmp_path: Path, user: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        access_of(write(tmp_path, SERVER, user))
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_nothing_that_is_shown_holds_a_credential(tmp_path: Path) -> None:
    encoded = b64(PEM.encode() + SECRET.encode())
    (tmp_path / "token").write_text(SECRET)
    user = {"token": SECRET, "tokenFile": "token", "client-key-data": encoded, "client-certificate-data": encoded}
    file = write(tmp_path, SERVER, user)
    config, access = kubeconfig.read(file), access_of(file)
    assert access.token == SECRET
    for value in (config, config.users["u"], access, access.renew, kubeconfig.open(file, "it")):
        assert SECRET not in repr(value)
        assert encoded not in repr(value)
