"""Engines whose n-th call fails, and what datatypes make of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.failing import ERRORS, Faults, failing
from dvidkit_conformance.kit import check
from dvidkit_conformance.lanes.faulty import OPERATIONS
from dvidkit_keyvalue.endpoints import KeyValue
from dvidkit_memory.engine import MemoryEngine

from dvidkit.engine import StoreConfig
from dvidkit.errors import StoreError, StoreFull
from dvidkit.store import Store


def _opened(faults: Faults) -> Any:
    return failing(MemoryEngine(), faults).open(StoreConfig("memory"))


def _keep(found: list[bytes], keys: Iterator[bytes]) -> None:
    """All that came before an error."""
    for key in keys:
        found.append(key)  # noqa: PERF402 - a comprehension would keep nothing


class TestFailing:
    def test_the_call_that_was_asked_for(self) -> None:
        """The n-th call from arming on fails, those before and behind do not."""
        faults = Faults()
        store = _opened(faults)
        faults.arm(2)
        store.write([(b"a", b"1")], durable=True)
        with pytest.raises(StoreError, match="planted"):
            store.get(b"a")
        assert store.get(b"a") == b"1"
        assert (faults.calls, faults.fired) == (["write", "get", "get"], ["get"])
        faults.disarm()
        assert store.get(b"a") == b"1"
        assert len(faults.calls) == 3

    @pytest.mark.parametrize("after", [False, True])
    def test_before_or_after_its_effect(self, after: bool) -> None:
        """A write that fails has been made, or has not."""
        faults = Faults()
        store = _opened(faults)
        faults.arm(1, after=after)
        with pytest.raises(StoreError):
            store.write([(b"a", b"1")], durable=True)
        assert store.get(b"a") == (b"1" if after else None)

    def test_steps_of_iterators_are_calls(self) -> None:
        """A scan fails at any of its rows, and at its end."""
        faults = Faults()
        store = _opened(faults)
        store.write([(b"%d" % n, b"") for n in range(3)], durable=True)
        for n, rows in enumerate([[], [], [b"0"], [b"0", b"1"], [b"0", b"1", b"2"]], start=1):
            found: list[bytes] = []
            faults.arm(n)
            with pytest.raises(StoreError):
                _keep(found, store.scan(b"0", b"9", keys_only=True))
            assert found == rows

    def test_until_disarmed(self) -> None:
        """A lasting fault fails everything, opening too."""
        faults = Faults()
        engine = failing(MemoryEngine(), faults)
        store = engine.open(StoreConfig("memory"))
        faults.arm(1, "full", lasting=True)
        for _ in range(3):
            with pytest.raises(StoreFull):
                store.write([(b"a", b"1")], durable=True)
        with pytest.raises(StoreFull):
            engine.open(StoreConfig("memory"))
        faults.disarm()
        store.write([(b"a", b"1")], durable=True)

    def test_errors_are_new_each_time(self) -> None:
        """No exception is raised twice."""
        for make in ERRORS.values():
            assert make() is not make()


def test_every_writing_method_of_the_store_is_among_the_operations() -> None:
    """What the lane does is what a store can do."""
    done = {op["op"] for op in OPERATIONS}
    named = {"put_range": "put_range", "delete_all": "delete_all", "raw_put": "raw_put", "raw_delete": "raw_delete"}
    assert {"put", "delete", "batch", "delete_range", "compact", *named} <= done
    assert all(hasattr(Store, name) for name in named)


class _OneByOne(KeyValue):
    """Several values are put one after the other."""

    def put_many(self, values: Any, *, user: str = "", app: str = "") -> None:
        for key, value in values.items() if hasattr(values, "items") else values:
            self.put(key, value, user=user, app=app)


class _Missing(KeyValue):
    """A value that cannot be read is not there."""

    def get(self, key: str) -> bytes | None:
        try:
            return super().get(key)
        except StoreError:
            return None


@pytest.mark.parametrize("broken", [_OneByOne, _Missing])
def test_broken_datatypes_are_caught(broken: type[KeyValue], tmp_path: Path) -> None:
    """A datatype that is only right while nothing fails breaks DT-15."""
    report = check(
        MemoryEngine(), datatypes=[broken], profile="nightly", clauses=["DT-15"], isolate=False, workdir=tmp_path
    )
    assert report.failing == ["DT-15"]
