"""What clients are sent: pictures, and streams of blocks.

A picture shows the bytes of a voxel, as DVID's do: one byte or two as gray, four as RGBA, eight as RGBA of 16 bits.

A block stream is a sequence of records, without a count or an end mark:

=====  ==========================================
bytes  content (integers are i32 little-endian)
=====  ==========================================
12     coordinate of the block, in blocks: x, y, z
4      size of the payload
rest   payload
=====  ==========================================

Source: DVID ``datatype/imageblk/imageblk.go`` (``GetImage2d``, ``SendSerializedBlock``), ``dvid/image.go``
(``WriteImageHttp``).
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from dvidkit.deferred import deferred
from dvidkit.endpoints import integer
from dvidkit.errors import InvalidInputError, LimitError, UnsupportedError, shown
from dvidkit_images.boxes import Triple
from dvidkit_images.codec import JPEG_QUALITY
from dvidkit_images.voxels import Array

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
else:
    np = deferred("numpy")
    Image = deferred("PIL.Image")

_RECORD: Final = struct.Struct("<4i")
_JPEG_SIDE: Final = 65_500
_NAMES: Final = {"": "png", "png": "png", "jpg": "jpeg", "jpeg": "jpeg", "tif": "tiff", "tiff": "tiff", "bmp": "bmp"}
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MIXED: Final = 1 << 20
"""Pixels that are interpolated at a time."""


class Format(NamedTuple):
    """A picture format as a URL names it: ``png``, ``jpg``, ``jpg:80``, ``tiff``, ``bmp``."""

    name: str
    quality: int = JPEG_QUALITY

    @property
    def media_type(self) -> str:
        """Value of ``Content-Type``."""
        return f"image/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Format:
        """The format of this name; empty for PNG.

        Raises:
            InvalidInputError: an unknown name, or a quality that is not 1 to 100.
        """
        name, colon, quality = text.lower().partition(":")
        if name not in _NAMES:
            raise InvalidInputError(f"pictures are png, jpg, tiff or bmp, not {shown(text)}")
        if not colon:
            return cls(_NAMES[name])
        number = integer(quality, "quality")
        if not 1 <= number <= 100:
            raise InvalidInputError(f"the quality of a picture is 1 to 100, not {number}")
        return cls(_NAMES[name], number)


def encode_picture(pixels: Array, form: Format) -> bytes:
    """A picture of pixels (rows, columns) or (rows, columns, 4).

    Raises:
        UnsupportedError: 64-bit voxels in anything but PNG.
        LimitError: a JPEG of more than 65,500 rows or columns.
    """
    if form.name == "jpeg" and max(pixels.shape[:2]) > _JPEG_SIDE:
        raise LimitError(
            f"a JPEG has at most {_JPEG_SIDE} rows and columns, not {pixels.shape[:2]}",
            what="picture side",
            limit=_JPEG_SIDE,
            got=max(pixels.shape[:2]),
        )
    if pixels.itemsize == 8:
        if form.name != "png":
            raise UnsupportedError("64-bit voxels can only be had as PNG", capability=form.name)
        return _png_of_64_bits(pixels)
    image = _image(pixels, form)
    target = io.BytesIO()
    if form.name == "jpeg":
        image.save(target, "jpeg", quality=form.quality)
    elif form.name == "tiff":
        image.save(target, "tiff", compression="tiff_adobe_deflate")
    else:
        image.save(target, form.name)
    return target.getvalue()


def _image(pixels: Array, form: Format) -> Image.Image:
    if pixels.itemsize == 4:
        pixels = pixels.view(np.uint8).reshape(*pixels.shape, 4)
    if pixels.dtype == np.dtype("<u2") and form.name in ("jpeg", "bmp"):
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 3 and form.name == "jpeg":
        alpha = pixels[..., 3:].astype(np.uint16)
        pixels = (pixels[..., :3] * alpha // 255).astype(np.uint8)
    return Image.fromarray(pixels)


def _png_of_64_bits(pixels: Array) -> bytes:
    """A PNG with 16 bits for each of four channels, which Pillow cannot write: the voxels' bytes as they are stored."""
    rows, columns = pixels.shape
    lines = np.zeros((rows, 1 + 8 * columns), np.uint8)
    lines[:, 1:] = np.ascontiguousarray(pixels).view(np.uint8).reshape(rows, 8 * columns)
    header = struct.pack(">IIBBBBB", columns, rows, 16, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.data, 6)), (b"IEND", b""))
    return _PNG + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(kind + data))))


def stretched(pixels: Array, shape: tuple[int, int]) -> Array:
    """Pixels interpolated to so many rows and columns: linearly, or to the nearest if they are 64-bit numbers."""
    for axis, side in enumerate(shape):
        if pixels.shape[axis] != side:
            pixels = _stretched_down(pixels.swapaxes(0, axis), side).swapaxes(0, axis)
    return np.ascontiguousarray(pixels)


def _stretched_down(pixels: Array, side: int) -> Array:
    """Pixels interpolated along the first axis, some rows at a time, as what is between takes eight bytes each."""
    size = pixels.shape[0]
    result: Array = np.empty((side, *pixels.shape[1:]), pixels.dtype)
    step = max(1, _MIXED // max(1, pixels[0].size))
    for start in range(0, side, step):
        place = np.clip((np.arange(start, min(start + step, side)) + 0.5) * size / side - 0.5, 0, size - 1)
        result[start : start + step] = _rows_at(pixels, place)
    return result


def _rows_at(pixels: Array, place: Array) -> Array:
    """Rows at places between rows."""
    whole = pixels.dtype.kind == "u"
    if whole and pixels.itemsize > 4:
        nearest: Array = pixels[np.rint(place).astype(np.intp)]
        return nearest
    low = np.floor(place).astype(np.intp)
    share = (place - low).reshape(-1, *[1] * (pixels.ndim - 1))
    first = pixels[low].astype(np.float64)
    mixed: Array = first + (pixels[np.minimum(low + 1, len(pixels) - 1)] - first) * share
    return np.rint(mixed) if whole else mixed


def record(block_zyx: Triple, payload: bytes) -> bytes:
    """One record of a block stream, all but its payload."""
    z, y, x = block_zyx
    return _RECORD.pack(x, y, z, len(payload)) + payload
