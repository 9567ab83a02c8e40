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
    from dvidkit.kernel import Kernel
    from dvidkit.mutationlog import MutationRecord

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
def dvidkit_mutation(kernel: Kernel, record: MutationRecord) -> None:
    """Take notice of a change: of data, or of a repo.

    Called in a thread of its own, in the order in which changes were written, only for changes that were; at least
    once each, also after a crash: ``record.number`` tells a repetition. What is raised here is logged, and the same
    record is delivered again after a pause, before any later one.

    Args:
        kernel: whose store was changed.
        record: what was changed, by whom; ``record.to_json()`` is its form in DVID's Kafka topics.
    """
    raise NotImplementedError
