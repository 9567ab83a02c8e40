"""The ways of testing: each runs in a ``Run``, raises ``Violation``, and says what it reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dvidkit_conformance import byteblame, generate
from dvidkit_conformance.bytesession import ByteSession
from dvidkit_conformance.checking import Check
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.kernelsession import KernelSession
from dvidkit_conformance.machines import byte_machine, store_machine
from dvidkit_conformance.material import SHAPES
from dvidkit_conformance.ops import Program
from dvidkit_conformance.profiles import Profile
from dvidkit_conformance.session import Journal, NoJournal, Session, Violation
from dvidkit_conformance.storesession import StoreSession

SESSIONS: Final[Mapping[str, type[Session]]] = {
    "bytes": ByteSession,
    "store": StoreSession,
    "kernel": KernelSession,
}
_SMALL_REUSE: Final = 50


@dataclass(slots=True)
class Run:
    """One engine, a profile, and what a job reports.

    Attributes:
        harness, profile, seed: what runs.
        journal: where operations are noted before they are done.
        alive: called now and then, so that a long lane is not taken for a hanging one.
        cases: programs or checks run.
        probes: what was reached.
        missing: probes that should have been reached and were not.
    """

    harness: Harness
    profile: Profile
    seed: int = 0
    journal: Journal = field(default_factory=NoJournal)
    alive: Callable[[], None] = lambda: None
    cases: int = 0
    probes: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)

    def session(self, kind: str, **options: Any) -> Session:
        """A session on a fresh store."""
        return SESSIONS[kind](self.harness, self.journal, **options)

    def done(self, session: Session) -> None:
        """One more case."""
        self.cases += 1
        self.probes.update(session.probes)
        if self.cases % 10 == 0:
            self.alive()

    def need(self, *probes: str) -> None:
        """Note what was not reached."""
        self.missing = [probe for probe in probes if not self.probes[probe]]


def directed(run: Run, check: Check) -> None:
    """One directed check."""
    if check.subject == "harness":
        check.run(run.harness)
        run.cases += 1
        return
    with run.session(check.subject, **dict(check.options)) as session:
        check.run(session)
        run.done(session)
    run.need(*check.reach)


def replay(run: Run, program: Program) -> Violation | None:
    """What a program violates on a fresh store, or ``None``."""
    if program.kind not in SESSIONS:
        return None
    try:
        with run.session(program.kind, **program.options) as session:
            session.run(program)
    except Violation as violation:
        return violation
    finally:
        run.alive()
    return None


def byte_programs(run: Run) -> None:
    """Seeded programs of byte operations."""
    limit = run.harness.engine.limits.max_key
    for n in range(run.profile.byte_programs):
        program = generate.byte_program(
            run.seed * 1_000_003 + n, longest=min(limit, 256), persistent=run.harness.persistent
        )
        try:
            _run(run, program)
        except Violation as violation:
            if violation.program is not None:
                violation.clause = byteblame.blame(violation.program, violation.expected, violation.got)
            raise
    run.need("value_read", "absent_read", "empty_value", "reverse_rows", "stale_snapshot_read", "refused:ConflictError")


def store_programs(run: Run) -> None:
    """Seeded programs over DAGs of every shape."""
    longest = run.harness.engine.limits.max_key - 14
    for n in range(run.profile.store_programs):
        seed = run.seed * 1_000_003 + n
        _run(run, generate.store_program(seed, longest=longest, persistent=run.harness.persistent))
    run.need("conflict_read", "tombstone_read", "inherited_read", "sibling_hidden", "empty_value")


def small_programs(run: Run) -> None:
    """Every program of at most three changes over a diamond; many in one store, each in an instance of its own."""
    keys = [b"a", b"b"][: run.profile.exhaustive_keys]
    programs = generate.small_programs(SHAPES["diamond"], keys, changes=3, ids=(1, 2, 3, 4))
    session: Session | None = None
    try:
        for n, program in enumerate(programs):
            if n % _SMALL_REUSE == 0:
                if session is not None:
                    session.close()
                session = run.session("store")
            assert session is not None
            _small(run, session, program, n)
    finally:
        if session is not None:
            session.close()
    run.need("conflict_read", "tombstone_read", "inherited_read", "sibling_hidden")


def _small(run: Run, session: Session, program: Program, n: int) -> None:
    run.cases += 1
    if n % 100 == 0:
        run.alive()
    for op in program.ops:
        more = {"i": n + 1, "light": n % 5 != 0} if op["op"] == "observe" else {"i": n + 1}
        try:
            session.do({**op, **more} if "i" in op else op)
        except Violation as violation:
            raise replay(run, program) or violation from None
    run.probes.update(session.probes)
    session.probes.clear()


def _run(run: Run, program: Program) -> None:
    with run.session(program.kind, **program.options) as session:
        session.run(program)
        run.done(session)


LANES: Final[Mapping[str, Callable[[Run], None]]] = {
    "ENG-ALL-1": byte_programs,
    "ENG-ALL-2": byte_machine,
    "MERGE-8": small_programs,
    "MERGE-9": store_programs,
    "MERGE-10": store_machine,
}
"""The lanes of engines and stores, by the clause that each stands for. New lanes are added here."""
