"""Starting writers from a zygote, and hearing what they say."""

from __future__ import annotations

import marshal
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from dvidkit_conformance.harness import Harness
from dvidkit_conformance.lanes.writer import READY, Lived, nursed, serve
from dvidkit_conformance.nursery import Kept
from dvidkit_conformance.patience import Patience

_PATIENCE: Final = 60.0


class Zygote:
    """The process that writers are forked from. Use as a context manager.

    An engine that can be pickled gets a zygote of the nursery, or without one a fresh interpreter; one that only this
    process knows is forked.

    Args:
        harness: whose engine it is.
        env: environment; with one the zygote is a fresh interpreter and nothing else.

    Raises:
        ChildProcessError: an environment was given, and the engine is known to this process only.
    """

    def __init__(self, harness: Harness, *, env: Mapping[str, str] | None = None) -> None:
        self._harness = harness
        self._env = env
        self._process: subprocess.Popen[bytes] | Kept | None = None
        self._pid = 0
        channel = self._spawned()
        if channel is None and env is not None:
            raise ChildProcessError("the engine cannot be named to another process")
        self._channel = channel or self._forked()
        self._waiting = b""

    def _spawned(self) -> socket.socket | None:
        try:
            subject = pickle.dumps((self._harness.engine, self._harness.store_class))
        except Exception:
            return None
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = self._begun(theirs.fileno())
        with suppress(OSError):
            ours.settimeout(_PATIENCE)
            ours.sendall(len(subject).to_bytes(4, "little") + subject)
            if ours.recv(len(READY), socket.MSG_WAITALL) == READY:
                return ours
        ours.close()
        self._process.kill()
        self._process.wait()
        self._process = None
        return None

    def _begun(self, fd: int) -> subprocess.Popen[bytes] | Kept:
        nursery = self._harness.nursery
        if nursery is not None and self._env is None:
            with suppress(OSError):
                return nursery.start(nursed, fd)
        command = [sys.executable, "-m", "dvidkit_conformance.lanes.writer", str(fd)]
        return subprocess.Popen(  # noqa: S603
            command, pass_fds=[fd], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self._env
        )

    def _forked(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            try:
                ours.close()
                serve(self._harness.engine, self._harness.store_class, theirs)
            finally:
                os._exit(0)
        theirs.close()
        ours.settimeout(_PATIENCE)
        ours.recv(len(READY), socket.MSG_WAITALL)
        return ours

    def start(self, life: Lived) -> Writer:
        """A new writer."""
        read, write = os.pipe()
        socket.send_fds(self._channel, [pickle.dumps(life)], [write])
        os.close(write)
        return Writer(self, int(self._line()), read)

    def ended(self) -> int:
        """Wait for the writer; its return code, negative: the signal it died of."""
        self._channel.sendall(b"w")
        return int(self._line())

    def _line(self) -> bytes:
        while b"\n" not in self._waiting:
            data = self._channel.recv(64)
            if not data:
                raise RuntimeError("the zygote of the crash lane has ended")
            self._waiting += data
        line, _, self._waiting = self._waiting.partition(b"\n")
        return line

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *error: object) -> None:
        self._channel.close()
        if self._process is not None:
            self._process.wait()
        elif self._pid:
            os.waitpid(self._pid, 0)


class Writer:
    """A writer that lives. As a context manager it is killed and waited for if the block raises.

    Attributes:
        pid: its process.
    """

    def __init__(self, zygote: Zygote, pid: int, fd: int) -> None:
        self.pid = pid
        self._zygote = zygote
        self._fd = fd
        self._data = b""

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.kill()
            self.ended()

    def hear(self, limit: float) -> Iterator[tuple[Any, ...]]:
        """What it says, until it ends.

        Raises:
            TimeoutError: it hangs: it was silent for ``limit`` seconds, see ``Patience``.
        """
        patience = Patience(self.pid, limit)
        while True:
            ready, _, _ = select.select([self._fd], [], [], patience.tick)
            if not ready:
                if patience.over:
                    raise TimeoutError(f"no sign of life for {limit:.0f} s")
                continue
            data = os.read(self._fd, 1 << 20)
            if not data:
                return
            patience.heard()
            yield from self._frames(data)

    def heard(self) -> Iterator[tuple[Any, ...]]:
        """What it has said by now, also while ``hear`` is at an earlier message."""
        yield from self._frames(b"")
        while select.select([self._fd], [], [], 0)[0]:
            data = os.read(self._fd, 1 << 20)
            if not data:
                return
            yield from self._frames(data)

    def hold(self) -> None:
        """Let it begin nothing more; what it is waiting for it may still get."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of ``hold``."""
        os.kill(self.pid, signal.SIGCONT)

    def _frames(self, data: bytes) -> Iterator[tuple[Any, ...]]:
        self._data += data
        while len(self._data) >= 4:
            size = int.from_bytes(self._data[:4], "little")
            if len(self._data) < 4 + size:
                return
            frame, self._data = self._data[4 : 4 + size], self._data[4 + size :]
            yield marshal.loads(frame)  # noqa: S302 - written by our own child

    def kill(self) -> None:
        """End it at once. Its process is not reaped before ``ended``, so the id is still its own."""
        os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> int:
        """Wait for it; see ``Zygote.ended``."""
        os.close(self._fd)
        return self._zygote.ended()


def pause(seconds: float) -> None:
    """Wait about as long, however short that is: sleeping takes longer than a write to memory."""
    until = time.perf_counter() + seconds
    if seconds > 0.002:
        time.sleep(seconds - 0.001)
    while time.perf_counter() < until:
        pass
