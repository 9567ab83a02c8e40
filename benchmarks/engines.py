"""Engines: what versions, tombstones, checks and the storage interface cost over the raw driver. CPU time."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from benchmarks.measuring import Figure, bar_for, best, by_time
from benchmarks.rawdrivers import RAW, Raw, RawLmdb
from dvidkit.context import VersionedContext
from dvidkit.engine import Capability, StoreConfig
from dvidkit.keys import InstanceID, TKeyClass, VersionID
from dvidkit.plugins import Plugins
from dvidkit.store import Store
from dvidkit.versions import VersionDAG

PART: Final = "engines"
NO_DRIVER: Final = ("memory", "filesystem")
VERSIONS: Final = (1, 10, 100)
SCAN_BARS: Final = {1: 0.50, 10: 0.65, 100: 0.70}
KEYS_BARS: Final = {1: 0.30, 10: 0.35, 100: 0.45}
GET_BAR: Final = 0.65
EXISTS_BAR: Final = 0.70
RANGE_BAR: Final = 3.0
BLOCK_BAR: Final = 0.5
PUT_BAR: Final = 0.45
PUT_BAR_ROCKSDB: Final = 0.35

_INSTANCE: Final = InstanceID(5)
_CLASS: Final = TKeyClass(177, "key", terminator=0)
_VALUE_BYTES: Final = 100
_BLOCK_BYTES: Final = 60_000
_BLOCK_VERSIONS: Final = 10
_SHORT: Final = 8


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Attributes:
        rows: stored rows of a scan.
        gets: single reads of a round; they are cut into ``_SHORT`` shorter ones, of which some are left in peace by
            whatever else the machine does.
        batch: pairs in a batch.
        blocks: large values.
        rounds: of which the best counts.
    """

    rows: int = 100_000
    gets: int = 20_000
    batch: int = 10_000
    blocks: int = 40
    rounds: int = 7


TINY: Final = Size(rows=400, gets=50, batch=50, blocks=3, rounds=1)


@dataclass(frozen=True, slots=True)
class Subject:
    """A store that holds an instance, and a raw database that holds the same rows.

    Attributes:
        ctx: the instance at the youngest version that wrote every key.
        below: the instance at its child, which wrote nothing and inherits all.
        past: the instance at a version below another that wrote one key which is not read: it inherits all past that.
        tkeys: its keys, in order.
        per_key: rows of each.
    """

    store: Store
    raw: Raw
    ctx: VersionedContext
    below: VersionedContext
    past: VersionedContext
    tkeys: list[bytes]
    per_key: int

    @property
    def engine(self) -> str:
        """Name of the engine."""
        return self.store.engine.name

    @property
    def checks(self) -> bool:
        """Whether integrity checks are on."""
        return self.store.record.integrity

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.per_key * len(self.tkeys)

    def full_key(self, tkey: bytes) -> bytes:
        """The key of the row that the youngest version wrote."""
        return self.ctx.prefix + tkey + self.ctx.suffix

    def bar(self, bar: float) -> float | None:
        """The bar as it holds for this engine, with its checks on or off."""
        return None if self.engine in NO_DRIVER else bar_for(bar, checks=self.checks)

    def figure(self, name: str, ours: float, base: float, bar: float | None, unit: str = "ns") -> Figure:
        """A row of the result."""
        bar = None if bar is None else self.bar(bar)
        return by_time(PART, name, ours, base, engine=self.engine, checks=self.checks, bar=bar, unit=unit)


def figures(engine: str, folder: str, size: Size, checks: Sequence[bool] = (False, True)) -> Iterator[Figure]:
    """All figures of one engine."""
    for on in checks:
        for versions in VERSIONS:
            keys = max(1, size.rows // versions)
            with subject(engine, folder, keys, versions, _VALUE_BYTES, checks=on) as made:
                yield from _scans(made, size)
                yield from _points(made, size)
        with subject(engine, folder, size.blocks, _BLOCK_VERSIONS, _BLOCK_BYTES, checks=on) as made:
            yield _block(made, size)
        with subject(engine, folder, 1, 1, _VALUE_BYTES, checks=on) as made:
            yield _batch(made, size)


@contextmanager
def subject(engine: str, folder: str, keys: int, versions: int, value_bytes: int, *, checks: bool) -> Iterator[Subject]:
    """A store with so many keys, each written in each of so many versions; and the raw driver with the same rows.

    The kernel's own rows are among them: they come after all others, so that a batch is not appended at the end.
    """
    path = os.path.join(folder, f"{engine}-{keys}-{versions}-{value_bytes}-{checks}")
    dag = VersionDAG({VersionID(1): ()})
    for version in range(2, versions + 4):
        dag.add(VersionID(version), (VersionID(version - 1),))
    config = StoreConfig(engine, path, durability="buffered", integrity=checks)
    raw = RAW[engine](path + "-raw")
    with Store(Plugins().engine(engine), config) as store:
        tkeys = [_CLASS.key(b"key%07d" % number) for number in range(keys)]
        ctx = VersionedContext(_INSTANCE, VersionID(1), dag, (_CLASS,))
        value = random.Random(keys).randbytes(value_bytes)
        for version in range(1, versions + 1):
            ctx = VersionedContext(_INSTANCE, VersionID(version), dag, (_CLASS,))
            store.put_range(ctx, [(tkey, value) for tkey in tkeys])
            raw.write(_stored(ctx, tkeys, value + b"1234" if checks else value))
        between = VersionedContext(_INSTANCE, VersionID(versions + 2), dag, (_CLASS,))
        store.put(between, _CLASS.key(b"other"), value)
        with store.instant() as access:
            raw.write([(b"\x03", b""), *access.scan(b"\x03", b"\x04")])
        if Capability.COMPACT in store.engine.capabilities.features:
            store.compact()
        raw.settle()
        below = VersionedContext(_INSTANCE, VersionID(versions + 1), dag, (_CLASS,))
        past = VersionedContext(_INSTANCE, VersionID(versions + 3), dag, (_CLASS,))
        yield Subject(store, raw, ctx, below, past, tkeys, versions)
    raw.close()


def _stored(ctx: VersionedContext, tkeys: Sequence[bytes], value: bytes) -> list[tuple[bytes, bytes]]:
    return [(ctx.prefix + tkey + ctx.suffix, value) for tkey in tkeys]


# --- ranges ----------------------------------------------------------------------------------------------------------


def _scans(made: Subject, size: Size) -> Iterator[Figure]:
    store, ctx, raw, versions = made.store, made.ctx, made.raw, made.per_key
    first, last = _CLASS.min(), _CLASS.max()
    spent = best(
        {
            "raw items": raw.items,
            "ours items": lambda: store.get_range(ctx, first, last),
            "raw keys": raw.keys,
            "ours keys": lambda: store.keys_in_range(ctx, first, last),
        },
        size.rounds,
    )
    per_row = {name: seconds / made.rows for name, seconds in spent.items()}
    of = f"{versions} version{'s' if versions > 1 else ''} a key"
    yield made.figure(f"scan with values, {of}", per_row["ours items"], per_row["raw items"], SCAN_BARS[versions])
    yield made.figure(f"scan of keys, {of}", per_row["ours keys"], per_row["raw keys"], KEYS_BARS[versions])
    if versions == VERSIONS[-1]:
        yield made.figure(f"key range, {of}", per_row["ours keys"], per_row["raw keys"], RANGE_BAR)


# --- single keys -----------------------------------------------------------------------------------------------------


def _points(made: Subject, size: Size) -> Iterator[Figure]:
    """Both are given keys that were made in the order in which they are read, so that neither waits for memory."""
    store, ctx = made.store, made.ctx
    gets = max(1, size.gets // _SHORT)
    chosen = [bytes(bytearray(tkey)) for tkey in random.Random(1).choices(made.tkeys, k=gets)]
    full = [made.full_key(tkey) for tkey in chosen]
    contenders: dict[str, Callable[[], object]] = {
        "raw": lambda: _each(made.raw.get, full),
        "get": lambda: _each_of(store.get, ctx, chosen),
        "exists": lambda: _each_of(store.exists, ctx, chosen),
        "inherited get": lambda: _each_of(store.get, made.below, chosen),
        "inherited exists": lambda: _each_of(store.exists, made.below, chosen),
        "sought get": lambda: _each_of(store.get, made.past, chosen),
        "sought exists": lambda: _each_of(store.exists, made.past, chosen),
    }
    if isinstance(made.raw, RawLmdb):
        held = made.raw.held()
        contenders["held"] = lambda: _each(held, full)
    spent = {name: seconds / gets for name, seconds in best(contenders, _SHORT * size.rounds).items()}
    of = f"{made.per_key} version{'s' if made.per_key > 1 else ''} a key"
    yield made.figure(f"get, {of}", spent["get"], spent["raw"], GET_BAR)
    yield made.figure(f"exists, {of}", spent["exists"], spent["raw"], EXISTS_BAR)
    yield made.figure(f"get from an ancestor, {of}", spent["inherited get"], spent["raw"], GET_BAR)
    yield made.figure(f"exists in an ancestor, {of}", spent["inherited exists"], spent["raw"], EXISTS_BAR)
    yield made.figure(f"get past a writer of other keys, {of}", spent["sought get"], spent["raw"], GET_BAR)
    yield made.figure(f"exists past a writer of other keys, {of}", spent["sought exists"], spent["raw"], EXISTS_BAR)
    if "held" in spent:
        yield made.figure(f"get, {of}, against one held transaction", spent["get"], spent["held"], None)


def _each(get: Callable[[bytes], object], keys: Sequence[bytes]) -> None:
    for key in keys:
        get(key)


def _each_of(get: Callable[..., object], ctx: VersionedContext, tkeys: Sequence[bytes]) -> None:
    for tkey in tkeys:
        get(ctx, tkey)


def _block(made: Subject, size: Size) -> Figure:
    full = [made.full_key(tkey) for tkey in made.tkeys]
    times = 1 + size.gets // (20 * _SHORT * len(full))
    spent = best(
        {
            "raw": lambda: _each(made.raw.get, full * times),
            "ours": lambda: _each_of(made.store.get, made.ctx, made.tkeys * times),
        },
        _SHORT * size.rounds,
    )
    reads = times * len(full)
    return made.figure(
        f"get of a 60 KB block with {_BLOCK_VERSIONS} versions",
        spent["ours"] / reads,
        spent["raw"] / reads,
        BLOCK_BAR,
    )


def _batch(made: Subject, size: Size) -> Figure:
    """Each round puts the same keys under an instance that is new to both."""
    value = random.Random(2).randbytes(_VALUE_BYTES)
    tkeys = [_CLASS.key(b"key%07d" % number) for number in range(size.batch)]
    numbers = iter(range(100, 100 + 4 * size.rounds))
    pairs = [(tkey, value) for tkey in tkeys]
    dag = VersionDAG({VersionID(1): ()})
    state: dict[str, Any] = {}

    def prepare() -> None:
        state["ctx"] = VersionedContext(InstanceID(next(numbers)), VersionID(1), dag, (_CLASS,))
        state["rows"] = _stored(state["ctx"], tkeys, value)

    spent = {"raw": float("inf"), "ours": float("inf")}
    for _ in range(size.rounds):
        prepare()
        found = best(
            {
                "raw": lambda: made.raw.write(cast("list[tuple[bytes, bytes]]", state["rows"])),
                "ours": lambda: made.store.put_range(state["ctx"], pairs),
            },
            1,
        )
        spent = {name: min(spent[name], found[name] / size.batch) for name in spent}
    bar = PUT_BAR_ROCKSDB if made.engine == "rocksdb" else PUT_BAR
    return made.figure(f"put of a batch of {size.batch}", spent["ours"], spent["raw"], bar)
