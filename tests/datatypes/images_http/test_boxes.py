"""The endpoints of image instances that have and take boxes of voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.calling import body_of, call
from dvidkit_conformance.imagery import volume

from dvidkit.errors import (
    BadPayload,
    InvalidInputError,
    LimitError,
    OutOfBounds,
    VersionLocked,
)
from dvidkit.http.status import HTTPError
from dvidkit.repo import Repo

TYPES = {"uint8blk": "<u1", "uint16blk": "<u2", "uint32blk": "<u4", "uint64blk": "<u8", "float32blk": "<f4"}


def test_the_table_is_dvids(repo: Repo) -> None:
    """Every endpoint of DVID's that the service does not answer itself, and which of them change data."""
    rows = {(row.method, row.path): row.mutates for row in repo.root["gray"].endpoints}
    boxes = ["{dims}/{size}/{offset}", "{dims}/{size}/{offset}/{format}"]
    corners = "arb/{top_left}/{top_right}/{bottom_left}/{res}"
    wanted = {("GET", f"{name}/{box}"): False for name in ("raw", "isotropic") for box in boxes}
    wanted |= {("POST", f"raw/{box}"): True for box in boxes}
    wanted |= {
        ("GET", name): False for name in ("metadata", "rawkey", "specificblocks", corners, f"{corners}/{{format}}")
    }
    wanted |= {("GET", "subvolblocks/{size}/{offset}"): False, ("GET", "blocks/{block}/{span}"): False}
    wanted |= {("POST", name): True for name in ("extents", "resolution", "blocks/{block}/{span}")}
    assert rows == wanted
    assert all(row.summary and row.description for row in repo.root["gray"].endpoints)


@pytest.mark.parametrize("dims", ["0_1_2", "0,1,2", "vol", "VOL"])
def test_a_box_is_bytes_with_x_fastest(gray: Any, dims: str) -> None:
    """Of any place and size; the URL has x first, the bytes are in the order z, y, x."""
    answer = call(gray, "GET", f"raw/{dims}/5_6_3/-1_2_6")
    assert answer.media_type == "application/octet-stream"
    wanted = np.full((3, 6, 5), 9, np.uint8)
    wanted[:2, :, 1:] = volume()[6:8, 2:8, :4]
    assert body_of(answer) == wanted.tobytes()
    assert body_of(call(gray, "GET", f"raw/{dims}/5_6_3/-1_2_6/octet-stream")) == wanted.tobytes()
    assert body_of(call(gray, "GET", f"isotropic/{dims}/5_6_3/-1_2_6")) == wanted.tobytes()


def test_post_and_get_of_every_type(repo: Repo) -> None:
    """The bytes that are posted are the bytes that are got."""
    for typename in (*TYPES, "rgba8blk"):
        repo.create_instance(typename, typename, block_size=(4, 3, 2))
        view = repo.root[typename]
        body = np.random.default_rng(3).bytes(4 * 6 * 8 * view.voxel.size)
        assert call(view, "POST", "raw/0_1_2/8_6_4/4_-3_2?mutate=true", body).body == b""
        assert body_of(call(view, "GET", "raw/0_1_2/8_6_4/4_-3_2")) == body
        assert body_of(call(view, "GET", "blocks/1_-1_1/1")) != body
        assert view.extents().points() == {"MinPoint": [4, -3, 2], "MaxPoint": [11, 2, 5]}


def test_a_box_between_which_blocks_it_likes(gray: Any) -> None:
    """With ``unaligned=true`` any box is written, and only it."""
    wanted = np.frombuffer(body_of(call(gray, "GET", "raw/0_1_2/12_9_8/0_0_0")), np.uint8).reshape(8, 9, 12).copy()
    wanted[1:4, 2:7, 3:8] = 77
    assert call(gray, "POST", "raw/0_1_2/5_5_3/3_2_1?unaligned=true", bytes([77]) * 75).body == b""
    assert body_of(call(gray, "GET", "raw/0_1_2/12_9_8/0_0_0")) == wanted.tobytes()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("raw/0_1_2/4_3_2/1_0_0", OutOfBounds),
        ("raw/0_1_2/4_3_2/1_0_0?unaligned=false", OutOfBounds),
        ("raw/0_1_2/4_3_2/2147483645_0_0?unaligned=true", OutOfBounds),
        ("raw/0_1_2/5_3_2/1_0_0?unaligned=true", BadPayload),
        ("raw/0_1_2/4_3_1/0_0_0", OutOfBounds),
        ("raw/0_1_2/0_3_2/0_0_0", OutOfBounds),
        ("raw/0_1_2/-4_3_2/0_0_0", OutOfBounds),
        ("raw/0_1_2/4_3_2/2147483644_0_0", BadPayload),
        ("raw/0_1_2/8_3_2/2147483644_0_0", OutOfBounds),
        ("raw/0_1_2/4000000000_4000000000_4000000000/0_0_0", OutOfBounds),
        ("raw/0_1_2/4000_3000_200/0_0_0", LimitError),
        ("raw/0_1_2/4_3/0_0_0", InvalidInputError),
        ("raw/0_1_2/4_3_x/0_0_0", InvalidInputError),
        ("raw/0_1_2/4_3_2/0_0", InvalidInputError),
        ("raw/0_1/4_3/0_0_0", InvalidInputError),
        ("raw/0_1_3/4_3_2/0_0_0", InvalidInputError),
        ("raw/0_1_2/8_3_2/0_0_0", BadPayload),
    ],
)
def test_posts_that_cannot_be_are_refused(gray: Any, url: str, error: type[Exception]) -> None:
    """Between blocks only, within 32 bits and the budget, of just so many bytes, boxes only, and no mask dropped."""
    before = body_of(call(gray, "GET", "raw/0_1_2/12_9_8/0_0_0"))
    with pytest.raises(error):
        call(gray, "POST", url, bytes(23))
    assert body_of(call(gray, "GET", "raw/0_1_2/12_9_8/0_0_0")) == before


def test_a_committed_version_refuses_posts(gray: Any) -> None:
    """Every row that changes voxels or extents."""
    gray.node.commit()
    for url, body in (
        ("raw/0_1_2/4_3_2/0_0_0", bytes(24)),
        ("blocks/0_0_0/1", bytes(24)),
        ("extents", b'{"MinPoint":[0,0,0],"MaxPoint":[1,1,1]}'),
    ):
        with pytest.raises(VersionLocked):
            call(gray, "POST", url, body)


def test_other_methods_are_not_for_these_urls(gray: Any) -> None:
    """405, naming those that are."""
    for method, url in (("PUT", "raw/0_1_2/4_3_2/0_0_0"), ("POST", "metadata"), ("DELETE", "blocks/0_0_0/1")):
        with pytest.raises(HTTPError) as caught:
            call(gray, method, url)
        assert caught.value.status == 405
