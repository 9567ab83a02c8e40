"""Drawing a DAG in text, newest node first.

Every node has a lane, a column in which the line from its first child comes down. A node's first parent goes on in the
node's lane, unless it has one already; other parents get a lane, or are joined to the one they have. An only parent's
lane is drawn to the left where it can. So the line under a node says it all, and each sign in it means one thing:

====================  =============================================================================================
sign                  meaning
====================  =============================================================================================
``│``                 a lane goes by; a line crossing it (``─│─``) has nothing to do with it
``├ ┤ ┼``             a lane goes on, and is joined from that side
``╮ ╭ ┬``             a lane begins
``╯ ╰ ┴``             a lane ends, in the one it leads to
====================  =============================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Name = TypeVar("Name")

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_SIGNS: Final = {
    _UP | _DOWN: "│",
    _LEFT | _RIGHT: "─",
    _UP | _DOWN | _RIGHT: "├",
    _UP | _DOWN | _LEFT: "┤",
    _UP | _DOWN | _LEFT | _RIGHT: "┼",
    _DOWN | _LEFT: "╮",
    _DOWN | _RIGHT: "╭",
    _DOWN | _LEFT | _RIGHT: "┬",
    _UP | _LEFT: "╯",
    _UP | _RIGHT: "╰",
    _UP | _LEFT | _RIGHT: "┴",
    0: " ",
}
_ASCII: Final = str.maketrans("│─├┤┼╮╭┬╯╰┴●○", "|-+++..,''^*o")


@dataclass(frozen=True, slots=True)
class Node(Generic[Name]):
    """A node to draw.

    Attributes:
        name: what parents are referred to by.
        parents: their names, first parent first.
        sign: one character that stands for it.
        text: written beside it.
        more: further lines, written below.
    """

    name: Name
    parents: Sequence[Name]
    sign: str
    text: str
    more: Sequence[str] = ()


def draw(nodes: Iterable[Node[Name]], *, ascii_only: bool = False) -> Iterator[str]:
    """The lines of a drawing.

    Args:
        nodes: every child before its parents; parents that do not follow are left out.
        ascii_only: use only signs that every terminal has.
    """
    nodes = list(nodes)
    drawn = {node.name for node in nodes}
    lanes: list[Name | None] = []
    ended: int | None = None
    for node in nodes:
        parents = [parent for parent in node.parents if parent in drawn]
        here = _lane_of(node.name, lanes, ended)
        for line in _draw_node(node, here, parents, lanes):
            yield line.translate(_ASCII) if ascii_only else line
        ended = None if parents else here


def _draw_node(node: Node[Name], here: int, parents: Sequence[Name], lanes: list[Name | None]) -> Iterator[str]:
    """The lines of one node in its lane; ``lanes``, what each leads to, becomes what it is below the node."""
    signs = "".join("  " if lane is None else "│ " for lane in lanes)
    yield f"{signs[: 2 * here]}{node.sign}{signs[2 * here + 1 :]} {node.text}".rstrip()
    above = [lane is not None for lane in lanes]
    lanes[here] = None
    reached = [_reach(parent, here, lanes) for parent in parents]
    ends = reached[0] if len(reached) == 1 and reached[0] > here else None
    if ends is not None:
        lanes[here], lanes[ends] = lanes[ends], None
    below = "".join("  " if lane is None else "│ " for lane in lanes)
    more = list(node.more)
    if set(reached) - {here}:
        yield f"{_link(here, reached, above, lanes)} {more.pop(0) if more else ''}".rstrip()
    for line in more:
        yield f"{below} {line}".rstrip()
    while lanes and lanes[-1] is None:
        lanes.pop()


def _lane_of(name: Name, lanes: list[Name | None], ended: int | None) -> int:
    """The lane that leads to this node, or a free one; not the one in which a line has just ended without a sign."""
    if name in lanes:
        return lanes.index(name)
    free = next(lane for lane in range(len(lanes) + 2) if lane != ended and (lane >= len(lanes) or lanes[lane] is None))
    lanes.extend([None] * (free + 1 - len(lanes)))
    lanes[free] = name
    return free


def _reach(parent: Name, here: int, lanes: list[Name | None]) -> int:
    """The lane by which a parent is reached: the one it has, else the node's own, else a free one."""
    if parent in lanes:
        return lanes.index(parent)
    free = here if lanes[here] is None else _free(here, lanes)
    lanes[free] = parent
    return free


def _free(here: int, lanes: list[Name | None]) -> int:
    """A free lane to the right of the node if there is one, else a new one."""
    for lane in range(here + 1, len(lanes)):
        if lanes[lane] is None:
            return lane
    lanes.append(None)
    return len(lanes) - 1


def _link(here: int, reached: Sequence[int], above: Sequence[bool], lanes: Sequence[Name | None]) -> str:
    """The line below a node that leads from its lane to those of its parents."""
    left, right = min((here, *reached)), max((here, *reached))
    cells = []
    for lane, below in enumerate(lanes):
        touched = lane == here or lane in reached
        passing = lane < len(above) and above[lane] and lane != here
        ways = _UP if passing or lane == here else 0
        ways |= _DOWN if below is not None else 0
        crossed = left < lane < right and passing and not touched
        if not crossed:
            ways |= _LEFT if left < lane <= right else 0
            ways |= _RIGHT if left <= lane < right else 0
        cells.append(_SIGNS[ways] + ("─" if left <= lane < right else " "))
    return "".join(cells)
