"""Regions of interest: spans, masks, points, partitions, versions."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.case import Refused
from dvidkit_roi import partition
from dvidkit_roi.conformance import RoiCase
from dvidkit_roi.keys import LEAST, MOST, bounds, spans_of, tkeys_of
from dvidkit_roi.spans import as_spans, block_mask, contains, normalised

import dvidkit
from dvidkit import branching, errors
from dvidkit.endpoints import Request
from dvidkit.engine import StoreConfig
from dvidkit.errors import (
    BadConfig,
    BadPayload,
    DvidkitError,
    InvalidInputError,
    LimitError,
    OutOfBounds,
    UnknownInstance,
    UnsupportedError,
    VersionConflict,
    VersionLocked,
)
from dvidkit.kernel import Kernel
from dvidkit.regions import find_region
from dvidkit.repo import Repo


@pytest.fixture
def repo() -> Iterator[Repo]:
    """A repo with an roi of small blocks."""
    with Kernel(StoreConfig("memory", "")) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("roi", "roi", block_size=(4, 3, 2))
        yield repo


def brute(spans: list[list[int]]) -> set[tuple[int, int, int]]:
    """The blocks of spans."""
    return {(z, y, x) for z, y, x0, x1 in spans for x in range(x0, x1 + 1)}


# --- spans -----------------------------------------------------------------------------------------------------------


def test_keys_are_dvids() -> None:
    """The TKey is class 90, the first block as biased big-endian z, y, x, and the number of blocks."""
    (tkey,) = tkeys_of(as_spans([[1, -2, 3, 7]]))
    assert tkey.hex() == "5a01" + "80000001" + "7ffffffe" + "80000003" + "00000005"


def test_keys_hold_the_extremes() -> None:
    """The least and greatest coordinates, and the longest span there can be, survive the key."""
    spans = as_spans([[LEAST, LEAST, LEAST, MOST], [MOST, MOST, MOST, MOST]])
    assert (spans_of(tkeys_of(spans)) == spans).all()


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [(0, 0, [0]), (-5, -1, [-1]), (LEAST - 9, MOST + 9, [-1, 0, 7]), (1, 6, []), (MOST + 1, MOST + 5, []), (8, 7, [])],
)
def test_bounds_hold_the_spans_between_two_z(first: int, last: int, found: list[int]) -> None:
    """Bounds are closed at both ends and may lie outside of what can be addressed."""
    tkeys = tkeys_of(as_spans([[-1, 0, 0, 0], [0, 5, -9, 9], [7, 0, 0, 0]]))
    low, high = bounds(first, last)
    assert [int(spans_of([tkey])[0, 0]) for tkey in tkeys if low <= tkey <= high] == found


@pytest.mark.parametrize("seed", range(20))
def test_normalised_is_the_same_region_in_the_fewest_spans(seed: int) -> None:
    """Sorted, merged where spans overlap or touch along x, without repetitions; the blocks are the same."""
    rng = random.Random(seed)
    spans = []
    for _ in range(60):
        z, y, x = (rng.randrange(-3, 4) for _ in range(3))
        spans.append([z, y, x, x + rng.randrange(4)])
    found = normalised(as_spans(spans)).tolist()
    assert brute(found) == brute(spans)
    assert found == sorted(found)
    assert all(a[:2] != b[:2] or a[3] + 1 < b[2] for a, b in itertools.pairwise(found))


def test_normalised_of_a_span_within_another() -> None:
    """A long span reaches over shorter ones behind it; rows at the far ends do not touch."""
    spans = [[0, 0, 0, 9], [0, 0, 1, 2], [0, 0, 5, 6], [0, 0, 11, 11], [0, 1, LEAST, LEAST], [0, 0, MOST, MOST]]
    assert normalised(as_spans(spans)).tolist() == [
        [0, 0, 0, 9],
        [0, 0, 11, 11],
        [0, 0, MOST, MOST],
        [0, 1, LEAST, LEAST],
    ]


@pytest.mark.parametrize(
    ("spans", "error"),
    [
        ([[0, 0, 0]], BadPayload),
        ([[0, 0, 0, 0], [0]], BadPayload),
        ([[0.0, 0, 0, 0]], BadPayload),
        ([["a", "b", "c", "d"]], BadPayload),
        ([0, 0, 0, 0], BadPayload),
        ([[1 << 70, 0, 0, 0]], BadPayload),
        ([[1 << 63, 0, 0, 0]], BadPayload),
        ([[0, 0, 1, 0]], OutOfBounds),
        ([[0, 0, 0, MOST + 1]], OutOfBounds),
        ([[LEAST - 1, 0, 0, 0]], OutOfBounds),
    ],
)
def test_what_is_no_span_is_refused(repo: Repo, spans: Any, error: type[DvidkitError]) -> None:
    """Refused with an error that says why, and nothing is changed."""
    roi = repo.root["roi"]
    roi.replace([[0, 0, 0, 0]])
    with pytest.raises(error):
        roi.replace(spans)
    assert roi.spans().tolist() == [[0, 0, 0, 0]]


def test_contains_and_block_mask_of_nothing() -> None:
    """An empty region contains no block, and any region contains none of no blocks."""
    none = as_spans([])
    assert contains(none, np.zeros((2, 3), np.int64)).tolist() == [False, False]
    assert contains(as_spans([[0, 0, 0, 0]]), np.zeros((0, 3), np.int64)).tolist() == []
    assert not block_mask(none, (0, 0, 0), (1, 1, 1)).any()


# --- DT-ROI ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("variant", range(2))
def test_programs_agree_with_the_model(repo: Repo, seed: int, variant: int) -> None:
    """DT-ROI-1 to 5: after every operation all that is seen is what the model says; refused ones change nothing."""
    case, rng = RoiCase(), random.Random(seed)
    settings = case.settings[variant]
    instance = repo.create_instance("roi", "case", **settings)
    model, version, other = case.model(settings), repo.root, repo.root
    for step in range(25):
        view = instance.at(version)
        op = case.op(rng) if rng.random() < 0.8 else case.refused(rng)
        assert op is not None
        try:
            model.apply(op)
        except Refused as refused:
            with pytest.raises(getattr(errors, refused.error)):
                case.apply(view, op)
        else:
            case.apply(view, op)
        assert case.observe(view) == model.observe()
        if step == 12 and instance.versioned:
            before = model.fork()
            version.commit()
            other, version = version, version.new_version()
            assert case.observe(instance.at(other)) == before.observe()
    assert case.recompute(instance.at(version)) == {}


def test_versions_differ_independently(repo: Repo) -> None:
    """A child replaces and clears what it inherited; parent and sibling keep theirs, MinZ and MaxZ too."""
    root = repo.root
    root["roi"].replace([[-4, 0, 0, 3], [9, 0, 0, 0]])
    root.commit()
    left, right = root.new_version(), root.make_branch("right")
    left["roi"].replace([[1, 1, 1, 1]])
    right["roi"].clear()
    assert root["roi"].extended() == {"BlockSize": [4, 3, 2], "MinZ": -4, "MaxZ": 9}
    assert left["roi"].extended() == {"BlockSize": [4, 3, 2], "MinZ": 1, "MaxZ": 1}
    assert right["roi"].extended() == {"BlockSize": [4, 3, 2], "MinZ": 2147483647, "MaxZ": -2147483648}
    assert right["roi"].spans().tolist() == []
    assert not right["roi"].mask((0, 0, 0), (2, 3, 4)).any()


def test_a_committed_version_refuses_replace(repo: Repo) -> None:
    """And answers points and masks all the same."""
    repo.root["roi"].replace([[0, 0, 0, 0]])
    repo.root.commit()
    with pytest.raises(VersionLocked):
        repo.root["roi"].replace([])
    assert repo.root["roi"].contains([[0, 0, 0], [0, 0, 4], [-1, 0, 0]]).tolist() == [True, False, False]


def test_a_conflict_is_said_and_decided_by_posting(repo: Repo) -> None:
    """A span that both sides of a merge wrote is a conflict until the region is posted at the merge."""
    root = repo.root
    root.commit()
    left, right = root.new_version(), root.make_branch("right")
    for side, other in ((left, 1), (right, 2)):
        side["roi"].replace([[0, 0, 0, 0], [other, 0, 0, 0]])
        side.commit()
    merged = repo.merge([left, right])
    with pytest.raises(VersionConflict):
        merged["roi"].spans()
    assert merged["roi"].extended()["MaxZ"] == 2
    merged["roi"].replace([[1, 0, 0, 0]])
    assert merged["roi"].spans().tolist() == [[1, 0, 0, 0]]
    merged.commit()
    assert branching.tag(merged, "v1")["roi"].spans().tolist() == [[1, 0, 0, 0]]


def test_posting_writes_only_what_differs(repo: Repo) -> None:
    """The region as it is already is no mutation: nothing is written, nothing logged."""
    roi = repo.root["roi"]
    roi.replace([[0, 0, 0, 5], [1, 0, 0, 0]])
    puts = roi.store.monitor.total.puts
    roi.replace([[1, 0, 0, 0], [0, 0, 3, 5], [0, 0, 0, 2]])
    assert roi.store.monitor.total.puts == puts


def test_many_spans_are_one_batch_or_a_limit_error(repo: Repo) -> None:
    """A million spans replace others in one write; over the engine's limit it is refused before any effect."""
    grid = np.indices((1000, 1000)).reshape(2, -1).T
    many = np.column_stack((grid, np.zeros(len(grid), np.int64), np.zeros(len(grid), np.int64)))
    roi = repo.root["roi"]
    roi.replace(many[:10])
    puts = roi.store.monitor.total.puts
    roi.replace(many)
    assert roi.store.monitor.total.puts == puts + 1
    assert len(roi.spans()) == 1_000_000
    assert roi.bounds_z() == (0, 999)


# --- masks and partitions --------------------------------------------------------------------------------------------


def test_a_mask_of_no_voxels_and_of_too_many(repo: Repo) -> None:
    """A side of 0 is an empty mask, a negative side and a huge box are refused."""
    roi = repo.root["roi"]
    assert roi.mask((0, 0, 0), (0, 4, 4)).shape == (0, 4, 4)
    with pytest.raises(OutOfBounds):
        roi.mask((0, 0, 0), (1, -1, 1))
    with pytest.raises(LimitError):
        roi.mask((0, 0, 0), (1 << 11, 1 << 11, 1 << 11))


def test_points_must_be_points(repo: Repo) -> None:
    """Points that are no (n, 3) array of whole numbers are refused; none are none."""
    assert repo.root["roi"].contains([]).tolist() == []
    with pytest.raises(BadPayload):
        repo.root["roi"].contains([[1, 2]])


def test_a_partition_passes_over_gaps(repo: Repo) -> None:
    """Layers far apart are found without walking over what is between; bounds do not begin at 0."""
    roi = repo.root["roi"]
    roi.replace([[-1_000_000_000, 5, 7, 7], [1_000_000_000, 5, 7, 7]])
    shown = roi.partition()
    assert (shown["NumSubvolumes"], shown["NumActiveBlocks"]) == (2, 2)
    assert shown["ROI"] == {"MinChunk": [7, 5, -1_000_000_000], "MaxChunk": [7, 5, 1_000_000_000]}


def test_a_partition_of_nothing(repo: Repo) -> None:
    """No subvolumes, and bounds of which the least is above the greatest, as DVID has them."""
    assert repo.root["roi"].partition() == {
        "NumTotalBlocks": 0,
        "NumActiveBlocks": 0,
        "NumSubvolumes": 0,
        "ROI": {"MinChunk": [2147483647] * 3, "MaxChunk": [-2147483648] * 3},
        "Subvolumes": [],
    }


def test_a_partition_in_dvids_words(repo: Repo) -> None:
    """Corners in voxels and in blocks, both included."""
    roi = repo.root["roi"]
    roi.replace([[0, 0, 0, 8]])
    assert roi.partition(8)["Subvolumes"][0] == {
        "MinPoint": [0, 0, 0],
        "MaxPoint": [31, 23, 15],
        "MinChunk": [0, 0, 0],
        "MaxChunk": [7, 7, 7],
        "TotalBlocks": 512,
        "ActiveBlocks": 8,
    }
    assert roi.partition(8, optimized=True)["Subvolumes"][1]["MinChunk"] == [8, 0, 0]
    assert roi.partition(8, optimized=True)["Subvolumes"][1]["MaxChunk"] == [8, 0, 0]


def test_a_partition_has_limits(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch out of range, and a region that would have millions of subvolumes, are refused."""
    roi = repo.root["roi"]
    roi.replace([[0, 0, LEAST, MOST]])
    for batch in (0, -1, 1 << 20):
        with pytest.raises(InvalidInputError):
            roi.partition(batch)
    with pytest.raises(LimitError):
        roi.partition(1)
    roi.replace([[z, 0, 0, 0] for z in range(8)])
    monkeypatch.setattr(partition, "MOST_SUBVOLUMES", 4)
    with pytest.raises(LimitError):
        roi.partition(1)


# --- settings, endpoints, use as a mask ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["0,1,1", "-1,-1,-1", "1,1", "70000,1,1", "a,b,c"])
def test_a_block_size_that_cannot_be(repo: Repo, size: str) -> None:
    """Refused with the setting named; nothing is made."""
    with pytest.raises(BadConfig):
        repo.create_instance("roi", "bad", BlockSize=size)
    assert "bad" not in repo.instances


def test_a_mask_of_a_plane_is_not_there(repo: Repo) -> None:
    """Only volumes have masks, as in DVID."""
    path = {"plane": "0_1", "size": "1_1_1", "offset": "0_0_0"}
    with pytest.raises(UnsupportedError):
        repo.root["roi"].get_mask(Request("GET", path))


@pytest.mark.parametrize("size", ["0_1_1", "-1_1_1", "1_1_90071992547409921"])
def test_a_box_of_a_mask_must_be_one(repo: Repo, size: str) -> None:
    """Sides of at least one voxel, within what can be addressed."""
    with pytest.raises(OutOfBounds):
        repo.root["roi"].get_mask(Request("GET", {"plane": "0_1_2", "size": size, "offset": "0_0_0"}))


def test_a_region_is_found_by_name(repo: Repo) -> None:
    """``name`` is of the version at hand, ``name,uuid`` of another; what is no region is refused."""
    root = repo.root
    root["roi"].replace([[0, 0, 0, 0]])
    root.commit()
    child = root.new_version()
    child["roi"].clear()
    assert find_region(root, "roi").contains([[0, 0, 0]]).tolist() == [True]
    assert find_region(child, "roi").contains([[0, 0, 0]]).tolist() == [False]
    assert find_region(child, f"roi,{root.uuid}").mask((0, 0, 0), (1, 1, 5)).tolist() == [[[True] * 4 + [False]]]
    with pytest.raises(UnknownInstance):
        find_region(child, "missing")
    other = repo.repos.create("other")
    with pytest.raises(InvalidInputError):
        find_region(child, f"roi,{other.uuid}")

    class Plain(dvidkit.Datatype):
        """No region."""

        typename = "plain"

    repo.create_instance(Plain, "plain", child)
    with pytest.raises(InvalidInputError):
        find_region(child, "plain")
