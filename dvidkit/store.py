"""DVID's storage interface, written once over any engine.

Ranges over TKeys are closed at both ends. Every call answers from one instant. A write is one atomic batch, durable
unless the store was opened otherwise or the call says so. What cannot be, by type, key or size, is refused before
anything is touched.

Source: DVID ``storage/keyvalue.go``; the methods have its names in snake case.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Final, cast, get_args

from dvidkit.access import Access
from dvidkit.batch import Batch
from dvidkit.checksum import seal, unseal
from dvidkit.commit import Committer, Write
from dvidkit.context import Context, DataContext, VersionedContext
from dvidkit.deferred import deferred
from dvidkit.engine import Backer, Capability, Compactor, Durability, Engine, OpenReport, Sizer, StoreConfig
from dvidkit.errors import BadConfig, BadKey, BadType, StoreClosed, StoreMismatch, UnsupportedError, shown
from dvidkit.holders import Holders
from dvidkit.keys import as_bytes, blob_key, checked_key, instance_range
from dvidkit.ledger import records_for
from dvidkit.lifecycle import Lifecycle
from dvidkit.monitor import Monitor
from dvidkit.points import KeyValue
from dvidkit.reading import Reader
from dvidkit.segment import Changes, Pairs, Segment, Sizes, puts, segment
from dvidkit.snapshot import Instant, StoreSnapshot
from dvidkit.storerecord import StoreRecord, read_or_make

if TYPE_CHECKING:
    import hashlib
else:
    hashlib = deferred("hashlib")

_CHUNK: Final = 10_000
"""Rows deleted in one batch where a deletion may be larger than a batch (DVID: the same)."""

_RECORD: Final = 64
"""More than a completeness record has beside its key."""

_key_of: Final = itemgetter(0)
_value_of: Final = itemgetter(1)


class Store(Reader):
    """An open store. Thread-safe. Use as a context manager or call ``close``.

    Attributes:
        engine, config: what was opened.
        record: the store's identity and whether it keeps checksums.
        monitor: counters of reads and writes.
        log_listeners: called, in the writing thread, after each write that added to the mutation log.
    """

    def __init__(self, engine: Engine, config: StoreConfig) -> None:
        """Open, or create, the store that ``config`` describes.

        Raises:
            StoreMissing, StoreLocked, StoreMismatch, CorruptData, BadConfig: see ``Engine.open``.
            UnsupportedError: read-only, which the engine does not declare.
        """
        if config.durability not in get_args(Durability):
            raise BadConfig(
                f"durability must be one of {', '.join(get_args(Durability))}, not {shown(config.durability)}",
                setting="durability",
            )
        if config.read_only and Capability.READ_ONLY not in engine.capabilities.features:
            raise UnsupportedError(
                f"engine {engine.name!r} cannot open a store read-only", capability=Capability.READ_ONLY
            )
        self.engine = engine
        self.config = config
        self.log_listeners: list[Callable[[], object]] = []
        self.monitor = Monitor(lambda: self._gets)
        self._total = self.monitor.counters
        self._capabilities = engine.capabilities
        self._limits = engine.limits
        self._life = Lifecycle(engine, config)
        self._life.changed = self._use
        self._use(self._life.access)
        try:
            self.record: StoreRecord = read_or_make(self._life, config)
        except BaseException:
            self._life.close()
            raise
        self._sealed = self.record.integrity
        known = self.record.tells_holders and Capability.MULTI_PROCESS not in engine.capabilities.features
        holders = Holders(lambda: self._access, sealed=self._sealed, known=known)
        self._look_first(holders.first, holders.first_of)
        records = records_for(self._get_raw_many, self.record)
        self._committer = Committer(self._life, records, holders, sealed=self._sealed)
        self._durable = config.durability == "durable"

    def _get_raw_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return self._access.get_many(keys)

    def __repr__(self) -> str:
        return f"<Store {self.engine.name} {self.config.path!r}{' closed' if self._life.closed else ''}>"

    @property
    def report(self) -> OpenReport:
        """What opening found."""
        return self._life.bytes.report

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self._life.closed

    @property
    def suspect(self) -> Exception | None:
        """A failed write since which the store has not been reopened; ``None`` if all is well."""
        return self._life.suspect

    # --- one TKey ----------------------------------------------------------------------------------------------------

    def put(self, ctx: Context, tkey: bytes, value: bytes, *, durable: bool | None = None) -> None:
        """Set the value. In a versioned context it holds for this version and those below that do not override it.

        Raises:
            BadType, BadKey, KeyContractError, LimitError: nothing was written.
            StoreError: nothing was written, and further writes wait until the store is sound.
        """
        self.write_pairs(ctx, [(tkey, as_bytes(value, "value"))], durable=durable)

    def delete(self, ctx: Context, tkey: bytes, *, durable: bool | None = None) -> None:
        """Remove the value. Deleting an absent key is not an error.

        In a versioned context a tombstone is left, whether or not there was a value: the key is then missing here and
        below, and other versions are not touched. In others nothing is left.
        """
        self.write_pairs(ctx, [(tkey, None)], durable=durable)

    # --- several -----------------------------------------------------------------------------------------------------

    def put_range(self, ctx: Context, pairs: Iterable[KeyValue], *, durable: bool | None = None) -> None:
        """Put all pairs, in any order, atomically; of several for one TKey the last holds."""
        self._write([segment(ctx, puts(pairs), sealed=self._sealed, deletes=False)], durable=durable)

    def new_batch(self, ctx: Context) -> Batch:
        """Collect puts and deletes to be written together."""
        return Batch(self, ctx)

    def delete_range(self, ctx: Context, first: bytes, last: bytes, *, durable: bool | None = None) -> None:
        """Delete each live TKey from ``first`` to ``last``, both included, as ``delete`` does: whole up to 10,000 keys.

        Raises:
            VersionConflict: a key is in conflict; nothing was deleted.
        """
        self._life.revive()
        for some in self._portions(self.keys_in_range(ctx, first, last)):
            self.write_pairs(ctx, [(tkey, None) for tkey in some], durable=durable)

    def delete_all(self, ctx: Context, *, stop: Callable[[], bool] = bool) -> None:
        """Remove every entry of the instance, of all versions, tombstones too.

        In batches: interrupted, it has deleted a part, and can be called again. When ``stop`` is true: ``StoreClosed``.
        """
        if not isinstance(ctx, (DataContext, VersionedContext)):
            raise BadType(f"delete_all takes the context of an instance, not {shown(ctx)}")
        self._life.revive()
        begin, end = instance_range(ctx.instance)
        while not stop():
            with self._instant() as access:  # ended before others are written: for a write the engine may end readings
                rows = chain.from_iterable(access.pages(begin, end, keys_only=True))
                keys = cast(list[bytes], list(islice(rows, _CHUNK)))
            if not keys:
                return
            for some in self._portions(keys):
                self._write([Segment([(key, None) for key in some])], durable=None)
            begin = keys[-1] + b"\x00"
        raise StoreClosed("the deletion was stopped", engine=self.engine.name, path=self.config.path)

    def _portions(self, keys: list[bytes]) -> Iterator[list[bytes]]:
        """Cut keys so that deleting some of them fits a batch: each may take two changes, and a record changed."""
        limits = self._limits
        fitting = min(limits.max_batch_ops // 3, limits.max_batch_bytes // (_RECORD + 4 * limits.max_key))
        size = max(1, min(_CHUNK, fitting))
        for start in range(0, len(keys), size):
            yield keys[start : start + size]

    def write_pairs(self, ctx: Context, pairs: Pairs, *, durable: bool | None = None) -> None:
        """Put each (TKey, value) and delete each (TKey, ``None``), in order, atomically."""
        self._write([segment(ctx, pairs, sealed=self._sealed)], durable=durable)

    def segment(self, ctx: Context, pairs: Pairs) -> Segment:
        """The stored form of changes in one context, with every TKey checked, for ``commit``. Nothing is written."""
        return segment(ctx, pairs, sealed=self._sealed)

    def _write(
        self,
        segments: list[Segment],
        *,
        durable: bool | None,
        expect: Mapping[bytes, bytes | None] | None = None,
    ) -> None:
        self._life.refuse_if_read_only()
        write = Write(segments, self._durable if durable is None else durable, expect)
        self._committer.commit(write)
        self.count_written(segments)

    def commit(
        self,
        segments: list[Segment],
        *,
        durable: bool | None = None,
        expect: Mapping[bytes, bytes | None] | None = None,
    ) -> None:
        """Write segments of any contexts of this store as one batch.

        Args:
            segments: from ``segment``.
            durable: as opened, unless given.
            expect: full keys and the values they must have, ``None`` for absent.

        Raises:
            ConflictError: an expectation does not hold; nothing was written.
        """
        if expect and self._sealed:
            expect = {key: None if value is None else seal(key, value) for key, value in expect.items()}
        self._write(segments, durable=durable, expect=expect)

    def submit(
        self, segments: list[Segment], done: Callable[[Exception | None], object], *, durable: bool | None = None
    ) -> None:
        """``commit`` without waiting: ``done`` is called, in another thread, with what went wrong or ``None``.

        Nothing is begun before ``wake`` is called, so that several go into one batch.

        Raises:
            StoreClosed, ReadOnlyStore: at once; ``done`` is then not called.
        """
        self._life.refuse_if_read_only()
        write = Write(segments, self._durable if durable is None else durable)
        write.gate = _Done(self, write, done)
        self._committer.submit(write)

    def wake(self) -> None:
        """Begin to write what was submitted."""
        self._committer.wake()

    def count_written(self, segments: list[Segment]) -> None:
        """Count a write that is done, and tell who follows the log."""
        if self.log_listeners and any(each.stamp for each in segments):
            for listener in self.log_listeners:
                listener()
        total = self._total
        total.puts += 1
        for each in segments:
            if each.changes:
                sizes = each.sizes or Sizes.of_changes(each.changes)
                total.key_bytes_written += sizes.keys
                total.value_bytes_written += sizes.values

    # --- raw ---------------------------------------------------------------------------------------------------------

    def raw_put(self, key: bytes, value: bytes, *, durable: bool | None = None) -> None:
        """Set exactly this full key; no tombstone is set or cleared.

        Raises:
            BadKey: not a key of the metadata, data or blob space.
        """
        self.raw_write([(key, as_bytes(value, "value"))], durable=durable)

    def raw_delete(self, key: bytes, *, durable: bool | None = None) -> None:
        """Remove exactly this full key; no tombstone is set or cleared."""
        self.raw_write([(key, None)], durable=durable)

    def raw_write(self, changes: Pairs, *, durable: bool | None = None) -> None:
        """Set or (value ``None``) remove exactly these full keys, in order, atomically."""
        stored: list[tuple[bytes, bytes | None]] = []
        for key, value in changes:
            key = checked_key(key)
            value = None if value is None else as_bytes(value, "value")
            stored.append((key, seal(key, value) if self._sealed and value is not None else value))
        self._write([Segment(stored)], durable=durable)

    def raw_get(self, key: bytes) -> bytes | None:
        """The value of exactly this full key."""
        key = checked_key(key)
        if len(key) > self._limits.max_key:
            raise self._too_long(key)
        stored = self._access.get(key)
        return stored if stored is None or not self._sealed else unseal(key, stored)

    # --- blobs -------------------------------------------------------------------------------------------------------

    def put_blob(self, data: bytes, *, durable: bool | None = None) -> str:
        """Store bytes under their own hash; the reference is 24 characters of URL-safe base64.

        The same bytes always have the same reference. The hash is 128-bit BLAKE2b (docs/decisions/0004).
        """
        data = as_bytes(data, "blob")
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if self.raw_get(blob_key(digest)) != data:
            self.raw_put(blob_key(digest), data, durable=durable)
        return urlsafe_b64encode(digest).decode("ascii")

    def get_blob(self, reference: str) -> bytes | None:
        """The bytes of this reference, or ``None``.

        Raises:
            BadKey: not a reference that ``put_blob`` could have returned.
        """
        try:
            digest = urlsafe_b64decode(reference.encode("ascii"))
        except (ValueError, AttributeError):
            digest = b""
        if len(digest) != 16 or urlsafe_b64encode(digest).decode("ascii") != reference:
            raise BadKey(f"not a blob reference: {shown(reference)}")
        return self.raw_get(blob_key(digest))

    # --- sizes and upkeep --------------------------------------------------------------------------------------------

    def approximate_sizes(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[int]:
        """Bytes that each half-open range of full keys takes, as the engine estimates it.

        Raises:
            UnsupportedError: the engine does not declare ``sizes``.
        """
        bounds = [(as_bytes(begin, "key"), as_bytes(end, "key")) for begin, end in ranges]
        self._require(Capability.SIZES)
        return cast(Sizer, self._life.settled()).approximate_sizes(bounds)

    def compact(self) -> None:
        """Have the engine give back the room of what was deleted and overwritten."""
        self._require(Capability.COMPACT)
        self._life.upkeep(lambda store: cast(Compactor, store).compact(b"\x00", b"\xff"))

    def backup(self, path: str) -> None:
        """Write a store of one instant at ``path`` while this one is in use."""
        self._require(Capability.BACKUP)
        self._life.upkeep(lambda store: cast(Backer, store).backup(path))

    def _require(self, capability: Capability) -> None:
        if capability not in self._capabilities.features:
            raise UnsupportedError(f"engine {self.engine.name!r} does not do {capability}", capability=capability)

    # --- instants and the end ----------------------------------------------------------------------------------------

    def snapshot(self) -> StoreSnapshot:
        """A read-only view of this instant."""
        return StoreSnapshot(self, self._life, self._life.settled().snapshot())

    def instant(self) -> AbstractContextManager[Access]:
        """Stored bytes of one instant, dvidkit's own records among them; for the kernel's modules."""
        return self._instant()

    def read_own(self, key: bytes) -> bytes | None:
        """Stored bytes of one key as they are; for the kernel's own records."""
        return self._access.get(key)

    def write_own(self, changes: Changes) -> None:
        """Write stored bytes as they are; for the kernel's own records."""
        self._write([Segment(changes)], durable=None)

    def _instant(self) -> AbstractContextManager[Access]:
        return Instant(self._life.settled().snapshot(), self._life)

    def close(self) -> None:
        """Wait for writers, close the engine's store. Idempotent; afterwards every call raises ``StoreClosed``."""
        if not self._life.closed:
            self._committer.stop()
            with self._committer.exclusively():
                self._life.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Done:
    """Tells the caller of ``Store.submit``."""

    __slots__ = ("_done", "_store", "_write")

    def __init__(self, store: Store, write: Write, done: Callable[[Exception | None], object]) -> None:
        self._store = store
        self._write = write
        self._done = done

    def release(self) -> None:
        write = self._write
        write.gate = None
        if write.error is None:
            self._store.count_written(write.segments)
        self._done(write.error)


__all__ = ["Store", "StoreMismatch", "StoreSnapshot"]
