"""Writing boxes of voxels: one mutation for a call, in which edge blocks are read, changed and written back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dvidkit.deferred import deferred
from dvidkit.engine import Capability
from dvidkit.resolve import Conflict
from dvidkit.segment import Stored
from dvidkit_images.boxes import Box, Patch
from dvidkit_images.codec import Decoder, Encoder
from dvidkit_images.keys import EXTENTS_TKEY
from dvidkit_images.reading import conflict_error, decoded, share, window_size
from dvidkit_images.voxels import Array, copy_voxels

if TYPE_CHECKING:
    import numpy as np

    from dvidkit.mutations import Mutation
    from dvidkit_images.datatype import Images
else:
    np = deferred("numpy")

_KEY_BYTES: Final = 64
"""More than the full key of a block and its tombstone take."""
_OTHER_BYTES: Final = 1 << 16
"""Room in a batch for extents, log record and completeness records."""
_BUDGETS: Final = 4
"""How many times the budget the blocks of one mutation may be: an unaligned box touches more than it holds."""
_WORTH: Final = 1 << 20
"""Bytes of blocks from which they are built in one piece of memory."""
_OTHER_OPS: Final = 64
_OPS_PER_BLOCK: Final = 2

Encoded = dict[bytes, bytes]


def blocks_per_mutation(view: Images) -> int:
    """How many blocks surely fit into one mutation, whatever they hold: into the engine's batch, and into memory."""
    limits = view.store.engine.limits
    room = min(limits.max_batch_bytes - _OTHER_BYTES, _BUDGETS * view.budget)
    by_bytes = room // (view.codec.largest + 2 * _KEY_BYTES)
    by_ops = (limits.max_batch_ops - _OTHER_OPS) // _OPS_PER_BLOCK
    return max(1, min(by_bytes, by_ops))


def write_box(
    view: Images, box: Box, volume: Array, patches: Sequence[Patch], mutation: Mutation, within: Array | None = None
) -> None:
    """Put into the mutation the blocks that these patches of the box change, and the extents if they grow.

    Whole blocks are encoded before any lock is taken. Then the locks of all blocks are held until the mutation ends,
    so that nobody changes a block between its reading and its writing.

    Raises:
        VersionConflict: an edge block is in conflict.
    """
    if within is not None:
        patches = [patch for patch in patches if within[patch.box].any()]
    whole = [patch for patch in patches if patch.whole and (within is None or within[patch.box].all())]
    done = {patch.tkey for patch in whole}
    edges = [patch for patch in patches if patch.tkey not in done]
    stored = _encode_in_place(view, volume, whole) if _in_place(view, len(whole)) else {}
    encoded = {} if stored else _encode_whole(view, volume, whole)
    grows = not view.covers(box)
    locked = [patch.tkey for patch in patches]
    mutation.hold(view, [*locked, EXTENTS_TKEY] if grows else locked)
    encoded |= _encode_edges(view, volume, edges, within)
    for patch in patches:
        if patch.tkey in stored:
            mutation.put_stored(patch.tkey, stored[patch.tkey])
        else:
            mutation.put(patch.tkey, encoded[patch.tkey])
    if grows:
        mutation.put(EXTENTS_TKEY, view.grown(box).encode())


def _encode_whole(view: Images, volume: Array, patches: Sequence[Patch]) -> Encoded:
    encoded: Encoded = {}

    def encode(part: Sequence[Patch]) -> None:
        encoder = Encoder(view.codec)
        for patch in part:
            copy_voxels(encoder.block, volume[patch.box])
            encoded[patch.tkey] = encoder.encode()

    share(view, encode, patches)
    return encoded


def _in_place(view: Images, blocks: int) -> bool:
    """Whether this many blocks are worth being built where they stay, and the engine takes them from there."""
    borrows = Capability.BORROW in view.store.engine.capabilities.features
    return borrows and view.codec.in_place and blocks * view.codec.size >= _WORTH


def _encode_in_place(view: Images, volume: Array, patches: Sequence[Patch]) -> dict[bytes, Stored]:
    """All blocks in one piece of memory: the system hands out a large one much faster than many, one for each."""
    ctx, size, sealed = view.ctx, view.codec.room, view.store.record.integrity
    rooms = np.empty(len(patches) * size, np.uint8).data
    stored: dict[bytes, Stored] = {}

    def encode(part: Sequence[tuple[int, Patch]]) -> None:
        encoder = Encoder(view.codec)
        for number, patch in part:
            copy_voxels(encoder.block, volume[patch.box])
            key = ctx.prefix + patch.tkey + ctx.suffix if sealed else None
            stored[patch.tkey] = encoder.encode_into(rooms[number * size : (number + 1) * size], key)

    share(view, encode, list(enumerate(patches)))
    return stored


def _encode_edges(view: Images, volume: Array, patches: Sequence[Patch], within: Array | None) -> Encoded:
    encoded: Encoded = {}

    def encode(part: Sequence[tuple[Patch, memoryview | None]]) -> None:
        decoder, encoder = Decoder(view.codec), Encoder(view.codec)
        for patch, stored in part:
            if stored is None:
                encoder.block.fill(view.codec.background)
            else:
                copy_voxels(encoder.block, decoded(decoder, patch.tkey, stored))
            if within is None:
                copy_voxels(encoder.block[patch.block], volume[patch.box])
            else:
                np.copyto(encoder.block[patch.block], volume[patch.box], where=within[patch.box])
            encoded[patch.tkey] = encoder.encode()

    conflicts: list[Conflict] = []
    step = window_size(view.codec.size)
    with view.store.snapshot() as snapshot:
        for start in range(0, len(patches), step):
            window = patches[start : start + step]
            with snapshot.lent(view.ctx, [patch.tkey for patch in window], conflicts=conflicts) as lent:
                if not conflicts:
                    share(view, encode, list(zip(window, lent, strict=True)))
    if conflicts:
        raise conflict_error(conflicts)
    return encoded
