"""The one way into a store: every write of every thread goes through here, one at a time, several in one batch.

A thread that finds the way free writes at once. Threads that come while another writes queue up, and the next of them
writes for all: one batch, one wait for the disk. Each write is prepared against the store and those ahead of it, so
the outcome is as if they had come one after the other; if the common batch is refused, each is tried alone.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from operator import itemgetter
from typing import Final, Protocol, cast

import msgspec

from dvidkit.access import Access
from dvidkit.checksum import seal
from dvidkit.contract import check_stored
from dvidkit.deferred import logger
from dvidkit.engine import Limits
from dvidkit.errors import ConflictError, LimitError, StoreError, shown
from dvidkit.holders import Holders
from dvidkit.keys import PREFIX_SIZE, SUFFIX_SIZE
from dvidkit.ledger import Records
from dvidkit.mutationlog import last_stamp
from dvidkit.segment import Changes, Segment, Sizes, joined

_LOG: Final = logger("dvidkit.kernel.commit")
_TOMBSTONE: Final = b"\x4f"
_MAX_GROUP: Final = 64

_key_of: Final = itemgetter(0)
_value_of: Final = itemgetter(1)


class Gate(Protocol):
    """What is told that a write is done, or that it is its turn: a semaphore, or a caller that does not wait."""

    def release(self) -> object:
        """Called in the thread that wrote."""
        ...


class Write(msgspec.Struct, eq=False):
    """One atomic change, as a caller hands it in."""

    segments: list[Segment]
    durable: bool
    expect: Mapping[bytes, bytes | None] | None = None
    gate: Gate | None = None
    done: bool = False
    error: Exception | None = None

    def size(self) -> int:
        """Number of changes."""
        return sum(len(segment.changes) for segment in self.segments)


class _Plan(msgspec.Struct):
    """Writes made into one batch; ``prepared`` once all of them are, and only the store can still refuse it."""

    changes: Changes = []
    pending: dict[bytes, bytes | None] = {}
    expect: dict[bytes, bytes | None] = {}
    tkeys: dict[bytes, set[bytes]] = {}
    logged: dict[bytes, list[bytes]] = {}
    several: bool = False
    prepared: bool = False
    owned: bool = False

    def add(self, changes: Changes) -> None:
        """Append. A single list of changes is taken as it is, and not changed."""
        if not self.changes:
            self.changes = changes
        elif self.owned:
            self.changes += changes
        else:
            self.changes = self.changes + changes
            self.owned = True


class Target:
    """What a committer writes to; the store implements it."""

    access: Access
    limits: Limits

    def apply(self, changes: Changes, *, durable: bool, expect: Mapping[bytes, bytes | None] | None) -> None:
        """Write one batch, all or nothing."""
        raise NotImplementedError


class Committer:
    """Serialises, groups and prepares writes; with each batch go the records that ``records`` keeps.

    ``holders`` is told of a batch before any reader can see it.
    """

    def __init__(self, target: Target, records: Records, holders: Holders, *, sealed: bool) -> None:
        self._target = target
        self._records = records
        self._holders = holders
        self._sealed = sealed
        self._turn = threading.Lock()
        self._queue: deque[Write] = deque()
        self._stamp: int | None = None
        self._bell = threading.Lock()
        self._bell.acquire()
        self._starting = threading.Lock()
        self._writer: threading.Thread | None = None
        self._stopping = False

    def commit(self, write: Write) -> None:
        """Write it, all or nothing, and return when that is done.

        Raises:
            LimitError, KeyContractError, ConflictError, StoreError: nothing of it was written.
        """
        if self._turn.acquire(blocking=False) or self._queue_up(write):
            if write.done:
                self._release()
                self._hand_over()
            else:
                self._lead(write)
        if write.error is not None:
            raise write.error

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Keep every writer out for the block; those that came meanwhile are woken after it. Used to close."""
        self._turn.acquire()
        try:
            yield
        finally:
            self._release()
            self._hand_over()

    def _queue_up(self, write: Write) -> bool:
        """Wait until somebody has written this (false) or it is this thread's turn (true)."""
        gate = write.gate = threading.Semaphore(0)
        self._queue.append(write)
        if self._turn.acquire(blocking=False):
            return True
        try:
            gate.acquire()
            return not write.done and self._turn.acquire()
        except BaseException:
            self._withdraw(write)
            raise

    def _withdraw(self, write: Write) -> None:
        """Leave the queue, and give the turn on that may have been given to this write."""
        with suppress(ValueError):
            self._queue.remove(write)
        self._hand_over()

    # --- writes that nobody waits for --------------------------------------------------------------------------------

    def submit(self, write: Write) -> None:
        """Have it written by a thread of the committer's own; ``write.gate`` is released when it is done.

        For event loops: the call returns at once. Nothing is begun before ``wake`` is called; what was submitted until
        then goes into one batch.
        """
        self._queue.append(write)
        if self._stopping:
            self._turn.acquire()
            self._lead(None)
            return
        if self._writer is None:
            with self._starting:
                if self._writer is None:
                    self._writer = threading.Thread(target=self._write_submitted, name="dvidkit-writer", daemon=True)
                    self._writer.start()

    def stop(self) -> None:
        """End the thread, after what was submitted is written."""
        writer = self._writer
        if writer is not None:
            self._stopping = True
            self.wake()
            writer.join()

    def wake(self) -> None:
        """Begin to write what was submitted."""
        with suppress(RuntimeError):
            self._bell.release()

    def _write_submitted(self) -> None:
        while not self._stopping or self._queue:
            if not self._queue:
                self._bell.acquire()
                continue
            self._turn.acquire()
            self._lead(None)

    # --- the thread whose turn it is ---------------------------------------------------------------------------------

    def _lead(self, own: Write | None) -> None:
        group = [] if own is None else [own]
        try:
            while self._queue and len(group) < _MAX_GROUP:
                other = self._queue.popleft()
                if other is not own and not other.done:
                    group.append(other)
            self._run(group)
        finally:
            for write in group:
                if not write.done:
                    write.error = StoreError("the writing thread was interrupted; whether this was written is unknown")
                    write.done = True
            self._release()
            for write in group:
                _tell(write)
            self._hand_over()

    def _release(self) -> None:
        """End the turn; what was written by others must not stand at the head of the queue and be woken in vain."""
        while self._queue and self._queue[0].done:
            self._queue.popleft()
        self._turn.release()

    def _hand_over(self) -> None:
        """Wake the first that came too late for the group, to lead the next."""
        try:
            heir = self._queue[0]
        except IndexError:
            return
        if isinstance(heir.gate, threading.Semaphore):
            heir.gate.release()
        else:
            self.wake()

    def _run(self, group: list[Write]) -> None:
        if not group:
            return
        if len(group) > 1 and self._fits(group):
            writes = _joined(group)
            plan = _Plan(several=writes is group)
            error = self._attempt(writes, plan)
            if error is None or (isinstance(error, StoreError) and plan.prepared):
                for write in group:
                    write.error, write.done = _own(error), True
                return
        for write in group:
            write.error, write.done = self._attempt([write], _Plan(several=len(write.segments) > 1)), True

    def _attempt(self, group: list[Write], plan: _Plan) -> Exception | None:
        try:
            self._write(group, plan)
        except BaseException as error:
            self._records.forget()
            if not isinstance(error, Exception):
                raise
            return error
        return None

    def _fits(self, group: list[Write]) -> bool:
        if any(segment.prefix is not None for write in group for segment in write.segments):
            return False
        return 4 * sum(write.size() for write in group) < self._target.limits.max_batch_ops

    def _write(self, group: list[Write], plan: _Plan) -> None:
        self._records.begin([segment for write in group for segment in write.segments])
        for write in group:
            self._add(plan, write)
        for slot, rows in plan.logged.items():
            self._records.logged(slot, rows)
        records = self._records.changes()
        changes = plan.changes + records if records else plan.changes
        own = group[0].segments[0] if len(group) == len(group[0].segments) == 1 else None
        if own is not None and own.sizes is not None and own.changes is plan.changes:
            check_limits(records, self._target.limits)
            check_sizes(len(changes), own.sizes, self._target.limits)
        else:
            check_limits(changes, self._target.limits)
        plan.prepared = True
        self._holders.begin(self._records.touched())
        try:
            self._target.apply(changes, durable=any(write.durable for write in group), expect=plan.expect or None)
        finally:
            self._holders.end()
        self._records.written()

    # --- preparing ---------------------------------------------------------------------------------------------------

    def _add(self, plan: _Plan, write: Write) -> None:
        for key, value in (write.expect or {}).items():
            known = plan.pending[key] if key in plan.pending else plan.expect.setdefault(key, value)
            if known != value:
                raise ConflictError(f"key {shown(key)} was changed meanwhile", key=key)
        for segment in write.segments:
            self._add_segment(plan, segment)

    def _add_segment(self, plan: _Plan, segment: Segment) -> None:
        if segment.stamp is not None:
            logged = segment.stamp(self._next_stamp())
            if segment.slot is not None and self._sealed:
                plan.logged.setdefault(segment.slot, []).append(cast(bytes, logged[-1][1]))
            plan.add(logged)
            return
        if segment.prefix is not None:
            tkeys = plan.tkeys.setdefault(segment.prefix, set())
            tkeys.update(key[PREFIX_SIZE:-SUFFIX_SIZE] for key, _ in segment.changes)
            check_stored(self._target.access, segment.prefix, tkeys)
        changes = self._with_tombstones(segment) if segment.versioned else segment.changes
        self._records.account(segment, changes, pending=plan.pending)
        plan.add(changes)
        if plan.several:
            plan.pending.update(changes)

    def _next_stamp(self) -> int:
        if self._stamp is None:
            self._stamp = last_stamp(self._target.access)
        self._stamp += 1
        return self._stamp

    def _with_tombstones(self, segment: Segment) -> Changes:
        """A put takes the tombstone of its version away, a delete sets it; neither touches another version."""
        if not segment.deletes:
            if segment.slot is not None and not self._records.tombstones(segment.slot):
                return segment.changes
            return [(key[:-1] + _TOMBSTONE, None) for key, _ in segment.changes] + segment.changes
        changes: Changes = []
        for key, value in segment.changes:
            tombstone = key[:-1] + _TOMBSTONE
            if value is None:
                changes += ((key, None), (tombstone, seal(tombstone, b"") if self._sealed else b""))
            else:
                changes += ((tombstone, None), (key, value))
        return changes


def _joined(group: list[Write]) -> list[Write]:
    """The group as one write, where that comes to the same."""
    if any(write.expect for write in group):
        return group
    segments = joined([segment for write in group for segment in write.segments])
    return group if segments is None else [Write(segments, any(write.durable for write in group))]


def _tell(write: Write) -> None:
    """Tell who waits for a write that it is done. A caller's fault must not keep the others waiting."""
    if write.gate is not None:
        try:
            write.gate.release()
        except Exception:
            _LOG.exception("a write is done, but its caller could not be told")


def _own(error: Exception | None) -> Exception | None:
    """The error for one of several writers, who each raise it in a thread of their own."""
    if error is None:
        return None
    each = copy(error)
    each.__cause__ = error.__cause__
    return each


def check_limits(changes: Changes, limits: Limits) -> None:
    """Refuse a batch that the engine would not take.

    Raises:
        LimitError: which limit, what it is, and what was asked for.
    """
    check_sizes(len(changes), Sizes.of_changes(changes), limits)


def check_sizes(count: int, sizes: Sizes, limits: Limits) -> None:
    """``check_limits`` of a batch of so many changes that are known to have these sizes."""
    total = sizes.keys + sizes.values
    for what, limit, got in (
        ("max_batch_ops", limits.max_batch_ops, count),
        ("max_key", limits.max_key, sizes.longest),
        ("max_value", limits.max_value, sizes.largest),
        ("max_batch_bytes", limits.max_batch_bytes, total),
    ):
        if got > limit:
            raise _limit(what, limit, got)


def _limit(what: str, limit: int, got: int) -> LimitError:
    return LimitError(f"{got} is over the engine's {what} of {limit}", what=what, limit=limit, got=got)
