"""What the conformance kit proves of the image datatypes.

PYTEST_DONT_REWRITE: where dvidkit is installed as a wheel, pytest would else tell for minutes how two volumes differ.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from dvidkit_conformance.calling import body_of, call
from dvidkit_conformance.case import DatatypeCase, Model, Op, Refused

Triple = tuple[int, int, int]
Array = npt.NDArray[Any]

_BLOCK_XYZ: Final = (4, 3, 2)
_BLOCK: Final = (2, 3, 4)
_LOW: Final = (-4, -6, -8)
_SHAPE: Final = (8, 12, 20)
"""What is observed (z, y, x): whole blocks, four or five along each axis, and what operations touch."""
_INT32: Final = 1 << 31


class ImagesCase(DatatypeCase):
    """Boxes and rows of blocks about the origin, written and read, and extents set, seen in every way there is.

    Attributes:
        dtype: of one channel.
        channels: how many a voxel has.
    """

    dtype: ClassVar[str]
    channels: ClassVar[int] = 1
    proves: ClassVar[tuple[str, ...]] = tuple(f"DT-IMG-{number}" for number in range(1, 7))
    shown: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "volume": ("DT-IMG-1", "DT-IMG-3", "DT-IMG-4"),
        "outside": ("DT-IMG-2",),
        "blocks": ("DT-IMG-5",),
        "extents": ("DT-IMG-6",),
    }
    envelopes: ClassVar[tuple[int, ...]] = (23,)
    settings: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"block_size": _BLOCK_XYZ},
        {"block_size": _BLOCK_XYZ, "background": 7, "compression": "gzip"},
        {"block_size": _BLOCK_XYZ, "compression": "none", "min_point": (1, 1, 1), "max_point": (2, 2, 2)},
        {"block_size": _BLOCK_XYZ, "background": 255, "checksum": "crc32", "versioned": False},
    )

    # --- programs ----------------------------------------------------------------------------------------------------

    def op(self, rng: random.Random) -> Op:
        """Write a box (often a few voxels, sometimes none, often across blocks), write blocks, read, set extents."""
        kind = rng.choice(("write", "write", "write", "write_blocks", "read", "set_extents"))
        if kind == "write_blocks":
            first = [rng.randrange(-2, 2) for _ in range(3)]
            return {"op": kind, "first": first, "count": rng.choice((0, 1, 2)), "seed": rng.randrange(1 << 30)}
        offset = [rng.randrange(low + 1, low + side - 3) for low, side in zip(_LOW, _SHAPE, strict=True)]
        shape = [rng.choice((0, 1, 1, 2, 3, 4)) if kind != "set_extents" else rng.randrange(1, 4) for _ in range(3)]
        return {"op": kind, "offset": offset, "shape": shape, "seed": rng.randrange(1 << 30)}

    def refused(self, rng: random.Random) -> Op | None:
        """Another dtype, another number of axes, a box outside 32 bits, a negative side, extents inside out."""
        far, seed = [rng.choice((_INT32 - 1, -_INT32 - 1)), 0, 0], rng.randrange(1 << 30)
        return rng.choice(
            (
                {"op": "write", "offset": [0, 0, 0], "shape": [1, 1, 2], "seed": seed, "dtype": "int16"},
                {"op": "write", "offset": [0, 0, 0], "shape": [1, 2], "seed": seed},
                {"op": "write", "offset": far, "shape": [2, 1, 1], "seed": seed},
                {"op": "read", "offset": far, "shape": [2, 1, 1]},
                {"op": "read", "offset": [0, 0, 0], "shape": [1, -1, 1]},
                {"op": "set_extents", "offset": [0, 0, 0], "shape": [1, 0, 1]},
            )
        )

    def apply(self, view: Any, op: Op) -> Any:
        """See ``DatatypeCase.apply``."""
        if op["op"] == "write":
            view.write(op["offset"], self.voxels(op["shape"], op["seed"], op.get("dtype")))
        elif op["op"] == "write_blocks":
            view.write_blocks(op["first"], self.voxels((op["count"], *_BLOCK), op["seed"]))
        elif op["op"] == "set_extents":
            view.set_extents(op["offset"], _last(op["offset"], op["shape"]))
        else:
            return digest(view.read(op["offset"], op["shape"]))
        return None

    def voxels(self, shape: Sequence[int], seed: int, dtype: str | None = None) -> Array:
        """Voxels from a seed; with runs, so that blocks compress, and extremes."""
        full = (*shape, *([self.channels] if self.channels > 1 else []))
        kind = np.dtype(dtype or self.dtype)
        rng = np.random.default_rng(seed)
        if kind.kind == "f":
            return rng.normal(size=full).astype(kind)
        found: Array = rng.integers(0, np.iinfo(kind).max, full, dtype=kind, endpoint=True)
        found[rng.random(full) < 0.5] = seed % 3
        return found

    # --- what is seen ------------------------------------------------------------------------------------------------

    def observe(self, view: Any) -> Any:
        """All voxels by one box; compared with slices, rows of blocks, single voxels and stored blocks; and extents."""
        volume = view.read(_LOW, _SHAPE)
        self._check_planes(view, volume)
        self._check_blocks(view, volume)
        self._check_endpoints(view, volume)
        for z, y, x in ((0, 0, 0), (4, 6, 8), (5, 7, 9), (3, 5, 7), (7, 11, 19)):
            place = (z + _LOW[0], y + _LOW[1], x + _LOW[2])
            assert same(view.read(place, (1, 1, 1))[0, 0, 0], volume[z, y, x]), f"DT-IMG-1: voxel {place}"
        return self._seen(view, volume)

    def glance(self, view: Any) -> Any:
        """See ``DatatypeCase.glance``: one box, and which blocks are stored."""
        return self._seen(view, view.read(_LOW, _SHAPE))

    @staticmethod
    def _seen(view: Any, volume: Array) -> Any:
        extents = view.extents()
        stored = [block for block, _ in view.stored_blocks(_LOW, _whole(_SHAPE))]
        return {
            "outside": outside(volume, stored),
            "volume": digest(volume),
            "extents": None if extents is None else [list(extents.min_zyx), list(extents.max_zyx)],
            "blocks": [list(block) for block in stored],
        }

    @staticmethod
    def _check_planes(view: Any, volume: Array) -> None:
        depth, height, width = _SHAPE
        z, y, x = _LOW
        assert same(view.read_plane("xy", (z + 4, y, x), (height, width)), volume[4]), "DT-IMG-5: plane xy"
        assert same(view.read_plane("xz", (z, y + 7, x), (depth, width)), volume[:, 7]), "DT-IMG-5: plane xz"
        assert same(view.read_plane("yz", (z, y, x + 9), (depth, height)), volume[:, :, 9]), "DT-IMG-5: plane yz"

    @staticmethod
    def _check_blocks(view: Any, volume: Array) -> None:
        bz, by, bx = _BLOCK
        for z, y in ((-1, -1), (-1, 1), (0, 0), (1, -1), (1, 1)):
            row = view.read_blocks((z, y, -2), 5)
            begin = z * bz - _LOW[0], y * by - _LOW[1]
            wanted = volume[begin[0] : begin[0] + bz, begin[1] : begin[1] + by]
            for count in range(5):
                assert same(row[count], wanted[:, :, count * bx : (count + 1) * bx]), (
                    f"DT-IMG-5: block {z} {y} {count - 2}"
                )

    @staticmethod
    def _check_endpoints(view: Any, volume: Array) -> None:
        """``raw``, ``subvolblocks`` and ``specificblocks`` as clients get them."""
        whole = "_".join(map(str, _whole(_SHAPE)[::-1])), "_".join(map(str, _LOW[::-1]))
        depth, height, width = _whole(_SHAPE)
        raw = body_of(call(view, "GET", f"raw/0_1_2/{whole[0]}/{whole[1]}"))
        assert raw == volume[:depth, :height, :width].tobytes(), "DT-IMG-5: raw and read differ"
        stream = body_of(call(view, "GET", f"subvolblocks/{whole[0]}/{whole[1]}?compression=uncompressed"))
        named = []
        for x, y, z, payload in _records(stream):
            begin = [c * side - low for c, side, low in zip((z, y, x), _BLOCK, _LOW, strict=True)]
            box = tuple(slice(first, first + side) for first, side in zip(begin, _BLOCK, strict=True))
            assert payload == volume[box].tobytes(), f"DT-IMG-5: subvolblocks and read differ in block {z} {y} {x}"
            named += [str(x), str(y), str(z)]
        again = body_of(call(view, "GET", f"specificblocks?compression=uncompressed&blocks={','.join(named)}"))
        assert again == stream, "DT-IMG-5: specificblocks and subvolblocks differ"

    def recompute(self, view: Any) -> Mapping[str, tuple[Any, Any]]:
        """The extents in blocks, from the extents in voxels; and every block read one by one, from the list of them."""
        shown = view.extended()
        points = shown["MinPoint"], shown["MaxPoint"]
        blocks = tuple(
            None if point is None else [value // side for value, side in zip(point, _BLOCK_XYZ, strict=True)]
            for point in points
        )
        listed = dict(view.stored_blocks(_LOW, _whole(_SHAPE)))
        named = dict(view.specific_blocks(listed))
        return {"extents in blocks": ((shown["MinIndex"], shown["MaxIndex"]), blocks), "blocks": (listed, named)}

    def model(self, settings: Mapping[str, Any]) -> Model:
        """See ``DatatypeCase.model``."""
        return _ImagesModel(self, settings)


class Uint8Case(ImagesCase):
    """``uint8blk``."""

    typename: ClassVar[str] = "uint8blk"
    dtype: ClassVar[str] = "uint8"


class Uint16Case(ImagesCase):
    """``uint16blk``."""

    typename: ClassVar[str] = "uint16blk"
    like: ClassVar[str] = "uint8blk"
    dtype: ClassVar[str] = "uint16"


class Uint32Case(ImagesCase):
    """``uint32blk``."""

    typename: ClassVar[str] = "uint32blk"
    like: ClassVar[str] = "uint8blk"
    dtype: ClassVar[str] = "uint32"


class Uint64Case(ImagesCase):
    """``uint64blk``."""

    typename: ClassVar[str] = "uint64blk"
    like: ClassVar[str] = "uint8blk"
    dtype: ClassVar[str] = "uint64"


class Float32Case(ImagesCase):
    """``float32blk``."""

    typename: ClassVar[str] = "float32blk"
    like: ClassVar[str] = "uint8blk"
    dtype: ClassVar[str] = "float32"


class RgbaCase(ImagesCase):
    """``rgba8blk``."""

    typename: ClassVar[str] = "rgba8blk"
    like: ClassVar[str] = "uint8blk"
    dtype: ClassVar[str] = "uint8"
    channels: ClassVar[int] = 4


def _records(stream: bytes) -> list[tuple[int, int, int, bytes]]:
    """x, y, z and payload of the records of a block stream."""
    found, place = [], 0
    while place < len(stream):
        x, y, z, size = struct.unpack_from("<4i", stream, place)
        found.append((x, y, z, stream[place + 16 : place + 16 + size]))
        place += 16 + size
    return found


def digest(array: Array) -> str:
    """Shape and bytes of an array in a few characters."""
    return f"{array.shape} {hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=8).hexdigest()}"


def outside(volume: Array, blocks: Sequence[Sequence[int]]) -> list[Any]:
    """The values that voxels outside these blocks have, up to the last whole block."""
    free = np.zeros(_SHAPE, bool)
    depth, height, width = _whole(_SHAPE)
    free[:depth, :height, :width] = True
    for block in blocks:
        begin = [c * side - low for c, side, low in zip(block, _BLOCK, _LOW, strict=True)]
        free[tuple(slice(first, first + side) for first, side in zip(begin, _BLOCK, strict=True))] = False
    found: list[Any] = np.unique(volume[free]).tolist()
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two arrays are the same, bit for bit."""
    return bool(np.shape(one) == np.shape(other) and np.array(one).tobytes() == np.array(other).tobytes())


def _last(offset: Sequence[int], shape: Sequence[int]) -> list[int]:
    return [begin + side - 1 for begin, side in zip(offset, shape, strict=True)]


def _whole(shape: Sequence[int]) -> list[int]:
    return [side // step * step for side, step in zip(shape, _BLOCK, strict=True)]


class _ImagesModel(Model):
    """One numpy array; which blocks were written, and in which change; the extents, and in which change."""

    merges: ClassVar[bool] = True

    def __init__(self, case: ImagesCase, settings: Mapping[str, Any]) -> None:
        self.case = case
        channels = [case.channels] if case.channels > 1 else []
        self.volume: Array = np.full((*_SHAPE, *channels), settings.get("background", 0), case.dtype)
        self.written: dict[Triple, int] = {}
        points = [settings[name] for name in ("min_point", "max_point") if name in settings]
        self.first = [list(point[::-1]) for point in points] or None
        self.extents: list[list[int]] | None = None
        self.extents_change = 0
        self.changes = 0

    def apply(self, op: Op) -> Any:
        """See ``Model.apply``."""
        if op["op"] == "write_blocks":
            array = self.case.voxels((op["count"], *_BLOCK), op["seed"])
            offset = [first * side for first, side in zip(op["first"], _BLOCK, strict=True)]
            self._write(offset, np.concatenate([*array, array[:0].reshape(*_BLOCK[:2], 0, *array.shape[4:])], axis=2))
            return None
        self._refuse(op)
        if op["op"] == "write":
            self._write(op["offset"], self.case.voxels(op["shape"], op["seed"]))
        elif op["op"] == "set_extents":
            self.changes += 1
            self.extents, self.extents_change = [op["offset"], _last(op["offset"], op["shape"])], self.changes
        else:
            return digest(self.volume[self._place(op["offset"], op["shape"])])
        return None

    @staticmethod
    def _refuse(op: Op) -> None:
        if "dtype" in op:
            raise Refused("BadType")
        if len(op["shape"]) != 3:
            raise Refused("BadPayload")
        last = _last(op["offset"], op["shape"])
        outside = any(not -_INT32 <= value < _INT32 for value in (*op["offset"], *last))
        least = 1 if op["op"] == "set_extents" else 0
        if outside or min(op["shape"]) < least:
            raise Refused("OutOfBounds")

    @staticmethod
    def _place(offset: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
        begins = [begin - low for begin, low in zip(offset, _LOW, strict=True)]
        return tuple(slice(begin, begin + side) for begin, side in zip(begins, shape, strict=True))

    def _write(self, offset: Sequence[int], array: Array) -> None:
        shape = array.shape[:3]
        if 0 in shape:
            return
        self.changes += 1
        self.volume[self._place(offset, shape)] = array
        last = _last(offset, shape)
        ranges = (range(a // side, b // side + 1) for a, b, side in zip(offset, last, _BLOCK, strict=True))
        for z, y, x in product(*ranges):
            self.written[z, y, x] = self.changes
        grown = _union(self._seen(), [list(offset), last])
        if self.extents is None or grown != self.extents:
            self.extents, self.extents_change = grown, self.changes

    def _seen(self) -> list[list[int]] | None:
        return self.extents or self.first

    def observe(self) -> Any:
        """See ``Model.observe``."""
        low = [begin // side for begin, side in zip(_LOW, _BLOCK, strict=True)]
        high = [begin + side // step for begin, side, step in zip(low, _SHAPE, _BLOCK, strict=True)]
        listed = [
            list(block)
            for block in sorted(self.written)
            if all(a <= c < b for a, c, b in zip(low, block, high, strict=True))
        ]
        return {
            "outside": outside(self.volume, listed),
            "volume": digest(self.volume),
            "extents": self._seen(),
            "blocks": listed,
        }

    def merge(self, base: Model, other: Model) -> Model | None:
        """Each block as the side has it that wrote it; ``None`` if both wrote one. Extents around both."""
        assert isinstance(base, _ImagesModel)
        assert isinstance(other, _ImagesModel)
        mine, others = self._since(base), other._since(base)
        if mine & others:
            return None
        merged = self.fork()
        assert isinstance(merged, _ImagesModel)
        merged.changes += other.changes + 1
        for block in others:
            place = self._place([c * side for c, side in zip(block, _BLOCK, strict=True)], _BLOCK)
            place = tuple(slice(max(each.start, 0), max(each.stop, 0)) for each in place)
            merged.volume[place] = other.volume[place]
            merged.written[block] = merged.changes
        if other.extents_change != base.extents_change:
            both = self.extents_change != base.extents_change and self.extents is not None
            merged.extents = _union(self.extents, other.extents or []) if both else other.extents
            merged.extents_change = merged.changes
        return merged

    def _since(self, base: _ImagesModel) -> set[Triple]:
        return {block for block, change in self.written.items() if base.written.get(block) != change}


CASES: Final[dict[str, type[ImagesCase]]] = {
    case.typename: case for case in (Uint8Case, Uint16Case, Uint32Case, Uint64Case, Float32Case, RgbaCase)
}
"""The cases by the name of their datatype."""


def _union(one: list[list[int]] | None, other: list[list[int]]) -> list[list[int]]:
    if not one:
        return other
    return [list(map(min, one[0], other[0])), list(map(max, one[1], other[1]))]
