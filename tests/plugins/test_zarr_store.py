"""The zarr store over a keyvalue instance: zarr's own suite, and versions."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("zarr")

import numpy as np
import zarr
from dvidkit_keyvalue.paths import SLASH, key_of
from dvidkit_zarr.store import DvidStore
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer import Buffer, cpu
from zarr.testing.store import StoreTests

from dvidkit.engine import StoreConfig
from dvidkit.errors import BadKey, InvalidInputError, UnknownInstance
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo


@pytest.fixture
def anyio_backend() -> str:
    """What the suite's coroutines run in."""
    return "asyncio"


@pytest.fixture
def repo() -> Iterator[Repo]:
    """A repo with ``kv``, in memory."""
    with Kernel(StoreConfig("memory", "")) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("keyvalue", "kv")
        yield repo


@pytest.mark.anyio
@pytest.mark.usefixtures("anyio_backend")
class TestStore(StoreTests[DvidStore, cpu.Buffer]):
    """zarr's suite for stores, but for pickling: a kernel cannot leave its process."""

    store_cls = DvidStore
    buffer_cls = cpu.Buffer

    @pytest.fixture
    def store_kwargs(self, repo: Repo) -> dict[str, Any]:
        return {"version": repo.root, "instance": "kv"}

    async def set(self, store: DvidStore, key: str, value: Buffer) -> None:
        store._view.put(key.replace("/", SLASH), value.to_bytes())

    async def get(self, store: DvidStore, key: str) -> Buffer:
        value = store._view.get(key.replace("/", SLASH))
        assert value is not None
        return self.buffer_cls.from_bytes(value)

    def test_store_repr(self, store: DvidStore) -> None:
        assert str(store) == f"dvid:///{store._version.uuid}/kv"
        assert repr(store) == f"DvidStore('{store}')"

    def test_store_supports_writes(self, store: DvidStore) -> None:
        assert store.supports_writes

    def test_store_supports_listing(self, store: DvidStore) -> None:
        assert store.supports_listing

    async def test_serializable_store(self, store: DvidStore) -> None:
        with pytest.raises(TypeError, match="kernel of this process"):
            pickle.dumps(store)


def test_arrays_are_versioned(repo: Repo) -> None:
    """What is written below a committed version is not seen in it, and a committed version takes nothing."""
    one = np.arange(60, dtype="uint16").reshape(3, 4, 5)
    array = zarr.create_array(DvidStore(repo.root, "kv"), name="a/b", data=one, chunks=(2, 2, 2))
    np.testing.assert_array_equal(array[:], one)
    repo.root.commit()
    child = repo.root.new_version()
    below = zarr.open_array(DvidStore(child, "kv"), path="a/b")
    below[0] = 7
    above = zarr.open_array(DvidStore(repo.root, "kv", read_only=False), path="a/b", mode="r")
    np.testing.assert_array_equal(above[:], one)
    np.testing.assert_array_equal(below[0], np.full((4, 5), 7))
    assert DvidStore(repo.root, "kv").read_only
    assert DvidStore(repo.root, "kv").with_read_only(False).read_only
    with pytest.raises(ValueError, match="read-only"):
        zarr.create_array(DvidStore(repo.root, "kv"), name="c", data=one)


def test_what_is_no_store(repo: Repo) -> None:
    """An unknown instance, one of another datatype, and a key that would be another's."""
    repo.create_instance("roi", "roi")
    with pytest.raises(UnknownInstance):
        DvidStore(repo.root, "nothing")
    with pytest.raises(InvalidInputError):
        DvidStore(repo.root, "roi")
    with pytest.raises(BadKey):
        key_of("a%2Fb")
    assert DvidStore(repo.root, "kv") != DvidStore(repo.root, "kv", read_only=True)


def test_without_an_event_loop(repo: Repo) -> None:
    """Newer releases of zarr read and write so: what is set is got, a part too; what is committed takes nothing."""
    store, buffer = DvidStore(repo.root, "kv"), cpu.Buffer.from_bytes(b"0123")
    assert store.get_sync("a/b") is None
    store.set_sync("a/b", buffer)
    whole, part = store.get_sync("a/b"), store.get_sync("a/b", byte_range=RangeByteRequest(1, 3))
    assert whole is not None
    assert part is not None
    assert (whole.to_bytes(), part.to_bytes()) == (b"0123", b"12")
    assert repo.root["kv"].keys() == [key_of("a/b")]
    with pytest.raises(TypeError, match="Buffer"):
        store.set_sync("c", b"0123")  # type: ignore[arg-type]
    repo.root.commit()
    fixed = DvidStore(repo.root, "kv")
    for change in (lambda: fixed.set_sync("a/b", buffer), lambda: fixed.delete_sync("a/b")):
        with pytest.raises(ValueError, match="read-only"):
            change()
    child = DvidStore(repo.root.new_version(), "kv")
    child.delete_sync("a/b")
    child.delete_sync("never there")
    assert child.get_sync("a/b") is None
    assert fixed.get_sync("a/b") is not None
