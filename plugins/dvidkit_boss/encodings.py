"""How voxels travel: bossDB's media types, and what a request says of them.

================================  ===================================================================================
media type                        body
================================  ===================================================================================
``application/blosc``             the voxels, compressed with blosc
``application/npygz``             an array in numpy's npy format, compressed with zlib (gzip is taken too)
``application/blosc-python``      a pickle of an array, compressed with blosc; read without unpickling it
``application/octet-stream``      the voxels as they are; ours
``image/jpeg``, ``image/png``     one picture as wide as x, with the slices one below the other; sent only
================================  ===================================================================================

Voxels are in the order z, y, x, with x fastest, little-endian. A request for a range of times has one more axis, of
length 1, before z. How large a body becomes is known before it is decompressed: as large as the box of its URL.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from dvidkit.deferred import deferred
from dvidkit.endpoints import BINARY, Request
from dvidkit.errors import BadPayload, BadType, LimitError, MissingExtra, shown
from dvidkit.http.status import HTTPError
from dvidkit_boss.pickles import read_pickled_array

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    Array = npt.NDArray[Any]
else:
    np = deferred("numpy")
    Image = deferred("PIL.Image")
    Array = Any

BLOSC: Final = "application/blosc"
NPYGZ: Final = "application/npygz"
BLOSC_PYTHON: Final = "application/blosc-python"
JPEG: Final = "image/jpeg"
PNG: Final = "image/png"
_OTHER_NAMES: Final[Mapping[str, str]] = {"application/jpeg": JPEG, "image/jpg": JPEG}

_BLOSC_HEADER: Final = struct.Struct("<BBBBIII")
_BLOSC_FORMAT: Final = 2
_BLOSC_MOST: Final = (1 << 31) - 17
_NPY_HEADER: Final = 1 << 12
"""Bytes that the header of an npy array may have; numpy writes 128."""
_PICKLE_HEADER: Final = 1 << 12
"""Bytes that the pickle of an array may have beside the array; it has about 150."""
_LITTLE: Final = "<|="
_AUTOMATIC: Final = 47
"""zlib's window for streams of zlib or gzip."""
_JPEG_QUALITY: Final = 85
_PICTURE_SIDE: Final = 65_500


# --- what a request says ---------------------------------------------------------------------------------------------


def wanted(request: Request, offered: Sequence[str]) -> str:
    """The media type that a request asks for.

    By ``Accept``; if that leaves it open, by ``Content-Type``, as some clients of bossDB say it; else the first that is
    offered.

    Raises:
        HTTPError: none of them (406).
    """
    asked = _by_preference(request.headers.get("accept", "*/*"))
    for name in asked:
        if name in offered:
            return name
    if not any(name in ("*/*", "application/*", "image/*") for name in asked):
        raise HTTPError(406, f"this is sent as {', '.join(offered)}, not as {', '.join(asked)[:64]}")
    content = _plain(request.headers.get("content-type", ""))
    named = next((name for name in asked if name != "*/*"), "*/*")
    fitting = [each for each in offered if named == "*/*" or each.startswith(named[:-1])]
    return content if content in fitting else (fitting or list(offered))[0]


def _by_preference(accept: str) -> list[str]:
    ranked: list[tuple[float, str]] = []
    for part in accept.split(","):
        name, _, parameters = part.partition(";")
        if name.strip():
            ranked.append((_quality(parameters), _plain(name)))
    return [name for quality, name in sorted(ranked, key=lambda pair: -pair[0]) if quality > 0] or ["*/*"]


def _quality(parameters: str) -> float:
    for part in parameters.split(";"):
        name, _, value = part.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _plain(media_type: str) -> str:
    name = media_type.partition(";")[0].strip().lower()
    return _OTHER_NAMES.get(name, name)


# --- to clients ------------------------------------------------------------------------------------------------------


def encode(voxels: Array, media_type: str) -> bytes:
    """Voxels as a body of this media type.

    Raises:
        BadType: a picture of voxels that pictures do not have.
        LimitError: more than the format takes.
        MissingExtra: blosc is not installed.
    """
    voxels = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("<"))
    return _ENCODERS[media_type](voxels)


def _to_blosc(voxels: Array) -> bytes:
    return _compressed(voxels.reshape(-1))


def _to_blosc_python(voxels: Array) -> bytes:
    return _compressed(np.frombuffer(pickle.dumps(voxels, protocol=4), np.uint8))


def _compressed(data: Array) -> bytes:
    if data.nbytes > _BLOSC_MOST:
        raise LimitError(
            f"blosc takes {_BLOSC_MOST} bytes, not {data.nbytes}",
            what="blosc bytes",
            limit=_BLOSC_MOST,
            got=data.nbytes,
        )
    return bytes(_blosc().Blosc(cname="lz4", clevel=5).encode(data))


def _to_npygz(voxels: Array) -> bytes:
    target = io.BytesIO()
    np.save(target, voxels, allow_pickle=False)
    return zlib.compress(target.getbuffer(), 1)


def _to_jpeg(voxels: Array) -> bytes:
    if voxels.dtype != np.uint8:
        raise BadType(f"only voxels of 8 bits can be had as JPEG, not {voxels.dtype}")
    return _picture(voxels, "jpeg", quality=_JPEG_QUALITY)


def _to_png(voxels: Array) -> bytes:
    if voxels.dtype.kind != "u" or voxels.itemsize > 2:
        raise BadType(f"only voxels of 8 and 16 bits can be had as PNG, not {voxels.dtype}")
    return _picture(voxels, "png")


def _picture(voxels: Array, form: str, **options: Any) -> bytes:
    if voxels.ndim > 3:
        raise BadType("a range of times cannot be had as a picture")
    pixels = voxels.reshape(-1, voxels.shape[-1])
    if max(pixels.shape) > _PICTURE_SIDE:
        raise LimitError(
            f"a picture has at most {_PICTURE_SIDE} rows and columns, not {pixels.shape}",
            what="picture side",
            limit=_PICTURE_SIDE,
            got=max(pixels.shape),
        )
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, form, **options)
    return target.getvalue()


_ENCODERS: Final[Mapping[str, Callable[[Array], bytes]]] = {
    BLOSC: _to_blosc,
    BLOSC_PYTHON: _to_blosc_python,
    NPYGZ: _to_npygz,
    BINARY: lambda voxels: voxels.tobytes(),
    JPEG: _to_jpeg,
    PNG: _to_png,
}
SENT: Final = tuple(_ENCODERS)
"""Media types of a cutout, the first for clients that name none."""


# --- from clients ----------------------------------------------------------------------------------------------------


def decode(request: Request, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """The voxels of a body, of the shape and type that they must have. What is not said to be otherwise is blosc.

    Raises:
        HTTPError: a media type that is not read (415).
        BadPayload: a body that is not of its media type, or of other voxels; nothing large was made of it.
        MissingExtra: blosc is not installed.
    """
    media_type = _plain(request.headers.get("content-type", "")) or BLOSC
    decoder = _DECODERS.get(media_type)
    if decoder is None:
        raise HTTPError(415, f"voxels are read as {', '.join(_DECODERS)}, not as {media_type[:64]}")
    return decoder(request.body, shape, dtype.newbyteorder("<"))


def _from_blosc(body: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    size = math.prod(shape) * dtype.itemsize
    return np.frombuffer(_decompressed(body, size, size, _meant(shape, dtype)), dtype).reshape(shape)


def _from_blosc_python(body: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    size = math.prod(shape) * dtype.itemsize
    found = read_pickled_array(_decompressed(body, size, size + _PICKLE_HEADER, f"a pickle of {_meant(shape, dtype)}"))
    named = f"{'<' if found.code[:1] in _LITTLE else found.code[:1]}{found.code[1:]}"
    if found.shape != shape or found.fortran or named not in (dtype.str, f">{dtype.str[1:]}", f"<{dtype.str[1:]}"):
        raise BadPayload(f"the body is an array {found.shape} of {shown(found.code)}, not {_meant(shape, dtype)}")
    if len(found.data) != size:
        raise BadPayload(f"the array of the body has {len(found.data)} bytes, not {size}")
    return np.frombuffer(found.data, dtype.newbyteorder(">" if named[0] == ">" else "<")).reshape(shape)


def _decompressed(body: bytes, least: int, most: int, meant: str) -> bytes:
    """A body of blosc, if its header says that it is whole and becomes as large as it may."""
    if len(body) < _BLOSC_HEADER.size:
        raise BadPayload("the body is not compressed with blosc: it is shorter than a header")
    version, _, _, _, unpacked, _, packed = _BLOSC_HEADER.unpack_from(body)
    if version != _BLOSC_FORMAT or packed != len(body):
        raise BadPayload("the body is not compressed with blosc, or not all of it came")
    if not least <= unpacked <= most:
        raise BadPayload(f"the body holds {unpacked} bytes; {meant} are {least}")
    try:
        return bytes(_blosc().decompress(body))
    except (RuntimeError, ValueError) as error:
        raise BadPayload(f"the body cannot be decompressed: {error}") from None


def _from_npygz(body: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    size = math.prod(shape) * dtype.itemsize
    stream = zlib.decompressobj(_AUTOMATIC)
    try:
        data = stream.decompress(body, size + _NPY_HEADER)
    except zlib.error as error:
        raise BadPayload(f"the body cannot be decompressed: {error}") from None
    if not stream.eof or stream.unused_data:
        raise BadPayload(f"the body does not end with {_meant(shape, dtype)}")
    source = io.BytesIO(data)
    found_shape, fortran, found = _npy_header(source)
    if found_shape != shape or found.newbyteorder("<") != dtype or fortran:
        order = ", first axis fastest" if fortran else ""
        raise BadPayload(f"the body is an array {found_shape} of {found}{order}, not {_meant(shape, dtype)}")
    if len(data) - source.tell() != size:
        raise BadPayload(f"the array of the body has {len(data) - source.tell()} bytes, not {size}")
    return np.frombuffer(data, found, offset=source.tell()).reshape(shape)


def _npy_header(source: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the first axis is fastest, and type, of an array in the npy format."""
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, fortran, dtype = read[np.lib.format.read_magic(source)](source, max_header_size=_NPY_HEADER)
    except (ValueError, KeyError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise BadPayload("the body is not an array in the npy format") from None
    return shape, fortran and len(shape) > 1, dtype


def _from_binary(body: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    size = math.prod(shape) * dtype.itemsize
    if len(body) != size:
        raise BadPayload(f"the body has {len(body)} bytes; {_meant(shape, dtype)} are {size}")
    return np.frombuffer(body, dtype).reshape(shape)


def _meant(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"voxels of {dtype} in the shape {shape}"


_DECODERS: Final[Mapping[str, Callable[[bytes, tuple[int, ...], np.dtype[Any]], Array]]] = {
    BLOSC: _from_blosc,
    NPYGZ: _from_npygz,
    BLOSC_PYTHON: _from_blosc_python,
    BINARY: _from_binary,
}


def _blosc() -> Any:
    try:
        from numcodecs import blosc  # pyright: ignore[reportAttributeAccessIssue] - compiled
    except ImportError as error:
        raise MissingExtra(
            "blosc needs numcodecs: pip install 'dvidkit[boss]'", plugin="boss", install="pip install 'dvidkit[boss]'"
        ) from error
    return blosc
