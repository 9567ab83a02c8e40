"""Reading boxes of voxels: blocks are found and lent by the store, decoded and copied into place by several threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from dvidkit.deferred import deferred
from dvidkit.errors import CorruptData, VersionConflict
from dvidkit.resolve import Conflict
from dvidkit_images.boxes import Box, Patch
from dvidkit_images.codec import BlockCodec, Decoder
from dvidkit_images.keys import block_tkey, block_zyx
from dvidkit_images.voxels import Array, copy_voxels

if TYPE_CHECKING:
    import numpy as np

    from dvidkit.points import PointReader
    from dvidkit_images.datatype import Images
else:
    np = deferred("numpy")

WINDOW_BYTES: Final = 64 << 20
"""Stored bytes that are held at a time, roughly; what a store lends it must keep in place."""
_LEAST_WINDOW: Final = 16
_WORTH_SHARING: Final = 4 << 20
"""Bytes of a box from which on it pays to copy with several threads; decoding does much sooner."""
_WORTH_HANDING_OVER: Final = 64 << 10
"""Bytes of blocks from which on it pays to give another thread a part: that alone costs a tenth of a millisecond."""
_BRIEF: Final = 256 << 10
"""Bytes of blocks that are decoded and copied in a fraction of a millisecond."""
_SHOWN: Final = 3

Stored = tuple[Patch, memoryview | None]
Item = TypeVar("Item")


def read_box(view: Images, box: Box, conflicts: list[Conflict], into: Array | None = None) -> Array:
    """The voxels of a box, packed, all of one instant.

    Blocks that were never written are background; so are those in conflict, which are added to ``conflicts``. With
    ``into`` they are written there.

    Raises:
        CorruptData: a block does not decode.
    """
    codec = view.codec
    volume: Array = np.empty(box.shape_zyx, codec.voxel.packed) if into is None else into

    def place(part: Sequence[Stored]) -> None:
        decoder = Decoder(codec)
        for patch, stored in part:
            if stored is None:
                volume[patch.box] = codec.background
            else:
                copy_voxels(volume[patch.box], decoded(decoder, patch.tkey, stored)[patch.block])

    def fill(reader: PointReader, window: Sequence[Patch]) -> None:
        with reader.lent(view.ctx, [patch.tkey for patch in window], conflicts=conflicts) as lent:
            found = list(zip(window, lent, strict=True))
            if volume.nbytes >= _WORTH_SHARING or any(stored and len(stored) < codec.size for stored in lent):
                share(view, place, found)
            else:
                place(found)

    size, blocks = window_size(codec.size), box.blocks(codec.shape_zyx)
    if blocks > size:
        with view.store.snapshot() as snapshot:
            for window in box.windows(codec.shape_zyx, size):
                fill(snapshot, window)
    elif blocks:
        fill(view.store, list(box.patches(codec.shape_zyx)))
    return volume


def read_block(view: Images, box: Box) -> bytes | None:
    """The voxels of a box that is one whole block, in the order z, y, x, copied but once.

    ``None`` if it is not one, or the block is in conflict.

    Raises:
        CorruptData: it does not decode.
    """
    codec = view.codec
    if box.shape_zyx != codec.shape_zyx or not box.aligned(codec.shape_zyx):
        return None
    (z, y, x), (depth, height, width) = box.offset_zyx, codec.shape_zyx
    tkey = block_tkey((z // depth, y // height, x // width))
    conflicts: list[Conflict] = []
    with view.store.lent(view.ctx, [tkey], conflicts=conflicts) as (stored,):
        if conflicts:
            return None
        if stored is None:
            return np.full(codec.shape_zyx, codec.background).tobytes()
        return decoded(Decoder(codec), tkey, stored).tobytes()


def is_read_alone(codec: BlockCodec, box: Box) -> bool:
    """Whether ``read_box`` reads so few and small blocks that it does so in the calling thread alone, and soon."""
    blocks = box.blocks(codec.shape_zyx)
    size = blocks * codec.size
    return size <= _BRIEF if blocks <= 1 else size < _WORTH_HANDING_OVER


def share(view: Images, work: Callable[[Sequence[Item]], None], items: Sequence[Item]) -> None:
    """Work on as many blocks, shared among threads unless they are too small for that; see ``Workers.share``."""
    if len(items) * view.codec.size < _WORTH_HANDING_OVER:
        work(items)
    else:
        view.workers.share(work, items)


def decoded(decoder: Decoder, tkey: bytes, stored: bytes | memoryview) -> Array:
    """The voxels of a stored block; see ``Decoder.decode``.

    Raises:
        CorruptData: naming the block.
    """
    try:
        return decoder.decode(stored)
    except CorruptData as error:
        raise CorruptData(f"block {block_zyx(tkey)} (z, y, x): {error}", key=tkey) from error


def window_size(block_bytes: int) -> int:
    """How many blocks of this size are handled at a time."""
    return max(_LEAST_WINDOW, WINDOW_BYTES // block_bytes)


def conflict_error(conflicts: Sequence[Conflict], result: object = None) -> VersionConflict:
    """The error that names the blocks in conflict; ``result`` is what was read beside them."""
    blocks = ", ".join(f"{block_zyx(c.tkey)} in versions {list(c.versions)}" for c in conflicts[:_SHOWN])
    more = f" and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
    return VersionConflict(
        f"merged versions each wrote a block (z, y, x) and none was chosen: {blocks}{more}",
        conflicts=tuple(conflicts),
        result=result,
    )
