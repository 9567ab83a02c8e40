"""Clauses of opening, closing, surviving, limits, errors and threads, at the byte level."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

from dvidkit.engine import Engine
from dvidkit.plugins import Plugins, engine_fault
from dvidkit_conformance.bytesession import ByteSession
from dvidkit_conformance.checking import on_bytes, on_engine
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.results import Err, OneOf, matches
from dvidkit_conformance.session import Violation, attempt

ABC = ((b"a", b"1"), (b"b", b"2"), (b"c", b"3"))
_PEP440 = re.compile(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9.]+)?")


def _expect(expected: Any, got: Any, note: str) -> None:
    if not matches(expected, got):
        raise Violation(expected, got, note=note)


# --- declarations ----------------------------------------------------------------------------------------------------
@on_engine("REG-1")
def declares_itself(h: Harness) -> None:
    """Name, version, limits; and a second owner of the name is refused."""
    _expect(None, engine_fault(h.engine), "the engine's declaration")
    _expect(True, bool(_PEP440.fullmatch(h.engine.version)), f"version {h.engine.version!r} is a PEP 440 version")

    class Plugin:
        @staticmethod
        def dvidkit_engines() -> list[Engine]:
            return [h.engine]

    plugins = Plugins({"one": Plugin(), "two": Plugin()}, installed=False)
    _expect(["PluginNameTaken"], [type(each).__name__ for each in plugins.failures], "one name offered twice")


@on_engine("REG-2")
def declarations_are_data(h: Harness) -> None:
    """The same before and after a store was open; an unknown capability is refused."""
    before = repr((h.engine.capabilities, h.engine.limits))
    path = h.fresh()
    h.open(path).close()
    h.remove(path)
    _expect(before, repr((h.engine.capabilities, h.engine.limits)), "declarations after a store was open")
    limits = h.engine.limits
    numbers = (limits.max_key, limits.max_value, limits.max_batch_ops, limits.max_batch_bytes)
    _expect(True, all(type(n) is int and n > 0 for n in numbers), f"limits {numbers} are whole numbers over 0")


@on_engine("REG-4")
def registering_is_idle(h: Harness) -> None:
    """Reading the declarations makes nothing in the working directory."""
    before = sorted(h.folder.iterdir())
    _ = (h.engine.capabilities, h.engine.limits, h.engine.summary, h.engine.options)
    _expect(before, sorted(h.folder.iterdir()), "files in the working directory")


# --- opening ---------------------------------------------------------------------------------------------------------
@on_bytes("ENG-OPEN-1")
def never_truncates(s: ByteSession) -> None:
    """Opened again with ``create`` and without."""
    s.write(*ABC)
    s.reopen()
    s.see(b"a", b"c")
    s.store.close()
    s.store = s.harness.open(s.path, create=False)
    s.see(b"a", b"c")


@on_engine("ENG-OPEN-2")
def missing_store(h: Harness) -> None:
    """No directory, and an empty one."""
    path = h.fresh()
    _expect(Err("StoreMissing"), _open(h, path, create=False), f"open(create=False) of {path.name}, which is not there")
    _expect(False, path.exists(), "whether anything was made there")
    path.mkdir()
    _expect(Err("StoreMissing"), _open(h, path, create=False), "open(create=False) of an empty directory")
    h.remove(path)


@on_engine("ENG-OPEN-3")
def second_opener(h: Harness) -> None:
    """By the same path, by a symbolic link and by a relative path; the first is not disturbed."""
    if "multi_process" in h.features:
        return
    path, link = h.fresh(), h.fresh()
    names = {path: "by the same path", Path(os.path.relpath(path)): "by a relative path"}
    first = h.open(path)
    first.write([(b"a", b"1")], durable=False)
    if path.exists():
        link.symlink_to(path, target_is_directory=path.is_dir())
        names[link] = "by a link"
    try:
        for name, how in names.items():
            _expect(Err("StoreLocked"), _open(h, name), f"a second open, {how}")
            first.write([(b"b", b"2")], durable=False)
            _expect([b"1", b"2"], [first.get(b"a"), first.get(b"b")], "what the first opener reads after that")
    finally:
        first.close()
    again = h.open(path, create=False)
    _expect([b"1", b"2"], [again.get(b"a"), again.get(b"b")], "after close it opens")
    again.close()
    link.unlink(missing_ok=True)
    h.remove(path)


@on_engine("ENG-OPEN-4")
def unknown_option(h: Harness) -> None:
    """A name no engine has."""
    path = h.fresh()
    got = _open(h, path, options={"no_such_option": 1})
    h.remove(path)
    _expect(Err("BadConfig"), got, "open with the option 'no_such_option'")


@on_engine("ENG-OPEN-5")
def truthful_report(h: Harness) -> None:
    """Made, then found."""
    path = h.fresh()
    store = h.open(path)
    made = getattr(store, "report", None)
    store.close()
    _expect(True, getattr(made, "created", None), "report.created of a new store")
    if h.persistent:
        store = h.open(path)
        found = getattr(store, "report", None)
        store.close()
        _expect(False, getattr(found, "created", None), "report.created of a store that was there")
    h.remove(path)


@on_engine("ENG-OPEN-6")
def separate_stores(h: Harness) -> None:
    """Two at once; one is closed."""
    paths = (h.fresh(), h.fresh())
    one, two = (h.open(path) for path in paths)
    one.write([(b"a", b"one"), (b"x", b"1")], durable=False)
    two.write([(b"a", b"two")], durable=False)
    got = [one.get(b"a"), two.get(b"a"), two.get(b"x")]
    _expect([b"one", b"two", None], got, "a of the first, a of the second, x of the second")
    one.close()
    two.write([(b"b", b"3")], durable=False)
    _expect([b"two", b"3"], [two.get(b"a"), two.get(b"b")], "the second after the first was closed")
    two.close()
    for path in paths:
        h.remove(path)


@on_engine("ENG-OPEN-7")
def foreign_store(h: Harness) -> None:
    """A marker that names another engine."""
    path = h.fresh()
    (path / "data").mkdir(parents=True)
    marker = f'format = 1\nengine = "not-{h.engine.name}"\nlayout = 1\nuuid = "0"\ncreated = "x"\nready = true\n'
    (path / "dvidkit.toml").write_text(marker)
    got = _open(h, path)
    kept = (path / "dvidkit.toml").read_text() == marker
    h.remove(path)
    _expect(Err("StoreMismatch"), got, "open of a directory marked as another engine's store")
    _expect(True, kept, "the marker is as it was")


def _open(h: Harness, path: Path, **fields: Any) -> Any:
    def opened() -> str:
        h.open(path, **fields).close()
        return "a store"

    return attempt(opened)


# --- surviving -------------------------------------------------------------------------------------------------------
@on_bytes("ENG-DUR-1", reach=("reopen",))
def puts_survive(s: ByteSession) -> None:
    """Few rows, empty values, large values, many rows."""
    s.write(*ABC, (b"e", b""))
    s.reopen()
    s.see(b"a", b"e")
    s.write((b"l", b"x" * 200_000), *((b"n%04d" % n, b"v%d" % n) for n in range(1500)))
    s.reopen()
    s.scan()


@on_bytes("ENG-DUR-2", reach=("reopen",))
def deletes_survive(s: ByteSession) -> None:
    """Deleted in another batch, in the same one, and overwritten."""
    s.write(*ABC)
    s.write((b"a", None), (b"b", b"new"))
    s.reopen()
    s.see(b"a", b"b")
    s.write((b"b", None))
    s.reopen()
    s.see(b"b")
    s.write((b"a", b"again"), (b"x", b"1"), (b"x", None))
    s.reopen()
    s.see(b"a", b"x")


@on_bytes("ENG-DUR-3", reach=("reopen",))
def cycles(s: ByteSession) -> None:
    """Eight times, durable and buffered."""
    for n in range(8):
        s.write((b"k", b"%d" % n), (b"n%d" % n, b"v"), (b"n%d" % (n - 2), None), durable=n % 2 == 0)
        s.reopen()
        s.see(b"k", b"n%d" % n)
    s.reopen()
    s.scan()


# --- closing, limits, errors, threads --------------------------------------------------------------------------------
@on_bytes("ENG-LIM-1")
def long_keys(s: ByteSession) -> None:
    """Of the greatest length, one less, and lengths around bytes; each in two that differ at the end."""
    longest = min(s.harness.engine.limits.max_key, 1 << 16)
    lengths = {1, 2, 63, 64, 127, 128, 254, 255, 256, 257, 510, 511, 512, 1023, 1024, longest - 1, longest}
    for length in sorted(n for n in lengths if 0 < n <= longest):
        base = b"k" * (length - 1)
        s.write((base + b"x", b"x"), (base + b"y", b"y"))
        s.get(base + b"x")
        s.get(base + b"y")
        s.scan(base + b"x", base + b"z")
    s.scan(keys_only=True)


@on_bytes("ENG-LIM-2")
def long_values(s: ByteSession) -> None:
    """Each alone, then all in a scan."""
    limit = s.harness.engine.limits.max_value
    sizes = [0, 1, 127, 128, 255, 256, 4095, 4096, 65534, 65535, 65536, 65537, 1 << 20]
    sizes += [(16 << 20) + 1] if s.harness.scale else []
    sizes += [limit] if limit <= 1 << 24 else []
    for size in sorted(size for size in set(sizes) if size <= limit):
        s.write((b"%010d" % size, bytes([65 + size % 26]) * size))
        s.get(b"%010d" % size)
    s.scan()


@on_bytes("ENG-ERR-1")
def errors_of_the_tree(s: ByteSession) -> None:
    """What goes wrong in ordinary use: a conflict, a closed snapshot, a closed store, an iterator after close."""
    s.write(*ABC)
    s.write((b"a", b"x"), expect={b"a": b"other"})
    s.snapshot("s")
    s.iterate("i")
    s.step("i")
    s.do({"op": "snap_close", "to": "s"})
    s.get(b"a", on="s")
    s.do({"op": "close"})
    s.get(b"a")
    s.scan()
    s.write((b"a", b"x"))
    s.step("i")


@on_engine("ENG-ERR-1")
def errors_of_opening(h: Harness) -> None:
    """A path that is a file, and one below a file."""
    if not h.persistent:
        return
    path = h.fresh()
    path.write_bytes(b"not a store")
    for where in (path, path / "below"):
        got = _open(h, where)
        allowed = OneOf(tuple(Err(name) for name in ("StoreMismatch", "StoreMissing", "StoreError", "CorruptData")))
        _expect(allowed, got, f"open of {'a path that is a file' if where is path else 'a path below a file'}")
    _expect(b"not a store", path.read_bytes(), "the file is as it was")
    path.unlink()


@on_bytes("ENG-THREAD-1")
def other_threads(s: ByteSession) -> None:
    """Opened here, used there, and back."""
    s.write(*ABC)
    s.iterate("i")
    s.step("i")
    s.snapshot("s")
    failures: list[Violation] = []

    def elsewhere() -> None:
        try:
            s.write((b"d", b"4"), (b"a", None))
            s.see(b"a", b"d")
            s.see(b"a", on="s")
            s.step("i", 1)
        except Violation as violation:
            failures.append(violation)

    thread = threading.Thread(target=elsewhere, daemon=True)
    thread.start()
    thread.join(20)
    s.require(not thread.is_alive(), "an answer", "none in 20 s, in another thread")
    for violation in failures:
        violation.note = "in another thread than the one that opened the store"
        raise violation
    s.step("i", 5)
    s.see(b"d")
