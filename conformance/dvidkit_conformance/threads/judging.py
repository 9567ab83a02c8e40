"""Judging histories: every answer must be explained by one order of the calls, and no call may fail without reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from dvidkit_conformance.results import show
from dvidkit_conformance.threads.history import Call
from dvidkit_conformance.threads.linear import READS, by_key, keys_of, linearize, said

ORDER: Final = "one order of the calls that explains every answer"
_CLOSED: Final = "StoreClosed"


def judge(calls: Sequence[Call]) -> tuple[str, str] | None:
    """What is wrong with a history, as (expected, got); ``None`` if nothing is.

    A history of calls of single keys is judged key by key, any other as a whole. Calls refused because the store was
    closed had no effect; they must not have ended before ``close`` began, and no other call may be answered that began
    after ``close`` had ended.
    """
    closing = [call for call in calls if call.op["op"] == "close"]
    calls = [call for call in calls if call.op["op"] != "close"]
    wrong = _wrong_error(calls, closing)
    if wrong is not None:
        return wrong
    calls = [call for call in calls if call.error != _CLOSED]
    if all(len(keys_of(call.op)) == 1 for call in calls):
        for key, some in by_key(calls).items():
            verdict = linearize(some)
            if verdict.order is None:
                return ORDER, f"none for key {show(key)}: {verdict.text()}"
        return None
    verdict = linearize(calls)
    return None if verdict.order is not None else (ORDER, f"none: {verdict.text()}")


def _wrong_error(calls: Iterable[Call], closing: Sequence[Call]) -> tuple[str, str] | None:
    begun = min((call.begun for call in closing), default=None)
    ended = min((call.ended for call in closing if call.ended is not None), default=None)
    for call in calls:
        if call.ended is None:
            continue
        told = f"{show(call.answer)} to thread {call.thread}'s {said(call.op)}"
        if call.error == _CLOSED and (begun is None or call.ended < begun):
            return "an answer, as the store is open", told
        if call.error not in ("", _CLOSED) and not (call.error == "ConflictError" and call.op["op"] == "cas"):
            return "an answer, or an error that the operation has by contract", told
        if ended is not None and call.begun > ended and call.error != _CLOSED:
            return "StoreClosed, as close had returned", told
    return None


def overlaps(calls: Sequence[Call]) -> int:
    """How many pairs of calls of different threads, one of them a change, were under way at the same time."""
    found = 0
    ordered = sorted(calls, key=lambda call: call.begun)
    for n, call in enumerate(ordered):
        for other in ordered[n + 1 :]:
            if call.ended is not None and other.begun > call.ended:
                break
            if call.thread != other.thread and not (call.op["op"] in READS and other.op["op"] in READS):
                found += 1
    return found
