"""The datatype ``roi``: a region of interest, kept as spans of blocks along x."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from dvidkit.datatype import Datatype
from dvidkit.deferred import deferred
from dvidkit.endpoints import BINARY, JSON, Query, Request, Response, endpoint, json_body, to_json, triple
from dvidkit.errors import BadPayload, InvalidInputError, LimitError, OutOfBounds, UnsupportedError
from dvidkit.resolve import Conflict
from dvidkit.settings import Settings
from dvidkit_roi.keys import LEAST, MOST, SPAN, Spans, bounds, spans_of, tkeys_of
from dvidkit_roi.partition import partition_json
from dvidkit_roi.settings import RoiSettings
from dvidkit_roi.spans import Triple, as_spans, contains, normalised, voxel_mask

if TYPE_CHECKING:
    import json

    import numpy as np
    import numpy.typing as npt
else:
    json = deferred("json")
    np = deferred("numpy")

_NO_MIN: Final = (1 << 31) - 1
_NO_MAX: Final = -(1 << 31)
_MOST_VOXELS: Final = 1 << 30
_MOST_BATCH: Final = 1 << 16
_FAR: Final = 1 << 53

_Block = Annotated[int, msgspec.Meta(ge=LEAST, le=MOST)]
_Voxel = Annotated[int, msgspec.Meta(ge=-_FAR, le=_FAR)]


class Roi(Datatype):
    """A region of interest: a set of blocks, kept as spans ``z, y, x0, x1``, both ends included, in blocks.

    What is read are always the fewest spans that hold the region, sorted by z, y, x. Posting replaces the region of a
    version in one step. Other instances of the repo may use a region as a mask by its name.
    """

    typename: ClassVar[str] = "roi"
    version: ClassVar[str] = "0.1"
    url: ClassVar[str] = "github.com/janelia-flyem/dvid/datatype/roi"
    summary: ClassVar[str] = "regions of interest as spans of blocks"
    settings: ClassVar[type[Settings]] = RoiSettings
    tkey_classes = (SPAN,)
    conformance: ClassVar[str] = "dvidkit_roi.conformance:RoiCase"

    # --- reading -----------------------------------------------------------------------------------------------------

    @property
    def block_zyx(self) -> Triple:
        """Voxels of a block along z, y and x."""
        settings = self.instance.settings
        assert isinstance(settings, RoiSettings)
        x, y, z = settings.block_size
        return z, y, x

    def spans(self, first_z: int = LEAST, last_z: int = MOST) -> Spans:
        """The region as normalised spans, (n, 4) int64 of z, y, x0, x1 in blocks; those between two z if given.

        Raises:
            VersionConflict: a merge left spans that both sides wrote.
        """
        return normalised(spans_of(self.store.keys_in_range(self.ctx, *bounds(first_z, last_z))))

    def mask(self, offset_zyx: Triple, shape_zyx: Triple) -> npt.NDArray[np.bool_]:
        """Which voxels of a box are in the region, (z, y, x).

        Raises:
            OutOfBounds: a side below 0.
            LimitError: more than 2^30 voxels.
        """
        if min(shape_zyx) < 0:
            raise OutOfBounds(f"a box cannot have the sides {shape_zyx}")
        voxels = math.prod(shape_zyx)
        if voxels > _MOST_VOXELS:
            raise LimitError(f"a mask has {_MOST_VOXELS} voxels at most", what="voxels", limit=_MOST_VOXELS, got=voxels)
        block, z = self.block_zyx, offset_zyx[0]
        return voxel_mask(self.spans(z // block[0], (z + shape_zyx[0]) // block[0]), block, offset_zyx, shape_zyx)

    def contains(self, points_zyx: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which of the voxels (n, 3) are in the region.

        Raises:
            BadPayload: no (n, 3) array of whole numbers.
        """
        points = np.asarray(points_zyx)
        if points.size == 0:
            return np.zeros(len(points), bool)
        if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "iu":
            raise BadPayload(f"points must be whole numbers in rows of z, y, x, not {points.dtype}{points.shape}")
        blocks = points.astype(np.int64) // np.array(self.block_zyx)
        return contains(self.spans(int(blocks[:, 0].min()), int(blocks[:, 0].max())), blocks)

    def bounds_z(self) -> tuple[int, int] | None:
        """The least and the greatest z, in blocks; ``None`` for an empty region."""
        first = self._next_z(LEAST)
        if first is None:
            return None
        low, high = first, MOST
        while low < high:
            middle = (low + high + 1) // 2
            found = self._next_z(middle)
            low, high = (low, middle - 1) if found is None else (found, high)
        return first, low

    def _next_z(self, z: int) -> int | None:
        """The least z of the region from this one on; spans in conflict do not count."""
        ignored: list[Conflict] = []
        found = self.store.keys_in_range(self.ctx, *bounds(z, MOST), limit=1, conflicts=ignored)
        return int(spans_of(found)[0, 0]) if found else None

    def partition(self, batch: int = 8, *, optimized: bool = False) -> dict[str, Any]:
        """Boxes of ``batch`` blocks a side that hold every block of the region exactly once, in DVID's words.

        With ``optimized`` each box is cut down to what is in it.

        Raises:
            InvalidInputError: a batch out of range.
            LimitError: more than a million boxes.
        """
        if not 1 <= batch <= _MOST_BATCH:
            raise InvalidInputError(f"batchsize must be 1 to {_MOST_BATCH}, not {batch}")
        z, y, x = self.block_zyx
        return partition_json(self.spans(), batch, (x, y, z), optimized=optimized)

    def extended(self) -> Mapping[str, Any]:
        """See ``Datatype.extended``; ``MinZ`` and ``MaxZ`` are those of this version."""
        z, y, x = self.block_zyx
        low, high = self.bounds_z() or (_NO_MIN, _NO_MAX)
        return {"BlockSize": [x, y, z], "MinZ": low, "MaxZ": high}

    # --- writing -----------------------------------------------------------------------------------------------------

    def replace(self, spans: npt.ArrayLike, *, user: str = "", app: str = "") -> None:
        """Make these spans the region, in one mutation.

        Raises:
            BadPayload, OutOfBounds, LimitError, VersionLocked: nothing was changed.
        """
        wanted = tkeys_of(normalised(as_spans(spans)))
        self._write(wanted, "postroi", user, app, Spans=len(wanted))

    def clear(self, *, user: str = "", app: str = "") -> None:
        """Make the region of this version empty, in one mutation."""
        self._write([], "deleteroi", user, app)

    def _write(self, wanted: list[bytes], action: str, user: str, app: str, **fields: Any) -> None:
        with self.mutation(action, user=user, app=app) as m:
            m.hold(self, [SPAN.min()])
            conflicts: list[Conflict] = []
            stored = set(self.store.keys_in_range(self.ctx, SPAN.min(), SPAN.max(), conflicts=conflicts))
            tied = {conflict.tkey for conflict in conflicts}
            kept = stored.intersection(wanted)
            for tkey in sorted((stored | tied).difference(wanted)):
                m.delete(tkey)
            for tkey in wanted:
                if tkey not in kept:
                    m.put(tkey, b"")
            m.log(**fields)

    # --- endpoints ---------------------------------------------------------------------------------------------------

    @endpoint("GET", "roi", returns=JSON, heavy=True)
    def get_roi(self, request: Request) -> Response:
        """The region as normalised spans: ``[[z,y,x0,x1],…]`` in blocks, both ends included, sorted."""
        return to_json(self.spans().tolist())

    @endpoint("POST", "roi", takes=JSON)
    def post_roi(self, request: Request) -> Response:
        """Replace the region by spans ``[[z,y,x0,x1],…]`` in any order, which may overlap. All or nothing."""
        spans = json_body(request, list[tuple[_Block, _Block, _Block, _Block]])
        self.replace(np.array(spans, np.int64).reshape(-1, 4), user=request.user, app=request.app)
        return Response()

    @endpoint("DELETE", "roi")
    def delete_roi(self, request: Request) -> Response:
        """Make the region of this version empty."""
        self.clear(user=request.user, app=request.app)
        return Response()

    @endpoint("GET", "mask/{plane}/{size}/{offset}", returns=BINARY, heavy=True)
    def get_mask(self, request: Request) -> Response:
        """A box of voxels, one byte each: 1 in the region, 0 outside.

        ``plane`` is ``0_1_2``, ``size`` and ``offset`` are voxels ``x_y_z``; x is fastest in the answer.
        """
        if request.path["plane"] not in ("0_1_2", "xyz"):
            raise UnsupportedError("a mask is of a volume: 0_1_2", capability="planes")
        x, y, z = triple(request.path["offset"], "offset")
        width, height, depth = triple(request.path["size"], "size")
        if min(width, height, depth) < 1 or max(abs(x), abs(y), abs(z), width, height, depth) > _FAR:
            raise OutOfBounds(f"not a box of voxels: {request.path['size']} at {request.path['offset']}")
        return Response(self.mask((z, y, x), (depth, height, width)).tobytes(), BINARY)

    @endpoint("POST", "ptquery", takes=JSON, returns=JSON, mutates=False, heavy=True)
    def query_points(self, request: Request) -> Response:
        """Which voxels ``[[x,y,z],…]`` are in the region: ``[true,false,…]``. Changes nothing."""
        points = json_body(request, list[tuple[_Voxel, _Voxel, _Voxel]])
        array = np.array(points, np.int64).reshape(-1, 3)[:, ::-1]
        return to_json(self.contains(array).tolist())

    @endpoint(
        "GET",
        "partition",
        returns=JSON,
        heavy=True,
        query=(
            Query("batchsize", "blocks along each side of a subvolume; 8 unless given"),
            Query("optimized", "cut subvolumes down to what is in them", ("true", "on")),
        ),
    )
    def get_partition(self, request: Request) -> Response:
        """Subvolumes that hold every block of the region exactly once, with how many of their blocks are of it."""
        shown = self.partition(request.integer("batchsize", 8), optimized=request.flag("optimized"))
        return Response(json.dumps(shown, indent=4).encode(), JSON)
