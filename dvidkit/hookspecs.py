"""The hooks of dvidkit, for plugins that register under the entry-point group ``dvidkit``.

A plugin is a module (or object) named by an entry point of that group. Decorate its hook implementations with
``dvidkit.hookimpl``. First-party engines and datatypes use exactly these hooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import pluggy

if TYPE_CHECKING:
    from dvidkit.datatype import Datatype
    from dvidkit.engine import Engine
    from dvidkit.kernel import Kernel
    from dvidkit.mutationlog import MutationRecord
    from dvidkit.store import Store

GROUP: Final = "dvidkit"

hookspec: Final = pluggy.HookspecMarker(GROUP)
hookimpl: Final = pluggy.HookimplMarker(GROUP)
"""Marks a function of a plugin as the implementation of the hook of the same name."""


@hookspec
def dvidkit_engines() -> Iterable[Engine]:
    """Offer storage engines.

    Called once per kernel, when its plugins are loaded. Import the driver in ``Engine.open``, not here: a hook that
    raises is recorded as a broken plugin, and its engines are missing.

    Returns:
        Engine objects; none is fine.
    """
    raise NotImplementedError


@hookspec
def dvidkit_datatypes() -> Iterable[type[Datatype]]:
    """Offer datatypes.

    Called once per kernel, when its plugins are loaded.

    Returns:
        Datatype classes; none is fine.
    """
    raise NotImplementedError


@hookspec
def dvidkit_endpoints() -> Iterable[type[Any]]:
    """Offer groups of endpoints to a service, beside those of the instances.

    Called each time a service is made of a kernel, so what it needs may be imported here. The first segments of the
    paths must be the group's own: a group that would answer what somebody else answers, or that cannot be made, is
    left out and logged.

    Returns:
        Subclasses of ``dvidkit.http.api.Api``; none is fine.
    """
    raise NotImplementedError


@hookspec
def dvidkit_configured(section: str, settings: Mapping[str, Any]) -> object | None:
    """Take a section of a configuration, and offer what it asks for.

    Called before a kernel is opened from a configuration file, for ``[kafka]`` and for every ``[plugin.<name>]``. What
    is returned is registered as a plugin of that kernel alone, under the name of the section, so that nothing is kept
    in the module. A section that nobody takes is an error.

    Args:
        section: ``kafka``, or the name of the plugin's section.
        settings: what stands in it.

    Returns:
        An object with hook implementations; ``None`` if the section is another plugin's.

    Raises:
        BadConfig: a setting is wrong. The kernel is not opened.
    """
    raise NotImplementedError


@hookspec
def dvidkit_mutation(kernel: Kernel, store: Store, record: MutationRecord) -> None:
    """Take notice of a change: of data, or of a repo.

    Called in a thread of the plugin's own, in the order in which changes were written to a store, only for changes
    that were; at least once each, also after a crash. What is raised here is logged, and delivery goes on after a
    pause with this record or an earlier one. A plugin that was missing for a while gets what it missed; one that was
    never there before gets what is written from now on.

    Args:
        kernel: whose store was changed.
        store: whose log this is; ``record.number`` is the place in it, and tells a repetition.
        record: what was changed, by whom; ``record.to_json()`` is its form in DVID's Kafka topics.
    """
    raise NotImplementedError


@hookspec
def dvidkit_settle(kernel: Kernel, store: Store) -> None:
    """Make sure of the mutations taken notice of so far.

    Called after one or more calls of ``dvidkit_mutation`` for a store, in the same thread, before it is recorded that
    they are dealt with. Returning means that they are, for ever; raising means that all since the last return of this
    hook will be delivered again. Should answer within seconds: a kernel that is closed waits for it.

    Args:
        kernel, store: as in ``dvidkit_mutation``.
    """
    raise NotImplementedError


@hookspec
def dvidkit_activity(kernel: Kernel, activity: Mapping[str, Any]) -> None:
    """Take notice of a request that a service has answered.

    Called in the event loop, so it must return at once; what is raised here is logged and forgotten. Activity is told
    once or never.

    Args:
        kernel: that is served.
        activity: as in DVID's activity topic: ``time`` (Unix seconds), ``duration`` (ms), ``status``, ``user``,
            ``client``, ``method``, ``uri`` (secrets masked), ``bytes_in``, ``bytes_out``, ``remote_addr``.
    """
    raise NotImplementedError


@hookspec
def dvidkit_closing(kernel: Kernel) -> None:
    """Let go of what is held for a kernel: it is being closed.

    Called once, when deliveries have ended and before stores are closed. What is raised here is logged.

    Args:
        kernel: that is closed.
    """
    raise NotImplementedError
