"""Looking through an LMDB 0.9 data file without LMDB, which trusts every page and crashes on some that are damaged.

``lmdb.verify`` does not serve: it takes an overflow value that was overwritten by a shorter one for damage, and does
not notice that the end of a long value is missing.

All numbers are in the machine's byte order.

=========  ============================================================================================================
page       number u64, pad u16, flags u16, then lower u16 and upper u16, or, of an overflow page, pages u32; 16 bytes
meta page  header, magic u32, version u32, address u64, map size u64, free tree, main tree, last page u64, write u64
tree       pad u32 (in the free tree: page size), flags u16, depth u16, branch, leaf, overflow pages, entries, root u64
node       low u16, high u16, flags u16, key size u16, key, data; offsets of nodes stand after the header, u16 each
branch     the child is ``low | high << 16 | flags << 32``
leaf       the data's size is ``low | high << 16``; with flag 1 it is the number (u64) of the overflow page it begins on
free tree  data: count u64, that many page numbers u64
=========  ============================================================================================================
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_HEADER: Final = struct.Struct("=QHHHH")
_SPAN: Final = struct.Struct("=I")
_META: Final = struct.Struct("=16xIIQQ")
_TREE: Final = struct.Struct("=IHHQQQQQ")
_LAST: Final = struct.Struct("=QQ")
_NODE: Final = struct.Struct("=HHHH")
_NUMBER: Final = struct.Struct("=Q")
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_BIG: Final = 1
_NONE: Final = (1 << 64) - 1
_HIGHEST: Final = b"\xff" * 512
"""Greater than any key."""

_MAX_DEPTH: Final = 32
_ADDRESSES: Final = 1 << 47
"""Bytes that a process can address."""

_METAS: Final = 2


class _Tree(NamedTuple):
    """What a meta page says of a tree; see the table."""

    pad: int
    flags: int
    depth: int
    branch: int
    leaf: int
    overflow: int
    entries: int
    root: int


class _Meta(NamedTuple):
    page_size: int
    free: _Tree
    main: _Tree
    last_page: int
    write: int


class Damaged(Exception):
    """The file is not what LMDB wrote; the text says where."""


def look_through(path: str) -> None:
    """Check that every page that is in use is there, in its place, of sound form, and used once; keys are in order.

    Raises:
        Damaged: naming the first fault. What values contain is not checked: LMDB has no checksums.
    """
    with open(path, "rb") as file:
        _File(file.fileno()).check()


class _File:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._length = os.fstat(fd).st_size
        head = os.pread(fd, 256, 0)
        first = self._meta(head)
        second = self._meta(os.pread(fd, 256, first.page_size))
        self._size = first.page_size
        self._last_meta = max(first, second, key=lambda meta: meta.write)
        self._used = bytearray(self._length // self._size + 1)
        self._unwritten: set[int] = set()

    @staticmethod
    def _meta(head: bytes) -> _Meta:
        if len(head) < 152:
            raise Damaged("the file ends within its first two pages")
        magic, version, _, _ = _META.unpack_from(head)
        if (magic, version) != (_MAGIC, _VERSION):
            raise Damaged("a meta page is not one of LMDB 0.9")
        free, main = _Tree(*_TREE.unpack_from(head, 40)), _Tree(*_TREE.unpack_from(head, 88))
        meta = _Meta(free.pad, free, main, *_LAST.unpack_from(head, 136))
        if (
            meta.page_size not in (1 << shift for shift in range(9, 16))
            or meta.last_page >= _ADDRESSES // meta.page_size
        ):
            raise Damaged("a meta page has impossible sizes")
        return meta

    def check(self) -> None:
        """See ``look_through``."""
        if self._length < _METAS * self._size:
            raise Damaged("the file ends within its first two pages")
        free: list[bytes] = []
        self._walk(self._last_meta.main, None)
        self._walk(self._last_meta.free, free)
        for data in free:
            self._check_free(data)

    def _walk(self, tree: _Tree, free: list[bytes] | None) -> None:
        entries = leaves = branches = 0
        before = b""
        stack = [(tree.root, 1, b"", _HIGHEST)] if tree.root != _NONE else []
        while stack:
            number, depth, least, limit = stack.pop()
            page, flags = self._page(number)
            if depth > _MAX_DEPTH or flags not in (_BRANCH, _LEAF):
                raise Damaged(f"page {number} is no page of a tree")
            nodes = list(self._nodes(number, page))
            if flags == _BRANCH:
                branches += 1
                borders = [least, *(key for _, _, _, key, _ in nodes[1:]), limit]
                stack += [
                    (low | high << 16 | more << 32, depth + 1, borders[n], borders[n + 1])
                    for n, (low, high, more, _, _) in reversed(list(enumerate(nodes)))
                ]
                continue
            leaves += 1
            entries += len(nodes)
            for low, high, flag, key, at in nodes:
                data = self._data(number, page, at, low | high << 16, flag, whole=free is not None)
                if free is not None:
                    free.append(data)
                elif key <= before or not least <= key < limit:
                    raise Damaged(f"page {number} has keys out of order, or others than are sought there")
                before = key
        if (entries, leaves, branches) != (tree.entries, tree.leaf, tree.branch):
            wanted = f"{tree.entries} on {tree.leaf}"
            raise Damaged(f"{entries} entries on {leaves} pages were found, where {wanted} should be")

    def _page(self, number: int) -> tuple[bytes, int]:
        page = os.pread(self._fd, self._size, number * self._size) if number <= self._last_meta.last_page else b""
        if number < _METAS or len(page) < self._size:
            raise Damaged(f"page {number} is beyond the end of the file")
        stored, _, flags, _, _ = _HEADER.unpack_from(page)
        if stored != number:
            raise Damaged(f"page {number} holds something else")
        self._use(number, 1)
        return page, flags

    def _use(self, number: int, count: int) -> None:
        if any(self._used[number : number + count]) or number in self._unwritten:
            raise Damaged(f"page {number} is used twice")
        if number < len(self._used):
            self._used[number : number + count] = b"\1" * count
        else:
            self._unwritten.add(number)

    def _nodes(self, number: int, page: bytes) -> Iterator[tuple[int, int, int, bytes, int]]:
        """(low, high, flags, key, where the data begins) of each node."""
        _, _, _, lower, upper = _HEADER.unpack_from(page)
        if not _HEADER.size <= lower <= upper <= self._size or lower % 2:
            raise Damaged(f"page {number} has an impossible filling")
        for (offset,) in struct.iter_unpack("=H", page[_HEADER.size : lower]):
            if not upper <= offset <= self._size - _NODE.size:
                raise Damaged(f"page {number} has a node outside of it")
            low, high, flags, size = _NODE.unpack_from(page, offset)
            data = offset + _NODE.size + size
            if data > self._size:
                raise Damaged(f"page {number} has a key outside of it")
            yield low, high, flags, page[data - size : data], data

    def _data(self, number: int, page: bytes, at: int, size: int, flags: int, *, whole: bool) -> bytes:
        if flags not in (0, _BIG) or at + (8 if flags else size) > self._size:
            raise Damaged(f"page {number} has an impossible node")
        if not flags:
            return page[at : at + size] if whole else b""
        (first,) = _NUMBER.unpack_from(page, at)
        span = (_HEADER.size - 1 + size) // self._size + 1
        if first + span - 1 > self._last_meta.last_page or (first + span) * self._size > self._length:
            raise Damaged(f"the value on page {first} goes on beyond the end of the file")
        header, found = self._page(first)
        if found != _OVERFLOW or _SPAN.unpack_from(header, 12)[0] < span:
            raise Damaged(f"page {first} does not hold a long value")
        self._use(first + 1, span - 1)
        return os.pread(self._fd, size, first * self._size + _HEADER.size) if whole else b""

    def _check_free(self, data: bytes) -> None:
        numbers = [number for (number,) in _NUMBER.iter_unpack(data[: len(data) & ~7])]
        if not numbers or numbers[0] != len(numbers) - 1 or len(data) % 8:
            raise Damaged("a list of free pages is cut")
        for number in numbers[1:]:
            if not _METAS <= number <= self._last_meta.last_page:
                raise Damaged(f"page {number} is free but does not exist")
            self._use(number, 1)
