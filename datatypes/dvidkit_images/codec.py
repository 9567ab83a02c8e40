"""Blocks as they are stored: DVID's envelope around the voxels, compressed as the instance's settings say.

Decoders and encoders keep a block's worth of memory that is used again and again, so they belong to one thread.
"""

from __future__ import annotations

import io
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

from dvidkit import envelope
from dvidkit.checksum import SIZE, seal_in_place
from dvidkit.deferred import deferred
from dvidkit.errors import CorruptData, UnsupportedError
from dvidkit.segment import Stored
from dvidkit_images.boxes import Triple
from dvidkit_images.settings import ImageSettings
from dvidkit_images.voxels import Array, Voxel

if TYPE_CHECKING:
    import cramjam
    import numpy as np
    from PIL import Image
else:
    cramjam = deferred("cramjam")
    np = deferred("numpy")
    Image = deferred("PIL.Image")

_SIZE: Final = 4
_HEAD: Final = 5
"""Bytes of an envelope's head with a checksum."""
JPEG_QUALITY: Final = 80
_LONG_RUN: Final = 15
"""Literals from which on LZ4 writes the length of a run in bytes of its own."""


class BlockCodec:
    """How the blocks of an instance are stored. Thread-safe.

    Attributes:
        shape_zyx: of a block, in voxels.
        voxel: what a voxel is.
        size: bytes of a block, uncompressed.
    """

    def __init__(self, voxel: Voxel, settings: ImageSettings) -> None:
        x, y, z = settings.block_size
        self.shape_zyx: Triple = (z, y, x)
        self.voxel = voxel
        self.size = x * y * z * voxel.size
        self.settings = settings
        self._run = _literal_run(self.size)

    @cached_property
    def background(self) -> Any:
        """The packed voxel of what was never written."""
        return self.voxel.background(self.settings.background)

    def literals(self, payload: memoryview) -> Array | None:
        """The voxels (z, y, x) where they lie in an lz4 payload, if it is one run of literals; else ``None``.

        That is what LZ4 makes of voxels that it cannot compress, as most raw micrographs are.
        """
        begin = _SIZE + len(self._run)
        if len(payload) != begin + self.size or bytes(payload[_SIZE:begin]) != self._run:
            return None
        return np.frombuffer(payload, self.voxel.packed, offset=begin).reshape(self.shape_zyx)

    @property
    def in_place(self) -> bool:
        """Whether blocks can be built where they stay."""
        return self.settings.compression == "lz4"

    @property
    def room(self) -> int:
        """Bytes in which LZ4 can build any block, with what stands before and behind it."""
        return _HEAD + _SIZE + self.size + self.size // 255 + 16 + SIZE

    @property
    def largest(self) -> int:
        """Bytes that no stored block exceeds, whatever it holds."""
        return self.size + self.size // 4 + 4096

    def payload(self, stored: bytes | memoryview, compression: str) -> bytes:
        """The payload of a stored block as a client wants it.

        Args:
            stored: the block as it is stored.
            compression: empty for the payload as it is, ``jpeg`` for the same if it is one, ``uncompressed``.

        Raises:
            UnsupportedError: a JPEG is wanted where none is stored.
            CorruptData: it is not a block.
        """
        if compression == "uncompressed" or not len(stored):
            return Decoder(self).decode(stored).tobytes()
        code, payload = envelope.split(stored)
        if compression == "jpeg" and code != envelope.JPEG:
            raise UnsupportedError("the block is not stored as a JPEG, so it cannot be had as one", capability="jpeg")
        return bytes(payload)


@lru_cache(maxsize=64)
def _literal_run(size: int) -> bytes:
    """What stands before ``size`` literals that are a whole LZ4 block."""
    if size < _LONG_RUN:
        return bytes((size << 4,))
    rest = size - _LONG_RUN
    return b"\xf0" + b"\xff" * (rest // 255) + bytes((rest % 255,))


class Decoder:
    """Decodes blocks, one after another, into one and the same array."""

    def __init__(self, codec: BlockCodec) -> None:
        self._codec = codec
        self.block: Array = np.empty(codec.shape_zyx, codec.voxel.packed)
        self._bytes: Array = self.block.reshape(-1).view(np.uint8)

    def decode(self, stored: bytes | memoryview) -> Array:
        """The voxels of a stored block (z, y, x), packed, not to be changed.

        They are valid until the next call, and no longer than ``stored``: a block that LZ4 could not make smaller is
        not copied.

        Raises:
            CorruptData: the stored bytes are not a block of this instance.
        """
        if not len(stored):
            raise CorruptData("a stored block is empty")
        code, payload = envelope.split(stored)
        if code == envelope.LZ4 and int.from_bytes(payload[:_SIZE], "little") == self._codec.size:
            literals = self._codec.literals(payload)
            if literals is not None:
                return literals
            self._decode_lz4(payload[_SIZE:])
        elif code == envelope.JPEG:
            self._decode_jpeg(payload)
        else:
            self._bytes[...] = np.frombuffer(envelope.unpack(stored, size=self._codec.size), np.uint8)
        return self.block

    def _decode_lz4(self, payload: memoryview) -> None:
        size = self._codec.size
        try:
            found = cramjam.lz4.decompress_block_into(payload, self._bytes.data, output_len=size)
        except cramjam.DecompressionError as error:
            raise CorruptData(f"a stored block does not unpack: {error}") from error
        if found != size:
            raise CorruptData(f"a stored block unpacks to {found} bytes, not {size}")

    def _decode_jpeg(self, payload: memoryview) -> None:
        rows, columns = self._codec.settings.jpeg_shape
        try:
            with Image.open(io.BytesIO(payload), formats=("JPEG",)) as image:
                if image.size != (columns, rows) or image.mode != "L" or self._codec.voxel.size != 1:
                    raise CorruptData(f"a stored JPEG is {image.mode} {image.size}, not a block of this instance")
                pixels = np.asarray(image)
        except (OSError, ValueError, SyntaxError) as error:
            raise CorruptData(f"a stored JPEG cannot be read: {error}") from error
        self._bytes[...] = pixels.reshape(-1)


class Encoder:
    """Encodes blocks; ``block`` is where the voxels are put first."""

    def __init__(self, codec: BlockCodec) -> None:
        self._codec = codec
        self.block: Array = np.empty(codec.shape_zyx, codec.voxel.packed)
        self._bytes: Array = self.block.reshape(-1).view(np.uint8)
        self._room = np.empty(codec.room, np.uint8).data

    def encode(self) -> bytes:
        """What ``block`` holds, as it is stored."""
        settings = self._codec.settings
        if settings.compression == "lz4":
            return bytes(self._encode_lz4(self._room, 0))
        if settings.compression == "jpeg":
            payload = self._encode_jpeg()
            return b"".join((envelope.head(envelope.JPEG, payload, settings.checksum), payload))
        return envelope.pack(self._bytes.data, settings.compression, settings.checksum, level=settings.gzip_level)

    def encode_into(self, room: memoryview, key: bytes | None) -> Stored:
        """The same for a codec that is ``in_place``, built in ``room`` of the codec's and left there.

        Args:
            room: whose bytes are the value's until that is written.
            key: the full key, for a store with checksums; else ``None``.
        """
        if key is None:
            return Stored(self._encode_lz4(room, 0).toreadonly(), 0)
        whole = self._encode_lz4(room, SIZE)
        crc = seal_in_place(key, whole)
        return Stored(whole.toreadonly(), crc)

    def _encode_lz4(self, room: memoryview, more: int) -> memoryview:
        """The envelope built in place, so that the block is copied once, with so many bytes behind it."""
        size = cramjam.lz4.compress_block_into(self._bytes.data, room[_HEAD:], store_size=True)
        head = envelope.head(envelope.LZ4, room[_HEAD : _HEAD + size], self._codec.settings.checksum)
        begin = _HEAD - len(head)
        room[begin:_HEAD] = head
        return room[begin : _HEAD + size + more]

    def _encode_jpeg(self) -> bytes:
        rows, columns = self._codec.settings.jpeg_shape
        target = io.BytesIO()
        Image.fromarray(self._bytes.reshape(rows, columns)).save(target, "JPEG", quality=JPEG_QUALITY)
        return target.getvalue()
