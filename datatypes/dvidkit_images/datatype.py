"""The image datatypes: versioned volumes of voxels, read and written in boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from dvidkit.datatype import Datatype
from dvidkit.deferred import deferred
from dvidkit.errors import BadPayload, InvalidInputError, LimitError, OutOfBounds, VersionConflict, shown
from dvidkit.keys import TKeyClass
from dvidkit.resolve import Conflict
from dvidkit.upkeep import change_settings
from dvidkit.volume import VolumeInfo
from dvidkit_images.boxes import REQUEST_BUDGET, Box, Triple, in_int32, triple
from dvidkit_images.codec import BlockCodec
from dvidkit_images.extents import Extents
from dvidkit_images.keys import BLOCK, EXTENTS, EXTENTS_TKEY, block_tkey, block_zyx
from dvidkit_images.reading import conflict_error, read_box, window_size
from dvidkit_images.settings import ImageSettings
from dvidkit_images.voxels import Array, Voxel
from dvidkit_images.writing import blocks_per_mutation, write_box

if TYPE_CHECKING:
    import numpy as np

    from dvidkit.context import DataContext, VersionedContext
    from dvidkit.instance import DataInstance
    from dvidkit.repo import Version
    from dvidkit.settings import Settings
    from dvidkit.workers import Workers
else:
    np = deferred("numpy")

Plane = Literal["xy", "xz", "yz"]

_AXES: Final[Mapping[str, tuple[int, int]]] = {"xy": (1, 2), "xz": (0, 2), "yz": (0, 1)}
"""Of each plane, the axes (in z, y, x) of its rows and its columns."""
_NANOMETERS: Final = {"picometers": 1e-3, "micrometers": 1e3, "microns": 1e3, "um": 1e3, "millimeters": 1e6, "mm": 1e6}
"""Units other than nanometers; an unknown one is taken for nanometers, as DVID's clients do."""


class Images(Datatype):
    """Base of the image datatypes: a volume of voxels, as one version of one instance has it.

    Positions and shapes are in voxels, or in blocks where it is said, and always in the order z, y, x; arrays have the
    axes z, y, x, and RGBA a fourth for its channels. A voxel that was never written is background. Reads answer from
    one instant; a write is one atomic change. Thread-safe.

    Attributes:
        voxel: what a voxel is.
        codec: how blocks are stored.
        budget: bytes of voxels that one call may read or write; an object's own may be set.
    """

    voxel: ClassVar[Voxel]
    settings: ClassVar[type[Settings]] = ImageSettings
    tkey_classes: ClassVar[tuple[TKeyClass, ...]] = (BLOCK, EXTENTS)

    def __init__(self, instance: DataInstance, node: Version, *, override: bool = False) -> None:
        super().__init__(instance, node, override=override)
        self.codec = BlockCodec(self.voxel, self.configured)
        self.budget = REQUEST_BUDGET

    @property
    def configured(self) -> ImageSettings:
        """The instance's settings as they are now."""
        settings: Any = self.instance.settings
        return settings  # type: ignore[no-any-return]

    @property
    def block_zyx(self) -> Triple:
        """Voxels of a block along z, y and x."""
        return self.codec.shape_zyx

    @property
    def workers(self) -> Workers:
        """Threads that help to decode and encode."""
        return self.instance.repo.repos.kernel.workers

    # --- boxes -------------------------------------------------------------------------------------------------------

    def read(self, offset_zyx: Sequence[int], shape_zyx: Sequence[int]) -> Array:
        """The voxels of a box: a new array that is the caller's.

        Args:
            offset_zyx: first voxel; may be negative.
            shape_zyx: sides; a side of 0 gives an empty array.

        Raises:
            BadType, OutOfBounds, LimitError: before anything is read.
            VersionConflict: blocks in conflict, named; ``result`` is the array with background in their place.
        """
        return self._read(self._box(offset_zyx, shape_zyx))

    def _read(self, box: Box) -> Array:
        conflicts: list[Conflict] = []
        volume = self.voxel.unpack(read_box(self, box, conflicts))
        if conflicts:
            raise conflict_error(conflicts, volume)
        return volume

    def write(
        self, offset_zyx: Sequence[int], array: Array, *, user: str = "", app: str = "", within: Array | None = None
    ) -> None:
        """Set the voxels of a box, and grow the extents around it. Blocks at its edge keep their other voxels.

        With ``within``, booleans of the shape of the box, only those voxels are set.

        One atomic change, unless the blocks it touches are, before compression, more than four times the budget or
        than the engine takes in one batch. Then it is several, in the order of the blocks: if one fails, those before
        it stand, and the same call again finishes.

        Raises:
            VersionLocked: the version is committed.
            BadType, BadPayload, OutOfBounds, LimitError: nothing was written.
            VersionConflict: blocks at the edge are in conflict; whole blocks are overwritten, which decides theirs.
        """
        packed = self.voxel.pack(array)
        box = self._box(offset_zyx, packed.shape)
        if within is not None and within.shape != box.shape_zyx:
            raise BadPayload(f"a mask of shape {within.shape} is not of the box {box.shape_zyx} (z, y, x)")
        size = blocks_per_mutation(self)
        windows = box.windows(self.block_zyx, size) if not box.empty else iter([[]])
        for patches in windows:
            with self.mutation("post-voxels", user=user, app=app) as m:
                if patches:
                    m.log(MutationID=m.id, Offset=list(box.offset_zyx[::-1]), Size=list(box.shape_zyx[::-1]))
                    write_box(self, box, packed, patches, m, within)

    def _box(self, offset_zyx: object, shape_zyx: object) -> Box:
        box = Box.of(offset_zyx, shape_zyx)
        box.check(self.voxel.size, self.block_zyx, self.budget)
        return box

    def read_plane(self, plane: Plane, offset_zyx: Sequence[int], shape: Sequence[int]) -> Array:
        """A slice one voxel thick, as rows and columns: y and x for ``xy``, z and x for ``xz``, z and y for ``yz``.

        Args:
            plane: its axes.
            offset_zyx: its first voxel.
            shape: rows, columns.

        Raises:
            InvalidInputError: an unknown plane.
            BadType, OutOfBounds, LimitError, VersionConflict: as in ``read``.
        """
        if plane not in _AXES:
            raise InvalidInputError(f"a plane is xy, xz or yz, not {shown(plane)}")
        rows, columns = triple((*shape, 0), "shape")[:2]
        sides = plane_sides(plane, (rows, columns))
        try:
            return self._flat(self.read(offset_zyx, sides), rows, columns)
        except VersionConflict as error:
            raise VersionConflict(
                error.message, conflicts=error.conflicts, result=self._flat(error.result, rows, columns)
            ) from None

    @staticmethod
    def _flat(volume: Array, rows: int, columns: int) -> Array:
        return volume.reshape(rows, columns, *volume.shape[3:])

    # --- blocks ------------------------------------------------------------------------------------------------------

    def read_blocks(self, first_zyx: Sequence[int], count: int) -> Array:
        """A row of whole blocks along x: an array (count, z, y, x) or (count, z, y, x, channels).

        Args:
            first_zyx: coordinate of the first, in blocks.
            count: how many.
        """
        box = self._row(first_zyx, count)
        z, y, x = self.block_zyx
        volume = self._read(box)
        row = volume.reshape(z, y, count, x, *volume.shape[3:])
        return np.ascontiguousarray(np.moveaxis(row, 2, 0))

    def write_blocks(self, first_zyx: Sequence[int], array: Array, *, user: str = "", app: str = "") -> None:
        """Set a row of whole blocks along x; ``array`` is as ``read_blocks`` returns it.

        Raises:
            BadPayload: an array of another shape.
            VersionLocked, BadType, OutOfBounds, LimitError: nothing was written.
        """
        count = array.shape[0] if isinstance(array, np.ndarray) and array.ndim else 0
        box = self._row(first_zyx, count)
        wanted = (count, *self.block_zyx, *([len(self.voxel.channels)] if len(self.voxel.channels) > 1 else []))
        if isinstance(array, np.ndarray) and array.shape != wanted:
            raise BadPayload(f"a row of {count} blocks has the shape {wanted}, not {array.shape}")
        self.voxel.check(array)
        volume = np.moveaxis(array, 0, 2).reshape(*box.shape_zyx, *wanted[4:])
        self.write(box.offset_zyx, volume, user=user, app=app)

    def _row(self, first_zyx: Sequence[int], count: int) -> Box:
        z, y, x = triple(first_zyx, "block coordinate")
        bz, by, bx = self.block_zyx
        return self._box((z * bz, y * by, x * bx), (bz, by, triple((0, 0, count), "count")[2] * bx))

    def stored_blocks(self, offset_zyx: Sequence[int], shape_zyx: Sequence[int]) -> Iterator[tuple[Triple, bytes]]:
        """(coordinate in blocks, stored bytes) of each block in an aligned box that was written; in order z, y, x.

        Raises:
            OutOfBounds: the box does not begin and end between blocks.
            VersionConflict: naming all blocks in conflict; before the first block is returned.
        """
        box = self._box(offset_zyx, shape_zyx)
        if not box.aligned(self.block_zyx):
            raise OutOfBounds(
                f"a box at {box.offset_zyx} of shape {box.shape_zyx} does not begin and end between "
                f"blocks of {self.block_zyx} (z, y, x)"
            )
        return self._stored(patch.tkey for patch in box.patches(self.block_zyx))

    def specific_blocks(self, blocks_zyx: Iterable[Sequence[int]]) -> Iterator[tuple[Triple, bytes]]:
        """The same for single blocks, in the order in which they are named; those never written are left out.

        Raises:
            LimitError: together they are more than the budget.
            OutOfBounds: a block whose voxels are outside 32 bits.
        """
        tkeys: list[bytes] = []
        for block in blocks_zyx:
            tkeys.append(block_tkey(self._block(block)))
            if len(tkeys) * self.codec.size > self.budget:
                got = len(tkeys) * self.codec.size
                raise LimitError(
                    f"the blocks hold more than {self.budget} bytes", what="request bytes", limit=self.budget, got=got
                )
        return self._stored(tkeys)

    def _block(self, coordinate: Sequence[int]) -> Triple:
        found = triple(coordinate, "block coordinate")
        corners = [(c * side, (c + 1) * side - 1) for c, side in zip(found, self.block_zyx, strict=True)]
        if not all(in_int32(low) and in_int32(high) for low, high in corners):
            raise OutOfBounds(f"block {found} (z, y, x) is outside 32-bit coordinates")
        return found

    def _stored(self, tkeys: Iterable[bytes]) -> Iterator[tuple[Triple, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        conflicts: list[Conflict] = []
        remaining = iter(tkeys)
        with self.store.snapshot() as snapshot:
            while window := list(islice(remaining, window_size(self.codec.size))):
                values = snapshot.get_many(self.ctx, window, conflicts=conflicts)
                found += [(tkey, value) for tkey, value in zip(window, values, strict=True) if value is not None]
        if conflicts:
            raise conflict_error(conflicts)
        return ((block_zyx(tkey), value) for tkey, value in found)

    # --- extents and resolution --------------------------------------------------------------------------------------

    def extents(self) -> Extents | None:
        """The box around every voxel that was written here or in an ancestor; ``None`` if there is none.

        Where a merge joins versions that each grew the extents, it is the box around both.
        """
        return self._extents_by(lambda context: self.store.get(context, EXTENTS_TKEY))

    def _extents_by(self, get: Callable[[VersionedContext | DataContext], bytes | None]) -> Extents | None:
        try:
            stored = get(self.ctx)
            values = [] if stored is None else [stored]
        except VersionConflict as error:
            contexts = map(self._context_of, error.conflicts[0].versions)
            values = [value for value in map(get, contexts) if value is not None]
        if not values:
            return self._first_extents()
        found: Extents | None = None
        for value in values:
            found = Extents.decode(value).union(found)
        return found

    def _context_of(self, version: int) -> VersionedContext | DataContext:
        repo = self.instance.repo
        return self.instance.context(next(each for each in repo.versions if each.id == version))

    def _first_extents(self) -> Extents | None:
        """What the settings say, before anything is written."""
        low, high = self.configured.min_point, self.configured.max_point
        return Extents.of((low[2], low[1], low[0]), (high[2], high[1], high[0])) if low and high else None

    def covers(self, box: Box) -> bool:
        """Whether a box is within the extents as they are stored here or in an ancestor, without a conflict."""
        try:
            stored = self.store.get(self.ctx, EXTENTS_TKEY)
        except VersionConflict:
            return False
        if stored is None:
            return False
        extents = Extents.decode(stored)
        return extents.union(Extents(box.offset_zyx, box.last_zyx)) == extents

    def grown(self, box: Box) -> Extents:
        """The extents grown around a box. To be called with the lock of the extents held."""
        return Extents(box.offset_zyx, box.last_zyx).union(self.extents())

    def set_extents(self, min_zyx: Sequence[int], max_zyx: Sequence[int], *, user: str = "", app: str = "") -> None:
        """Replace the extents, whatever was written. Both corners are included. Later writes grow them.

        Raises:
            BadType, OutOfBounds: nothing was changed.
            VersionLocked: the version is committed.
        """
        extents = Extents.of(triple(min_zyx, "least point"), triple(max_zyx, "greatest point"))
        with self.mutation("post-extents", user=user, app=app) as m:
            m.log(**extents.points())
            m.hold(self, [EXTENTS_TKEY])
            m.put(EXTENTS_TKEY, extents.encode())

    def set_resolution(self, voxel_size_xyz: Sequence[float]) -> None:
        """Set the size of a voxel along x, y and z, in the units of the settings. Holds for all versions.

        Raises:
            BadConfig: not three sizes above 0.
            VersionLocked: this version is committed, as for every other change.
        """
        with self.instance.repo.writing(self.node, override=self.override or not self.instance.versioned):
            change_settings(self.instance, voxel_size=list(voxel_size_xyz))

    def volume_info(self) -> VolumeInfo:
        """What the volume is, for tools that never heard of DVID."""
        settings, extents = self.configured, self.extents()
        x, y, z = (
            size * _NANOMETERS.get(unit.lower(), 1.0)
            for size, unit in zip(settings.voxel_size, settings.voxel_units, strict=True)
        )
        return VolumeInfo(
            self.voxel.dtype.name,
            len(self.voxel.channels),
            "image",
            self.block_zyx,
            (x, y, z),
            _flipped(extents.min_zyx) if extents else None,
            _flipped(extents.max_zyx) if extents else None,
            settings.background,
        )

    def read_scale(self, scale: int, offset_zyx: Triple, shape_zyx: Triple) -> Array:
        """``read``; there is only scale 0.

        Raises:
            OutOfBounds: another scale.
        """
        if scale != 0:
            raise OutOfBounds(f"an image instance has only scale 0, not {shown(scale)}")
        return self.read(offset_zyx, shape_zyx)

    def extended(self) -> Mapping[str, Any]:
        """DVID's properties of an image instance."""
        settings, extents = self.configured, self.extents()
        points: dict[str, Any] = dict.fromkeys(("MinPoint", "MaxPoint", "MinIndex", "MaxIndex"))
        if extents is not None:
            points.update(extents.points())
            for name, corner in (("MinIndex", extents.min_zyx), ("MaxIndex", extents.max_zyx)):
                index = [value // side for value, side in zip(corner, self.block_zyx, strict=True)]
                points[name] = index[::-1]
        return {
            "Values": self.voxel.values(),
            "Interpolable": True,
            "BlockSize": list(settings.block_size),
            "VoxelSize": list(settings.voxel_size),
            "VoxelUnits": list(settings.voxel_units),
            **points,
            "Background": settings.background,
            "GridStore": "",
            "ScaleLevel": 0,
        }


def plane_sides(plane: Plane, shape: Sequence[int]) -> Triple:
    """Sides (z, y, x) of the box that a slice with these rows and columns is."""
    sides = [1, 1, 1]
    sides[_AXES[plane][0]], sides[_AXES[plane][1]] = shape
    return sides[0], sides[1], sides[2]


def _flipped(point: Triple) -> Triple:
    """X, y, z of z, y, x, and the other way round."""
    return point[2], point[1], point[0]
