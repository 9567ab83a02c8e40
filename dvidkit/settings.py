"""Settings of data instances: DVID's configuration rules, checked once, kept as a typed record.

DVID's clients send settings as JSON strings under names in any case (``"BlockSize": "64,64,64"``); Python callers give
typed values. Both are read here by the fields of a ``Settings`` class, so that a datatype only declares them.

Source: DVID ``dvid/command.go`` (``Config``); numbers as JSON numbers are accepted too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, get_args, get_origin, get_type_hints

import msgspec

from dvidkit.deferred import deferred
from dvidkit.errors import BadConfig, shown

if TYPE_CHECKING:
    import difflib
else:
    difflib = deferred("difflib")

Compression = Literal["none", "snappy", "lz4", "gzip", "jpeg"]
Checksum = Literal["none", "crc32"]

_TRUE: Final = frozenset({"true", "1"})
_FALSE: Final = frozenset({"false", "0"})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every instance can be given at its creation; datatypes add fields.

    A field may be ``str``, ``int``, ``float``, ``bool``, a ``Literal`` of strings, a tuple of numbers of fixed length,
    a tuple of strings of any length, or a ``dict`` of strings. Limits go into ``msgspec.Meta``. Field names are DVID's
    setting names in snake case; ``block_size`` reads ``BlockSize``.

    Attributes:
        versioned: entries belong to versions; an unversioned instance has one state, seen from every version.
        compression: how stored values are compressed, with the level where gzip has one.
        checksum: whether DVID's envelope of stored values carries a CRC (the store keeps its own anyway).
        tags: free names and values, for clients.
    """

    versioned: bool = True
    compression: Compression = "lz4"
    gzip_level: Annotated[int, msgspec.Meta(ge=-1, le=9)] = -1
    checksum: Checksum = "none"
    tags: dict[str, str] = msgspec.field(default_factory=dict)

    @classmethod
    def parse(cls, config: Mapping[str, Any]) -> Self:
        """Settings from names and values as DVID's clients or Python callers give them.

        Raises:
            BadConfig: an unknown name (with the nearest known one), or a value that does not fit.
        """
        hints = get_type_hints(cls, include_extras=True)
        names = {name.replace("_", ""): name for name in cls.__struct_fields__}
        values: dict[str, Any] = {}
        for given, value in config.items():
            name = names.get(str(given).lower().replace("_", ""))
            if name is None:
                raise BadConfig(_unknown(given, names), setting=str(given))
            if name in values and name != "gzip_level":
                raise BadConfig(f"setting {given!r} is given twice", setting=str(given))
            if name == "compression" and isinstance(value, str) and value.lower().startswith("gzip:"):
                value, level = value.split(":", 1)
                values["gzip_level"] = _parse(hints["gzip_level"], level, "Compression")
            values[name] = _parse(hints[name], value, given)
        try:
            settings = msgspec.convert(values, cls, strict=False)
        except msgspec.ValidationError as error:
            raise BadConfig(f"settings do not fit: {error}", setting=", ".join(map(str, config))) from None
        settings._check_storable()
        settings.check()
        return settings

    def _check_storable(self) -> None:
        for name, value in msgspec.structs.asdict(self).items():
            parts = value if isinstance(value, tuple) else (value,)
            if any(isinstance(part, float) and not math.isfinite(part) for part in parts):
                raise BadConfig(f"setting {name!r} must be finite, not {shown(value)}", setting=name)
            try:
                msgspec.msgpack.encode(value)
            except (ValueError, OverflowError) as error:
                raise BadConfig(f"setting {name!r} cannot be {shown(value)}: {error}", setting=name) from None

    @classmethod
    def sift(cls, config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The settings this class has, and the names of those it has not."""
        names = {name.replace("_", "") for name in cls.__struct_fields__}
        known = {given: value for given, value in config.items() if given.lower().replace("_", "") in names}
        return known, [given for given in config if given not in known]

    def check(self) -> None:
        """Refuse combinations that no single field can see.

        Raises:
            BadConfig: naming the setting.
        """

    def to_builtins(self) -> dict[str, Any]:
        """Plain values, for the instance's metadata record."""
        return dict(msgspec.to_builtins(self))


def _unknown(given: str, names: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(str(given).lower(), names, 1)
    hint = f"; did you mean {names[near[0]]!r}?" if near else f"; known: {', '.join(sorted(names.values()))}"
    return f"unknown setting {given!r}{hint}"


def _parse(hint: Any, value: Any, name: str) -> Any:
    """``value`` in the form that ``msgspec.convert`` takes for ``hint``."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _parse(get_args(hint)[0], value, name)
    if not isinstance(value, str):
        if isinstance(value, bool) and hint is not bool:
            raise BadConfig(f"setting {name!r} cannot be {shown(value)}", setting=name)
        return list(value) if isinstance(value, (tuple, list)) else value
    if hint is bool:
        if value.lower() not in _TRUE | _FALSE:
            raise BadConfig(f"setting {name!r} must be true or false, not {shown(value)}", setting=name)
        return value.lower() in _TRUE
    if origin is Literal:
        return next((choice for choice in get_args(hint) if choice.lower() == value.lower()), value)
    if origin is tuple:
        return [_number(part, name) if get_args(hint)[0] is not str else part.strip() for part in value.split(",")]
    if hint in (int, float):
        return _number(value, name)
    if origin is dict:
        pairs = [part.split("=", 1) for part in value.split(",") if part.strip()]
        if any(len(pair) != 2 for pair in pairs):
            raise BadConfig(f"setting {name!r} must be a list like 'a=1,b=2', not {shown(value)}", setting=name)
        return {key.strip(): text.strip() for key, text in pairs}
    return value


def _number(text: str, name: str) -> int | float:
    """A number in plain ASCII; ``int()`` alone would take ``1_000`` and digits of any script."""
    text = text.strip()
    plain = text.isascii() and "_" not in text
    for kind in (int, float):
        try:
            if plain:
                return kind(text)
        except ValueError:
            continue
    raise BadConfig(f"setting {name!r} must be a number, not {shown(text)}", setting=name)
