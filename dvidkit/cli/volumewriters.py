"""Volumes written to files, some planes at a time: ``.npy``, ``.npz``, or a directory of PNG or TIFF images."""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from PIL import Image

from dvidkit.cli.volumefiles import Array
from dvidkit.errors import BadPayload, OutOfBounds

_WRITABLE: Final = {".png": {"uint8", "uint16"}, ".tif": {"uint8", "uint16", "float32"}}


class VolumeWriter(ABC):
    """Writes planes one after another. What is written has its name when ``finish`` was called, not before."""

    @abstractmethod
    def write(self, planes: Array) -> None:
        """Append planes."""

    @abstractmethod
    def finish(self) -> None:
        """Complete it and give it its name."""

    @abstractmethod
    def abandon(self) -> None:
        """Remove what was written."""


class ArrayWriter(VolumeWriter):
    """Writes a ``.npy`` file, or a ``.npz`` archive with one array ``volume``."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._archive: zipfile.ZipFile | None = None
        if path.suffix.lower() == ".npz":
            self._archive = zipfile.ZipFile(self._partial, "w", zipfile.ZIP_DEFLATED)
            self._file: IO[bytes] = self._archive.open("volume.npy", "w", force_zip64=True)
        else:
            self._file = self._partial.open("wb")
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(self._file, header)

    def write(self, planes: Array) -> None:
        """See ``VolumeWriter.write``."""
        for plane in planes:
            self._file.write(np.ascontiguousarray(plane).data)

    def finish(self) -> None:
        """See ``VolumeWriter.finish``."""
        self._close()
        self._partial.replace(self._path)

    def abandon(self) -> None:
        """See ``VolumeWriter.abandon``."""
        with suppress(OSError, ValueError):
            self._close()
        self._partial.unlink(missing_ok=True)

    def _close(self) -> None:
        self._file.close()
        if self._archive is not None:
            self._archive.close()


class StackWriter(VolumeWriter):
    """Writes a directory of PNG or TIFF images, numbered from 0."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], suffix: str) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._suffix = suffix
        self._digits = max(4, len(str(shape[0] - 1)))
        self._place = 0
        kinds = _WRITABLE[suffix]
        if np.dtype(dtype).name not in kinds or len(shape) != 3 + (dtype == np.uint8 and len(shape) == 4):
            raise BadPayload(f"{suffix} images hold {', '.join(sorted(kinds))}, not {dtype}; write a .npy file")
        self._partial.mkdir(exist_ok=True)

    def write(self, planes: Array) -> None:
        """See ``VolumeWriter.write``."""
        for plane in planes:
            image = Image.fromarray(np.ascontiguousarray(plane))
            image.save(self._partial / f"{self._place:0{self._digits}}{self._suffix}")
            self._place += 1

    def finish(self) -> None:
        """See ``VolumeWriter.finish``."""
        self._partial.rename(self._path)

    def abandon(self) -> None:
        """See ``VolumeWriter.abandon``."""
        for file in self._partial.glob(f"*{self._suffix}"):
            file.unlink()
        with suppress(OSError):
            self._partial.rmdir()


def new_volume(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], images: str) -> VolumeWriter:
    """A writer for this path: an array for ``.npy`` and ``.npz``, else a directory of ``images`` (``png``, ``tif``).

    Raises:
        BadPayload: images cannot hold the dtype.
        OutOfBounds: nothing to write.
    """
    if 0 in shape:
        raise OutOfBounds(f"a volume of shape {shape} (z, y, x) holds nothing")
    if path.suffix.lower() in (".npy", ".npz"):
        return ArrayWriter(path, shape, dtype)
    return StackWriter(path, shape, dtype, f".{images}")
