"""A process that has imported everything and forks a child for each task: a child costs milliseconds, not a second.

It opens no store and imports no driver, and it has one thread, so that its children begin clean. For each task it forks
a keeper, which reads the task, forks the child, says the child's pid and at its end how it ended. Through the control
socket come, with every byte, two descriptors: of a socket to the keeper, and of the pipe for the child's messages.
Children ask for children through a socket that all of them inherit, so these begin as clean as they did.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Final

from dvidkit.plugins import Plugins

_NUMBER: Final = struct.Struct("<q")
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Kept:
    """A child of the nursery."""

    def __init__(self, keeper: socket.socket) -> None:
        self._keeper = keeper
        self.pid = self._number()

    def _number(self) -> int:
        data = self._keeper.recv(_NUMBER.size, socket.MSG_WAITALL)
        if len(data) < _NUMBER.size:
            raise ChildProcessError("the nursery is gone")
        return int(_NUMBER.unpack(data)[0])

    def wait(self) -> int:
        """Its return code; negative: the signal it died of."""
        with self._keeper:
            return self._number()

    def kill(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Door:
    """Where children are asked for; safe for use by several threads.

    Args:
        control: a socket that the nursery listens to.
        plugins: in a child, the installed ones, which the nursery has loaded.
    """

    def __init__(self, control: socket.socket, plugins: Plugins | None = None) -> None:
        self.plugins = plugins
        self._control = control
        self._lock = Lock()

    def start(self, work: Work, pipe: int) -> Kept:
        """A child that calls ``work(pipe, door)``, where the door is its own way to the nursery.

        Args:
            work: a function that can be pickled.
            pipe: a descriptor that the child gets a copy of.

        Raises:
            OSError: the nursery is gone.
        """
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            socket.send_fds(self._control, [b"t"], [theirs.fileno(), pipe])
        text = pickle.dumps(work)
        ours.sendall(_NUMBER.pack(len(text)) + text)
        return Kept(ours)


Work = Callable[[int, Door], None]
"""What a child does."""


class Nursery(Door):
    """A new nursery, with a process group of its own: an interrupt from a terminal reaches whoever asked for it alone.

    Use as a context manager.

    Args:
        bytecode: a folder for what children compile, where the interpreter is told to write none beside the sources.

    Attributes:
        ended: by ``end``; there are no more children.
    """

    def __init__(self, bytecode: str = "") -> None:
        ours, theirs = socket.socketpair()
        super().__init__(ours)
        command = [sys.executable, "-X", "faulthandler", "-m", "dvidkit_conformance.nursery", str(theirs.fileno())]
        command += [bytecode] if bytecode else []
        self.ended = False
        self._process = subprocess.Popen(  # noqa: S603
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **_ONE_THREAD},
            start_new_session=True,
        )
        theirs.close()

    def end(self) -> None:
        """End it and everything that comes from it, at once."""
        self.ended = True
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *error: object) -> None:
        self._control.close()
        self._process.wait()


# --- the nursery's side ----------------------------------------------------------------------------------------------
def serve(control: socket.socket, bytecode: str = "") -> None:
    """Fork keepers until the parent is gone."""
    plugins = _preload()
    if bytecode and sys.dont_write_bytecode:
        sys.dont_write_bytecode, sys.pycache_prefix = False, bytecode
    gc.collect()
    gc.freeze()  # What is here stays, so that no child looks through it again.
    inner, theirs = socket.socketpair()
    door = Door(theirs, plugins)
    while True:
        for asked in select.select([control, inner], [], [])[0]:
            sign, descriptors, _, _ = socket.recv_fds(asked, 1, 2)
            if not sign:
                _reap(patience=1.0)
                _leave()
                return
            if os.fork() == 0:
                control.close()
                inner.close()
                _keep(socket.socket(fileno=descriptors[0]), descriptors[1], door)
            for descriptor in descriptors:
                os.close(descriptor)
        _reap()


def _reap(patience: float = 0.0) -> None:
    """Take note of keepers that ended, so that their processor time counts as the nursery's."""
    until = time.monotonic() + patience
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] or time.monotonic() < until:
            time.sleep(0.002 if patience else 0.0)


def _leave() -> None:
    """End whoever is left in the group: of a run that was killed, children are at work that nobody waits for."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)


def _preload() -> Plugins:
    """What every child needs. A plugin that does not load is told by the kit itself."""
    import hypothesis.stateful  # noqa: F401

    from dvidkit_conformance import datatypelane, isolation, spec  # noqa: F401
    from dvidkit_conformance.case import load_case

    spec.clauses()
    plugins = Plugins()
    for datatype in plugins.datatypes.values():
        if datatype.conformance:
            with suppress(Exception):
                load_case(datatype.conformance)
    return plugins


def _keep(parent: socket.socket, pipe: int, door: Door) -> None:
    """Read the work, fork the child, tell of its beginning and its end."""
    code = 1
    try:
        size = _NUMBER.unpack(parent.recv(_NUMBER.size, socket.MSG_WAITALL))[0]
        work: Work = pickle.loads(parent.recv(size, socket.MSG_WAITALL))  # noqa: S301 - written by the parent just now
        pid = os.fork()
        if pid == 0:
            parent.close()
            work(pipe, door)
            code = 0
        else:
            os.close(pipe)
            parent.sendall(_NUMBER.pack(pid))
            parent.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
            code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), *sys.argv[2:])
