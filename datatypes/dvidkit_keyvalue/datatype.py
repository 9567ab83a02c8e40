"""Versioned values under names: the Python side of the ``keyvalue`` datatype."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

from dvidkit import envelope
from dvidkit.datatype import Datatype
from dvidkit.errors import BadType, shown
from dvidkit.keys import TKeyClass, as_bytes
from dvidkit.resolve import Conflict
from dvidkit.settings import Settings
from dvidkit_keyvalue.keys import KEY, decode_key, encode_key

BATCH_ACTION: Final = "postkvs"


class KeyValues(Datatype):
    """Values of any bytes under names, as one version of one instance has them. Thread-safe.

    Keys are text: not empty, without ``/`` and NUL, and as long as the store takes (``LimitError``). They are sorted by
    their bytes in UTF-8. A value may be empty, which is not the same as absent. Everything that takes a key raises
    ``BadType``, ``BadKey`` or ``LimitError`` for what cannot be one, before any effect; everything that reads raises
    ``VersionConflict`` where a merge left two values for a key, until it is written again.
    """

    tkey_classes: ClassVar[tuple[TKeyClass, ...]] = (KEY,)
    settings: ClassVar[type[Settings]] = Settings

    # --- reading -----------------------------------------------------------------------------------------------------

    def get(self, key: str) -> bytes | None:
        """The value, or ``None``."""
        stored = self.store.get(self.ctx, self._tkey(key))
        return None if stored is None else envelope.unpack(stored)

    def exists(self, key: str) -> bool:
        """Whether there is a value; it is not read."""
        return self.store.exists(self.ctx, self._tkey(key))

    def get_many(self, keys: Iterable[str], *, conflicts: list[Conflict] | None = None) -> list[bytes | None]:
        """The value of each key, in order, all of one instant.

        With a list as ``conflicts``, keys in conflict count as absent and are added to it.
        """
        stored = self.store.get_many(self.ctx, [self._tkey(key) for key in keys], conflicts=conflicts)
        return [None if value is None else envelope.unpack(value) for value in stored]

    def keys(self) -> list[str]:
        """All keys, in order."""
        return self.key_range()

    def key_range(self, first: str | None = None, last: str | None = None) -> list[str]:
        """The keys from ``first`` to ``last``, both included, in order. Neither need exist; ``None`` is the end."""
        return list(map(decode_key, self.store.keys_in_range(self.ctx, *self._bounds(first, last))))

    def items(
        self, first: str | None = None, last: str | None = None, *, conflicts: list[Conflict] | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """(key, value) of ``key_range``, all of one instant, read as they are asked for.

        A conflict is raised after everything else was returned, or added to ``conflicts``.
        """
        for tkey, stored in self.store.iter_range(self.ctx, *self._bounds(first, last), conflicts=conflicts):
            yield decode_key(tkey), envelope.unpack(stored)

    def _tkey(self, key: str) -> bytes:
        return encode_key(key, self.store.engine.limits.max_key)

    def _bounds(self, first: str | None, last: str | None) -> tuple[bytes, bytes]:
        return (
            KEY.min() if first is None else self._tkey(first),
            KEY.max() if last is None else self._tkey(last),
        )

    # --- writing -----------------------------------------------------------------------------------------------------

    def put(self, key: str, value: bytes, *, user: str = "", app: str = "") -> None:
        """Set a value.

        Raises:
            VersionLocked: the version is committed.
        """
        tkey, stored = self._tkey(key), self._pack(value)
        with self.mutation("postkv", user=user, app=app) as m:
            m.log(Key=key, Bytes=len(value))
            m.put(tkey, stored)

    def put_many(
        self, values: Mapping[str, bytes] | Iterable[tuple[str, bytes]], *, user: str = "", app: str = ""
    ) -> None:
        """Set several values, all or none; of several for one key the last holds.

        Raises:
            VersionLocked: the version is committed.
            LimitError: more than the engine takes in one batch.
        """
        pairs = list(_pairs(values))
        stored = [(self._tkey(key), self._pack(value)) for key, value in pairs]
        with self.mutation(BATCH_ACTION, user=user, app=app) as m:
            m.log(Keys=[key for key, _ in pairs], Bytes=[len(value) for _, value in pairs])
            for tkey, value in stored:
                m.put(tkey, value)

    def delete(self, key: str, *, user: str = "", app: str = "") -> None:
        """Remove a value, here and in descendants. A key without one is not an error.

        Raises:
            VersionLocked: the version is committed.
        """
        tkey = self._tkey(key)
        with self.mutation("delete", user=user, app=app) as m:
            m.log(Key=key)
            m.delete(tkey)

    def _pack(self, value: bytes) -> bytes:
        settings = self.instance.settings
        data = as_bytes(value, "value")
        return envelope.pack(data, settings.compression, settings.checksum, level=settings.gzip_level)


def _pairs(values: Mapping[str, bytes] | Iterable[Any]) -> Iterator[tuple[str, bytes]]:
    pairs: Iterable[Any] = values.items() if isinstance(values, Mapping) else values
    for pair in pairs:
        try:
            key, value = pair
        except (TypeError, ValueError):
            raise BadType(f"put_many takes pairs of a key and a value, not {shown(pair)}") from None
        yield key, value
