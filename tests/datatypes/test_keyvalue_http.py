"""The endpoints of the ``keyvalue`` datatype: DVID's paths, bodies, statuses and headers."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from dvidkit_conformance.calling import body_of, call
from dvidkit_keyvalue.messages import read_keyvalues, write_keys, write_keyvalues
from dvidkit_keyvalue.slices import ByteRange, Unsatisfiable, Wanted, from_header
from hypothesis import given
from hypothesis import strategies as st

from dvidkit.engine import StoreConfig
from dvidkit.errors import (
    BadKey,
    BadPayload,
    InvalidInputError,
    LimitError,
    NotFoundError,
    OutOfBounds,
    VersionConflict,
    VersionLocked,
)
from dvidkit.http.status import HTTPError
from dvidkit.kernel import Kernel

VALUE = bytes(range(256))
KEYS = ["a", "b", "c d", 'q"uote\\', "ñ"]


@pytest.fixture
def kv() -> Iterator[Any]:
    """An instance at the root of a repo in memory."""
    with Kernel(StoreConfig("memory")) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("keyvalue", "kv")
        yield repo.root["kv"]


def message(pairs: list[tuple[str, bytes]]) -> bytes:
    """A ``KeyValues``."""
    return b"".join(write_keyvalues(pairs))


def members(tar: bytes) -> list[tuple[str, bytes, int]]:
    """Name, content and mode of each member of a tar file."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as file:
        return [(each.name, file.extractfile(each).read(), each.mode) for each in file]  # type: ignore[union-attr]


# --- the table -------------------------------------------------------------------------------------------------------


def test_the_table_is_dvids(kv: Any) -> None:
    """Every endpoint of DVID's that the service does not answer itself, and which of them change data."""
    rows = {(row.method, row.path): row.mutates for row in kv.endpoints}
    assert rows == {
        ("GET", "keys"): False,
        ("GET", "keyrange/{first}/{last}"): False,
        ("GET", "keys/{first}/{last}"): False,
        ("GET", "keyrangevalues/{first}/{last}"): False,
        ("GET", "key/{key}"): False,
        ("HEAD", "key/{key}"): False,
        ("POST", "key/{key}"): True,
        ("DELETE", "key/{key}"): True,
        ("GET", "keyvalues"): False,
        ("POST", "keyvalues/query"): False,
        ("POST", "keyvalues"): True,
    }
    assert all(row.summary and row.description for row in kv.endpoints)


# --- one key ---------------------------------------------------------------------------------------------------------


def test_post_get_head_delete(kv: Any) -> None:
    """A posted body is the value; deleting it, twice, makes it 404."""
    answer = call(kv, "POST", "key/name%20x", VALUE, user="ada")
    assert (answer.status, answer.body) == (200, b"")
    answer = call(kv, "GET", "key/name%20x")
    assert (answer.status, answer.body, answer.media_type) == (200, VALUE, "application/octet-stream")
    answer = call(kv, "HEAD", "key/name%20x")
    assert (answer.status, answer.headers["Accept-Ranges"]) == (200, "bytes")
    for _ in range(2):
        assert call(kv, "DELETE", "key/name%20x").status == 200
    for method in ("GET", "HEAD"):
        with pytest.raises(NotFoundError, match="Key 'name x' not found"):
            call(kv, method, "key/name%20x")
    with pytest.raises(HTTPError) as caught:
        call(kv, "PUT", "key/name")
    assert caught.value.status == 405


def test_an_empty_body_is_an_empty_value(kv: Any) -> None:
    """Stored as empty, answered with 200 and no bytes, and there for HEAD and listings."""
    call(kv, "POST", "key/e")
    assert call(kv, "GET", "key/e").body == b""
    assert call(kv, "HEAD", "key/e").status == 200
    assert call(kv, "GET", "keys").body == b'["e"]'


def test_a_slash_in_a_key_is_refused_and_not_cut(kv: Any) -> None:
    """DVID stores ``a/b`` as ``a``; here it is refused, encoded, or no endpoint, plain."""
    with pytest.raises(BadKey):
        call(kv, "POST", "key/a%2Fb", b"x")
    with pytest.raises(LookupError):
        call(kv, "POST", "key/a/b", b"x")
    assert kv.keys() == []


# --- parts of a value ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        ("bytes=250-", 250, 255),
        ("bytes=-6", 250, 255),
        ("bytes=-999", 0, 255),
        ("bytes=200-99999", 200, 255),
        ("bytes= 5 - 9 ", 5, 9),
    ],
)
def test_a_range_header_is_followed(kv: Any, header: str, first: int, last: int) -> None:
    """206, the bytes, where they are, and how many there are in all; the end is clamped to the value."""
    kv.put("k", VALUE)
    answer = call(kv, "GET", "key/k", range=header)
    assert (answer.status, answer.body) == (206, VALUE[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/256"


@pytest.mark.parametrize("header", ["bytes=256-", "bytes=256-300", "bytes=-0", "bytes=99999999999999999999-"])
def test_a_range_beyond_the_value_is_416(kv: Any, header: str) -> None:
    """With the size of the value, so that the client can ask again."""
    kv.put("k", VALUE)
    answer = call(kv, "GET", "key/k", range=header)
    assert answer.status == 416
    assert answer.headers["Content-Range"] == "bytes */256"


def test_no_range_of_an_empty_value_is_satisfiable(kv: Any) -> None:
    """Every well-formed range is 416."""
    kv.put("k", b"")
    for header in ("bytes=0-0", "bytes=0-", "bytes=-1"):
        assert call(kv, "GET", "key/k", range=header).status == 416


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=0-1,5-6",
        "items=0-1",
        "0-5",
        "bytes=+1-5",
        "bytes=1_0-20",
    ],
)
def test_a_range_header_that_cannot_be_understood_is_ignored(kv: Any, header: str) -> None:
    """The whole value with 200, as RFC 9110 has it."""
    kv.put("k", VALUE)
    answer = call(kv, "GET", "key/k", range=header)
    assert (answer.status, answer.body) == (200, VALUE)


@given(st.integers(0, 300), st.text("0123456789-,= bytes", max_size=12))
def test_every_header_is_followed_or_ignored(size: int, spec: str) -> None:
    """A range lies within the value, and is never empty."""
    try:
        found = from_header("bytes=" + spec, size)
    except Unsatisfiable:
        return
    assert found is None or 0 <= found.start <= found.end < size


def test_byte_start_and_byte_end_are_strict(kv: Any) -> None:
    """Both are needed, included, and must lie within the value; with a ``Range`` header they are refused."""
    kv.put("k", VALUE)
    assert call(kv, "GET", "key/k?byte_start=0&byte_end=255").body == VALUE
    answer = call(kv, "GET", "key/k?byte_start=10&byte_end=12")
    assert (answer.status, answer.body) == (200, VALUE[10:13])
    for query, error in (
        ("byte_start=0", InvalidInputError),
        ("byte_end=5", InvalidInputError),
        ("byte_start=5&byte_end=4", InvalidInputError),
        ("byte_start=-1&byte_end=4", InvalidInputError),
        ("byte_start=1e2&byte_end=200", InvalidInputError),
        ("byte_start=&byte_end=4", InvalidInputError),
        ("byte_start=0&byte_end=18446744073709551616", InvalidInputError),
        ("byte_start=0&byte_end=256", OutOfBounds),
        ("byte_start=256&byte_end=256", OutOfBounds),
    ):
        with pytest.raises(error):
            call(kv, "GET", f"key/k?{query}")
    with pytest.raises(InvalidInputError):
        call(kv, "GET", "key/k?byte_start=0&byte_end=1", range="bytes=0-1")
    with pytest.raises(NotFoundError):
        call(kv, "GET", "key/absent?byte_start=0&byte_end=1")


# --- listings --------------------------------------------------------------------------------------------------------


def test_listings_are_json_and_escaped(kv: Any) -> None:
    """Sorted by bytes, both ends included, with whatever is in a key escaped."""
    assert call(kv, "GET", "keys").body == b"[]"
    for key in KEYS:
        kv.put(key, b"1")
    answer = call(kv, "GET", "keys")
    assert (json.loads(body_of(answer)), answer.media_type) == (KEYS, "application/json")
    assert json.loads(body_of(call(kv, "GET", "keyrange/b/q%22uote%5C"))) == ["b", "c d", 'q"uote\\']
    assert json.loads(body_of(call(kv, "GET", "keyrange/z/a"))) == []
    assert json.loads(body_of(call(kv, "GET", "keys/b/d"))) == ["b", "c d"]


# --- several values --------------------------------------------------------------------------------------------------


def test_keyrangevalues_in_every_format(kv: Any) -> None:
    """Protocol Buffers unless JSON or tar is asked for; keys escaped, empty values kept."""
    values = {"a": b'{"x": 1}', 'b"': b"[1, 2]", "c": b"", "ñ": b'"text"'}
    kv.put_many(values)
    kv.put("ō", b"outside")
    answer = call(kv, "GET", "keyrangevalues/a/%C3%B1?json=true")
    kv.delete("ō")
    assert answer.media_type == "application/json"
    assert json.loads(body_of(answer)) == {"a": {"x": 1}, 'b"': [1, 2], "c": {}, "ñ": "text"}
    for query in ("tar=true", "jsontar=true"):
        answer = call(kv, "GET", f"keyrangevalues/a/%C3%B1?{query}")
        assert answer.media_type == "application/tar"
        assert members(body_of(answer)) == [(key, value, 0o755) for key, value in values.items()]
    for query in ("", "?jsontar=false", "?protobuf=true"):
        answer = call(kv, "GET", f"keyrangevalues/a/%C3%B1{query}")
        assert answer.media_type == "application/octet-stream"
        assert read_keyvalues(body_of(answer)) == list(values.items())
    assert body_of(call(kv, "GET", "keyrangevalues/x/x?json=true")) == b"{}"
    assert members(body_of(call(kv, "GET", "keyrangevalues/x/x?tar=true"))) == []
    with pytest.raises(InvalidInputError):
        call(kv, "GET", "keyrangevalues/a/b?json=true&tar=true")


@pytest.mark.parametrize("bad", [b"{", b"nope", b"[1,]", b'"\xff"', b"1 2", b"NaN", b"\x00"])
def test_values_that_are_no_json_are_refused_unless_trusted(kv: Any, bad: bytes) -> None:
    """The check is on unless ``check=false``, as DVID documents it; it fails before anything is sent."""
    kv.put_many({"a": b"1", "b": bad})
    for query in ("json=true", "json=true&check=true", "json=true&check="):
        with pytest.raises(BadPayload) as caught:
            call(kv, "GET", f"keyrangevalues/a/b?{query}")
        assert "'b'" in str(caught.value)
    assert body_of(call(kv, "GET", "keyrangevalues/a/b?json=true&check=false")) == b'{"a":1,"b":' + bad + b"}"


def test_keyvalues_by_protobuf(kv: Any) -> None:
    """First all of ``keys``, then all of ``key_ranges``; what is absent is empty."""
    kv.put_many({"a": VALUE, "e": b""})
    wanted = [
        Wanted("a", ByteRange(250, 255)),
        Wanted("absent"),
        Wanted("e"),
        Wanted("a"),
        Wanted("no", ByteRange(0, 9)),
    ]
    for method, path in (("GET", "keyvalues"), ("POST", "keyvalues/query")):
        answer = call(kv, method, path, write_keys(wanted))
        assert read_keyvalues(body_of(answer)) == [
            ("absent", b""),
            ("e", b""),
            ("a", VALUE),
            ("a", VALUE[250:]),
            ("no", b""),
        ]
    assert body_of(call(kv, "GET", "keyvalues", b"")) == b""
    assert body_of(call(kv, "GET", "keyvalues?jsontar=false", write_keys([Wanted("a")]))) == message([("a", VALUE)])
    with pytest.raises(OutOfBounds):
        call(kv, "GET", "keyvalues", write_keys([Wanted("a", ByteRange(250, 256))]))


def test_keyvalues_by_json(kv: Any) -> None:
    """A JSON array of keys or of parts; absent and empty are ``{}``; a part must be JSON itself."""
    kv.put_many({"a": b'{"x": [10, 20]}', "e": b"", 'q"': b"2"})
    body = json.dumps(["a", "absent", "e", 'q"', {"key": "a"}]).encode()
    answer = call(kv, "GET", "keyvalues?json=true", body)
    text = body_of(answer)
    assert answer.media_type == "application/json"
    assert text == b'{"a":{"x": [10, 20]},"absent":{},"e":{},"q\\"":2,"a":{"x": [10, 20]}}'
    part = json.dumps([{"key": "a", "byte_start": 6, "byte_end": 13}]).encode()
    assert json.loads(body_of(call(kv, "GET", "keyvalues?json=true", part))) == {"a": [10, 20]}
    half = json.dumps([{"key": "a", "byte_start": 6, "byte_end": 9}]).encode()
    with pytest.raises(BadPayload):
        call(kv, "GET", "keyvalues?json=true", half)
    assert members(body_of(call(kv, "GET", "keyvalues?tar=true", half))) == [("a", b"[10,", 0o755)]
    assert members(body_of(call(kv, "GET", "keyvalues?jsontar=true", b'["absent", "e"]'))) == [
        ("absent", b"", 0o755),
        ("e", b"", 0o755),
    ]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", BadPayload),
        (b"{}", BadPayload),
        (b'["a", 5]', BadPayload),
        (b'[{"byte_start": 1}]', BadPayload),
        (b'[{"key": "a", "byte_start": "1", "byte_end": 2}]', BadPayload),
        (b'["\xff"]', BadPayload),
        (b'[{"key": "a", "byte_start": 1}]', InvalidInputError),
        (b'[{"key": "a", "byte_start": -1, "byte_end": 2}]', InvalidInputError),
        (b'[{"key": "a", "byte_start": 3, "byte_end": 2}]', InvalidInputError),
        (b'["a/b"]', BadKey),
        (b'[""]', BadKey),
        (b'[{"key": "a", "byte_start": 0, "byte_end": 99}]', OutOfBounds),
    ],
)
def test_bodies_that_cannot_be_are_refused(kv: Any, body: bytes, error: type[Exception]) -> None:
    """No JSON, another form, half a range, keys that cannot be, parts beyond the value."""
    kv.put("a", b"1")
    for query in ("json=true", "tar=true"):
        with pytest.raises(error):
            call(kv, "GET", f"keyvalues?{query}", body)


@pytest.mark.parametrize("wire", ["0a", "0a05616263", "08" + "ff" * 10, "0805", "0a01ff"])
def test_messages_that_cannot_be_are_refused(kv: Any, wire: str) -> None:
    """Cut short, too long a number, a number for a key, no UTF-8: nothing is read or written."""
    for method in ("GET", "POST"):
        with pytest.raises((BadPayload, BadKey)):
            call(kv, method, "keyvalues", bytes.fromhex(wire))
    assert kv.keys() == []


def test_post_keyvalues_is_atomic(kv: Any) -> None:
    """All pairs or none; unknown fields are passed over, a pair without a value is empty, one without a key refused."""
    call(kv, "POST", "keyvalues", message([("a", VALUE), ("b", b""), ("a", b"last")]))
    assert dict(kv.items()) == {"a": b"last", "b": b""}
    for bad in (message([("c", b"1"), ("d/e", b"2")]), message([("c", b"1"), ("", b"2")])):
        with pytest.raises(BadKey):
            call(kv, "POST", "keyvalues", bad)
    assert kv.keys() == ["a", "b"]
    call(kv, "POST", "keyvalues", bytes.fromhex("0a081a0178" + "0a0163" + "2005" + "1001"))
    assert kv.keys() == ["a", "b", "c"]


def test_messages_are_protobufs(kv: Any) -> None:
    """``KeyValues`` byte for byte: field 1 with key in field 1 and value in field 2, empty fields left out."""
    kv.put_many({"k": b"v", "e": b""})
    assert body_of(call(kv, "GET", "keyrangevalues/a/z")).hex() == "0a030a0165" + "0a060a016b120176"
    assert write_keys([Wanted("k"), Wanted("k", ByteRange(1, 300))]).hex() == "0a016b" + "12080a016b100118ac02"


def test_an_answer_has_a_budget(kv: Any) -> None:
    """More bytes than the budget are refused before they are all in memory."""
    kv.put_many({f"k{n}": bytes(1000) for n in range(10)})
    kv.budget = 5000
    for query in ("", "?tar=true", "?json=true&check=false"):
        with pytest.raises(LimitError):
            call(kv, "GET", f"keyrangevalues/a/z{query}")
    assert len(read_keyvalues(body_of(call(kv, "GET", "keyrangevalues/k0/k3")))) == 4


def test_a_large_answer_is_sent_in_pieces(kv: Any) -> None:
    """With its length, and without one copy of it all."""
    values = {f"k{n}": bytes([n]) * (1 << 20) for n in range(3)}
    kv.put_many(values)
    answer = call(kv, "GET", "keyrangevalues/a/z")
    assert not isinstance(answer.body, bytes)
    body = body_of(answer)
    assert answer.headers["Content-Length"] == str(len(body))
    assert dict(read_keyvalues(body)) == values


def test_versions(kv: Any) -> None:
    """A committed version refuses every writing row; a conflict is an error in every reading row that meets it."""
    kv.put("a", b"0")
    root, repo = kv.node, kv.instance.repo
    root.commit()
    for method, path in (("POST", "key/a"), ("DELETE", "key/a")):
        with pytest.raises(VersionLocked):
            call(kv, method, path, b"x")
    with pytest.raises(VersionLocked):
        call(kv, "POST", "keyvalues", message([("a", b"x")]))
    left, right = root.new_version(), root.make_branch("right")
    for version in (left, right):
        version["kv"].put("a", version.branch.encode())
        version.commit()
    merged = repo.merge([left, right])["kv"]
    for path in ("key/a", "keys", "keyrange/a/b", "keyrangevalues/a/b", "keyrangevalues/a/b?tar=true"):
        with pytest.raises(VersionConflict):
            call(merged, "GET", path)
    with pytest.raises(VersionConflict):
        call(merged, "HEAD", "key/a")
    with pytest.raises(VersionConflict):
        call(merged, "GET", "keyvalues?json=true", b'["a"]')
