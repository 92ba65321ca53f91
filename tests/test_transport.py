from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pycurl
import pytest

from conformance.clusters import pki
from conformance.model import Access, Request
from conformance.transport import Client, Following, prepare

if TYPE_CHECKING:
    from pathlib import Path

AUTHORITY = pki.authority("an authority")


def shown_by(access_of: Any, folder: Path) -> list[str]:
    """Have a client ask a server once; give the certificates that it showed, in its order."""
    (folder / "pair.pem").write_bytes(b"".join(pki.sign_server(AUTHORITY, "server", ("127.0.0.1",))))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=AUTHORITY[0].decode())
    chain: list[Any] = []

    def serve(listening: socket.socket) -> None:
        raw, _ = listening.accept()
        with context.wrap_socket(raw, server_side=True) as connection:
            connection.recv(1 << 16)
            inner: Any = connection._sslobj  # type: ignore[attr-defined]  # public from Python 3.13 on
            chain.extend(inner.get_unverified_chain() or ())
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        with Client(access_of(f"https://127.0.0.1:{listening.getsockname()[1]}")) as client:
            assert client.ask("GET", "/version").status == 200
        thread.join(10)
    return [str(each.public_bytes()).strip() for each in chain]


@pytest.mark.parametrize("intermediate", [False, True])
def test_a_client_certificate_is_shown_without_the_authority_that_the_server_knows(
    tmp_path: Path, *, intermediate: bool
) -> None:
    certificate, key = pki.sign_client(AUTHORITY, "jane")
    shown = certificate + (pki.authority("between")[0] if intermediate else b"")
    chain = shown_by(lambda server: Access(server, ca=AUTHORITY[0], certificate=shown, key=key), tmp_path)
    assert AUTHORITY[0].decode().strip() not in chain
    assert len(chain) == 2


def test_a_stream_ends_with_the_line_that_was_waited_for_whatever_came_in_one_packet_with_it() -> None:
    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\none\ntwo\nthree\nfour\n")
            connection.recv(1)  # until the client hangs up

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        handle = pycurl.Curl()
        access = Access(f"http://127.0.0.1:{listening.getsockname()[1]}")
        prepare(handle, access)
        followed = Following(
            handle, access, Request("GET", "/"), enough=lambda lines: b"two" in lines, opened=lambda: None, seconds=10.0
        )
        with pytest.raises(pycurl.error):
            handle.perform()
        handle.close()
        thread.join(10)
    assert (followed.lines, followed.ended) == ([b"one", b"two"], "")
