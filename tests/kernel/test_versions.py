"""The version DAG against its definition."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidkit.errors import AlreadyExistsError, BadType, InvalidInputError, NotFoundError, OutOfBounds
from dvidkit.keys import data_suffix, tombstone_suffix
from dvidkit.versions import Ancestry, VersionDAG

Parents = dict[int, tuple[int, ...]]


@st.composite
def dags(draw: st.DrawFn, size: int = 9) -> Parents:
    """Versions with parents made before them: roots, chains, n-way and nested merges; ids in or out of that order."""
    count = draw(st.integers(1, size))
    in_order = draw(st.booleans())
    ids = list(range(1, count + 1)) if in_order else draw(st.permutations([0, 255, 256, 0xFFFFFFFF, *range(1, size)]))
    parents: Parents = {}
    for place in range(count):
        earlier = ids[:place]
        chosen = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=4)) if earlier else []
        if earlier and not chosen and draw(st.integers(0, 3)):
            chosen = [earlier[-1]]
        parents[ids[place]] = tuple(chosen)
    return parents


def ancestors(parents: Parents, version: int) -> set[int]:
    """The version and everything above it, by definition."""
    return {version}.union(*(ancestors(parents, parent) for parent in parents[version]))


def number(version: bytes) -> int:
    """A version id."""
    return int.from_bytes(version, "big")


@given(dags())
def test_what_a_version_sees(parents: Parents) -> None:
    """VER-1, VER-3, VER-5: itself and its ancestors, ranked so that descendants come last, whatever their ids."""
    dag = VersionDAG(parents)
    for version in parents:
        ancestry = dag.ancestry(version)
        seen = ancestors(parents, version)
        assert {number(each) for each in ancestry.ranks} == seen
        assert list(ancestry.ranks) == list(ancestry.ordered)
        order = [number(each) for each in ancestry.ordered]
        assert order[-1] == version
        for node in seen:
            assert all(order.index(parent) < order.index(node) for parent in parents[node])
            assert dag.is_ancestor(node, version)
            assert node.to_bytes(4, "big") in ancestry
        assert ancestry.monotone == all(parent < node for node in seen for parent in parents[node])
        assert not ancestry.monotone or order == sorted(order)
        assert ancestry.chain == all(len(parents[node]) <= 1 for node in seen)


@given(dags())
def test_versions_that_decide_alone(parents: Parents) -> None:
    """``cuts`` are the versions no line of descent passes by: everything of lesser rank is an ancestor of theirs."""
    dag = VersionDAG(parents)
    for version in parents:
        ancestry = dag.ancestry(version)
        rank = {number(each): place for each, place in ancestry.ranks.items()}
        edges = [(rank[node], rank[parent]) for node in rank for parent in parents[node]]
        unpassed = {n for n, r in rank.items() if not any(upper > r > lower for upper, lower in edges)}
        if ancestry.chain:
            assert {number(each) for each in ancestry.cuts} == set(rank)
        else:
            assert {number(each) for each in ancestry.cuts} == unpassed
        for cut in map(number, ancestry.cuts):
            lesser = {node for node in rank if rank[node] < rank[cut]}
            roots_apart = {node for node in lesser if node not in ancestors(parents, cut)}
            assert not roots_apart
        decides = {data_suffix(number(each)): True for each in ancestry.cuts}
        decides |= {tombstone_suffix(number(each)): False for each in ancestry.cuts}
        assert ancestry.decides == (decides if ancestry.monotone else {})


@given(dags(), st.data())
def test_maximal_elements(parents: Parents, data: st.DataObject) -> None:
    """The definition in the specification, 4.0: those of which no other element is a descendant."""
    dag = VersionDAG(parents)
    version = data.draw(st.sampled_from(sorted(parents)))
    chosen = data.draw(st.sets(st.sampled_from(sorted(ancestors(parents, version)))))
    ancestry = dag.ancestry(version)
    found = [number(each) for each in ancestry.maximal([each.to_bytes(4, "big") for each in chosen])]
    wanted = {one for one in chosen if not any(one != o and one in ancestors(parents, o) for o in chosen)}
    assert set(found) == wanted
    assert len(found) == len(wanted)
    order = [number(each) for each in ancestry.ordered]
    assert found == sorted(found, key=order.index, reverse=True)


def test_additions_that_are_refused_change_nothing() -> None:
    """DAG-2, DAG-3: no cycles, no parent twice or unknown, no version twice, no id that is no u32."""
    dag = VersionDAG({1: (), 2: (1,)})
    bad: list[tuple[Any, Any, type[Exception]]] = [
        (1, (), AlreadyExistsError),
        (3, (3,), InvalidInputError),
        (3, (1, 1), InvalidInputError),
        (3, (1, 4), NotFoundError),
        (-1, (), OutOfBounds),
        (1 << 32, (), OutOfBounds),
        ("3", (), BadType),
        (True, (), BadType),
    ]
    for version, parents, error in bad:
        with pytest.raises(error):
            dag.add(version, parents)
        assert (list(dag), len(dag), dag.revision, dag.children(1), dag.parents(2)) == ([1, 2], 2, 2, (2,), (1,))
    assert 3 not in dag
    assert 2 in dag
    for ask in (dag.parents, dag.children, dag.ancestry):
        with pytest.raises(NotFoundError):
            ask(3)
    assert not dag.is_ancestor(3, 2)


def test_long_and_wide_histories() -> None:
    """VER-10: thousands of versions in a line, and hundreds side by side and merged, without recursion."""
    line = VersionDAG({0: ()} | {version: (version - 1,) for version in range(1, 3000)})
    assert len(line.ancestry(2999).ranks) == 3000
    assert line.ancestry(2999).chain
    wide = VersionDAG({0: ()} | dict.fromkeys(range(1, 601), (0,)) | {700: tuple(range(1, 601))})
    merge = wide.ancestry(700)
    assert [number(cut) for cut in sorted(merge.cuts)] == [0, 700]
    assert len(merge.maximal(merge.ordered[:-1])) == 600


def test_views_are_remembered_and_forgotten() -> None:
    """VER-7: a view is computed once while in use; so many are kept, and a new version is seen at once."""
    dag = VersionDAG({0: ()} | dict.fromkeys(range(1, 600), (0,)))
    first = dag.ancestry(1)
    assert dag.ancestry(1) is first
    for version in range(2, 600):
        dag.ancestry(version)
    assert dag.ancestry(1) is not first
    dag.add(1000, (1,))
    assert dag.is_ancestor(1, 1000)


def test_views_are_shared_between_threads() -> None:
    """Many threads that ask for views at once all get right ones."""
    dag = VersionDAG({0: ()} | {version: (version - 1,) for version in range(1, 200)})
    wrong: list[int] = []

    def ask() -> None:
        for version in range(200):
            ancestry: Ancestry = dag.ancestry(version)
            if len(ancestry.ranks) != version + 1:
                wrong.append(version)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
