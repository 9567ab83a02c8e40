"""Modules imported at their first use."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from dvidkit.deferred import deferred, first_absent, logger

_OPENING = """
import sys
before = set(sys.modules)
import dvidkit
with dvidkit.open(sys.argv[1]) as kernel:
    print([repo.alias for repo in kernel.repos], sorted(kernel.repos.resolve("5" * 32).repo.instances))
large = {"numpy", "PIL", "cramjam", "concurrent.futures", "ctypes", "logging", "tomllib"}
print(sorted(large & (set(sys.modules) - before)))
"""


def test_a_module_is_imported_when_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Naming a module imports nothing; its first attribute does, and the same object comes back ever after."""
    (tmp_path / "late_one.py").write_text("import itertools\nnumbers = itertools.count()\nfirst = next(numbers)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = deferred("late_one")
    assert "late_one" not in sys.modules
    assert module.first == 0
    assert module.numbers is sys.modules["late_one"].numbers
    with pytest.raises(AttributeError, match="last"):
        _ = module.last


def test_threads_import_a_module_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that use a module for the first time at once all have the same, and it is run once."""
    (tmp_path / "late_two.py").write_text("import time\ntime.sleep(0.05)\nvalue = object()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module, found = deferred("late_two"), list[object]()
    threads = [Thread(target=lambda: found.append(module.value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [sys.modules["late_two"].value] * 8


def test_a_logger_is_the_one_of_its_name(caplog: pytest.LogCaptureFixture) -> None:
    """What it is told goes where ``logging`` has lines of that name go."""
    late = logger("dvidkit.test")
    late.warning("%d rows", 3)
    assert caplog.record_tuples == [("dvidkit.test", logging.WARNING, "3 rows")]
    assert late.handlers is logging.getLogger("dvidkit.test").handlers


def test_a_module_that_is_not_there() -> None:
    """It is named without being used; its use says so as an import does."""
    assert first_absent("json", "not_there", "neither") == "not_there"
    assert first_absent("json") is None
    with pytest.raises(ModuleNotFoundError, match="not_there"):
        _ = deferred("not_there").anything


def test_opening_a_store_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """A store with instances of every datatype opens without arrays, pictures, logs, threads of its own and ctypes."""
    import dvidkit

    with dvidkit.open(str(tmp_path / "store")) as kernel:
        repo = kernel.repos.create("a", root="5" * 32)
        for typename in kernel.plugins.datatypes:
            repo.create_instance(typename, f"an-{typename}")
        names = sorted(repo.instances)
    command = [sys.executable, "-c", _OPENING, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"['a'] {names}", "[]"]
