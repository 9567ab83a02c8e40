"""Directed checks, programs that are replayed, and programs that are made up."""

from __future__ import annotations

from typing import Final

from dvidkit_conformance import byteblame, generate
from dvidkit_conformance.checking import Check
from dvidkit_conformance.lanes.run import SESSIONS, Run
from dvidkit_conformance.material import SHAPES
from dvidkit_conformance.ops import Program
from dvidkit_conformance.session import Session, Violation
from dvidkit_conformance.threads import scheduled

_SMALL_REUSE: Final = 50


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
    if program.kind in scheduled.KINDS:
        return scheduled.replay(run, program)
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
    known = session.model.ancestors
    for op in (op for op in program.ops if op["op"] != "version" or op["v"] not in known):
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
