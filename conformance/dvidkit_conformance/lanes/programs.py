"""Directed checks, programs that are replayed, and programs that are made up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from dvidkit_conformance import byteblame, generate
from dvidkit_conformance.checking import Check
from dvidkit_conformance.lanes.run import SESSIONS, Run
from dvidkit_conformance.material import SHAPES
from dvidkit_conformance.ops import Program
from dvidkit_conformance.session import Session, Violation
from dvidkit_conformance.threads import scheduled

_SMALL_TOGETHER: Final = 50
_SMALL_REUSE: Final = 4
_SMALL_FULL: Final = 5


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
    """Every program of at most three changes over a diamond; many in one instance, each on TKeys of its own."""
    keys = [b"a", b"b"][: run.profile.exhaustive_keys]
    programs = generate.small_programs(SHAPES["diamond"], keys, changes=3, ids=(1, 2, 3, 4))
    groups = iter(lambda: list(islice(programs, _SMALL_TOGETHER)), [])
    while some := list(islice(groups, _SMALL_REUSE)):
        with run.session("store") as session:
            for i, group in enumerate(some, 1):
                _small(run, session, group, i)
    run.need("conflict_read", "tombstone_read", "inherited_read", "sibling_hidden")


def _small(run: Run, session: Session, programs: Sequence[Program], i: int) -> None:
    """Programs in one instance; what they violate together is told by the one that violates it alone, if one does."""
    run.alive()
    run.cases += len(programs)
    try:
        for n, program in enumerate(programs):
            _changes(session, program, n, i)
        # The TKeys of every fifth program by every read.
        for light in (0, 1 + i % 2):
            some = [(n, program) for n, program in enumerate(programs) if (n % _SMALL_FULL > 0) is (light > 0)]
            keys = [_own(n, key) for n, program in some for key in program.ops[-1]["keys"]]
            session.do({"op": "observe", "i": i, "keys": keys, "light": light})
    except Violation as violation:
        raise next(filter(None, (replay(run, program) for program in programs)), violation) from None
    run.probes.update(session.probes)
    session.probes.clear()


def _changes(session: Session, program: Program, n: int, i: int) -> None:
    """What the program changes, on TKeys of its own, in this instance."""
    for op in program.ops[:-1]:
        if op["op"] != "version":
            session.do({**op, "i": i, "key": _own(n, op["key"])})
        elif op["v"] not in session.model.ancestors:
            session.do(op)


def _own(n: int, key: bytes) -> bytes:
    """A TKey of the n-th program; none is the beginning of another."""
    return b"%03d" % n + key


def _run(run: Run, program: Program) -> None:
    with run.session(program.kind, **program.options) as session:
        session.run(program)
        run.done(session)
