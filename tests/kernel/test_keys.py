"""Keys byte for byte: the golden vectors, and what is no key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidkit import keys
from dvidkit.errors import BadKey, BadType, OutOfBounds
from dvidkit.keys import DATA_MARK, TOMBSTONE_MARK, BlobKey, DataKey, MetadataKey, TKeyClass

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "keys.json").read_text("utf-8"))
U32 = st.integers(0, 0xFFFFFFFF)


def from_hex(text: str) -> bytes:
    """Bytes of a vector; blanks and bars are for the reader."""
    return bytes.fromhex(text.replace("|", " "))


@pytest.mark.parametrize(
    "declared",
    [
        {"id": 0, "width": 1},
        {"id": 256, "width": 1},
        {"id": True, "width": 1},
        {"id": 2},
        {"id": 2, "width": 1, "terminator": 0},
        {"id": 2, "width": -1},
        {"id": 2, "width": "1"},
        {"id": 2, "terminator": 256},
        {"id": 2, "terminator": -1},
        {"id": 2, "terminator": b"\x00"},
    ],
)
def test_a_class_that_could_hold_no_tkey_is_refused_where_it_is_declared(declared: dict[str, Any]) -> None:
    """A slip in a class's layout is ``BadKey`` at its declaration, not at the first write."""
    with pytest.raises(BadKey):
        TKeyClass(name="bad", **declared)


def test_coordinates_of_arrays_are_coordinates() -> None:
    """Integers of numpy encode as Python's do; what is no integer is ``BadType``, what is outside ``OutOfBounds``."""
    assert keys.encode_zyx(np.int32(-1), np.int64(2), np.uint8(3)) == keys.encode_zyx(-1, 2, 3)  # type: ignore[arg-type]
    for bad in (1.5, "1", None, np.float32(1)):
        with pytest.raises(BadType):
            keys.encode_zyx(0, bad, 0)  # type: ignore[arg-type]
    for outside in (-(1 << 31) - 1, 1 << 31):
        with pytest.raises(OutOfBounds):
            keys.encode_zyx(0, 0, outside)


# --- golden vectors ---


@pytest.mark.parametrize("vector", VECTORS["metadata"], ids=lambda each: each["key"])
def test_metadata_keys(vector: dict[str, Any]) -> None:
    """KEY-6: ``00 | TKey``, made and taken apart."""
    tkey, key = from_hex(vector["tkey"]), from_hex(vector["key"])
    assert keys.metadata_key(tkey) == key
    assert keys.parse(key) == MetadataKey(tkey)


@pytest.mark.parametrize("vector", VECTORS["data"], ids=lambda each: each["key"])
def test_data_keys(vector: dict[str, Any]) -> None:
    """KEY-6: ``01 | instance | TKey | version | client | mark``, made and taken apart."""
    instance, tkey, version = vector["instance"], from_hex(vector["tkey"]), vector["version"]
    client, mark, key = vector["client"], vector["mark"], from_hex(vector["key"])
    assert keys.data_key(instance, tkey, version, client, mark) == key
    parsed = keys.parse(key)
    assert parsed == DataKey(instance, tkey, version, client, mark)
    assert isinstance(parsed, DataKey)
    assert parsed.tombstone is (mark == 0x4F)
    if client == 0:
        suffix = keys.data_suffix(version) if mark == DATA_MARK else keys.tombstone_suffix(version)
        assert keys.instance_prefix(instance) + tkey + suffix == key


@pytest.mark.parametrize("vector", VECTORS["blob"], ids=lambda each: each["key"])
def test_blob_keys(vector: dict[str, Any]) -> None:
    """KEY-6: ``02 | hash``, made and taken apart."""
    digest, key = from_hex(vector["digest"]), from_hex(vector["key"])
    assert keys.blob_key(digest) == key
    assert keys.parse(key) == BlobKey(digest)
    with pytest.raises(BadKey):
        keys.blob_key(digest[1:])


@pytest.mark.parametrize("vector", VECTORS["tkeys"], ids=lambda each: each["tkey"])
def test_tkeys_and_the_bounds_of_their_class(vector: dict[str, Any]) -> None:
    """KEY-6: ``class | 01 | payload`` between ``class | 00`` and ``class | FF``."""
    low, tkey, high = from_hex(vector["min"]), from_hex(vector["tkey"]), from_hex(vector["max"])
    payload = from_hex(vector["payload"])
    assert keys.new_tkey(vector["class"], payload) == tkey
    assert (keys.min_tkey(vector["class"]), keys.max_tkey(vector["class"])) == (low, high)
    assert low < tkey < high
    of_class = TKeyClass(vector["class"], "vector", width=len(payload))
    assert (of_class.min(), of_class.key(payload), of_class.max()) == (low, tkey, high)
    assert of_class.payload(tkey) == payload


@pytest.mark.parametrize("vector", VECTORS["version_bounds"], ids=lambda each: each["min"])
def test_bounds_of_the_versions_of_a_tkey(vector: dict[str, Any]) -> None:
    """KEY-6, KEY-7: nine zero bytes and nine 0xFF bytes bound every entry of a TKey."""
    instance, tkey = vector["instance"], from_hex(vector["tkey"])
    low, high = from_hex(vector["min"]), from_hex(vector["max"])
    assert keys.min_version_key(instance, tkey) == low
    assert keys.max_version_key(instance, tkey) == high
    for version in (0, 1, 255, 256, 0xFFFFFFFF):
        for client in (0, 0xFFFFFFFF):
            for mark in (DATA_MARK, TOMBSTONE_MARK):
                assert low < keys.data_key(instance, tkey, version, client, mark) < high


@pytest.mark.parametrize("vector", VECTORS["instance_bounds"], ids=lambda each: each["begin"])
def test_bounds_of_an_instance(vector: dict[str, Any]) -> None:
    """INST-1: an instance's keys lie between its prefix and the next one's; those of the last end with the data."""
    begin, end = keys.instance_range(vector["instance"])
    assert (begin, end) == (from_hex(vector["begin"]), from_hex(vector["end"]))
    low, high = keys.data_range()
    assert low <= begin < end
    for key in (keys.data_key(vector["instance"], b"", 0), keys.data_key(vector["instance"], b"\xff" * 30, 0xFFFFFFFF)):
        assert begin <= key < min(end, high)


@pytest.mark.parametrize("vector", VECTORS["zyx"], ids=lambda each: each["bytes"])
def test_coordinates(vector: dict[str, Any]) -> None:
    """KEY-6: each coordinate plus 2^31 as u32, z first."""
    place = vector["z"], vector["y"], vector["x"]
    assert keys.encode_zyx(*place) == from_hex(vector["bytes"])
    assert keys.decode_zyx(from_hex(vector["bytes"])) == place
    with pytest.raises(BadKey):
        keys.decode_zyx(b"1" * 11)


@pytest.mark.parametrize("text", VECTORS["no_keys"])
def test_what_is_no_key(text: str) -> None:
    """KEY-5: another key space, a key cut short or with another mark is ``BadKey``."""
    with pytest.raises(BadKey):
        keys.parse(from_hex(text))


# --- laws ---


@given(U32, st.binary(max_size=20), U32, U32, st.sampled_from([DATA_MARK, TOMBSTONE_MARK]))
def test_every_data_key_is_taken_apart_as_it_was_made(
    instance: int, tkey: bytes, version: int, client: int, mark: int
) -> None:
    """KEY-1: construct and parse are each other's inverse, whatever the TKey's bytes."""
    parsed: Any = DataKey
    assert keys.parse(keys.data_key(instance, tkey, version, client, mark)) == parsed(
        instance,
        tkey,
        version,
        client,
        mark,  # type: ignore[arg-type]
    )


@given(st.lists(st.tuples(U32, st.binary(min_size=4, max_size=4), U32, U32, st.sampled_from([3, 0x4F])), max_size=8))
def test_keys_sort_as_their_parts(parts: list[tuple[int, bytes, int, int, int]]) -> None:
    """KEY-3: of TKeys of one length, full keys sort as (instance, TKey, version, client, mark)."""
    assert [keys.data_key(*part) for part in sorted(parts)] == sorted(keys.data_key(*part) for part in parts)


COORDINATE = st.integers(-(1 << 31), (1 << 31) - 1)
PLACE = st.tuples(COORDINATE, COORDINATE, COORDINATE)


@given(PLACE, PLACE)
def test_coordinates_sort_as_numbers(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    """Encoded coordinates sort as (z, y, x) does, negatives first."""
    assert (keys.encode_zyx(*one) < keys.encode_zyx(*other)) is (one < other)


FIXED = TKeyClass(7, "fixed", width=2)
ENDED = {byte: TKeyClass(9, "ended", terminator=byte) for byte in (0, 1, 9, 255)}


@given(st.sampled_from([FIXED, *ENDED.values()]), st.lists(st.binary(max_size=4), min_size=1, max_size=5))
def test_checking_many_tkeys_is_checking_each(of_class: TKeyClass, payloads: list[bytes]) -> None:
    """``check_all`` refuses exactly if ``check`` refuses one of them, whatever terminator and class byte are."""
    for tkeys in (payloads, [bytes((of_class.id, 1)) + payload for payload in payloads]):
        each = [refused(of_class.check, tkey) for tkey in tkeys]
        assert refused(of_class.check_all, tkeys) == any(each)
        if len(set(map(len, tkeys))) == 1:
            assert of_class.holds_alike(tkeys) is not any(each)


def refused(check: Any, argument: Any) -> bool:
    """Whether the check raised ``BadKey``."""
    try:
        check(argument)
    except BadKey:
        return True
    return False


@given(st.sampled_from([FIXED, *ENDED.values()]), st.binary(max_size=4), st.binary(max_size=4))
def test_tkeys_of_a_class_are_prefix_free(of_class: TKeyClass, one: bytes, other: bytes) -> None:
    """KEY-4: whatever ``key`` makes is taken apart again, and none is a proper prefix of another."""
    made = []
    for payload in (one, other):
        if not refused(of_class.key, payload):
            made.append(of_class.key(payload))
            assert of_class.payload(made[-1]) == payload
    if len(made) == 2 and made[0] != made[1]:
        assert not made[0].startswith(made[1])
        assert not made[1].startswith(made[0])


@pytest.mark.parametrize("number", [True, 1.0, "1", None, b"1"])
def test_ids_are_integers(number: Any) -> None:
    """ERR-1: an id that is no ``int`` is ``BadType``; one outside 32 bits ``OutOfBounds``; a mark is one of two."""
    with pytest.raises(BadType):
        keys.u32(number, "id")
    for outside in (-1, 1 << 32):
        with pytest.raises(OutOfBounds):
            keys.u32(outside, "id")
    with pytest.raises(BadKey):
        keys.data_key(1, b"", 1, mark=4)
