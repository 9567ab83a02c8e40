"""``[store]`` and ``[backend]`` of DVID's TOML: which stores there are, and what each of them keeps."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

from dvidkit.config import Document
from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig
from dvidkit.kernel import DEFAULT_ENGINE

_ENGINES: Final = {"basholeveldb": "leveldb", "badger": DEFAULT_ENGINE, "filestore": "filesystem"}
"""What takes the place of DVID's engines."""

_STORE_KEYS: Final = ("engine", "path", "durability", "integrity")
_LOG_ENGINE: Final = "filelog"
_NO_COUNTERPART: Final = ("gbucket", "swift", "bigtable", "kvautobus", "ngprecomputed")
_DVID_OPTIONS: Final = frozenset(
    (
        *("testing", "readonly", "valuethreshold", "valuelogfilesize", "inmemory"),
        *("bloomfilterbitsperkey", "cachesize", "writebuffersize", "maxopenfiles", "blocksize"),
    )
)
"""Settings of DVID's engines, which mean nothing to ours."""

_FOREIGN: Final = {
    "KEYREGISTRY": "a Badger database",
    "MANIFEST": "a Badger database",
    "CURRENT": "a LevelDB database",
}
_UUID: Final = re.compile(r"[0-9a-f]{32}")


class StoreSections:
    """The stores of one configuration.

    Attributes:
        stores: to be opened, by alias.
        assign: which of them keeps what, see ``Assignment``.
        notes: what a person should be told, a line each.

    Raises:
        BadConfig: there is none, or one that cannot be.
    """

    def __init__(self, document: Document) -> None:
        self._doc = document
        self.notes: list[str] = []
        self.stores, logs = self._stores()
        self.assign = self._assignment(self.stores, logs)

    def _stores(self) -> tuple[dict[str, StoreConfig], set[str]]:
        """The stores to open by alias, and the aliases of DVID's logs."""
        stores: dict[str, StoreConfig] = {}
        logs: set[str] = set()
        for alias, keys in self._doc.below("store").items():
            if keys.get("engine") == _LOG_ENGINE:
                logs.add(alias)
                self.notes.append(f"[store.{alias}] is not opened: the mutation log is always kept, beside the data")
            else:
                stores[alias] = self._store(alias, keys)
        if not stores:
            raise BadConfig(f"{self._doc.path}: a server needs a [store.<alias>]", setting="store")
        self._refuse_same_paths(stores)
        return stores, logs

    def _store(self, alias: str, keys: Mapping[str, Any]) -> StoreConfig:
        section = f"store.{alias}"
        if "engine" not in keys:
            raise self._doc.fault("a store needs an engine", section)
        name, path = str(keys["engine"]), str(keys.get("path", ""))
        if name in _NO_COUNTERPART:
            raise self._doc.fault(f"DVID's engine {name!r} has no counterpart in dvidkit", section, "engine")
        engine = _ENGINES.get(name, name)
        if engine != name:
            self.notes.append(f"[{section}] engine {name!r} is {engine!r} here")
        self._refuse_foreign(section, name, path)
        options = {
            key: value for key, value in keys.items() if key not in ("engine", "path", "durability", "integrity")
        }
        for key in [key for key in options if name in _ENGINES or name == "leveldb"]:
            if key.lower() in _DVID_OPTIONS:
                del options[key]
                self.notes.append(f"[{section}] {key}: a setting of DVID's engine {name!r}, not of {engine!r}")
        return StoreConfig(
            engine,
            path,
            durability=keys.get("durability", "durable"),
            integrity=keys.get("integrity", True),
            options=options,
        )

    def _refuse_foreign(self, section: str, engine: str, path: str) -> None:
        """Say clearly that a directory is DVID's, before an engine finds that it is not its own."""
        if not path or os.path.exists(os.path.join(path, "dvidkit.toml")):
            return
        for name, what in _FOREIGN.items():
            if os.path.exists(os.path.join(path, name)):
                raise self._doc.fault(
                    f"{path} holds {what} that DVID made with {engine!r}; dvidkit cannot read it. Give another path, "
                    "and copy the data over from the running DVID server",
                    section,
                    "path",
                )

    def _refuse_same_paths(self, stores: Mapping[str, StoreConfig]) -> None:
        paths: dict[str, str] = {}
        for alias, config in stores.items():
            real = os.path.realpath(config.path)
            if config.path and real in paths:
                raise self._doc.fault(f"{alias!r} and {paths[real]!r} have the same path", f"store.{alias}", "path")
            paths[real] = alias

    def _assignment(self, stores: Mapping[str, StoreConfig], logs: set[str]) -> dict[str, str]:
        rules: dict[str, str] = {}
        for spec, keys in self._doc.below("backend").items():
            section, alias = f"backend.{spec}", keys.get("store", "")
            log = keys.get("log")
            if log is not None and log not in logs and log not in stores:
                raise self._doc.fault(f"there is no [store.{log}]", section, "log")
            if not alias and log is None:
                raise self._doc.fault("a backend needs a store", section)
            if alias and alias not in stores:
                what = "is a log, not a store of data" if alias in logs else "is not configured"
                raise self._doc.fault(f"[store.{alias}] {what}", section, "store")
            if alias:
                rules[self._rule(spec)] = alias
        if "default" not in rules and "default" not in stores and len(stores) > 1:
            raise BadConfig(
                f"{self._doc.path}: there are {len(stores)} stores; say in [backend.default] which is for what has no "
                "store of its own",
                setting="backend.default",
            )
        return rules

    def _rule(self, spec: str) -> str:
        """A rule as ``Assignment`` has it: ``tag:value``, as DVID's sample writes it, is ``tag=value``."""
        spec = spec.strip('"')
        name, colon, rest = spec.rpartition(":")
        if colon and not _UUID.fullmatch(rest.lower()):
            self.notes.append(f"[backend.{spec!r}] is read as the tag {name!r} with the value {rest!r}")
            return f"{name}={rest}"
        if not colon and _UUID.fullmatch(spec.lower()):
            self.notes.append(f"[backend.{spec}]: a data instance stays in the store that it was made in")
        return spec
