"""``dvidkit import`` and ``export``: volumes between files and data instances.

An instance can be read and written if its datatype has ``read(offset_zyx, shape_zyx)`` and ``write(offset_zyx, array)``
and says in its extended metadata what DVID's image types say (``Values``, ``BlockSize``, ``MinPoint``, ``MaxPoint``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvidkit.cli.instances import opened_instance
from dvidkit.cli.output import Progress
from dvidkit.cli.stores import (
    instance_argument,
    is_url,
    opened_kernel,
    point,
    served_argument,
    sides,
    split_settings,
    usable,
    version_argument,
)
from dvidkit.errors import (
    AlreadyExistsError,
    BadPayload,
    InstanceExists,
    MissingExtra,
    OutOfBounds,
    UnsupportedError,
    VersionLocked,
)
from dvidkit.instance import DataInstance
from dvidkit.metadata import now
from dvidkit.records import InstanceRecord
from dvidkit.repo import Version
from dvidkit.repos import check_name

if TYPE_CHECKING:
    import numpy as np

    from dvidkit.cli.volumefiles import VolumeFile

_PART_BYTES = 64 << 20
_INT32 = 1 << 31
_INSTALL = "pip install 'dvidkit[images]'"

Triple = tuple[int, int, int]


class Shape:
    """What a volume instance holds, from its extended metadata.

    Attributes:
        dtype: of one value.
        channels: values of one voxel.
        block_zyx: voxels of a block.
        extents: first and last voxel that was ever written (z, y, x), ``None`` if there is none.
    """

    def __init__(self, view: Any) -> None:
        import numpy as np

        about: Mapping[str, Any] = view.extended()
        try:
            values = about["Values"]
            self.dtype: np.dtype[Any] = np.dtype(values[0]["DataType"])
            self.channels = len(values)
            x, y, z = about["BlockSize"]
        except (KeyError, IndexError, TypeError, ValueError):
            raise UnsupportedError("its datatype does not say what its voxels are", capability="volume") from None
        self.block_zyx: Triple = (z, y, x)
        low, high = about.get("MinPoint"), about.get("MaxPoint")
        self.extents = (tuple(low[::-1]), tuple(high[::-1])) if low and high else None


# --- import ----------------------------------------------------------------------------------------------------------


@click.command("import")
@served_argument
@version_argument
@instance_argument
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--offset", type=point, metavar="X,Y,Z", default="0,0,0", show_default=True, help="Where the first voxel goes."
)
@click.option("--array", help="Name of the array in a .npz file that holds several volumes.")
@click.option("--cast", is_flag=True, help="Take values of another type, if it holds fewer.")
@click.option("--create", "typename", metavar="TYPE", help="Make the instance, with this datatype.")
@click.option("-c", "--set", "settings", multiple=True, metavar="NAME=VALUE", help="With --create, a setting of it.")
def import_(
    path: str,
    version: str,
    instance: str,
    files: tuple[str, ...],
    *,
    offset: Triple,
    array: str | None,
    cast: bool,
    typename: str | None,
    settings: tuple[str, ...],
) -> None:
    """Write a volume from files into an instance.

    FILE is one .npy or .npz file, or PNG or TIFF images: files, a quoted pattern, or a directory, in natural order.
    Size and type are checked before anything is written. Interrupted, the same command again does it anew.
    """
    words, chosen = split_settings(settings)
    if words or (chosen and not typename):
        raise click.UsageError("-c takes NAME=VALUE, and needs --create")
    with _opened(files, array) as volume:

        def check(view: Any) -> None:
            _check_fits(volume, Shape(view), offset, cast=cast)

        if typename:
            target = _made_instance(path, version, instance, typename, chosen, check)
        else:
            target = opened_instance(path, version, instance, "read", "write", write=True)
        with target as view:
            check(view)
            _write(volume, view, Shape(view), offset)
    z, y, x = volume.shape_zyx
    click.echo(f"wrote {x} x {y} x {z} voxels (x, y, z) to {instance}")


def _opened(files: Sequence[str], array: str | None) -> VolumeFile:
    _need_images()
    from dvidkit.cli.volumefiles import open_volume

    return open_volume(files, array)


def _need_images() -> None:
    try:
        import numpy as np
        import PIL
    except ImportError as error:
        raise MissingExtra(f"volumes need numpy and Pillow: {_INSTALL}", plugin="images", install=_INSTALL) from error
    del np, PIL


@contextmanager
def _made_instance(
    path: str, version: str, name: str, typename: str, settings: Mapping[str, str], check: Callable[[Any], None]
) -> Iterator[Any]:
    """An instance that is made after the check, of a store."""
    if is_url(path):
        raise click.UsageError(f"on a server, make it first: dvidkit repo {version} new {typename} {name}")
    with opened_kernel(path, write=True) as kernel:
        at = kernel.repos.resolve(version)
        if at.locked:
            raise VersionLocked(f"version {at.uuid} is committed and takes no writes", uuid=at.uuid)
        check(usable(_to_be_made(at, typename, name, settings).at(at), "read", "write"))
        at.repo.create_instance(typename, name, at, **settings)
        yield at[name]


def _to_be_made(at: Version, typename: str, name: str, settings: Mapping[str, str]) -> DataInstance:
    """The instance as it would be, not made: raises what making it would raise."""
    kernel = at.repo.repos.kernel
    datatype = kernel.plugins.datatype(typename)
    check_name(name)
    if name in at.repo.instances:
        raise InstanceExists(f"repo {at.repo.uuid} has a data instance {name!r} already", name=name)
    parsed = datatype.settings.parse(settings)
    record = InstanceRecord(0, "", name, typename, datatype.version, at.uuid, now(), settings=parsed.to_builtins())
    return DataInstance.load(at.repo, record, kernel)


def _check_fits(volume: VolumeFile, shape: Shape, offset: Triple, *, cast: bool) -> None:
    import numpy as np

    native = volume.dtype.newbyteorder("=")
    if native != shape.dtype and not (cast and np.can_cast(native, shape.dtype, "safe")):
        hint = "; --cast takes it" if np.can_cast(native, shape.dtype, "safe") else ""
        raise BadPayload(f"{volume.name} holds {native}, but the instance {shape.dtype}{hint}")
    if volume.channels != shape.channels:
        raise BadPayload(f"{volume.name} has {volume.channels} channels, but the instance {shape.channels}")
    for begin, side in zip(offset, volume.shape_zyx, strict=True):
        if begin < -_INT32 or begin + side > _INT32:
            raise OutOfBounds(f"{volume.shape_zyx} voxels at {offset} (z, y, x) are not within 32-bit coordinates")


def _write(volume: VolumeFile, view: Any, shape: Shape, offset: Triple) -> None:
    """Slab by slab of block rows; each in parts of some megabytes, so that a part is one change."""
    planes, rows, columns = volume.shape_zyx
    with Progress("planes") as progress:
        done = 0
        for height in _steps(offset[0], planes, shape.block_zyx[0]):
            slab = volume.read(height)
            width = _rows_at_once(height * columns * shape.channels * shape.dtype.itemsize, shape.block_zyx[1])
            row = 0
            for size in _steps(offset[1], rows, width):
                part = slab[:, row : row + size].astype(shape.dtype, copy=False)
                view.write((offset[0] + done, offset[1] + row, offset[2]), part)
                row += size
            done += height
            progress.update("importing", done, planes)


def _rows_at_once(row_bytes: int, block: int) -> int:
    """A number of rows, a multiple of the block's, of about ``_PART_BYTES``."""
    return max(1, _PART_BYTES // (row_bytes * block)) * block


def _steps(begin: int, size: int, step: int) -> Iterator[int]:
    """Sizes that cut ``begin … begin+size`` at multiples of ``step``."""
    end = begin + size
    while begin < end:
        following = min((begin // step + 1) * step, end)
        yield following - begin
        begin = following


# --- export ----------------------------------------------------------------------------------------------------------


@click.command()
@served_argument
@version_argument
@instance_argument
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--offset", type=point, metavar="X,Y,Z", help="First voxel; that of the extents unless given.")
@click.option(
    "--size", type=sides, metavar="X,Y,Z", help="Voxels along x, y, z; to the end of the extents unless given."
)
@click.option(
    "--format",
    "images",
    type=click.Choice(["png", "tif"]),
    default="png",
    show_default=True,
    help="Of images in a directory.",
)
def export(
    path: str, version: str, instance: str, target: Path, *, offset: Triple | None, size: Triple | None, images: str
) -> None:
    """Write a box of an instance to files.

    OUT is a .npy or .npz file, or else becomes a directory of images.
    """
    _need_images()
    if target.exists():
        raise AlreadyExistsError(f"there is something at {target} already", path=str(target))
    with opened_instance(path, version, instance, "read") as view:
        shape = Shape(view)
        begin, counts = _box(shape, offset, size)
        _read(view, shape, begin, counts, target, images)
    z, y, x = counts
    click.echo(f"wrote {x} x {y} x {z} voxels (x, y, z) to {target}")


def _box(shape: Shape, offset: Triple | None, size: Triple | None) -> tuple[Triple, Triple]:
    if shape.extents is None and (offset is None or size is None):
        raise OutOfBounds("nothing was ever written there, so give --offset and --size")
    low, high = shape.extents or ((0, 0, 0), (0, 0, 0))
    begin = offset or low
    counts = size or tuple(last - first + 1 for first, last in zip(begin, high, strict=True))
    if min(counts) < 1:
        raise OutOfBounds(f"there is nothing from {begin} on (z, y, x); the extents end at {high}")
    return (begin[0], begin[1], begin[2]), (counts[0], counts[1], counts[2])


def _read(view: Any, shape: Shape, begin: Triple, counts: Triple, target: Path, images: str) -> None:
    from dvidkit.cli.volumewriters import new_volume

    channels = (shape.channels,) if shape.channels > 1 else ()
    writer = new_volume(target, (*counts, *channels), shape.dtype, images)
    try:
        with Progress("planes") as progress:
            done = 0
            for height in _steps(begin[0], counts[0], shape.block_zyx[0]):
                writer.write(_read_slab(view, shape, (begin[0] + done, begin[1], begin[2]), (height, *counts[1:])))
                done += height
                progress.update("exporting", done, counts[0])
        writer.finish()
    except BaseException:
        writer.abandon()
        raise


def _read_slab(view: Any, shape: Shape, begin: Triple, counts: Triple) -> np.ndarray[Any, Any]:
    import numpy as np

    channels = (shape.channels,) if shape.channels > 1 else ()
    slab = np.empty((*counts, *channels), shape.dtype)
    row_bytes = counts[0] * counts[2] * shape.channels * shape.dtype.itemsize
    row = 0
    for size in _steps(begin[1], counts[1], _rows_at_once(row_bytes, shape.block_zyx[1])):
        slab[:, row : row + size] = view.read((begin[0], begin[1] + row, begin[2]), (counts[0], size, counts[2]))
        row += size
    return slab
