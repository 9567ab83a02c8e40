"""Endpoints of voxels: cutouts, slices, tiles, and the ids in a box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from dvidkit.deferred import deferred
from dvidkit.endpoints import JSON, Query, Request, Response, endpoint, to_json
from dvidkit.errors import InvalidInputError, UnsupportedError
from dvidkit.http.api import Api
from dvidkit_boss.boxes import Box, resolution_of
from dvidkit_boss.encodings import BLOSC, JPEG, PNG, SENT, Array, decode, encode, wanted
from dvidkit_boss.places import Channel, experiment_of, find_channel, find_collection, find_experiment

if TYPE_CHECKING:
    import numpy as np
else:
    np = deferred("numpy")

_CHANNEL: Final = "{collection}/{experiment}/{channel}"
_BOX: Final = f"{_CHANNEL}/{{resolution}}/{{x}}/{{y}}/{{z}}"
_SLICE: Final = f"{_CHANNEL}/{{orientation}}/{{resolution}}/{{x}}/{{y}}/{{z}}"
_TILE: Final = f"{_CHANNEL}/{{orientation}}/{{tile_size}}/{{resolution}}/{{x}}/{{y}}/{{z}}"
_PICTURES: Final = (PNG, JPEG)
_FILTER: Final = Query("filter", "of annotations: ids like 5,17; voxels of others are 0")
_ACCESS: Final = Query("access-mode", "taken for bossDB's clients; there is no cache", ("cache", "no-cache", "raw"))


class BossVolumes(Api):
    """Boxes and slices of a channel, in voxels of a resolution; ends are behind the last voxel."""

    title: ClassVar[str] = "bossDB: voxels"
    aliases: ClassVar[Mapping[str, str]] = {"latest": "v1"}

    # --- boxes -------------------------------------------------------------------------------------------------------

    @endpoint("GET", f"v1/cutout/{_BOX}", query=(_FILTER, _ACCESS), returns=BLOSC, heavy=True)
    @endpoint("GET", f"v1/cutout/{_BOX}/{{t}}", query=(_FILTER, _ACCESS), returns=BLOSC, heavy=True)
    def get_cutout(self, request: Request) -> Response:
        """The voxels of a box, each range as ``first:end``; a range of times is ``0:1``.

        As ``Accept`` says: ``application/blosc`` (the default), ``application/npygz``, ``application/blosc-python``,
        ``application/octet-stream``, ``image/jpeg`` or ``image/png`` with the slices one below the other; 406 for
        another. 400 for a box that is none or is outside the coordinate frame that a client made; 404 if there is no
        such channel or resolution; 413 if the box is too large.
        """
        channel, box = self._channel(request), Box.of(request.path)
        media_type = wanted(request, SENT)
        voxels = self._read(request, channel, box)
        return Response(encode(voxels[np.newaxis] if box.timed else voxels, media_type), media_type)

    @endpoint("POST", f"v1/cutout/{_BOX}", takes=BLOSC, heavy=True, status=201)
    @endpoint("POST", f"v1/cutout/{_BOX}/{{t}}", takes=BLOSC, heavy=True, status=201)
    def post_cutout(self, request: Request) -> Response:
        """Write the voxels of a box, which may lie anywhere across blocks. One atomic change.

        By ``Content-Type`` the body is ``application/blosc`` (the default), ``application/npygz``,
        ``application/blosc-python`` or ``application/octet-stream``; 415 for another. 400 for voxels that are not those
        of the box, a box outside the coordinate frame that a client made, or a committed version; 404 if there is no
        such channel or resolution.
        """
        channel, box = self._channel(request), Box.of(request.path)
        self._check(request, channel, box)
        shape = (1, *box.shape_zyx) if box.timed else box.shape_zyx
        voxels = decode(request, shape, np.dtype(channel.info.dtype))
        _write(request, channel, box, voxels.reshape(box.shape_zyx))
        return Response(status=201)

    @endpoint("PUT", f"v1/cutout/to_black/{_BOX}", heavy=True)
    @endpoint("PUT", f"v1/cutout/to_black/{_BOX}/{{t}}", heavy=True)
    def to_black(self, request: Request) -> Response:
        """Make the voxels of a box 0; 404 if there is no such channel or resolution, 413 if the box is too large."""
        channel, box = self._channel(request), Box.of(request.path)
        self._check(request, channel, box)
        _write(request, channel, box, np.zeros(box.shape_zyx, channel.info.dtype))
        return Response()

    @endpoint("GET", f"v1/ids/{_BOX}", returns=JSON, heavy=True)
    @endpoint("GET", f"v1/ids/{_BOX}/{{t}}", returns=JSON, heavy=True)
    def get_ids(self, request: Request) -> Response:
        """The ids in a box of annotations, as texts, without 0: ``{"ids": ["5", "17"]}``.

        400 for a box that is none; 404 if there is no such channel or resolution; 413 if the box is too large.
        """
        channel = self._channel(request)
        _check_ids(channel)
        ids = np.unique(self._read(request, channel, Box.of(request.path)))
        return to_json({"ids": [str(each) for each in ids if each]})

    # --- pictures ----------------------------------------------------------------------------------------------------

    @endpoint("GET", f"v1/image/{_SLICE}", query=(_ACCESS,), returns=PNG, heavy=True)
    @endpoint("GET", f"v1/image/{_SLICE}/{{t}}", query=(_ACCESS,), returns=PNG, heavy=True)
    def get_image(self, request: Request) -> Response:
        """A slice ``xy``, ``xz`` or ``yz`` as PNG or JPEG; of the third axis there is a number in place of a range.

        Rows are y of ``xy``, else z. 400 for a slice that is none or of voxels that pictures do not have; 404 if there
        is no such channel or resolution; 406 for another format; 413 if it is too large.
        """
        return self._drawn(request, Box.slice(request.path))

    @endpoint("GET", f"v1/tile/{_TILE}", query=(_ACCESS,), returns=PNG, heavy=True)
    @endpoint("GET", f"v1/tile/{_TILE}/{{t}}", query=(_ACCESS,), returns=PNG, heavy=True)
    def get_tile(self, request: Request) -> Response:
        """A square slice by its numbers along its two axes, as ``image``. What is beyond the volume is background.

        400 for a tile that is none or of voxels that pictures do not have; 404 if there is no such channel or
        resolution; 406 for another format; 413 if it is too large.
        """
        return self._drawn(request, Box.tile(request.path), framed=False)

    def _drawn(self, request: Request, box: Box, *, framed: bool = True) -> Response:
        media_type = wanted(request, _PICTURES)
        voxels = self._read(request, self._channel(request), box, framed=framed)
        depth, rows, columns = box.shape_zyx
        flat = voxels.reshape((rows, columns) if request.path["orientation"] == "xy" else (depth, rows * columns))
        return Response(encode(flat, media_type), media_type)

    # --- what they share ---------------------------------------------------------------------------------------------

    def _channel(self, request: Request) -> Channel:
        repo = find_collection(self.kernel, request.path["collection"])
        version = find_experiment(repo, request.path["experiment"])
        return find_channel(version, request.path["channel"], override=request.admin)

    def _check(self, request: Request, channel: Channel, box: Box, *, framed: bool = True) -> int:
        """The resolution, once the box may be asked for."""
        resolution = resolution_of(request.path, channel.info.scales)
        box.check(np.dtype(channel.info.dtype).itemsize, self.app.config.limits.box)
        made = experiment_of(channel.version) if framed and resolution == 0 else None
        if made is not None:
            box.check_within(made.frame)
        return resolution

    def _read(self, request: Request, channel: Channel, box: Box, *, framed: bool = True) -> Array:
        resolution = self._check(request, channel, box, framed=framed)
        ids = _ids(request, channel)
        voxels: Array = channel.view.read_scale(resolution, box.offset_zyx, box.shape_zyx)
        if ids is not None:
            voxels[~np.isin(voxels, ids)] = 0
        return voxels


def _write(request: Request, channel: Channel, box: Box, voxels: Array) -> None:
    write = getattr(channel.view, "write", None)
    if write is None or request.path["resolution"] != "0":
        raise UnsupportedError(
            f"a channel of {channel.instance.record.typename!r} takes no voxels of resolution "
            f"{request.path['resolution']}",
            capability="write",
        )
    write(box.offset_zyx, voxels, user=request.user, app=request.app)


def _ids(request: Request, channel: Channel) -> Any:
    """The ids that a request keeps; ``None`` if it keeps all."""
    text = request.query.get("filter")
    if not text:
        return None
    _check_ids(channel)
    try:
        return np.array([int(part) for part in text.split(",")], np.uint64)
    except (ValueError, OverflowError):
        raise InvalidInputError("filter is whole numbers divided by commas") from None


def _check_ids(channel: Channel) -> None:
    if np.dtype(channel.info.dtype) != np.uint64:
        raise InvalidInputError(f"only annotations have ids, and voxels of {channel.info.dtype} are none")
