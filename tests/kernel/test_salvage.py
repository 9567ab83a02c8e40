"""Engines that cannot read on: what can be read is examined, what cannot is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dvidkit.context import DataContext, VersionedContext
from dvidkit.engine import Batch, ByteStore, Capabilities, Engine, Loss, StoreConfig
from dvidkit.errors import CorruptData
from dvidkit.findings import Damage
from dvidkit.keys import data_key
from dvidkit.plugins import Plugins
from dvidkit.store import Store
from dvidkit.verify import verify
from dvidkit.versions import VersionDAG


class _Torn:
    """A store in memory of which some keys cannot be read."""

    def __init__(self, inner: ByteStore) -> None:
        self.inner = inner
        self.report = inner.report
        self.bad: tuple[bytes, bytes] = (b"", b"")

    def get(self, key: bytes) -> bytes | None:
        self._check(key)
        return self.inner.get(key)

    def scan(self, begin: bytes, end: bytes, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        for row in self.inner.scan(begin, end, reverse=reverse):
            self._check(row[0])
            yield row[0] if keys_only else row

    def _check(self, key: bytes) -> None:
        if self.bad[0] <= key < self.bad[1]:
            raise CorruptData("a page is damaged", engine="torn")

    def write(self, batch: Batch, *, durable: bool, expect: Any = None) -> None:
        self.inner.write(batch, durable=durable, expect=expect)

    def snapshot(self) -> Any:
        return self

    def close(self) -> None:
        pass


class _TornEngine(Engine):
    name = "torn"
    capabilities = Capabilities(durable=Loss.NONE, buffered=Loss.NONE)

    def open(self, config: StoreConfig) -> ByteStore:
        self.store = _Torn(Plugins().engine("memory").open(StoreConfig("memory")))
        return self.store  # type: ignore[return-value]


def test_what_cannot_be_read_is_named_and_the_rest_is_checked() -> None:
    """The engine fails inside one instance: its unreadable range is named, its other rows and others' are checked."""
    engine = _TornEngine()
    dag = VersionDAG({1: ()})
    with Store(engine, StoreConfig("torn")) as store:
        for instance in (1, 2, 3):
            store.put_range(VersionedContext(instance, 1, dag), [(b"k%03d" % i, b"%d" % i) for i in range(100)])
        late = data_key(2, b"k099", 1)
        early = data_key(3, b"k000", 1)
        engine.store.inner.write([(late, b"changed"), (early, b"changed")], durable=False)
        engine.store.bad = (data_key(2, b"k040", 1), data_key(2, b"k060", 1))
        report = verify(store)
        found = report.findings
        assert [(each.damage, each.instance) for each in found] == [
            (Damage.UNREADABLE, 2),
            (Damage.CHANGED, 2),
            (Damage.CHANGED, 3),
        ]
        assert found[0].keys[0] <= data_key(2, b"k040", 1) < found[0].keys[1] == data_key(2, b"k060", 1)
        assert "a page is damaged" in found[0].text


def test_nothing_at_all_can_be_read() -> None:
    """Everything fails: a report all the same."""
    engine = _TornEngine()
    with Store(engine, StoreConfig("torn")) as store:
        store.put(DataContext(1), b"k", b"v")
        engine.store.bad = (b"\x00", b"\xff")
        assert {each.damage for each in verify(store).findings} == {Damage.UNREADABLE}
