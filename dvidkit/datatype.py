"""Datatypes: what gives the bytes of a store a meaning.

A datatype is one class. Its class attributes declare it; an object of it is one data instance as one version sees it,
with the plain Python methods that users call. Endpoints are such methods with a decorator. A datatype reads through
``self.store`` and ``self.ctx`` and writes through ``self.mutation``; it imports no other datatype and no engine.

::

    class Tally(Datatype):
        typename = "tally"
        COUNT = TKeyClass(200, "count of a name", terminator=0)
        tkey_classes = (COUNT,)

        def count(self, name: str) -> int:
            return int(self.store.get(self.ctx, self.COUNT.key(name.encode())) or 0)

        def add(self, name: str, n: int = 1) -> None:
            tkey = self.COUNT.key(name.encode())
            with self.mutation("add") as m:
                m.put(tkey, b"%d" % (int(m.lock([tkey])[tkey] or 0) + n))
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from dvidkit.endpoints import Endpoint, table_of
from dvidkit.engine import Capability
from dvidkit.keys import TKeyClass
from dvidkit.mutations import Event, Mutation, Part, Pending
from dvidkit.settings import Settings

if TYPE_CHECKING:
    from dvidkit.context import DataContext, VersionedContext
    from dvidkit.instance import DataInstance
    from dvidkit.repo import Version
    from dvidkit.store import Store

_TYPENAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
RESERVED_CLASSES: Final = frozenset({0, 1})
"""TKey classes no datatype may declare: unknown, and DVID's property class."""


class Datatype:
    """Base class of datatypes.

    Attributes:
        typename: what clients call it; unique over all installed plugins.
        version: of the datatype, as ``TypeVersion`` in its metadata.
        url: where its documentation is, as ``TypeURL``.
        summary: one line for lists.
        settings: class of its settings.
        tkey_classes: every class of TKeys it writes; the store refuses others.
        requires: engine capabilities without which it does not work.
        endpoints: its endpoint table, collected from the decorated methods.
        conformance: where its conformance case is, as ``"package.module:ClassName"``; empty if it has none.
        emits, consumes: kinds of events it tells subscribers, and that it answers as one.
    """

    typename: ClassVar[str]
    version: ClassVar[str] = "0.1"
    url: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    settings: ClassVar[type[Settings]] = Settings
    tkey_classes: ClassVar[tuple[TKeyClass, ...]] = ()
    requires: ClassVar[frozenset[Capability]] = frozenset()
    endpoints: ClassVar[tuple[Endpoint, ...]] = ()
    conformance: ClassVar[str] = ""
    emits: ClassVar[frozenset[str]] = frozenset()
    consumes: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.endpoints = table_of(cls)

    def __init__(self, instance: DataInstance, node: Version, *, override: bool = False) -> None:
        if instance.missing:
            instance.usable()
        self.instance = instance
        self.node = node
        self.override = override
        self.pending: Pending | None = None
        self.store: Store = instance.store
        self.ctx: VersionedContext | DataContext = instance.context(node)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.instance.name!r} at {self.node.uuid[:8]}>"

    def mutation(self, action: str, *, user: str = "", app: str = "") -> Mutation:
        """Begin a change of this instance at this version; see ``Mutation``.

        Raises:
            VersionLocked: the version is committed (when the ``with`` block is entered).
        """
        return Mutation(self, action, user=user, app=app)

    def on_event(self, part: Part, event: Event) -> None:
        """Answer an event of an instance this one is synced to, by puts and deletes of ``part``.

        Called for the kinds in ``consumes``, within the mutation that caused the event; what is raised here makes the
        whole mutation fail. For a source in another store it is called later, at least once, so an answer must not do
        harm a second time.
        """

    def extended(self) -> Mapping[str, Any]:
        """What the datatype adds to the instance's metadata (DVID's ``Extended``), under DVID's names."""
        return {}


def datatype_fault(datatype: object) -> str | None:
    """What a datatype's declaration has wrong, or ``None``."""
    if not (isinstance(datatype, type) and issubclass(datatype, Datatype)):
        return f"{datatype!r} is not a subclass of Datatype"
    name: object = getattr(datatype, "typename", None)
    if not isinstance(name, str) or not _TYPENAME.fullmatch(name):
        return f"{datatype.__name__} has the typename {name!r}; a typename is letters, digits, '-' and '_'"
    ids = [tkey_class.id for tkey_class in datatype.tkey_classes]
    if len(set(ids)) < len(ids) or RESERVED_CLASSES & set(ids):
        return f"datatype {name!r} declares TKey classes {ids}; they must differ and not be 0 or 1"
    settings: object = datatype.settings
    if not (isinstance(settings, type) and issubclass(settings, Settings)):
        return f"datatype {name!r} has settings that are no subclass of Settings"
    unknown = [str(need) for need in datatype.requires if need not in set(Capability)]
    if unknown:
        return f"datatype {name!r} requires unknown capabilities: {', '.join(sorted(unknown))}"
    return None


class _AnySettings(Settings, frozen=True, kw_only=True):
    """Settings of a datatype that is not installed: kept as they are."""

    @classmethod
    def parse(cls, config: Mapping[str, Any]) -> _AnySettings:
        """Only what every instance has."""
        return cls(versioned=bool(config.get("versioned", True)))


def missing_datatype(typename: str) -> type[Datatype]:
    """A stand-in for a datatype that is not installed; its instances can be listed and copied, not used."""
    return type("Missing", (Datatype,), {"typename": typename, "settings": _AnySettings, "missing": True})
