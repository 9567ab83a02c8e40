"""What every lane runs in: one engine, a profile, and what the lane reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dvidkit_conformance.bytesession import ByteSession
from dvidkit_conformance.datatypesession import DatatypeSession
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.kernelsession import KernelSession
from dvidkit_conformance.profiles import Profile
from dvidkit_conformance.session import Journal, NoJournal, Session
from dvidkit_conformance.storesession import StoreSession

SESSIONS: Final[Mapping[str, type[Session]]] = {
    "bytes": ByteSession,
    "store": StoreSession,
    "kernel": KernelSession,
    "datatype": DatatypeSession,
}


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
        untested: why nothing could be judged here; the clause is then ``untested``.
    """

    harness: Harness
    profile: Profile
    seed: int = 0
    journal: Journal = field(default_factory=NoJournal)
    alive: Callable[[], None] = lambda: None
    cases: int = 0
    probes: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    untested: str = ""

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
