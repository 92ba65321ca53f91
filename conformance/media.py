"""Bodies of answers, whatever their media type, as JSON values: JSON, YAML, CBOR, and the envelope of protobuf.

Sources: https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources and
https://github.com/kubernetes/apimachinery/blob/master/pkg/runtime/generated.proto (Unknown, TypeMeta).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON, YAML, CBOR = "application/json", "application/yaml", "application/cbor"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
CBOR_TAG = b"\xd9\xd9\xf7"  # RFC 8949, 3.4.6: what follows describes itself as CBOR
_AS_BASE64 = 22  # the tag of bytes that JSON writes as base64
_LONG_LINE = 1 << 20  # so that no text is broken
_DOUBTFUL = re.compile(r"(?:[yYnN]|[-+]?(?:0[xXoObB])?[0-9][0-9a-fA-F_]*(?:[eE][-+]?[0-9]+)?)$")
_VARINT, _BYTES = 0, 2  # wire types
_FIXED = {1: 8, 5: 4}


class Unreadable(Exception):  # noqa: N818  # a finding about the server, not an error of ours
    """A body is not what its media type says; the message says how."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A protobuf answer without a look into the object: the type it says it has, and its bytes."""

    api_version: str
    kind: str
    raw: bytes
    content_encoding: str = ""
    content_type: str = ""


@lru_cache(maxsize=256)
def kind_of(content_type: str) -> str:
    """Give the media type itself, without parameters."""
    return content_type.partition(";")[0].strip().lower()


def decode(content_type: str, body: bytes) -> Any:
    """Read a body as the JSON value that it stands for; of protobuf only apiVersion and kind."""
    match kind_of(content_type):
        case "application/yaml":
            return _yaml(body)
        case "application/cbor":
            return _cbor(body)
        case "application/vnd.kubernetes.protobuf":
            read = envelope(body)
            return {"apiVersion": read.api_version, "kind": read.kind}
        case _:
            try:
                return orjson.loads(body)
            except orjson.JSONDecodeError as problem:
                raise Unreadable(f"the body is no JSON: {str(problem).partition(':')[0]}") from None


def _yaml(body: bytes) -> Any:
    import yaml  # noqa: PLC0415  # few answers are YAML

    try:
        # Dates stay texts, as they are in JSON.
        return yaml.load(body, Loader=_loader())  # noqa: S506  # a safe loader with fewer types
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise Unreadable(f"the body is no YAML: {type(problem).__name__}") from None


def written_as_yaml(value: Any) -> str:
    """Write a JSON value as YAML in block style, every text in quotes: plain, `1e3` and `y` are none to a server."""
    import yaml  # noqa: PLC0415

    class Quoting(yaml.SafeDumper):
        """A dumper that leaves no text plain."""

    Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
    return str(yaml.dump(value, Dumper=Quoting, sort_keys=False, width=_LONG_LINE))


@cache
def careful_dumper() -> Any:
    """Make a dumper of YAML for people whose texts are texts to a server, too: a plain `1e3` is a number there."""
    import yaml  # noqa: PLC0415

    class Careful(yaml.SafeDumper):
        """A dumper that leaves no text plain which somebody reads as a number or a truth value."""

    Careful.add_implicit_resolver("!doubtful", _DOUBTFUL, list("yYnN+-0123456789"))
    return Careful


@cache
def _loader() -> Any:
    """Make a loader that knows no dates: libyaml's, which takes a tenth of the time, where it is there."""
    import yaml  # noqa: PLC0415

    class Plain(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # one of two
        """A loader that knows no dates."""

    Plain.yaml_implicit_resolvers = {
        letter: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Plain


def _cbor(body: bytes) -> Any:
    import cbor2  # noqa: PLC0415  # few answers are CBOR

    if not body.startswith(CBOR_TAG):
        raise Unreadable("the body does not begin with the tag of self-described CBOR")
    try:
        return _texts(cbor2.loads(body[len(CBOR_TAG) :]))
    except (cbor2.CBORDecodeError, ValueError, RecursionError) as problem:
        raise Unreadable(f"the body is no CBOR: {type(problem).__name__}") from None


def _texts(value: Any) -> Any:
    """Make texts of byte strings: the server writes texts so, and tags what is base64 in JSON (RFC 8949, 3.4.5.2)."""
    if getattr(value, "tag", None) == _AS_BASE64 and isinstance(value.value, bytes):
        return base64.b64encode(value.value).decode()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {_texts(key): _texts(member) for key, member in value.items()}
    return [_texts(member) for member in value] if isinstance(value, list) else value


def envelope(body: bytes) -> Envelope:
    """Take a protobuf answer out of its envelope: four bytes of magic, then runtime.Unknown."""
    if not body.startswith(MAGIC):
        raise Unreadable("the body does not begin with the magic bytes of Kubernetes' protobuf")
    fields = dict(_fields(body[len(MAGIC) :]))
    typed = dict(_fields(fields.get(1, b"")))
    return Envelope(
        api_version=typed.get(1, b"").decode("utf-8", "replace"),
        kind=typed.get(2, b"").decode("utf-8", "replace"),
        raw=fields.get(2, b""),
        content_encoding=fields.get(3, b"").decode("utf-8", "replace"),
        content_type=fields.get(4, b"").decode("utf-8", "replace"),
    )


def texts_of(raw: bytes, *path: int) -> tuple[bytes, ...]:
    """Give every value at a path of field numbers in a message: `texts_of(raw, 1, 1)` is metadata.name of an object."""
    found = [raw]
    for number in path:
        found = [value for message in found for key, value in _fields(message) if key == number]
    return tuple(found)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the fields of a message by number; those that are numbers are passed over."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            _, at = _varint(message, at)
        elif wire in _FIXED:
            at += _FIXED[wire]
        elif wire == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise Unreadable("a protobuf field is longer than its message")
            yield number, message[at : at + length]
            at += length
        else:
            raise Unreadable(f"a protobuf field has the wire type {wire}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:  # noqa: PLR2004  # bits of the longest
            raise Unreadable("a protobuf number does not end")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
