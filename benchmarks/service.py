"""The HTTP service: requests per CPU second of the server beside an empty ASGI application on the same uvicorn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

import dvidkit
from benchmarks.load import get, load, post
from benchmarks.measuring import Figure, cores, process_seconds
from benchmarks.volumes import em_like

PART: Final = "service"
BARS: Final = {"routed GET": 0.80, "GET of a key": 0.65, "POST of a key": 0.50}
READ_BAR: Final = 0.85
STALL_BAR: Final = 10.0
OPEN_BAR: Final = 150.0
_UUID: Final = "5" * 32
_KEYS: Final = 1000
_BODY: Final = b"v" * 100
_SMALL: Final = ((64, 64, 64), (0, 0, 0))
_LARGE: Final = ((128, 128, 128), (17, 23, 31))
_MB: Final = 1e6
_SERVING: Final = """
import sys
sys.path.append({root!r})
from benchmarks.server import main
main()
"""
"""The benchmarks come last on the path: what is served is what is installed."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        seconds: of each slice of load.
        rounds: slices of each kind, of which the best counts.
        connections: at once.
        stall_seconds: of load while the event loop is watched.
        opens: new interpreters that open a store.
        side: of the volume.
    """

    seconds: float = 0.7
    rounds: int = 7
    connections: int = 32
    stall_seconds: float = 10.0
    opens: int = 9
    side: int = 256


TINY: Final = Effort(seconds=0.05, rounds=1, connections=2, stall_seconds=0.2, opens=1, side=192)


@dataclass(slots=True)
class Served:
    """A server in another process.

    Attributes:
        port: where it listens.
        process: the process.
        late: lateness of its event loop, in seconds, once it has ended and was watched.
    """

    port: int
    process: subprocess.Popen[str]
    late: dict[str, float]

    def rate(self, requests: list[bytes], effort: Effort, connections: int) -> float:
        """Requests per CPU second of the server, in one slice of load."""
        before = process_seconds(self.process.pid)
        count = load(self.port, requests, connections, effort.seconds)
        return count / (process_seconds(self.process.pid) - before)


def figures(folder: str, effort: Effort) -> Iterator[Figure]:
    """All figures of the service. This process runs on one processor, servers on another, while it lasts."""
    allowed = os.sched_getaffinity(0)
    server, client = cores()
    path, own = os.path.join(folder, "served"), os.path.join(folder, "own")
    try:
        os.sched_setaffinity(0, {client})
        for each in (path, own):
            _make(each, effort.side)
        yield from _requests(path, server, effort)
        yield from _volumes(path, own, server, client, effort)
        yield _stall(path, server, effort)
        yield from _opening(own, effort)
    finally:
        os.sched_setaffinity(0, allowed)


def _make(path: str, side: int) -> None:
    """A store with values under keys and a volume."""
    with dvidkit.open(path) as kernel:
        repo = kernel.repos.create("benchmark", root=_UUID)
        repo.create_instance("keyvalue", "values")
        repo.create_instance("uint8blk", "grey", BlockSize="64,64,64")
        repo.root["values"].put_many((f"key{number}", _BODY) for number in range(_KEYS))
        repo.root["grey"].write((0, 0, 0), em_like(side))


@contextmanager
def served(kind: str, core: int, *arguments: str) -> Iterator[Served]:
    """A server on a processor of its own."""
    code = _SERVING.format(root=str(Path(__file__).parents[1]))
    command = [sys.executable, "-c", code, kind, "--core", str(core), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        made = Served(int(process.stdout.readline()), process, {})
        yield made
        process.stdin.close()
        made.late = json.loads(process.stdout.read() or "{}")


# --- small requests --------------------------------------------------------------------------------------------------


def _requests(path: str, core: int, effort: Effort) -> Iterator[Figure]:
    values = f"/api/node/{_UUID}/values/key/key"
    wanted = {
        "routed GET": [get("/api/heartbeat")],
        "GET of a key": [get(f"{values}{number}") for number in range(_KEYS)],
        "POST of a key": [post(f"{values}{number}", _BODY) for number in range(_KEYS)],
    }
    rates = dict.fromkeys([*wanted, "empty"], 0.0)
    with served("raw", core) as raw, served("dvidkit", core, "--path", path) as ours:
        for _ in range(effort.rounds):
            rates["empty"] = max(rates["empty"], raw.rate([get("/")], effort, effort.connections))
            for name, requests in wanted.items():
                rates[name] = max(rates[name], ours.rate(requests, effort, effort.connections))
    for name in wanted:
        cost, base = 1e6 / rates[name], 1e6 / rates["empty"]
        yield Figure(PART, "lmdb", True, name, base / cost, BARS[name], cost, base, "us", "an empty ASGI application")


# --- volumes ---------------------------------------------------------------------------------------------------------


def _volumes(path: str, own: str, core: int, client: int, effort: Effort) -> Iterator[Figure]:
    with ExitStack() as stack:
        server = stack.enter_context(served("dvidkit", core, "--path", path))
        raw = stack.enter_context(served("raw", core))
        os.sched_setaffinity(0, {core})
        grey = stack.enter_context(dvidkit.open(own)).repos.resolve(_UUID)["grey"]
        for name, place in {"GET of an aligned 64^3 box": _SMALL, "GET of an unaligned 128^3 box": _LARGE}.items():
            yield from _volume(name, (server, raw), grey, place, (core, client), effort)
        os.sched_setaffinity(0, {client})


def _volume(
    name: str,
    servers: tuple[Served, Served],
    grey: Any,
    place: tuple[Any, Any],
    cores: tuple[int, int],
    effort: Effort,
) -> Iterator[Figure]:
    shape, offset = place
    size = int(np.prod(shape)) / _MB
    request = get(f"/api/node/{_UUID}/grey/raw/0_1_2/{_xyz(shape)}/{_xyz(offset)}")
    voxels: Any = grey.read(offset, shape)
    zeros = get(f"/{voxels.nbytes}")
    rates = {"http": 0.0, "send": 0.0, "api": 0.0, "copy": 0.0}
    for _ in range(effort.rounds):
        os.sched_setaffinity(0, {cores[1]})
        rates["http"] = max(rates["http"], size * servers[0].rate([request], effort, 2))
        rates["send"] = max(rates["send"], size * servers[1].rate([zeros], effort, 2))
        os.sched_setaffinity(0, {cores[0]})
        rates["api"] = max(rates["api"], size * _own_rate(lambda: grey.read(offset, shape), effort.seconds))
        rates["copy"] = max(rates["copy"], size * _own_rate(voxels.copy, effort.seconds / 4))
    rates["both"] = 1 / (1 / rates["api"] + 1 / rates["send"])
    for base, against, bar in (
        ("api", "the Python API", READ_BAR),
        ("both", "the API and sending zeros", None),
        ("copy", "a memcpy", None),
    ):
        value = rates["http"] / rates[base]
        full = f"{name}, beside {against}"
        yield Figure(PART, "lmdb", True, full, value, bar, rates["http"], rates[base], "MB/s", against)


def _xyz(zyx: tuple[int, int, int]) -> str:
    return "_".join(map(str, zyx[::-1]))


def _own_rate(function: Callable[[], object], seconds: float) -> float:
    """Calls per CPU second of this process."""
    count, begun = 0, time.process_time()
    spent = 0.0
    while spent < seconds:
        function()
        count += 1
        spent = time.process_time() - begun
    return count / spent


# --- the event loop, and the beginning -------------------------------------------------------------------------------


def _stall(path: str, core: int, effort: Effort) -> Figure:
    values = f"/api/node/{_UUID}/values/key/key"
    requests = [post(f"{values}{number}", _BODY) for number in range(_KEYS)]
    with served("dvidkit", core, "--path", path, "--durability", "durable", "--watch") as server:
        load(server.port, requests, effort.connections, effort.stall_seconds)
    late = server.late["p99"] * 1e3
    name = "event loop late under durable writes, p99"
    return Figure(PART, "lmdb", True, name, late, STALL_BAR, late, STALL_BAR, "ms", "", at_most=True)


_OPENING: Final = """
import time
begun = time.perf_counter()
import dvidkit
with dvidkit.open({path!r}):
    opened = time.perf_counter()
print(opened - begun)
"""


def _opening(path: str, effort: Effort) -> Iterator[Figure]:
    code = _OPENING.format(path=path)
    found = []
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(1 + effort.opens):
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
            )
            found.append(float(done.stdout) * 1e3)
    best = min(found[1:])
    yield Figure(PART, "lmdb", True, "import and open of a store", best, OPEN_BAR, best, 0.0, "ms", "", at_most=True)
