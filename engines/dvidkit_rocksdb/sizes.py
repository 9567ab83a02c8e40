"""How large a range is, by the tables that lie in it; rocksdict does not pass RocksDB's own estimate on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dvidkit.apart import APART, APART_END, apart_key

_DIGITS: Final = 8


def estimate(files: Iterable[Mapping[str, Any]], begin: bytes, end: bytes) -> int:
    """Bytes of the tables in ``[begin, end)``; of one that lies across a bound, its part if its keys lay evenly.

    Args:
        files: what ``Rdict.live_files`` says: ``size``, ``start_key`` and ``end_key`` (included) of each table.
        begin: of the range, a RocksDB key.
        end: of the range, a RocksDB key, not before ``begin``.
    """
    return sum(round(file["size"] * _share(*_bounds(file), begin, end)) for file in files)


def _bounds(file: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """First and last key of a table. One with rows and values set apart counts as if all of it were such values.

    Between the two kinds of keys there is nothing, and the values are what takes room; they lie as their rows do.
    """
    first, last = file["start_key"], file["end_key"]
    return (apart_key(first), last) if first < APART <= last < APART_END else (first, last)


def _share(first: bytes, last: bytes, begin: bytes, end: bytes) -> float:
    if end <= first or begin > last:
        return 0.0
    same = next((n for n, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    low, high = _number(first, same), _number(last, same) + 1
    start = low if begin <= first else _number(begin, same)
    stop = high if end > last else _number(end, same)
    return max(0, stop - start) / (high - low)


def _number(key: bytes, skipped: int) -> int:
    """The digits of a key behind what all keys of the table share, as a number."""
    return int.from_bytes(key[skipped : skipped + _DIGITS].ljust(_DIGITS, b"\x00"), "big")
