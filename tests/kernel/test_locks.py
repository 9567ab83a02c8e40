"""Locks by key."""

from __future__ import annotations

import threading

import pytest

from dvidkit.locks import KeyedLocks


def test_keys_are_locked_without_a_ring() -> None:
    """Threads that lock the same keys in other orders all get through, and none is inside with another."""
    locks, inside, most = KeyedLocks(), [0], [0]

    def work(names: list[bytes]) -> None:
        for _ in range(200):
            with locks.hold(names):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [
        threading.Thread(target=work, args=(names,), daemon=True)
        for names in ([b"a", b"b", b"c"], [b"c", b"b", b"a"], [b"b", b"a", b"a"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert most == [1]


def test_locks_are_let_go_of_when_the_block_raises_or_waiting_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lock stays behind: neither after an error in the block nor after an interruption between two locks."""
    locks = KeyedLocks()
    with pytest.raises(ValueError, match="mine"), locks.hold([b"a", b"b"]):
        raise ValueError("mine")

    class Interrupted:
        def acquire(self) -> bool:
            raise KeyboardInterrupt

    stripes = locks._stripes  # pyright: ignore[reportPrivateUsage]
    before = list(stripes)
    stripes[-1] = Interrupted()  # type: ignore[call-overload]
    names = [bytes((one, two)) for one in range(64) for two in range(64)]
    with pytest.raises(KeyboardInterrupt):
        locks.take(names)
    assert not any(lock.locked() for lock in before)
