"""DUR-7: the disk gets full, reads go on, and when there is room again so do writes, and nothing is lost."""

from __future__ import annotations

import random
import time
from typing import Any, Final

from dvidkit.context import DataContext
from dvidkit.errors import StoreError, StoreFull, StorePoisoned
from dvidkit.store import Store
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.lanes.room import Room
from dvidkit_conformance.lanes.run import Run
from dvidkit_conformance.session import Violation
from dvidkit_conformance.storesession import ROW, row

_CTX: Final = DataContext(1, classes=(ROW,))
_VALUE: Final = 1 << 16
_MOST: Final = 4000
_PATIENCE: Final = 60.0
_AFTERWARDS: Final = 100


def full_disk(run: Run) -> None:
    """See above."""
    with Room(run.harness.fresh_folder()) as room:
        run.probes[f"full by {room.how}"] += 1
        harness = Harness(
            run.harness.engine, room.folder, store_class=run.harness.store_class, plugins=run.harness.plugins
        )
        _Disk(run, harness, room).run()
    run.need("full", "read_while_full", "written_again")


class _Disk:
    """One store on a disk that gets full, and what it acknowledged."""

    def __init__(self, run: Run, harness: Harness, room: Room) -> None:
        self._run = run
        self._room = room
        self._harness = harness
        self._rng = random.Random(f"full {run.seed}")
        self._path = harness.fresh()
        self._rows: dict[bytes, bytes] = {}
        self._doubtful: dict[bytes, bytes] = {}
        self._number = 0

    def run(self) -> None:
        """Fill, read, write in vain, make room, write, reopen."""
        store, _ = self._harness.open_store(self._path)
        try:
            self._fill(store)
            self._reads(store, "while the disk is full")
            self._run.probes["read_while_full"] += 1
            self._refused(store)
            self._reads(store, "after writes that were refused")
            self._room.free()
            self._written_again(store)
            self._reads(store, "when there was room again")
        finally:
            store.close()
        store, _ = self._harness.open_store(self._path)
        try:
            self._reads(store, "after reopening")
        finally:
            store.close()

    def _put(self, store: Store, size: int) -> Exception | None:
        self._number += 1
        key, value = row(self._number), self._rng.randbytes(size)
        self._run.alive()
        try:
            store.put(_CTX, key, value)
        except StoreError as error:
            if not isinstance(error, StorePoisoned):
                self._doubtful[key] = value
            return error
        self._rows[key] = value
        self._run.cases += 1
        return None

    def _fill(self, store: Store) -> None:
        for _ in range(_MOST):
            error = self._put(store, _VALUE)
            if error is not None:
                self._run.probes["full"] += 1
                if self._room.how == "mount" and not isinstance(error, StoreFull):
                    raise self._violation("raises StoreFull", f"raises {type(error).__name__}: {error}")
                return
        raise self._violation("a disk that gets full", f"{_MOST} values of {_VALUE} bytes were written")

    def _refused(self, store: Store) -> None:
        """Writes while it is full: refused as full or suspect. One that is small may find room, and is then kept."""
        for size in (_VALUE, _VALUE, 100, 100):
            error = self._put(store, size)
            self._run.probes["refused" if error else "small_write_found_room"] += 1
            if isinstance(error, StorePoisoned):
                time.sleep(min(error.retry_after, 0.2))

    def _written_again(self, store: Store) -> None:
        until = time.monotonic() + _PATIENCE
        while (error := self._put(store, 1000)) is not None:
            if time.monotonic() > until:
                raise self._violation(f"a write within {_PATIENCE} s of there being room", f"{error}")
            time.sleep(0.05)
        for _ in range(_AFTERWARDS):
            error = self._put(store, 1000)
            if error is not None:
                raise self._violation("writes that succeed when there is room", f"{error}")
        self._run.probes["written_again"] += 1

    def _reads(self, store: Store, when: str) -> None:
        """Everything acknowledged, and of what failed either all or nothing."""
        found: dict[bytes, bytes] = {}

        def take(tkey: bytes, value: bytes) -> None:
            found[tkey] = value

        self._run.alive()
        store.process_range(_CTX, ROW.min(), ROW.max(), take)
        lost = [key for key in self._rows if key not in found]
        wrong = [key for key, value in found.items() if value not in (self._rows.get(key), self._doubtful.get(key))]
        if lost or wrong:
            got = f"{len(lost)} of {len(self._rows)} acknowledged rows lost, {len(wrong)} wrong or never written"
            raise self._violation(f"what was acknowledged, {when}", got)
        for key in self._rng.sample(sorted(self._rows), min(10, len(self._rows))):
            if store.get(_CTX, key) != self._rows[key]:
                raise self._violation(f"the value, {when}", f"another, of {key!r}")

    def _violation(self, expected: Any, got: Any) -> Violation:
        return Violation(expected, got, clause="DUR-7", note=f"full by {self._room.how}, seed {self._run.seed}")
