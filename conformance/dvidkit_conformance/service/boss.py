"""Voxels in the forms in which clients of bossDB send and ask for them. Needs numpy and numcodecs."""

from __future__ import annotations

import io
import pickle
import zlib
from typing import Any

import numpy as np
from numcodecs import blosc  # pyright: ignore[reportAttributeAccessIssue] - compiled

BLOSC, NPYGZ, RAW = "application/blosc", "application/npygz", "application/octet-stream"
BLOSC_PYTHON = "application/blosc-python"
OFFSET, SHAPE = (-3, 5, 7), (9, 11, 13)
BOX = "7:20/5:16/-3:6"
FRAME = {
    **{f"{axis}_start": 0 for axis in "xyz"},
    **{f"{axis}_stop": stop for axis, stop in zip("xyz", (60, 50, 40), strict=True)},
    **{f"{axis}_voxel_size": size for axis, size in zip("xyz", (4, 5, 0.5), strict=True)},
    "voxel_unit": "micrometers",
}


def voxels(dtype: str = "uint8", seed: int = 0) -> Any:
    """What is written."""
    return np.random.default_rng(seed).integers(0, 200, SHAPE).astype(dtype)


def cutout(service: Any, channel: str, box: str = BOX, *, place: str = "demo/master", **headers: str) -> Any:
    """Ask for a cutout."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return service("GET", f"/v1/cutout/{place}/{channel}/0/{box}", headers=sent)


def post(
    service: Any, box: str, body: bytes, kind: str = BLOSC, *, place: str = "demo/master/uint8", **more: str
) -> Any:
    """Write a cutout."""
    return service("POST", f"/v1/cutout/{place}/0/{box}", content=body, headers={"content-type": kind, **more})


def packed(array: Any, typesize: int | None = None) -> bytes:
    """Compressed with blosc, as clients do; ``intern`` gives the bits of a voxel for its bytes."""
    return bytes(blosc.compress(np.ascontiguousarray(array), b"lz4", 5, typesize=typesize))


def npygz(array: Any, **options: Any) -> bytes:
    """An array in numpy's format, compressed with zlib."""
    target = io.BytesIO()
    np.save(target, array, **options)
    return zlib.compress(target.getvalue())


def pickled(array: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> bytes:
    """A pickle of an array, compressed with blosc."""
    return packed(np.frombuffer(pickle.dumps(array, protocol), np.uint8))


def opened(body: bytes, kind: str, dtype: str) -> Any:
    """The voxels of an answer, flat or in their shape as the media type has it."""
    if kind == NPYGZ:
        return np.load(io.BytesIO(zlib.decompress(body)))
    if kind == BLOSC_PYTHON:
        return pickle.loads(blosc.decompress(body))  # noqa: S301 - the service under test made it
    data = body if kind == RAW else blosc.decompress(body)
    return np.frombuffer(data, dtype).reshape(SHAPE)


def made(service: Any, experiment: str = "exp", dtype: str = "uint8") -> Any:
    """Make a channel ``em`` in an experiment of the collection ``coll``, and what of that is missing."""
    collection = "/v1/collection/coll"
    steps = [
        (collection, {"name": "coll", "description": "of tests"}),
        ("/v1/coord/CF/", {"name": "CF", **FRAME}),
        (f"{collection}/experiment/{experiment}", {"coord_frame": "CF", "num_hierarchy_levels": 6, "time_step": None}),
    ]
    for url, document in steps:
        if service("GET", url).status_code == 404:
            answer = service("POST", url, json=document)
            if answer.status_code != 201:
                raise AssertionError(f"{url}: {answer.status_code} {answer.text}")
    channel = {"datatype": dtype, "type": "image", "sources": ["raw"], "description": "tissue", "related": []}
    return service("POST", f"{collection}/experiment/{experiment}/channel/em", json=channel)
