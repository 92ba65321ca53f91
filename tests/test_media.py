from __future__ import annotations

import cbor2
import pytest
import yaml

from conformance import media


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


OBJECT = field(1, field(1, b"pod-a"))
BODY = media.MAGIC + field(1, field(1, b"v1") + field(2, b"Pod")) + field(2, OBJECT) + field(4, b"")


@pytest.mark.parametrize(
    ("content", "body", "value"),
    [
        ("application/json; charset=utf-8", b'{"a": [1, null]}', {"a": [1, None]}),
        ("application/yaml", b"a: [1, null]\nwhen: 2026-01-01\n", {"a": [1, None], "when": "2026-01-01"}),
        ("application/cbor", media.CBOR_TAG + cbor2.dumps({b"a": [1, b"x"]}), {"a": [1, "x"]}),
        ("application/cbor", media.CBOR_TAG + cbor2.dumps({"a": cbor2.CBORTag(22, b"x")}), {"a": "eA=="}),
        ("application/vnd.kubernetes.protobuf", BODY, {"apiVersion": "v1", "kind": "Pod"}),
    ],
)
def test_a_body_is_read_by_its_media_type(content: str, body: bytes, value: object) -> None:
    assert media.decode(content, body) == value


@pytest.mark.parametrize(
    ("content", "body", "words"),
    [
        ("application/json", b"{", "no JSON"),
        ("application/yaml", b"a: [", "no YAML"),
        ("application/yaml", b"!!python/object:os.system {}", "no YAML"),
        ("application/cbor", cbor2.dumps({}), "tag"),
        ("application/cbor", media.CBOR_TAG + b"\xff", "no CBOR"),
        ("application/vnd.kubernetes.protobuf", b"{}", "magic"),
        ("application/vnd.kubernetes.protobuf", media.MAGIC + b"\x0a\x7fa", "longer"),
        ("application/vnd.kubernetes.protobuf", media.MAGIC + b"\x0a", "does not end"),
        ("application/vnd.kubernetes.protobuf", media.MAGIC + b"\x0b\x00", "wire type"),
    ],
)
def test_a_body_that_is_not_what_it_says_is_told(content: str, body: bytes, words: str) -> None:
    with pytest.raises(media.Unreadable, match=words):
        media.decode(content, body)


def test_a_message_is_looked_into_by_field_numbers() -> None:
    read = media.envelope(BODY)
    assert media.texts_of(read.raw, 1, 1) == (b"pod-a",)
    assert media.texts_of(read.raw, 3) == ()


def test_texts_stay_texts_in_yaml_whoever_reads_it() -> None:
    value = {"metadata": {"labels": {"y": "1e3", "on": "0x1f"}}, "spec": {"replicas": 1, "args": ["k: v\n", "no"]}}
    written = media.written_as_yaml(value)
    assert media.decode(media.YAML, written.encode()) == value
    assert '"1e3"' in written
    assert 'replicas": 1\n' in written


@pytest.mark.parametrize("text", ["1e3", "y", "N", "0o17", "0x1F", "1_000", "12", "on", "null", "1.5", "2026-01-01"])
def test_a_text_that_somebody_reads_as_another_value_is_quoted_for_people_too(text: str) -> None:
    assert yaml.dump({"name": text}, Dumper=media.careful_dumper()) == f"name: '{text}'\n"


@pytest.mark.parametrize(("value", "written"), [("web", "web"), ("v1", "v1"), (12, "12"), (True, "true")])
def test_what_is_read_as_it_is_stays_plain(value: object, written: str) -> None:
    assert yaml.dump({"name": value}, Dumper=media.careful_dumper()) == f"name: {written}\n"
