"""Arrays out of numpy's pickles, without unpickling: nothing that a pickle names is imported, called or made.

A pickle is a program for a stack machine. That of an array uses few of its operations and names four things of numpy's;
these are followed here on plain values, and whatever else comes is refused. Protocols 3, 4 and 5 are read; the older
ones hold bytes as a call of a codec.

Source: the operations are those of ``pickletools``; what is pickled, numpy's ``ndarray.__reduce__`` and
``__reduce_ex__``.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dvidkit.errors import BadPayload

_MOST_OPERATIONS: Final = 256
"""That of an array has about 60."""

_NAMES: Final[Mapping[tuple[str, str], str]] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    **{(f"numpy.{core}.multiarray", "_reconstruct"): "reconstruct" for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): "frombuffer" for core in ("core", "_core")},
}
_CONSTANTS: Final[Mapping[str, Any]] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_ARGUMENTS: Final = frozenset(
    [
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "SHORT_BINBYTES",
        "BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
        "SHORT_BINUNICODE",
        "BINUNICODE",
    ]
)
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NOTHING: Final = frozenset({"PROTO", "FRAME", "STOP"})


@dataclass(frozen=True, slots=True)
class _Name:
    """Something of numpy's that a pickle names."""

    what: str


@dataclass(slots=True)
class _Type:
    """A dtype: its code like ``u2``, and its byte order."""

    code: str
    order: str = "="


@dataclass(slots=True)
class PickledArray:
    """What a pickle says of an array.

    Attributes:
        code: of its dtype, with the byte order: ``<u2``, ``|u1``.
        shape: sides.
        fortran: the first axis is fastest.
        data: its bytes, a view of the pickle's where that is possible.
    """

    code: str = ""
    shape: tuple[int, ...] = ()
    fortran: bool = False
    data: bytes | bytearray = b""


@dataclass(slots=True)
class _Machine:
    """The stack, with its marks, and the memo."""

    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def step(self, name: str, argument: Any) -> None:
        """Do one operation."""
        if name in _ARGUMENTS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            self._tuple(len(self.stack) - _TUPLES[name])
        elif name not in _NOTHING:
            _OPERATIONS[name](self, argument)

    def _tuple(self, begin: int) -> None:
        if begin < 0:
            raise IndexError
        self.stack[begin:] = [tuple(self.stack[begin:])]

    def mark(self, _: Any) -> None:
        """Begin a tuple."""
        self.stack.append(self)

    def tuple(self, _: Any) -> None:
        """End it."""
        begin = max(place for place, each in enumerate(self.stack) if each is self)
        self._tuple(begin + 1)
        del self.stack[begin]

    def memoize(self, _: Any) -> None:
        """Remember the last value under the next number."""
        self.memo[len(self.memo)] = self.stack[-1]

    def put(self, argument: Any) -> None:
        """Remember it under this number."""
        self.memo[argument] = self.stack[-1]

    def get(self, argument: Any) -> None:
        """The value that was remembered."""
        self.stack.append(self.memo[argument])

    def named(self, argument: Any) -> None:
        """A thing by its module and name."""
        module, _, name = argument.partition(" ")
        self.stack.append(_Name(_NAMES[module, name]))

    def named_on_stack(self, _: Any) -> None:
        """The same, both on the stack."""
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_Name(_NAMES[module, name]))

    def reduce(self, _: Any) -> None:
        """What calling the last but one with the last would make."""
        arguments, called = self.stack.pop(), self.stack.pop()
        if called == _Name("dtype"):
            self.stack.append(_Type(arguments[0]))
        elif called == _Name("reconstruct"):
            self.stack.append(PickledArray())
        elif called == _Name("frombuffer"):
            data, kind, shape, order = arguments
            self.stack.append(PickledArray(_code(kind), shape, order == "F", data))
        else:
            raise TypeError

    def build(self, _: Any) -> None:
        """Give what was made its state."""
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, _Type):
            made.order = state[1]
        elif isinstance(made, PickledArray):
            _, made.shape, kind, made.fortran, made.data = state
            made.code = _code(kind)
        else:
            raise TypeError


_OPERATIONS: Final[Mapping[str, Callable[[_Machine, Any], None]]] = {
    "MARK": _Machine.mark,
    "TUPLE": _Machine.tuple,
    "MEMOIZE": _Machine.memoize,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.named,
    "STACK_GLOBAL": _Machine.named_on_stack,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}


def read_pickled_array(pickle: bytes) -> PickledArray:
    """What a pickle says of the one array that it is of.

    Raises:
        BadPayload: it is of something else, or no pickle.
    """
    machine = _Machine()
    try:
        for number, (operation, argument, _) in enumerate(pickletools.genops(pickle)):
            if number > _MOST_OPERATIONS:
                raise BadPayload("the pickle is not of an array: it is too long")
            machine.step(operation.name, argument)
        (made,) = machine.stack
    except (ValueError, LookupError, TypeError, AttributeError):
        raise BadPayload("the pickle is not of an array alone") from None
    if not isinstance(made, PickledArray) or not _plausible(made):
        raise BadPayload("the pickle is not of an array alone")
    return made


def _plausible(made: PickledArray) -> bool:
    """Whether everything is of the type that it must have."""
    return (
        isinstance(made.data, bytes | bytearray)
        and isinstance(made.shape, tuple)
        and all(type(side) is int for side in made.shape)
        and bool(made.code)
    )


def _code(kind: Any) -> str:
    if not isinstance(kind, _Type) or not (isinstance(kind.code, str) and isinstance(kind.order, str)):
        raise TypeError
    return kind.order + kind.code
