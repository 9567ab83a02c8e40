"""The examples of the documentation, run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "views.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)


def needs(example: str) -> list[str]:
    """The modules that an example imports, and what those need to read over HTTP."""
    found = re.findall(r"^(?:import|from) (\w+)", example, re.M)
    return [*found, "zarr", "fsspec", "aiohttp"] if {"zarr", "dask"} & set(found) else found


def test_there_are_examples() -> None:
    """Of each library that the page names."""
    assert {each for example in EXAMPLES for each in needs(example)} >= {"tensorstore", "zarr", "dask", "cloudvolume"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: needs(example)[0])
def test_an_example(gray: Any, run: Any, example: str) -> None:
    """Reads the box that the page says, as it stands but for the server and the UUID."""
    url, uuid, voxels = gray
    code = example.replace("http://localhost:8000", url).replace("UUID", uuid)
    assert code.count(url) == code.count(uuid) == 1
    code += "\nimport sys, numpy\nnumpy.savez(sys.argv[-1], numpy.asarray(voxels))\n"
    found = run(["-c", code], *needs(example))["arr_0"]
    assert np.array_equal(found, voxels[16:24, 32:56, 64:96])
