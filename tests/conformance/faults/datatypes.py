"""Faults of datatypes: broken keyvalue, image volumes and regions of interest over right engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from dvidkit_conformance.planting import Fault
from dvidkit_images.extents import Extents
from dvidkit_images.kinds import Uint8Images, Uint16Images
from dvidkit_keyvalue.endpoints import KeyValue
from dvidkit_keyvalue.keys import KEY
from dvidkit_roi.datatype import Roi
from msgspec.structs import replace

from dvidkit import envelope
from dvidkit.keys import TKeyClass
from dvidkit.resolve import Conflict


# --- keyvalue --------------------------------------------------------------------------------------------------------
class KeysBySize(Fault):
    """Keys are listed short ones first."""

    breaks = ("DT-KV-1",)

    class datatype(KeyValue):
        def keys(self) -> list[str]:
            return sorted(super().keys(), key=len)


class KeyRangesEndEarly(Fault):
    """A range of keys leaves out its last one."""

    breaks = ("DT-KV-2",)

    class datatype(KeyValue):
        def key_range(self, first: str | None = None, last: str | None = None) -> list[str]:
            return [key for key in super().key_range(first, last) if key != last]


class EmptyIsAbsent(Fault):
    """A key with an empty value is not there."""

    breaks = ("DT-KV-6",)

    class datatype(KeyValue):
        def get(self, key: str) -> bytes | None:
            return super().get(key) or None


class PartsEndEarly(Fault):
    """A byte range is taken without its last byte."""

    breaks = ("DT-KV-4",)

    class datatype(KeyValue):
        def get_key(self, request: Any) -> Any:
            answer: Any = super().get_key(request)
            if answer.status == 206:
                return replace(answer, body=answer.body[:-1])
            return answer


class ManyForgetTheLast(Fault):
    """Of several keys the last is not looked for."""

    breaks = ("DT-KV-3",)

    class datatype(KeyValue):
        def get_many(self, keys: Any, *, conflicts: list[Conflict] | None = None) -> list[bytes | None]:
            found = super().get_many(keys, conflicts=conflicts)
            return [*found[:-1], None] if len(found) > 3 else found


class CodecLosesAByte(Fault):
    """Of values of more than a thousand bytes the last is lost when they are packed."""

    breaks = ("DT-1",)

    class datatype(KeyValue):
        def _pack(self, value: bytes) -> bytes:
            return super()._pack(value[:-1] if len(value) > 1000 else value)


class ChecksumNotLookedAt(Fault):
    """Values are unpacked whatever their checksum says."""

    breaks = ("DT-11",)

    class datatype(KeyValue):
        def get(self, key: str) -> bytes | None:
            stored = self.store.get(self.ctx, self._tkey(key))
            return None if stored is None else unchecked(stored)

        def get_many(self, keys: Any, *, conflicts: list[Conflict] | None = None) -> list[bytes | None]:
            found = self.store.get_many(self.ctx, [self._tkey(key) for key in keys], conflicts=conflicts)
            return [None if value is None else unchecked(value) for value in found]

        def items(
            self, first: str | None = None, last: str | None = None, *, conflicts: list[Conflict] | None = None
        ) -> Iterator[tuple[str, bytes]]:
            for tkey, stored in self.store.iter_range(self.ctx, *self._bounds(first, last), conflicts=conflicts):
                yield str(KEY.payload(tkey), "utf-8"), unchecked(stored)


def unchecked(stored: bytes) -> bytes:
    """The value of an envelope whose checksum is thrown away."""
    has = bool(stored) and stored[0] >> 3 & 3
    return envelope.unpack(bytes([stored[0] & 0xE0]) + stored[5:] if has else stored)


class ChecksumNotWritten(Fault):
    """The setting that asks for checksums is overlooked."""

    breaks = ("DT-11",)

    class datatype(KeyValue):
        def _pack(self, value: bytes) -> bytes:
            settings = self.instance.settings
            return envelope.pack(bytes(value), settings.compression, "none")


class HeaderOfAnother(Fault):
    """The header of stored values has a compression that there is not, and is mended when read."""

    breaks = ("DT-11",)

    class datatype(ChecksumNotLookedAt.datatype):
        def _pack(self, value: bytes) -> bytes:
            stored = super()._pack(value)
            return bytes([stored[0] | 7]) + stored[1:] if stored else stored


class AnotherClass(Fault):
    """TKeys are of a class that the datatype does not declare."""

    breaks = ("DT-10",)

    class datatype(KeyValue):
        tkey_classes = (KEY, TKeyClass(178, "keys seen", terminator=0))

        def put(self, key: str, value: bytes, *, user: str = "", app: str = "") -> None:
            super().put(key, value, user=user, app=app)
            self.store.raw_put(self.ctx.prefix + b"\xb3" + key.encode() + self.ctx.suffix, b"seen")


class HalfABatch(Fault):
    """A batch is written key by key, until one is refused."""

    breaks = ("DT-12",)

    class datatype(KeyValue):
        def put_many(self, values: Any, *, user: str = "", app: str = "") -> None:
            for key, value in values:
                self.put(key, value, user=user, app=app)


class NeverLocked(Fault):
    """Committed versions take values."""

    breaks = ("DT-12",)

    class datatype(KeyValue):
        def put(self, key: str, value: bytes, *, user: str = "", app: str = "") -> None:
            self.store.put(self.ctx, self._tkey(key), self._pack(value))


class DeletesAreForgotten(Fault):
    """A delete removes what this version wrote, and what an ancestor wrote is back."""

    breaks = ("DT-1",)
    steps = 8

    class datatype(KeyValue):
        def delete(self, key: str, *, user: str = "", app: str = "") -> None:
            super().delete(key, user=user, app=app)
            ctx: Any = self.ctx
            if hasattr(ctx, "tombstone"):
                self.store.raw_delete(ctx.prefix + self._tkey(key) + ctx.tombstone)


class OneStateForAll(Fault):
    """Values are written at the root, and so are those of every version."""

    breaks = ("DT-2",)
    steps = 8

    class datatype(KeyValue):
        def put(self, key: str, value: bytes, *, user: str = "", app: str = "") -> None:
            super().put(key, value, user=user, app=app)
            root = self.instance.context(self.instance.repo.root)
            self.store.put(root, self._tkey(key), self._pack(value))


class BranchesLeak(Fault):
    """A value that was put is put in every other open version too."""

    breaks = ("DT-2",)
    steps = 10

    class datatype(KeyValue):
        def put(self, key: str, value: bytes, *, user: str = "", app: str = "") -> None:
            super().put(key, value, user=user, app=app)
            for version in self.instance.repo.versions:
                if not version.locked and version.children == ():
                    self.store.put(self.instance.context(version), self._tkey(key), self._pack(value))


class DeletesReachAncestors(Fault):
    """What is deleted is not shown in the versions above either."""

    breaks = ("DT-3",)
    steps = 10

    class datatype(KeyValue):
        hidden: ClassVar[WeakKeyDictionary[Any, set[tuple[int, int, str]]]] = WeakKeyDictionary()

        def delete(self, key: str, *, user: str = "", app: str = "") -> None:
            super().delete(key, user=user, app=app)
            above = list(self.node.parents)
            for version in above:
                self.hidden.setdefault(self.instance.repo, set()).add((self.instance.id, version.id, key))
                above += version.parents

        def items(
            self, first: str | None = None, last: str | None = None, *, conflicts: list[Conflict] | None = None
        ) -> Iterator[tuple[str, bytes]]:
            hidden = self.hidden.get(self.instance.repo, set())
            for key, value in super().items(first, last, conflicts=conflicts):
                if (self.instance.id, self.node.id, key) not in hidden:
                    yield key, value


class Remembers(KeyValue):
    """Remembers what ``items`` found, by the names of the instance and the version, until something is written."""

    memory: ClassVar[WeakKeyDictionary[Any, dict[tuple[str, str], list[tuple[str, bytes]]]]] = WeakKeyDictionary()

    def put_many(self, values: Any, *, user: str = "", app: str = "") -> None:
        self.memory.pop(self.instance.repo, None)
        super().put_many(values, user=user, app=app)

    def put(self, key: str, value: bytes, *, user: str = "", app: str = "") -> None:
        self.memory.pop(self.instance.repo, None)
        super().put(key, value, user=user, app=app)

    def delete(self, key: str, *, user: str = "", app: str = "") -> None:
        self.memory.pop(self.instance.repo, None)
        super().delete(key, user=user, app=app)

    def items(
        self, first: str | None = None, last: str | None = None, *, conflicts: list[Conflict] | None = None
    ) -> Iterator[tuple[str, bytes]]:
        if first is not None or last is not None or conflicts is not None:
            yield from super().items(first, last, conflicts=conflicts)
            return
        memory = self.memory.setdefault(self.instance.repo, {})
        place = self.instance.name, self.node.uuid
        if place not in memory:
            memory[place] = list(super().items())
            yield from memory[place]
        else:
            yield from self.again(memory[place])

    def again(self, remembered: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        return remembered


class RemembersTheDeleted(Fault):
    """What is remembered of an instance outlives it, and is found by one of the same name."""

    breaks = ("DT-8",)
    steps = 0
    datatype = Remembers


class KeptElsewhere(Fault):
    """Each key that is put is noted in the space of another instance, and stays there."""

    breaks = ("DT-8",)
    steps = 0

    class datatype(KeyValue):
        def put(self, key: str, value: bytes, *, user: str = "", app: str = "") -> None:
            super().put(key, value, user=user, app=app)
            space = (self.instance.id + (1 << 20)).to_bytes(4, "big")
            self.store.raw_put(b"\x01" + space + self._tkey(key) + self.ctx.suffix, b"seen")


class AnswersWearOut(Fault):
    """What is asked again, with nothing written between, is answered without its last row."""

    breaks = ("DT-13",)
    steps = 8

    class datatype(Remembers):
        def again(self, remembered: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
            return remembered[:-1]


class InstancesShare(Fault):
    """What is deleted in one instance is deleted in all."""

    breaks = ("DT-9",)
    steps = 8

    class datatype(KeyValue):
        def delete(self, key: str, *, user: str = "", app: str = "") -> None:
            for name in ("data", "other"):
                view: Any = self.node[name]
                KeyValue.delete(view, key, user=user, app=app)


class MergesPickSilently(Fault):
    """A key that both sides of a merge wrote has the value of one of them."""

    breaks = ("DT-4",)
    steps = 10

    class datatype(KeyValue):
        def items(
            self, first: str | None = None, last: str | None = None, *, conflicts: list[Conflict] | None = None
        ) -> Iterator[tuple[str, bytes]]:
            return super().items(first, last, conflicts=[] if conflicts is None else conflicts)

        def get(self, key: str) -> bytes | None:
            return self.get_many([key])[0]

        def get_many(self, keys: Any, *, conflicts: list[Conflict] | None = None) -> list[bytes | None]:
            return super().get_many(keys, conflicts=[] if conflicts is None else conflicts)

        def exists(self, key: str) -> bool:
            return self.get(key) is not None

        def key_range(self, first: str | None = None, last: str | None = None) -> list[str]:
            return [key for key, _ in self.items(first, last)]


class KeptAside(Fault):
    """Values are read with a table that is kept beside the store, and does not go with a copy."""

    breaks = ("DT-7",)

    class datatype(KeyValue):
        tables: ClassVar[set[tuple[Any, int]]] = set()

        def put(self, key: str, value: bytes, *, user: str = "", app: str = "") -> None:
            super().put(key, value, user=user, app=app)
            self.tables.add((self.store.config.path, self.instance.id))

        def put_many(self, values: Any, *, user: str = "", app: str = "") -> None:
            super().put_many(values, user=user, app=app)
            self.tables.add((self.store.config.path, self.instance.id))

        def get(self, key: str) -> bytes | None:
            found = super().get(key)
            return b"" if found and (self.store.config.path, self.instance.id) not in self.tables else found


class KeptInMemory(Fault):
    """Values are read with a table that the process keeps and the store does not."""

    breaks = ("DT-5",)
    steps = 8

    class datatype(KeyValue):
        tables: ClassVar[WeakKeyDictionary[Any, set[int]]] = WeakKeyDictionary()

        def put(self, key: str, value: bytes, *, user: str = "", app: str = "") -> None:
            super().put(key, value, user=user, app=app)
            self.tables.setdefault(self.instance.repo, set()).add(self.instance.id)

        def put_many(self, values: Any, *, user: str = "", app: str = "") -> None:
            super().put_many(values, user=user, app=app)
            self.tables.setdefault(self.instance.repo, set()).add(self.instance.id)

        def get(self, key: str) -> bytes | None:
            found = super().get(key)
            return b"" if found and self.instance.id not in self.tables.get(self.instance.repo, set()) else found


class AsTheEngineIs(Fault):
    """How values are stored depends on the engine."""

    breaks = ("DT-6",)

    class datatype(KeyValue):
        def _pack(self, value: bytes) -> bytes:
            return super()._pack(value) if self.store.engine.name == "memory" else envelope.pack(bytes(value), "gzip")


# --- image volumes ---------------------------------------------------------------------------------------------------
class BackgroundIsZero(Fault):
    """What was never written is 0, whatever the background."""

    breaks = ("DT-IMG-2",)

    class datatype(Uint8Images):
        def _read(self, box: Any) -> Any:
            volume = super()._read(box)
            return np.where(volume == self.configured.background, 0, volume).astype(volume.dtype)

        def _sent(self, request: Any, offset: Any, shape: Any) -> bytes:
            return bytes(self.read(offset, shape).tobytes())


class EdgesCutShort(Fault):
    """The last column of a box that ends inside a block is not written."""

    breaks = ("DT-IMG-1",)

    class datatype(Uint8Images):
        def write(self, offset_zyx: Any, array: Any, **how: Any) -> None:
            wide = isinstance(array, np.ndarray) and array.ndim == 3 and array.shape[2] > 1
            if wide and (offset_zyx[2] + array.shape[2]) % self.block_zyx[2]:
                array = array[:, :, :-1]
            super().write(offset_zyx, array, **how)


class NeighboursAreLost(Fault):
    """A write into a part of a block makes the rest background."""

    breaks = ("DT-IMG-4",)
    steps = 10

    class datatype(Uint8Images):
        asked: Any = None

        def grown(self, box: Any) -> Extents:
            return super().grown(self.asked or box)

        def write(self, offset_zyx: Any, array: Any, **how: Any) -> None:
            if isinstance(array, np.ndarray) and array.ndim == 3 and array.size:
                self.asked = self._box(offset_zyx, array.shape)
                sides = self.block_zyx
                low = [begin // side * side for begin, side in zip(offset_zyx, sides, strict=True)]
                ends = zip(offset_zyx, array.shape, sides, strict=True)
                high = [-(-(begin + count) // side) * side for begin, count, side in ends]
                whole = np.full(
                    [b - a for a, b in zip(low, high, strict=True)], self.configured.background, array.dtype
                )
                place = zip(offset_zyx, low, array.shape, strict=True)
                whole[tuple(slice(begin - a, begin - a + count) for begin, a, count in place)] = array
                offset_zyx, array = low, whole
            super().write(offset_zyx, array, **how)


class BytesSwapped(Fault):
    """Voxels of two bytes are stored the wrong way round."""

    breaks = ("DT-IMG-3",)

    class datatype(Uint16Images):
        def write(self, offset_zyx: Any, array: Any, **how: Any) -> None:
            right = isinstance(array, np.ndarray) and array.dtype == np.uint16
            super().write(offset_zyx, array.byteswap() if right else array, **how)


class NegativeTowardZero(Fault):
    """The block of a negative coordinate is found by cutting towards zero."""

    breaks = ("DT-IMG-5",)

    class datatype(Uint8Images):
        def read_blocks(self, first_zyx: Any, count: int) -> Any:
            return super().read_blocks([each + 1 if each < -1 else each for each in first_zyx], count)


class ExtentsForAll(Fault):
    """Extents grow for every version at once."""

    breaks = ("DT-IMG-6",)
    steps = 8

    class datatype(Uint8Images):
        grown_to: ClassVar[WeakKeyDictionary[Any, dict[str, Extents]]] = WeakKeyDictionary()

        def extents(self) -> Extents | None:
            found = super().extents()
            known = self.grown_to.setdefault(self.instance.repo, {})
            name = str(self.instance.id)
            if found is not None:
                known[name] = found.union(known.get(name))
            return known.get(name)


class IndicesTowardZero(Fault):
    """The block indices of the extents are cut towards zero."""

    breaks = ("DT-14",)

    class datatype(Uint8Images):
        def extended(self) -> Any:
            shown = dict(super().extended())
            if shown["MinPoint"] is not None:
                sides = shown["BlockSize"]
                shown["MinIndex"] = [int(value / side) for value, side in zip(shown["MinPoint"], sides, strict=True)]
            return shown


class SomeBlocksForgotten(Fault):
    """Of blocks asked for by name the last is left out."""

    breaks = ("DT-IMG-5",)

    class datatype(Uint8Images):
        def specific_blocks(self, blocks_zyx: Any) -> Any:
            return super().specific_blocks(list(blocks_zyx)[:-1])


# --- regions of interest ---------------------------------------------------------------------------------------------
class PostsAdd(Fault):
    """Posting adds to the region instead of replacing it."""

    breaks = ("DT-ROI-4",)

    class datatype(Roi):
        def replace(self, spans: Any, *, user: str = "", app: str = "") -> None:
            super().replace([*np.asarray(spans).reshape(-1, 4).tolist(), *self.spans().tolist()], user=user, app=app)


class MasksOffByOne(Fault):
    """A mask is that of the box one voxel further along x."""

    breaks = ("DT-ROI-2",)

    class datatype(Roi):
        def mask(self, offset_zyx: Any, shape_zyx: Any) -> Any:
            z, y, x = offset_zyx
            return super().mask((z, y, x + 1), shape_zyx)


class NegativeSpansHidden(Fault):
    """Spans at negative z sort after all others, and are not found where they should be."""

    breaks = ("DT-ROI-2",)

    class datatype(Roi):
        def contains(self, points_zyx: Any) -> Any:
            points = np.asarray(points_zyx)
            return super().contains(points) & (points[:, 0] >= 0)


class PartitionsForget(Fault):
    """A partition leaves out its last subvolume."""

    breaks = ("DT-ROI-3",)

    class datatype(Roi):
        def partition(self, batch: int = 8, *, optimized: bool = False) -> dict[str, Any]:
            found = super().partition(batch, optimized=optimized)
            return {**found, "Subvolumes": found["Subvolumes"][:-1]}


class SpansNotJoined(Fault):
    """A span is read as two that touch."""

    breaks = ("DT-ROI-1",)

    class datatype(Roi):
        def spans(self, first_z: int = -(1 << 31) + 1, last_z: int = (1 << 31) - 1) -> Any:
            found = super().spans(first_z, last_z)
            wide = found[:, 3] > found[:, 2]
            if not wide.any():
                return found
            n = int(wide.argmax())
            z, y, first, last = found[n].tolist()
            return np.concatenate([found[:n], [[z, y, first, first], [z, y, first + 1, last]], found[n + 1 :]])
