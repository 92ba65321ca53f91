"""A cluster at one moment as it is kept: a snapshot's folder, or a saved run; both can be compared, gated, rehearsed.

A snapshot's folder holds `snapshot.json.gz` (catalog, RBAC, evidence), `openapi.zip` (the OpenAPI v3 documents) and,
where a run belongs to it, `run.jsonl.gz`. Equal clusters give equal bytes but for the moment itself.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from conformance import __version__
from conformance.errors import RunFileError
from conformance.snapshot_json import dump, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from conformance.model import Json, Matrix, Snapshot
    from conformance.store import SavedRun

FILE = "snapshot.json.gz"
DOCUMENTS = "openapi.zip"
RUN = "run.jsonl.gz"
VERSION = 1
_THEN = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Moment:
    """A cluster at one moment. Of a run alone there is no evidence."""

    name: str
    taken_at: str
    snapshot: Snapshot
    evidence: Json = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)  # of each document's schemas
    document: Callable[[str], Json] = lambda _: {}
    matrix: Matrix | None = None

    @property
    def version(self) -> str:
        """The version of the server."""
        return self.snapshot.server_version

    @property
    def side(self) -> tuple[str, str, str]:
        """Name, version and time, as reports of differences name a side."""
        return self.name, self.version, self.taken_at


def _json(raw: bytes) -> Json:
    """Read a document; one of an aggregated server need not be what it should be."""
    try:
        found = orjson.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def digest(raw: bytes) -> str:
    """Name the schemas of a document by their contents, whatever version of a server says them."""
    schemas = (_json(raw).get("components") or {}).get("schemas") or {}
    return hashlib.sha256(orjson.dumps(schemas, option=orjson.OPT_SORT_KEYS)).hexdigest()


def write(
    folder: Path, snapshot: Snapshot, evidence: Json, documents: Mapping[str, bytes], *, taken_at: str, run: Path | None
) -> None:
    """Write a snapshot's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = {key: digest(raw) for key, raw in documents.items()}
    content = {
        "version": VERSION,
        "takenAt": taken_at,
        "tool": __version__,
        "snapshot": dump(snapshot),
        "evidence": evidence,
        "digests": digests,
    }
    with zipfile.ZipFile(folder / DOCUMENTS, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        for key, raw in documents.items():
            archive.writestr(zipfile.ZipInfo(f"{key}.json", _THEN), raw, zipfile.ZIP_DEFLATED, 4)
    if run is not None:
        source = run / RUN if run.is_dir() else run
        if not source.is_file():
            raise RunFileError(f"there is no run at {run}; give the folder of a run, such as reports/latest")
        shutil.copyfile(source, folder / RUN)
    with (folder / FILE).open("wb") as raw_file, gzip.GzipFile("", "wb", 3, raw_file, mtime=0) as file:
        file.write(orjson.dumps(content))


def read(path: Path) -> Moment:
    """Read a snapshot's folder, the folder of a run, or a run's file."""
    if (path / FILE).is_file():
        return _snapshot(path)
    if path.is_dir() and not (path / RUN).is_file():
        raise RunFileError(
            f"{path} holds neither a snapshot nor a run; `kube-conformance snapshot -o {path}` makes one"
        )
    return _run(path)


def _snapshot(folder: Path) -> Moment:
    try:
        with gzip.open(folder / FILE) as file:
            content: Any = orjson.loads(file.read())
        if content["version"] != VERSION:
            raise RunFileError(f"{folder} is of version {content['version']}; this kube-conformance reads {VERSION}")
        snapshot = load(content["snapshot"])
        matrix = _run(folder).matrix if (folder / RUN).is_file() else None
        documents = _Documents(folder / DOCUMENTS)
        return Moment(
            str(folder), content["takenAt"], snapshot, content["evidence"], content["digests"], documents, matrix
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error, zipfile.BadZipFile) as problem:
        raise RunFileError(
            f"{folder} is no whole snapshot: {type(problem).__name__} {problem}; take it again"
        ) from None


class _Documents:
    """The documents of a snapshot, each read when it is wanted."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)

    def __call__(self, key: str) -> Json:
        try:
            return _json(self._archive.read(f"{key}.json"))
        except KeyError:
            return {}


def _run(path: Path) -> Moment:
    from conformance import matrix, store  # noqa: PLC0415  # a snapshot alone needs no judging

    saved = store.SavedRun(path)
    return of_run(saved, matrix.judged(saved))


def of_run(saved: SavedRun, judged: Matrix | None) -> Moment:
    """Give a saved run, as it was judged, as a moment of its cluster."""
    documents = saved.documents()
    return Moment(
        name=saved.head.id,
        taken_at=saved.head.started_at,
        snapshot=saved.after or saved.snapshot,
        digests={key: digest(raw) for key, raw in documents.items()},
        document=lambda key: _json(documents.get(key, b"")),
        matrix=judged,
    )
