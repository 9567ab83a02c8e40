"""Marks of copies under way, kept in the store that is being filled until the copy is complete and was compared.

A mark lies in dvidkit's own key space: ``03 | 70`` for a copy of a whole store, ``03 | 70 | instance u32`` for a copy
of one data instance (under its id in this store). Its value is a ``CopyMark`` as JSON, sealed in every store.

A store that a whole copy is filling is no store yet, and a kernel refuses it; an instance that is being filled has no
metadata record yet, so nobody sees it. What was interrupted is continued by the same copy, from its mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from dvidkit.checksum import seal, unseal
from dvidkit.errors import CorruptData, StoreMismatch
from dvidkit.keys import u32
from dvidkit.store import Store

WHOLE: Final = b"\x03\x70"
MARKS_END: Final = b"\x03\x71"


class CopyMark(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is being copied.

    Attributes:
        source: UUID of the source store.
        started: RFC 3339, UTC.
        instance: data UUID of the source instance; empty for a whole store.
        version: UUID of the version that is flattened; empty if all versions are copied.
        repo, name: UUID of the repo's root and name of the instance here.
    """

    source: str
    started: str
    instance: str = ""
    version: str = ""
    repo: str = ""
    name: str = ""

    def continues(self, other: CopyMark) -> bool:
        """Whether both are marks of one and the same copy, begun at different times."""
        return msgspec.structs.replace(self, started="") == msgspec.structs.replace(other, started="")


def mark_key(instance: int | None = None) -> bytes:
    """Where the mark of a copy is stored."""
    return WHOLE if instance is None else WHOLE + u32(instance, "instance")


def marks(store: Store) -> Iterator[tuple[int | None, CopyMark]]:
    """Every mark in the store, with the instance id it is about.

    Raises:
        CorruptData: a mark cannot be read.
    """
    with store.instant() as access:
        for key, stored in access.scan(WHOLE, MARKS_END):
            yield (int.from_bytes(key[2:], "big") if len(key) > 2 else None), _decode(key, stored)


def set_mark(store: Store, mark: CopyMark, instance: int | None = None) -> None:
    """Write a mark, durably."""
    key = mark_key(instance)
    store.write_own([(key, seal(key, msgspec.json.encode(mark)))])


def clear_mark(store: Store, instance: int | None = None) -> None:
    """Remove a mark: the copy is complete."""
    store.write_own([(mark_key(instance), None)])


def refuse_unfinished(store: Store) -> None:
    """Raise for a store that a copy has not filled yet.

    Raises:
        StoreMismatch: naming the copy.
    """
    with store.instant() as access:
        stored = access.get(WHOLE)
    if stored is not None:
        mark = _decode(WHOLE, stored)
        raise StoreMismatch(
            f"{store.config.path or 'the store'} is an unfinished copy of store {mark.source}, begun {mark.started}; "
            "run the same copy again to complete it",
            engine=store.engine.name,
            path=store.config.path,
        )


def _decode(key: bytes, stored: bytes) -> CopyMark:
    try:
        return msgspec.json.decode(unseal(key, stored), type=CopyMark)
    except msgspec.MsgspecError as error:
        raise CorruptData("the mark of a copy cannot be read", key=key) from error
