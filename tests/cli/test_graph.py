"""Drawings of DAGs: golden ones, and that every drawing can be read back to the DAG it was made from."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from dvidkit.cli.graph import Node, draw

Spec = Sequence[tuple[str, str]]

_DOWN = set("│├┤┼╮╭┬")
_SIDE = set("─├┤┼╮╭┬╯╰┴")


def drawn(spec: Spec, *, ascii_only: bool = False, more: Sequence[str] = ()) -> str:
    """The drawing of (name, parents) given newest first."""
    nodes = [Node(name, parents.split(), "●", name, more) for name, parents in spec]
    return "\n".join(draw(nodes, ascii_only=ascii_only))


LINE = [("c", "b"), ("b", "a"), ("a", "")]
BRANCH = [("e", "c"), ("d", "b"), ("c", "a"), ("b", "a"), ("a", "")]
MERGE = [("d", "b c"), ("c", "a"), ("b", "a"), ("a", "")]
CRISS_CROSS = [("f", "d e"), ("e", "b c"), ("d", "c b"), ("c", "a"), ("b", "a"), ("a", "")]
OCTOPUS = [("m", "b c d e"), ("e", "a"), ("d", "a"), ("c", "a"), ("b", "a"), ("a", "")]
OVER = [("z", "p q"), ("y", "q p"), ("x", "p r"), ("r", "o"), ("q", "o"), ("p", "o"), ("o", "")]
NESTED = [("h", "f g"), ("g", "d e"), ("f", "b c"), ("e", "a"), ("d", "a"), ("c", "a"), ("b", "a"), ("a", "")]


@pytest.mark.parametrize(
    ("spec", "golden"),
    [
        ([], ""),
        ([("a", "")], "●  a"),
        (LINE, "●  c\n●  b\n●  a"),
        (
            BRANCH,
            """
●  e
│ ●  d
● │  c
│ ●  b
├─╯
●  a""",
        ),
        (
            MERGE,
            """
●  d
├─╮
│ ●  c
● │  b
├─╯
●  a""",
        ),
        (
            CRISS_CROSS,
            """
●  f
├─╮
│ ●  e
│ ├─╮
● │ │  d
╰─┼─┤
  │ ●  c
  ● │  b
  ├─╯
  ●  a""",
        ),
        (
            OCTOPUS,
            """
●  m
├─┬─┬─╮
│ │ │ ●  e
│ │ ● │  d
│ │ ├─╯
│ ● │  c
│ ├─╯
● │  b
├─╯
●  a""",
        ),
        (
            OVER,
            """
●  z
├─╮
│ │ ●  y
├─┼─╯
│ │ ●  x
├─│─┤
│ │ ●  r
│ ● │  q
│ ├─╯
● │  p
├─╯
●  o""",
        ),
        (
            NESTED,
            """
●  h
├─╮
│ ●  g
│ ├─╮
● │ │  f
├─│─│─╮
│ │ ● │  e
│ ● │ │  d
│ ├─╯ │
│ │   ●  c
│ ├───╯
● │  b
├─╯
●  a""",
        ),
    ],
    ids=["none", "one", "line", "branch", "merge", "criss-cross", "octopus", "over", "nested"],
)
def test_golden(spec: Spec, golden: str) -> None:
    """Exactly this text, and it reads back."""
    text = drawn(spec)
    assert text == golden.removeprefix("\n")
    assert read(text) == {name: set(parents.split()) for name, parents in spec}


def test_golden_ascii() -> None:
    """The same with signs of every terminal; a crossing and a joining are not alike."""
    assert drawn(CRISS_CROSS, ascii_only=True).splitlines() == [
        "*  f",
        "+-.",
        "| *  e",
        "| +-.",
        "* | |  d",
        "'-+-+",
        "  | *  c",
        "  * |  b",
        "  +-'",
        "  *  a",
    ]
    assert "+-|-+" in drawn(OVER, ascii_only=True)


def test_further_lines_stand_beside_the_lanes() -> None:
    """What is written below a node does not break the lines."""
    assert drawn(MERGE, more=["1", "2"]).splitlines() == [
        "●  d",
        "├─╮  1",
        "│ │  2",
        "│ ●  c",
        "│ │  1",
        "│ │  2",
        "● │  b",
        "├─╯  1",
        "│    2",
        "●  a",
        "   1",
        "   2",
    ]


def test_parents_that_are_not_drawn_are_left_out() -> None:
    """A DAG may be drawn in part."""
    assert drawn([("c", "b x"), ("b", "y")]) == "●  c\n●  b"


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("seed", range(300))
def test_every_drawing_reads_back(seed: int, ascii_only: bool) -> None:
    """Random DAGs with branches, merges of up to five parents and several roots: nothing is drawn that is not there."""
    rng = random.Random(seed)
    names = [f"n{number}" for number in range(rng.randint(1, 25))]
    parents: dict[str, set[str]] = {}
    for number, name in enumerate(names):
        count = min(number, rng.choice([0, 1, 1, 1, 1, 2, 2, 3, 5]))
        recent = names[max(0, number - rng.choice([2, 4, 30])) : number]
        parents[name] = set(rng.sample(recent, min(count, len(recent))))
    spec = [(name, " ".join(parents[name])) for name in reversed(names)]
    text = drawn(spec, ascii_only=ascii_only)
    if not ascii_only:
        assert read(text) == parents, text
    else:
        assert [line.split()[-1] for line in text.splitlines() if "*" in line] == list(reversed(names))


def read(text: str) -> dict[str, set[str]]:
    """Parents by name, by following the lines of a drawing down."""
    found: dict[str, set[str]] = {}
    lanes: dict[int, set[str]] = {}
    source, where = "", 0
    for line in text.splitlines():
        cells = line.ljust(2 * (max([where, *lanes]) + 2))
        if "●" in line:
            source, where = line.split()[-1], line.index("●") // 2
            for child in lanes.pop(where, set()):
                found[child].add(source)
            found[source] = set()
            lanes = {lane: children for lane, children in lanes.items() if cells[2 * lane] == "│"}
            lanes[where] = {source}
            continue
        for lane in _run(cells, where):
            if cells[2 * lane] in _DOWN:
                lanes.setdefault(lane, set()).add(source)
            else:
                lanes[where] |= lanes.pop(lane, set())
        lanes = {lane: children for lane, children in lanes.items() if cells[2 * lane] in _DOWN}
    return found


def _run(cells: str, where: int) -> list[int]:
    """The lanes that the line from the node's lane is joined to; lanes it only crosses are not."""
    joined = []
    for step in (-1, 1):
        lane = where
        while 0 <= 2 * lane + step < len(cells) and cells[2 * lane + step] == "─":
            lane += step
            if cells[2 * lane] in _SIDE:
                joined.append(lane)
    return joined
