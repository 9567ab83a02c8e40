"""Kill a server again and again under mixed changes, and look whether all is there that it said was.

``python -m dvidkit_conformance.service.soak --kills 1000`` prints a report as JSON, also if it is interrupted; its exit
status is 1 if anything was lost, torn, or found wrong by the examination of the store. What a run found can be looked
into: with ``--keep`` the store of the last failure stays.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from dvidkit.engine import StoreConfig
from dvidkit.plugins import Plugins
from dvidkit.store import Store
from dvidkit_conformance.service.expected import Digest, Place, digest
from dvidkit_conformance.service.load import KEYS, REGION, Load, Scene, box_path, make_scene
from dvidkit_conformance.service.process import Client, Served

_KILLS_OF_ONE_STORE: Final = 25
_OLD_VERSIONS: Final = 2
_LONGEST: Final = 1.5
_BOXES: Final = 6


@dataclass(slots=True)
class Report:
    """What came of it.

    Attributes:
        engine: of the stores.
        kills: how often the server was killed; ``early`` of them while it started.
        stores: how many were used.
        done, refused, open: changes that were answered 2xx, 4xx, and not at all.
        cells: values that were read after a restart.
        versions: versions made under load.
        faults: everything that must not be.
        seconds: how long it took.
    """

    engine: str
    kills: int = 0
    early: int = 0
    stores: int = 0
    done: int = 0
    refused: int = 0
    open: int = 0
    cells: int = 0
    versions: int = 0
    slowest_start: float = 0.0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Soak:
    """Kills servers.

    Args:
        folder: for stores; left as it is if something is wrong.
        engine: of the stores.
        seed: of everything random.
    """

    def __init__(self, folder: Path, engine: str, seed: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.report = Report(engine)
        self._folder = folder
        self._seed = seed
        self._rng = random.Random(seed)

    def run(self, kills: int, seconds: float = float("inf")) -> Report:
        """Until so many kills are done, or the time is over, or something is wrong."""
        begun = time.monotonic()
        try:
            while self.report.kills < kills and time.monotonic() - begun < seconds and not self.report.faults:
                self._one_store(min(kills - self.report.kills, _KILLS_OF_ONE_STORE), begun + seconds)
        finally:
            self.report.seconds = round(time.monotonic() - begun, 1)
        return self.report

    def _one_store(self, kills: int, deadline: float) -> None:
        self.report.stores += 1
        store = self._folder / f"store-{self.report.stores}"
        log = self._folder / "server.log"
        log.unlink(missing_ok=True)
        with self._start(store, log) as served:
            scene = make_scene(served.client(), self._seed + self.report.stores)
        try:
            for _ in range(kills):
                if time.monotonic() > deadline or self.report.faults:
                    break
                self._one_kill(store, log, scene)
        finally:
            self._count(scene)
        with self._start(store, log) as served:
            self._look(served.client(), scene, everything=True)
        self._examine(store)
        if not self.report.faults:
            shutil.rmtree(store)

    def _count(self, scene: Scene) -> None:
        self.report.done += scene.account.done
        self.report.refused += scene.account.refused
        self.report.open += scene.account.open
        self.report.versions += len(scene.versions)

    def _start(self, store: Path, log: Path) -> Served:
        begun = time.monotonic()
        served = Served(store, "--engine", self.report.engine, log=log)
        self.report.slowest_start = max(self.report.slowest_start, round(time.monotonic() - begun, 2))
        return served

    def _one_kill(self, store: Path, log: Path, scene: Scene) -> None:
        with self._start(store, log) as served:
            self._look(served.client(), scene)
            if self.report.faults:
                return
            load = Load(served, scene)
            time.sleep(self._rng.random() ** 2 * _LONGEST)
            served.kill()
            load.stop()
        scene.account.killed()
        self.report.kills += 1
        self.report.faults += load.faults
        self._examine(store)
        if self._rng.random() < 0.1:
            self._kill_early(store, log)

    def _kill_early(self, store: Path, log: Path) -> None:
        """Kill a server as soon as it serves, while it may still be putting things in order."""
        with self._start(store, log) as served:
            served.kill()
        self.report.kills += 1
        self.report.early += 1

    # --- looking -----------------------------------------------------------------------------------------------------

    def _look(self, client: Client, scene: Scene, *, everything: bool = False) -> None:
        """Compare what the server has with what it may have; find out where it stands."""
        answer = client.get(f"/api/repo/{scene.repo}/info")
        if answer.status != 200:
            self._wrong(f"the repo is not there: {answer.body!r}")
            return
        nodes = answer.json()["DAG"]["Nodes"]
        for uuid in scene.committed:
            if not nodes.get(uuid, {}).get("Locked"):
                self._wrong(f"version {uuid} was committed, and is not")
        for uuid in scene.made - set(nodes):
            self._wrong(f"version {uuid} was made, and is not there")
        if set(nodes) - set(scene.versions):
            self._wrong(f"versions nobody asked for: {set(nodes) - set(scene.versions)}")
        there = [uuid for uuid in scene.versions if uuid in nodes]
        scene.versions[:] = there
        for uuid in set(scene.account.parents) - set(there):
            del scene.account.parents[uuid]
        older = there[:-1] if everything else self._rng.sample(there[:-1], min(_OLD_VERSIONS, len(there) - 1))
        for uuid in [*older, there[-1]]:
            self._compare(client, scene, uuid)
        scene.head = there[-1]
        if nodes[scene.head]["Locked"]:
            self._go_on(client, scene)

    def _compare(self, client: Client, scene: Scene, uuid: str) -> None:
        expected = scene.account.places(uuid)
        seen: dict[Place, Digest] = {}
        if "keyvalue" in scene.kinds:
            seen |= self._keys(client, uuid, {each for each in expected if isinstance(each, str)})
        for box in range(_BOXES):
            if ("box", box) in expected:
                data = self._read(client, box_path(uuid, box))
                seen[uuid, ("box", box)] = digest(data) if any(data) else None
        if ("region", 0) in expected:
            data = self._read(client, f"/api/node/{uuid}/{REGION}/roi")
            seen[uuid, ("region", 0)] = None if data == b"[]" else digest(data)
        self.report.cells += len(seen)
        for what in scene.account.found(seen):
            self._wrong(what)

    def _keys(self, client: Client, uuid: str, expected: set[str]) -> dict[Place, Digest]:
        """Every key that is listed or may be there, with its value."""
        seen: dict[Place, Digest] = {}
        listed = set(client.get(f"/api/node/{uuid}/{KEYS}/keys").json())
        for key in listed | expected:
            answer = client.get(f"/api/node/{uuid}/{KEYS}/key/{quote(key)}")
            if answer.status not in (200, 404) or (answer.status == 200) is not (key in listed):
                self._wrong(f"{uuid} {key}: {answer.status}, and listed: {key in listed}")
            seen[uuid, key] = digest(answer.body) if answer.status == 200 else None
        return seen

    def _read(self, client: Client, path: str) -> bytes:
        answer = client.get(path)
        if answer.status != 200:
            self._wrong(f"{path}: {answer.status} {answer.body[:200]!r}")
        return answer.body

    def _go_on(self, client: Client, scene: Scene) -> None:
        """The head was committed when the server was killed: write below it."""
        child = client.post(f"/api/node/{scene.head}/newversion", {}).json()["child"]
        scene.account.parents[child] = scene.head
        scene.versions.append(child)
        scene.made.add(child)
        scene.head = child

    def _examine(self, path: Path) -> None:
        """Have the store examined from end to end."""
        try:
            from dvidkit.verify import verify  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            return
        engine = Plugins().engine(self.report.engine)
        with Store(engine, StoreConfig(engine.name, str(path), create=False)) as store:
            report: Any = verify(store)
        if not report.ok:
            self._wrong(f"the examination of the store found: {report}")

    def _wrong(self, what: str) -> None:
        self.report.faults.append(f"after {self.report.kills} kills: {what}")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--engine", default="lmdb")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--folder", type=Path, help="for stores; a temporary one unless given")
    parser.add_argument("--keep", action="store_true", help="do not delete the folder if something is wrong")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="dvidkit-soak-"))
    soak = Soak(folder, options.engine, options.seed)
    with suppress(KeyboardInterrupt):
        soak.run(options.kills, options.seconds)
    report = soak.report
    sys.stdout.write(json.dumps({"seed": options.seed, **asdict(report)}, indent=2) + "\n")
    if not (report.faults and options.keep):
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
