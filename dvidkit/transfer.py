"""Copies of whole stores, between any engines.

A copy reads one instant of its source and never writes to it. What could not be stored in the target is refused before
anything is written. Copied rows are compared with the source before the copy counts as made; until then a mark in the
target (``dvidkit.copymarks``) says what it is, and the same copy, started again, goes on from what is there.

Copies of one data instance: ``dvidkit.instancecopy``.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from dvidkit.access import Access
from dvidkit.checksum import SIZE as SEAL_SIZE
from dvidkit.copymarks import WHOLE, CopyMark, clear_mark, marks, refuse_unfinished, set_mark
from dvidkit.errors import AlreadyExistsError, InvalidInputError
from dvidkit.metadata import now
from dvidkit.rowcopy import CopyReport, Job, OnProgress, Stretch, stored_rows
from dvidkit.slots import recorded_rows
from dvidkit.store import Store

_OWN: Final = (b"\x03\x03", b"\x03\x06")
_SPACES: Final = ((b"\x01", b"\x02"), (b"\x02", b"\x03"), _OWN, (b"\x00", b"\x01"))
"""What a copy holds, in the order it is written: data, blobs, the mutation log, and last the metadata."""


def copy_store(source: Store, target: Store, *, on_progress: OnProgress | None = None) -> CopyReport:
    """Make ``target`` a copy of ``source``: every key space, version and tombstone, the metadata and the log.

    Afterwards raw dumps of both are identical. The target keeps its own identity, and checksums or not as it was made.

    Raises:
        AlreadyExistsError: the target holds something other than an interrupted copy of this source.
        LimitError: a key or value is over a limit of the target's engine. In both cases nothing was written.
        CorruptData: a stored value of the source fails its checksum.
        InvalidInputError: source and target are one store.
        StoreMismatch: the source is an unfinished copy itself.
    """
    if source.record.uuid == target.record.uuid:
        raise InvalidInputError(f"{target!r} cannot be copied to itself")
    refuse_unfinished(source)
    mark = CopyMark(source.record.uuid, now())
    resumed = _claimed(target, mark)
    with source.instant() as access:
        job = Job(
            target,
            [_stretch(access, source, target, begin, end) for begin, end in _SPACES],
            resumed,
            begin=lambda: set_mark(target, mark),
            on_progress=on_progress,
            total=recorded_rows(access) if source.record.integrity else None,
        )
        report = job.run(check=may_exceed(source, target))
    clear_mark(target)
    return report


def _claimed(target: Store, mark: CopyMark) -> bool:
    """Whether the target holds an interrupted copy of the source; false if it is empty.

    Raises:
        AlreadyExistsError: it holds anything else.
    """
    whole = dict(marks(target)).get(None)
    if whole is not None and whole.continues(mark):
        return True
    with target.instant() as access:
        empty = all(
            access.first_from(begin, end, keys_only=True) is None for begin, end in (*_SPACES, (WHOLE, b"\x04"))
        )
    if not empty:
        what = f"an unfinished copy of store {whole.source}" if whole else "data"
        raise AlreadyExistsError(
            f"{target.config.path or 'the target'} holds {what}; a store is only copied to an empty one",
            path=target.config.path,
        )
    return False


def may_exceed(source: Store, target: Store) -> bool:
    """Whether a row of the source may be over a limit of the target's engine."""
    there, here = source.engine.limits, target.engine.limits
    room = SEAL_SIZE if target.record.integrity and not source.record.integrity else 0
    return (
        there.max_key > here.max_key
        or there.max_value + room > here.max_value
        or there.max_batch_bytes > here.max_batch_bytes
    )


def _stretch(access: Access, source: Store, target: Store, begin: bytes, end: bytes) -> Stretch:
    sealed, seal_for = source.record.integrity, target.record.integrity
    return Stretch(begin, end, partial(stored_rows, access, begin, end, sealed=sealed, seal_for=seal_for))
