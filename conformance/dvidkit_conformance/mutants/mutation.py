"""Mutants of a module: its source with one small change each."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

_COMPARED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_COMPUTED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change.

    Attributes:
        module: name of the module.
        number: of the change within the module.
        line: where it is.
        what: the change in words.
    """

    module: str
    number: int
    line: int
    what: str


def mutants(module: str, source: str) -> Iterator[tuple[Mutant, ast.Module]]:
    """Every mutant of a module, in order of place; annotations, docstrings and messages are left alone."""
    whole = ast.parse(source)
    for number, place in enumerate(_places(whole)):
        yield _mutant(module, number, whole, *place)


def mutant(module: str, source: str, number: int) -> tuple[Mutant, ast.Module]:
    """The mutant of this number.

    Raises:
        ValueError: there are not so many.
    """
    whole = ast.parse(source)
    found = next(islice(_places(whole), number, None), None)
    if found is None:
        raise ValueError(f"module {module} has no mutant {number}")
    return _mutant(module, number, whole, *found)


def _mutant(module: str, number: int, whole: ast.Module, place: int, way: str) -> tuple[Mutant, ast.Module]:
    changed = copy.deepcopy(whole)
    node = next(islice(ast.walk(changed), place, None))
    before = ast.unparse(node)
    _change(node, way)
    ast.fix_missing_locations(changed)
    line = getattr(node, "lineno", 0)
    return Mutant(module, number, line, f"{_one_line(before)} -> {_one_line(ast.unparse(node))}"), changed


def count(source: str) -> int:
    """How many mutants there are."""
    return sum(1 for _ in _places(ast.parse(source)))


def _places(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(number of the node in the order of ``ast.walk``, way of changing it)."""
    left_alone = _annotations(tree)
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in left_alone:
            continue
        if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARED:
            yield place, "compare"
        elif isinstance(node, ast.BinOp) and type(node.op) in _COMPUTED:
            yield place, "compute"
        elif isinstance(node, ast.BoolOp):
            yield place, "connect"
        elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
            yield place, "negate"
        elif isinstance(node, ast.Constant) and type(node.value) in (int, bool):
            yield place, "count"
        elif isinstance(node, ast.Return) and not (node.value is None or _is_none(node.value)):
            yield place, "return"


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _annotations(tree: ast.Module) -> set[int]:
    """Ids of nodes in annotations, and in what only types are made of."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.AnnAssign) and node.value is None:
            parts.append(node.target)
        for part in parts:
            found.update(map(id, ast.walk(part)) if part is not None else ())
    return found


def _change(node: ast.AST, way: str) -> None:
    if isinstance(node, ast.Compare):
        node.ops[0] = _COMPARED[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp):
        node.op = _COMPUTED[type(node.op)]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Constant):
        node.value = not node.value if isinstance(node.value, bool) else int(str(node.value)) + 1
    elif isinstance(node, ast.Return):
        node.value = ast.Constant(None)
    else:
        raise ValueError(f"no way {way!r} for {type(node).__name__}")


def _one_line(text: str) -> str:
    line = text.splitlines()[0] if text else ""
    return line if len(line) <= 70 else f"{line[:70]}…"
