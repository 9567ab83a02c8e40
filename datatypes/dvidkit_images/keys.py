"""TKeys of the image datatypes.

=====  ======================================  ====================================================================
class  payload                                 value
=====  ======================================  ====================================================================
23     block coordinate, ZYX, 12 bytes         one block of voxels in DVID's envelope: x fastest, then y, then z,
                                               each little-endian; always a whole block
24     none                                    extents in an uncompressed envelope: JSON
                                               ``{"MinPoint":[x,y,z],"MaxPoint":[x,y,z]}``, both included, in voxels
=====  ======================================  ====================================================================

A ZYX coordinate is three big-endian u32 of ``value + 2^31`` (``dvidkit.keys.encode_zyx``), so blocks are stored in the
order z, y, x, and a row of blocks along x is one range.

Source: DVID ``datatype/imageblk/keys.go``.
"""

from __future__ import annotations

from typing import Final

from dvidkit.keys import TKeyClass, decode_zyx, encode_zyx

BLOCK: Final = TKeyClass(23, "block of voxels", width=12)
EXTENTS: Final = TKeyClass(24, "extents", width=0)

BLOCK_HEAD: Final = BLOCK.key(bytes(12))[:2]
"""What stands before the coordinate in a block's TKey."""
EXTENTS_TKEY: Final = EXTENTS.key()


def block_tkey(block_zyx: tuple[int, int, int]) -> bytes:
    """The TKey of a block.

    Raises:
        OutOfBounds: a coordinate outside 32 bits.
    """
    return BLOCK_HEAD + encode_zyx(*block_zyx)


def block_zyx(tkey: bytes) -> tuple[int, int, int]:
    """The coordinate, in blocks, that a block's TKey holds."""
    return decode_zyx(BLOCK.payload(tkey))
