"""Every installed engine, each in a store of its own below ``tmp_path``.

``engine`` is every installed engine in turn; a test marked ``capability("seek")`` gets those that declare it, one
marked ``persistent`` those whose stores outlive ``close``, one marked ``only("lmdb")`` those named. What else a test
needs of stores it has from ``stores``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from dvidkit.engine import Batch, Engine, Loss, StoreConfig
from dvidkit.errors import MissingExtra
from dvidkit.plugins import Plugins

_PRELUDE: Final = """
import os, resource, signal, sys, threading, time
from dvidkit.engine import StoreConfig
from dvidkit.errors import *
from dvidkit.plugins import Plugins
engine = Plugins().engine(sys.argv[1])
def opened(**settings):
    return engine.open(StoreConfig(engine.name, sys.argv[2], **settings))
"""


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers."""
    config.addinivalue_line("markers", "capability(name): only engines that declare it")
    config.addinivalue_line("markers", "persistent: only engines whose stores outlive close")
    config.addinivalue_line("markers", "only(name, ...): only these engines")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give ``engine`` its values."""
    if "engine" not in metafunc.fixturenames:
        return
    engines: list[Any] = list(Plugins().engines.values())
    for marker in metafunc.definition.iter_markers("capability"):
        engines = [engine for engine in engines if set(marker.args) <= engine.capabilities.features]
    for marker in metafunc.definition.iter_markers("only"):
        engines = [engine for engine in engines if engine.name in marker.args]
    if metafunc.definition.get_closest_marker("persistent"):
        engines = [engine for engine in engines if engine.capabilities.durable is not Loss.NONE]
    if not engines:
        engines = [pytest.param(None, marks=pytest.mark.skip("no such engine is installed"))]
    metafunc.parametrize("engine", engines, ids=lambda engine: engine.name if engine else "none")


class Stores:
    """Opens stores of one engine and closes them at the end of the test."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.path = str(folder / "store")
        self._opened: list[Any] = []

    def config(self, name: str = "store", **settings: Any) -> StoreConfig:
        """A configuration of the store of this name."""
        return StoreConfig(self.engine.name, str(self.folder / name), **settings)

    def open(self, name: str = "store", **settings: Any) -> Any:
        """The store of this name, opened."""
        store = self.engine.open(self.config(name, **settings))
        self._opened.append(store)
        return store

    def of(self, batch: Batch, name: str = "store", **settings: Any) -> Any:
        """A store with this content."""
        store = self.open(name, **settings)
        store.write(batch, durable=False)
        return store

    def reopened(self, store: Any, name: str = "store", **settings: Any) -> Any:
        """Close the store and open it again."""
        store.close()
        return self.open(name, **{"create": False, **settings})

    def in_child(self, script: str, name: str = "store") -> str:
        """Run the script in another process, with ``opened()`` at hand; what it printed, and how it died if it did."""
        program = _PRELUDE + textwrap.dedent(script)
        command = [sys.executable, "-X", "faulthandler", "-c", program, self.engine.name, str(self.folder / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        return done.stdout + (f"exit {done.returncode}: {done.stderr[-2000:]}" if done.returncode else "")

    def close(self) -> None:
        """Close every store."""
        for store in self._opened:
            store.close()


@cache
def missing(name: str) -> str:
    """What an engine lacks to be opened, its driver; empty if nothing."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            Plugins().engine(name).open(StoreConfig(name, f"{folder}/store")).close()
        except MissingExtra as error:
            return str(error)
    return ""


@pytest.fixture
def stores(engine: Engine, tmp_path: Path) -> Iterator[Stores]:
    """Stores of the engine; skips the test if its driver is not installed."""
    if missing(engine.name):
        pytest.skip(missing(engine.name))
    stores = Stores(engine, tmp_path)
    yield stores
    stores.close()


@pytest.fixture
def store(stores: Stores) -> Any:
    """A new store of the engine."""
    return stores.open()
