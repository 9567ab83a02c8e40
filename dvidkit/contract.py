"""The TKey contract: within an instance no TKey is a proper prefix of another.

Entries of a TKey are its key with nine bytes behind it. Were ``a`` and ``ab`` both TKeys, their entries would lie
between one another, and every store that reads by ranges would answer wrongly without noticing. Declared classes are
prefix-free by their layout, which is checked here byte by byte. For TKeys of a context without classes the store is
asked: if a prefix or an extension of a new TKey is stored, one of its entries is a neighbour of the new one's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final

from dvidkit.access import Access
from dvidkit.context import InstanceContext
from dvidkit.errors import BadKey, KeyContractError, shown
from dvidkit.keys import PREFIX_SIZE, SUFFIX_SIZE, after_instance

_first_byte: Final = itemgetter(0)


def check_declared(ctx: InstanceContext, tkeys: Sequence[bytes], *, alike: bool | None = None) -> None:
    """Refuse TKeys that are not of a class of the context's datatype, or not of their class's layout.

    ``alike`` says whether all are equally long, where the caller knows.

    Raises:
        BadKey: with the TKey and what it should be.
    """
    if len(tkeys) == 1 and tkeys[0]:
        tkey_class = ctx.classes.get(tkeys[0][0])
        if tkey_class is not None:
            tkey_class.check(tkeys[0])
            return
    likely = ctx.classes.get(tkeys[0][0]) if tkeys[0] else None
    if alike is None:
        alike = len(set(map(len, tkeys))) == 1
    if alike and likely is not None and likely.holds_alike(tkeys):
        return
    try:
        found = set(map(_first_byte, tkeys))
    except IndexError:
        raise BadKey("an empty TKey is of no class that the datatype declares", tkey=b"") from None
    for first in found:
        of_class = tkeys if len(found) == 1 else [tkey for tkey in tkeys if tkey[0] == first]
        tkey_class = ctx.classes.get(first)
        if tkey_class is None:
            raise BadKey(f"TKey {shown(of_class[0])} is of no class that the datatype declares", tkey=of_class[0])
        tkey_class.check_all(of_class)


def check_stored(access: Access, prefix: bytes, tkeys: Iterable[bytes]) -> None:
    """Refuse new TKeys of which one is a prefix of another, or of a stored one, or the other way round.

    Raises:
        KeyContractError: naming both.
    """
    before: bytes | None = None
    for tkey in sorted(set(tkeys)):
        if before is not None and tkey.startswith(before):
            raise violation(before, tkey)
        before = tkey
        _check_neighbours(access, prefix, tkey)


def _check_neighbours(access: Access, prefix: bytes, tkey: bytes) -> None:
    base = prefix + tkey
    after = access.first_from(base, after_instance(prefix), keys_only=True)
    if after is not None and not _compatible(tkey, after[PREFIX_SIZE:-SUFFIX_SIZE]):
        return
    before = access.last_before(base, prefix, keys_only=True)
    if before is not None:
        _compatible(tkey, before[PREFIX_SIZE:-SUFFIX_SIZE])


def _compatible(tkey: bytes, stored: bytes) -> bool:
    """Whether more must be looked at: false if this very TKey is stored already."""
    if tkey == stored:
        return False
    if stored.startswith(tkey) or tkey.startswith(stored):
        raise violation(tkey, stored)
    return True


def violation(tkey: bytes, other: bytes) -> KeyContractError:
    """The error naming both TKeys."""
    shorter, longer = sorted((tkey, other), key=len)
    return KeyContractError(
        f"TKey {shown(shorter)} is a prefix of TKey {shown(longer)}; within an instance that is not allowed",
        tkey=tkey,
        other=other,
    )


def well_formed(ctx: InstanceContext, bound: bytes) -> bool:
    """Whether a range bound is a whole TKey of a declared class, or the lower or upper bound of one."""
    tkey_class = ctx.classes.get(bound[0]) if bound else None
    if tkey_class is None:
        return False
    if len(bound) == 2 and bound[1] in (0x00, 0xFF):
        return True
    try:
        tkey_class.check(bound)
    except BadKey:
        return False
    return True
