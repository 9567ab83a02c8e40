"""A volume of micrographs through a history of versions, on every engine, voxel for voxel: closed, killed, and copied.

Imported, committed, branched, edited on unaligned boxes in both branches, merged where disjoint, edited again. The
process that does it is killed, really, at random instants; then everything it acknowledged must be there, and of what
it had not, all or nothing. This file is also the program of that process.

The volume is made here. Where ``fib25/grayscale.npz`` (250 x 250 x 250 voxels of FIB-SEM, ``volume``, z, y, x) is found
in the folder that ``DVIDKIT_TEST_DATA`` names, or in ``../shared/data`` beside the project, the same is done with that.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from click.testing import CliRunner

import dvidkit
from dvidkit.cli.upkeep import copy
from dvidkit.drivers import missing_driver, ready
from dvidkit.engine import Engine, Loss, StoreConfig
from dvidkit.plugins import Plugins
from dvidkit.repo import Repo
from dvidkit.store import Store
from dvidkit.transfer import copy_store
from dvidkit.verify import verify

Op = tuple[Any, ...]
OFFSET: Final = (-33, 7, 1000)
NAMES: Final = ("root", "left", "right", "merged", "last", "outside")
END: Final = b"\xff" * 40
PERSISTENT: Final = tuple(
    name for name, engine in ready(Plugins().engines).items() if engine.capabilities.durable is not Loss.NONE
)


@dataclass(frozen=True)
class Plan:
    """What is done, step by step, with a volume."""

    volume: Any
    block: int

    @property
    def side(self) -> int:
        """Voxels along each edge of the volume."""
        return int(self.volume.shape[0])

    def steps(self) -> list[Op]:
        """The operations, the same every time."""
        rng, slab = random.Random(3), -(-self.side // 3)
        middle = -(-(self.side // 2 + OFFSET[0]) // self.block) * self.block - OFFSET[0]

        def edits(name: str, low: int, high: int, count: int) -> list[Op]:
            return [("edit", name, self._box(rng, low, high)) for _ in range(count)]

        both = zip(edits("left", 0, middle, 7), edits("right", middle, self.side, 7), strict=True)
        return [
            *(("import", "root", begin, begin + slab) for begin in range(0, self.side, slab)),
            ("commit", "root"),
            ("new", "left", "root"),
            ("branch", "right", "root"),
            *(edit for pair in both for edit in pair),
            ("commit", "left"),
            ("commit", "right"),
            ("merge", "merged", "left", "right"),
            *edits("merged", 0, self.side, 4),
            ("branch", "outside", "left"),
            ("commit", "merged"),
            ("new", "last", "merged"),
            *(edit for name in ("last", "outside") * 3 for edit in edits(name, 0, self.side, 1)),
        ]

    def _box(self, rng: random.Random, low: int, high: int) -> tuple[slice, ...]:
        size = (high - low) // 2
        begin = (rng.randrange(low, high - size), *(rng.randrange(self.side - size) for _ in range(2)))
        return tuple(slice(first, first + size + rng.randrange(-3, 1)) for first in begin)

    def perform(self, repo: Repo, step: Op) -> None:
        """Do a step in the store."""
        at = {version.uuid: version for version in repo.versions}
        kind, name, *rest = step
        if kind == "import":
            at[uuid(name)]["gray"].write(placed((rest[0], 0, 0)), self.volume[rest[0] : rest[1]])
        elif kind == "edit":
            view, box = at[uuid(name)]["gray"], rest[0]
            begin = placed(tuple(part.start for part in box))
            view.write(begin, 255 - view.read(begin, tuple(part.stop - part.start for part in box)))
        elif kind == "commit":
            at[uuid(name)].commit(name)
        elif kind == "new":
            repo.new_version(at[uuid(rest[0])], uuid=uuid(name))
        elif kind == "branch":
            repo.branch(at[uuid(rest[0])], name, uuid=uuid(name))
        else:
            repo.merge([at[uuid(parent)] for parent in rest], uuid=uuid(name))


@dataclass
class Wanted:
    """What each version should hold."""

    plan: Plan
    volumes: dict[str, Any] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.volumes["root"] = np.zeros_like(self.plan.volume)

    def perform(self, step: Op) -> None:
        """What a step changes."""
        kind, name, *rest = step
        if kind == "import":
            self.volumes[name][rest[0] : rest[1]] = self.plan.volume[rest[0] : rest[1]]
        elif kind == "edit":
            self.volumes[name][rest[0]] = 255 - self.volumes[name][rest[0]]
        elif kind == "commit":
            self.committed.add(name)
        elif kind == "merge":
            left, right = (self.volumes[parent] for parent in rest)
            self.volumes[name] = np.where(left != self.plan.volume, left, right)
        else:
            self.volumes[name] = self.volumes[rest[0]].copy()

    def is_in(self, repo: Repo) -> bool:
        """Whether the repo has these versions, so committed, and every voxel of each."""
        found = {version.uuid: version for version in repo.versions}
        return (
            found.keys() == {uuid(name) for name in self.volumes}
            and {one for one, version in found.items() if version.locked} == set(map(uuid, self.committed))
            and all(
                np.array_equal(found[uuid(name)]["gray"].read(OFFSET, volume.shape), volume)
                for name, volume in self.volumes.items()
            )
        )


def uuid(name: str) -> str:
    """The UUID of the version of this name."""
    return f"{NAMES.index(name) + 1:032x}"


def placed(place: tuple[int, ...]) -> tuple[int, ...]:
    """Where in space a place in the volume is."""
    return tuple(begin + first for begin, first in zip(place, OFFSET, strict=True))


def begun(path: str, engine: str, plan: Plan) -> dvidkit.Kernel:
    """A kernel with a new store, with a repo that has an empty instance."""
    kernel = dvidkit.open(path, engine)
    repo = kernel.repos.create("em", root=uuid("root"))
    repo.create_instance("uint8blk", "gray", block_size=(plan.block,) * 3)
    return kernel


def micrograph(side: int) -> Any:
    """Something like an electron micrograph: smooth cells, dark membranes, shot noise."""
    rng = np.random.default_rng(11)
    z, y, x = np.mgrid[:side, :side, :side] / np.float32(17)
    field: Any = sum(np.sin(a * z + b * y + c * x) for a, b, c in rng.normal(size=(7, 3)))
    tissue = np.where(np.abs(field) < 0.4, 60, 150 + 8 * field)
    return np.clip(tissue + rng.normal(scale=9, size=field.shape), 1, 254).astype(np.uint8)


def real() -> Path | None:
    """Where the real volume is."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folders = (os.environ.get("DVIDKIT_TEST_DATA", ""), str(beside))
    files = (Path(folder, "fib25", "grayscale.npz") for folder in folders if folder)
    return next((file for file in files if file.is_file()), None)


def planned(name: str) -> Plan:
    """The plan for the volume of this name."""
    if name == "made":
        return Plan(micrograph(72), 32)
    file = real()
    assert file is not None
    with np.load(file) as data:
        return Plan(data["volume"], 64)


@pytest.fixture(params=["made", "fib25"], scope="module")
def name(request: pytest.FixtureRequest) -> str:
    """Name of the volume."""
    if request.param == "fib25" and real() is None:
        pytest.skip("NOT tested with real data: no fib25 in DVIDKIT_TEST_DATA or ../shared/data")
    found: str = request.param
    return found


@pytest.fixture(autouse=True)
def driver(engine: Engine) -> None:
    """Skip what needs a driver that is not installed."""
    missing = missing_driver(engine)
    if missing is not None:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def plan(name: str) -> Plan:
    """The plan."""
    return planned(name)


def test_every_version_reads_back(engine: Engine, plan: Plan, tmp_path: Path) -> None:
    """All versions are, voxel for voxel, what was written, also after closing and opening again."""
    path, wanted = str(tmp_path / "store"), Wanted(plan)
    with begun(path, engine.name, plan) as kernel:
        repo = kernel.repos[uuid("root")]
        for step in plan.steps():
            plan.perform(repo, step)
            wanted.perform(step)
        assert wanted.is_in(repo)
        assert set(wanted.volumes) == set(NAMES)
    if engine.name in PERSISTENT:
        with dvidkit.open(path, engine.name, create=False) as kernel:
            assert wanted.is_in(kernel.repos[uuid("root")])


@pytest.mark.persistent
def test_killed_and_copied(engine: Engine, name: str, plan: Plan, tmp_path: Path) -> None:
    """Killed again and again until all is done, nothing acknowledged is lost; copies are identical."""
    path, steps, wanted, rng = str(tmp_path / "store"), plan.steps(), Wanted(plan), random.Random(engine.name)
    begun(path, engine.name, plan).close()
    done = kills = 0
    while done < len(steps):
        acknowledged = killed(path, engine.name, name, done, rng)
        for step in steps[done:acknowledged]:
            wanted.perform(step)
        kills += acknowledged < len(steps)
        with dvidkit.open(path, engine.name, create=False) as kernel:
            repo = kernel.repos[uuid("root")]
            if not wanted.is_in(repo):
                wanted.perform(steps[acknowledged])
                acknowledged += 1
                assert wanted.is_in(repo), f"neither with nor without step {acknowledged} of {len(steps)}"
            assert verify(kernel.stores["default"]).ok
        done = acknowledged
    assert kills > 0
    others = [other for other in PERSISTENT if other != engine.name]
    is_copied(path, engine.name, others if name == "made" else others[:1], wanted, tmp_path)


def killed(path: str, engine: str, name: str, start: int, rng: random.Random) -> int:
    """Let another process go on with the steps, kill it, and return how many are acknowledged to be done."""
    command = [sys.executable, __file__, path, engine, name, str(start)]
    stop = start + rng.randrange(3, 17)
    done = start
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            done = int(line)
            if done == stop:
                time.sleep(rng.random() * 0.01)
                process.kill()
    assert process.returncode in (0, -9)
    return done


def is_copied(path: str, name: str, others: list[str], wanted: Wanted, folder: Path) -> None:
    """Copies of the store to other engines, and to memory, have the same raw rows, and the same voxels."""
    rows = dumped(path, name)
    assert len(rows) > 100
    for other in others:
        target = str(folder / f"in-{other}")
        ran = CliRunner().invoke(copy, [path, target, "--engine", other])
        assert ran.exit_code == 0, ran.output
        assert dumped(target, other) == rows
        with dvidkit.open(target, other, create=False) as kernel:
            assert wanted.is_in(kernel.repos[uuid("root")])
    with closing(Store(Plugins().engine("memory"), StoreConfig("memory"))) as memory:
        with closing(Store(Plugins().engine(name), StoreConfig(name, path, create=False))) as store:
            copy_store(store, memory)
        assert list(memory.raw_range_query(b"\x00", END)) == rows


def dumped(path: str, engine: str) -> list[tuple[bytes, bytes | None]]:
    """Every raw row of a store."""
    with closing(Store(Plugins().engine(engine), StoreConfig(engine, path, create=False))) as store:
        return list(store.raw_range_query(b"\x00", END))


def work(path: str, engine: str, name: str, start: int) -> None:
    """What the process that is killed does: each step, and then a line that says so."""
    plan = planned(name)
    with dvidkit.open(path, engine, create=False) as kernel:
        repo = kernel.repos[uuid("root")]
        for number, step in enumerate(plan.steps()[start:], start):
            plan.perform(repo, step)
            sys.stdout.write(f"{number + 1}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
