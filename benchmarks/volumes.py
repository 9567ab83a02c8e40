"""Volumes to measure with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_TILE: Final = 128
_GRAIN: Final = 9.0
_GREYS: Final = 16


def em_like(side: int, *, smooth: bool = False) -> Array:
    """A cube of 8-bit voxels like raw electron micrographs: soft dark and light shapes under noise.

    The noise is what makes such volumes hard to compress: lz4 gains next to nothing. With ``smooth`` there are only 16
    greys, of which lz4 makes about half the size.
    """
    tile = min(side, _TILE)
    random = np.random.default_rng(0)
    shapes: Array = random.normal(size=(tile,) * 3).astype(np.float32)
    for axis in range(3):
        for step in (1, 2, 4):
            shapes = (shapes + np.roll(shapes, step, axis) + np.roll(shapes, -step, axis)) / 3
    shapes *= 40 / max(float(shapes.std()), 1e-6)
    noise: Array = random.normal(size=(tile,) * 3).astype(np.float32) * _GRAIN
    voxels = np.clip(128 + shapes + noise, 0, 255).astype(np.uint8)
    if smooth:
        voxels = voxels // (256 // _GREYS) * (256 // _GREYS)
    times = -(-side // tile)
    return np.ascontiguousarray(np.tile(voxels, (times,) * 3)[:side, :side, :side])


def from_file(path: str, side: int) -> Array:
    """A cube of a volume of one's own, ``.npy`` or ``.npz``, repeated where it is smaller."""
    loaded = np.load(path)
    volume = loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
    if volume.dtype != np.uint8 or volume.ndim != 3:
        raise SystemExit(f"{Path(path).name}: a volume of uint8 is needed, not {volume.dtype} of shape {volume.shape}")
    times = [-(-side // length) for length in volume.shape]
    return np.ascontiguousarray(np.tile(volume, times)[:side, :side, :side])
