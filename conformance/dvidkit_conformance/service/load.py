"""Mixed changes from several clients at once: keys, batches, boxes of voxels, regions, commits and branches."""

from __future__ import annotations

import random
import threading
import uuid as uuids
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import quote

import msgspec

from dvidkit_conformance.service.expected import Account, Digest, Place, digest
from dvidkit_conformance.service.process import Answer, Client, Served

KEYS: Final = "kv"
VOXELS: Final = "gray"
REGION: Final = "region"
_SIDE: Final = 64
_BOXES: Final = 6
_SHARED: Final = 12
_OWN: Final = 25
_SIZES: Final = (0, 1, 20, 200, 3_000, 40_000)
_LARGE: Final = 600_000
_PAUSE: Final = 0.15

Gone = (OSError, HTTPException)
"""What a client sees of a server that was killed."""


@dataclass(slots=True)
class Scene:
    """A repo under load.

    Attributes:
        repo: UUID of its root.
        head: UUID of the version that is written.
        kinds: datatypes whose instances there are.
        account: what may be found.
        versions: UUIDs in the order they were asked for; ``committed`` and ``made`` are those of which the server said
            so.
        seed: of everything random.
    """

    repo: str
    kinds: frozenset[str]
    seed: int
    head: str = ""
    account: Account = field(default_factory=Account)
    versions: list[str] = field(default_factory=list)
    committed: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    turn: int = 0


def make_scene(client: Client, seed: int) -> Scene:
    """A new repo with an instance of each kind that the server has."""
    kinds = set(client.get("/api/server/compiled-types").json())
    repo = _good(client.post("/api/repos", {"alias": "soak"})).json()["root"]
    wanted = {"keyvalue": {"dataname": KEYS}, "uint8blk": {"dataname": VOXELS}, "roi": {"dataname": REGION}}
    for kind in kinds & set(wanted):
        _good(client.post(f"/api/repo/{repo}/instance", {"typename": kind, **wanted[kind]}))
    return Scene(repo, frozenset(kinds & set(wanted)), seed, head=repo, versions=[repo])


def _good(answer: Answer) -> Answer:
    if answer.status != 200:
        raise RuntimeError(f"not prepared: {answer}")
    return answer


class Load:
    """Clients that change a scene until they are stopped or the server is gone.

    Attributes:
        answers: how many there were, by status.
        faults: answers that no client should ever get.
    """

    def __init__(self, served: Served, scene: Scene, writers: int = 3) -> None:
        self.answers: dict[int, int] = {}
        self.faults: list[str] = []
        self._served = served
        self._scene = scene
        self._stop = threading.Event()
        scene.turn += 1
        jobs: list[Callable[[Client, random.Random], None]] = [self._branch]
        if "keyvalue" in scene.kinds:
            jobs += [self._writer(n) for n in range(writers)]
        if "uint8blk" in scene.kinds:
            jobs.append(self._boxes)
        if "roi" in scene.kinds:
            jobs.append(self._region)
        self._threads = [threading.Thread(target=self._run, args=(job, n), daemon=True) for n, job in enumerate(jobs)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every client end its request, and wait."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, job: Callable[[Client, random.Random], None], number: int) -> None:
        client = Client(self._served.url)
        rng = random.Random(f"{self._scene.seed} {self._scene.turn} {number}")
        try:
            while not self._stop.is_set():
                job(client, rng)
        except Gone:
            pass
        except Exception as error:
            self.faults.append(f"a client failed: {error!r}")
        finally:
            client.close()

    # --- what clients do ---------------------------------------------------------------------------------------------

    def _ask(
        self, client: Client, method: str, path: str, body: bytes, values: Mapping[Place, Digest], *, own: bool = False
    ) -> int:
        """Ask for a change, and take it into the account."""
        change = self._scene.account.begin(values, own=own)
        answer = client.ask(method, path, body)
        self._scene.account.answered(change, answer.status)
        self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
        if answer.status >= 500 or (answer.status >= 400 and b"committed" not in answer.body):
            self.faults.append(f"{method} {path}: {answer.status} {answer.body[:200]!r}")
        return answer.status

    def _writer(self, number: int) -> Callable[[Client, random.Random], None]:
        """Puts, deletes and batches of keys of its own and of keys that all write."""

        def write(client: Client, rng: random.Random) -> None:
            head = self._scene.head
            path = f"/api/node/{head}/{KEYS}"
            kind = rng.random()
            if kind < 0.15:
                names = [f"batch {number} {n}" for n in rng.sample(range(_OWN), rng.randint(2, 12))]
                pairs = {name: rng.randbytes(12) + _value(rng) for name in names}
                values: dict[Place, Digest] = {(head, name): digest(value) for name, value in pairs.items()}
                self._ask(client, "POST", f"{path}/keyvalues", encode(pairs), values, own=True)
                return
            name = f"shared {rng.randrange(_SHARED)}" if kind < 0.4 else f"own {number} {rng.randrange(_OWN)}"
            if rng.random() < 0.2:
                self._ask(client, "DELETE", f"{path}/key/{quote(name)}", b"", {(head, name): None})
            else:
                value = _value(rng)
                self._ask(client, "POST", f"{path}/key/{quote(name)}", value, {(head, name): digest(value)})

        return write

    def _boxes(self, client: Client, rng: random.Random) -> None:
        """A box of eight blocks, at one of a few places."""
        head, box = self._scene.head, rng.randrange(_BOXES)
        data = rng.randbytes(64) * (_SIDE**3 // 64)
        values: dict[Place, Digest] = {(head, ("box", box)): digest(data)}
        self._ask(client, "POST", box_path(head, box) + "?mutate=true", data, values, own=True)

    def _region(self, client: Client, rng: random.Random) -> None:
        """A region of up to 200 rows in place of the one before, or none."""
        head = self._scene.head
        path = f"/api/node/{head}/{REGION}/roi"
        if rng.random() < 0.15:
            self._ask(client, "DELETE", path, b"", {(head, ("region", 0)): None})
            return
        rows = sorted(rng.sample(range(1000), rng.randint(1, 200)))
        begins = [rng.randrange(100) for _ in rows]
        spans = [[row // 30, row % 30, x, x + rng.randrange(9)] for row, x in zip(rows, begins, strict=True)]
        data = msgspec.json.encode(spans)
        self._ask(client, "POST", path, data, {(head, ("region", 0)): digest(data)})

    def _branch(self, client: Client, rng: random.Random) -> None:
        """Commit the head, and write below it."""
        self._stop.wait(_PAUSE * (0.5 + 2 * rng.random()))
        scene, head = self._scene, self._scene.head
        if self._tell(client, f"/api/node/{head}/commit", {"note": f"turn {scene.turn}"}):
            scene.committed.add(head)
        child = uuids.UUID(int=rng.getrandbits(128), version=4).hex
        scene.account.parents[child] = head
        scene.versions.append(child)
        how: dict[str, Any] = {"uuid": child}
        if rng.random() < 0.3:
            how["branch"] = child[:12]
        if self._tell(client, f"/api/node/{head}/{'branch' if 'branch' in how else 'newversion'}", how):
            scene.made.add(child)
            scene.head = child

    def _tell(self, client: Client, path: str, document: dict[str, Any]) -> bool:
        answer = client.post(path, document)
        self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
        if answer.status != 200:
            self.faults.append(f"POST {path}: {answer.status} {answer.body[:200]!r}")
        return answer.status == 200


def _value(rng: random.Random) -> bytes:
    size = _LARGE if rng.random() < 0.01 else rng.choice(_SIZES)
    return rng.randbytes(min(size, 64)) * (1 + size // 64)


def box_path(uuid: str, box: int) -> str:
    """Where a box of voxels is."""
    return f"/api/node/{uuid}/{VOXELS}/raw/0_1_2/{_SIDE}_{_SIDE}_{_SIDE}/{_SIDE * box}_0_0"


def encode(pairs: Mapping[str, bytes]) -> bytes:
    """A Protocol Buffers message ``KeyValues``."""
    parts: list[bytes] = []
    for name, value in pairs.items():
        key = name.encode()
        pair = b"\x0a" + _varint(len(key)) + key + b"\x12" + _varint(len(value)) + value
        parts += (b"\x0a", _varint(len(pair)), pair)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*data, number))
