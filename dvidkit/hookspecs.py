"""The hooks of dvidkit, for plugins that register under the entry-point group ``dvidkit``.

A plugin is a module (or object) named by an entry point of that group. Decorate its hook implementations with
``dvidkit.hookimpl``. First-party engines and datatypes use exactly these hooks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import pluggy

if TYPE_CHECKING:
    from dvidkit.datatype import Datatype
    from dvidkit.engine import Engine

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
