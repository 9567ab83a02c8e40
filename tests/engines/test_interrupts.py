"""A batch that is interrupted while an engine takes it: nothing of it is there, and the store goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Any, overload

import pytest

from dvidkit.engine import ByteStore, Engine, Loss

Change = tuple[bytes, bytes | None]

PUTS: list[Change] = [(b"%03d" % number, b"new") for number in range(100)]
MIXED: list[Change] = [*PUTS[:40], (b"kept", None), *PUTS[40:]]


class Interrupting(Sequence[Change]):
    """A batch in the middle of which Ctrl-C is pressed, in the pass over it whose number is given.

    Attributes:
        passes: how many have been begun.
    """

    def __init__(self, changes: list[Change], at: int = 0) -> None:
        self._changes = changes
        self._at = at
        self.passes = 0

    def __len__(self) -> int:
        return len(self._changes)

    @overload
    def __getitem__(self, place: int) -> Change: ...
    @overload
    def __getitem__(self, place: slice) -> Interrupting: ...
    def __getitem__(self, place: Any) -> Any:
        return Interrupting(self._changes[place]) if isinstance(place, slice) else self._changes[place]

    def __iter__(self) -> Iterator[Change]:
        self.passes += 1
        for number, change in enumerate(self._changes):
            if self.passes == self._at and number == len(self._changes) // 2:
                signal.raise_signal(signal.SIGINT)
            yield change


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """The signal raises ``KeyboardInterrupt``, as in any program."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def rows(store: ByteStore) -> list[tuple[bytes, bytes]]:
    """Everything there is."""
    return list(store.scan(b"\x00", b"\xff"))


@pytest.mark.parametrize("changes", [PUTS, MIXED], ids=["puts", "mixed"])
def test_an_interrupted_batch_leaves_nothing(engine: Engine, stores: Any, changes: list[Change]) -> None:
    """In whichever pass over the batch: no change of it is visible, the next write is whole, and so it stays."""
    whole = Interrupting(changes)
    stores.open("counted").write(whole, durable=False)
    assert whole.passes > 0
    store = stores.of([(b"kept", b"old")])
    for at in range(1, whole.passes + 1):
        with pytest.raises(KeyboardInterrupt):
            store.write(Interrupting(changes, at), durable=True)
        assert rows(store) == [(b"kept", b"old")]
        assert store.get(b"001") is None
    wanted = [(b"after", b"1"), (b"kept", b"older")]
    store.write(wanted, durable=True)
    assert rows(store) == wanted
    if engine.capabilities.durable is not Loss.NONE:
        assert rows(stores.reopened(store)) == wanted
