"""A process that has imported everything and forks a child for each task: a child costs milliseconds, not a second.

It opens no store and imports no driver, and it has one thread, so that its children begin clean. For each task it forks
a keeper, which reads the task, forks the child, says the child's pid and at its end how it ended. Through the control
socket come, with every byte, two descriptors: of a socket to the keeper, and of the pipe for the child's messages.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final

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


class Nursery:
    """The parent's side. Use as a context manager; safe for use by several threads."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._lock = Lock()
        command = [sys.executable, "-X", "faulthandler", "-m", "dvidkit_conformance.nursery", str(theirs.fileno())]
        self._process = subprocess.Popen(  # noqa: S603
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env={**os.environ, **_ONE_THREAD}
        )
        theirs.close()

    def start(self, task: Any, pipe: int) -> Kept:
        """A child that runs the task and sends its messages through the pipe.

        Raises:
            OSError: the nursery is gone.
        """
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            socket.send_fds(self._control, [b"t"], [theirs.fileno(), pipe])
        text = pickle.dumps(task)
        ours.sendall(_NUMBER.pack(len(text)) + text)
        return Kept(ours)

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *error: object) -> None:
        self._control.close()
        self._process.wait()


# --- the nursery's side ----------------------------------------------------------------------------------------------
def serve(control: socket.socket) -> None:
    """Fork keepers until the parent is gone."""
    _preload()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        sign, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not sign:
            return
        if os.fork() == 0:
            control.close()
            _keep(socket.socket(fileno=descriptors[0]), descriptors[1])
        for descriptor in descriptors:
            os.close(descriptor)


def _preload() -> None:
    """What every child needs. A plugin that does not load is told by the kit itself."""
    import hypothesis.stateful  # noqa: F401

    from dvidkit.plugins import Plugins
    from dvidkit_conformance import datatypelane, isolation  # noqa: F401
    from dvidkit_conformance.case import load_case

    for datatype in Plugins().datatypes.values():
        if datatype.conformance:
            with suppress(Exception):
                load_case(datatype.conformance)


def _keep(parent: socket.socket, pipe: int) -> None:
    """Read the task, fork the child, tell of its beginning and its end."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        size = _NUMBER.unpack(parent.recv(_NUMBER.size, socket.MSG_WAITALL))[0]
        task = pickle.loads(parent.recv(size, socket.MSG_WAITALL))  # noqa: S301 - written by the parent just now
        pid = os.fork()
        if pid == 0:
            parent.close()
            _work(task, pipe)
            code = 0
        else:
            os.close(pipe)
            parent.sendall(_NUMBER.pack(pid))
            parent.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
            code = 0
    finally:
        os._exit(code)


def _work(task: Any, pipe: int) -> None:
    from dvidkit_conformance.isolation import child

    errors = os.open(Path(task.folder) / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    child(task, pipe)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
