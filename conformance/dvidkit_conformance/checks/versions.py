"""Clauses of versions, tombstones and merges: short programs, read through everything."""

from __future__ import annotations

import random

from dvidkit_conformance.checking import on_store
from dvidkit_conformance.generate import relabelled, store_program
from dvidkit_conformance.storesession import StoreSession, row

_Edges = tuple[tuple[int, list[int]], ...]
LINE: _Edges = ((1, []), (2, [1]), (3, [2]))
FORK: _Edges = ((1, []), (2, [1]), (3, [1]))
DIAMOND: _Edges = (*FORK, (4, [2, 3]))


@on_store("VER-1", reach=("inherited_read",))
def inherited(s: StoreSession) -> None:
    """Down a line, overridden on the way."""
    s.versions(*LINE)
    s.put(b"a", b"1", v=1)
    for v in (1, 2, 3):
        s.get(b"a", v)
    s.put(b"a", b"2", v=2)
    for v in (2, 3):
        s.get(b"a", v)
    s.observe()


@on_store("VER-2")
def not_above(s: StoreSession) -> None:
    """A child's value, asked for at its ancestors."""
    s.versions(*LINE)
    s.put(b"a", b"3", v=3)
    for v in (1, 2):
        s.get(b"a", v)
    s.observe()
    s.put(b"a", b"2", v=2)
    s.observe()


@on_store("VER-3", reach=("sibling_hidden",))
def not_beside(s: StoreSession) -> None:
    """Siblings of smaller and of greater ids, with and without an inherited value; a sibling's deletion."""
    s.versions(*FORK)
    s.put(b"a", b"2", v=2)
    s.get(b"a", 3)
    s.get(b"a", 1)
    s.put(b"b", b"3", v=3)
    s.get(b"b", 2)
    s.put(b"c", b"1", v=1)
    s.put(b"c", b"2", v=2)
    s.get(b"c", 3)
    s.put(b"d", b"1", v=1)
    s.delete(b"d", v=2)
    s.get(b"d", 3)
    s.observe()


@on_store("VER-4")
def nothing_moves_elsewhere(s: StoreSession) -> None:
    """Every kind of change at one version of a tree."""
    s.versions((1, []), (2, [1]), (3, [1]), (4, [2]), (5, [3]))
    s.put_range((b"a", b"1"), (b"b", b"1"), (b"c", b"1"), v=1)
    s.put(b"a", b"2", v=2)
    s.observe()
    s.delete(b"b", v=3)
    s.observe()
    s.delete_range(b"a", b"c", v=4)
    s.observe()
    s.batch((b"a", None), (b"c", b"5"), v=5)
    s.observe()


@on_store("VER-5")
def nearest_not_greatest(s: StoreSession) -> None:
    """Ids that fall from parent to child."""
    s.versions((9, []), (5, [9]), (3, [5]), (7, [3]))
    s.put(b"a", b"9", v=9)
    s.put(b"a", b"5", v=5)
    s.get(b"a", 3)
    s.get(b"a", 7)
    s.put(b"a", b"3", v=3)
    s.get(b"a", 7)
    s.delete(b"b", v=9)
    s.put(b"b", b"3", v=3)
    s.observe()


@on_store("VER-6")
def ranges_are_points(s: StoreSession) -> None:
    """Many TKeys with entries in some versions of a tree, and with very many versions."""
    rng = random.Random(6)
    s.versions((1, []), *((n, [n - 1]) for n in range(2, 13)), (20, [3]), (21, [20]), (22, [12, 21]))
    known = [*range(1, 13), 20, 21, 22]
    for v in known:
        s.batch(*((b"%02d" % rng.randrange(40), None if rng.random() < 0.3 else b"%d" % v) for _ in range(12)), v=v)
    keys = [b"%02d" % n for n in range(41)]
    for v in known:
        s.ranges(v)
        s.do({"op": "get_many", "i": 1, "v": v, "keys": keys})
        for key in keys:
            s.get(key, v)


@on_store("VER-6", classed=True)
def ranges_over_many_versions(s: StoreSession) -> None:
    """100 versions of each of 30 TKeys, so that ranges skip; at versions about the places where something changes."""
    s.versions((1, []), *((n, [n - 1]) for n in range(2, 101)), (300, [50]))
    for v in range(1, 101):
        s.put_range(*((row(n), b"%d at %d" % (n, v)) for n in range(30)), v=v)
    s.batch(*((row(n), None) for n in range(0, 30, 4)), v=60)
    s.put(row(7), b"beside", v=300)
    for v in (1, 50, 60, 100, 300) if s.harness.scale == 0 else (1, 2, 49, 50, 59, 60, 61, 100, 300):
        s.ranges(v)
        s.get(row(4), v)


@on_store("VER-7", reach=("inherited_read",))
def new_versions(s: StoreSession) -> None:
    """Made after every read was warm."""
    s.versions((1, []))
    s.put(b"a", b"1", v=1)
    s.observe()
    s.versions((2, [1]))
    s.observe()
    s.put(b"a", b"2", v=2)
    s.observe()
    s.versions((3, [1]), (4, [2, 3]))
    s.observe()
    s.put(b"b", b"3", v=3)
    s.observe()


@on_store("VER-8")
def writer_is_named(s: StoreSession) -> None:
    """Own, inherited, masked, through a merge."""
    s.versions(*DIAMOND, (5, [4]))
    s.put(b"a", b"1", v=1)
    s.put(b"b", b"2", v=2)
    s.delete(b"a", v=3)
    for v in (1, 2, 3, 4, 5):
        for key in (b"a", b"b", b"c"):
            s.point("get_version", key, v)


@on_store("VER-9")
def id_borders(s: StoreSession) -> None:
    """A line through every border, up and down."""
    ids = [0, 1, 254, 255, 256, 257, 65535, 65536, 65537, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 2, 2**32 - 1]
    for i, line in ((1, ids), (2, [n ^ 2 for n in reversed(ids)])):
        known = [n for n in line if n not in s.model.ancestors]
        s.versions(*((v, [known[n - 1]] if n else []) for n, v in enumerate(known)))
        for n, v in enumerate(known):
            s.put(b"k", b"%d" % n, v=v, i=i)
            s.put(b"o%02d" % n, b"x", v=v, i=i)
        for v in known:
            s.get(b"k", v, i)
            s.range("get_range", v, i)
            s.range("keys_in_range", v, i)
        s.dump()


@on_store("VER-10")
def deep_and_wide(s: StoreSession) -> None:
    """2,000 in a line; 200 children of one."""
    s.versions((1, []), *((n, [n - 1]) for n in range(2, 2001)), *((n, [1000]) for n in range(3000, 3200)))
    s.put(b"a", b"first", v=1)
    s.put(b"b", b"middle", v=1000)
    s.delete(b"b", v=1500)
    s.put(b"c", b"beside", v=3100)
    for v in (1, 999, 1000, 1499, 1500, 2000, 3000, 3100, 3199):
        for key in (b"a", b"b", b"c"):
            s.get(key, v)
        s.range("get_range", v)


@on_store("VER-11")
def ids_mean_nothing(s: StoreSession) -> None:
    """One program, four namings (quick: two), each answered alike (by the model, whose rule knows no order of ids)."""
    rng = random.Random(11)
    program = store_program(11, persistent=False)
    for n in range(4 if s.harness.scale else 2):
        ids = rng.sample(range(1000 * n, 1000 * (n + 1)), 8)
        for op in relabelled(program, ids).ops:
            s.do({**op, "i": 50 + n} if "i" in op else op)


# --- tombstones ------------------------------------------------------------------------------------------------------
@on_store("TOMB-1", reach=("tombstone_read",))
def deleted_below(s: StoreSession) -> None:
    """An inherited value, deleted in the middle of a line."""
    s.versions(*LINE)
    s.put(b"a", b"1", v=1)
    s.delete(b"a", v=2)
    for v in (2, 3, 1):
        s.get(b"a", v)


@on_store("TOMB-2")
def deleted_in_ranges(s: StoreSession) -> None:
    """Between live TKeys."""
    s.versions(*LINE)
    s.put_range((b"a", b"1"), (b"b", b"1"), (b"c", b"1"), v=1)
    s.delete(b"b", v=2)
    for v in (2, 3, 1):
        s.range("get_range", v)


@on_store("TOMB-3")
def deleted_in_every_read(s: StoreSession) -> None:
    """First, last and between."""
    s.versions(*LINE)
    s.put_range((b"a", b"1"), (b"b", b"1"), (b"c", b"1"), v=1)
    s.batch((b"a", None), (b"c", None), v=2)
    s.observe()


@on_store("TOMB-4")
def put_clears(s: StoreSession) -> None:
    """By every way of putting."""
    s.versions(*LINE)
    keys = (b"a", b"b", b"c", b"d")
    s.put_range(*((key, b"1") for key in keys), v=1)
    s.batch(*((key, None) for key in keys), v=2)
    s.put(b"a", b"2", v=2)
    s.get(b"a", 2)
    s.dump()
    s.put_range((b"b", b"2"), v=2)
    s.dump()
    s.batch((b"c", b"2"), (b"d", None), (b"d", b"2"), v=2)
    s.observe()


@on_store("TOMB-5")
def delete_removes_own_value(s: StoreSession) -> None:
    """Only the tombstone is left."""
    s.versions(*LINE)
    s.put(b"a", b"2", v=2)
    s.delete(b"a", v=2)
    s.dump()
    s.observe()


@on_store("TOMB-6")
def marks_alone(s: StoreSession) -> None:
    """Values and TKeys that look like marks."""
    s.versions(*LINE)
    for key in (b"kO", b"k\x03", b"OO", b"\x03O", b"\x4f\x00"):
        s.put(key, b"O", v=1)
        s.put(key, b"\x03", v=2)
    s.put(b"v", b"O", v=1)
    s.observe()
    s.delete(b"kO", v=2)
    s.delete(b"k\x03", v=3)
    s.observe()


@on_store("TOMB-7")
def delete_range_masks(s: StoreSession) -> None:
    """Inherited from the parent and from further up."""
    s.versions(*LINE)
    s.put_range((b"a", b"1"), (b"b", b"1"), v=1)
    s.put(b"c", b"2", v=2)
    s.delete_range(b"a", b"c", v=3)
    for key in (b"a", b"b", b"c"):
        s.get(key, 3)
    s.observe()


@on_store("TOMB-8")
def no_needless_tombstone(s: StoreSession) -> None:
    """Deleted already, only in a sibling, only below."""
    s.versions(*FORK, (4, [2]))
    s.put(b"a", b"1", v=1)
    s.delete(b"a", v=2)
    s.put(b"b", b"3", v=3)
    s.put(b"c", b"4", v=4)
    s.delete_range(b"a", b"c", v=2)
    s.dump()


@on_store("TOMB-9")
def put_below_a_tombstone(s: StoreSession) -> None:
    """Visible there and below."""
    s.versions((1, []), (2, [1]), (3, [2]), (4, [3]), (5, [2]))
    s.put(b"a", b"1", v=1)
    s.delete(b"a", v=2)
    s.put(b"a", b"3", v=3)
    for v in (3, 4, 2, 5, 1):
        s.get(b"a", v)
    s.observe()


# --- merges ----------------------------------------------------------------------------------------------------------
@on_store("MERGE-1")
def every_parent(s: StoreSession) -> None:
    """One value each, and one inherited."""
    s.versions(*DIAMOND)
    s.put(b"a", b"1", v=1)
    s.put(b"b", b"2", v=2)
    s.put(b"c", b"3", v=3)
    for key in (b"a", b"b", b"c"):
        s.get(key, 4)
    s.observe()


@on_store("MERGE-2", reach=("tombstone_read",))
def one_side_deleted(s: StoreSession) -> None:
    """On either side."""
    s.versions(*DIAMOND)
    s.put_range((b"a", b"1"), (b"b", b"1"), v=1)
    s.delete(b"a", v=2)
    s.delete(b"b", v=3)
    for key in (b"a", b"b"):
        s.get(key, 4)
    s.observe()


@on_store("MERGE-3")
def ancestors_are_no_rivals(s: StoreSession) -> None:
    """A value on one side over the shared ancestor's, and along one side."""
    s.versions((1, []), (2, [1]), (3, [1]), (5, [2]), (6, [5, 3]))
    s.put_range((b"a", b"1"), (b"b", b"1"), v=1)
    s.put(b"a", b"2", v=2)
    s.put(b"b", b"2", v=2)
    s.put(b"b", b"5", v=5)
    for key in (b"a", b"b"):
        s.get(key, 6)
    s.observe()


@on_store("MERGE-4", reach=("conflict_read",))
def conflicts(s: StoreSession) -> None:
    """Different bytes, equal bytes, between TKeys that are not in conflict; and ``delete_range`` over them."""
    s.versions(*DIAMOND)
    for v in (2, 3):
        s.put(b"c", b"%d" % v, v=v)
        s.put(b"e", b"equal", v=v)
    s.put(b"a", b"1", v=1)
    s.put(b"z", b"2", v=2)
    s.get(b"c", 4)
    s.get(b"e", 4)
    s.observe()
    s.delete_range(b"a", b"z", v=4)
    s.observe()
    s.delete_range(b"f", b"z", v=4)
    s.observe()


@on_store("MERGE-5", reach=("conflict_read",))
def writing_resolves(s: StoreSession) -> None:
    """By a put, by a delete, at the merge and below."""
    s.versions(*DIAMOND, (5, [4]))
    for key in (b"a", b"b", b"c"):
        s.put(key, b"2", v=2)
        s.put(key, b"3", v=3)
    s.get(b"a", 4)
    s.put(b"a", b"4", v=4)
    s.delete(b"b", v=4)
    s.put(b"c", b"5", v=5)
    s.observe()


@on_store("MERGE-6")
def any_merge(s: StoreSession) -> None:
    """Parents in both orders, three parents, a merge of merges, criss-cross; ids in no order."""
    s.versions((10, []), (30, [10]), (20, [10]), (5, [10]))
    s.versions((40, [30, 20]), (41, [20, 30]), (42, [5, 30, 20]), (43, [40, 41]), (44, [43, 5]))
    for v in (10, 30, 20, 5, 40, 41, 43):
        s.put(b"k%d" % v, b"%d" % v, v=v)
    s.put(b"a", b"30", v=30)
    s.observe()
    s.put(b"a", b"20", v=20)
    s.observe()
    s.put(b"a", b"40", v=40)
    s.observe()
    s.delete(b"a", v=41)
    s.observe()


@on_store("MERGE-7")
def written_here_deleted_there(s: StoreSession) -> None:
    """Deleted on one side without knowing of the other's value."""
    s.versions(*DIAMOND)
    s.put(b"a", b"1", v=1)
    s.put(b"a", b"2", v=2)
    s.delete(b"a", v=3)
    s.get(b"a", 4)
    s.delete(b"b", v=2)
    s.put(b"b", b"3", v=3)
    s.get(b"b", 4)
    s.observe()
