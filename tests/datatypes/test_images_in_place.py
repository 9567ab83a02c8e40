"""Large writes of voxels, whose blocks are built where they stay until they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvidkit_images import writing
from dvidkit_images.boxes import Box
from dvidkit_images.keys import BLOCK
from dvidkit_images.voxels import Array

import dvidkit
from dvidkit.store import Store
from dvidkit.verify import verify


def noise(*shape: int) -> Array:
    """Random voxels."""
    volume: Array = np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)
    return volume


def rows(store: Store, prefix: bytes) -> list[tuple[bytes, bytes | None]]:
    """Every stored row of an instance."""
    return [(key[len(prefix) :], value) for key, value in store.raw_range_query(prefix, prefix + b"\xff" * 16)]


@pytest.mark.parametrize("checksum", ["none", "crc32"])
@pytest.mark.parametrize("integrity", [True, False])
def test_large_writes_leave_what_small_ones_do(tmp_path: Path, integrity: bool, checksum: str) -> None:
    """Byte for byte the same for an engine that borrows values and for one that does not.

    Over blocks that were there, of noise and of one value, aligned and not; ``verify`` counts them right.
    """
    found: list[Any] = []
    volume = noise(130, 140, 150)
    volume[:64] = 7
    for engine in ("memory", "lmdb"):
        with dvidkit.open(str(tmp_path / engine), engine, integrity=integrity) as kernel:
            repo = kernel.repos.create("r")
            repo.create_instance("uint8blk", "gray", Checksum=checksum)
            gray = repo.root["gray"]
            for offset in ((0, 0, 0), (0, 0, 0), (-5, 64, 3)):
                gray.write(offset, volume)
                assert (gray.read(offset, volume.shape) == volume).all()
            assert not verify(gray.store).findings
            found.append(rows(gray.store, gray.ctx.prefix))
    assert found[0] == found[1]
    assert len(found[0]) > 27


def test_a_large_write_over_deleted_blocks(tmp_path: Path) -> None:
    """Their tombstones go with it; one that is interrupted leaves everything as it was."""
    volume = noise(128, 128, 128)

    def interrupted() -> None:
        box = Box((0, 0, 0), (128, 128, 128))
        with gray.mutation("post-voxels") as m:
            writing.write_box(gray, box, volume, list(box.patches(gray.block_zyx)), m)
            raise KeyboardInterrupt

    with dvidkit.open(str(tmp_path / "store"), "lmdb") as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("uint8blk", "gray")
        gray = repo.root["gray"]
        gray.write((0, 0, 0), volume)
        gray.store.delete_range(gray.ctx, BLOCK.min(), BLOCK.max())
        before = rows(gray.store, gray.ctx.prefix)
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert rows(gray.store, gray.ctx.prefix) == before
        gray.write((0, 0, 0), volume)
        assert (gray.read((0, 0, 0), volume.shape) == volume).all()
        assert not verify(gray.store).findings
