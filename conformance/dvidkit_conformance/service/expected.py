"""What may be found after a server was killed: an account of every change that was asked for.

A *cell* is something that one change sets as a whole: a key, or a box of voxels, at a version. A change is *done* when
the server has answered 2xx, *refused* when it has answered 4xx, and otherwise *open*: it may have happened or not. What
may be read from a cell is the value of any change that was not refused, unless another change was done that was begun
after this one had ended. A cell without changes of its own has what its parent version may have.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

Digest = bytes | None
"""Of a value; ``None`` for none."""

Place = tuple[str, Hashable]
"""UUID of a version, and what is there."""


def digest(value: bytes | None) -> Digest:
    """Of a value."""
    return None if value is None else hashlib.blake2b(value, digest_size=12).digest()


@dataclass(slots=True, eq=False)
class Change:
    """One request that changes cells, all of them or none.

    Attributes:
        values: what it sets.
        begun, ended: when it was sent, and when its answer came or the server was killed.
        state: ``open``, ``done`` or ``refused``.
        own: its values are its alone, so that a part of it can be told.
    """

    values: Mapping[Place, Digest]
    begun: float
    ended: float = float("inf")
    state: str = "open"
    own: bool = False


@dataclass(slots=True)
class Account:
    """All changes since the cells were last read. Thread-safe.

    Attributes:
        parents: of versions.
        done, refused, open: changes by what became of them.
    """

    parents: dict[str, str] = field(default_factory=dict)
    done: int = 0
    refused: int = 0
    open: int = 0
    _known: dict[Place, Digest] = field(default_factory=dict)
    _changes: dict[Place, list[Change]] = field(default_factory=dict)
    _running: set[Change] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, values: Mapping[Place, Digest], *, own: bool = False) -> Change:
        """A change is about to be asked for."""
        change = Change(values, time.monotonic(), own=own)
        with self._lock:
            self._running.add(change)
            for place in values:
                self._changes.setdefault(place, []).append(change)
        return change

    def answered(self, change: Change, status: int) -> None:
        """The server has answered."""
        with self._lock:
            self._running.discard(change)
            change.ended = time.monotonic()
            if 200 <= status < 300:
                change.state = "done"
                self.done += 1
            elif 400 <= status < 500:
                change.state = "refused"
                self.refused += 1
            else:
                self.open += 1

    def killed(self) -> None:
        """The server is gone: what has no answer will get none."""
        with self._lock:
            for change in self._running:
                change.ended = time.monotonic()
            self.open += len(self._running)
            self._running.clear()

    # --- what may be there -------------------------------------------------------------------------------------------

    def may_be(self, place: Place) -> set[Digest]:
        """Every value that may be read."""
        changes = [change for change in self._changes.get(place, ()) if change.state != "refused"]
        done = [change for change in changes if change.state == "done"]
        possible = {change.values[place] for change in changes if not any(other.begun > change.ended for other in done)}
        return possible if done else possible | self._before(place)

    def _before(self, place: Place) -> set[Digest]:
        """What may be read if no change of the cell happened."""
        if place in self._known:
            return {self._known[place]}
        uuid, what = place
        parent = self.parents.get(uuid)
        return {None} if parent is None else self.may_be((parent, what))

    def places(self, uuid: str) -> set[Hashable]:
        """Everything that a version may have, of its own or from its ancestors."""
        found: set[Hashable] = set()
        at: str | None = uuid
        while at is not None:
            found |= {what for (where, what) in (*self._changes, *self._known) if where == at}
            at = self.parents.get(at)
        return found

    def found(self, seen: Mapping[Place, Digest]) -> list[str]:
        """Compare what was read with what may be; remember it as what is. Returns what is wrong, in words."""
        wrong: list[str] = []
        for place, value in seen.items():
            possible = self.may_be(place)
            if value not in possible:
                wrong.append(f"{place}: {_shown(value)} was read, possible are {', '.join(map(_shown, possible))}")
        wrong += self._torn(seen)
        for place, value in seen.items():
            self._known[place] = value
            self._changes.pop(place, None)
        return wrong

    def _torn(self, seen: Mapping[Place, Digest]) -> Iterable[str]:
        """Changes of which a part is there: none may be of a change whose cells no other change touched since."""
        changes = {change for place in seen for change in self._changes.get(place, ()) if change.own}
        for change in changes:
            last = all(self._changes[place][-1] is change for place in change.values if place in seen)
            there = {seen[place] == value for place, value in change.values.items() if place in seen}
            if last and change.state == "open" and len(there) > 1:
                yield f"{sorted(map(str, change.values))}: only a part of one change is there"


_LEAST: Final = 8


def _shown(value: Digest) -> str:
    return "nothing" if value is None else value.hex()[:_LEAST]
