"""The process that writes and is killed, and the one it is forked from.

A zygote has the driver loaded but never opens a store, so a writer costs a fork and not an interpreter, and no thread
of a driver is lost in the fork. Writers say what they do through a pipe: frames of ``size u32 | marshal``, of which a
kill may leave the last one torn.
"""

from __future__ import annotations

import gc
import marshal
import os
import pickle
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

from dvidkit.engine import Engine
from dvidkit.findings import Damage
from dvidkit.store import Store
from dvidkit.verify import verify
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.lanes.crashmodel import brief
from dvidkit_conformance.lanes.crashops import VERSIONS, operations
from dvidkit_conformance.nursery import Door
from dvidkit_conformance.ops import Op
from dvidkit_conformance.storesession import StoreSession
from dvidkit_conformance.wrapping import wrapped

READY: Final = b"ready\n"
_DAMAGE: Final = (Damage.CHANGED, Damage.LOST, Damage.EXTRA, Damage.REPLACED, Damage.UNREADABLE)


class At(Harness):
    """A harness whose only store is at this path."""

    def __init__(self, engine: Engine, path: Path, options: Mapping[str, Any], store_class: type[Store]) -> None:
        super().__init__(engine, path.parent, store_class=store_class)
        self._path = path
        self._options = options

    def fresh(self) -> Path:
        """The path."""
        return self._path

    def config(self, path: Path, **fields: Any) -> Any:
        """With the options of this life."""
        return super().config(path, options=self._options, **fields)


class Performer(StoreSession):
    """A session that only performs."""

    def perform(self, op: Op) -> Any:
        """See ``Session``. What is not to wait for the disk is written as pairs."""
        if op.get("durable", True):
            return super().perform(op)
        pairs = op["pairs"] if "pairs" in op else [[op["key"], op.get("value")]]
        return self.store.write_pairs(self.context(op), [(key, value) for key, value in pairs], durable=False)

    def _compact(self, op: Op) -> Any:
        if self.harness.offers("compact"):
            self.store.compact()


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a writer, as it is told to the child.

    Attributes:
        path, options: of the store.
        workload, seed, cycle: what it writes.
        count: operations until it closes the store and ends.
        verify: examine the store after opening.
        ops: changes in a batch of the engine; 0 for its own limit.
    """

    path: str
    options: Mapping[str, Any]
    workload: str
    seed: int
    cycle: int
    count: int
    verify: bool
    ops: int

    def live(self, engine: Engine, store_class: type[Store], fd: int) -> None:
        """In the child."""
        live(engine, store_class, self, fd)


class Lived(Protocol):
    """What a zygote's children can be told to do."""

    def live(self, engine: Engine, store_class: type[Store], fd: int, /) -> None:
        """Do it, and say through the pipe what happens."""
        ...


def teller(fd: int) -> Callable[..., None]:
    """Says messages through a pipe."""

    def tell(*message: Any) -> None:
        data = memoryview(marshal.dumps(message))
        data = memoryview(len(data).to_bytes(4, "little") + data)
        while data:
            data = data[os.write(fd, data) :]

    return tell


def live(engine: Engine, store_class: type[Store], life: Life, fd: int) -> None:
    """Open, say what is there, write, close."""
    tell = teller(fd)
    doing = "opening"
    try:
        tell("opening")
        session = Performer(_harness(engine, store_class, life))
        for v, parents in VERSIONS:
            session.perform({"op": "version", "v": v, "parents": list(parents)})
        doing = "reading"
        rows = session.perform({"op": "dump"})
        tell("open", brief(rows) if isinstance(rows, list) else repr(rows))
        if life.verify:
            report = verify(session.store)
            damage = [each.text for each in report.findings if each.damage in _DAMAGE]
            if damage:
                tell("error", "verifying", "; ".join(damage[:3]))
                return
        for n, op in enumerate(islice(operations(life.workload, life.seed, life.cycle), life.count)):
            doing = str(op["op"])
            session.perform(op)
            tell("done", n)
        doing = "closing"
        tell("closing")
        session.store.close()
        tell("closed")
    except Exception as error:
        tell("error", doing, f"raises {type(error).__name__}: {str(error)[:300]}")


def _harness(engine: Engine, store_class: type[Store], life: Life) -> Harness:
    if life.ops:
        engine = wrapped(engine, limits=replace(engine.limits, max_batch_ops=life.ops))
    return At(engine, Path(life.path), life.options, store_class)


# --- the zygote ------------------------------------------------------------------------------------------------------
def serve(engine: Engine, store_class: type[Store], channel: socket.socket) -> None:
    """Fork a writer for each life that is sent, and say how each ended, until the channel closes."""
    _load(engine)
    gc.collect()
    gc.freeze()
    channel.sendall(READY)
    while True:
        data, fds, _, _ = socket.recv_fds(channel, 1 << 16, 1)
        if not data:
            return
        pid = os.fork()
        if pid == 0:
            _child(engine, store_class, pickle.loads(data), fds[0], channel)  # noqa: S301 - from our own parent
        os.close(fds[0])
        channel.sendall(b"%d\n" % pid)
        channel.recv(1)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        channel.sendall(b"%d\n" % status)


def _child(engine: Engine, store_class: type[Store], life: Lived, fd: int, channel: socket.socket) -> None:
    code = 1
    try:
        channel.close()
        life.live(engine, store_class, fd)
        code = 0
    finally:
        os._exit(code)


def _load(engine: Engine) -> None:
    """Import what opening imports, without opening here: a child opens a scratch store and says what it loaded."""
    before = set(sys.modules)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            folder = tempfile.mkdtemp()
            harness = Harness(engine, Path(folder))
            store = harness.open(harness.fresh())
            store.write([(b"\x03k", b"v")], durable=True)
            store.close()
            shutil.rmtree(folder, ignore_errors=True)
        os.write(write, "\n".join(set(sys.modules) - before).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        names = pipe.read().decode().split()
    os.waitpid(pid, 0)
    for name in sorted(names):
        with suppress(Exception):
            import_module(name)


def nursed(fd: int, nursery: Door) -> None:
    """Entry of a zygote that a nursery forked."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    zygote(fd)


def zygote(fd: int) -> None:
    """Serve a channel whose first frame is the engine."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=fd)
    size = int.from_bytes(channel.recv(4, socket.MSG_WAITALL), "little")
    engine, store_class = pickle.loads(channel.recv(size, socket.MSG_WAITALL))  # noqa: S301 - from our own parent
    serve(engine, store_class, channel)


if __name__ == "__main__":
    zygote(int(sys.argv[1]))
