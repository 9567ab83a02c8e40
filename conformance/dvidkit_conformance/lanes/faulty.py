"""The kernel over an engine whose n-th call fails, for every n, for every operation of a ``Store``.

After a failure the store holds what it held before the operation or what it holds after it; an operation that reported
success was done; a failed write makes the store suspect, which refuses writes until it has opened itself again, while
it is read; and then everything works, and is still there after reopening.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Final

from dvidkit.errors import StorePoisoned
from dvidkit.store import Store
from dvidkit.verify import verify
from dvidkit_conformance.failing import Faults, failing
from dvidkit_conformance.harness import Harness, Tapped
from dvidkit_conformance.lanes.crashmodel import adopted, in_part
from dvidkit_conformance.lanes.run import Run
from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import Err, Foreign, difference, matches
from dvidkit_conformance.session import Violation, attempt
from dvidkit_conformance.storesession import StoreSession

PATIENCE: Final = 10.0
LEAST_TRIES: Final = 20
"""Seconds in which a store must have opened itself again when nothing fails any more."""
_MOST_CALLS: Final = 400
_PLACE: Final[Mapping[str, Any]] = {"i": 1, "v": 2}
_RANGE: Final[Mapping[str, Any]] = {**_PLACE, "first": b"a", "last": b"z"}

WAYS: Final = (
    (("failed", True),),
    (("failed", True), ("driver", False)),
    (("failed", True), ("driver", False), ("failed", False), ("driver", True), ("full", False)),
)
"""Kinds of error, and whether the call has had its effect, for each scale of a profile."""

OPERATIONS: Final[tuple[Op, ...]] = (
    {"op": "put", **_PLACE, "key": b"k1", "value": b"new"},
    {"op": "put", **_PLACE, "key": b"kd", "value": b"over a tombstone"},
    {"op": "delete", **_PLACE, "key": b"k1"},
    {"op": "batch", **_PLACE, "pairs": [[b"k1", b"1"], [b"k2", None], [b"kn", b"3"]]},
    {"op": "put_range", **_PLACE, "pairs": [[b"k2", b"2"], [b"k3", b"3"]]},
    {"op": "delete_range", **_RANGE},
    {"op": "delete_all", "i": 1},
    {"op": "raw_put", "key": b"\x01\x00\x00\x00\x01kr\x00\x00\x00\x01\x00\x00\x00\x00\x03", "value": b"raw"},
    {"op": "raw_delete", "key": b"\x01\x00\x00\x00\x01k1\x00\x00\x00\x01\x00\x00\x00\x00\x03"},
    {"op": "put", "i": 3, "v": None, "key": b"k1", "value": b"unversioned"},
    {"op": "put", "i": "meta", "v": None, "key": b"mm", "value": b"metadata"},
    {"op": "get", **_PLACE, "key": b"k1"},
    {"op": "exists", **_PLACE, "key": b"k2"},
    {"op": "get_version", **_PLACE, "key": b"k1"},
    {"op": "get_many", **_PLACE, "keys": [b"k1", b"k2", b"kn"]},
    *({"op": name, **_RANGE} for name in ("get_range", "keys_in_range", "iter_range", "process_range", "send_keys")),
    {"op": "raw", "first": b"\x01", "last": b"\x02"},
    {"op": "compact"},
    {"op": "sizes"},
    {"op": "blob"},
    {"op": "snapshot"},
)
"""One of each kind. Those that read are among them: what they answer must be right, or an error."""


class _Session(StoreSession):
    """A session over a failing engine; its raw dumps are read past the faults."""

    def __init__(self, harness: Harness, faults: Faults) -> None:
        self.faults = faults
        super().__init__(harness)

    def _open(self) -> None:
        tap = Tapped(self.harness.engine)
        self.tap = tap
        self.store = self.harness.store_class(failing(tap, self.faults), self.harness.config(self.path))

    def _compact(self, op: Op) -> Any:
        if self.harness.offers("compact"):
            self.store.compact()

    def _sizes(self, op: Op) -> Any:
        if self.harness.offers("sizes"):
            return len(self.store.approximate_sizes([(b"\x01", b"\x02"), (b"\x00", b"\x01")])) == 2
        return True

    def _blob(self, op: Op) -> Any:
        return self.store.get_blob(self.store.put_blob(b"some data"))

    def _snapshot(self, op: Op) -> Any:
        with self.store.snapshot() as view:
            return view.get(self.context({**_PLACE}), b"k1")


def faulty(run: Run) -> None:
    """ERR-7: every operation, every call, every way of failing."""
    ways = WAYS[run.profile.scale]
    faults = Faults()
    session: _Session | None = None
    try:
        for op in OPERATIONS:
            for error, after in ways:
                session = session or _prepared(run, faults)
                _Trial(run, session, op, error, after=after).all_calls()
                session = _used_up(session)
        lasting(run)
    finally:
        if session is not None:
            session.close()
    run.need("suspect", "read_failed", "before", "after", "poisoned", "well_again")


def lasting(run: Run) -> None:
    """The engine fails, and so does reopening it, until it is well again; then the store is, without being reopened."""
    faults = Faults()
    session = _prepared(run, faults)
    try:
        trial = _Trial(run, session, OPERATIONS[3], "failed", after=False)
        trial.until_well()
    finally:
        session.close()


def _prepared(run: Run, faults: Faults) -> _Session:
    session = _Session(run.harness, faults)
    session.versions((1, ()), (2, (1,)), (3, (1,)))
    for i in (1, 2):
        session.put_range((b"k1", b"one"), (b"k2", b"two"), (b"kd", b"gone"), (b"k9", b"nine"), v=1, i=i)
        session.delete(b"kd", v=2, i=i)
        session.put(b"k2", b"own", v=2, i=i)
    session.put(b"k1", b"plain", i=3)
    return session


def _used_up(session: _Session) -> _Session | None:
    """The session, if what it holds is still what operations are made for."""
    if b"k1" in session.model.entries.get(1, {}) and len(session.model.entries[1]) > 3:
        return session
    session.close()
    return None


class _Trial:
    """One operation and one way of failing."""

    def __init__(self, run: Run, session: _Session, op: Op, error: str, *, after: bool) -> None:
        self._run = run
        self._session = session
        self._op = op
        self._error = error
        self._after = after
        self._faults = session.faults

    def all_calls(self) -> None:
        """Fail the first call, the second and so on, until the operation makes fewer."""
        for n in range(1, _MOST_CALLS):
            if not self._one(n):
                return
        raise self._violation("an operation that ends", f"more than {_MOST_CALLS} calls into the engine")

    def _one(self, n: int) -> bool:
        session, before = self._session, self._session.model
        later = deepcopy(before)
        expected = _expected(later, self._op, before)
        self._faults.arm(n, self._error, after=self._after)
        got = _answer(session, self._op)
        self._faults.disarm()
        self._run.cases += 1
        self._run.alive()
        fired = list(self._faults.fired)
        state = self._state(before, later, succeeded=not _is_error(got))
        if not _is_error(got) and not matches(expected, got):
            raise self._violation(*difference(expected, got))
        session.ops.append(self._op)
        session.model = state
        self._sound(fired)
        return bool(fired)

    def _state(self, before: Any, later: Any, *, succeeded: bool) -> Any:
        """The model of what is there: what was before, or what is after; only the latter if that was reported.

        A deletion of everything goes in batches: interrupted, it has deleted a part, and may be called again.
        """
        rows = self._dump()
        for name, model in (("after", later), ("before", before)):
            if matches(_with_blob(model.dump(), rows), rows):
                if succeeded and name == "before" and not matches(later.dump(), before.dump()):
                    raise self._violation("what was reported as done", "what was there before")
                self._run.probes[name] += 1
                return model
        if self._op["op"] == "delete_all" and not succeeded and in_part(before.dump(), later.dump(), rows):
            self._run.probes["in_part"] += 1
            return adopted(before, rows)
        raise self._violation(*difference(later.dump(), rows))

    def _dump(self) -> Any:
        return self._session.perform({"op": "dump"})

    def _sound(self, fired: list[str]) -> None:
        """After the failure: suspect if a write failed, readable, soon writable, and whole."""
        session, run = self._session, self._run
        wrote = any(name == "write" for name in fired)
        if wrote and self._session.store.suspect is None:
            raise self._violation("a store that is suspect after a failed write (R7)", "it is not")
        run.probes["read_failed"] += bool(fired) and not wrote
        if wrote:
            run.probes["suspect"] += 1
            self._refuses()
        self._reads()
        self._writes()
        if fired:
            self._whole()
        session.ops.append({"op": "dump"})

    def _refuses(self) -> None:
        """At once after the failure a write is refused, and says when to come again."""
        try:
            self._session.store.raw_put(b"\x00suspect", b"")
        except StorePoisoned as error:
            self._run.probes["poisoned"] += 1
            if not 0 <= error.retry_after < PATIENCE:
                raise self._violation(f"retry_after of 0 to {PATIENCE} s", error.retry_after) from error
        else:
            # It was opened again within a moment: allowed, and then the write was done.
            self._session.store.raw_delete(b"\x00suspect")

    def _reads(self) -> None:
        for key in (b"k1", b"k2", b"kd"):
            read: Op = {"op": "get", **_PLACE, "key": key}
            expected, got = self._session.model.apply(read), _answer(self._session, read)
            if not matches(expected, got):
                raise self._violation(expected, got, note=f"get of {key!r} after the failure")

    def _writes(self) -> None:
        """A write succeeds, at the latest when the store had time to open itself again."""
        until, tries = time.monotonic() + PATIENCE, 0
        op: Op = {"op": "put", "i": 2, "v": 1, "key": b"k1", "value": b"%d" % self._run.cases}
        while True:
            try:
                self._session.perform(op)
                break
            except StorePoisoned as error:
                tries += 1
                if time.monotonic() > until and tries >= LEAST_TRIES:
                    raise self._violation(
                        "a store that opens itself again", f"still poisoned after {PATIENCE} s"
                    ) from error
                time.sleep(min(error.retry_after, 0.1) + 0.001)
            except Exception as error:
                raise self._violation("a write that succeeds after the failure", attempt(_raiser(error))) from error
        self._session.model.apply(op)

    def _whole(self) -> None:
        """Everything that was acknowledged is there, and the completeness records say the same."""
        rows = self._dump()
        expected = _with_blob(self._session.model.dump(), rows)
        if not matches(expected, rows):
            raise self._violation(*difference(expected, rows))
        if isinstance(self._session.store, Store) and not self._raw():
            bad = [finding.text for finding in verify(self._session.store).findings if finding.instance is not None]
            if bad:
                raise self._violation("a store that verifies", bad[0])

    def _raw(self) -> bool:
        """Raw changes bypass the completeness records, as they say."""
        return any(op["op"].startswith("raw_") for op in self._session.ops)

    # --- an engine that stays ill ------------------------------------------------------------------------------------

    def until_well(self) -> None:
        """See ``lasting``."""
        self._faults.arm(1, self._error, lasting=True)
        got = _answer(self._session, self._op)
        if not _is_error(got):
            raise self._violation("an error", got)
        for wait in (0.06, 0.12, 0.0):
            time.sleep(wait)
            got = attempt(lambda: self._session.store.raw_put(b"\x00suspect", b""))
            if not _is_error(got):
                raise self._violation("an error while everything fails", got)
        self._faults.disarm()
        self._writes()
        self._whole()
        self._run.probes["well_again"] += 1

    def _violation(self, expected: Any, got: Any, *, note: str = "") -> Violation:
        calls, at = self._faults.calls, self._faults.at
        fired = ", ".join(self._faults.fired) or "none"
        how = "after it was done" if self._after else "before it was done"
        where = f"{self._op['op']}: call {at or len(calls)} ({fired}) fails {how} with {self._error!r}"
        self._session.ops.append(self._op)
        return self._session.violation(expected, got, clause="ERR-7", note=f"{where}; {note}".rstrip("; "))


def _expected(later: Any, op: Op, before: Any) -> Any:
    """What the operation answers when nothing fails; the model is then what is there after it."""
    if op["op"] in ("compact", "sizes"):
        return None if op["op"] == "compact" else True
    if op["op"] == "blob":
        return b"some data"
    if op["op"] == "snapshot":
        return before.apply({"op": "get", **_PLACE, "key": b"k1"})
    return later.apply(op)


def _with_blob(rows: list[Any], found: Any) -> Any:
    """Blobs are no part of the model: those that are there are taken as they are."""
    blobs = [row for row in found if row[0][:1] == b"\x02"] if isinstance(found, list) else []
    return sorted([*rows, *blobs])


def _answer(session: _Session, op: Op) -> Any:
    return attempt(lambda: session.perform(op))


def _is_error(got: Any) -> bool:
    return isinstance(got, (Err, Foreign))


def _raiser(error: Exception) -> Callable[[], Any]:
    def again() -> Any:
        raise error

    return again
