"""Voxels within regions, over HTTP."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.calling import body_of, call
from dvidkit_conformance.imagery import picture, volume
from dvidkit_images.voxels import Array

from dvidkit.errors import (
    BadPayload,
    InvalidInputError,
    UnknownInstance,
    UnknownUUID,
)
from dvidkit.repo import Repo


@pytest.fixture
def inside(repo: Repo, gray: Any) -> Array:
    """Makes an roi ``region`` with blocks of 5 voxels; which of the volume's voxels are in it."""
    repo.create_instance("roi", "region", BlockSize="5,5,5")
    repo.root["region"].replace([(0, 0, 1, 1), (1, 1, 0, 0)])
    found: Array = repo.root["region"].mask((0, 0, 0), (8, 9, 12))
    assert 0 < found.sum() < found.size
    return found


@pytest.mark.parametrize("name", ["region", "region,UUID"])
def test_reading_within_a_region(repo: Repo, gray: Any, inside: Array, name: str) -> None:
    """Voxels outside are background, or with an attenuation darker; in boxes, slices and stretched slices."""
    name = name.replace("UUID", repo.uuid)
    box = body_of(call(gray, "GET", f"raw/0_1_2/12_9_8/0_0_0?roi={name}"))
    assert box == np.where(inside, volume(), 9).tobytes()
    darker = body_of(call(gray, "GET", f"raw/0_1_2/12_9_8/0_0_0?roi={name}&attenuation=3"))
    assert darker == np.where(inside, volume(), volume() >> 3).tobytes()
    for plane, place, size in (
        ("xy", (2, slice(None), slice(None)), "12_9"),
        ("yz", (slice(None), slice(None), 7), "9_8"),
    ):
        corner = "0_0_2" if plane == "xy" else "7_0_0"
        shown = picture(call(gray, "GET", f"raw/{plane}/{size}/{corner}?roi={name}"))
        assert np.array_equal(np.asarray(shown), np.where(inside, volume(), 9)[place])
    assert body_of(call(gray, "GET", f"isotropic/0_1_2/12_9_8/0_0_0?roi={name}")) == box


def test_writing_within_a_region(repo: Repo, gray: Any, inside: Array) -> None:
    """Voxels outside stay as they were, in blocks that the region touches and in others; it is one mutation."""
    data = 255 - volume()
    call(gray, "POST", "raw/0_1_2/12_9_8/0_0_0?roi=region", body=data.tobytes())
    assert np.array_equal(gray.read((0, 0, 0), (8, 9, 12)), np.where(inside, data, volume()))
    repo.create_instance("uint8blk", "fresh", BlockSize="4,3,2", Background="9")
    fresh = repo.root["fresh"]
    call(fresh, "POST", "raw/0_1_2/12_9_8/0_0_0?roi=region", body=data.tobytes())
    assert np.array_equal(fresh.read((0, 0, 0), (8, 9, 12)), np.where(inside, data, 9))
    assert len(list(fresh.stored_blocks((0, 0, 0), (8, 9, 12)))) < 4 * 3 * 3


def test_a_mask_for_colours(repo: Repo, inside: Array) -> None:
    """Holds for all channels of a voxel."""
    repo.create_instance("rgba8blk", "colour", BlockSize="4,3,2")
    colour = repo.root["colour"]
    data = np.random.default_rng(2).integers(0, 256, (8, 9, 12, 4), dtype=np.uint8)
    call(colour, "POST", "raw/0_1_2/12_9_8/0_0_0?roi=region", body=data.tobytes())
    wanted = np.where(inside[..., None], data, 0).astype(np.uint8)
    assert np.array_equal(colour.read((0, 0, 0), (8, 9, 12)), wanted)
    colour.write((0, 0, 0), data)
    assert body_of(call(colour, "GET", "raw/0_1_2/12_9_8/0_0_0?roi=region")) == wanted.tobytes()


def test_regions_that_cannot_be(repo: Repo, gray: Any, inside: Array) -> None:
    """No such instance, one that is no region, a version of nowhere, a wrong attenuation: nothing is written."""
    before = gray.read((0, 0, 0), (8, 9, 12))
    for name, error in (("none", UnknownInstance), ("gray", InvalidInputError), ("region,ffff", UnknownUUID)):
        for method, body in (("GET", b""), ("POST", bytes(864))):
            with pytest.raises(error):
                call(gray, method, f"raw/0_1_2/12_9_8/0_0_0?roi={name}", body=body)
    for bits in ("8", "-1", "x"):
        with pytest.raises(InvalidInputError):
            call(gray, "GET", f"raw/0_1_2/12_9_8/0_0_0?roi=region&attenuation={bits}")
    repo.create_instance("uint16blk", "deep")
    with pytest.raises(InvalidInputError):
        call(repo.root["deep"], "GET", "raw/0_1_2/12_9_8/0_0_0?roi=region&attenuation=2")
    with pytest.raises(BadPayload):
        gray.write((0, 0, 0), before, within=inside[1:])
    assert np.array_equal(gray.read((0, 0, 0), (8, 9, 12)), before)
