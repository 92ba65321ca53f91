"""HTTP to an API server, by libcurl: one way to ask, for set-up work and for the engine alike.

Credentials are handed to libcurl as memory blobs; none is written to a file. Connections are kept alive and libcurl
reuses one only for the same server and client certificate, so that no identity travels on another's connection.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode, urlsplit

import orjson
import pycurl

from conformance import __version__
from conformance.errors import ClusterError, UsageError
from conformance.model import Access, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

USER_AGENT = f"kube-conformance/{__version__}"
CONNECT_SECONDS = 10
ANSWER_SECONDS = 30
_UNAUTHORIZED = 401
_STREAM_BYTES = 8 << 20  # of a watch: what is longer than that is cut
_VERIFICATIONS = (
    pycurl.SSL_VERIFYPEER,
    pycurl.SSL_VERIFYHOST,
    pycurl.PROXY_SSL_VERIFYPEER,
    pycurl.PROXY_SSL_VERIFYHOST,
)
# Where distributions keep the authorities that they trust (the list of Go's crypto/x509).
_TRUST = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def url_of(access: Access, request: Request) -> str:
    """The whole address of a request: the server (which may have a path prefix), the path, escaped, and the query."""
    return _address(access.server, access.tls_server_name) + _target(request.path, request.query)


@lru_cache(maxsize=1024)
def _target(path: str, query: tuple[tuple[str, str], ...]) -> str:
    escaped = quote(path, safe="/:@!$&'()*+,;=~")
    return f"{escaped}?{urlencode(query)}" if query else escaped


def prepare(handle: pycurl.Curl, access: Access, *, user_agent: str = USER_AGENT) -> None:
    """Set on a fresh handle all that stays the same for one access."""
    handle.setopt(pycurl.NOSIGNAL, 1)
    handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    handle.setopt(pycurl.USERAGENT, user_agent)
    handle.setopt(pycurl.CONNECTTIMEOUT, CONNECT_SECONDS)
    handle.setopt(pycurl.TIMEOUT, ANSWER_SECONDS)
    # An ambient proxy variable must not decide where credentials go: only what the kubeconfig or the user said.
    handle.setopt(pycurl.PROXY, access.proxy or "")
    # A proxy that is asked by TLS is trusted as the server is, which is how kubectl does it.
    if access.insecure:
        for option in _VERIFICATIONS:
            handle.setopt(option, 0)
    elif access.ca is not None:
        handle.setopt(pycurl.CAINFO_BLOB, access.ca)
        handle.setopt(pycurl.PROXY_CAINFO_BLOB, access.ca)
    elif (trusted := system_trust()) is not None:
        handle.setopt(pycurl.CAINFO, trusted)
        handle.setopt(pycurl.PROXY_CAINFO, trusted)
    if access.certificate is not None and access.key is not None:
        handle.setopt(pycurl.SSLCERT_BLOB, _alone(access.certificate))
        handle.setopt(pycurl.SSLKEY_BLOB, access.key)
    if access.tls_server_name:
        # libcurl takes the name for SNI and for verification from the URL: ask that name, connect to the real address.
        host, port = _host_port(access.server)
        inner = f"[{host}]" if ":" in host else host
        handle.setopt(pycurl.CONNECT_TO, [f"{access.tls_server_name}:{port}:{inner}:{port}"])
    if access.unix_socket:
        handle.setopt(pycurl.UNIX_SOCKET_PATH, access.unix_socket)


@lru_cache(maxsize=256)
def _alone(certificate: bytes) -> bytes:
    """Keep OpenSSL from adding its trusted authority to a client certificate, which kubectl does not send either.

    A server verifies every signature that it is shown, with each request: a sixth of its work. OpenSSL completes a
    chain of one only, and the certificate itself, a second time, makes it one that leads nowhere further.
    """
    return (
        certificate
        if certificate.count(b"-----BEGIN CERTIFICATE-----") > 1
        else certificate.rstrip() + b"\n" + certificate
    )


def system_trust() -> str | None:
    """Give the file of the authorities that this machine trusts; None leaves it to libcurl.

    The libcurl of a wheel knows only the paths of the machine that built it. SSL_CERT_FILE and the usual paths are
    what kubectl looks at, so that a company's own authorities count here, too.
    """
    named = os.environ.get("SSL_CERT_FILE")
    if named:
        return named
    found = next((path for path in _TRUST if os.path.isfile(path)), None)  # noqa: PTH113  # asked for each handle
    if found is None:
        with contextlib.suppress(ImportError):
            import certifi  # noqa: PLC0415  # for machines without any, containers mostly

            return certifi.where()
    return found


@lru_cache(maxsize=64)
def _address(server: str, tls_server_name: str | None) -> str:
    if not tls_server_name:
        return server.rstrip("/")
    parts = urlsplit(server)
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{tls_server_name}{port}").geturl().rstrip("/")


def impersonation(
    user: str, groups: Iterable[str] = (), uid: str = "", extra: Iterable[tuple[str, Iterable[str]]] = ()
) -> tuple[tuple[str, str], ...]:
    """Give the headers that ask as somebody else; keys of `extra` are escaped, as a header name holds few letters."""
    headers = (
        ("Impersonate-User", user),
        *(("Impersonate-Group", group) for group in groups),
        *([("Impersonate-Uid", uid)] if uid else []),
        *((f"Impersonate-Extra-{quote(key, safe='')}", value) for key, values in extra for value in values),
    )
    for name, value in headers:
        if not value.isprintable() or value != value.strip():
            raise UsageError(f"{name}: {value!r} cannot be sent as a header")
    return headers


def _host_port(server: str) -> tuple[str, int]:
    parts = urlsplit(server)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


class Exchange:
    """One request on its way: fills in as libcurl reads, and becomes a Response when it is done.

    With `keep` an answer ends after so many bytes, or when its time is over, and is an answer all the same: who asks
    for a decision has it with the status. One that breaks off is none. What libcurl calls for each header and chunk is
    `list.append`, since a Python function there would cost as much as the rest of the request.
    """

    __slots__ = ("_chunks", "_ends_at_headers", "_keep", "_lines", "request", "started")

    def __init__(self, handle: pycurl.Curl, access: Access, request: Request, *, keep: int | None = None) -> None:
        self.request = request
        self.started = time.monotonic()
        self._chunks: list[bytes] = []
        self._lines: list[bytes] = []
        self._ends_at_headers = False
        self._keep = keep
        handle.setopt(pycurl.URL, url_of(access, request))
        with_body = request.body is not None
        if with_body:
            handle.setopt(pycurl.POSTFIELDS, request.body)
        # What the last request on this handle set is not set again: each setting costs as much as reading a header.
        lines = _header_lines(access, request.headers, with_body=with_body)
        same = (request.method, with_body, keep, lines)
        if getattr(handle, "same", None) != same:
            handle.same = same
            if not with_body:
                handle.setopt(pycurl.HTTPGET, 1)  # forgets an earlier body
            handle.setopt(pycurl.NOBODY, request.method == "HEAD")  # whose answer tells the length of a body it hasn't
            handle.setopt(pycurl.CUSTOMREQUEST, request.method)
            handle.setopt(pycurl.HTTPHEADER, lines)
            handle.setopt(pycurl.MAXFILESIZE, keep or 0)
            handle.setopt(pycurl.TIMEOUT, ANSWER_SECONDS)  # a stream on this handle may have had another
        handle.setopt(pycurl.HEADERFUNCTION, self._until_body if request.headers_only else self._lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, self._chunks.append)

    def _until_body(self, line: bytes) -> int | None:
        self._lines.append(line)
        if line.startswith(b"HTTP/"):
            self._ends_at_headers = line.partition(b" ")[2].startswith(b"2")
        # The empty line ends the headers: whoever wanted no more of a success gets no more.
        return -1 if self._ends_at_headers and line in {b"\r\n", b"\n"} else None

    def response(self, handle: pycurl.Curl, error: str | None, code: int = 0) -> Response:
        """Make the answer out of what was read; one that we ended after its headers is no error."""
        status = handle.getinfo(pycurl.RESPONSE_CODE)
        cut = bool(self._keep and self._is_enough(code))
        if self._ends_at_headers or cut:
            error = None
        headers = Headers(self._lines)
        return Response(
            status=0 if error else status,
            headers=headers,
            body=self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks),
            seconds=time.monotonic() - self.started,
            error=error,
            warnings=headers.every("warning"),
            cut=cut,
        )

    def _is_enough(self, code: int) -> bool:
        """Say whether we ended it: it is too long, or takes too long after its headers."""
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return bool(self._lines) and not self._lines[-1].strip()
        return bool(code == pycurl.E_FILESIZE_EXCEEDED)


class Following(Exchange):
    """A request whose answer is a stream of lines, read until `enough` says so of them or the time is over.

    `opened` is called when the headers of a success are there.
    """

    __slots__ = ("_enough", "_open", "_rest", "_timed_out", "lines", "opened")

    def __init__(
        self,
        handle: pycurl.Curl,
        access: Access,
        request: Request,
        *,
        enough: Callable[[list[bytes]], bool],
        opened: Callable[[], None],
        seconds: float,
    ) -> None:
        super().__init__(handle, access, request, keep=_STREAM_BYTES)
        self.lines: list[bytes] = []
        self.opened = opened
        self._enough, self._rest, self._open, self._timed_out = enough, b"", False, False
        handle.setopt(pycurl.HEADERFUNCTION, self._header)
        handle.setopt(pycurl.WRITEFUNCTION, self._chunk)
        handle.setopt(pycurl.TIMEOUT_MS, int(seconds * 1000))
        handle.same = None

    @property
    def ended(self) -> str:
        """By whom it was ended: `server`, `client` when its time was over, empty when it had brought enough."""
        return "" if self._ends_at_headers else "client" if self._timed_out else "server"

    def response(self, handle: pycurl.Curl, error: str | None, code: int = 0) -> Response:
        """Make the answer out of what was read."""
        self._timed_out = code == pycurl.E_OPERATION_TIMEDOUT
        return super().response(handle, error, code)

    def _header(self, line: bytes) -> None:
        self._lines.append(line)
        if line.startswith(b"HTTP/"):
            self._open = line.partition(b" ")[2].startswith(b"2")
        elif self._open and line in {b"\r\n", b"\n"}:
            self.opened()

    def _chunk(self, chunk: bytes) -> int | None:
        self._chunks.append(chunk)
        if not self._open:
            return None
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        known = len(self.lines)
        self.lines += [line for line in whole if line]
        self._ends_at_headers = bool(whole) and self._enough(self.lines)
        if self._ends_at_headers:  # what came in one packet with the last line that was waited for is chance
            enough = next(n for n in range(known + 1, len(self.lines) + 1) if self._enough(self.lines[:n]))
            del self.lines[enough:]
        return -1 if self._ends_at_headers else None  # whoever has seen enough hangs up, and that is no error


class Messages(Following):
    """A request that becomes a WebSocket connection, on which the server alone speaks: each message is a line."""

    __slots__ = ()

    def _header(self, line: bytes) -> None:
        self._lines.append(line)
        if line.startswith(b"HTTP/"):
            self._open = line.partition(b" ")[2].startswith(b"101")
        elif self._open and line in {b"\r\n", b"\n"}:
            self.opened()

    def _chunk(self, chunk: bytes) -> int | None:
        if not self._open:
            self._chunks.append(chunk)
            return None
        messages, self._rest, closed = _messages(self._rest + chunk)
        self.lines += messages
        self._ends_at_headers = closed or (bool(messages) and self._enough(self.lines))
        return -1 if self._ends_at_headers else None


_TEXT, _BINARY, _CLOSE = 1, 2, 8
_LONG, _LONGER = 126, 127  # lengths that say that two or eight bytes with the real one follow


def _messages(data: bytes) -> tuple[list[bytes], bytes, bool]:
    """Split what a server sent (RFC 6455, 5.2: never masked) into messages, the rest, and whether it said goodbye."""
    found: list[bytes] = []
    while len(data) >= 2:  # noqa: PLR2004  # a frame's head
        kind, length, start = data[0] & 0x0F, data[1] & 0x7F, 2
        if length in {_LONG, _LONGER}:
            start = 4 if length == _LONG else 10
            length = int.from_bytes(data[2:start], "big")
        if len(data) < start + length:
            break
        payload, data = data[start : start + length], data[start + length :]
        if kind == _CLOSE:
            return found, data, True
        if kind in {_TEXT, _BINARY} and payload:
            found.append(payload)
    return found, data, False


class Headers(Mapping[str, str]):
    """The headers of an answer, lower case; read when they are looked at, since most never are."""

    __slots__ = ("_known", "_lines")

    def __init__(self, lines: list[bytes]) -> None:
        self._known: dict[str, str | None] = {}  # what was looked for: most are looked at several times
        # Where an earlier answer came first, a proxy's or 100 Continue, the last one counts.
        starts = [number for number, line in enumerate(lines) if line.startswith(b"HTTP/")]
        self._lines = lines if len(starts) < 2 else lines[starts[-1] :]  # noqa: PLR2004  # more than one answer

    def every(self, name: str) -> tuple[str, ...]:
        """Give each value of a header that may come several times."""
        length = len(name)
        wanted = name.encode()
        return tuple(
            line[length + 1 :].strip().decode("utf-8", "replace")
            for line in self._lines
            if line[length : length + 1] == b":" and line[:length].lower() == wanted
        )

    def __getitem__(self, name: str) -> str:
        found = self._known.get(name, "")
        if found == "":
            found = self._known[name] = next(reversed(self.every(name)), None)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        names = (line.partition(b":")[0].strip().lower().decode("latin-1") for line in self._lines if b":" in line)
        return iter(dict.fromkeys(names))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@lru_cache(maxsize=1024)
def _header_lines(access: Access, headers: tuple[tuple[str, str], ...], *, with_body: bool) -> tuple[bytes, ...]:
    lines = [f"{name}: {value}" for name, value in (*access.headers, *headers)]
    if access.token is not None:
        lines.append(f"Authorization: Bearer {access.token}")
    if access.tls_server_name:
        lines.append(f"Host: {urlsplit(access.server).netloc}")
    if with_body:
        lines.append("Expect:")
    return tuple(line.encode() for line in lines)  # names of users are UTF-8


class Client:
    """One identity's way to ask one request after the other, for set-up work; not for use by two threads at once."""

    def __init__(self, access: Access, *, user_agent: str = USER_AGENT) -> None:
        self.access = access
        self._user_agent = user_agent
        self._handle = pycurl.Curl()
        prepare(self._handle, access, user_agent=user_agent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._handle.close()

    def send(self, request: Request) -> Response:
        """Ask, and give whatever came back; a connection that failed is a Response with `error`."""
        renew, expires = self.access.renew, self.access.expires
        if renew is not None and expires is not None and time.time() >= expires:
            self._show(renew())
        response = self._send(request)
        if response.status == _UNAUTHORIZED and renew is not None:
            self._show(renew())
            response = self._send(request)
        return response

    def _show(self, access: Access) -> None:
        self._handle.close()  # a connection with the old certificate would stay the old user's
        self.access, self._handle = access, pycurl.Curl()
        prepare(self._handle, access, user_agent=self._user_agent)

    def _send(self, request: Request) -> Response:
        exchange = Exchange(self._handle, self.access, request)
        try:
            self._handle.perform()
        except pycurl.error as failure:
            return exchange.response(self._handle, _sentence(failure), failure.args[0])
        return exchange.response(self._handle, None)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Ask with a JSON body (or none). Accepts JSON unless `headers` say otherwise."""
        pairs = tuple(query.items()) if hasattr(query, "items") else tuple(query)
        wanted = {"Accept": "application/json"} | ({} if body is None else {"Content-Type": "application/json"})
        wanted |= headers or {}
        data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        return self.send(Request(method, path, pairs, tuple(wanted.items()), data))

    def get_json(self, path: str, *, query: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> Any:
        """Get a document that has to be there: anything but a 2xx is a ClusterError that names what was asked."""
        return expect_json(self.ask("GET", path, query=query), f"GET {path}")


def expect_json(response: Response, what: str) -> Any:
    """Return the body of a 2xx answer; otherwise raise a ClusterError that says what was asked and what came back."""
    if response.error:
        raise ClusterError(f"{what}: {response.error}")
    try:
        document = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        document = None
    if not 200 <= response.status < 300:  # noqa: PLR2004  # the class of success
        message = document.get("message", "") if isinstance(document, dict) else ""
        raise ClusterError(f"{what}: {response.status} {message}".rstrip())
    if document is None:
        raise ClusterError(f"{what}: {response.status}, but the body is no JSON")
    return document


def _sentence(failure: pycurl.error) -> str:
    code, text = failure.args[0], failure.args[1] if len(failure.args) > 1 else ""
    return text or f"libcurl error {code}"
