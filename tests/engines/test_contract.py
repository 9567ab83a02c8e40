"""The five methods of the engine contract, for every installed engine."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import Any, Final

import pytest

from dvidkit.engine import Batch, Capabilities, Engine, Limits
from dvidkit.errors import ConflictError, LimitError, StoreError
from dvidkit.plugins import engine_fault

END: Final = b"\xff" * 8
HOSTILE: Final = sorted(
    {
        *(bytes([a]) for a in range(256)),
        *(bytes([a, b]) for a in (0, 1, 0x7F, 0x80, 0xFF) for b in (0, 1, 0x2F, 0x5C, 0x7F, 0x80, 0xFF)),
        *(b"\x00" * n for n in range(1, 9)),
        *(b"\xff" * n for n in range(1, 7)),
        *(b"k" * n for n in (63, 64, 127, 128, 159, 160, 254, 255, 256, 257, 400)),
        *(b"k" * 300 + bytes([a]) for a in range(0, 256, 15)),
        b"../escape",
        b"/etc/passwd",
        b".",
        b"..",
        b"CON",
        b"a b",
        "é".encode(),
        "e\u0301".encode(),
        b"\xc3\x28",
        b"Case",
        b"case",
    }
)
"""Keys that file names, signed bytes, C strings, text and length-first order would get wrong."""


def rows(store: Any, begin: bytes = b"\x00", end: bytes = END, **how: Any) -> list[Any]:
    """All rows of a range."""
    return list(store.scan(begin, end, **how))


def write(store: Any, *batch: tuple[bytes, bytes | None], expect: Mapping[bytes, bytes | None] | None = None) -> None:
    """Write without waiting for the disk."""
    store.write(list(batch), durable=False, expect=expect)


def numbered(count: int, size: int = 8) -> Batch:
    """Puts of ``count`` keys in order, with values that differ."""
    return [(b"%08d" % n, b"%08d" % n * (size // 8)) for n in range(count)]


class TestDeclaration:
    def test_is_whole(self, engine: Engine) -> None:
        """What an engine says of itself is complete and of the right types."""
        assert engine_fault(engine) is None
        assert engine.summary
        assert isinstance(engine.capabilities, Capabilities)
        assert all(isinstance(line, str) and line for line in engine.options.values())

    def test_limits_leave_room_for_dvids_keys(self, engine: Engine) -> None:
        """Full keys of 255 bytes and values of 1 GiB are the least an engine must take."""
        limits = engine.limits
        assert limits.max_key >= 255
        assert limits.max_value >= 1 << 30
        assert limits.max_batch_ops >= 1_000_000
        assert limits.max_batch_bytes >= limits.max_value
        assert isinstance(limits, Limits)


class TestPoints:
    def test_absent_key_is_none(self, store: Any) -> None:
        """``get`` of a key never written is ``None``, and a later put is seen."""
        assert store.get(b"k") is None
        write(store, (b"k", b"v"))
        assert store.get(b"k") == b"v"

    def test_empty_value_is_a_value(self, store: Any) -> None:
        """An empty value is not absence, in any kind of read."""
        write(store, (b"k", b""))
        assert store.get(b"k") == b""
        assert rows(store) == [(b"k", b"")]
        assert rows(store, keys_only=True) == [b"k"]

    def test_last_put_holds(self, store: Any) -> None:
        """A put replaces what was there, by something shorter or longer."""
        for value in (b"first", b"", b"a longer one" * 1000, b"short"):
            write(store, (b"k", value))
            assert store.get(b"k") == value
        assert rows(store) == [(b"k", b"short")]

    def test_delete_takes_one_key(self, store: Any) -> None:
        """A delete removes exactly its key; its prefix and its extensions stay."""
        write(store, (b"k", b"0"), (b"kk", b"1"), (b"kkk", b"2"))
        write(store, (b"kk", None))
        assert rows(store) == [(b"k", b"0"), (b"kkk", b"2")]
        assert store.get(b"kk") is None

    def test_delete_of_absent_key_is_no_error(self, store: Any) -> None:
        """Deleting what is not there changes nothing."""
        write(store, (b"k", b"v"))
        write(store, (b"j", None), (b"l", None))
        assert rows(store) == [(b"k", b"v")]

    @pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 2047, 2048, 2049, 4095, 4096, 65_535, 65_536, 1 << 20])
    def test_values_are_opaque(self, store: Any, stores: Any, size: int) -> None:
        """Any bytes of any length come back as they were, as ``bytes``."""
        value = random.Random(size).randbytes(size)
        write(store, (b"k", value), (b"zeros", bytes(size)), (b"ones", b"\xff" * size))
        assert store.get(b"k") == value
        assert type(store.get(b"k")) is bytes
        assert rows(store) == [(b"k", value), (b"ones", b"\xff" * size), (b"zeros", bytes(size))]

    def test_large_value(self, store: Any) -> None:
        """64 MiB and a byte in one value."""
        value = random.Random(1).randbytes(1 << 20) * 64 + b"!"
        write(store, (b"k", value), (b"l", b"small"))
        assert store.get(b"k") == value
        assert [len(found) for _, found in store.scan(b"a", b"z")] == [len(value), 5]

    def test_every_key_is_itself(self, store: Any) -> None:
        """No two keys are taken for one another and none is refused: 400 that something or other gets wrong."""
        write(store, *((key, b"=" + key) for key in HOSTILE))
        assert [store.get(key) for key in HOSTILE] == [b"=" + key for key in HOSTILE]
        assert store.get(b"CASE") is None

    def test_longest_key(self, store: Any, engine: Engine) -> None:
        """Keys of exactly the declared length work everywhere, and differ in the last byte."""
        size = engine.limits.max_key
        one, two = b"k" * (size - 1) + b"1", b"k" * (size - 1) + b"2"
        write(store, (one, b"one"), (two, b"two"), expect={one: None})
        assert store.get(one) == b"one"
        assert rows(store, one, two) == [(one, b"one")]
        assert rows(store, b"k", b"l", keys_only=True) == [one, two]
        write(store, (one, None), expect={one: b"one", two: b"two"})
        assert rows(store) == [(two, b"two")]


class TestWrites:
    def test_order_within_a_batch(self, store: Any) -> None:
        """Of several changes to one key the last holds, puts and deletes mixed."""
        write(store, (b"a", b"1"), (b"a", None), (b"b", b"1"), (b"b", b"2"), (b"c", None), (b"c", b"3"), (b"a", b"4"))
        assert rows(store) == [(b"a", b"4"), (b"b", b"2"), (b"c", b"3")]
        write(store, (b"a", b"x"), (b"a", None), (b"d", b"x"), (b"d", None))
        assert rows(store) == [(b"b", b"2"), (b"c", b"3")]

    def test_empty_batch(self, store: Any) -> None:
        """An empty batch changes nothing, and still checks what it expects."""
        write(store, (b"k", b"v"))
        store.write([], durable=True)
        store.write([], durable=False, expect={b"k": b"v", b"l": None})
        with pytest.raises(ConflictError):
            store.write([], durable=False, expect={b"k": None})
        assert rows(store) == [(b"k", b"v")]

    def test_batch_is_any_sequence_and_stays_the_callers(self, store: Any) -> None:
        """A tuple will do; the batch is neither changed nor kept."""
        batch = [(b"a", b"1"), (b"b", None)]
        store.write(tuple(batch), durable=False)
        copy = list(batch)
        store.write(batch, durable=False)
        assert batch == copy
        batch[0] = (b"a", b"changed")
        assert store.get(b"a") == b"1"

    def test_expectations_that_hold(self, store: Any) -> None:
        """``expect`` of a value, of an empty value and of absence."""
        write(store, (b"k", b"v"), (b"e", b""))
        write(store, (b"k", b"w"), (b"n", b"1"), expect={b"k": b"v", b"e": b"", b"n": None})
        assert rows(store) == [(b"e", b""), (b"k", b"w"), (b"n", b"1")]

    @pytest.mark.parametrize(
        ("key", "value"), [(b"k", None), (b"k", b""), (b"k", b"vv"), (b"e", None), (b"n", b""), (b"n", b"v")]
    )
    def test_expectation_that_does_not_hold(self, store: Any, key: bytes, value: bytes | None) -> None:
        """Another value, absence for a value and a value for absence: ``ConflictError`` names the key, no effect."""
        write(store, (b"k", b"v"), (b"e", b""))
        with pytest.raises(ConflictError) as caught:
            write(store, (b"k", b"w"), (b"z", b"new"), (b"e", None), expect={b"zz": None, key: value})
        assert caught.value.key == key
        assert rows(store) == [(b"e", b""), (b"k", b"v")]
        write(store, (b"k", b"after"))
        assert store.get(b"k") == b"after"

    def test_expectation_is_of_the_moment_before(self, store: Any) -> None:
        """What the batch itself changes is expected as it was before the batch."""
        write(store, (b"k", b"0"))
        write(store, (b"k", b"1"), (b"k", b"2"), expect={b"k": b"0"})
        assert store.get(b"k") == b"2"

    @pytest.mark.parametrize("durable", [False, True])
    def test_many_changes(self, stores: Any, durable: bool) -> None:
        """100,000 changes in one batch, applied whole, replaced whole and deleted whole."""
        store = stores.open()
        batch = numbered(100_000)
        random.Random(0).shuffle(shuffled := list(batch))
        store.write(shuffled, durable=durable)
        assert rows(store) == batch
        store.write([(key, None) for key, _ in batch[:-1]], durable=durable)
        assert rows(store) == batch[-1:]

    def test_failed_write_leaves_nothing(self, store: Any, engine: Engine) -> None:
        """What an engine cannot write, at the end of a batch, is refused before the start of it is written.

        The kernel passes no such keys and values; an engine that takes them regardless is none the worse.
        """
        write(store, (b"k", b"v"))
        for bad in ((b"k" * (engine.limits.max_key + 1), b"x"), (b"n", 7), (b"", b"x")):
            try:
                store.write([(b"k", b"changed"), (b"new", b"x"), bad], durable=False)
            except (StoreError, LimitError, TypeError, ValueError):
                assert rows(store) == [(b"k", b"v")]
            else:
                write(store, (b"k", b"v"), (b"new", None), (bad[0], None))
        write(store, (b"k", b"after"))
        assert rows(store) == [(b"k", b"after")]


class TestScans:
    def test_bounds(self, store: Any) -> None:
        """The begin is in, the end is out, whether or not there are such keys; nothing else, nothing twice."""
        keys = [b"b", b"d", b"f", b"h", b"j"]
        write(store, *((key, key) for key in keys))
        points = [b"\x00", b"a", b"b", b"b\x00", b"c", b"d", b"f", b"g", b"h", b"i", b"j", b"j\x00", b"k", END]
        for begin, end in itertools.product(points, points):
            inside = [key for key in keys if begin <= key < end]
            assert rows(store, begin, end) == [(key, key) for key in inside]
            assert rows(store, begin, end, reverse=True) == [(key, key) for key in reversed(inside)]
            assert rows(store, begin, end, keys_only=True) == inside
            assert rows(store, begin, end, keys_only=True, reverse=True) == inside[::-1]

    def test_order_is_unsigned_bytewise(self, store: Any) -> None:
        """Prefixes first, 0x7f before 0x80, no regard to length, case or text."""
        write(store, *((key, key) for key in reversed(HOSTILE)))
        assert rows(store, keys_only=True) == HOSTILE
        assert rows(store, reverse=True) == [(key, key) for key in reversed(HOSTILE)]
        for begin, end in itertools.pairwise(HOSTILE[::17]):
            inside = [key for key in HOSTILE if begin <= key < end]
            assert rows(store, begin, end, keys_only=True) == inside

    def test_bounds_may_be_longer_than_any_key(self, store: Any, engine: Engine) -> None:
        """A bound is a place in the order, not a key: empty, or longer than keys may be."""
        longest = b"k" * engine.limits.max_key
        write(store, (b"j", b"1"), (longest, b"2"), (b"l", b"3"))
        assert rows(store, b"", longest + b"\x00") == [(b"j", b"1"), (longest, b"2")]
        assert rows(store, longest + b"\x00" * 9, b"\xff" * (engine.limits.max_key + 9)) == [(b"l", b"3")]
        assert rows(store, longest + b"\x00", b"z", reverse=True, keys_only=True) == [b"l"]
        assert rows(store, b"", b"") == []

    def test_empty_store(self, store: Any) -> None:
        """No rows, in either direction."""
        assert rows(store) == rows(store, reverse=True) == rows(store, keys_only=True) == []

    @pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 1000, 1023, 1024, 1025, 3000])
    def test_pages_do_not_show(self, stores: Any, count: int) -> None:
        """However many rows: each once, in order, both ways."""
        batch = numbered(count)
        store = stores.of(batch)
        assert rows(store) == batch
        assert rows(store, reverse=True) == batch[::-1]
        assert rows(store, keys_only=True) == [key for key, _ in batch]

    def test_large_and_small_values_mixed(self, store: Any) -> None:
        """Rows of a byte and of a megabyte in turn."""
        batch = [(b"%03d" % n, bytes([n]) * (1 << 20 if n % 7 == 3 else n % 3)) for n in range(60)]
        write(store, *batch)
        assert rows(store) == batch
        assert rows(store, reverse=True) == batch[::-1]

    @pytest.mark.parametrize("reverse", [False, True])
    def test_scan_shows_one_instant(self, store: Any, reverse: bool) -> None:
        """Rows changed, added and deleted after the first step are seen as they were."""
        batch = numbered(5000)
        write(store, *batch)
        scan = store.scan(b"\x00", END, reverse=reverse)
        found = [next(scan)]
        write(store, *((key, None) for key, _ in batch[::2]), *((key, b"changed") for key, _ in batch[1::2]))
        write(store, *((b"%08dx" % n, b"new") for n in range(5000)))
        found += scan
        assert found == (batch[::-1] if reverse else batch)
        assert len(rows(store)) == 7500

    def test_scans_do_not_disturb_one_another(self, store: Any) -> None:
        """Several scans of different instants and directions, stepped in turn."""
        write(store, *numbered(3000))
        first, back = store.scan(b"\x00", END), store.scan(b"\x00", END, reverse=True)
        started = next(first), next(back)
        write(store, *((key, b"2") for key, _ in numbered(3000)))
        second = store.scan(b"\x00", END)
        mixed = list(zip(first, back, second, strict=False))
        assert started == (numbered(3000)[0], numbered(3000)[-1])
        assert [row[0] for row in mixed] == numbered(3000)[1:]
        assert [row[1] for row in mixed] == numbered(3000)[-2::-1]
        assert {row[2][1] for row in mixed} == {b"2"}

    def test_writing_while_scanning(self, store: Any) -> None:
        """A loop over rows may write to the store, even to the rows ahead; it ends."""
        write(store, *numbered(3000))
        for key, value in store.scan(b"\x00", END):
            write(store, (key, None), (b"9" + key, value))
        assert rows(store) == [(b"9" + key, value) for key, value in numbered(3000)]

    def test_abandoned_scans_hold_nothing(self, store: Any) -> None:
        """Thousands of scans begun, or not even begun, and dropped: the store is as before."""
        write(store, *numbered(2000))
        for n in range(3000):
            scan = store.scan(b"\x00", END, reverse=n % 2 == 1)
            if n % 3:
                next(scan)
        write(store, (b"k", b"v"))
        assert len(rows(store)) == 2001


class TestSnapshots:
    def test_one_instant(self, store: Any) -> None:
        """A snapshot shows what was, by key and by range, as often as asked."""
        batch = numbered(3000)
        write(store, *batch)
        before = store.snapshot()
        write(store, *((key, None) for key, _ in batch[:2000]), (batch[2500][0], b"changed"), (b"new", b"1"))
        after = store.snapshot()
        for _ in range(2):
            assert rows(before) == batch
            assert rows(before, reverse=True, keys_only=True) == [key for key, _ in batch[::-1]]
            assert [before.get(key) for key in (batch[0][0], batch[2500][0], b"new")] == [
                batch[0][1],
                batch[2500][1],
                None,
            ]
            assert [after.get(key) for key in (batch[0][0], batch[2500][0], b"new")] == [None, b"changed", b"1"]
        write(store, (b"new", None))
        assert after.get(b"new") == b"1"
        before.close()
        after.close()
        assert store.get(b"new") is None

    def test_many_at_once(self, store: Any) -> None:
        """Two hundred snapshots between writes, read and closed in any order."""
        views = []
        for n in range(200):
            write(store, (b"count", b"%d" % n), (b"only%03d" % n, b""), (b"only%03d" % (n - 5), None))
            views.append((n, store.snapshot()))
        random.Random(2).shuffle(views)
        for n, view in views:
            assert view.get(b"count") == b"%d" % n
            assert rows(view, b"only", b"onlz", keys_only=True) == [
                b"only%03d" % m for m in range(max(0, n - 4), n + 1)
            ]
            view.close()

    def test_dropped_snapshots_hold_nothing(self, store: Any) -> None:
        """Thousands of snapshots that nobody closes."""
        write(store, *numbered(100))
        for n in range(3000):
            assert store.snapshot().get(b"%08d" % (n % 100)) is not None
        write(store, (b"k", b"v"))
        assert store.get(b"k") == b"v"

    def test_scan_outlives_the_name_of_its_snapshot(self, store: Any) -> None:
        """An iterator of a snapshot that is only dropped goes on."""
        write(store, *numbered(3000))
        scan = store.snapshot().scan(b"\x00", END)
        write(store, *((key, None) for key, _ in numbered(3000)))
        assert list(scan) == numbered(3000)


class TestAgainstAMap:
    @pytest.mark.parametrize("seed", range(4))
    def test_random_programs(self, stores: Any, seed: int) -> None:
        """After every step of a random program the store reads like a sorted map, and so does each open snapshot."""
        chance = random.Random(seed)
        keys = [chance.choice(HOSTILE) for _ in range(20)] + [b"%04d" % n for n in range(30)]
        store, model = stores.open(), dict[bytes, bytes]()
        views: list[tuple[Any, dict[bytes, bytes]]] = []
        for step in range(150):
            batch = [
                (chance.choice(keys), chance.choice([None, b"", chance.randbytes(chance.choice([1, 40, 3000, 9000]))]))
                for _ in range(chance.choice([0, 1, 2, 5, 40]))
            ]
            store.write(batch, durable=chance.random() < 0.05)
            for key, value in batch:
                model.pop(key, None)
                if value is not None:
                    model[key] = value
            if chance.random() < 0.2:
                views.append((store.snapshot(), dict(model)))
            if len(views) > 4:
                views.pop(chance.randrange(5))[0].close()
            if chance.random() < 0.05 and stores.engine.capabilities.durable != "none":
                store, views = stores.reopened(store), []
            begin, end = sorted((chance.choice(keys), chance.choice(keys)))
            for reader, content in [(store, model), *views]:
                expected = sorted(item for item in content.items() if begin <= item[0] < end)
                assert rows(reader, begin, end) == expected, f"seed {seed}, step {step}"
                assert rows(reader, begin, end, reverse=True) == expected[::-1], f"seed {seed}, step {step}"
                key = chance.choice(keys)
                assert reader.get(key) == content.get(key), f"seed {seed}, step {step}"
        assert rows(store) == sorted(model.items())
