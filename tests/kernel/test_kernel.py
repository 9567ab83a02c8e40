"""The kernel: stores by alias, rules for new instances, closing, several in one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from dvidkit_memory import plugin

import dvidkit
from dvidkit.assignment import Assignment
from dvidkit.datatype import Datatype
from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig, NotAllowed, StoreClosed, UnknownEngine
from dvidkit.hookspecs import hookimpl
from dvidkit.kernel import Kernel
from dvidkit.passcodes import check_passcode, seal_passcode
from dvidkit.plugins import Plugins

MEMORY = StoreConfig("memory")


class Free(Datatype):
    """A datatype without classes."""

    typename = "free"


class Offer:
    """Offers it."""

    @hookimpl
    def dvidkit_datatypes(self) -> list[type[Datatype]]:
        """See the hook."""
        return [Free]


def plugins() -> Plugins:
    """The memory engine and a datatype."""
    return Plugins({"memory": plugin, "free": Offer()}, installed=False)


def test_instances_are_given_stores_by_rule() -> None:
    """DVID's backend rules: instance and repo, tag, datatype, default; the choice is recorded."""
    rules = {"free": "b", "where=c": "c", "metadata": "a", "default": "a"}
    with Kernel(dict.fromkeys("abc", MEMORY), assign=rules, plugins=plugins()) as kernel:
        repo = kernel.repos.create("repo")
        assert repo.create_instance("free", "one").store is kernel.stores["b"]
        two = repo.create_instance("free", "two", tags={"where": "c"})
        assert two.store is kernel.stores["c"]
        assert two.record.store == "c"
        assert kernel.repos.metadata.store is kernel.stores["a"]
    exact = Assignment({f"n:{'a' * 32}": "x"}, {"x": 1, "y": 2})
    assert exact.store_of("t", "n", "a" * 32, {}) == "x"
    assert exact.default == "x"
    with pytest.raises(BadConfig):
        Assignment({"free": "nowhere"}, {"x": 1})


def test_a_kernel_that_cannot_be_opened_leaves_nothing_open() -> None:
    """No store, or an unknown engine: refused, and what was opened is closed again."""
    with pytest.raises(BadConfig):
        Kernel({}, plugins=plugins())
    with pytest.raises(UnknownEngine):
        Kernel({"default": MEMORY, "other": StoreConfig("none")}, plugins=plugins())
    with dvidkit.open(engine="memory", plugins=plugins()) as kernel:
        store = kernel.stores["default"]
        kernel.close()
        with pytest.raises(StoreClosed):
            store.raw_get(b"\x00")


def test_kernels_in_one_process_are_apart() -> None:
    """Two kernels share nothing."""
    with Kernel(MEMORY, plugins=plugins()) as one, Kernel(MEMORY, plugins=plugins()) as two:
        one.repos.create("repo")
        assert (len(one.repos), len(two.repos)) == (1, 0)


def test_a_missing_driver_says_how_to_install_it(tmp_path: Path) -> None:
    """An engine whose driver is not installed is listed, and opening it names the command that installs it."""
    code = (
        "import sys; sys.modules['lmdb'] = None\n"
        "import dvidkit, dvidkit_lmdb.plugin as p\n"
        "plugins = dvidkit.Plugins({'lmdb': p}, installed=False)\n"
        "assert 'lmdb' in plugins.engines and not plugins.failures\n"
        "try: dvidkit.open(sys.argv[1], plugins=plugins)\n"
        "except dvidkit.DvidkitError as error: print(type(error).__name__, error.install)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s")], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "MissingExtra pip install 'dvidkit[lmdb]'"


def test_passcodes() -> None:
    """None is needed where none was set; the right one opens, another is ``NotAllowed``."""
    check_passcode(seal_passcode(""), "anything")
    sealed = seal_passcode("word")
    assert "word" not in sealed
    assert sealed != seal_passcode("word")
    check_passcode(sealed, "word")
    for wrong in ("", "Word"):
        with pytest.raises(NotAllowed):
            check_passcode(sealed, wrong)
