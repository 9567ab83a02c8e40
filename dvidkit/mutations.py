"""Mutations: one change, one atomic batch.

A mutation holds its version open (it cannot be committed meanwhile) and collects, until its ``with`` block ends, puts
and deletes of its instance, those that subscribers make in answer to its events, and its record for the mutation log.
All of it is written at once. If the block, a subscriber or the write fails, nothing is written and nothing announced.

Subscribers whose instances lie in another store cannot be part of the batch. Their events go into the log record and
are delivered from there afterwards, at least once, also after a crash (``dvidkit.feed``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from dvidkit import checksum
from dvidkit.errors import InvalidInputError, UnknownInstance
from dvidkit.keys import as_bytes
from dvidkit.metadata import now
from dvidkit.mutationlog import MutationRecord, log_segment
from dvidkit.segment import Segment, Stored, segment, stored_segment

if TYPE_CHECKING:
    from dvidkit.datatype import Datatype
    from dvidkit.instance import DataInstance
    from dvidkit.store import Store


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a data instance, told to the instances that are synced to it.

    Attributes:
        kind: in DVID's words (``BLOCK_MUTATE``, ``MERGE_BLOCK`` …).
        payload: what happened, as values that JSON can hold, or numpy arrays for subscribers in the same store.
        source: the instance, as the version that was changed sees it.
        mutation: mutation id, 0 if the change has none.
    """

    kind: str
    payload: Any
    source: Datatype
    mutation: int


class Pending(Protocol):
    """Who waits for mutations that are written without waiting: set as ``pending`` of a view."""

    def begun(self, store: Store) -> object:
        """A mutation is on its way to this store, which is to be woken when no more are coming."""
        ...

    def done(self, error: Exception | None) -> object:
        """It is written, or failed. Called in another thread."""
        ...


class Part:
    """What a mutation does to one instance: the mutated one, or a subscriber.

    Attributes:
        view: the instance at its version.
    """

    def __init__(self, mutation: Mutation | None, view: Datatype) -> None:
        self.view = view
        self._mutation = mutation
        self._pairs: list[tuple[bytes, bytes | None]] = []
        self._pending: dict[bytes, bytes | None] = {}
        self._stored: dict[bytes, Stored] = {}
        self._locked = False

    def put(self, tkey: bytes, value: bytes) -> None:
        """Set the value when the mutation is written."""
        self.check_open()
        if type(tkey) is not bytes or type(value) is not bytes:
            tkey, value = as_bytes(tkey, "TKey"), as_bytes(value, "value")
        if self._stored:
            self._stored.pop(tkey, None)
        self._pairs.append((tkey, value))
        self._pending[tkey] = value

    def put_stored(self, tkey: bytes, stored: Stored) -> None:
        """``put`` of a value that is in its stored form already, which saves copying a large one."""
        self.check_open()
        self._stored[as_bytes(tkey, "TKey")] = stored

    def delete(self, tkey: bytes) -> None:
        """Delete the key when the mutation is written."""
        self.check_open()
        tkey = as_bytes(tkey, "TKey")
        self._stored.pop(tkey, None)
        self._pairs.append((tkey, None))
        self._pending[tkey] = None

    def get(self, tkey: bytes) -> bytes | None:
        """The value as it will be: what this mutation has put or deleted, else what is stored."""
        tkey = as_bytes(tkey, "TKey")
        if tkey in self._stored or tkey in self._pending:
            return self._ahead(tkey, None)
        return self.view.store.get(self.view.ctx, tkey)

    def lock(self, tkeys: Iterable[bytes]) -> Mapping[bytes, bytes | None]:
        """Keep other mutations of these TKeys out until this one has ended, and read their values.

        For changes that depend on what is there. May be called once for each instance of a mutation, so that two
        mutations of one instance can never wait for each other.

        Raises:
            InvalidInputError: called a second time.
            VersionConflict: a TKey is in conflict.
        """
        self.check_open()
        if self._locked:
            raise InvalidInputError("a mutation locks an instance once; give all TKeys in one call")
        wanted = [as_bytes(tkey, "TKey") for tkey in tkeys]
        self._locked = True
        self.hold(self.view, wanted)
        values = self.view.store.get_many(self.view.ctx, wanted)
        return {tkey: self._ahead(tkey, value) for tkey, value in zip(wanted, values, strict=True)}

    def _ahead(self, tkey: bytes, value: bytes | None) -> bytes | None:
        """What this mutation makes of the value."""
        if tkey in self._stored:
            stored = bytes(self._stored[tkey].value)
            return stored[: -checksum.SIZE] if self.view.store.record.integrity else stored
        return self._pending.get(tkey, value)

    def check_open(self) -> None:
        """Refuse what would be lost.

        Raises:
            InvalidInputError: before the mutation's ``with`` block, or after it.
        """
        assert self._mutation is not None
        self._mutation.check_open()

    def hold(self, view: Datatype, tkeys: Sequence[bytes]) -> None:
        """Hold the locks of an instance's TKeys until the mutation ends."""
        assert self._mutation is not None
        self._mutation.hold(view, tkeys)

    @property
    def stored(self) -> Mapping[bytes, Stored]:
        """Puts of values in their stored form, by TKey."""
        return self._stored

    @property
    def pairs(self) -> list[tuple[bytes, bytes | None]]:
        """Other puts and deletes so far, in order."""
        return self._pairs


class Mutation(Part):
    """A change of one data instance at one version. Use as a context manager, in one thread.

    Attributes:
        view: the instance at its version.
        action: what is done, in the words of DVID's mutation log.
        user, app: who asks, as DVID's ``u`` and ``app``.
    """

    def __init__(
        self, view: Datatype, action: str, *, user: str = "", app: str = "", durable: bool | None = None
    ) -> None:
        super().__init__(None, view)
        self.action = action
        self.user = user
        self.app = app
        self._durable = durable
        self._locks: list[threading.Lock] = []
        self._entered = self._open = self._used = False
        self._using: list[DataInstance] = []
        self._others: dict[str, Part] = {}
        self._fields: dict[str, Any] = {}
        self._events: list[tuple[str, Any]] = []
        self._after: list[Callable[[], object]] = []
        self._id = 0
        self._logged = True
        self._extra: list[Segment] = []

    @property
    def id(self) -> int:
        """The mutation id: unique in the repo, growing, taken when it is first asked for."""
        if not self._id:
            self._id = self.view.instance.repo.next_mutation_id()
        return self._id

    def log(self, **fields: Any) -> None:
        """Add fields to the mutation's log record, under the names DVID gives them."""
        self._fields.update(fields)

    def unlogged(self) -> None:
        """Write no log record; for changes that are no mutation of data."""
        self._logged = False

    def emit(self, kind: str, payload: Any) -> None:
        """Tell subscribers, in this order, when the block ends; what they change is part of this mutation."""
        self._events.append((kind, payload))

    def also(self, segment: Segment) -> None:
        """Write this with everything else; for the kernel's own records."""
        self._extra.append(segment)

    def after(self, function: Callable[[], object]) -> None:
        """Call the function once the mutation is written; not at all if it fails."""
        self._after.append(function)

    def part(self, view: Datatype) -> Part:
        """What this mutation does to another instance of the same repo and store, at the same version.

        Raises:
            InvalidInputError: the instance is of another repo or store, or at another version.
            VersionLocked: the other instance is versioned, this one is not, and the version is committed.
            UnknownInstance: it was deleted.
        """
        if view.node != self.view.node or view.store is not self.view.store:
            raise InvalidInputError(f"{view.instance} cannot be changed in one batch with {self.view.instance}")
        if view.instance.uuid == self.view.instance.uuid:
            return self
        known = self._others.get(view.instance.uuid)
        if known is not None:
            return known
        self._use(view)
        part = self._others[view.instance.uuid] = Part(self, view)
        return part

    def hold(self, view: Datatype, tkeys: Sequence[bytes]) -> None:
        """Hold the locks of an instance's TKeys until the mutation ends."""
        self._locks += view.instance.locks.take(tkeys)

    # --- the block ---------------------------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Refuse what would be lost.

        Raises:
            InvalidInputError: before the ``with`` block, or after it.
        """
        if not self._open:
            raise InvalidInputError("a mutation is changed within its with block")

    def __enter__(self) -> Mutation:
        if self._used:
            raise InvalidInputError("a mutation is used once; begin another")
        self._use(self.view)
        self._open = self._used = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        submitted = False
        try:
            if kind is None:
                segments = self._segments(self._deliver() if self._events else [])
                if segments and self.view.pending is not None:
                    self._submit(segments, self.view.pending)
                    submitted = True
                else:
                    self._commit(segments)
        finally:
            self._open = False
            if not submitted:
                self._let_go()

    def _use(self, view: Datatype) -> None:
        """Keep the instance from being removed, and the version from being committed, until the end."""
        instance = view.instance
        instance.enter()
        self._using.append(instance)
        if instance.settings.versioned and not self._entered:
            try:
                instance.repo.enter(view.node, override=view.override)
            except BaseException:
                self._using.remove(instance)
                instance.users.leave()
                raise
            self._entered = True

    def _commit(self, segments: list[Segment]) -> None:
        if segments:
            self.view.store.commit(segments, durable=self._durable)
        for function in self._after:
            function()

    def _submit(self, segments: list[Segment], pending: Pending) -> None:
        """Have it written without waiting; what is held is let go when it is done."""

        def done(error: Exception | None) -> None:
            try:
                if error is None:
                    for function in self._after:
                        function()
            except Exception as failure:
                error = failure
            self._let_go()
            pending.done(error)

        self.view.store.submit(segments, done, durable=self._durable)
        pending.begun(self.view.store)

    def _let_go(self) -> None:
        for lock in self._locks:
            lock.release()
        self._locks.clear()
        if self._entered:
            self._entered = False
            self.view.instance.repo.leave(self.view.node)
        for instance in self._using:
            instance.users.leave()
        self._using.clear()

    def _deliver(self) -> list[tuple[str, Any]]:
        """Let subscribers of this store answer; return the events that others are still to be told."""
        elsewhere: list[tuple[str, Any]] = []
        for kind, payload in self._events:
            event = Event(kind, payload, self.view, self._id)
            subscribers = self.view.instance.subscribers(kind)
            for subscriber in subscribers:
                if subscriber.store is self.view.store:
                    view = subscriber.at(self.view.node, override=self.view.override)
                    try:
                        part = self.part(view)
                    except UnknownInstance:  # it was deleted meanwhile
                        continue
                    view.on_event(part, event)
            if any(subscriber.store is not self.view.store for subscriber in subscribers):
                elsewhere.append((kind, payload))
        return elsewhere

    def _segments(self, elsewhere: list[tuple[str, Any]]) -> list[Segment]:
        store = self.view.store
        sealed = store.record.integrity
        segments: list[Segment] = []
        for part in (self, *self._others.values()) if self._others else (self,):
            if pairs := part.pairs:
                segments.append(segment(part.view.ctx, pairs, sealed=sealed))
            if stored := part.stored:
                segments.append(stored_segment(part.view.ctx, stored, sealed=sealed))
        if (segments or elsewhere) and self._logged:
            segments.append(self._record(elsewhere))
        return segments + self._extra

    def _record(self, elsewhere: list[tuple[str, Any]]) -> Segment:
        instance, node = self.view.instance, self.view.node
        record = MutationRecord(
            self.action,
            instance.repo.record.root,
            node.record.uuid,
            instance.record.uuid,
            now(),
            self._id,
            self.user,
            self.app,
            self._fields,
            tuple(elsewhere),
        )
        return log_segment(
            record, instance=instance.record.id, version=node.id, sealed=self.view.store.record.integrity
        )
