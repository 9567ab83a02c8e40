"""A writer that goes on when an operation fails: the child of the lanes in which the machine refuses things."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dvidkit.engine import Engine
from dvidkit.errors import DvidkitError, StorePoisoned
from dvidkit.store import Store
from dvidkit_conformance.lanes.crashmodel import brief
from dvidkit_conformance.lanes.crashops import VERSIONS
from dvidkit_conformance.lanes.preload import CONTROL, SYNCS, Control
from dvidkit_conformance.lanes.writer import At, Performer, teller
from dvidkit_conformance.ops import Op

PATIENCE: Final = 20.0
"""Seconds in which a suspect store must have opened itself again."""
_OPENINGS: Final = 4


_PLACE: Final[Mapping[str, Any]] = {"i": 1, "v": 2}
_LARGE: Final = 30_000

_BEFORE: Final[tuple[Op, ...]] = (
    {"op": "put_range", "i": 1, "v": 1, "pairs": [[b"k%02d" % n, b"%d" % n * 50] for n in range(30)]},
    {"op": "put", "i": 3, "v": None, "key": b"plain", "value": b"p" * _LARGE},
    {"op": "put", "i": "meta", "v": None, "key": b"m", "value": b"metadata"},
)
"""What is in the store that is copied."""

_WRITTEN: Final[tuple[Op, ...]] = (
    {"op": "put", **_PLACE, "key": b"k00", "value": b"new"},
    {"op": "batch", **_PLACE, "pairs": [[b"k01", b"1" * _LARGE], [b"k02", None], [b"kn", b"3"]]},
    {"op": "put", **_PLACE, "key": b"k03", "value": b"buffered", "durable": False},
    {"op": "delete", **_PLACE, "key": b"k04"},
    {"op": "put_range", **_PLACE, "pairs": [[b"r%02d" % n, b"%02d" % n * 1000] for n in range(30)]},
    {"op": "delete_range", **_PLACE, "first": b"r10", "last": b"r20"},
    {"op": "put", "i": 3, "v": None, "key": b"plain", "value": b"small"},
    {"op": "compact"},
    {"op": "batch", "i": 3, "v": None, "pairs": [[b"plain", None], [b"other", b"o" * _LARGE]]},
    {"op": "put", "i": "meta", "v": None, "key": b"m", "value": b"changed"},
)
"""What is written while a call fails."""

_MANY: Final = tuple(b"b%04d" % n for n in range(1100))
_TORN: Final[tuple[Op, ...]] = (
    {"op": "batch", **_PLACE, "pairs": [[key, b"first of " + key] for key in _MANY]},
    {"op": "batch", **_PLACE, "pairs": [[key, None if n % 3 else b"second"] for n, key in enumerate(_MANY)]},
    {"op": "batch", "i": 3, "v": None, "pairs": [[key, b"buffered"] for key in _MANY], "durable": False},
    {"op": "delete_range", "i": 3, "v": None, "first": _MANY[0], "last": _MANY[-2]},
)
"""Batches so large that an engine might write them in parts."""

_LAST: Final[Op] = {"op": "put", **_PLACE, "key": b"last", "value": b"well again"}
_AFTERWARDS: Final[Op] = {"op": "put", **_PLACE, "key": b"afterwards", "value": b"1"}

PROGRAMS: Final[Mapping[str, tuple[Op, ...]]] = {
    "before": (*_BEFORE, _LAST),
    "written": (*_WRITTEN, _LAST),
    "torn": _TORN,
    "compacted": ({"op": "compact"},),
    "afterwards": (_AFTERWARDS,),
    "nothing": (),
}
"""By name, as a child is told of them. By the last operation of the first two nothing fails any more."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """A life: open, do each operation until it is done or has failed, say what is there, close.

    Attributes:
        path, options: of the store.
        program: of ``PROGRAMS``.
    """

    path: str
    options: Mapping[str, Any]
    program: str

    def live(self, engine: Engine, store_class: type[Store], fd: int) -> None:
        """In the child."""
        _Attempts(self, engine, store_class, teller(fd)).live()


class _Attempts:
    def __init__(self, life: Attempts, engine: Engine, store_class: type[Store], tell: Callable[..., None]) -> None:
        self._life = life
        self._harness = At(engine, Path(life.path), life.options, store_class)
        self._tell = tell
        self._doing = "opening"
        self._control = Control.ours() if CONTROL in os.environ else None

    def live(self) -> None:
        """Whatever comes that is no error of the tree ends it."""
        try:
            session = self._opened()
            if session is not None:
                self._all(session)
        except Exception as error:
            self._tell("error", self._doing, f"raises {type(error).__name__}: {str(error)[:300]}")

    def _opened(self) -> Performer | None:
        error: DvidkitError | None = None
        for _ in range(_OPENINGS):
            try:
                return Performer(self._harness)
            except DvidkitError as refusal:
                self._tell("refused", type(refusal).__name__)
                error = refusal
        self._tell("error", "opening", f"raises {type(error).__name__} again and again: {str(error)[:300]}")
        return None

    def _all(self, session: Performer) -> None:
        for v, parents in VERSIONS:
            session.perform({"op": "version", "v": v, "parents": list(parents)})
        ops = PROGRAMS[self._life.program]
        for number, op in enumerate(ops):
            self._doing = str(op["op"])
            done = self._one(session, number, op)
            # The last one is done in the end, so that the store has opened itself again where it had to.
            while not done and number + 1 == len(ops):
                done = self._one(session, number, op)
        self._doing = "reading"
        rows = session.perform({"op": "dump"})
        self._tell("rows", brief(rows))
        self._doing = "closing"
        try:
            session.store.close()
        except DvidkitError as error:
            self._tell("unclosed", type(error).__name__)
        self._tell("closed")

    def _one(self, session: Performer, number: int, op: Op) -> bool:
        """One operation, and a read if it fails; whether it was done."""
        writes, waits = self._counted()
        try:
            ignored = self._patiently(session, op)
        except StorePoisoned:
            raise
        except DvidkitError as error:
            self._tell("failed", number, type(error).__name__)
            self._doing = f"reading after {type(error).__name__} of {op['op']}"
            self._patiently(session, {"op": "get", "i": 1, "v": 2, "key": b"k00"})
            return False
        after, waited = self._counted()
        self._tell("done", number, ignored, after > writes and waited == waits)
        return True

    def _counted(self) -> tuple[int, int]:
        """Calls so far that wrote, and that waited for the disk."""
        return (0, 0) if self._control is None else (self._control.writes, self._control.syncs)

    def _patiently(self, session: Performer, op: Op) -> str:
        """Do it, again as long as the store is suspect; the wait for the disk that failed meanwhile and was ignored.

        Raises:
            StorePoisoned: for too long.
            DvidkitError: it failed.
        """
        until = time.monotonic() + PATIENCE
        while True:
            before = self._failed_wait()
            try:
                session.perform(op)
                return "" if before else self._failed_wait()
            except StorePoisoned as error:
                if time.monotonic() > until:
                    raise
                time.sleep(min(error.retry_after, 0.05) + 0.001)

    def _failed_wait(self) -> str:
        """A wait for the disk that has failed in this thread, if one has."""
        control = self._control
        if control is None or not control.fired or control.what not in SYNCS or control.thread != os.getpid():
            return ""
        return str(control)
