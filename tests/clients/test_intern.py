"""bossDB's own client, unmodified, makes, writes and reads channels over a real server, in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.service.process import Served

PAGE = Path(__file__).parents[2] / "docs" / "boss.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)


@pytest.fixture
def program(tmp_path: Path) -> Any:
    """Runs Python whose home names a server as bossDB's clients expect it; what it saved, by name."""

    def begin(url: str, code: str) -> Any:
        missing = [module for module in ("intern", "numcodecs") if find_spec(module) is None]
        if missing:
            pytest.skip(f"NOT TESTED: {', '.join(missing)} not installed (pip install --group clients)")
        config = tmp_path / ".intern" / "intern.cfg"
        config.parent.mkdir(exist_ok=True)
        host = url.removeprefix("http://")
        config.write_text(f"[Default]\nprotocol = http\nhost = {host}\ntoken = public\n", "utf-8")
        saved = tmp_path / "found.npz"
        command = [sys.executable, "-W", "ignore", "-c", code, str(saved)]
        environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 0, done.stderr
        return np.load(saved)

    return begin


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An empty server."""
    folder = tmp_path_factory.mktemp("boss")
    with Served(folder / "store", log=folder / "server.log") as served:
        yield served


ARRAYS = """
import sys
import numpy as np
from intern import array
from intern.remote.boss import BossRemote
from intern.resource.boss.resource import CollectionResource

found = {}
for dtype in ("uint8", "uint16", "uint64"):
    place = f"bossdb://arrays/one/{dtype}"
    made = array(place, create_new=True, dtype=dtype, extents=(40, 200, 300), voxel_size=(30, 4, 5))
    voxels = np.random.default_rng(1).integers(1, 250, (20, 99, 150)).astype(dtype) * np.dtype(dtype).type(3)
    made[3:23, 5:104, 7:157] = voxels
    again = array(place)
    assert (again.dtype, again.shape, again.voxel_unit) == (dtype, (40, 200, 300), "nanometers")
    assert sorted(again.voxel_size) == [4, 5, 30]
    assert (again.downsample_status, again.available_resolutions) == ("NOT_DOWNSAMPLED", [0])
    found |= {f"{dtype} written": voxels, f"{dtype} box": again[3:23, 5:104, 7:157]}
    found |= {f"{dtype} inner": again[9:11, 6:50, 8:9], f"{dtype} z": again[10, 5:104, 7:157]}
    found |= {f"{dtype} y": again[3:23, 9, 7:157], f"{dtype} x": again[3:23, 5:104, 9], f"{dtype} all": again[10]}
remote = BossRemote()
assert remote.list_collections() == ["arrays"]
assert remote.list_experiments("arrays") == ["one"]
assert remote.list_channels("arrays", "one") == ["uint16", "uint64", "uint8"]
assert "CF_arrays_one" in remote.list_coordinate_frames()
channel = remote.get_channel("uint64", "arrays", "one")
found["ids"] = remote.get_ids_in_region(channel, 0, [7, 17], [5, 15], [3, 6])
remote.create_cutout_to_black(channel, 0, [7, 9], [5, 8], [3, 6])
found["black"] = remote.get_cutout(channel, 0, [7, 157], [5, 104], [3, 23])
for place in (remote.get_project(CollectionResource("arrays")), remote.get_experiment("arrays", "one"), channel):
    remote.create_metadata(place, {"tissue": "medulla", "microscope": "FIB-SEM"})
    assert remote.list_metadata(place) == ["microscope", "tissue"]
    remote.update_metadata(place, {"tissue": "lobula"})
    remote.delete_metadata(place, ["microscope"])
    assert remote.get_metadata(place, ["tissue"]) == {"tissue": "lobula"}
timed = np.full((1, 2, 3, 4), 5, np.uint64)
remote.create_cutout(channel, 0, [20, 24], [20, 23], [20, 22], timed, time_range=[0, 1])
found["timed"] = remote.get_cutout(channel, 0, [20, 24], [20, 23], [20, 22], time_range=[0, 1])
np.savez(sys.argv[1], **found)
"""


def test_arrays(server: Served, program: Any) -> None:
    """``intern.array`` makes a channel of each type it knows, writes an unaligned box, reads boxes and slices.

    ``BossRemote`` lists what there is, reads ids, blackens, takes a range of times and keeps metadata.
    """
    found = program(server.url, ARRAYS)
    for dtype in ("uint8", "uint16", "uint64"):
        voxels = found[f"{dtype} written"]
        assert voxels.dtype == found[f"{dtype} box"].dtype == dtype
        assert np.array_equal(found[f"{dtype} box"], voxels)
        assert np.array_equal(found[f"{dtype} z"], voxels[7])
        assert np.array_equal(found[f"{dtype} y"], voxels[:, 4])
        assert np.array_equal(found[f"{dtype} x"], voxels[:, :, 2])
        assert np.array_equal(found[f"{dtype} inner"], voxels[6:8, 1:45, 1])
        whole = np.zeros((200, 300), dtype)
        whole[5:104, 7:157] = voxels[7]
        assert np.array_equal(found[f"{dtype} all"], whole)
    voxels = found["uint64 written"]
    assert found["ids"].tolist() == sorted(set(voxels[:3, :10, :10].flat))
    voxels[:3, :3, :2] = 0
    assert np.array_equal(found["black"], voxels)
    assert np.array_equal(found["timed"], np.full((1, 2, 3, 4), 5))


VERSIONS = """
import sys
import numpy as np
from intern import array

for name in ("one", "two"):
    made = array(f"bossdb://kept/{name}/em", create_new=True, extents=(8, 8, 8), voxel_size=(8, 8, 8))
    made[0:8, 0:8, 0:8] = np.full((8, 8, 8), 1 if name == "one" else 2, np.uint8)
np.savez(sys.argv[1])
"""
LATER = """
import sys
import numpy as np
from intern import array

array("bossdb://kept/one/em")[1:2, 1:3, 1:4] = np.full((1, 2, 3), 9, np.uint8)
refused = 0
try:
    array("bossdb://kept/{old}/em")[0:1, 0:1, 0:1] = np.full((1, 1, 1), 9, np.uint8)
except Exception as error:
    refused = error.response.status_code
places = dict(new="one", old="{old}", before="one~1", other="two")
found = {{key: array(f"bossdb://kept/{{name}}/em")[0:8, 0:8, 0:8] for key, name in places.items()}}
np.savez(sys.argv[1], refused=refused, **found)
"""


def test_versions(server: Served, program: Any) -> None:
    """A committed version is read as it was, and not written; its branch goes on; another has voxels of its own."""
    program(server.url, VERSIONS)
    client = server.client()
    repos = client.get("/api/repos/info").json()
    (nodes,) = (repo["DAG"]["Nodes"] for repo in repos.values() if repo["Alias"] == "kept")
    (old,) = (node["UUID"] for node in nodes.values() if node["Branch"] == "one")
    assert client.post(f"/api/node/{old}/commit").status == 200
    assert client.post(f"/api/node/{old}/newversion").status == 200
    found = program(server.url, LATER.format(old=old))
    new = np.ones((8, 8, 8), np.uint8)
    new[1:2, 1:3, 1:4] = 9
    assert found["refused"] == 400
    assert np.array_equal(found["new"], new)
    for name in ("old", "before"):
        assert np.array_equal(found[name], np.ones((8, 8, 8)))
    assert np.array_equal(found["other"], np.full((8, 8, 8), 2))


CHANGES = """
import sys
import numpy as np
from intern import array
from intern.remote.boss import BossRemote
from intern.resource.boss.resource import CollectionResource, CoordinateFrameResource, ExperimentResource

array("bossdb://passing/one/em", create_new=True, extents=(8, 8, 8), voxel_size=(8, 8, 8))
remote = BossRemote()
things = [
    remote.get_channel("em", "passing", "one"),
    remote.get_experiment("passing", "one"),
    remote.get_project(CoordinateFrameResource("CF_passing_one")),
    remote.get_project(CollectionResource("passing")),
]
refused = []
for thing in things:
    thing.description = "another"
    assert remote.update_project(thing.name, thing).description == "another", thing
    assert remote.get_project(thing).description == "another", thing
for thing in reversed(things[1:]):
    try:
        remote.delete_project(thing)
    except Exception as error:
        refused.append(error.response.status_code)
for thing in things:
    remote.delete_project(thing)
np.savez(sys.argv[1], refused=refused, left=[name for name in remote.list_collections() if name == "passing"])
"""


def test_changes(server: Served, program: Any) -> None:
    """Every thing gets another description, is not deleted while others refer to it, and is after them."""
    found = program(server.url, CHANGES)
    assert found["refused"].tolist() == [400, 400, 400]
    assert found["left"].tolist() == []


@pytest.mark.parametrize("example", EXAMPLES, ids=["intern", "requests", "create"])
def test_an_example_of_the_page(gray: Any, program: Any, example: str) -> None:
    """Reads what the page says, as it stands but for the server; what it makes can be made once."""
    url, _, voxels = gray
    code = example.replace("localhost:8000", url.removeprefix("http://")).replace("/demo/", "/gray/")
    assert url.removeprefix("http://") in code
    code += "\nimport sys, numpy\nnumpy.savez(sys.argv[-1], numpy.asarray(voxels))\n"
    found = program(url, code)["arr_0"]
    wanted = voxels[16:24, 32:56, 64:96] if "create_new" not in example else np.full((2, 2, 2), 7)
    assert np.array_equal(found, wanted)
