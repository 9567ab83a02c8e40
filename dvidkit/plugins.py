"""Finding plugins, and keeping one broken plugin from breaking the rest.

Entry points of the group ``dvidkit`` are loaded one by one in a stable order. What fails is kept as data
(``Plugins.failures``) and named by ``dvidkit plugins``; what works is usable. A name belongs to the first distribution
that offers it, first-party before others; a second owner is refused with an error that names both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pluggy

from dvidkit import hookspecs
from dvidkit.engine import Capabilities, Capability, Engine, Limits, Loss
from dvidkit.errors import BadConfig, PluginError, PluginLoadError, PluginNameTaken, UnknownDatatype, UnknownEngine
from dvidkit.installed import entry_points

if TYPE_CHECKING:
    from dvidkit.datatype import Datatype

FIRST_PARTY: Final = "dvidkit"
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")


class LoadedPlugin(msgspec.Struct, frozen=True):
    """A plugin as it was found.

    Attributes:
        name: of the entry point.
        distribution, version: of the package that declares it; empty for one registered by hand.
        engines, datatypes: names it owns.
        failures: what went wrong with it; an empty tuple if all is well.
    """

    name: str
    distribution: str
    version: str
    engines: tuple[str, ...] = ()
    datatypes: tuple[str, ...] = ()
    failures: tuple[PluginError, ...] = ()


class _Source(msgspec.Struct):
    name: str
    distribution: str
    version: str
    load: Callable[[], Any]
    engines: list[str] = []
    datatypes: list[str] = []
    failures: list[PluginError] = []


class Plugins:
    """The plugins of one kernel.

    Args:
        extra: further plugins by name, modules or objects with hook implementations; they come after installed ones.
        installed: whether to load the entry points of installed distributions.
    """

    def __init__(self, extra: Mapping[str, Any] | None = None, *, installed: bool = True) -> None:
        self.manager = pluggy.PluginManager(hookspecs.GROUP)
        self.manager.add_hookspecs(hookspecs)
        self._engines: dict[str, tuple[Engine, str]] = {}
        self._datatypes: dict[str, tuple[type[Datatype], str]] = {}
        self._sources: list[_Source] = list(_installed()) if installed else []
        for name, plugin in (extra or {}).items():
            self._sources.append(_Source(name, "", "", _returning(plugin)))
        for source in self._sources:
            self._register(source)

    # --- what there is -----------------------------------------------------------------------------------------------

    @property
    def loaded(self) -> tuple[LoadedPlugin, ...]:
        """Every plugin found, broken ones too."""
        return tuple(
            LoadedPlugin(
                source.name,
                source.distribution,
                source.version,
                tuple(source.engines),
                tuple(source.datatypes),
                tuple(source.failures),
            )
            for source in self._sources
        )

    @property
    def failures(self) -> tuple[PluginError, ...]:
        """What went wrong, over all plugins."""
        return tuple(failure for source in self._sources for failure in source.failures)

    @property
    def engines(self) -> Mapping[str, Engine]:
        """Engines by name."""
        return {name: engine for name, (engine, _) in sorted(self._engines.items())}

    @property
    def datatypes(self) -> Mapping[str, type[Datatype]]:
        """Datatypes by name."""
        return {name: datatype for name, (datatype, _) in sorted(self._datatypes.items())}

    def engine(self, name: str) -> Engine:
        """The engine of this name.

        Raises:
            UnknownEngine: naming what is installed, and what failed to load.
        """
        try:
            return self._engines[name][0]
        except KeyError:
            raise UnknownEngine(
                self._unknown("engine", name, self._engines), name=name, installed=tuple(sorted(self._engines))
            ) from None

    def datatype(self, name: str) -> type[Datatype]:
        """The datatype of this name.

        Raises:
            UnknownDatatype: naming what is installed, and what failed to load.
        """
        try:
            return self._datatypes[name][0]
        except KeyError:
            raise UnknownDatatype(
                self._unknown("datatype", name, self._datatypes), name=name, installed=tuple(sorted(self._datatypes))
            ) from None

    def owner(self, name: str) -> str:
        """The distribution that an engine or datatype of this name came from."""
        found: tuple[object, str] | None = self._engines.get(name) or self._datatypes.get(name)
        return found[1] if found else ""

    def _unknown(self, what: str, name: str, table: Mapping[str, object]) -> str:
        text = f"no {what} {name!r}; installed: {', '.join(sorted(table)) or 'none'}"
        if self.failures:
            broken = sorted({str(failure.context.get("plugin")) for failure in self.failures})
            text += f"; plugins that failed to load: {', '.join(broken)}"
        return text

    # --- what a configuration asks for -------------------------------------------------------------------------------

    def configure(self, sections: Mapping[str, Mapping[str, Any]]) -> None:
        """Give sections of a configuration to the plugins that take them, and register what those offer.

        Call it before a kernel is opened with these plugins.

        Raises:
            BadConfig: a section that no plugin, or more than one, takes, or that its plugin refuses.
        """
        for section, settings in sections.items():
            offered = self.manager.hook.dvidkit_configured(section=section, settings=settings)
            if len(offered) != 1:
                found = "more than one installed plugin takes it" if offered else "no installed plugin takes it"
                raise BadConfig(f"section {section!r} of the configuration: {found}", setting=section)
            self.manager.register(offered[0], name=section)
            self.manager.check_pending()

    # --- loading -----------------------------------------------------------------------------------------------------

    def _register(self, source: _Source) -> None:
        name = f"{source.distribution or 'local'}:{source.name}"
        try:
            plugin = source.load()
            self.manager.register(plugin, name=name)
            self.manager.check_pending()
        except Exception as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            source.failures.append(_failure(source, f"cannot be loaded: {error!r}", error))
            return
        for hook, take in (("dvidkit_engines", self._take_engine), ("dvidkit_datatypes", self._take_datatype)):
            offered = getattr(plugin, hook, None)
            if offered is None:
                continue
            try:
                things = list(offered())
            except Exception as error:
                source.failures.append(_failure(source, f"{hook} raised {error!r}", error))
                continue
            for thing in things:
                self._try(source, take, thing)

    def _try(self, source: _Source, take: Callable[[_Source, Any], None], thing: Any) -> None:
        try:
            take(source, thing)
        except PluginError as error:
            source.failures.append(error)
        except Exception as error:
            source.failures.append(_failure(source, f"{thing!r} cannot be read: {error!r}", error))

    def _take_engine(self, source: _Source, engine: Any) -> None:
        fault = engine_fault(engine)
        if fault:
            raise _failure(source, fault)
        _own(self._engines, engine.name, engine, source)
        source.engines.append(engine.name)

    def _take_datatype(self, source: _Source, datatype: Any) -> None:
        from dvidkit.datatype import datatype_fault

        fault = datatype_fault(datatype)
        if fault:
            raise _failure(source, fault)
        _own(self._datatypes, datatype.typename, datatype, source)
        source.datatypes.append(datatype.typename)


def _own(table: dict[str, tuple[Any, str]], name: str, thing: Any, source: _Source) -> None:
    owner = source.distribution or source.name
    if name in table:
        first = table[name][1]
        raise PluginNameTaken(
            f"{owner!r} offers {name!r}, which {first!r} offers already; uninstall one of them",
            name=name,
            owners=(first, owner),
            plugin=source.name,
            distribution=source.distribution,
        )
    table[name] = (thing, owner)


def engine_fault(engine: Any) -> str | None:
    """What an engine's declaration has wrong, or ``None``."""
    if not isinstance(engine, Engine):
        return f"{engine!r} is not an Engine object"
    name = getattr(engine, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return f"{type(engine).__name__} has the name {name!r}; a name is lower case letters, digits, '-' and '_'"
    declared: tuple[object, object] = (engine.capabilities, engine.limits)
    if not (isinstance(declared[0], Capabilities) and isinstance(declared[1], Limits)):
        return f"engine {name!r} must declare Capabilities and Limits"
    features: object = engine.capabilities.features
    if not isinstance(features, frozenset):
        return f"engine {name!r} must declare its capabilities as a frozenset"
    unknown = [str(feature) for feature in features if feature not in set(Capability)]
    if unknown:
        return f"engine {name!r} declares unknown capabilities: {', '.join(sorted(unknown))}"
    losses = (engine.capabilities.durable, engine.capabilities.buffered)
    if any(loss not in set(Loss) for loss in losses):
        return f"engine {name!r} declares unknown durabilities: {losses}"
    return None


def _failure(source: _Source, what: str, cause: Exception | None = None) -> PluginLoadError:
    error = PluginLoadError(
        f"plugin {source.name!r} of {source.distribution or 'this process'!r}: {what}",
        plugin=source.name,
        distribution=source.distribution,
    )
    error.__cause__ = cause
    return error


def _installed() -> Iterable[_Source]:
    """Sources of the installed entry points: first-party first, then by distribution and name."""
    found = sorted(entry_points(group=hookspecs.GROUP), key=_order)
    seen: set[tuple[str, str, str]] = set()
    for entry in found:
        distribution = _distribution(entry)
        identity = (distribution, entry.name, entry.value)
        if identity not in seen:
            seen.add(identity)
            yield _Source(entry.name, distribution, getattr(entry.dist, "version", ""), entry.load)


def _order(entry: Any) -> tuple[bool, str, str]:
    distribution = _distribution(entry)
    return distribution != FIRST_PARTY, distribution, entry.name


def _distribution(entry: Any) -> str:
    return str(entry.dist.name) if entry.dist is not None else ""


def _returning(plugin: Any) -> Callable[[], Any]:
    return lambda: plugin
