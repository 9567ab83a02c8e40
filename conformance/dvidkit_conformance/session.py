"""Running operations on a store under test and on the model at once.

A session does one operation after the other on both and compares the answers at once; what was done so far is the
program. Directed checks, random programs, Hypothesis machines and replays are all only ways of feeding a session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from dvidkit.errors import DvidkitError, VersionConflict
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.ops import Op, Program
from dvidkit_conformance.results import ABSENT, Err, Foreign, difference, matches, plain


class Journal(Protocol):
    """Where a session notes each operation before it is done, so that a crash of the process leaves the program."""

    def begin(self, kind: str, options: Mapping[str, Any]) -> None:
        """A new program begins."""

    def note(self, op: Op) -> None:
        """This operation is about to be done."""


class NoJournal:
    """Where the process is not expected to die."""

    def begin(self, kind: str, options: Mapping[str, Any]) -> None:
        """See ``Journal``."""

    def note(self, op: Op) -> None:
        """See ``Journal``."""


class Violation(Exception):
    """The store under test answered otherwise than it must.

    Attributes:
        expected, got: what the model says and what came, cut to where they differ.
        program: the operations up to and with the one that differed.
        clause: the clause that is broken, where that is known better than by the check that ran.
        note: what else a reader needs.
        minimal: its program was made small already.
        sure: the clause that is judged names it better than others that it breaks too.
    """

    def __init__(
        self, expected: Any, got: Any, program: Program | None = None, *, clause: str = "", note: str = ""
    ) -> None:
        super().__init__(f"expected {expected!r}, got {got!r}")
        self.expected = expected
        self.got = got
        self.program = program
        self.clause = clause
        self.note = note
        self.minimal = False
        self.sure = False


class Session:
    """A store and its model, in step. Use as a context manager: the end closes and removes the store.

    Attributes:
        harness: whose store it is.
        path: where the store is.
        ops: what was done.
        probes: how often something that matters was reached.
    """

    kind = ""
    model: Any

    def __init__(self, harness: Harness, journal: Journal | None = None, **options: Any) -> None:
        self.harness = harness
        self.options = options
        self.path: Path = harness.fresh()
        self.ops: list[Op] = []
        self.probes: Counter[str] = Counter()
        self._journal = journal or NoJournal()
        self._journal.begin(self.kind, options)

    # --- for checks --------------------------------------------------------------------------------------------------

    def do(self, op: Op) -> Any:
        """Do it on both; the answer.

        Raises:
            Violation: the answers differ.
        """
        self.ops.append(op)
        self._journal.note(op)
        if self.skips(op):
            return ABSENT
        expected = self.model.apply(op)
        self.expects(expected)
        got = self.answer(op)
        if not matches(expected, got):
            raise self.violation(*difference(expected, got), clause=self.blame(op, expected, got))
        self.model.settle(op, got)
        self.count(op, got)
        return got

    def run(self, program: Program) -> None:
        """Do every operation of a program."""
        for op in program.ops:
            self.do(op)

    def require(self, holds: bool, expected: Any, got: Any, *, clause: str = "", note: str = "") -> None:
        """Raise ``Violation`` unless it holds; for what the model does not speak of."""
        if not holds:
            raise self.violation(expected, got, clause=clause, note=note)

    def violation(self, expected: Any, got: Any, *, clause: str = "", note: str = "") -> Violation:
        """A violation by the program so far."""
        return Violation(expected, got, self.program(), clause=clause, note=note)

    def program(self) -> Program:
        """What was done so far."""
        return Program(self.kind, tuple(self.ops), dict(self.options))

    # --- for subclasses ----------------------------------------------------------------------------------------------

    def perform(self, op: Op) -> Any:
        """Do it on the store under test."""
        raise NotImplementedError

    def skips(self, op: Op) -> bool:
        """Whether the engine does not offer this operation."""
        return False

    def expects(self, expected: Any) -> None:
        """What the model says, just before the operation is done."""

    def count(self, op: Op, got: Any) -> None:
        """Note what was reached."""

    def blame(self, op: Op, expected: Any, got: Any) -> str:
        """The clause that this difference breaks, or nothing if the check knows better."""
        return ""

    def close(self) -> None:
        """Close and remove the store."""
        raise NotImplementedError

    def answer(self, op: Op) -> Any:
        """What the store under test answers: data, or the error's name."""
        return attempt(lambda: self.perform(op))

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.close()
        except Exception:
            if error[0] is None:
                raise


def attempt(call: Callable[[], Any]) -> Any:
    """What the call answers, as data; errors by name, conflicts with what they say."""
    try:
        return plain(call())
    except Violation:
        raise
    except VersionConflict as error:
        return conflict(error)
    except DvidkitError as error:
        return Err(type(error).__name__)
    except RecursionError as error:
        return Foreign(f"raises RecursionError: {error}")
    except Exception as error:
        return Foreign(f"raises {type(error).__module__}.{type(error).__qualname__}: {str(error)[:200]}")


def conflict(error: VersionConflict) -> dict[str, Any]:
    """A conflict as data: TKeys and versions, and the rest of a range's result."""
    found = sorted([bytes(each.tkey), sorted(int(v) for v in each.versions)] for each in error.conflicts)
    if error.result is None:
        return {"conflicts": found}
    return {"rows": plain(error.result), "conflicts": found}
