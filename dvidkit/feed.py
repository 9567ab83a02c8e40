"""Delivery from the mutation log: to plugins, and to subscribers whose data is in another store.

A feed follows the log of one store in a thread of its own and remembers in the store how far it came. It delivers in
order and at least once: after a crash it goes on from the last place it recorded, and what fails is tried again, with
growing pauses, before anything later is delivered. Every plugin has feeds of its own, so that none waits for another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dvidkit.checksum import seal, unseal
from dvidkit.deferred import logger
from dvidkit.mutationlog import MutationLog, MutationRecord
from dvidkit.mutations import Event, Mutation
from dvidkit.segment import Changes, Segment

if TYPE_CHECKING:
    from dvidkit.instance import DataInstance
    from dvidkit.kernel import Kernel
    from dvidkit.store import Store

_LOG: Final = logger("dvidkit.kernel.feed")
_CURSOR: Final = b"\x03\x05"
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 30.0
_BATCH: Final = 256


class Cursor:
    """How far somebody came in a store's log: a record in dvidkit's own key space (``03 | 05 | name``)."""

    def __init__(self, store: Store, name: bytes) -> None:
        self._store = store
        self._key = _CURSOR + name

    def read(self) -> int | None:
        """The number of the last record that was dealt with; ``None`` if there is no cursor yet."""
        stored = self._store.read_own(self._key)
        if stored is None:
            return None
        return int.from_bytes(unseal(self._key, stored) if self._store.record.integrity else stored, "big")

    def changes(self, number: int) -> Changes:
        """The change that moves the cursor."""
        value = number.to_bytes(8, "big")
        return [(self._key, seal(self._key, value) if self._store.record.integrity else value)]

    def write(self, number: int) -> None:
        """Move the cursor."""
        self._store.write_own(self.changes(number))


class Feed:
    """Calls ``deliver`` for each record that a store's log gets.

    Args:
        store: whose log.
        name: of the cursor.
        deliver: may be called again with records it has had; raising makes the feed wait and try again.
        settle: called after some records, before the feed records that they are dealt with; raising means that they
            are not, and all of them are delivered again.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        deliver: Callable[[MutationRecord], object],
        settle: Callable[[], object] | None = None,
    ) -> None:
        self._name = name
        self._log = MutationLog(store)
        self._cursor = Cursor(store, name.encode())
        self._deliver = deliver
        self._settle = settle
        self._store = store
        self._changed = threading.Condition()
        self._grown = True
        self._stopping = False
        start = self._cursor.read()
        self._done = self._log.last() if start is None else start
        if start is None:
            self._cursor.write(self._done)
        store.log_listeners.append(self._wake)
        self._thread = threading.Thread(target=self._run, name=f"dvidkit-feed-{name}", daemon=True)
        self._thread.start()

    @property
    def done(self) -> int:
        """The number of the last record delivered."""
        return self._done

    def wait(self, number: int, seconds: float) -> bool:
        """Wait until the record of this number is delivered; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._done >= number, seconds)

    def finish(self, seconds: float) -> bool:
        """Wait until what the log holds now is delivered; whether it is."""
        return self.wait(self._log.last(), seconds)

    def stop(self) -> None:
        """End the thread, after the delivery at hand; what is left is delivered by the next process."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        self._store.log_listeners.remove(self._wake)

    def _wake(self) -> None:
        with self._changed:
            self._grown = True
            self._changed.notify_all()

    def _run(self) -> None:
        wait, failing = _FIRST_WAIT, False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._grown or self._stopping)
                if self._stopping:
                    return
                self._grown = False
            try:
                self._drain()
                wait, failing = _FIRST_WAIT, False
            except Exception as error:
                _LOG.warning(
                    "feed %r: %s; trying again in %.1f s", self._name, error, wait, exc_info=not failing and error
                )
                failing = True
                with self._changed:
                    self._grown = True
                    self._changed.wait_for(lambda: self._stopping, wait)
                wait = min(2 * wait, _LONGEST_WAIT)

    def _drain(self) -> None:
        while records := self._log.after(self._done, limit=_BATCH):
            reached = self._done
            for record in records:
                self._deliver(record)
                reached = record.number
                if self._settle is None:
                    self._reach(reached)
                if self._stopping:
                    break
            if self._settle is not None:
                self._settle()
                self._reach(reached)
            self._cursor.write(self._done)
            if self._stopping:
                return

    def _reach(self, number: int) -> None:
        with self._changed:
            self._done = number
            self._changed.notify_all()


class Feeds:
    """The feeds of a kernel, per store: one for each plugin that wants mutations, one for subscribers elsewhere."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._lock = threading.Lock()
        for taker in kernel.plugins.manager.hook.dvidkit_mutation.get_hookimpls():
            for alias, store in kernel.stores.items():
                self._follow(taker.plugin_name, taker.plugin, alias, store)
        self.refresh()

    def _follow(self, name: str, plugin: Any, alias: str, store: Store) -> None:
        """Start the feed of one plugin."""
        manager, kernel = self._kernel.plugins.manager, self._kernel
        others = [other for other in manager.get_plugins() if other is not plugin]
        mutation = manager.subset_hook_caller("dvidkit_mutation", others)
        settle = manager.subset_hook_caller("dvidkit_settle", others)
        self._start(
            f"plugin {name}",
            alias,
            store,
            lambda record: mutation(kernel=kernel, store=store, record=record),
            lambda: settle(kernel=kernel, store=store),
        )

    def refresh(self) -> None:
        """Start the feeds that syncs between stores need."""
        for repo in self._kernel.repos:
            for subscriber in list(repo.instances.values()):
                for source in subscriber.syncs:
                    self.follow(source, subscriber)

    def follow(self, source: DataInstance, subscriber: DataInstance) -> None:
        """Start the feed that a sync needs, if it needs one; called before the sync is made, so that none is missed."""
        if source.store is not subscriber.store:
            alias = source.record.store or self._kernel.assignment.default
            self._start("subscribers", alias, source.store, self._tell_subscribers)

    def finish(self, seconds: float) -> bool:
        """Wait until everything written so far is delivered, but not for longer than this; whether it is."""
        with self._lock:
            feeds = list(self._feeds.values())
        deadline = time.monotonic() + seconds
        return all(feed.finish(max(0.0, deadline - time.monotonic())) for feed in feeds)

    def stop(self, seconds: float) -> None:
        """Deliver what there is, but not for longer than this, and end all threads."""
        if not self.finish(seconds):
            _LOG.warning("not everything was delivered within %.1f s; the next start goes on with it", seconds)
        with self._lock:
            for feed in self._feeds.values():
                feed.stop()
            self._feeds.clear()

    def _start(
        self,
        name: str,
        alias: str,
        store: Store,
        deliver: Callable[[MutationRecord], object],
        settle: Callable[[], object] | None = None,
    ) -> None:
        with self._lock:
            if (name, alias) not in self._feeds and not store.config.read_only:
                self._feeds[name, alias] = Feed(store, name, deliver, settle)

    def _tell_subscribers(self, record: MutationRecord) -> None:
        if not record.events:
            return
        version = self._kernel.repos.find(record.version)
        source = None if version is None else version.repo.instance_of_uuid(record.instance)
        if version is None or source is None:
            return
        for subscriber in {
            other.uuid: other for kind, _ in record.events for other in source.subscribers(kind)
        }.values():
            if subscriber.store is not source.store:
                self._tell(subscriber, source, record)

    def _tell(self, subscriber: DataInstance, source: DataInstance, record: MutationRecord) -> None:
        """Have one subscriber answer, and record that it has in the same batch."""
        version = self._kernel.repos.resolve(record.version)
        cursor = Cursor(subscriber.store, bytes.fromhex(source.store.record.uuid) + subscriber.id.to_bytes(4, "big"))
        if (cursor.read() or 0) >= record.number:
            return
        view = subscriber.at(version, override=True)
        with Mutation(view, "sync", user=record.user, app=record.app) as mutation:
            mutation.unlogged()
            for kind, payload in record.events:
                if kind in subscriber.datatype.consumes:
                    view.on_event(mutation, Event(kind, payload, source.at(version), record.mutation))
            mutation.also(Segment(cursor.changes(record.number)))
