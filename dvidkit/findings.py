"""What ``verify`` finds, and how it says so."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from dvidkit.errors import shown

if TYPE_CHECKING:
    from dvidkit.catalog import Catalog

KEYS_SHOWN: Final = 10
"""Of many damaged rows of one kind, instance and version, this many keys are kept."""


class Damage(StrEnum):
    """Kinds of damage. Append-only."""

    CHANGED = "changed"
    """A stored value is not what was written under its key."""
    LOST = "lost"
    """There are fewer rows than were written."""
    EXTRA = "extra"
    """There are more rows than were written."""
    REPLACED = "replaced"
    """As many rows as were written, each whole, but not the same ones."""
    UNREADABLE = "unreadable"
    """The engine could not read a range of keys."""
    BAD_KEY = "bad-key"
    """A key that nothing of this release could have written."""
    BAD_RECORD = "bad-record"
    """One of dvidkit's own records cannot be read."""
    INCONSISTENT = "inconsistent"
    """Records that can be read contradict one another."""
    ORPHAN = "orphan"
    """Data that no repo knows."""
    UNFINISHED = "unfinished"
    """A copy into this store was interrupted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        damage: the kind.
        text: the sentence for people.
        instance, name: id and name of the data instance it is about, where it is about one.
        version, uuid: id and UUID of the version, likewise.
        rows: how many rows, where it is about rows.
        keys: full keys of some of them.
    """

    damage: Damage
    text: str
    instance: int | None = None
    name: str = ""
    version: int | None = None
    uuid: str = ""
    rows: int = 0
    keys: tuple[bytes, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values; keys in hexadecimal."""
        return {**asdict(self), "damage": str(self.damage), "keys": [key.hex() for key in self.keys]}


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What ``verify`` looked at and what it found.

    Attributes:
        engine, path, uuid: the store.
        integrity: whether it keeps checksums and completeness records.
        rows: rows looked at, by what they are: ``values``, ``tombstones``, ``metadata``, ``blobs``, ``own``.
        findings: what is wrong.
        unchecked: what could not be checked, one sentence each.
    """

    engine: str
    path: str
    uuid: str
    integrity: bool
    rows: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "engine": self.engine,
            "path": self.path,
            "uuid": self.uuid,
            "integrity": self.integrity,
            "ok": self.ok,
            "rows": self.rows,
            "findings": [finding.to_json() for finding in self.findings],
            "unchecked": list(self.unchecked),
        }


_ROW_TEXTS: Final = {
    Damage.CHANGED: "values that are not what was written, under keys",
    Damage.BAD_KEY: "keys that nothing of this release writes",
    Damage.INCONSISTENT: "both a value and a tombstone of one version, at keys",
}


class _Rows:
    """Damaged rows of one kind and place: how many, and some of their keys."""

    __slots__ = ("count", "keys")

    def __init__(self) -> None:
        self.count = 0
        self.keys: list[bytes] = []


class Findings:
    """Collects findings; of damaged rows only some keys, so that memory does not grow with the damage.

    Attributes:
        catalog: gives instances and versions their names.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._found: list[Finding] = []
        self._rows: defaultdict[tuple[Damage, int | None, int | None], _Rows] = defaultdict(_Rows)

    def add(
        self,
        damage: Damage,
        text: str,
        instance: int | None = None,
        version: int | None = None,
        *,
        rows: int = 0,
        keys: tuple[bytes, ...] = (),
    ) -> None:
        """Take a finding."""
        name, uuid = self.catalog.name(instance), self.catalog.uuid(version)
        self._found.append(Finding(damage, text, instance, name, version, uuid, rows, keys))

    def add_row(self, damage: Damage, key: bytes, instance: int | None = None, version: int | None = None) -> None:
        """Take a damaged row."""
        rows = self._rows[damage, instance, version]
        rows.count += 1
        if len(rows.keys) < KEYS_SHOWN:
            rows.keys.append(key)

    def has_rows(self, damage: Damage, instance: int | None = None, version: int | None = None) -> bool:
        """Whether there are damaged rows of this kind and place."""
        return (damage, instance, version) in self._rows

    def all(self) -> tuple[Finding, ...]:
        """Everything found."""
        rows = [self._of_rows(*place) for place in self._rows]
        return (*self._found, *sorted(rows, key=lambda finding: finding.keys))

    def _of_rows(self, damage: Damage, instance: int | None, version: int | None) -> Finding:
        rows = self._rows[damage, instance, version]
        where = [] if instance is None else [self.catalog.instance_text(instance)]
        where += [] if version is None else [self.catalog.version_text(version)]
        more = f" and {rows.count - len(rows.keys)} more" if rows.count > len(rows.keys) else ""
        keys = ", ".join(map(shown, rows.keys))
        text = f"{', '.join(where) or 'store'}: {_ROW_TEXTS[damage]} {keys}{more}"
        name, uuid = self.catalog.name(instance), self.catalog.uuid(version)
        return Finding(damage, text, instance, name, version, uuid, rows.count, tuple(rows.keys))
