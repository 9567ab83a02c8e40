"""The runner of mutants: what it changes, and that the kit catches what it must."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.mutants.mutation import count, mutants
from dvidkit_conformance.mutants.running import (
    MODULES,
    NONE,
    examine,
    known,
    report,
    run,
    sample,
    source_of,
    subjects_of,
)

_MEMORY = "dvidkit_memory.store"

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


def test_what_is_proven() -> None:
    """A mutant of an engine is sought on that engine, of cursors on LevelDB, others on the reference engine."""
    engines = ("memory", "lmdb")
    assert subjects_of("dvidkit_lmdb.store", engines) == ("lmdb", ())
    assert subjects_of("dvidkit_keyvalue.slices", engines) == ("memory", ("keyvalue",))
    assert subjects_of("dvidkit.keys", engines) == ("memory", ("keyvalue",))
    assert subjects_of("dvidkit.cursorstore", {*engines, "leveldb"}) == ("leveldb", ())


def test_a_mutant_is_caught_once(tmp_path: Path) -> None:
    """By a clause; told and kept as it comes; a second run with the same results does not run it again."""
    number = next(m.number for m, _ in mutants(_MEMORY, source_of(_MEMORY)) if "rows.now.get(key) != value" in m.what)
    told: list[dict[str, Any]] = []
    results = tmp_path / "results"
    found = run([(_MEMORY, number)], results, 1, told.append)
    assert found == told == known(results)
    assert found[0]["caught"].startswith("ENG-"), found
    assert next(iter(report(found))) == "1 mutants, 1 caught (0 do not end), 0 survive"
    assert run([(_MEMORY, number)], results, 1, told.append) == found
    assert len(told) == 1


def test_a_module_of_the_kernel_is_changed() -> None:
    """Also one that ``dvidkit`` itself imports: turned round, the refusal of blobs refuses every one."""
    keys = "dvidkit.keys"
    number = next(m.number for m, _ in mutants(keys, source_of(keys)) if m.what.startswith("if len(digest) != 16"))
    assert examine(keys, number)["caught"]


def test_an_unknown_module_is_told() -> None:
    """Not silently none."""
    for module in ("dvidkit.nothing", "nothing.at_all", "nothing"):
        with pytest.raises(ValueError, match="there is no module"):
            source_of(module)
    with pytest.raises(ValueError, match="no mutant"):
        examine(_MEMORY, NONE)
