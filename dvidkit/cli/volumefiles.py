"""Volumes in files: stacks of PNG or TIFF images, ``.npy`` and ``.npz``, read some planes at a time.

Arrays have the axes z, y, x, and a fourth for channels where there are several.
"""

from __future__ import annotations

import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from dvidkit.errors import BadPayload, NotFoundError, shown

Array = npt.NDArray[Any]

IMAGES: Final = frozenset({".png", ".tif", ".tiff"})
_MODES: Final[dict[str, np.dtype[Any]]] = {
    "L": np.dtype("u1"),
    "I;16": np.dtype("u2"),
    "I;16L": np.dtype("u2"),
    "I;16B": np.dtype("u2"),
    "F": np.dtype("f4"),
    "RGBA": np.dtype("u1"),
}
_GLOB: Final = re.compile(r"[*?\[]")
_SAMPLE_FORMAT: Final = 339
_UNSIGNED: Final = 1


class VolumeFile(ABC):
    """A volume to read. Planes are read once, from the first to the last. Use as a context manager.

    Attributes:
        shape_zyx: voxels.
        channels: values of one voxel.
        dtype: of one value.
        name: what messages call it.
    """

    shape_zyx: tuple[int, int, int]
    channels: int
    dtype: np.dtype[Any]
    name: str

    def __enter__(self) -> VolumeFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def read(self, planes: int) -> Array:
        """The next planes.

        Raises:
            BadPayload: the file ends before they do, or cannot be read.
        """

    def close(self) -> None:
        """Release files."""
        return

    def _take_shape(self, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        if len(shape) not in (3, 4) or 0 in shape or dtype.kind not in "uif":
            raise BadPayload(f"{self.name} holds {dtype} of shape {tuple(shape)}, which is no volume (z, y, x)")
        self.shape_zyx = (shape[0], shape[1], shape[2])
        self.channels = shape[3] if len(shape) == 4 else 1
        self.dtype = dtype


# --- arrays ----------------------------------------------------------------------------------------------------------


class NpyFile(VolumeFile):
    """An array in a ``.npy`` file, mapped into memory."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        try:
            self._array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise BadPayload(f"{path} is no array: {error}") from error
        self._take_shape(self._array.shape, self._array.dtype)
        self._place = 0

    def read(self, planes: int) -> Array:
        """See ``VolumeFile.read``; the planes stay in the file until they are looked at."""
        self._place += planes
        return self._array[self._place - planes : self._place]


class NpzFile(VolumeFile):
    """An array in a ``.npz`` archive, unpacked plane by plane.

    Args:
        path: the archive.
        array: name of the array; needed if the archive holds several volumes.
    """

    def __init__(self, path: Path, array: str | None) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise BadPayload(f"{path} is no archive of arrays: {error}") from error
        try:
            self.name = f"{path}:{self._choose(path, array)}"
            self._file, shape, fortran, dtype = self._open(self.name.rpartition(":")[2])
        except BaseException:
            self._archive.close()
            raise
        self._shape, self._dtype = shape, dtype
        try:
            if fortran:
                raise BadPayload(f"{self.name} is stored in Fortran order; save np.ascontiguousarray of it")
            self._take_shape(shape, dtype)
        except BaseException:
            self.close()
            raise

    def _choose(self, path: Path, array: str | None) -> str:
        names = [name.removesuffix(".npy") for name in self._archive.namelist() if name.endswith(".npy")]
        if array is not None:
            if array not in names:
                raise NotFoundError(f"{path} holds no array {array!r}, only {', '.join(sorted(names)) or 'none'}")
            return array
        volumes = [name for name in names if len(self._shape_of(name)) in (3, 4)]
        if len(volumes) != 1:
            raise BadPayload(f"{path} holds {len(volumes)} volumes; name one: {', '.join(sorted(names)) or 'none'}")
        return volumes[0]

    def _shape_of(self, name: str) -> tuple[int, ...]:
        file, shape, *_ = self._open(name)
        file.close()
        return shape

    def _open(self, name: str) -> tuple[IO[bytes], tuple[int, ...], bool, np.dtype[Any]]:
        file = self._archive.open(f"{name}.npy")
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            return (file, *read(file))
        except (ValueError, EOFError) as error:
            file.close()
            raise BadPayload(f"{self._archive.filename}:{name} is no array: {error}") from error

    def read(self, planes: int) -> Array:
        """See ``VolumeFile.read``."""
        volume = np.empty((planes, *self._shape[1:]), self._dtype)
        data = volume.reshape(-1).view(np.uint8).data
        done = 0
        try:
            while done < len(data):
                part = self._file.read(min(len(data) - done, 1 << 20))
                if not part:
                    raise BadPayload(f"{self.name} ends too early")
                data[done : done + len(part)] = part
                done += len(part)
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise BadPayload(f"{self.name} cannot be read: {error}") from error
        return volume

    def close(self) -> None:
        """See ``VolumeFile.close``."""
        self._file.close()
        self._archive.close()


# --- stacks of images ------------------------------------------------------------------------------------------------


class StackFile(VolumeFile):
    """Images of one size and kind, each a plane; or one TIFF file with a plane in each frame.

    Args:
        paths: in the order of the planes. Every header is read at once, so that a misfit is found before the start.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.name = str(paths[0]) if len(paths) == 1 else f"{paths[0]} … {paths[-1]}"
        first = _frames(paths[0])
        self._planes = [(path, frame) for path in paths for frame in range(_frames(path)[0])]
        kinds = {path: _frames(path)[1:] for path in paths}
        for path, kind in kinds.items():
            if kind != first[1:]:
                raise BadPayload(f"{path} is {_kind_text(*kind)}, but {paths[0]} is {_kind_text(*first[1:])}")
        rows, columns, channels, dtype = first[1:]
        self._take_shape((len(self._planes), rows, columns, *([channels] if channels > 1 else [])), dtype)
        self._place = 0
        self._open: tuple[Path, Image.Image] | None = None

    def read(self, planes: int) -> Array:
        """See ``VolumeFile.read``."""
        wanted = self._planes[self._place : self._place + planes]
        self._place += planes
        return np.stack([self._plane(path, frame) for path, frame in wanted])

    def _plane(self, path: Path, frame: int) -> Array:
        try:
            if self._open is None or self._open[0] != path:
                self.close()
                self._open = (path, Image.open(path))
            image = self._open[1]
            image.seek(frame)
            pixels = np.asarray(image)
        except (OSError, SyntaxError, EOFError) as error:
            raise BadPayload(f"{path} cannot be read: {error}") from error
        return pixels.view(self.dtype) if image.mode == "I" else pixels.astype(self.dtype, copy=False)

    def close(self) -> None:
        """See ``VolumeFile.close``."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


def _frames(path: Path) -> tuple[int, int, int, int, np.dtype[Any]]:
    """(frames, rows, columns, channels, dtype) of an image file; only its header is read."""
    try:
        with Image.open(path) as image:
            dtype = _dtype_of(image)
            if dtype is None:
                raise BadPayload(f"{path} is an image of mode {image.mode}, whose pixels are no voxels")
            columns, rows = image.size
            return getattr(image, "n_frames", 1), rows, columns, len(image.getbands()), dtype
    except (UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPayload(f"{path} is no image that can be read: {error}") from error


def _dtype_of(image: Image.Image) -> np.dtype[Any] | None:
    """What a pixel's values are; mode ``I`` is 32-bit numbers, with a sign or without."""
    if image.mode != "I":
        return _MODES.get(image.mode)
    tags = getattr(image, "tag_v2", {})
    formats = tags.get(_SAMPLE_FORMAT, _UNSIGNED)
    unsigned = (formats[0] if isinstance(formats, tuple) else formats) == _UNSIGNED
    return np.dtype("u4") if unsigned else np.dtype("i4")


def _kind_text(rows: int, columns: int, channels: int, dtype: np.dtype[Any]) -> str:
    several = f" with {channels} channels" if channels > 1 else ""
    return f"{columns} by {rows} pixels of {dtype}{several}"


# --- finding files ---------------------------------------------------------------------------------------------------


def open_volume(names: Sequence[str], array: str | None = None) -> VolumeFile:
    """The volume in these files.

    Args:
        names: one ``.npy`` or ``.npz`` file; or images: files, patterns like ``slices/*.png``, or one directory, in
            natural order (``2`` before ``10``).
        array: name of the array in a ``.npz`` file.

    Raises:
        NotFoundError: no such file, or an empty directory.
        BadPayload: not a volume, or images that differ in size or kind.
    """
    paths = find_files(names)
    suffixes = {path.suffix.lower() for path in paths}
    if array is not None and suffixes != {".npz"}:
        raise BadPayload(f"an array is named in .npz files, not in {paths[0]}")
    if suffixes <= IMAGES:
        return StackFile(paths)
    if len(paths) == 1 and suffixes == {".npy"}:
        return NpyFile(paths[0])
    if len(paths) == 1 and suffixes == {".npz"}:
        return NpzFile(paths[0], array)
    raise BadPayload(f"a volume is one .npy or .npz file or a stack of PNG or TIFF images, not {shown(list(names))}")


def find_files(names: Sequence[str]) -> list[Path]:
    """The files that names, patterns and directories stand for, in natural order.

    Raises:
        NotFoundError: one stands for nothing.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            files = [each for each in path.iterdir() if each.suffix.lower() in IMAGES]
        elif path.exists() or not _GLOB.search(name):
            files = [path] if path.exists() else []
        else:
            files = list(_matches(path))
        if not files:
            raise NotFoundError(f"there are no images in {name}" if path.is_dir() else f"there is no file {name}")
        found += files
    return sorted(found, key=natural)


def _matches(pattern: Path) -> Iterator[Path]:
    parts = pattern.parts
    first = next(at for at, part in enumerate(parts) if _GLOB.search(part))
    return Path(*parts[:first]).glob(str(Path(*parts[first:])))


def natural(path: Path) -> list[tuple[int, int, str]]:
    """A sort key by which numbers in names count as numbers."""
    parts = re.split(r"([0-9]+)", str(path))
    return [(0, int(part), part) if part.isdigit() else (1, 0, part) for part in parts]
