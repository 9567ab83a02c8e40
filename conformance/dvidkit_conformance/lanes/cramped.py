"""LIM-9 and LIM-10: little address space is left, before a store is opened or after; then there is room again.

A child limits itself (``RLIMIT_AS``), opens, writes, reads, lifts the limit and goes on. What was acknowledged must be
there, what failed is there or not, whole. An error is of the tree, or Python's own ``MemoryError``. A driver may end
the process when it gets no memory; that is a deviation (LIM-10), and what was acknowledged must be there all the same.
"""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dvidkit.engine import Engine
from dvidkit.errors import DvidkitError, StorePoisoned
from dvidkit.store import Store
from dvidkit_conformance.lanes.crashmodel import brief
from dvidkit_conformance.lanes.crashops import VERSIONS
from dvidkit_conformance.lanes.known import Known
from dvidkit_conformance.lanes.run import Run
from dvidkit_conformance.lanes.undeterred import PATIENCE, PROGRAMS, Attempts
from dvidkit_conformance.lanes.writer import At, Performer, teller
from dvidkit_conformance.lanes.zygote import Zygote
from dvidkit_conformance.ops import Op, Program
from dvidkit_conformance.session import Violation

_KIB: Final = 1 << 10
_SPARE: Final[tuple[tuple[int, ...], ...]] = (
    (512 * _KIB,),
    tuple(size * _KIB for size in (16, 256, 1024, 4096, 16_384, 131_072)),
    tuple(int(16 * _KIB * 1.5**n) for n in range(24)),
)
"""Bytes of address space beyond what the process has, by profile."""
_STATUS: Final = Path("/proc/self/status")
_PLACE: Final[Mapping[str, Any]] = {"i": 1, "v": 2}

_WRITTEN: Final[tuple[Op, ...]] = (
    {"op": "put", **_PLACE, "key": b"k00", "value": b"new"},
    {"op": "batch", **_PLACE, "pairs": [[b"k01", b"1" * 300_000], [b"k02", None], [b"kn", b"3"]]},
    {"op": "put_range", **_PLACE, "pairs": [[b"r%02d" % n, b"%02d" % n * 10_000] for n in range(20)]},
    {"op": "delete_range", **_PLACE, "first": b"r05", "last": b"r10"},
    {"op": "put", "i": 3, "v": None, "key": b"plain", "value": b"o" * 1_000_000},
)
_LAST: Final[Op] = {"op": "put", **_PLACE, "key": b"last", "value": b"there is room again"}


def little_memory(run: Run) -> None:
    """LIM-9."""
    _Cramped(run, "LIM-9").all()


def lives_on(run: Run) -> None:
    """LIM-10."""
    _Cramped(run, "LIM-10").all()


@contextmanager
def _limited(spare: int) -> Iterator[None]:
    """So many bytes of address space beyond what there is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = next(int(line.split()[1]) for line in _STATUS.read_text("ascii").splitlines() if line.startswith("VmSize"))
    resource.setrlimit(resource.RLIMIT_AS, (used * _KIB + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@dataclass(frozen=True, slots=True)
class Squeezed:
    """A life with little address space in its middle.

    Attributes:
        path, options: of the store.
        spare: bytes of address space that are left.
        opening: it opens the store with no more, too.
    """

    path: str
    options: Mapping[str, Any]
    spare: int
    opening: bool

    def live(self, engine: Engine, store_class: type[Store], fd: int) -> None:
        """In the child."""
        tell = teller(fd)
        try:
            self._live(At(engine, Path(self.path), self.options, store_class), tell)
        except Exception as error:
            tell("error", f"raises {type(error).__name__}: {str(error)[:300]}")

    def _live(self, harness: At, tell: Any) -> None:
        session: Performer | None = None
        if self.opening:
            with _limited(self.spare):
                try:
                    session = Performer(harness)
                except (DvidkitError, MemoryError) as error:
                    tell("refused", type(error).__name__)
        session = session or Performer(harness)
        for v, parents in VERSIONS:
            session.perform({"op": "version", "v": v, "parents": list(parents)})
        with _limited(self.spare):
            for op in (*_WRITTEN, {"op": "dump"}):
                try:
                    session.perform(op)
                except (DvidkitError, MemoryError) as error:
                    tell("failed", type(error).__name__)
                else:
                    tell("done")
        tell("room")
        self._patiently(session)
        tell("rows", brief(session.perform({"op": "dump"})))
        session.store.close()

    @staticmethod
    def _patiently(session: Performer) -> None:
        """The last write, when there is room: a store that had become suspect opens itself again."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                session.perform(_LAST)
                return
            except StorePoisoned as error:
                if time.monotonic() > until:
                    raise
                time.sleep(min(error.retry_after, 0.05) + 0.001)


class _Cramped:
    """Every amount of memory, for one clause."""

    def __init__(self, run: Run, clause: str) -> None:
        self._run = run
        self._clause = clause
        self._died = ""
        self._where = ""

    def all(self) -> None:
        """Before opening and after it, on copies of one store."""
        run = self._run
        if not _STATUS.exists():
            run.untested = "the size of the address space cannot be read here (/proc/self/status)"
            return
        folder = run.harness.fresh_folder()
        path, base = folder / "store", folder / "base"
        with Zygote(run.harness) as zygote:
            self._life(zygote, Attempts(str(base), {}, "before"), Known(), PROGRAMS["before"])
            for opening in (True, False):
                for spare in _SPARE[run.profile.scale]:
                    shutil.rmtree(path, ignore_errors=True)
                    shutil.copytree(base, path)
                    self._where = f"{spare >> 10} KiB left {'to open with' if opening else 'after opening'}"
                    self._trial(zygote, Squeezed(str(path), {}, spare, opening))
        run.harness.remove(folder)
        run.need("squeezed", "went_on")

    def _trial(self, zygote: Zygote, life: Squeezed) -> None:
        known = Known()
        known.done(*PROGRAMS["before"])
        self._run.cases += 1
        self._run.probes["squeezed"] += 1
        if self._life(zygote, life, known, (*_WRITTEN, _LAST)):
            self._run.probes["died"] += 1
            if self._clause == "LIM-10":
                raise self._violation("a process that lives", self._died, known)
        if self._life(zygote, Attempts(life.path, {}, "afterwards"), known, PROGRAMS["afterwards"]):
            raise self._violation("a store that opens when there is room", self._died, known)
        self._run.probes["went_on"] += 1

    def _life(self, zygote: Zygote, life: Any, known: Known, ops: tuple[Op, ...]) -> int:
        """Whether it died. What it was at may have been done."""
        left = list(ops)
        writer = zygote.start(life)
        try:
            with writer:
                for message in writer.hear(self._run.profile.stall / 2):
                    self._run.alive()
                    self._note(message, known, left)
        except TimeoutError as error:
            raise self._violation("an answer", f"{error}: it hangs", known) from None
        status = writer.ended()
        self._died = f"it died of {f'signal {-status}' if status < 0 else f'status {status}'}"
        if status and left:
            known.failed(left[0])
        return status

    def _note(self, message: tuple[Any, ...], known: Known, left: list[Op]) -> None:
        said = message[0]
        if said in ("done", "failed") and left and left[0] is not _LAST:
            op = left.pop(0)
            (known.done if said == "done" else known.failed)(op)
        elif said == "rows":
            if left and left[0] is _LAST:
                known.done(left.pop(0))
            if not known.found(message[1]):
                raise self._violation(f"one of {known.count} states", "another", known)
        elif said == "error":
            raise self._violation("an error of the tree, or MemoryError, then success", message[-1], known)
        if said in ("failed", "refused"):
            self._run.probes["error"] += 1

    def _violation(self, expected: str, got: str, known: Known) -> Violation:
        dag: list[Op] = [{"op": "version", "v": v, "parents": list(parents)} for v, parents in VERSIONS]
        return Violation(expected, got, Program("cramped", (*dag, *known.ops)), clause=self._clause, note=self._where)
