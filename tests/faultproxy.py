"""A proxy in front of a real API server that can change chosen answers, so that a test sees who notices.

It ends TLS with a certificate of the cluster's own authority, so a client needs nothing but another address. Whoever
shows a client certificate is forwarded as the front proxy of an aggregated server would be (X-Remote-User,
X-Remote-Group, and the credential id that the server itself would note); tokens, impersonation and the lack of both
are passed on as they are. A certificate that has expired is answered as the server does, 401; one of a foreign
authority ends in the handshake, unless it is one of `strangers`. A front proxy's own certificate stays one.

Each client connection has one connection of its own to the server, so that nothing is mixed up.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from conformance.clusters import pki

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Cluster

Headers: TypeAlias = tuple[tuple[str, str], ...]

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: an expired certificate shall reach us, not end in an alert
_END = b"\r\n\r\n"
_BODILESS = frozenset({204, 304})
_SWITCHING = 101
_LIMIT = 1 << 20
_LOOK = 0.05  # seconds between two looks whether the client of a stream is still there


class Asked(NamedTuple):
    """A request as the client sent it; `user` is the name in its certificate, empty without one."""

    method: str
    target: str
    headers: Headers
    body: bytes
    user: str


class Answered(NamedTuple):
    """An answer; of one that goes on (a watch) `body` is empty."""

    status: int
    headers: Headers
    body: bytes


Flip: TypeAlias = Callable[[Asked, Answered], Answered | None]
"""Sees each request with the server's real answer; gives another answer, or None to leave it. Runs in one thread."""
Bend: TypeAlias = Callable[[Asked], Asked | None]
"""Sees each request; gives what the server is asked in its place, or None to leave it. Runs in the same thread."""
Rewrite: TypeAlias = Callable[[bytes], Iterable[bytes]]
"""Makes of a line of a stream the lines that are sent in its place."""
Stream: TypeAlias = Callable[[Asked], Rewrite | None]
"""Sees the request of a watch that begins; gives what its lines become, or None to leave them."""


class Strangers:
    """Clients of foreign authorities who shall reach the server all the same, to be refused by it: with 401."""

    context: ssl.SSLContext

    def admit(self, certificate: bytes) -> None:
        """Let one in by its certificate, which nobody that the proxy knows has signed."""
        self.context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        self.context.load_verify_locations(cadata=certificate.decode())


@contextlib.contextmanager
def before(
    cluster: Cluster,
    flip: Flip | None = None,
    *,
    bend: Bend | None = None,
    stream: Stream | None = None,
    strangers: Strangers | None = None,
) -> Iterator[Cluster]:
    """Have the same cluster behind a proxy. It must be an embedded one with an audit log, whose files lie beside."""
    assert cluster.audit_log, "the fault proxy needs the files of an embedded cluster"
    relay = _Relay(cluster, Path(cluster.audit_log).parent, flip, bend, stream)
    if strangers is not None:
        strangers.context = relay.tls
    thread = threading.Thread(target=relay.run, name="faultproxy", daemon=True)
    thread.start()
    relay.ready.wait()
    try:
        yield replace(cluster, admin=replace(cluster.admin, server=f"https://127.0.0.1:{relay.port}"))
    finally:
        relay.stop()
        thread.join(10)
    assert not thread.is_alive()
    if relay.failures:
        raise ExceptionGroup("the fault proxy itself failed", relay.failures)


class _Relay:
    def __init__(
        self, cluster: Cluster, home: Path, flip: Flip | None, bend: Bend | None, stream: Stream | None
    ) -> None:
        assert cluster.signer is not None
        address = urlsplit(cluster.admin.server)
        self.host, self.server_port = address.hostname, address.port
        self.flip, self.bend, self.stream = flip, bend, stream
        self.ready = threading.Event()
        self.port = 0
        self.failures: list[Exception] = []
        ca = cluster.signer[0].decode()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.verify_mode = ssl.CERT_OPTIONAL
        self.tls.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
        self.tls.load_verify_locations(cadata=ca)
        front = (home / "front-proxy-ca.crt").read_bytes()
        self.tls.load_verify_locations(cadata=front.decode())
        self.authority, self.front = (
            x509.load_pem_x509_certificate(each).subject for each in (cluster.signer[0], front)
        )
        with tempfile.TemporaryDirectory() as folder:
            for name, data in zip("ck", pki.sign_server(cluster.signer, "faultproxy", ("127.0.0.1",)), strict=True):
                (Path(folder) / name).write_bytes(data)
            self.tls.load_cert_chain(Path(folder) / "c", Path(folder) / "k")
        self.plain = ssl.create_default_context(cadata=ca)
        self.trusted = ssl.create_default_context(cadata=ca)
        self.trusted.load_cert_chain(home / "front-proxy.crt", home / "front-proxy.key")

    def run(self) -> None:
        asyncio.run(self._serve())

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.stopped.set)

    async def _serve(self) -> None:
        self.loop, self.stopped = asyncio.get_running_loop(), asyncio.Event()
        clients: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            clients.add(task)
            try:
                await _Connection(self, reader, writer).serve()
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # either side went away, or the block is over
            except Exception as failure:  # noqa: BLE001  # a mistake of a flip or of ours: told at the end
                self.failures.append(failure)
            finally:
                clients.discard(task)
                writer.transport.abort()

        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=self.tls, limit=_LIMIT)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.stopped.wait()
        server.close()
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


class _Connection:
    """One client's connection, and the one to the server that belongs to it."""

    def __init__(self, relay: _Relay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.relay, self.reader, self.writer = relay, reader, writer
        self.user, self.identity, self.vouches = "", b"", False
        self.context = relay.plain
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if shown is None:
            return
        certificate = x509.load_der_x509_certificate(shown)
        names = {oid: certificate.subject.get_attributes_for_oid(oid) for oid in (NameOID.COMMON_NAME, _O)}
        self.user = str(names[NameOID.COMMON_NAME][0].value)
        if certificate.issuer == relay.front:
            # Another front proxy: it says itself whom it vouches for.
            self.context, self.vouches = relay.trusted, True
            return
        if certificate.not_valid_after_utc < datetime.now(UTC) or certificate.issuer != relay.authority:
            self.identity = b"Authorization: Bearer refused\r\n"
            return
        self.context = relay.trusted
        told = [("X-Remote-User", self.user), *(("X-Remote-Group", str(o.value)) for o in names[_O])]
        credential = f"X509SHA256={hashlib.sha256(shown).hexdigest()}"
        told.append(("X-Remote-Extra-Authentication.kubernetes.io%2fcredential-id", credential))
        self.identity = "".join(f"{name}: {value}\r\n" for name, value in told).encode()

    async def serve(self) -> None:
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                try:
                    head = await self.reader.readuntil(_END)
                except asyncio.IncompleteReadError:
                    return
                line, headers = _parsed(head)
                method, target, _ = line.split(" ", 2)
                body, _ = await _body(self.reader, headers)
                asked = Asked(method, target, headers, body, self.user)
                passed = (self.relay.bend(asked) if self.relay.bend else None) or asked
                if server is None or server[0].at_eof():  # the server closes what was idle for long
                    server = await self._connect()
                server[1].write(self._request(passed))
                if not await self._answer(asked, passed, *server):
                    return
        finally:
            if server is not None:
                server[1].transport.abort()

    def _request(self, asked: Asked) -> bytes:
        kept = "".join(f"{n}: {v}\r\n" for n, v in asked.headers if not self._is_ours(n)).encode()
        length = b"Content-Length: %d\r\n" % len(asked.body) if asked.body else b""
        head = f"{asked.method} {asked.target} HTTP/1.1\r\n".encode() + kept + self.identity + length
        return head + b"\r\n" + asked.body

    def _is_ours(self, name: str) -> bool:
        name = name.lower()
        # Who shows a certificate is who it says; the server, too, does not look at a token then.
        if name == "authorization" and self.identity:
            return True
        if name.startswith("x-remote-"):
            return not self.vouches
        return name in {"content-length", "transfer-encoding", "expect"}

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        relay = self.relay
        return await asyncio.open_connection(relay.host, relay.server_port, ssl=self.context, limit=_LIMIT)

    async def _answer(
        self, asked: Asked, passed: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Pass the answer on to what was passed on; False when both connections are used up."""
        head = await reader.readuntil(_END)
        line, headers = _parsed(head)
        status = int(line.split(" ", 2)[1])
        streams = status == _SWITCHING or _is_watch(passed.target, status)
        raw = body = b""
        if not streams and passed.method != "HEAD" and status not in _BODILESS:
            body, raw = await _body(reader, headers, to_the_end=True)
        flipped = self.relay.flip(asked, Answered(status, headers, body)) if self.relay.flip else None
        if flipped is not None:
            self.writer.write(_written(flipped))
            await self.writer.drain()
            return not streams and not _closes(headers)
        self.writer.write(head + raw)
        await self.writer.drain()
        if status == _SWITCHING or (streams and _value(headers, "transfer-encoding").lower() != "chunked"):
            await self._pass_on(reader, writer, both_ways=status == _SWITCHING)
            return False
        rewrite = self.relay.stream(asked) if streams and self.relay.stream else None
        if streams and not await self._chunks(reader, rewrite):
            return False
        return not _closes(headers)

    async def _chunks(self, reader: asyncio.StreamReader, rewrite: Rewrite | None) -> bool:
        """Pass a stream on to its last chunk; what the client asks after that is the next request, and not swallowed.

        False when the client has gone, which ends the server's side, too.
        """

        async def gone() -> None:
            while not (self.reader.at_eof() or self.writer.transport.is_closing()):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK)  # its end comes with no event, and reading would take the next request

        async def pump() -> None:
            rest = b""
            while True:
                size = await reader.readuntil(b"\r\n")
                data = await reader.readexactly(int(size.split(b";")[0], 16) + 2)
                if rewrite is None or data == b"\r\n":
                    self.writer.write(size + data)
                else:
                    *lines, rest = (rest + data[:-2]).split(b"\n")
                    for line in (changed for whole in lines for changed in rewrite(whole)):
                        self.writer.write(b"%x\r\n%s\n\r\n" % (len(line) + 1, line))
                await self.writer.drain()
                if data == b"\r\n":
                    return

        tasks = [asyncio.ensure_future(pump()), asyncio.ensure_future(gone())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return tasks[0].done() and tasks[0].exception() is None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, both_ways: bool) -> None:
        """Pass bytes on as they come until either side ends; a client that has gone ends the server's side, too."""

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter | None) -> None:
            while data := await source.read(1 << 16):
                if sink is not None:
                    sink.write(data)
                    await sink.drain()

        ways = [pump(reader, self.writer), pump(self.reader, writer if both_ways else None)]
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


_O = NameOID.ORGANIZATION_NAME


def _parsed(head: bytes) -> tuple[str, Headers]:
    line, *lines = head[: -len(_END)].decode("latin-1").split("\r\n")
    pairs = (header.partition(":") for header in lines)
    return line, tuple((name, value.strip()) for name, _, value in pairs)


def _value(headers: Headers, wanted: str) -> str:
    return next((value for name, value in headers if name.lower() == wanted), "")


def _closes(headers: Headers) -> bool:
    if _value(headers, "connection").lower() == "close":
        return True
    return not (_value(headers, "content-length") or _value(headers, "transfer-encoding"))


def _is_watch(target: str, status: int) -> bool:
    query = urlsplit(target).query.split("&")
    return status == 200 and any(part in {"watch=true", "watch=1", "follow=true"} for part in query)


async def _body(reader: asyncio.StreamReader, headers: Headers, *, to_the_end: bool = False) -> tuple[bytes, bytes]:
    """Read a body: what it says, and the bytes it was sent as."""
    if _value(headers, "transfer-encoding").lower() == "chunked":
        raw, parts = [], []
        while True:
            size = await reader.readuntil(b"\r\n")
            data = await reader.readexactly(int(size.split(b";")[0], 16) + 2)
            raw += [size, data]
            parts.append(data[:-2])
            if data == b"\r\n":
                return b"".join(parts), b"".join(raw)
    length = _value(headers, "content-length")
    if length:
        body = await reader.readexactly(int(length))
    else:
        body = await reader.read() if to_the_end else b""
    return body, body


def _written(answer: Answered) -> bytes:
    skipped = {"content-length", "transfer-encoding"}
    kept = "".join(f"{name}: {value}\r\n" for name, value in answer.headers if name.lower() not in skipped)
    head = f"HTTP/1.1 {answer.status} Flipped\r\n{kept}Content-Length: {len(answer.body)}\r\n\r\n"
    return head.encode("latin-1") + answer.body
