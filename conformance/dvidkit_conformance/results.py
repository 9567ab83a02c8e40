"""What an operation answered, in a form that the model, the store under test and a report all share.

An answer is plain Python data of bytes, text, numbers, lists and ``None``, or one of the marks below.
"""

from __future__ import annotations

import marshal
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Err:
    """An error of dvidkit's tree, by the name of its class."""

    name: str


@dataclass(frozen=True, slots=True)
class Foreign:
    """An exception that is not of the tree, or a value of a type that must not come out."""

    what: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """Several answers of which each is right."""

    answers: tuple[Any, ...]


ABSENT: Final = "<no such handle>"
"""The answer, on both sides, of a step on something that an earlier step did not make."""


_SIMPLE: Final = frozenset({bytes, str, int, bool, float, type(None), Err, Foreign})
_EXACT: Final = 2
"""The last format of ``marshal`` that writes what is equal, types included, as the same bytes."""


def matches(expected: Any, got: Any) -> bool:
    """Whether ``got``, as ``plain`` gives it, is what was expected, types included."""
    kind = type(expected)
    if kind in _SIMPLE:
        return kind is type(got) and bool(expected == got)
    return (kind is type(got) and _same_bytes(expected, got)) or _matches(expected, got)


def _same_bytes(expected: Any, got: Any) -> bool:
    """Whether both are written alike: the answer for nearly all that are right. False says nothing."""
    try:
        return marshal.dumps(expected, _EXACT) == marshal.dumps(got, _EXACT)
    except ValueError:
        return False


def _matches(expected: Any, got: Any) -> bool:
    if isinstance(expected, OneOf):
        return any(_matches(answer, got) for answer in expected.answers)
    if type(expected) is not type(got):
        return False
    if isinstance(expected, (list, tuple)):
        return len(expected) == len(got) and all(map(_matches, expected, got))
    if isinstance(expected, dict):
        return expected.keys() == got.keys() and all(_matches(value, got[key]) for key, value in expected.items())
    return bool(expected == got)


def plain(value: Any) -> Any:
    """The value with tuples and lists alike as lists; what is neither data nor a mark becomes ``Foreign``."""
    kind = type(value)
    if kind in _SIMPLE:
        return value
    if kind is list or kind is tuple:
        return [each if type(each) in _SIMPLE else plain(each) for each in value]
    if kind is dict:
        return {key: plain(each) for key, each in value.items()}
    return Foreign(f"{kind.__name__} {_short(value)}")


_SHOWN: Final = 400
_LONG: Final = 160
_AROUND: Final = 40
"""Texts that are longer are shown so many characters around the place where they differ."""


def show(value: Any) -> str:
    """The answer for people, cut to a few hundred characters."""
    if isinstance(value, OneOf):
        return " or ".join(show(answer) for answer in value.answers)
    if isinstance(value, Err):
        return f"raises {value.name}"
    if isinstance(value, Foreign):
        return value.what
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, (list, tuple)):
        text = ", ".join(show(each) for each in value[:40]) + (f", … {len(value)} in all" if len(value) > 40 else "")
        text = f"[{text}]"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {show(each)}" for key, each in value.items()) + "}"
    else:
        text = repr(value)
    return text if len(text) <= 3 * _SHOWN else f"{text[: 3 * _SHOWN]}…"


def difference(expected: Any, got: Any) -> tuple[Any, Any]:
    """The part in which two answers differ: the same pair if that says more."""
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        keys = [key for key in expected if not matches(expected[key], got[key])]
        if keys:
            pairs = {key: _texts(expected[key], got[key]) for key in keys}
            return {key: pairs[key][0] for key in keys}, {key: pairs[key][1] for key in keys}
    if isinstance(expected, list) and isinstance(got, list) and max(len(expected), len(got)) > 12:
        return _window(expected, got)
    return expected, got


def _texts(expected: Any, got: Any) -> tuple[Any, Any]:
    """Of two long texts what is around the place where they differ; anything else as it is."""
    if not (isinstance(expected, str) and isinstance(got, str)) or max(len(expected), len(got)) <= _LONG:
        return expected, got
    at = next((n for n, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), min(len(expected), len(got)))
    start = max(0, at - _AROUND)
    first, second = (
        f"{'…' * (start > 0)}{text[start : at + _AROUND]} (character {at} of {len(text)})" for text in (expected, got)
    )
    return first, second


def _window(expected: list[Any], got: list[Any]) -> tuple[Any, Any]:
    at = next((n for n, (a, b) in enumerate(zip(expected, got, strict=False)) if not matches(a, b)), None)
    at = min(len(expected), len(got)) if at is None else at
    start = max(0, at - 1)

    def part(rows: list[Any]) -> dict[str, Any]:
        return {"rows": len(rows), f"from row {start}": rows[start : at + 3]}

    return part(expected), part(got)


def _bytes(value: bytes) -> str:
    if len(value) > 24 and value == value[:1] * len(value):
        return f"{value[:1]!r}*{len(value)}"
    return repr(value) if len(value) <= 64 else f"{value[:32]!r}…{value[-8:]!r} ({len(value)} bytes)"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
