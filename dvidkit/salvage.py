"""Reading what can be read of a damaged store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast

from dvidkit.access import Access
from dvidkit.engine import Item
from dvidkit.errors import StoreClosed, StoreError, shown
from dvidkit.findings import Damage, Findings


class Salvage:
    """Reads of one instant that turn an engine's failures into findings.

    Attributes:
        unreadable: instances of which a part could not be read.
        failures: how many ranges could not be read in full.
    """

    def __init__(self, access: Access, findings: Findings) -> None:
        self._access = access
        self._findings = findings
        self.unreadable: set[int] = set()
        self.failures = 0

    def pages(self, begin: bytes, end: bytes, instance: int | None = None) -> Iterator[list[Item]]:
        """Pages of a range, ascending; after a failure, what can be read from the far end, descending.

        Raises:
            StoreClosed: the store was closed.
        """
        place = begin
        try:
            for page in cast(Iterator[list[Item]], self._access.pages(begin, end)):
                place = page[-1][0] + b"\x00"
                yield page
            return
        except StoreClosed:
            raise
        except StoreError as error:
            failure = error
        for row in self._until_failure(place, end, reverse=False):
            place = row[0] + b"\x00"
            yield [row]
        top = end
        for row in self._until_failure(place, end, reverse=True):
            top = row[0]
            yield [row]
        self._note(place, top, instance, failure)

    def _until_failure(self, begin: bytes, end: bytes, *, reverse: bool) -> Iterator[Item]:
        try:
            yield from self._access.scan(begin, end, reverse=reverse)
        except StoreClosed:
            raise
        except StoreError:
            return

    def _note(self, begin: bytes, end: bytes, instance: int | None, failure: StoreError) -> None:
        where = ""
        self.failures += 1
        if instance is not None:
            self.unreadable.add(instance)
            where = f" of {self._findings.catalog.instance_text(instance)}"
        text = f"keys{where} from {shown(begin)} to {shown(end)} cannot be read: {failure}"
        self._findings.add(Damage.UNREADABLE, text, instance, keys=(begin, end))

    def first_key(self, begin: bytes, end: bytes) -> bytes | None:
        """The first key of a range; ``None`` also where the engine cannot say."""
        return self.attempt(lambda: cast(bytes | None, self._access.first_from(begin, end, keys_only=True)))

    def get(self, key: bytes) -> bytes | None:
        """The stored value; ``None`` also where the engine cannot say."""
        return self.attempt(lambda: self._access.get(key))

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """``get`` of each."""
        try:
            return self._access.get_many(keys)
        except StoreClosed:
            raise
        except StoreError:
            return [self.get(key) for key in keys]

    def attempt(self, read: Callable[[], bytes | None]) -> bytes | None:
        """What ``read`` returns, ``None`` if the engine fails."""
        try:
            return read()
        except StoreClosed:
            raise
        except StoreError:
            return None
