"""The drivers as a program without dvidkit would use them, with the options that the engines give them.

``memory`` and ``filesystem`` have no driver. They are set beside the plainest thing that does the same work: a sorted
dictionary, and one file that is appended to with an index of it in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from dvidkit.engine import StoreConfig

Rows = list[tuple[bytes, bytes]]
_LIMIT: Final = 1 << 40


class Raw(Protocol):
    """One raw database."""

    def get(self, key: bytes, /) -> bytes | None:
        """The driver's read of one key that sees every commit so far."""
        ...

    def write(self, rows: Rows, /) -> object:
        """One batch."""
        ...

    def items(self) -> list[tuple[bytes, bytes]]:
        """Every row."""
        ...

    def keys(self) -> list[bytes]:
        """Every key."""
        ...

    def settle(self) -> None:
        """Bring tables into the form they have after a compaction."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class RawLmdb:
    """py-lmdb."""

    def __init__(self, path: str) -> None:
        import lmdb

        self.env: Any = lmdb.open(path, map_size=_LIMIT, metasync=False)
        self._held: Any = None

    def get(self, key: bytes) -> bytes | None:
        """A transaction for each read, as LMDB asks who wants to see what was committed meanwhile."""
        with self.env.begin() as txn:
            value: bytes | None = txn.get(key)
            return value

    def held(self) -> Callable[[bytes], bytes | None]:
        """``get`` of one transaction that is held all the time, and so sees no later commit."""
        self._held = self._held or self.env.begin()
        get: Callable[[bytes], bytes | None] = self._held.get
        return get

    def write(self, rows: Rows) -> None:
        """A put for each row, in one transaction."""
        with self.env.begin(write=True) as txn:
            for key, value in rows:
                txn.put(key, value)

    def items(self) -> Rows:
        """See ``Raw``."""
        with self.env.begin() as txn:
            return list(txn.cursor().iternext())

    def keys(self) -> list[bytes]:
        """See ``Raw``."""
        with self.env.begin() as txn:
            return list(txn.cursor().iternext(values=False))

    def settle(self) -> None:
        """Nothing is to be done."""

    def close(self) -> None:
        """See ``Raw``."""
        if self._held is not None:
            self._held.abort()
        self.env.close()


class RawLeveldb:
    """plyvel."""

    def __init__(self, path: str) -> None:
        import plyvel

        self.db: Any = plyvel.DB(
            path,
            create_if_missing=True,
            paranoid_checks=True,
            lru_cache_size=64 << 20,
            write_buffer_size=16 << 20,
            max_file_size=16 << 20,
            block_size=4096,
            block_restart_interval=1,
            bloom_filter_bits=10,
        )
        self.get = self.db.get

    def write(self, rows: Rows) -> None:
        """See ``Raw``."""
        batch = self.db.write_batch()
        for key, value in rows:
            batch.put(key, value)
        batch.write()

    def items(self) -> Rows:
        """See ``Raw``."""
        return list(self.db.iterator())

    def keys(self) -> list[bytes]:
        """See ``Raw``."""
        return list(self.db.iterator(include_value=False))

    def settle(self) -> None:
        """See ``Raw``."""
        self.db.compact_range()

    def close(self) -> None:
        """See ``Raw``."""
        self.db.close()


class RawRocksdb:
    """rocksdict in its raw mode."""

    def __init__(self, path: str) -> None:
        from dvidkit_rocksdb.database import options_for
        from rocksdict import Rdict, WriteBatch

        self._new_batch: Any = WriteBatch
        self.db: Any = Rdict(path, options_for(StoreConfig("rocksdb", path), create=True))
        self.get = self.db.get

    def write(self, rows: Rows) -> None:
        """See ``Raw``."""
        batch = self._new_batch(raw_mode=True)
        for key, value in rows:
            batch.put(key, value)
        self.db.write(batch)

    def items(self) -> Rows:
        """See ``Raw``."""
        return list(self.db.items())

    def keys(self) -> list[bytes]:
        """See ``Raw``."""
        return list(self.db.keys())

    def settle(self) -> None:
        """See ``Raw``."""
        self.db.flush()
        self.db.compact_range(None, None)

    def close(self) -> None:
        """See ``Raw``."""
        self.db.close()


class RawMemory:
    """``SortedDict``."""

    def __init__(self, path: str) -> None:
        from sortedcontainers import SortedDict

        self._rows: Any = SortedDict()
        self.get = self._rows.get

    def write(self, rows: Rows) -> None:
        """See ``Raw``."""
        self._rows.update(rows)

    def items(self) -> Rows:
        """See ``Raw``."""
        return list(self._rows.items())

    def keys(self) -> list[bytes]:
        """See ``Raw``."""
        return list(self._rows)

    def settle(self) -> None:
        """Nothing is to be done."""

    def close(self) -> None:
        """Nothing is to be done."""


class RawFile:
    """One file that is appended to, and where in it each value is."""

    def __init__(self, path: str) -> None:
        from sortedcontainers import SortedDict

        Path(path).mkdir(exist_ok=True)
        self._fd = os.open(os.path.join(path, "rows"), os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._end = 0
        self._places: Any = SortedDict()

    def get(self, key: bytes) -> bytes | None:
        """See ``Raw``."""
        place = self._places.get(key)
        return None if place is None else os.pread(self._fd, place[1], place[0])

    def write(self, rows: Rows) -> None:
        """See ``Raw``."""
        places = {}
        for key, value in rows:
            places[key] = (self._end + len(key), len(value))
            self._end += len(key) + len(value)
        os.write(self._fd, b"".join([part for row in rows for part in row]))
        self._places.update(places)

    def items(self) -> Rows:
        """See ``Raw``."""
        return [(key, os.pread(self._fd, size, start)) for key, (start, size) in self._places.items()]

    def keys(self) -> list[bytes]:
        """See ``Raw``."""
        return list(self._places)

    def settle(self) -> None:
        """Nothing is to be done."""

    def close(self) -> None:
        """See ``Raw``."""
        os.close(self._fd)


RAW: Final[dict[str, Callable[[str], Raw]]] = {
    "lmdb": RawLmdb,
    "leveldb": RawLeveldb,
    "rocksdb": RawRocksdb,
    "memory": RawMemory,
    "filesystem": RawFile,
}
