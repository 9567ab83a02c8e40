"""Values that are lent instead of copied: right, of one instant, and safe from whatever the store does meanwhile."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import pytest

from dvidkit.engine import Capability
from dvidkit.errors import StoreBusy, StoreClosed

pytestmark = pytest.mark.capability(Capability.LEND)

LARGE = bytes(range(256)) * 2048


def in_thread(function: Any) -> threading.Thread:
    """The function, running."""
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_as_get_many(stores: Any) -> None:
    """In the order asked, repeated where asked twice, ``None`` for absent, empty for empty."""
    store = stores.of([(b"a", LARGE), (b"b", b""), (b"c", b"x")])
    keys = [b"c", b"a", b"nope", b"b", b"a", b"b\x00"]
    with closing(store.snapshot()) as snapshot:
        with snapshot.lend(keys) as lent:
            assert [value if value is None else bytes(value) for value in lent] == store.get_many(keys)
            assert all(memoryview(value).readonly for value in lent if value is not None)
        with snapshot.lend([]) as lent:
            assert list(lent) == []


def test_of_the_snapshots_instant(stores: Any) -> None:
    """What was written since the snapshot is not lent, however often is lent and written."""
    store = stores.of([(b"a", LARGE), (b"b", b"old")])
    before = store.snapshot()
    store.write([(b"a", b"new"), (b"b", None), (b"c", b"new")], durable=False)
    for _ in range(3):
        with before.lend([b"a", b"b", b"c"]) as lent:
            assert [value and bytes(value) for value in lent] == [LARGE, b"old", None]
        store.write([(b"a", LARGE[::-1])], durable=False)
    after = store.snapshot()
    with after.lend([b"a", b"b", b"c"]) as lent:
        assert [value and bytes(value) for value in lent] == [LARGE[::-1], None, b"new"]
    before.close()
    after.close()


def test_views_cannot_be_used_after_the_block(stores: Any) -> None:
    """A view that was lent is released; reading it later is an error, not somebody else's bytes."""
    store = stores.of([(b"a", LARGE)])
    snapshot = store.snapshot()
    with snapshot.lend([b"a"]) as lent:
        view = lent[0]
    if type(view) is memoryview:
        with pytest.raises(ValueError, match="released"):
            bytes(view)
    snapshot.close()


def test_writers_go_on_while_values_are_lent(stores: Any) -> None:
    """Lending keeps no writer waiting, and what is lent stays as it is."""
    store = stores.of([(b"%02d" % n, LARGE) for n in range(20)])
    snapshot = store.snapshot()
    with snapshot.lend([b"%02d" % n for n in range(20)]) as lent:
        for _ in range(10):
            store.write([(b"%02d" % n, bytes(len(LARGE))) for n in range(20)], durable=False)
        assert all(bytes(value) == LARGE for value in lent)
    snapshot.close()


def test_close_waits_for_what_is_lent(stores: Any) -> None:
    """A store is not closed under a reader; afterwards the snapshot raises ``StoreClosed``."""
    store = stores.of([(b"a", LARGE)])
    snapshot = store.snapshot()
    with snapshot.lend([b"a"]) as lent:
        thread = in_thread(store.close)
        thread.join(0.2)
        assert bytes(lent[0]) == LARGE
    thread.join(30)
    assert not thread.is_alive()
    with pytest.raises(StoreClosed), snapshot.lend([b"a"]):
        pass


def test_an_error_in_the_block_leaves_nothing_held(stores: Any) -> None:
    """Whatever is raised inside comes out, and the snapshot can be used and closed."""
    store = stores.of([(b"a", LARGE)])
    snapshot = store.snapshot()
    with pytest.raises(ZeroDivisionError), snapshot.lend([b"a"]):
        raise ZeroDivisionError
    assert snapshot.get(b"a") == LARGE
    snapshot.close()
    store.close()


def test_threads_lend_while_others_write(stores: Any) -> None:
    """Every lent set of values is of one write."""
    keys = [b"%02d" % n for n in range(8)]
    store = stores.of([(key, bytes(4096)) for key in keys])
    stop, bad = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            snapshot = store.snapshot()
            try:
                with snapshot.lend(keys) as lent:
                    if len({bytes(value) for value in lent}) != 1:
                        bad.append(1)
            except StoreBusy:
                pass
            finally:
                snapshot.close()

    threads = [in_thread(read) for _ in range(3)]
    for n in range(150):
        store.write([(key, bytes([n]) * 4096) for key in keys], durable=False)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not bad


def test_growing_waits_for_what_is_lent(stores: Any) -> None:
    """A memory map is not moved under a reader."""
    if stores.engine.name != "lmdb":
        pytest.skip("only LMDB has a map that grows")
    store = stores.open(options={"map_size": 1 << 20})
    store.write([(b"a", LARGE[:65536])], durable=False)
    snapshot = store.snapshot()
    with snapshot.lend([b"a"]) as lent:
        writing = in_thread(lambda: store.write([(b"b", bytes(8 << 20))], durable=False))
        writing.join(0.3)
        assert writing.is_alive()
        assert bytes(lent[0]) == LARGE[:65536]
    writing.join(30)
    assert not writing.is_alive()
    assert store.get(b"b") == bytes(8 << 20)
    with pytest.raises(StoreBusy), snapshot.lend([b"a"]):
        pass
