"""bossDB's volume API: boxes, slices and tiles in every form that a client asks for."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

pytest.importorskip("numpy")
pytest.importorskip("numcodecs")

import numpy as np
from dvidkit_conformance.service.boss import (
    BLOSC,
    BLOSC_PYTHON,
    BOX,
    NPYGZ,
    RAW,
    SHAPE,
    cutout,
    made,
    npygz,
    opened,
    packed,
    post,
    voxels,
)
from PIL import Image


@pytest.mark.parametrize("kind", [BLOSC, NPYGZ, BLOSC_PYTHON, RAW])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "float32"])
def test_a_cutout_in_every_form(volume: Any, kind: str, dtype: str) -> None:
    """Is what was written, z, y, x; a box across blocks and at negative coordinates."""
    answer = cutout(volume, dtype, accept=kind)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind
    found = opened(answer.content, kind, dtype)
    assert found.dtype == dtype
    assert np.array_equal(found, voxels(dtype))


def test_a_range_of_times_has_an_axis(volume: Any) -> None:
    """There is one sample, 0:1; no other can be asked for."""
    answer = cutout(volume, "uint8", f"{BOX}/0:1", accept=NPYGZ)
    assert np.array_equal(opened(answer.content, NPYGZ, "uint8"), voxels()[np.newaxis])
    assert cutout(volume, "uint8", f"{BOX}/0:2").status_code == 400
    assert cutout(volume, "uint8", f"{BOX}/0:1", accept="image/jpeg").status_code == 400


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({}, BLOSC),
        ({"accept": "*/*"}, BLOSC),
        ({"content_type": NPYGZ}, NPYGZ),
        ({"accept": "*/*", "content_type": "image/jpeg"}, "image/jpeg"),
        ({"accept": f"text/html, {NPYGZ};q=0.8, */*;q=0.1"}, NPYGZ),
        ({"accept": f"{NPYGZ};q=0.5, {RAW}"}, RAW),
        ({"accept": f"{RAW};q=0, */*"}, BLOSC),
        ({"accept": "image/*"}, "image/jpeg"),
        ({"accept": "application/jpeg"}, "image/jpeg"),
        ({"accept": NPYGZ, "content_type": BLOSC}, NPYGZ),
    ],
)
def test_which_form_is_asked_for(volume: Any, headers: dict[str, str], kind: str) -> None:
    """By ``Accept`` and its order; where that leaves it open by ``Content-Type``; else blosc."""
    answer = cutout(volume, "uint8", **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


@pytest.mark.parametrize("accept", ["text/html", "application/json", "q", f"{BLOSC};q=x", "video/*"])
def test_a_form_that_there_is_not(volume: Any, accept: str) -> None:
    """406, naming those that there are."""
    answer = cutout(volume, "uint8", accept=accept)
    assert answer.status_code == (406 if accept != f"{BLOSC};q=x" else 200)
    assert answer.status_code == 200 or BLOSC in answer.text


def test_filmstrips(volume: Any) -> None:
    """A picture has the slices one below the other; JPEG of 8 bits, PNG of 16 bits as well."""
    for dtype in ("uint8", "uint16"):
        png = Image.open(io.BytesIO(cutout(volume, dtype, accept="image/png").content))
        assert np.array_equal(np.asarray(png), voxels(dtype).reshape(-1, SHAPE[2]))
    jpeg = Image.open(io.BytesIO(cutout(volume, "uint8", accept="image/jpeg").content))
    assert (jpeg.format, jpeg.mode, jpeg.size) == ("JPEG", "L", (SHAPE[2], SHAPE[0] * SHAPE[1]))
    assert cutout(volume, "uint16", accept="image/jpeg").status_code == 400
    assert cutout(volume, "uint64", accept="image/png").status_code == 400
    assert cutout(volume, "uint8", "0:70000/0:1/0:1", accept="image/jpeg").status_code == 413


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("xy/0/7:20/5:16/-1", voxels()[2]),
        ("xz/0/7:20/6/-3:6", voxels()[:, 1]),
        ("yz/0/9/5:16/-3:6", voxels()[:, :, 2]),
        ("yz/0/9/5:16/-3:-2", voxels()[:1, :, 2]),
        ("xz/0/9:10/6/-3:6", voxels()[:, 1, 2:3]),
        ("xy/0/7:20/5:16/-1/0", voxels()[2]),
    ],
)
def test_slices(volume: Any, path: str, rows: Any) -> None:
    """Of each orientation: rows are y of ``xy``, else z."""
    orientation, rest = path.split("/", 1)
    answer = volume("GET", f"/v1/image/demo/master/uint8/{orientation}/{rest}")
    assert answer.headers["content-type"] == "image/png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), rows)


@pytest.mark.parametrize(
    "path",
    ["xyz/0/0:8/0:8/0", "xy/0/0:8/0:8/0:8", "xy/0/8/0:8/0", "xz/0/0:8/0:8/0", "xy/0/8:0/0:8/0", "xy/x/0:8/0:8/0"],
)
def test_what_is_no_slice(volume: Any, path: str) -> None:
    """Another orientation, a range of what must be a number, a number of what must be a range: 400."""
    assert volume("GET", f"/v1/image/demo/master/uint8/{path}").status_code == 400


def test_tiles(volume: Any) -> None:
    """By their numbers; beyond the volume there is background, also where a client bounds it by a frame."""
    view = volume.repo.root["uint8"]
    for orientation, numbers, box in (
        ("xy", "1/0/-1", ((-1, 0, 8), (1, 8, 8))),
        ("xz", "1/6/0", ((0, 6, 8), (8, 1, 8))),
        ("yz", "9/1/0", ((0, 8, 9), (8, 8, 1))),
    ):
        answer = volume("GET", f"/v1/tile/demo/master/uint8/{orientation}/8/0/{numbers}")
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), view.read(*box).reshape(8, 8))
    made(volume)
    assert volume("GET", "/v1/tile/coll/exp/em/xy/64/0/3/3/3").status_code == 200


def test_ids(volume: Any) -> None:
    """Those in a box, as texts, in order, without 0; and a box without the others."""
    ids = sorted({int(each) for each in voxels("uint64").flat} - {0})
    answer = volume("GET", f"/v1/ids/demo/master/uint64/0/{BOX}/0:1/")
    assert answer.json() == {"ids": [str(each) for each in ids]}
    answer = volume("GET", f"/v1/cutout/demo/master/uint64/0/{BOX}?filter={ids[0]},{ids[3]}", headers={"accept": RAW})
    kept = np.where(np.isin(voxels("uint64"), [ids[0], ids[3]]), voxels("uint64"), 0)
    assert np.array_equal(opened(answer.content, RAW, "uint64"), kept)
    for channel, text in (
        ("uint8", "1"),
        ("uint64", "x"),
        ("uint64", "-1"),
        ("uint64", "1,,2"),
        ("uint64", str(1 << 64)),
    ):
        assert volume("GET", f"/v1/cutout/demo/master/{channel}/0/{BOX}?filter={text}").status_code == 400


def test_without_numcodecs(volume: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compressed with blosc is 501, with the line that installs it; everything else works."""
    monkeypatch.setitem(sys.modules, "numcodecs", None)
    for answer in (cutout(volume, "uint8"), post(volume, BOX, packed(voxels(seed=1)))):
        assert answer.status_code == 501
        assert "pip install 'dvidkit[boss]'" in answer.text
    assert cutout(volume, "uint8", accept=NPYGZ).status_code == 200
    assert post(volume, BOX, npygz(voxels(seed=1)), NPYGZ).status_code == 201
