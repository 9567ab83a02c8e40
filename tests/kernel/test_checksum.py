"""Checksums: the format zlib defines, and damage found in any row of a page."""

from __future__ import annotations

import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidkit import checksum
from dvidkit.errors import CorruptData


@given(st.binary(max_size=40), st.binary(max_size=3000))
def test_sealing(key: bytes, value: bytes) -> None:
    """A sealed value is ``value | crc``, as zlib computes it, and comes out of its seal under its own key only."""
    stored = checksum.seal(key, value)
    crc = zlib.crc32(value, zlib.crc32(key, checksum.SEAL))
    assert stored == value + crc.to_bytes(4, "little")
    assert checksum.unseal(key, stored) == value
    with pytest.raises(CorruptData) as caught:
        checksum.unseal(key + b"x", stored)
    assert caught.value.key == key + b"x"


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=9), st.data())
def test_damage_is_found_in_any_row(rows: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    """A page is whole exactly if each of its rows is; the first that is not is named."""
    sealed = [(key, checksum.seal(key, value)) for key, value in rows]
    large = data.draw(st.booleans())
    if large:
        sealed.append((b"large", checksum.seal(b"large", bytes(5000))))
    checksum.check(sealed)
    if sealed:
        place = data.draw(st.integers(0, len(sealed) - 1))
        key, stored = sealed[place]
        byte = data.draw(st.integers(0, len(stored) - 1))
        damaged = stored[:byte] + bytes((stored[byte] ^ 1,)) + stored[byte + 1 :]
        with pytest.raises(CorruptData) as caught:
            checksum.check([*sealed[:place], (key, damaged), *sealed[place + 1 :]])
        assert caught.value.key == key


def test_every_implementation_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the fast libraries the same CRC comes from zlib."""
    fastest = checksum._fastest  # pyright: ignore[reportPrivateUsage]
    sums = {fastest()(b"bytes", checksum.SEAL)}
    for name in ("isal", "zlib_ng"):
        monkeypatch.setitem(sys.modules, f"{name}.{name}_zlib", None)
        monkeypatch.setitem(sys.modules, f"{name}.{name}", None)
        sums.add(fastest()(b"bytes", checksum.SEAL))
    assert sums == {zlib.crc32(b"bytes", checksum.SEAL)}
    assert fastest() is zlib.crc32
