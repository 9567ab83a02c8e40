"""A generated volume that looks, roughly, like brain tissue in an electron microscope."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def tissue(shape_zyx: tuple[int, int, int] = (160, 224, 288), seed: int = 7) -> Array:
    """Dark membranes where smooth noise is zero, with some organelles, uneven light and grain.

    Args:
        shape_zyx: voxels.
        seed: the same one gives the same volume.

    Returns:
        uint8 (z, y, x).
    """
    rng = np.random.default_rng(seed)
    gray: Array = np.full(shape_zyx, 178, np.float32)
    for spacing in (26, 17, 17):
        gray -= 105 * np.exp(-((smooth_noise(shape_zyx, spacing, rng) * (spacing / 2.6)) ** 2))
    gray -= np.clip((smooth_noise(shape_zyx, 9, rng) - 1.9) * 55, 0, 60)
    gray += 10 * smooth_noise(shape_zyx, 60, rng)
    grain = rng.integers(0, 256, shape_zyx, dtype=np.uint8).astype(np.float32) - 128
    for axis in range(3):
        grain += np.roll(grain, 1, axis)
    gray += grain * (8 / grain.std())
    made: Array = np.clip(gray, 6, 250).astype(np.uint8)
    return made


def smooth_noise(shape_zyx: tuple[int, int, int], spacing: float, rng: np.random.Generator) -> Array:
    """Random values at a lattice, interpolated by cubic B-splines: float32 (z, y, x), standard deviation 1."""
    z, y, x = (_spline_weights(side, spacing) for side in shape_zyx)
    lattice = rng.standard_normal((z.shape[1], y.shape[1], x.shape[1]), dtype=np.float32)
    field: Array = np.matmul(y, np.tensordot(z, lattice, 1)) @ x.T
    scaled: Array = field / field.std()
    return scaled


def _spline_weights(side: int, spacing: float) -> Array:
    """(voxels, knots): how much of each knot's value is in each voxel's."""
    place = np.arange(side) / spacing
    distance = np.abs(place[:, None] + 1 - np.arange(int(place[-1]) + 4))
    near, far = (4 - 6 * distance**2 + 3 * distance**3) / 6, (2 - distance) ** 3 / 6
    weights: Array = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    return weights.astype(np.float32)
