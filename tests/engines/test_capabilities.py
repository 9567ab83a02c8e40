"""What engines declare beyond the five methods, held to it; and what they do not declare."""

from __future__ import annotations

import itertools
import os
import random
import threading
from pathlib import Path
from typing import Any, Final

import pytest

from dvidkit.engine import Capability, Engine, StoreConfig
from dvidkit.errors import CorruptData, InvalidInputError, ReadOnlyStore, StoreError, StoreLocked, UnsupportedError
from dvidkit.store import Store

END: Final = b"\xff" * 8
METHODS: Final = {
    Capability.GET_MANY: "get_many",
    Capability.SEEK: "seek_last_before",
    Capability.LAST: "scan_last_before",
    Capability.PAGES: "scan_pages",
    Capability.DELETE_RANGE: "delete_range",
    Capability.SIZES: "approximate_sizes",
    Capability.COMPACT: "compact",
    Capability.BACKUP: "backup",
}
ON_SNAPSHOTS: Final = (Capability.GET_MANY, Capability.SEEK, Capability.LAST, Capability.PAGES)
KEYS: Final = [b"a", b"b", b"bb", b"d", b"d\x00", b"d\xff", b"f", b"\x7f", b"\x80", b"\xff"]
POINTS: Final = [b"\x00", b"a", b"aa", b"b", b"c", b"d", b"d\x00\x00", b"e", b"\x7f", b"\x80", b"\xff", END]


def rows(store: Any, begin: bytes = b"\x00", end: bytes = END, **how: Any) -> list[Any]:
    """All rows of a range."""
    return list(store.scan(begin, end, **how))


def contents(path: str) -> dict[str, bytes]:
    """Every file below the path."""
    return {str(file): file.read_bytes() for file in sorted(Path(path).rglob("*")) if file.is_file()}


def versioned_rows(seed: int, groups: int) -> list[tuple[bytes, bytes]]:
    """Rows as the kernel writes them: a group of some bytes, then nine that order its versions."""
    chance = random.Random(seed)
    found = set()
    for number in range(groups):
        for _ in range(chance.choice([1, 1, 1, 2, 5, 40])):
            found.add(
                b"\x01" + number.to_bytes(4, "big") + chance.randrange(50).to_bytes(4, "big") + bytes(4) + b"\x03"
            )
    return [(key, b"v" + key) for key in sorted(found)]


class TestDeclarations:
    def test_declared_methods_are_there(self, engine: Engine, store: Any) -> None:
        """A declared capability has its method on the store and, where it reads, on snapshots."""
        snapshot = store.snapshot()
        for capability, name in METHODS.items():
            if capability in engine.capabilities.features:
                assert callable(getattr(store, name))
                assert capability not in ON_SNAPSHOTS or callable(getattr(snapshot, name))

    def test_undeclared_is_unsupported(self, engine: Engine, tmp_path: Path, stores: Any) -> None:
        """What is not declared is refused by the store above, naming the capability; reads work all the same."""
        stores.open("probe").close()
        features = engine.capabilities.features
        with Store(engine, StoreConfig(engine.name, str(tmp_path / "kernel"))) as store:
            for capability, call in (
                (Capability.SIZES, lambda: store.approximate_sizes([(b"\x00", b"\x01")])),
                (Capability.COMPACT, store.compact),
                (Capability.BACKUP, lambda: store.backup(str(tmp_path / "backup"))),
            ):
                if capability in features:
                    call()
                    continue
                with pytest.raises(UnsupportedError) as caught:
                    call()
                assert caught.value.capability == capability
        if Capability.REPAIR not in features:
            with pytest.raises(UnsupportedError):
                engine.repair(str(tmp_path / "kernel"))

    def test_unknown_option_is_refused(self, stores: Any) -> None:
        """An option the engine does not have is an error that names it, and nothing is made."""
        with pytest.raises(InvalidInputError, match="no_such"):
            stores.open("new", options={"no_such": 1})


@pytest.mark.capability(Capability.GET_MANY)
class TestGetMany:
    def test_in_order_with_gaps(self, stores: Any) -> None:
        """One value per key asked for, in that order, ``None`` for absent, repeated where asked twice."""
        store = stores.of([(key, b"=" + key) for key in KEYS])
        asked = [b"zz", *reversed(KEYS), b"a", b"a", b"nope", b"\x00"]
        assert store.get_many(asked) == [b"=" + key if key in KEYS else None for key in asked]
        assert store.get_many([]) == []
        assert store.snapshot().get_many(tuple(asked)) == store.get_many(asked)

    def test_of_one_instant(self, stores: Any) -> None:
        """All values are of the same write, whatever is written meanwhile."""
        keys = [b"%03d" % n for n in range(50)]
        store = stores.of([(key, b"0") for key in keys])
        stop = threading.Event()

        def writer() -> None:
            for n in itertools.count():
                if stop.is_set():
                    return
                store.write([(key, b"%d" % n) for key in keys], durable=False)

        thread = threading.Thread(target=writer)
        thread.start()
        try:
            for _ in range(200):
                assert len(set(store.get_many(keys))) == 1
        finally:
            stop.set()
            thread.join()

    def test_thousands(self, stores: Any) -> None:
        """As many as one likes, of any size."""
        batch = [(b"%06d" % n, bytes([n % 256]) * (n % 5000)) for n in range(5000)]
        store = stores.of(batch)
        random.Random(1).shuffle(batch)
        assert store.get_many([key for key, _ in batch]) == [value for _, value in batch]


@pytest.mark.capability(Capability.SEEK)
class TestSeek:
    def test_both_ways(self, stores: Any) -> None:
        """The last entry before, the first from: bounded on both sides, or ``None``."""
        store = stores.of([(key, b"=" + key) for key in KEYS])
        for reader in (store, store.snapshot()):
            for low, high in itertools.product(POINTS, POINTS):
                inside = [key for key in KEYS if low <= key < high]
                last, first = (inside[-1], inside[0]) if inside else (None, None)
                assert reader.seek_last_before(high, low, keys_only=True) == last
                assert reader.seek_first_from(low, high, keys_only=True) == first
                assert reader.seek_last_before(high, low) == (last and (last, b"=" + last))
                assert reader.seek_first_from(low, high) == (first and (first, b"=" + first))

    def test_passes_deleted_rows(self, stores: Any) -> None:
        """Thousands of deleted rows between the bound and the entry are passed; a snapshot still has them."""
        store = stores.of([(b"%05d" % n, b"") for n in range(5000)])
        view = store.snapshot()
        store.write([(b"%05d" % n, None) for n in range(1, 4999)], durable=False)
        assert store.seek_last_before(b"04999", b"\x00", keys_only=True) == b"00000"
        assert store.seek_first_from(b"00001", END, keys_only=True) == b"04999"
        assert view.seek_last_before(b"04999", b"\x00", keys_only=True) == b"04998"
        assert view.seek_first_from(b"00001", END, keys_only=True) == b"00001"

    def test_empty_store(self, store: Any) -> None:
        """Nothing to find."""
        assert store.seek_last_before(END, b"\x00") is None
        assert store.seek_first_from(b"\x00", END) is None


@pytest.mark.capability(Capability.LAST)
class TestLast:
    @pytest.mark.parametrize("seed", range(6))
    def test_last_of_each_group(self, stores: Any, seed: int) -> None:
        """Of each group the last row before the ceiling; groups with none are left out; every row in order."""
        batch = versioned_rows(seed, 300)
        store = stores.of(batch)
        everything = b"\x01", b"\x02"
        ranges = [everything, (batch[len(batch) // 3][0], batch[2 * len(batch) // 3][0]), (b"\x02", b"\x01")]
        for (begin, end), version in itertools.product(ranges, (0, 1, 7, 25, 49, 50, 2**32 - 1)):
            ceiling = version.to_bytes(4, "big") + b"\xff" * 5
            last = {key[:-9]: (key, value) for key, value in batch if begin <= key < end and key[-9:] < ceiling}
            expected = sorted(last.values())
            for reader in (store, store.snapshot()):
                pages = list(reader.scan_last_before(begin, end, ceiling))
                assert all(pages)
                assert list(itertools.chain.from_iterable(pages)) == expected
                keys = itertools.chain.from_iterable(reader.scan_last_before(begin, end, ceiling, keys_only=True))
                assert list(keys) == [key for key, _ in expected]

    def test_one_instant(self, stores: Any) -> None:
        """What is written after the first page is not seen."""
        batch = versioned_rows(9, 2000)
        store = stores.of(batch)
        ceiling = b"\xff" * 9
        last = sorted({key[:-9]: (key, value) for key, value in batch}.values())
        pages = store.scan_last_before(b"\x01", b"\x02", ceiling)
        found = next(pages)
        store.write([(key, None) for key, _ in batch], durable=False)
        assert found + list(itertools.chain.from_iterable(pages)) == last
        assert list(store.scan_last_before(b"\x01", b"\x02", ceiling)) == []


@pytest.mark.capability(Capability.PAGES)
class TestPages:
    def test_pages_make_the_scan(self, stores: Any) -> None:
        """Together the pages are the scan; none is empty, none is much over some megabytes, each is the caller's."""
        batch = [(b"%05d" % n, bytes([n % 256]) * (60_000 if n % 50 == 0 else 20)) for n in range(6000)]
        store = stores.of(batch)
        for reader, reverse in itertools.product((store, store.snapshot()), (False, True)):
            pages = list(reader.scan_pages(b"\x00", END, reverse=reverse))
            assert all(pages)
            assert max(sum(len(value) for _, value in page) for page in pages) < 8 << 20
            assert list(itertools.chain.from_iterable(pages)) == (batch[::-1] if reverse else batch)
            for page in reader.scan_pages(b"00100", b"00300", reverse=reverse, keys_only=True):
                page.clear()
        assert list(store.scan_pages(b"b", b"a")) == []


@pytest.mark.capability(Capability.DELETE_RANGE)
class TestDeleteRange:
    def test_bounds(self, stores: Any) -> None:
        """The begin goes, the end stays; an inverted or empty range deletes nothing."""
        store = stores.open()
        for low, high in itertools.product(POINTS, POINTS):
            store.write([(key, b"v") for key in KEYS], durable=False)
            store.delete_range(low, high, durable=False)
            assert rows(store, keys_only=True) == [key for key in KEYS if not low <= key < high]
        store.write([(b"after", b"v")], durable=True)
        assert store.get(b"after") == b"v"

    def test_many_with_a_snapshot_open(self, stores: Any) -> None:
        """100,000 rows; a snapshot keeps them."""
        store = stores.of([(b"%06d" % n, b"v") for n in range(100_000)])
        view = store.snapshot()
        store.delete_range(b"000001", b"099999", durable=True)
        assert rows(store, keys_only=True) == [b"000000", b"099999"]
        assert sum(1 for _ in view.scan(b"\x00", END, keys_only=True)) == 100_000

    @pytest.mark.persistent
    def test_stays_deleted(self, stores: Any) -> None:
        """After reopening too, and what was written afterwards is there."""
        store = stores.of([(b"%06d" % n, b"v") for n in range(5000)])
        store.delete_range(b"001000", b"004000", durable=True)
        store.write([(b"002000", b"again")], durable=True)
        store = stores.reopened(store)
        assert len(rows(store)) == 2001
        assert store.get(b"002000") == b"again"


@pytest.mark.capability(Capability.SIZES)
class TestSizes:
    def test_one_figure_for_each_range(self, stores: Any) -> None:
        """In order; nothing for an empty or inverted range; the parts are no more than the whole, by and large."""
        store = stores.of([(b"%06d" % n, random.Random(n).randbytes(1000)) for n in range(5000)])
        if Capability.COMPACT in stores.engine.capabilities.features:
            store.compact(b"\x00", END)
        whole, half, none, inverted, empty = store.approximate_sizes(
            [(b"\x00", END), (b"\x00", b"002500"), (b"7", b"8"), (b"8", b"7"), (b"001", b"001")]
        )
        assert 4_000_000 < whole < 12_000_000
        assert 0.3 * whole < half < 0.7 * whole
        assert [none, inverted, empty] == [0, 0, 0]
        assert store.approximate_sizes([]) == []


@pytest.mark.capability(Capability.COMPACT)
class TestCompact:
    def test_readers_see_no_difference(self, stores: Any) -> None:
        """Rows, an open snapshot and a scan under way read on; the store is there after reopening."""
        store = stores.of([(b"%05d" % n, b"%d" % n * 50) for n in range(5000)])
        view = store.snapshot()
        store.write([(b"%05d" % n, None if n % 2 else b"new") for n in range(5000)], durable=False)
        scan = store.scan(b"\x00", END)
        first = next(scan)
        store.compact(b"\x00", END)
        store.compact(b"z", b"a")
        expected = [(b"%05d" % n, b"new") for n in range(0, 5000, 2)]
        assert [first, *scan] == rows(store) == expected
        assert rows(view) == [(b"%05d" % n, b"%d" % n * 50) for n in range(5000)]
        store.write([(b"x", b"y")], durable=False)
        assert store.get(b"x") == b"y"

    @pytest.mark.persistent
    def test_gives_room_back(self, stores: Any) -> None:
        """What was overwritten and deleted takes no room on disk afterwards."""
        store = stores.open()
        for round_ in range(5):
            chance = random.Random(round_)
            store.write([(b"%05d" % n, chance.randbytes(4000)) for n in range(2000)], durable=False)
        store.write([(b"%05d" % n, None) for n in range(1000, 2000)], durable=True)
        store.compact(b"\x00", END)
        store = stores.reopened(store)
        assert len(rows(store)) == 1000
        assert sum(map(len, contents(stores.path).values())) < 3 * 4_000_000


@pytest.mark.capability(Capability.BACKUP)
class TestBackup:
    def test_is_a_store_of_its_own(self, stores: Any, tmp_path: Path) -> None:
        """A backup opens as a store with the same rows, and takes writes without the first one noticing."""
        batch = [(b"%05d" % n, random.Random(n).randbytes(n % 7000)) for n in range(3000)]
        store = stores.of(batch)
        store.backup(str(tmp_path / "copy"))
        copy = stores.open("copy", create=False)
        assert rows(copy) == batch
        copy.write([(b"x", b"y"), (b"00000", None)], durable=True)
        assert rows(store) == batch

    def test_of_one_instant_while_writing(self, stores: Any, tmp_path: Path) -> None:
        """Four backups beside a writer: in each, every row is of the same write."""
        keys = [b"%05d" % n for n in range(3000)]
        store = stores.of([(key, b"0") for key in keys])
        stop = threading.Event()

        def writer() -> None:
            for n in itertools.count(1):
                if stop.is_set():
                    return
                store.write([(key, b"%d" % n) for key in keys], durable=False)

        thread = threading.Thread(target=writer)
        thread.start()
        try:
            for n in range(4):
                store.backup(str(tmp_path / f"copy{n}"))
        finally:
            stop.set()
            thread.join()
        for n in range(4):
            found = rows(stores.open(f"copy{n}", create=False))
            assert [key for key, _ in found] == keys
            assert len({value for _, value in found}) == 1

    def test_never_over_anything(self, stores: Any, tmp_path: Path) -> None:
        """What is at the path already, a store or a file or an empty directory, is refused and left as it was."""
        store = stores.of([(b"k", b"v")])
        stores.of([(b"other", b"1")], "other").close()
        (tmp_path / "file").write_bytes(b"precious")
        (tmp_path / "empty").mkdir()
        before = contents(str(tmp_path / "other"))
        for name in ("other", "file", "empty", "store", "missing/parent"):
            with pytest.raises(StoreError):
                store.backup(str(tmp_path / name))
        assert contents(str(tmp_path / "other")) == before
        assert (tmp_path / "file").read_bytes() == b"precious"
        assert not (tmp_path / "missing").exists()
        assert store.get(b"k") == b"v"


@pytest.mark.capability(Capability.READ_ONLY)
class TestReadOnly:
    def test_leaves_every_file_as_it_is(self, stores: Any) -> None:
        """All reads work, writes are refused, writers are kept out, and not a byte is changed."""
        batch = [(b"%05d" % n, b"v" * (n % 3000)) for n in range(3000)]
        stores.of(batch).close()
        before = contents(stores.path)
        reader = stores.open(read_only=True, create=False)
        with pytest.raises(StoreLocked):
            stores.open(create=False)
        assert rows(reader) == batch
        assert reader.get(b"00007") == b"v" * 7
        assert reader.snapshot().get(b"00007") == b"v" * 7
        for change in ([(b"k", b"v")], [(b"00007", None)]):
            with pytest.raises(ReadOnlyStore):
                reader.write(change, durable=True)
        reader.close()
        assert contents(stores.path) == before

    def test_missing_store_is_not_made(self, stores: Any, tmp_path: Path) -> None:
        """There is nothing to read, and nothing is left behind."""
        with pytest.raises(StoreError):
            stores.open("nothing", read_only=True)
        assert not (tmp_path / "nothing").exists()


@pytest.mark.capability(Capability.REPAIR)
class TestRepair:
    def test_whole_store_stays_as_it_is(self, stores: Any) -> None:
        """Repair of a store that has nothing wrong is no change."""
        batch = [(b"%05d" % n, b"v" * (n % 5000)) for n in range(500)]
        stores.of(batch).close()
        stores.engine.repair(stores.path)
        assert rows(stores.open(create=False)) == batch

    @pytest.mark.parametrize("seed", range(12))
    def test_keeps_only_what_was_written(self, stores: Any, seed: int) -> None:
        """After a file was damaged at random, repair leaves true rows only, or says that it cannot."""
        chance = random.Random(seed)
        store = stores.open()
        history: dict[bytes, set[bytes]] = {}
        for _ in range(30):
            batch = [
                (b"%02d" % chance.randrange(40), chance.randbytes(chance.choice([5, 300, 5000]))) for _ in range(9)
            ]
            store.write(batch, durable=False)
            for key, value in batch:
                history.setdefault(key, set()).add(value)
        store.close()
        damage(stores.path, chance)
        try:
            stores.engine.repair(stores.path)
            found = rows(stores.open(create=False))
        except StoreError:
            return
        assert all(value in history.get(key, ()) for key, value in found)


@pytest.mark.capability(Capability.CHECKSUMS)
class TestChecksums:
    @pytest.mark.parametrize("seed", range(40))
    def test_changed_bytes_are_found(self, stores: Any, seed: int) -> None:
        """One flipped byte, one zeroed piece or one cut file: never a wrong value, never a row more, no crash."""
        chance = random.Random(seed)
        batch = [(b"%05d" % n, chance.randbytes(n % 4000)) for n in range(200)]
        stores.of(batch).close()
        damage(stores.path, chance)
        try:
            store = stores.open(create=False)
            found = rows(store)
        except StoreError:
            return
        assert set(found) <= set(batch)
        for key, value in batch:
            try:
                assert store.get(key) in (value, None)
            except CorruptData:
                continue


def damage(path: str, chance: random.Random) -> None:
    """Change one of the engine's files: flip a byte, zero a piece, or cut the end off."""
    files = [file for file in sorted(Path(path, "data").rglob("*")) if file.is_file() and file.stat().st_size]
    file = chance.choices(files, [file.stat().st_size for file in files])[0]
    size = file.stat().st_size
    place = chance.randrange(size)
    kind = chance.choice(["flip", "zero", "cut"])
    if kind == "cut":
        os.truncate(file, place)
        return
    with open(file, "r+b") as opened:
        opened.seek(place)
        old = opened.read(1 if kind == "flip" else 512)
        opened.seek(place)
        opened.write(bytes([old[0] ^ chance.randrange(1, 256)]) if kind == "flip" else bytes(len(old)))
