"""A server that misbehaves on purpose: a test says, for each request, which bytes come back and what happens then.

Plain HTTP, a thread for each connection; counts connections, requests and how many were on their way at once. Beside
it a relay that counts the connections to a real server and changes nothing.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

AUDIT = b"Audit-Id: 1\r\n"


def answer(status: int, body: bytes = b"{}", headers: bytes = AUDIT) -> bytes:
    return b"HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n%s" % (status, headers, len(body), body)


@dataclass(frozen=True, slots=True)
class Deed:
    """What is done with one request: wait, send, then perhaps go on sending, and perhaps end the connection."""

    data: bytes = b""
    wait: float = 0.0
    more: bytes = b""  # sent again and again until the client goes away, or `times`
    times: int = 1 << 60
    reset: bool = False
    stall: bool = False  # keep the connection and say nothing more


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    target: str
    headers: str
    body: bytes
    nth: int  # how often this very target and user was asked, from 1
    at: float


Handler: TypeAlias = Callable[[Asked], Deed]


@dataclass
class Server:
    """What a test sees of it."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    most: int = 0  # requests on their way at the same time
    sent: int = 0  # bytes of `more`
    _now: int = 0
    _seen: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, client: socket.socket, handler: Handler) -> None:
        with contextlib.suppress(OSError), client:
            stream = client.makefile("rb")
            while True:
                line = stream.readline()
                if not line:
                    return
                lines = list(iter(stream.readline, b"\r\n"))
                headers = b"".join(lines).decode()
                length = next((int(h.split(b":")[1]) for h in lines if h.lower().startswith(b"content-length")), 0)
                method, target, _ = line.decode().split(" ", 2)
                body = stream.read(length)
                with self._lock:
                    key = method, target, headers + body.decode()
                    self._seen[key] = self._seen.get(key, 0) + 1
                    asked = Asked(method, target, headers, body, self._seen[key], time.monotonic())
                    self.asked.append(asked)
                    self._now += 1
                    self.most = max(self.most, self._now)
                try:
                    self._do(client, handler(asked))
                finally:
                    with self._lock:
                        self._now -= 1

    def _do(self, client: socket.socket, deed: Deed) -> None:
        time.sleep(deed.wait)
        client.sendall(deed.data)
        for _ in range(deed.times if deed.more else 0):
            client.sendall(deed.more)
            self.sent += len(deed.more)
        if deed.stall:
            client.recv(1)
        if deed.reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            raise ConnectionResetError


@contextlib.contextmanager
def serving(handler: Handler) -> Iterator[Server]:
    server = Server()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    clients: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server.connections += 1
                clients.append(client)
                threading.Thread(target=server.serve, args=(client, handler), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@contextlib.contextmanager
def counting(server: str) -> Iterator[tuple[str, list[float]]]:
    """Pass bytes on to a server as they are; gives the address to use, and when each connection was made."""
    address = urlsplit(server)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    made: list[float] = []
    ends: list[socket.socket] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                made.append(time.monotonic())
                there = socket.create_connection((address.hostname or "", address.port or 443))
                ends.extend((client, there))
                for way in ((client, there), (there, client)):
                    threading.Thread(target=pump, args=way, daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"{address.scheme}://127.0.0.1:{listener.getsockname()[1]}", made
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        thread.join(5)
