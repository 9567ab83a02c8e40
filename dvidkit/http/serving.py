"""Running a server: stores, application, sockets, signals, and an end that loses nothing.

The end is this: no new connections; requests under way are answered, for as long as ``shutdown_seconds``; then
connections are broken off, and what works in threads ends; plugins and subscribers get what is written; stores are
closed. A second signal ends the process at once, which the stores survive like any crash.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
import uvicorn

from dvidkit.engine import Capability, StoreConfig
from dvidkit.errors import BadConfig
from dvidkit.http import logs
from dvidkit.http.activity import Activity
from dvidkit.http.app import App, create_app
from dvidkit.http.door import Door, GuardedConfig
from dvidkit.http.serverconfig import ServerConfig, address_of
from dvidkit.http.static import Static
from dvidkit.kernel import Kernel
from dvidkit.plugins import Plugins

_LOG: Final = logging.getLogger("dvidkit.http.serving")
_BACKLOG: Final = 2048
_FILES: Final = 1 << 20
_FILES_FOR_STORES: Final = 512
_WEBHOOK_SECONDS: Final = 10.0
_BREAK_OFF_SECONDS: Final = 1.0
_TICK: Final = 0.02


def serve(config: ServerConfig, on_ready: Callable[[str], object] | None = None) -> None:
    """Run a server until a signal ends it. In the main thread.

    Args:
        config: what to serve and how.
        on_ready: called with the server's URL when it takes requests.

    Raises:
        BadConfig, StoreError: it could not be started.
        OSError: an address is taken, or a file cannot be written.
    """
    with ExitStack() as stack:
        stack.callback(logs.set_up(config.log))
        signals = stack.enter_context(ExitStack())
        files = _raise_file_limit()
        for note in config.notes:
            _LOG.warning("%s", note)
        sockets = _listeners(config.address)
        for each in sockets:
            stack.callback(each.close)
        kernel = opened_kernel(config)
        stack.callback(lambda: kernel.close(config.shutdown_seconds))
        application = create_app(kernel, config.service)
        most = max(1, min(config.connections, files - _FILES_FOR_STORES))
        server = _Server(_uvicorn(application, config, stack, most), config.shutdown_seconds)
        server.listen_to_signals(signals)
        _write_pid_file(config.pid_file, stack)
        _call_webhooks(config)
        url = _url(config.address, sockets[0])
        server.on_started = lambda: _ready(url, on_ready)
        server.run(sockets)
        _LOG.info("closing")


def opened_kernel(config: ServerConfig) -> Kernel:
    """The kernel of a server's stores, with the plugins that its configuration asks for.

    In read-only mode stores are opened so, where their engines can, and nothing is made.
    """
    plugins = Plugins()
    for failure in plugins.failures:
        _LOG.warning("%s", failure)
    plugins.configure(config.plugins)
    stores = dict(config.stores)
    if config.service.mode == "readonly":
        stores = {alias: _read_only(plugins, store) for alias, store in stores.items()}
    kernel = Kernel(stores, assign=config.assign, plugins=plugins)
    kernel.least_instance_id = max(kernel.least_instance_id, config.min_instance_id)
    kernel.least_mutation_id = max(kernel.least_mutation_id, config.min_mutation_id)
    return kernel


def _read_only(plugins: Plugins, store: StoreConfig) -> StoreConfig:
    able = Capability.READ_ONLY in plugins.engine(store.engine).capabilities.features
    return replace(store, read_only=able, create=not able and store.create)


def _uvicorn(application: App, config: ServerConfig, stack: ExitStack, most: int) -> GuardedConfig:
    """What uvicorn is to run, wrapped in what the configuration asks for."""
    app: Any = application
    if config.web.directory:
        app = Static(
            app,
            set(application.routes.beginnings),
            config.web.directory,
            redirect=config.web.redirect,
            default=config.web.default,
        )
    listeners = list(_listeners_of_activity(application.kernel, config, stack))
    if listeners:
        app = Activity(app, listeners)
    limits = config.service.limits
    return GuardedConfig(
        app,
        Door(most, limits.headers_seconds, limits.idle_seconds),
        loop="uvloop" if _has_uvloop() else "asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=config.keep_alive,
        backlog=_BACKLOG,
    )


def _listeners_of_activity(
    kernel: Kernel, config: ServerConfig, stack: ExitStack
) -> Iterator[Callable[[Mapping[str, Any]], object]]:
    if config.log.access:
        log = logs.AccessLog(config.log)
        stack.callback(log.close)
        yield log
    hook = kernel.plugins.manager.hook.dvidkit_activity
    if hook.get_hookimpls():
        yield lambda activity: hook(kernel=kernel, activity=activity)


def _has_uvloop() -> bool:
    from importlib.util import find_spec

    return find_spec("uvloop") is not None


class _Server(uvicorn.Server):
    """uvicorn's server with an end of our own."""

    def __init__(self, config: uvicorn.Config, patience: float) -> None:
        super().__init__(config)
        self.on_started: Callable[[], object] = lambda: None
        self._patience = patience

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests under way end, but not for ever."""
        _LOG.info("ending: %d requests are under way", len(self.server_state.tasks))
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if not await self._quiet(self._patience):
            _LOG.warning("%d requests are broken off", len(self.server_state.tasks))
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            if not await self._quiet(_BREAK_OFF_SECONDS):
                for task in list(self.server_state.tasks):
                    task.cancel()
        await self.lifespan.shutdown()

    async def _quiet(self, seconds: float) -> bool:
        """Wait until no request is under way; whether none is."""
        deadline = time.monotonic() + seconds
        while self.server_state.tasks and time.monotonic() < deadline:
            await asyncio.sleep(_TICK)
        return not self.server_state.tasks

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: uvicorn would raise signals again before the stores are closed; see ``listen_to_signals``."""
        yield

    def listen_to_signals(self, stack: ExitStack) -> None:
        """Take signals from now until the stack is left."""
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, self.handle_exit))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End, at the second signal at once."""
        if self.should_exit:
            _LOG.warning("forced to end")
            os._exit(128 + sig)
        self.should_exit = True


# --- sockets ---------------------------------------------------------------------------------------------------------


def _listeners(address: str) -> list[socket.socket]:
    """Bound sockets, one for each address that the host has; all of one port."""
    host, port = address_of(address)
    if not host:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        return [socket.create_server(("", port), family=family, dualstack_ipv6=both, backlog=_BACKLOG)]
    found: list[socket.socket] = []
    failed: OSError | None = None
    try:
        wanted = dict.fromkeys(
            (info[0], info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
    except socket.gaierror as error:
        raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from error
    for family, name in wanted:
        try:
            found.append(socket.create_server((str(name), port), family=family, backlog=_BACKLOG))
        except OSError as error:
            failed = error
            if error.errno in _NO_SUCH_ADDRESS:
                continue
            for each in found:
                each.close()
            found = []
            break
        port = found[-1].getsockname()[1]
    if not found:
        raise OSError(failed.errno if failed else 0, f"cannot listen on {address}: {failed and failed.strerror}")
    return found


_NO_SUCH_ADDRESS: Final = (97, 99)
"""EAFNOSUPPORT, EADDRNOTAVAIL: a name stands for an address that this machine does not have."""


def _url(address: str, listener: socket.socket) -> str:
    host = address_of(address)[0] or "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _ready(url: str, on_ready: Callable[[str], object] | None) -> None:
    _LOG.info("serving at %s", url)
    if on_ready is not None:
        on_ready(url)


# --- the process -----------------------------------------------------------------------------------------------------


def _raise_file_limit() -> int:
    """Let the process have as many open files as it may; how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _FILES if soft == resource.RLIM_INFINITY else soft


def _write_pid_file(path: str, stack: ExitStack) -> None:
    if not path:
        return
    file, text = Path(path), f"{os.getpid()}\n"
    file.write_text(text, "ascii")

    def remove() -> None:
        with suppress(OSError):
            if file.read_text("ascii") == text:
                file.unlink()

    stack.callback(remove)


def _call_webhooks(config: ServerConfig) -> None:
    """Tell those who want to know that the server starts.

    Raises:
        BadConfig: one does not answer 200.

    Source: DVID ``server.Initialize``.
    """
    service = config.service
    told = {"Host": service.host, "Note": service.note, "HTTP Address": config.address, "RPC Address": ""}
    for url, form in config.webhooks:
        body, kind = msgspec.json.encode(told), "application/json"
        if form:
            body, kind = urlencode({"config": body.decode()}).encode(), "application/x-www-form-urlencoded"
        if urlsplit(url).scheme not in ("http", "https"):
            raise BadConfig(f"a webhook is an http or https URL, not {url!r}", setting="startWebhook")
        request = urllib.request.Request(url, body, {"Content-Type": kind}, method="POST")  # noqa: S310 - checked above
        try:
            with urllib.request.urlopen(request, timeout=_WEBHOOK_SECONDS) as answer:  # noqa: S310
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
        except OSError as error:
            raise BadConfig(f"the webhook {url} failed: {error}", setting="startWebhook") from error
        if status != 200:
            raise BadConfig(f"the webhook {url} answered {status}", setting="startWebhook")
