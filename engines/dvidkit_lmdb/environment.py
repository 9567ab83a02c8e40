"""Opening an LMDB environment, and what has to be looked at before it can be trusted."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import lmdb
import lmdb.verify

from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig, CorruptData, StoreError, shown
from dvidkit.storedir import StoreDirectory, os_error
from dvidkit_lmdb.failures import translate

LAYOUT: Final = 1
_DEFAULTS: Final[dict[str, Any]] = {"map_size": 1 << 40, "readahead": True, "verify": False}
_SMALLEST_MAP: Final = 1 << 26
_MAX_READERS: Final = 2046
_SHOWN: Final = 3


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
        if options["verify"] or directory.left_unsafe:
            notes = ("the store was looked through and found whole",)
            _look_through(data, path)
    env = _open(directory, config, options["map_size"], readahead=options["readahead"])
    try:
        env.reader_check()
        if not directory.created and _is_short(env, data) and not notes:
            notes = ("the file is shorter than its pages, but those that are missing are free",)
            _look_through(data, path)
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


def _is_short(env: lmdb.Environment, data: str) -> bool:
    """Whether pages lie beyond the end of the file. Free ones may; reading any other would be a bus error."""
    return _length(data) < (env.info()["last_pgno"] + 1) * env.stat()["psize"]


def _length(data: str) -> int:
    try:
        return os.path.getsize(data)
    except FileNotFoundError:
        return 0


def _look_through(data: str, path: str) -> None:
    """Check every page's place and form, without LMDB, which would crash on some of what this finds."""
    verify: Callable[[str], list[str]] = lmdb.verify.verify
    try:
        problems = verify(data)
    except lmdb.verify.VerifyError as error:
        problems = [str(error)]
    if problems:
        shown_ = "; ".join(problems[:_SHOWN]) + ("; …" if len(problems) > _SHOWN else "")
        raise CorruptData(f"data.mdb is damaged: {shown_}", engine="lmdb", path=path)


def _options(config: StoreConfig) -> dict[str, Any]:
    for name, value in config.options.items():
        if name not in _DEFAULTS:
            raise BadConfig(f"engine 'lmdb' has no option {name!r}", setting=name)
        if type(value) is not type(_DEFAULTS[name]) or (name == "map_size" and value < 1 << 20):
            raise BadConfig(f"option {name!r} of engine 'lmdb' cannot be {shown(value)}", setting=name)
    return {**_DEFAULTS, **config.options}
