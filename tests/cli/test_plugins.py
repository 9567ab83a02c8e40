"""``plugins``, ``engines``, ``datatypes`` and ``conform``."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from dvidkit import plugins as kernel_plugins
from dvidkit.cli import plugins as commands
from dvidkit.cli.root import COMMANDS
from dvidkit.engine import ByteStore, Engine, StoreConfig
from dvidkit.errors import MissingExtra
from dvidkit.plugins import Plugins


def test_plugins_are_listed(dvidkit: Any) -> None:
    """Each with what it offers; in JSON too."""
    assert "lmdb  (dvidkit 0.1.0)\n  engines: lmdb" in dvidkit.text("plugins")
    listed = {each["name"]: each for each in json.loads(dvidkit.text("plugins", "--json"))}
    assert listed["lmdb"]["engines"] == ["lmdb"]
    assert listed["lmdb"]["failures"] == []


def test_broken_plugins_are_named_with_the_reason(dvidkit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be imported does not hide the others."""

    def found(*, group: str) -> list[EntryPoint]:
        return [EntryPoint("broken", "no_such_module_at_all", group), EntryPoint("lmdb", "dvidkit_lmdb.plugin", group)]

    monkeypatch.setattr(kernel_plugins, "entry_points", found)
    text = dvidkit.text("plugins")
    assert "broken  (local" in text
    assert "  failed: plugin 'broken'" in text
    assert "No module named 'no_such_module_at_all'" in text
    assert "engines: lmdb" in text
    (failure,) = json.loads(dvidkit.text("plugins", "--json"))[0]["failures"]
    assert failure["code"] == "plugin-load"
    monkeypatch.setattr(kernel_plugins, "entry_points", lambda *, group: [])
    assert dvidkit.text("plugins") == "no plugins are installed"
    assert dvidkit.text("datatypes") == "no datatypes are installed"


def test_engines_are_listed(dvidkit: Any) -> None:
    """With capabilities, limits and options."""
    text = dvidkit.text("engines")
    assert "lmdb  memory-mapped B+tree" in text
    assert "max_key 511" in text
    assert "option    map_size: " in text
    listed = {each["name"]: each for each in json.loads(dvidkit.text("engines", "--json"))}
    assert set(listed) == set(Plugins().engines)
    assert listed["lmdb"]["installed"] is True
    assert listed["lmdb"]["limits"]["max_key"] == 511
    assert "backup" in listed["lmdb"]["capabilities"]


class _NoDriver(Engine):
    name = "driverless"

    def open(self, config: StoreConfig) -> ByteStore:
        raise MissingExtra("needs a driver", plugin="driverless", install="pip install driver")


def test_a_missing_driver_is_named_with_its_install_line(dvidkit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the list of engines."""
    extra = type("Extra", (), {"dvidkit_engines": staticmethod(lambda: [_NoDriver()])})()
    monkeypatch.setattr(commands, "Plugins", lambda: Plugins({"extra": extra}, installed=False))
    assert "missing   pip install driver" in dvidkit.text("engines")


def test_datatypes_are_listed(dvidkit: Any) -> None:
    """With their settings and defaults, under DVID's names."""
    listed = {each["name"]: each for each in json.loads(dvidkit.text("datatypes", "--json"))}
    assert set(listed) == set(Plugins().datatypes)
    if "keyvalue" in listed:
        assert listed["keyvalue"]["settings"]["Compression"] == "lz4"
        assert "keyvalue  " in dvidkit.text("datatypes")
        assert "settings  Versioned=true" in dvidkit.text("datatypes")
    if "uint8blk" in listed:
        assert "BlockSize=32,32,32" in dvidkit.text("datatypes")


def test_conform_is_the_kits(dvidkit: Any) -> None:
    """The kit's command is mounted."""
    assert "ENGINE" in dvidkit.text("conform", "--help")
    assert "ENG-SCAN-1" in dvidkit.text("conform", "spec", "ENG-SCAN-1")


def test_conform_without_the_kit(dvidkit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is given, it answers how to install the kit; other commands do not mind."""
    monkeypatch.setitem(sys.modules, "dvidkit_conformance.cli", None)
    line = dvidkit.fails("conform", "lmdb", "--profile", "quick")
    assert "pip install 'dvidkit[conformance]'" in line
    assert "conform" in dvidkit.text("--help")


def test_every_command_loads_and_explains_itself(dvidkit: Any) -> None:
    """``--help`` of each, and no two are described alike."""
    firsts = set()
    for name in COMMANDS:
        text = dvidkit.text(name, "--help")
        assert text.startswith("Usage: ")
        firsts.add(text.splitlines()[2])
    assert len(firsts) == len(COMMANDS)
    assert "0.1.0" in dvidkit.text("--version")


def test_starting_imports_nothing_heavy() -> None:
    """So that a command line answers at once."""
    code = (
        "import sys, dvidkit.cli\n"
        "heavy = {'numpy', 'PIL', 'lmdb', 'hypothesis', 'pytest', 'dvidkit_conformance.kit'} & set(sys.modules)\n"
        "sys.exit(','.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_as_a_process(dvidkit: Any) -> None:
    """Errors go to stderr and nothing to stdout; the exit codes are 0, 1 and 2."""
    assert dvidkit.process("engines").returncode == 0
    failed = dvidkit.process("info", "/no/such/store")
    assert (failed.returncode, failed.stdout) == (1, b"")
    assert failed.stderr == b"dvidkit: there is no store at /no/such/store\n"
    assert dvidkit.process("info").returncode == 2
