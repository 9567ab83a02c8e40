"""What a check is: a function that drives a session, and the clause it is written for.

The decorators mark functions and register nothing; ``gather`` finds them in the modules it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Literal, TypeVar

Subject = Literal["harness", "bytes", "store", "kernel"]
Function = TypeVar("Function", bound=Callable[..., None])
_MARK: Final = "conformance_check"


@dataclass(frozen=True, slots=True)
class Check:
    """A directed check.

    Attributes:
        clause: what it shows.
        name: of the function.
        subject: what the function is given: a ``Harness``, ``ByteSession``, ``StoreSession`` or ``KernelSession``.
        run: the function.
        reach: probes that must have been reached, else the check was vacuous.
        options: what the session is opened with.
        scale: the least scale (0 quick, 1 ci, 2 nightly) at which it runs.
    """

    clause: str
    name: str
    subject: Subject
    run: Callable[..., None]
    reach: tuple[str, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    scale: int = 0


def _marker(subject: Subject) -> Callable[..., Callable[[Function], Function]]:
    def mark(
        clause: str, *, reach: Iterable[str] = (), scale: int = 0, **options: Any
    ) -> Callable[[Function], Function]:
        def marked(function: Function) -> Function:
            check = Check(clause, function.__name__, subject, function, tuple(reach), tuple(options.items()), scale)
            setattr(function, _MARK, (*getattr(function, _MARK, ()), check))
            return function

        return marked

    return mark


on_engine: Final = _marker("harness")
"""The function is given the harness, and opens what it needs."""
on_bytes: Final = _marker("bytes")
"""The function is given a session on a fresh byte store."""
on_store: Final = _marker("store")
"""The function is given a session on a fresh ``Store``."""
on_kernel: Final = _marker("kernel")
"""The function is given a session on a fresh kernel with a repo."""


def gather(modules: Iterable[ModuleType]) -> list[Check]:
    """The checks of these modules, in the order in which they are written."""
    found: list[Check] = []
    for module in modules:
        for value in vars(module).values():
            found += getattr(value, _MARK, ()) if getattr(value, "__module__", "") == module.__name__ else ()
    return found
