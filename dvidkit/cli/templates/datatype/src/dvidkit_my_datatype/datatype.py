"""The my-datatype datatype: counts by name."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from dvidkit import Datatype, Request, Response, Settings, TKeyClass, endpoint
from dvidkit.endpoints import JSON, json_body, to_json
from dvidkit.errors import CorruptData, InvalidInputError, OutOfBounds, shown

# Every kind of key has a class: a number of this datatype (2 to 255), and a layout by which no key is the beginning of
# another: all of one width, or ended by a byte that does not occur in them. The store checks each key against it.
COUNT = TKeyClass(200, "count of a name", terminator=0)


class MySettings(Settings, frozen=True, kw_only=True):
    """What an instance can be given when it is made, beside what all can; read as ``most`` or DVID's way, ``Most``.

    Attributes:
        most: no count may be greater.
    """

    most: Annotated[int, msgspec.Meta(ge=1, le=1 << 62)] = 1_000_000


class MyDatatype(Datatype):
    """Counts by name. An object is one instance as one version sees it. Thread-safe."""

    typename: ClassVar[str] = "my-datatype"
    version: ClassVar[str] = "0.1"
    summary: ClassVar[str] = "counts by name"
    settings: ClassVar[type[Settings]] = MySettings
    tkey_classes: ClassVar[tuple[TKeyClass, ...]] = (COUNT,)
    conformance: ClassVar[str] = "dvidkit_my_datatype.conformance:MyDatatypeCase"

    # --- Python ------------------------------------------------------------------------------------------------------

    def count(self, name: str) -> int:
        """The count of a name; 0 if it was never counted."""
        return _number(self.store.get(self.ctx, _tkey(name)))

    def counts(self) -> dict[str, int]:
        """Every count by name, in the order of the names' bytes."""
        found = self.store.get_range(self.ctx, COUNT.min(), COUNT.max())
        return {COUNT.payload(tkey).decode(): _number(value) for tkey, value in found}

    def add(self, name: str, number: int = 1) -> int:
        """Count a name so many times more; what the count is now.

        Raises:
            InvalidInputError: not a name.
            OutOfBounds: the count would be negative or above ``most``; nothing was changed.
            VersionLocked: the version is committed.
        """
        tkey = _tkey(name)
        # A mutation is one atomic change: its puts, its log record, and what subscribers make of its events. What it
        # reads with ``lock`` nobody changes before it is written. If the block raises, nothing is.
        with self.mutation("add") as m:
            total = _number(m.lock([tkey])[tkey]) + number
            most: int = self.instance.settings.most  # type: ignore[attr-defined]
            if not 0 <= total <= most:
                raise OutOfBounds(f"a count is 0 to {most}, so {name!r} cannot be counted {total} times")
            m.put(tkey, b"%d" % total)
            m.log(Name=name, Number=number)
        return total

    def forget(self, name: str) -> None:
        """Remove a name; one that was never counted is no error."""
        with self.mutation("forget") as m:
            m.delete(_tkey(name))
            m.log(Name=name)

    # --- HTTP: one row of the table for each decorator; help texts are made from these docstrings ---------------------

    @endpoint("GET", "counts", returns=JSON)
    def get_counts(self, request: Request) -> Response:
        """Every count by name."""
        return to_json(self.counts())

    @endpoint("GET", "count/{name}", returns=JSON)
    def get_count(self, request: Request) -> Response:
        """The count of a name."""
        return to_json(self.count(request.path["name"]))

    @endpoint("POST", "count/{name}", takes=JSON, returns=JSON)
    def post_count(self, request: Request) -> Response:
        """Count a name as many times as the body says, and answer its count."""
        return to_json(self.add(request.path["name"], json_body(request, int)))

    @endpoint("DELETE", "count/{name}")
    def delete_count(self, request: Request) -> Response:
        """Remove a name."""
        self.forget(request.path["name"])
        return Response()


def _tkey(name: str) -> bytes:
    if not isinstance(name, str) or not name or "\0" in name or len(name.encode()) > 200:
        raise InvalidInputError(f"not a name: {shown(name)}")
    return COUNT.key(name.encode())


def _number(value: bytes | None) -> int:
    try:
        return int(value or 0)
    except ValueError:
        raise CorruptData(f"a stored count is {shown(value)}") from None
