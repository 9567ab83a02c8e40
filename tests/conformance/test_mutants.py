"""The runner of mutants: what it changes, and that the kit catches what it must."""

from __future__ import annotations

import ast

import pytest
from dvidkit_conformance.mutants.mutation import count, mutants
from dvidkit_conformance.mutants.running import MODULES, NONE, examine, report, sample, source_of

_SOURCE = '''
"""Docs with 3 numbers."""
LIMIT: int = 10


def pick(rows: list[int], start: int = 0) -> int | None:
    """Docs."""
    if start < LIMIT and rows:
        return rows[start] + 1
    return None
'''


def test_each_mutant_is_one_change() -> None:
    """Every mutant can be compiled, differs from the source, and from every other."""
    found = [ast.unparse(tree) for _, tree in mutants("m", _SOURCE)]
    assert len(found) == count(_SOURCE) == len(set(found))
    assert ast.unparse(ast.parse(_SOURCE)) not in found
    for text in found:
        compile(text, "m", "exec")


def test_what_is_changed() -> None:
    """Comparisons, arithmetic, connections, conditions, numbers, results; not annotations, not docstrings."""
    changes = {mutant.what for mutant, _ in mutants("m", _SOURCE)}
    assert {"start < LIMIT -> start <= LIMIT", "10 -> 11", "return rows[start] + 1 -> return None"} <= changes
    assert "rows[start] + 1 -> rows[start] - 1" in changes
    assert "start < LIMIT and rows -> start < LIMIT or rows" in changes
    assert not any("Docs" in change.split(" -> ")[0] for change in changes if "def" not in change)


def test_the_sample_is_the_seed_s() -> None:
    """The same seed draws the same mutants, of every module."""
    assert sample(MODULES, 50, 1) == sample(MODULES, 50, 1) != sample(MODULES, 50, 2)
    assert {module for module, _ in sample(MODULES, 400, 1)} == set(MODULES)


def test_a_mutant_is_caught() -> None:
    """A comparison of the memory engine turned round is caught by a clause."""
    number = next(
        m.number for m, _ in mutants(MODULES[-1], source_of(MODULES[-1])) if "rows.now.get(key) != value" in m.what
    )
    result = examine(MODULES[-1], number)
    assert result["caught"].startswith("ENG-"), result
    assert "caught" in next(iter(report([result])))


def test_an_unknown_module_is_told() -> None:
    """Not silently none."""
    with pytest.raises((ValueError, ModuleNotFoundError)):
        examine("dvidkit.nothing", NONE)
