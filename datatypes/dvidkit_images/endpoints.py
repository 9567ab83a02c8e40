"""The HTTP endpoints of the image datatypes. Sizes, offsets and coordinates in URLs are x_y_z."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, cast

import msgspec

from dvidkit.deferred import deferred
from dvidkit.endpoints import (
    BINARY,
    JSON,
    Query,
    Request,
    Response,
    endpoint,
    gathered,
    integer,
    json_body,
    to_json,
    triple,
)
from dvidkit.errors import BadPayload, DvidkitError, InvalidInputError, OutOfBounds, shown
from dvidkit.regions import find_region
from dvidkit.resolve import Conflict
from dvidkit_images.boxes import Box, Triple
from dvidkit_images.datatype import Images, Plane, plane_sides
from dvidkit_images.extents import Extents
from dvidkit_images.formats import Format, encode_picture, record, stretched
from dvidkit_images.keys import block_tkey
from dvidkit_images.memory import SentVoxels
from dvidkit_images.oblique import Parallelogram, read_oblique
from dvidkit_images.reading import conflict_error, is_read_alone, read_block, read_box
from dvidkit_images.voxels import Array

if TYPE_CHECKING:
    import numpy as np
else:
    np = deferred("numpy")

_ND_DATA: Final = "application/vnd.dvid-nd-data+json"
_PICTURE: Final = "image/png"
_VOLUME: Final = "xyz"
_SHAPES: Final = {
    "xy": "xy", "0_1": "xy", "0,1": "xy",
    "xz": "xz", "0_2": "xz", "0,2": "xz",
    "yz": "yz", "1_2": "yz", "1,2": "yz",
    "0_1_2": _VOLUME, "0,1,2": _VOLUME, "vol": _VOLUME,
}  # fmt: skip
_PLANE_AXES: Final = {"xy": (0, 1), "xz": (0, 2), "yz": (1, 2)}
"""Of each plane, the axes (in x, y, z) of its columns and its rows."""
_BINARY_NAMES: Final = ("", "octet-stream")
_JPEGS: Final = ("jpeg", "jpg")
_QUICK: Final = ("none", "lz4", "snappy")
"""Compressions of which a block is undone in a fraction of a millisecond."""
_THROTTLE: Final = Query("throttle", "answer 503 at once if too many heavy requests are under way", ("true",))
_ROI: Final = Query("roi", "a region of this repo, as name or name,uuid: voxels outside are background, or kept")
_ATTENUATION: Final = Query("attenuation", "with roi, of 8-bit voxels: those outside lose so many bits (1 to 7)")
_MUTATE: Final = Query("mutate", "taken for DVID's clients; every write may change what was there", ("true", "false"))
_POST_RAW: Final = (
    _MUTATE,
    _ROI,
    _THROTTLE,
    Query("unaligned", "take a box that does not begin and end between blocks", ("true",)),
)
_COMPRESSION: Final = Query(
    "compression",
    "payload of the blocks: as they are stored (with lz4, four bytes of raw size first), as JPEG if they are, or raw",
    ("", "jpeg", "uncompressed"),
)


class ImageEndpoints(Images):
    """The endpoint table. DVID's paths and bodies (``datatype/imageblk/imageblk.go``)."""

    # --- what the volume is ------------------------------------------------------------------------------------------

    @endpoint("GET", "metadata", returns=_ND_DATA)
    def get_metadata(self, request: Request) -> Response:
        """The axes of the volume, with resolution, size and offset, and the instance's properties."""
        properties, settings = self.extended(), self.configured
        low, high = properties["MinPoint"], properties["MaxPoint"]
        axes = [
            {
                "Label": label,
                "Resolution": settings.voxel_size[axis],
                "Units": settings.voxel_units[axis],
                "Size": high[axis] - low[axis] + 1 if low else 0,
                "Offset": low[axis] if low else 0,
            }
            for axis, label in enumerate("XYZ")
        ]
        return Response(msgspec.json.encode({"Axes": axes, "Properties": properties}), _ND_DATA)

    @endpoint("POST", "extents", takes=JSON)
    def post_extents(self, request: Request) -> Response:
        """Replace the extents of this version by ``{"MinPoint": [x,y,z], "MaxPoint": [x,y,z]}``, both included."""
        extents = Extents.from_json(request.body)
        self.set_extents(extents.min_zyx, extents.max_zyx, user=request.user, app=request.app)
        return Response()

    @endpoint("POST", "resolution", takes=JSON)
    def post_resolution(self, request: Request) -> Response:
        """Set the size of a voxel along x, y and z, as ``[8, 8, 8]``, for all versions."""
        self.set_resolution(json_body(request, tuple[float, float, float]))
        return Response()

    @endpoint(
        "GET",
        "rawkey",
        query=(Query("x", "block coordinate"), Query("y", "block coordinate"), Query("z", "block coordinate")),
        returns=JSON,
    )
    def get_rawkey(self, request: Request) -> Response:
        """The full key, in hexadecimal, under which this version stores a block."""
        block: Triple = (request.integer("z"), request.integer("y"), request.integer("x"))
        key = self.ctx.prefix + block_tkey(block) + self.ctx.suffix
        return to_json({"Key": key.hex().upper()})

    # --- boxes and slices --------------------------------------------------------------------------------------------

    @endpoint(
        "GET",
        "raw/{dims}/{size}/{offset}",
        query=(_ROI, _ATTENUATION, _THROTTLE),
        returns=BINARY,
        heavy=True,
        brief="is_brief",
    )
    @endpoint(
        "GET", "raw/{dims}/{size}/{offset}/{format}", query=(_ROI, _ATTENUATION, _THROTTLE), returns=BINARY, heavy=True
    )
    def get_raw(self, request: Request) -> Response:
        """A box of voxels, or a slice as a picture.

        For ``dims`` 0_1_2 the voxels in the order z, y, x with x fastest, little-endian; or, with the format ``jpeg``,
        one JPEG as wide as x, with the slices one below the other. For 0_1, 0_2, 1_2 (or xy, xz, yz), with a size of
        two numbers, a picture: ``png`` (the default), ``jpg``, ``jpg:80``, ``tiff`` or ``bmp``. Voxels that were never
        written have the background value.
        """
        shape = _shape_of(request)
        if shape == _VOLUME:
            return self._volume(request)
        return self._picture(cast(Plane, shape), request, isotropic=False)

    def is_brief(self, request: Request) -> bool:
        """Whether ``get_raw`` reads no more than a block or a few small ones, which decode quickly."""
        if request.query or request.path["dims"] != "0_1_2" or self.configured.compression not in _QUICK:
            return False
        try:
            return is_read_alone(self.codec, Box(*_box_of(request)))
        except DvidkitError:
            return True  # it is refused at once

    @endpoint(
        "GET", "isotropic/{dims}/{size}/{offset}", query=(_ROI, _ATTENUATION, _THROTTLE), returns=_PICTURE, heavy=True
    )
    @endpoint(
        "GET",
        "isotropic/{dims}/{size}/{offset}/{format}",
        query=(_ROI, _ATTENUATION, _THROTTLE),
        returns=_PICTURE,
        heavy=True,
    )
    def get_isotropic(self, request: Request) -> Response:
        """As ``raw``, but a slice whose voxels are not square is stretched, so that the pixels are."""
        shape = _shape_of(request)
        if shape == _VOLUME:
            return self._volume(request)
        return self._picture(cast(Plane, shape), request, isotropic=True)

    @endpoint("POST", "raw/{dims}/{size}/{offset}", query=_POST_RAW, takes=BINARY, heavy=True)
    @endpoint("POST", "raw/{dims}/{size}/{offset}/{format}", query=_POST_RAW, takes=BINARY, heavy=True)
    def post_raw(self, request: Request) -> Response:
        """Write a box of voxels that begins and ends between blocks; the body is as ``GET`` returns it.

        One atomic change. The extents grow around the box. With ``roi`` voxels outside the region stay as they are;
        with ``unaligned=true`` a box may begin and end anywhere, and the other voxels of its blocks stay.
        """
        if _shape_of(request) != _VOLUME:
            raise InvalidInputError("only boxes (0_1_2) can be written, not slices")
        box = self._box(*_box_of(request))
        if not (box.aligned(self.block_zyx) or request.flag("unaligned")):
            raise OutOfBounds(
                f"a box at {box.offset_zyx[::-1]} of size {box.shape_zyx[::-1]} does not begin and end between blocks"
            )
        array = self._array(request.body, box.shape_zyx)
        within = self._inside(request, box.offset_zyx, box.shape_zyx)
        self.write(box.offset_zyx, array, user=request.user, app=request.app, within=within)
        return Response()

    def _inside(self, request: Request, offset_zyx: Triple, shape_zyx: Triple) -> Array | None:
        """Which voxels of a box are in the region that the request names; ``None`` if it names none.

        Raises:
            UnknownInstance, InvalidInputError: there is no such region.
        """
        name = request.query.get("roi")
        return find_region(self.node, name).mask(offset_zyx, shape_zyx) if name else None

    def _shown(self, request: Request, voxels: Array, inside: Array | None) -> Array:
        """Voxels without what is outside the region; ``inside`` is of their shape.

        Raises:
            InvalidInputError: an attenuation that cannot be.
        """
        if inside is None:
            return voxels
        bits = request.integer("attenuation", 0)
        if not 0 <= bits <= 7 or (bits and self.voxel.dtype.itemsize > 1):
            raise InvalidInputError(f"attenuation is 1 to 7, of 8-bit voxels, not {bits} of {self.voxel.dtype.name}")
        voxels[~inside] = voxels[~inside] >> bits if bits else self.configured.background
        return voxels

    def _array(self, body: bytes, shape: tuple[int, ...]) -> Array:
        """The voxels of a body, without copying."""
        wanted = math.prod(shape) * self.voxel.size
        if len(body) != wanted:
            raise BadPayload(f"the body has {len(body)} bytes; the voxels take {wanted}")
        return self.voxel.unpack(np.frombuffer(body, self.voxel.packed).reshape(shape))

    def _volume(self, request: Request) -> Response:
        form = request.path.get("format", "")
        name = form.lower().partition(":")[0]
        if name not in (*_BINARY_NAMES, *_JPEGS):
            raise InvalidInputError(f"a box of voxels is octet-stream or jpeg, not {shown(form)}")
        offset, shape = _box_of(request)
        if name in _BINARY_NAMES:
            return Response(self._sent(request, offset, shape), BINARY)
        volume = self._shown(request, self.read(offset, shape), self._inside(request, offset, shape))
        rows, columns = volume.shape[0] * volume.shape[1], volume.shape[2]
        return _drawn(volume.reshape(rows, columns, *volume.shape[3:]), form)

    def _sent(self, request: Request, offset: Triple, shape: Triple) -> bytes:
        """The voxels of a box as ``get_raw`` sends them."""
        box = self._box(offset, shape)
        block = None if request.query else read_block(self, box)
        if block is not None:
            return block
        sent = SentVoxels(box.shape_zyx, self.voxel.packed)
        conflicts: list[Conflict] = []
        volume = self.voxel.unpack(read_box(self, box, conflicts, sent.array))
        if conflicts:
            raise conflict_error(conflicts, volume)
        self._shown(request, volume, self._inside(request, offset, shape))
        del volume
        return sent.take()

    def _picture(self, plane: Plane, request: Request, *, isotropic: bool) -> Response:
        columns, rows = _pair(request.path["size"])
        x, y, z = triple(request.path["offset"], "offset")
        shape = self._source_shape(plane, rows, columns) if isotropic else (rows, columns)
        pixels = self.read_plane(plane, (z, y, x), shape)
        inside = self._inside(request, (z, y, x), plane_sides(plane, shape))
        pixels = self._shown(request, pixels, None if inside is None else inside.reshape(shape))
        return _drawn(stretched(pixels, (rows, columns)), request.path.get("format", ""))

    def _source_shape(self, plane: Plane, rows: int, columns: int) -> tuple[int, int]:
        """Rows and columns of voxels that are shown by so many square pixels. Source: DVID ``Isotropy2D``."""
        self._box((0, 0, 0), (1, rows, columns))
        across, down = (self.configured.voxel_size[axis] for axis in _PLANE_AXES[plane])
        if across < down:
            rows = max(1, int(rows * across / down + 0.5))
        else:
            columns = max(1, int(columns * down / across + 0.5))
        return rows, columns

    @endpoint("GET", "arb/{top_left}/{top_right}/{bottom_left}/{res}", returns=_PICTURE, heavy=True)
    @endpoint("GET", "arb/{top_left}/{top_right}/{bottom_left}/{res}/{format}", returns=_PICTURE, heavy=True)
    def get_arb(self, request: Request) -> Response:
        """A slice at any angle, interpolated, as a picture.

        The corners are x_y_z in the units of the voxel size, ``res`` is the distance of the pixels.
        """
        corners = (_point(request.path[name]) for name in ("top_left", "top_right", "bottom_left"))
        top_left, top_right, bottom_left = corners
        where = Parallelogram(top_left, top_right, bottom_left, _number(request.path["res"]))
        return _drawn(read_oblique(self, where), request.path.get("format", ""))

    # --- blocks ------------------------------------------------------------------------------------------------------

    @endpoint("GET", "blocks/{block}/{span}", returns=BINARY, heavy=True)
    def get_blocks(self, request: Request) -> Response:
        """``span`` whole blocks along x, uncompressed, one after another; background where nothing was written."""
        x, y, z = triple(request.path["block"], "block coordinate")
        return Response(self.read_blocks((z, y, x), _span(request)).tobytes(), BINARY)

    @endpoint("POST", "blocks/{block}/{span}", query=(_MUTATE,), takes=BINARY, heavy=True)
    def post_blocks(self, request: Request) -> Response:
        """Write ``span`` whole blocks along x; the body is as ``GET`` returns it. One atomic change."""
        x, y, z = triple(request.path["block"], "block coordinate")
        span = _span(request)
        self._row((z, y, x), span)
        array = self._array(request.body, (span, *self.block_zyx))
        self.write_blocks((z, y, x), array, user=request.user, app=request.app)
        return Response()

    @endpoint("GET", "subvolblocks/{size}/{offset}", query=(_COMPRESSION, _THROTTLE), returns=BINARY, heavy=True)
    def get_subvolblocks(self, request: Request) -> Response:
        """The blocks of a box that begins and ends between blocks, as a block stream in the order z, y, x.

        Each record is the coordinate of the block (x, y, z) and the size of the payload, as four i32 little-endian,
        and the payload. Blocks that were never written are left out.
        """
        return self._stream(request, self.stored_blocks(*_box_of(request)))

    @endpoint(
        "GET",
        "specificblocks",
        query=(
            Query("blocks", "coordinates of blocks: x,y,z,x,y,z…"),
            _COMPRESSION,
            Query("prefetch", "send nothing", ("on", "true")),
        ),
        returns=BINARY,
        heavy=True,
    )
    def get_specificblocks(self, request: Request) -> Response:
        """Single blocks as a block stream, in the order in which they are named; see ``subvolblocks``."""
        text = request.query.get("blocks", "")
        numbers = [integer(part, "block coordinate") for part in text.split(",")] if text else []
        if len(numbers) % 3:
            raise InvalidInputError(f"blocks are three numbers each, not {len(numbers)} together")
        blocks = zip(numbers[2::3], numbers[1::3], numbers[::3], strict=True)
        stored = self.specific_blocks(blocks)
        return Response(b"", BINARY) if request.flag("prefetch") else self._stream(request, stored)

    def _stream(self, request: Request, blocks: Iterable[tuple[Triple, bytes]]) -> Response:
        """A block stream."""
        compression = request.query.get("compression", "")
        if compression not in _COMPRESSION.values:
            raise InvalidInputError(f"compression is jpeg or uncompressed, not {shown(compression)}")
        return gathered((record(block, self.codec.payload(stored, compression)) for block, stored in blocks), BINARY)


def _shape_of(request: Request) -> str:
    """``xyz`` for a box, or the name of the plane.

    Raises:
        InvalidInputError: neither.
    """
    dims = request.path["dims"].lower()
    if dims not in _SHAPES:
        raise InvalidInputError(f"dims are 0_1_2, 0_1, 0_2 or 1_2, not {shown(dims)}")
    return _SHAPES[dims]


def _box_of(request: Request) -> tuple[Triple, Triple]:
    """Offset and shape (z, y, x); a side below 1 is refused."""
    x, y, z = triple(request.path["offset"], "offset")
    width, height, depth = triple(request.path["size"], "size")
    if min(width, height, depth) < 1:
        raise OutOfBounds(f"a size is at least 1 along each axis, not {width}_{height}_{depth}")
    return (z, y, x), (depth, height, width)


def _pair(text: str) -> tuple[int, int]:
    parts = text.split("_")
    if len(parts) != 2:
        raise InvalidInputError(f"the size of a slice is two numbers like 512_256, not {shown(text)}")
    width, height = (integer(part, "size") for part in parts)
    if min(width, height) < 1:
        raise OutOfBounds(f"a size is at least 1 along each axis, not {text}")
    return width, height


def _span(request: Request) -> int:
    span = integer(request.path["span"], "span")
    if span < 1:
        raise OutOfBounds(f"a span is at least one block, not {span}")
    return span


def _point(text: str) -> tuple[float, float, float]:
    parts = text.split("_")
    if len(parts) != 3:
        raise InvalidInputError(f"a point is three numbers like 20.3_11_109.4, not {shown(text)}")
    x, y, z = map(_number, parts)
    return x, y, z


def _number(text: str) -> float:
    try:
        if text.isascii() and text.strip() == text:
            return float(text)
    except ValueError:
        pass
    raise InvalidInputError(f"a number is expected, not {shown(text)}")


def _drawn(pixels: Array, form: str) -> Response:
    parsed = Format.parse(form)
    return Response(encode_picture(pixels, parsed), parsed.media_type)
