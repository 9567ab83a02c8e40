"""Opening an LMDB environment, and what has to be looked at before it can be trusted."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from typing import Any, Final

import lmdb

from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig, CorruptData, StoreError, shown
from dvidkit.storedir import StoreDirectory, os_error, sync_directory, write_file
from dvidkit_lmdb.failures import translate
from dvidkit_lmdb.pages import Damaged, look_through

LAYOUT: Final = 1
_DEFAULTS: Final[dict[str, Any]] = {"map_size": 1 << 40, "readahead": True, "verify": False}
_SMALLEST_MAP: Final = 1 << 26
_MAX_READERS: Final = 2046
_SMALL: Final = 16 << 20
"""Files up to this size are looked through whenever they are opened: it takes half a second at most."""

_CLOSED: Final = "closed"
"""The number of the last transaction before an orderly close, and its CRC, in text. LMDB takes a damaged meta page for
one that was never written, and goes back to the transaction before; by this number that is noticed. The file is there
only while nothing has been written since: it goes before the first write."""


def open_environment(directory: StoreDirectory, config: StoreConfig) -> tuple[lmdb.Environment, tuple[str, ...]]:
    """The environment in the claimed directory, and what there is to say about it.

    Raises:
        CorruptData: its file is missing, cut short or, as far as was looked, damaged.
    """
    options = _options(config)
    path = str(directory.path)
    data = os.path.join(directory.data, "data.mdb")
    notes: tuple[str, ...] = ()
    if not directory.created:
        if _length(data) == 0:
            raise CorruptData("data.mdb is missing or empty; the store was there before", engine="lmdb", path=path)
        asked = options["verify"] or directory.left_unsafe
        if asked or _length(data) <= _SMALL:
            _look_through(data, path)
        if asked:
            notes = ("the store was looked through and found whole",)
    env = _open(directory, config, options["map_size"], readahead=options["readahead"])
    try:
        env.reader_check()
        _not_gone_back(env, directory)
        whole = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
        if not directory.created and lengthened(data, whole, only_say=True):
            notes = ("the file was shorter than its pages, but none of those that were missing was in use",)
            _look_through(data, path)
            if not config.read_only:
                lengthened(data, whole)
    except BaseException:
        env.close()
        raise
    return env, notes


def _open(directory: StoreDirectory, config: StoreConfig, map_size: int, *, readahead: bool) -> lmdb.Environment:
    path = str(directory.path)
    while True:
        try:
            return lmdb.open(
                str(directory.data),
                map_size=map_size,
                readonly=config.read_only,
                lock=not config.read_only,
                create=directory.created,
                metasync=config.durability == "durable",
                sync=config.durability != "volatile",
                readahead=readahead,
                max_readers=_MAX_READERS,
                lib_version=0,
            )
        except (MemoryError, lmdb.MemoryError) as error:
            if map_size <= _SMALLEST_MAP:
                raise StoreError("no address space for LMDB's map", engine="lmdb", path=path) from error
            map_size //= 4
        except lmdb.Error as error:
            raise translate(error, path) from error
        except OSError as error:
            raise os_error(error, f"cannot open {path}", "lmdb", path) from error


def lengthened(data: str, whole: int, *, only_say: bool = False) -> bool:
    """Make the file as long as its pages; whether it was shorter.

    LMDB leaves pages at the end that it does not need unwritten. That is no harm, but a file that was cut short, where
    reading is a bus error, could then not be told from one that was not.
    """
    short = _length(data) < whole
    if short and not only_say:
        with suppress(OSError):
            os.truncate(data, whole)
    return short


def _length(data: str) -> int:
    try:
        return os.path.getsize(data)
    except FileNotFoundError:
        return 0


def _look_through(data: str, path: str) -> None:
    try:
        look_through(data)
    except Damaged as error:
        raise CorruptData(f"data.mdb is damaged: {error}", engine="lmdb", path=path) from error
    except OSError as error:
        raise os_error(error, f"cannot read data.mdb of {path}", "lmdb", path) from error


def is_noted(directory: StoreDirectory) -> bool:
    """Whether there is a record of an orderly close."""
    return (directory.data / _CLOSED).exists()


def forget_closed(directory: StoreDirectory) -> None:
    """Take the record of the close before away, for good: it is about not to be true any more.

    Raises:
        StoreError: it is still there, so nothing may be written.
    """
    try:
        (directory.data / _CLOSED).unlink(missing_ok=True)
        sync_directory(directory.data)
    except OSError as error:
        raise os_error(error, f"cannot write in {directory.path}", "lmdb", str(directory.path)) from error


def note_closed(env: lmdb.Environment, directory: StoreDirectory) -> None:
    """Record what the file holds, just before it is closed. A full disk is no reason not to close: then no record."""
    number = b"%d" % env.info()["last_txnid"]
    with suppress(OSError):
        write_file(directory.data / _CLOSED, b"%b %08x\n" % (number, zlib.crc32(number)))


def _not_gone_back(env: lmdb.Environment, directory: StoreDirectory) -> None:
    try:
        number, _, checksum = (directory.data / _CLOSED).read_bytes().partition(b" ")
    except OSError:
        return
    if checksum != b"%08x\n" % zlib.crc32(number):
        return
    found = env.info()["last_txnid"]
    if found != int(number):
        raise CorruptData(
            f"data.mdb is of transaction {found}, but {int(number)} was there when it was closed",
            engine="lmdb",
            path=str(directory.path),
        )


def _options(config: StoreConfig) -> dict[str, Any]:
    for name, value in config.options.items():
        if name not in _DEFAULTS:
            raise BadConfig(f"engine 'lmdb' has no option {name!r}", setting=name)
        if type(value) is not type(_DEFAULTS[name]) or (name == "map_size" and value < 1 << 20):
            raise BadConfig(f"option {name!r} of engine 'lmdb' cannot be {shown(value)}", setting=name)
    return {**_DEFAULTS, **config.options}
