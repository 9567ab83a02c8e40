"""Hypothesis chooses the steps: focused state machines over one seeded DAG shape each, on the same sessions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dvidkit_conformance import byteblame, generate
from dvidkit_conformance.material import SHAPES, TKEY_POOLS, some_keys, version_ids
from dvidkit_conformance.ops import Op
from dvidkit_conformance.session import Session, Violation

if TYPE_CHECKING:
    from dvidkit_conformance.lanes import Run

_FOCUS = ("diamond", "criss-cross", "three-way", "line")


def byte_machine(run: Run) -> None:
    """Steps on a byte store, everything observed after each."""
    longest = min(run.harness.engine.limits.max_key, 256)
    keys = some_keys(random.Random(f"machine {run.seed}"), longest)

    def begin() -> Session:
        return run.session("bytes")

    def step(session: Session, rng: random.Random) -> None:
        session.do(generate.byte_step(rng, keys, persistent=run.harness.persistent))
        for op in generate.byte_observation(rng, keys):
            session.do(op)

    try:
        _drive(run, begin, step)
    except Violation as violation:
        if violation.program is not None:
            violation.clause = byteblame.blame(violation.program, violation.expected, violation.got)
        raise
    run.need("value_read", "absent_read")


def store_machine(run: Run) -> None:
    """Steps on a store over a diamond, a criss-cross, a merge of three, a line."""
    rng = random.Random(f"machines {run.seed}")
    for shape in _FOCUS:
        parents = SHAPES[shape]
        ids = version_ids(rng, len(parents))
        nodes: list[Op] = [
            {"op": "version", "v": ids[n], "parents": [ids[p] for p in each]} for n, each in enumerate(parents)
        ]
        _drive(run, *_on(run, nodes, ids, TKEY_POOLS[rng.randrange(4)][:3]))
    run.need("tombstone_read", "inherited_read")


def _on(run: Run, nodes: Sequence[Op], ids: Sequence[int], keys: Sequence[bytes]) -> tuple[Any, Any]:
    def begin() -> Session:
        session = run.session("store")
        for op in nodes:
            session.do(op)
        return session

    def step(session: Session, rng: random.Random) -> None:
        session.do(generate.store_step(rng, 1, ids, keys, persistent=run.harness.persistent))
        session.do({"op": "observe", "i": 1, "keys": list(keys), "light": 1 + len(session.ops) // 2 % 2})

    return begin, step


def _all_of(kinds: Any) -> list[Any]:
    return list(kinds)


def _drive(run: Run, begin: Any, step: Any) -> None:
    """Run the machine; of a failure keep the smallest program that Hypothesis came by."""
    if not run.profile.machine_examples:
        return
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

    found: list[Violation] = []

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.session: Session = begin()

        @rule(rng=st.randoms(use_true_random=False))
        def change(self, rng: random.Random) -> None:
            try:
                step(self.session, rng)
            except Violation as violation:
                found.append(violation)
                raise

        def teardown(self) -> None:
            run.done(self.session)
            self.session.close()

    chosen = settings(
        max_examples=run.profile.machine_examples,
        stateful_step_count=run.profile.machine_steps,
        deadline=None,
        database=None,
        derandomize=run.profile.derandomize,
        phases=[Phase.generate],
        suppress_health_check=_all_of(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    if run.seed and not run.profile.derandomize:
        seeded(run.seed)(Machine)
    try:
        run_state_machine_as_test(Machine, settings=chosen)
    except Exception:
        if found:
            raise min(found, key=lambda violation: len(violation.program.ops) if violation.program else 0) from None
        raise
