"""Kubeconfigs that tests write, and what stands between a client and its server: proxies of both directions."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import yaml

from conformance.clusters import kubeconfig, pki
from conformance.model import Access, Request
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conformance.model import Cluster

SECRET = "kc-secret-0123456789abcdef0123456789abcdef"
SERVER = {"server": "https://127.0.0.1:1"}
DEFAULT = "system:serviceaccount:kube-system:default"
V1 = "client.authentication.k8s.io/v1"


def b64(data: bytes | None) -> str:
    return base64.b64encode(data or b"").decode()


def write(folder: Path, server: dict[str, Any], user: dict[str, Any], name: str = "config", **rest: Any) -> Path:
    """Write a kubeconfig of one context `it`; `rest` goes into the context."""
    document = {
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "c", "user": "u"} | rest}],
        "current-context": "it",
    }
    file = folder / name
    file.write_text(yaml.safe_dump(document), "utf-8")
    return file


def access_of(file: Path, said: list[str] | None = None) -> Access:
    return kubeconfig.open(file, "it", say=(said if said is not None else []).append).admin


def server_of(cluster: Cluster) -> dict[str, Any]:
    return {"server": cluster.admin.server, "certificate-authority-data": b64(cluster.admin.ca)}


def admin_of(cluster: Cluster) -> dict[str, Any]:
    return {"client-certificate-data": b64(cluster.admin.certificate), "client-key-data": b64(cluster.admin.key)}


def whoami(access: Access) -> tuple[str, list[str]]:
    with Client(access) as client:
        return told(client)


def told(client: Client) -> tuple[str, list[str]]:
    """Ask the server who this is."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = client.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
    assert answer.status == 201, (answer.status, answer.error, answer.body)
    info = json.loads(answer.body)["status"]["userInfo"]
    return info["username"], info["groups"]


def token_of(cluster: Cluster, account: str = "default") -> str:
    with Client(cluster.admin) as client:
        path = f"/api/v1/namespaces/kube-system/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        answer = client.ask("POST", path, body=body)
        assert answer.status == 201, answer.body
        return str(json.loads(answer.body)["status"]["token"])


def served(cluster: Cluster, folder: Path) -> ssl.SSLContext:
    """Give what a server on this machine needs to be one that the cluster's authority vouches for."""
    if cluster.signer is None:
        pytest.skip("the cluster's authority is not at hand")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = (folder / "served.crt", folder / "served.key")
    for file, data in zip(pair, pki.sign_server(cluster.signer, "between", ("127.0.0.1",)), strict=True):
        file.write_bytes(data)
    context.load_cert_chain(*pair)
    return context


class Tunnel(NamedTuple):
    """A forward proxy: its address, and the heads of the requests that it got."""

    port: int
    heads: list[str]


@contextlib.contextmanager
def tunnel(target: Access, tls: ssl.SSLContext | None = None) -> Iterator[Tunnel]:
    """Have a forward proxy that knows CONNECT only and, whatever name it is asked for, connects to the target."""
    address = urlsplit(target.server)
    heads: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def pipe(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the other side has hung up
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def forward(raw: socket.socket) -> None:
        with contextlib.suppress(OSError), raw, _wrapped(raw, tls) as client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            heads.append(head.decode())
            with socket.create_connection((address.hostname or "", address.port or 443)) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pipe, args=(server, client))
                back.start()
                pipe(client, server)
                back.join()

    def serve() -> None:
        with contextlib.suppress(OSError):  # the listener was shut
            while True:
                threads.append(threading.Thread(target=forward, args=(listener.accept()[0],)))
                threads[-1].start()

    acceptor = threading.Thread(target=serve)
    acceptor.start()
    try:
        yield Tunnel(listener.getsockname()[1], heads)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (acceptor, *threads):
            thread.join(10)
            assert not thread.is_alive()


def _wrapped(raw: socket.socket, tls: ssl.SSLContext | None) -> socket.socket:
    return tls.wrap_socket(raw, server_side=True) if tls is not None else raw


@contextlib.contextmanager
def below(prefix: str, cluster: Cluster, folder: Path) -> Iterator[str]:
    """Have a reverse proxy that serves the cluster below a path and knows nothing else; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            length = int(self.headers.get("Content-Length") or 0)
            passed = tuple((n, v) for n, v in self.headers.items() if n.lower() in {"authorization", "content-type"})
            path, _, _ = self.path.removeprefix(prefix).partition("?")
            with Client(Access(cluster.admin.server, ca=cluster.admin.ca)) as client:
                got = client.send(Request(self.command, path, (), passed, self.rfile.read(length) or None))
            self.send_response(got.status)
            self.send_header("Content-Length", str(len(got.body)))
            self.end_headers()
            self.wfile.write(got.body)

        do_GET = do_POST = answer  # noqa: N815  # what http.server calls

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = served(cluster, folder).wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}{prefix}"
        finally:
            server.shutdown()
            thread.join(10)
