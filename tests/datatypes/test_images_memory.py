"""Memory for voxels that are sent."""

from __future__ import annotations

import numpy as np
import pytest
from dvidkit_images.memory import SentVoxels


@pytest.mark.parametrize("shape", [(2, 3, 4), (0, 3, 4), (1,)])
@pytest.mark.parametrize("code", ["<u1", "<u4", "<f4"])
def test_what_was_written_is_taken(shape: tuple[int, ...], code: str) -> None:
    """The bytes are those of the array, which begins as zeros."""
    sent = SentVoxels(shape, np.dtype(code))
    wanted = np.arange(sent.array.size, dtype=code).reshape(shape)
    assert not sent.array.any()
    sent.array[...] = wanted
    assert sent.take() == wanted.tobytes()


def test_bytes_that_were_taken_never_change() -> None:
    """Whoever still has the array writes into memory of its own."""
    sent = SentVoxels((4,), np.dtype("<u1"))
    kept = sent.array[1:]
    kept[...] = 7
    taken = sent.take()
    kept[...] = 9
    assert taken == b"\0\7\7\7"
    assert type(taken) is bytes


def test_nothing_is_copied() -> None:
    """Where nobody else has the array, its memory is that of the bytes."""
    sent = SentVoxels((1 << 16,), np.dtype("<u1"))
    place = sent.array.__array_interface__["data"][0]
    taken = sent.take()
    assert np.frombuffer(taken, np.uint8).__array_interface__["data"][0] == place
