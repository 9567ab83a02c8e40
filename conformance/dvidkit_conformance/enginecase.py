"""What an engine tells the kit about itself, beyond what it declares, so that rare things happen often.

An engine names its case as ``conformance = "package.module:ClassName"`` (a string, so that the engine itself never
imports the kit). An engine without a case is proven with its ordinary settings, and its power lane is ``untested``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from dvidkit.engine import Engine
from dvidkit_conformance.powerloss import Disk, Recorded


class EngineCase:
    """Base class of cases, and the case of an engine that names none.

    Attributes:
        settings: options under which files fill, are folded, compacted and resized after little writing. Crash lanes
            take them in turns with the ordinary ones.
        small: the same, for the few kilobytes of the power lane.
    """

    settings: ClassVar[Sequence[Mapping[str, Any]]] = ()
    small: ClassVar[Mapping[str, Any]] = {}

    def recorded(self, on_operation: Callable[[Disk, str], object]) -> Recorded | None:
        """The engine with every operation on its files recorded; ``None`` if it cannot be.

        Args:
            on_operation: to be called before each operation that changes anything, with the disk as it is and a word.
        """
        return None


def case_of(engine: Engine) -> EngineCase:
    """The case that an engine names, or one that says nothing.

    Raises:
        ImportError, AttributeError: it names one that there is not.
    """
    module, _, name = engine.conformance.partition(":")
    case: EngineCase = getattr(import_module(module), name)() if name else EngineCase()
    return case
