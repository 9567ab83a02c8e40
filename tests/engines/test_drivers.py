"""Engines whose driver is not installed: named with what installs it, and in nobody's way.

In a real environment without drivers: one that has all this one has, but for them.
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
import venv
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from dvidkit_conformance.kit import check

from dvidkit.drivers import missing_driver
from dvidkit.engine import ByteStore, Engine, StoreConfig
from dvidkit.errors import MissingExtra
from dvidkit.hookspecs import hookimpl
from dvidkit.plugins import Plugins

DRIVERS: Final = {"leveldb": "plyvel", "lmdb": "lmdb", "rocksdb": "rocksdict"}
INSTALL: Final = {name: f"pip install 'dvidkit[{name}]'" for name in DRIVERS}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment without drivers."""
    home = tmp_path_factory.mktemp("bare")
    venv.EnvBuilder(symlinks=True, with_pip=False).create(home)
    (target,) = home.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.lower().startswith(tuple(DRIVERS.values())):
            (target / entry.name).symlink_to(entry)
    return home / "bin" / "python"


def ran(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What came of the command, run by this Python."""
    return subprocess.run([python, *arguments], capture_output=True, text=True, timeout=300)


def test_engines_are_listed(bare: Path) -> None:
    """Those without a driver with the line that installs it; the others as ever."""
    done = ran(bare, "-m", "dvidkit.cli", "engines", "--json")
    assert done.returncode == 0, done.stderr
    found = {engine["name"]: engine for engine in json.loads(done.stdout)}
    assert {name: engine["install"] for name, engine in found.items() if not engine["installed"]} == INSTALL
    assert found["memory"]["installed"]
    assert found["filesystem"]["installed"]
    text = ran(bare, "-m", "dvidkit.cli", "engines").stdout
    assert all(f"missing   {line}" in text for line in INSTALL.values())


@pytest.mark.parametrize("name", DRIVERS)
def test_opening_and_repairing(bare: Path, name: str, tmp_path: Path) -> None:
    """Raise ``MissingExtra`` with the line, whatever is or is not there, and make nothing."""
    script = f"""
import dvidkit, sys
from dvidkit.engine import Capability, StoreConfig
from dvidkit.errors import MissingExtra, UnsupportedError
from dvidkit.plugins import Plugins
engine = Plugins().engine({name!r})
for create in (True, False):
    try:
        engine.open(StoreConfig(engine.name, sys.argv[1], create=create))
    except MissingExtra as error:
        print(error.install, error.install in str(error))
try:
    engine.repair(sys.argv[1])
except (MissingExtra, UnsupportedError) as error:
    print(isinstance(error, MissingExtra) == (Capability.REPAIR in engine.capabilities.features))
try:
    dvidkit.open(sys.argv[1], engine.name)
except MissingExtra as error:
    print(error.plugin)
"""
    done = ran(bare, "-c", script, str(tmp_path / "store"))
    assert done.stdout == f"{INSTALL[name]} True\n" * 2 + f"True\n{name}\n", done.stderr
    assert list(tmp_path.iterdir()) == []
    made = ran(bare, "-m", "dvidkit.cli", "init", str(tmp_path / "store"), "--engine", name)
    assert made.returncode != 0
    assert INSTALL[name] in made.stderr
    assert "Traceback" not in made.stderr
    assert list(tmp_path.iterdir()) == []


def test_conform_all(bare: Path) -> None:
    """The engines that can be proven are, and those that cannot are named; that is no failure."""
    chosen = ("--profile", "quick", "--clause", "ENG-GET-1", "--datatype", "none")
    done = ran(bare, "-m", "dvidkit.cli", "conform", "--all", *chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, install in INSTALL.items():
        assert f"{name}: not verified, its driver is not installed: {install}\n" in done.stdout
        assert f"engine {name} " not in done.stdout
    assert "engine memory " in done.stdout
    assert "engine filesystem " in done.stdout


def test_conform_by_name(bare: Path) -> None:
    """One that is asked for by name and cannot be proven is an error, with the line."""
    done = ran(bare, "-m", "dvidkit.cli", "conform", "leveldb", "--profile", "quick", "--clause", "ENG-GET-1")
    assert done.returncode == 1
    assert INSTALL["leveldb"] in done.stderr
    assert "Traceback" not in done.stderr


class Driverless(Engine):
    """An engine that cannot be opened."""

    name = "driverless"

    def open(self, config: StoreConfig) -> ByteStore:
        """See ``Engine.open``."""
        raise MissingExtra("needs a driver", plugin="driverless", install="pip install driver")


class Offering:
    """A plugin with it."""

    @hookimpl
    def dvidkit_engines(self) -> list[Engine]:
        """Offer it."""
        return [Driverless()]


def test_missing_driver() -> None:
    """The engine's own error, or ``None``; asked without making anything."""
    error = missing_driver(Driverless())
    assert error is not None
    assert error.install == "pip install driver"
    assert missing_driver(Plugins().engine("memory")) is None
    assert missing_driver(Plugins().engine("filesystem")) is None


def test_the_kit_as_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """``check`` of an engine by name raises the engine's error before anything is run."""
    plugins: Any = Plugins({"offering": Offering()}, installed=False)
    monkeypatch.setattr("dvidkit_conformance.kit.Plugins", lambda: plugins)
    with pytest.raises(MissingExtra, match="needs a driver"):
        check("driverless", datatypes=[], profile="quick", isolate=False)


def test_memory_is_there(tmp_path: Path) -> None:
    """The two engines that stand on nothing open wherever dvidkit does."""
    for name in ("memory", "filesystem"):
        with closing(Plugins().engine(name).open(StoreConfig(name, str(tmp_path / name)))) as store:
            assert store.get(b"k") is None
