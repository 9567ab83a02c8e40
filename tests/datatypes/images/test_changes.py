"""A write of voxels is one change."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.imagery import dump, noise
from dvidkit_images import codec, writing
from dvidkit_images.codec import Encoder
from dvidkit_images.extents import Extents

from dvidkit import errors
from dvidkit.engine import Limits
from dvidkit.kernel import Kernel
from dvidkit.mutationlog import MutationLog


def test_a_write_is_one_change_and_one_record(kernel: Kernel, gray: Any) -> None:
    """With where it was, how large, and who asked."""
    gray.write((1, 2, 3), noise(9, 9, 9), user="ada", app="test")
    log = MutationLog(kernel.stores["default"])
    (record,) = [each.to_json() for each in log.of(gray.instance.id, gray.node.id)]
    assert record.pop("Timestamp")
    assert record.pop("MutationID") >= 1_000_000_000
    assert record == {
        "Action": "post-voxels",
        "Offset": [3, 2, 1],
        "Size": [9, 9, 9],
        "UUID": gray.node.uuid,
        "User": "ada",
        "App": "test",
    }


def test_readers_see_all_of_a_write_or_nothing(gray: Any) -> None:
    """While a box of many blocks is overwritten again and again, aligned or not, no reader sees two of the writes."""
    stop = threading.Event()
    gray.write((1, 1, 1), np.zeros((7, 8, 9), np.uint8))

    def write() -> None:
        for n in range(100_000):
            if stop.is_set():
                return
            gray.write((1, 1, 1), np.full((7, 8, 9), n % 256, np.uint8))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(150):
            assert len(np.unique(gray.read((1, 1, 1), (7, 8, 9)))) == 1
    finally:
        stop.set()
        thread.join()


def test_a_write_that_fails_leaves_nothing(kernel: Kernel, gray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever block it fails at."""
    gray.write((0, 0, 0), noise(4, 6, 8))
    before = dump(kernel)

    def fail(self: Encoder) -> bytes:
        raise MemoryError

    monkeypatch.setattr(codec.Encoder, "encode", fail)
    with pytest.raises(MemoryError):
        gray.write((0, 0, 0), noise(4, 6, 8, seed=1))
    monkeypatch.undo()
    assert dump(kernel) == before
    gray.write((0, 0, 0), noise(4, 6, 8, seed=1))


def test_a_write_too_large_for_a_batch_is_several(kernel: Kernel, gray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each within the engine's limits, in the order of the blocks; calling again after a failure finishes."""
    engine = kernel.stores["default"].engine
    room = (1 << 16) + 6 * (gray.codec.largest + 128)
    monkeypatch.setattr(type(engine), "limits", Limits(511, 1 << 20, 10_000, room))
    size = writing.blocks_per_mutation(gray)
    assert size == 6
    volume = noise(6, 9, 12)
    gray.write((0, 0, 0), volume)
    assert (gray.read((0, 0, 0), volume.shape) == volume).all()
    log = MutationLog(kernel.stores["default"])
    assert len(list(log.of(gray.instance.id, gray.node.id))) == -(-27 // size)
    assert gray.extents() == Extents((0, 0, 0), (5, 8, 11))


def test_a_closed_kernel_says_so(kernel: Kernel, gray: Any) -> None:
    """Not by way of its threads."""
    gray.write((0, 0, 0), noise(9, 9, 9))
    kernel.close()
    for act in (lambda: gray.read((0, 0, 0), (9, 9, 9)), lambda: gray.write((0, 0, 0), noise(9, 9, 9))):
        with pytest.raises(errors.StoreClosed):
            act()
