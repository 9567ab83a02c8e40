"""Keys and TKeys, byte for byte as DVID lays them out.

The first byte of a full key is its key space.

============  ==========================================================================================
key space     layout (all integers big-endian)
============  ==========================================================================================
``0x00``      metadata: ``00 | TKey``
``0x01``      data: ``01 | instance u32 | TKey | version u32 | client u32 | mark`` (mark ``03`` data, ``4F`` tombstone)
``0x02``      blob: ``02 | content hash (16 bytes)``
============  ==========================================================================================

A TKey is ``class u8 | 01 | payload``; ``class 00`` and ``class FF`` bound every TKey of a class. Within a class TKeys
are of one length or prefix-free, so that full keys sort as (instance, TKey, version). Order everywhere is unsigned
bytewise, a proper prefix first. Version, client and mark are read from the end of a key, the TKey is what is left.

Source: DVID ``storage/context.go`` and ``storage/keyvalue.go``.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index, itemgetter
from typing import Final, Literal, NewType

import msgspec

from dvidkit.errors import BadKey, BadType, OutOfBounds, shown

InstanceID = NewType("InstanceID", int)
VersionID = NewType("VersionID", int)

METADATA: Final = 0x00
DATA: Final = 0x01
BLOB: Final = 0x02

DATA_MARK: Final = 0x03
TOMBSTONE_MARK: Final = 0x4F

PREFIX_SIZE: Final = 5
"""Bytes before the TKey of a data key: key space and instance."""
SUFFIX_SIZE: Final = 9
"""Bytes after the TKey of a data key: version, client and mark."""
MIN_DATA_KEY: Final = PREFIX_SIZE + SUFFIX_SIZE

U32_MAX: Final = 0xFFFFFFFF
_TKEY_STANDARD: Final = 0x01
_TKEY_MIN: Final = 0x00
_TKEY_MAX: Final = 0xFF
VALUE_TAIL: Final = b"\x00\x00\x00\x00\x03"
"""Client 0 and the data mark: what follows the version id of a value."""
TOMBSTONE_TAIL: Final = b"\x00\x00\x00\x00\x4f"
"""Client 0 and the tombstone mark."""


def as_bytes(value: object, what: str) -> bytes:
    """Return ``value`` as ``bytes``; a ``bytearray`` or ``memoryview`` is copied, anything else is refused.

    Raises:
        BadType: ``value`` is not bytes-like (``None``, ``int``, ``str`` …).
    """
    if type(value) is bytes:
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise BadType(f"{what} must be bytes, not {type(value).__name__}: {shown(value)}", what=what)


def u32(value: int, what: str) -> bytes:
    """Four big-endian bytes of ``value``.

    Raises:
        BadType: not an ``int`` (``bool`` is not one).
        OutOfBounds: outside 0 … 2^32-1.
    """
    if type(value) is not int:
        raise BadType(f"{what} must be an int, not {type(value).__name__}", what=what)
    if not 0 <= value <= U32_MAX:
        raise OutOfBounds(f"{what} must be 0 to {U32_MAX}, not {value}", what=what, value=value)
    return value.to_bytes(4, "big")


# --- TKeys -----------------------------------------------------------------------------------------------------------


def new_tkey(tkey_class: int, payload: bytes) -> bytes:
    """``class | 01 | payload``. Source: DVID ``storage.NewTKey``."""
    return bytes((_class_byte(tkey_class), _TKEY_STANDARD)) + payload


def min_tkey(tkey_class: int) -> bytes:
    """``class | 00``: sorts before every TKey of the class. Source: DVID ``storage.MinTKey``."""
    return bytes((_class_byte(tkey_class), _TKEY_MIN))


def max_tkey(tkey_class: int) -> bytes:
    """``class | FF``: sorts after every TKey of the class. Source: DVID ``storage.MaxTKey``."""
    return bytes((_class_byte(tkey_class), _TKEY_MAX))


def _class_byte(tkey_class: int, what: str = "TKey class") -> int:
    if type(tkey_class) is not int or not 0 <= tkey_class <= 255:
        raise BadKey(f"a {what} is one byte, 0 to 255, not {shown(tkey_class)}")
    return tkey_class


class TKeyClass(msgspec.Struct, frozen=True):
    """One class of TKeys of a datatype, with the layout that keeps its TKeys prefix-free.

    Exactly one of the two layouts is given:

    * ``width``: every payload has this many bytes;
    * ``terminator``: every payload ends with this byte and holds it nowhere else.

    The store checks each TKey it writes against its class, so that a violation is an error and never a wrong read.

    Attributes:
        id: class byte, 1 to 255 (1 is reserved for properties in every datatype, 0 is never used).
        name: what the class holds, in the field's words.
        width: payload bytes, for a fixed layout.
        terminator: last byte of the payload, for a terminated layout.
    """

    id: int
    name: str
    width: int | None = None
    terminator: int | None = None

    def __post_init__(self) -> None:
        _class_byte(self.id)
        if self.id == 0 or (self.width is None) == (self.terminator is None):
            raise BadKey(f"TKey class {self.name!r} needs an id of 1 to 255 and either a width or a terminator")
        if self.width is not None and (type(self.width) is not int or self.width < 0):
            raise BadKey(f"the width of TKey class {self.name!r} is a number of bytes, not {shown(self.width)}")
        if self.terminator is not None:
            _class_byte(self.terminator, "terminator")

    def key(self, payload: bytes = b"") -> bytes:
        """The TKey of this payload; the terminator is added, not given.

        Raises:
            BadKey: a payload of another width, or one that holds the terminator.
        """
        if self.terminator is not None:
            payload += bytes((self.terminator,))
        tkey = new_tkey(self.id, payload)
        self.check(tkey)
        return tkey

    def payload(self, tkey: bytes) -> bytes:
        """What ``key`` was given. The TKey must be of this class."""
        return tkey[2:] if self.terminator is None else tkey[2:-1]

    def min(self) -> bytes:
        """Sorts before every TKey of the class."""
        return min_tkey(self.id)

    def max(self) -> bytes:
        """Sorts after every TKey of the class."""
        return max_tkey(self.id)

    def check(self, tkey: bytes) -> None:
        """Refuse a TKey that is not of this layout.

        Raises:
            BadKey: with the TKey and what it should be.
        """
        if len(tkey) < 2 or tkey[0] != self.id or tkey[1] != _TKEY_STANDARD:
            raise BadKey(f"TKey {shown(tkey)} does not start with the class {self.id} of {self.name!r}", tkey=tkey)
        if self.width is not None:
            if len(tkey) - 2 != self.width:
                raise BadKey(f"a TKey of {self.name!r} holds {self.width} bytes, not {len(tkey) - 2}", tkey=tkey)
        elif tkey.find(self.terminator or 0, 2) != len(tkey) - 1:
            raise BadKey(f"a TKey of {self.name!r} ends at its first {self.terminator:#04x} byte", tkey=tkey)

    def holds_alike(self, tkeys: Sequence[bytes]) -> bool:
        """Whether the TKeys, all of one length, are of this layout, found by strides over all of them joined."""
        step, rows = len(tkeys[0]), len(tkeys)
        if step < 2:
            return False
        joined = b"".join(tkeys)
        if joined[::step] != bytes((self.id,)) * rows or joined[1::step] != bytes((_TKEY_STANDARD,)) * rows:
            return False
        if self.terminator is None:
            return step - 2 == self.width
        each = 1 + (self.terminator == self.id) + (self.terminator == _TKEY_STANDARD)
        ends = step > 2 and joined[step - 1 :: step] == bytes((self.terminator,)) * rows
        return ends and joined.count(self.terminator) == each * rows

    def check_all(self, tkeys: Sequence[bytes]) -> None:
        """``check`` of each, in a few passes over all of them.

        Raises:
            BadKey: naming the first that is not of this layout.
        """
        joined = b"".join(tkeys)
        fits = (
            min(map(len, tkeys)) > 1
            and set(map(_first_byte, tkeys)) == {self.id}
            and set(map(_second_byte, tkeys)) == {_TKEY_STANDARD}
        )
        if fits and self.width is not None:
            fits = set(map(len, tkeys)) == {self.width + 2}
        elif fits and self.terminator is not None:
            each = 1 + (self.terminator == self.id) + (self.terminator == _TKEY_STANDARD)
            ends = set(map(_last_byte, tkeys)) == {self.terminator} and min(map(len, tkeys)) > 2
            fits = ends and joined.count(self.terminator) == each * len(tkeys)
        if not fits:
            for tkey in tkeys:
                self.check(tkey)


_first_byte: Final = itemgetter(0)
_second_byte: Final = itemgetter(1)
_last_byte: Final = itemgetter(-1)


# --- full keys -------------------------------------------------------------------------------------------------------


class DataKey(msgspec.Struct, frozen=True):
    """A data key taken apart."""

    instance: InstanceID
    tkey: bytes
    version: VersionID
    client: int
    mark: int

    @property
    def tombstone(self) -> bool:
        """Whether this entry says that the key was deleted in its version."""
        return self.mark == TOMBSTONE_MARK


class MetadataKey(msgspec.Struct, frozen=True):
    """A metadata key taken apart."""

    tkey: bytes


class BlobKey(msgspec.Struct, frozen=True):
    """A blob key taken apart."""

    digest: bytes


def metadata_key(tkey: bytes) -> bytes:
    """``00 | TKey``."""
    return b"\x00" + tkey


def blob_key(digest: bytes) -> bytes:
    """``02 | digest``; the digest has 16 bytes."""
    if len(digest) != 16:
        raise BadKey(f"a blob digest has 16 bytes, not {len(digest)}")
    return b"\x02" + digest


def data_key(instance: int, tkey: bytes, version: int, client: int = 0, mark: int = DATA_MARK) -> bytes:
    """``01 | instance | TKey | version | client | mark``."""
    if mark not in (DATA_MARK, TOMBSTONE_MARK):
        raise BadKey(f"a mark is 0x03 or 0x4F, not {shown(mark)}")
    return b"".join(
        (
            instance_prefix(instance),
            tkey,
            u32(version, "version"),
            u32(client, "client"),
            bytes((mark,)),
        )
    )


def instance_prefix(instance: int) -> bytes:
    """``01 | instance``, the start of every data key of the instance."""
    return b"\x01" + u32(instance, "instance")


def min_version_key(instance: int, tkey: bytes) -> bytes:
    """Sorts before every entry of the TKey. Source: DVID ``DataContext.MinVersionKey``."""
    return instance_prefix(instance) + tkey + b"\x00" * SUFFIX_SIZE


def max_version_key(instance: int, tkey: bytes) -> bytes:
    """Sorts after every entry of the TKey. Source: DVID ``DataContext.MaxVersionKey``."""
    return instance_prefix(instance) + tkey + b"\xff" * SUFFIX_SIZE


def data_suffix(version: int) -> bytes:
    """``version | client 0 | 03``: what follows the TKey of a value written at this version."""
    return u32(version, "version") + VALUE_TAIL


def tombstone_suffix(version: int) -> bytes:
    """``version | client 0 | 4F``: what follows the TKey of a deletion made at this version."""
    return u32(version, "version") + TOMBSTONE_TAIL


def instance_range(instance: int) -> tuple[bytes, bytes]:
    """Half-open bounds of every data key of the instance, whatever its bytes."""
    begin = instance_prefix(instance)
    return begin, after_instance(begin)


def after_instance(prefix: bytes) -> bytes:
    """What sorts right after every data key of the instance with this ``instance_prefix``."""
    return (int.from_bytes(prefix, "big") + 1).to_bytes(PREFIX_SIZE, "big")


def data_range() -> tuple[bytes, bytes]:
    """Half-open bounds of every data key of every instance."""
    return b"\x01", b"\x02"


def parse(key: bytes) -> DataKey | MetadataKey | BlobKey:
    """Take a full key apart.

    Raises:
        BadKey: empty, of an unknown key space, too short, or with an unknown mark.
    """
    space = key[0] if key else None
    if space == METADATA:
        return MetadataKey(key[1:])
    if space == BLOB and len(key) == 17:
        return BlobKey(key[1:])
    if space == DATA and len(key) >= MIN_DATA_KEY and key[-1] in (DATA_MARK, TOMBSTONE_MARK):
        tail = len(key) - SUFFIX_SIZE
        number = int.from_bytes
        return DataKey(
            InstanceID(number(key[1:PREFIX_SIZE], "big")),
            key[PREFIX_SIZE:tail],
            VersionID(number(key[tail : tail + 4], "big")),
            number(key[tail + 4 : tail + 8], "big"),
            key[-1],
        )
    raise BadKey(f"not a key of a known key space and layout: {shown(key)}", key=key)


def checked_key(key: bytes) -> bytes:
    """The full key as ``bytes``, if it is one of the metadata, data or blob space.

    Raises:
        BadType: not bytes-like.
        BadKey: no such key.
    """
    key = as_bytes(key, "key")
    space = key[0] if key else None
    if space == METADATA or (space == BLOB and len(key) == 17):
        return key
    if space == DATA and len(key) >= MIN_DATA_KEY and key[-1] in (DATA_MARK, TOMBSTONE_MARK):
        return key
    raise BadKey(f"not a key of the metadata, data or blob space: {shown(key)}", key=key)


# --- coordinates in keys ---------------------------------------------------------------------------------------------

_SIGN_BIT: Final = 1 << 31
Axis = Literal["z", "y", "x"]


def encode_zyx(z: int, y: int, x: int) -> bytes:
    """12 bytes that sort as (z, y, x), negatives first: each as u32 big-endian of ``value + 2^31``.

    Raises:
        OutOfBounds: a coordinate outside -2^31 … 2^31-1.
        BadType: not an integer; those of numpy are.

    Source: DVID ``dvid.IndexZYX`` (``dvid/point.go``).
    """
    try:
        return b"".join([(index(c) + _SIGN_BIT).to_bytes(4, "big") for c in (z, y, x)])
    except OverflowError:
        raise OutOfBounds(f"block coordinate outside 32 bits: z={z} y={y} x={x}") from None
    except TypeError:
        raise BadType(f"block coordinates are integers, not {shown((z, y, x))}", what="coordinate") from None


def decode_zyx(data: bytes) -> tuple[int, int, int]:
    """The (z, y, x) that ``encode_zyx`` was given."""
    if len(data) != 12:
        raise BadKey(f"a ZYX coordinate has 12 bytes, not {len(data)}")
    number = int.from_bytes
    return (
        number(data[0:4], "big") - _SIGN_BIT,
        number(data[4:8], "big") - _SIGN_BIT,
        number(data[8:12], "big") - _SIGN_BIT,
    )
