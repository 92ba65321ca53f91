"""Downloads, against a release server of our own."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from conformance.clusters import gomodule, releases
from conformance.clusters.processes import Programs
from conformance.errors import AssetsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION, PLATFORM = "v1.37.2", "linux/amd64"
ETCD = gomodule.required(gomodule.ETCD)
ARCHIVE = f"etcd-{ETCD}-linux-amd64.tar.gz"


def archive(member: str) -> bytes:
    """Make what etcd's releases look like."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as files:
        for name, content in ((f"etcd-{ETCD}-linux-amd64/README.md", b"read me"), (member, b"etcd")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            files.addfile(entry, io.BytesIO(content))
    return held.getvalue()


class Server:
    """A release server: `files` by path, `short` those that end too soon, `asked` what was asked for."""

    def __init__(self) -> None:
        programs = f"/release/{VERSION}/bin/{PLATFORM}"
        etcd = archive(f"etcd-{ETCD}-linux-amd64/etcd")
        self.files = {f"{programs}/{name}": name.encode() for name in gomodule.PROGRAMS if name != "etcd"}
        self.sums = {
            path.rpartition("/")[2]: hashlib.sha256(content).hexdigest() for path, content in self.files.items()
        }
        self.files |= {f"{path}.sha256": self.sums[path.rpartition("/")[2]].encode() for path in list(self.files)}
        self.sums[ARCHIVE] = hashlib.sha256(etcd).hexdigest()
        self.files[f"/etcd/{ETCD}/{ARCHIVE}"] = etcd
        self.files[f"/etcd/{ETCD}/SHA256SUMS"] = f"{'0' * 64}  other\n{self.sums[ARCHIVE]}  {ARCHIVE}\n".encode()
        self.files["/release/stable-1.36.txt"] = b"v1.36.9\n"
        self.short: set[str] = set()
        self.asked: list[str] = []
        handler = type("Handler", (_Handler,), {"server_files": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def path_of(self, name: str) -> str:
        return next(path for path in self.files if path.endswith(f"/{name}"))


class _Handler(BaseHTTPRequestHandler):
    server_files: Server

    def do_GET(self) -> None:
        server = self.server_files
        server.asked.append(self.path)
        path = self.path.removeprefix("http://releases.invalid")  # a proxy is asked for the whole address
        content = server.files.get(path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:-1] if path in server.short else content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent's name
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for variable in ("KUBE_CONFORMANCE_OFFLINE", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KUBE_CONFORMANCE_MIRROR", made.url)
    monkeypatch.setattr(releases, "pins", lambda *_: made.sums)
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


def download(folder: Path, *, allow_unpinned: bool = False) -> dict[str, bytes]:
    """Download into a folder; give what the programs hold."""
    with Programs(folder, "x-") as home:
        made = releases.download(home, VERSION, PLATFORM, allow_unpinned=allow_unpinned, say=lambda _: None)
        assert all(program.stat().st_mode & 0o100 for program in made.iterdir())
        return {program.name: program.read_bytes() for program in made.iterdir()}


WHOLE = {name: name.encode() for name in gomodule.PROGRAMS}


def test_what_is_pinned_is_downloaded(server: Server, tmp_path: Path) -> None:
    assert download(tmp_path) == WHOLE
    assert len(server.asked) == len(WHOLE)  # the published sums are not looked at


def test_what_is_not_pinned_is_not_even_asked_for(server: Server, tmp_path: Path) -> None:
    del server.sums["kubectl"]
    with pytest.raises(AssetsError, match=r"missing: kubectl.*--allow-unpinned"):
        download(tmp_path)
    assert server.asked == []


def test_published_sums_serve_where_the_user_allows_it(server: Server, tmp_path: Path) -> None:
    server.sums.clear()
    assert download(tmp_path, allow_unpinned=True) == WHOLE


@pytest.mark.parametrize("name", ["kube-apiserver", ARCHIVE])
@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize(
    ("fault", "message"),
    [("corrupt", "it is refused"), ("short", "ended after|stopped after"), ("missing", "404")],
)
def test_a_bad_file_is_refused(
    server: Server, tmp_path: Path, name: str, fault: str, message: str, *, pinned: bool
) -> None:
    path = server.path_of(name)
    if fault == "corrupt":
        server.files[path] = server.files[path][:-1] + b"!"
    elif fault == "short":
        server.short.add(path)
    else:
        del server.files[path]
    if not pinned:
        server.sums.clear()
    with pytest.raises(AssetsError, match=message):
        download(tmp_path, allow_unpinned=not pinned)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("SHA256SUMS", f"{'0' * 64}  other\n".encode(), "says nothing of"),
        ("kubectl.sha256", b"", "says nothing of"),
        ("kubectl.sha256", b"0" * 64, "it is refused"),
    ],
)
def test_a_bad_published_sum_is_refused(
    server: Server, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    server.sums.clear()
    server.files[server.path_of(name)] = content
    with pytest.raises(AssetsError, match=message):
        download(tmp_path, allow_unpinned=True)


def test_an_archive_without_etcd_is_refused(server: Server, tmp_path: Path) -> None:
    content = archive("etcd/something")
    server.files[server.path_of(ARCHIVE)] = content
    server.sums[ARCHIVE] = hashlib.sha256(content).hexdigest()
    with pytest.raises(AssetsError, match="holds no etcd"):
        download(tmp_path)


def test_offline_asks_nobody(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBE_CONFORMANCE_OFFLINE", "1")
    with pytest.raises(AssetsError, match="KUBE_CONFORMANCE_OFFLINE"):
        download(tmp_path)
    assert server.asked == []


def test_a_server_that_is_not_there_is_told(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del server
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("KUBE_CONFORMANCE_MIRROR", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(AssetsError, match="refused"):
            download(tmp_path)


def test_a_server_that_says_nothing_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del server
    monkeypatch.setattr(releases, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address):  # fills the queue: the next one is never taken in
            monkeypatch.setenv("KUBE_CONFORMANCE_MIRROR", f"http://127.0.0.1:{address[1]}")
            with pytest.raises(AssetsError, match="timed out"):
                download(tmp_path)


def test_a_proxy_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("KUBE_CONFORMANCE_MIRROR", "http://releases.invalid")
    assert download(tmp_path) == WHOLE


def test_the_newest_patch_is_asked_for(server: Server) -> None:
    assert releases.newest("1.36") == "v1.36.9"
    with pytest.raises(AssetsError, match=r"stable-1\.99\.txt: 404"):
        releases.newest("1.99")
    assert server.asked == ["/release/stable-1.36.txt", "/release/stable-1.99.txt"]


def test_without_a_mirror_files_come_from_their_makers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBE_CONFORMANCE_MIRROR", raising=False)
    urls = {release.name: release.url for release in releases.releases(VERSION, PLATFORM)}
    assert urls["kube-apiserver"] == "https://dl.k8s.io/release/v1.37.2/bin/linux/amd64/kube-apiserver"
    assert urls["etcd"] == f"https://github.com/etcd-io/etcd/releases/download/{ETCD}/{ARCHIVE}"
    assert set(urls) == set(gomodule.PROGRAMS)


def test_pins_are_sums_of_files_that_exist() -> None:
    default = gomodule.default_version()
    for platform in ("linux/amd64", "linux/arm64"):
        pinned = releases.pins(default, platform)
        assert set(pinned) <= {release.file for release in releases.releases(default, platform)}
        assert all(len(value) == 64 and int(value, 16) for value in pinned.values())
