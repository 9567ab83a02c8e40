"""TKeys of the ``keyvalue`` datatype.

=====  ==============================  ==================================================
class  payload                         value
=====  ==============================  ==================================================
177    the key in UTF-8, then ``00``   the value in DVID's envelope (``dvidkit.envelope``)
=====  ==============================  ==================================================

Keys are sorted by their bytes in UTF-8, which is the order of their code points.

Source: DVID ``datatype/keyvalue/keys.go``. DVID lets a key hold ``00``, which breaks the order of its TKeys.
"""

from __future__ import annotations

from typing import Final

from dvidkit.errors import BadKey, BadType, LimitError, shown
from dvidkit.keys import PREFIX_SIZE, SUFFIX_SIZE, TKeyClass

KEY: Final = TKeyClass(177, "value of a key", terminator=0)

_HEAD: Final = KEY.key()[:-1]
_END: Final = KEY.key()[-1:]
_FRAME: Final = PREFIX_SIZE + len(KEY.key()) + SUFFIX_SIZE
"""Bytes that a full key has beside the key itself."""


def longest_key(max_key: int) -> int:
    """Bytes of UTF-8 of the longest key, in a store whose longest full key is ``max_key``."""
    return max_key - _FRAME


def encode_key(key: str, max_key: int) -> bytes:
    """The TKey of a key.

    Raises:
        BadType: not text.
        BadKey: empty, or with ``/``, NUL, or half of a surrogate pair.
        LimitError: longer than the store takes.
    """
    if not isinstance(key, str):
        raise BadType(f"a key must be text, not {type(key).__name__}: {shown(key)}")
    if not key or "/" in key or "\0" in key:
        raise BadKey(f"a key has at least one character, and neither '/' nor NUL; {shown(key)} cannot be one", key=key)
    try:
        data = key.encode("utf-8")
    except UnicodeEncodeError:
        raise BadKey(f"the key {shown(key)} cannot be written in UTF-8", key=key) from None
    limit = max_key - _FRAME
    if len(data) > limit:
        raise LimitError(
            f"the key {shown(key)} takes {len(data)} bytes in UTF-8, over {limit}",
            what="max_key",
            limit=limit,
            got=len(data),
        )
    return _HEAD + data + _END  # as KEY.key does, which would look for the NUL once more


def decode_key(tkey: bytes) -> str:
    """The key of a TKey. What DVID wrote that is no UTF-8 is shown with replacement characters."""
    return str(KEY.payload(tkey), "utf-8", "replace")
