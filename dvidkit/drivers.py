"""Which engines lack the driver they stand on."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from dvidkit.engine import Engine, StoreConfig
from dvidkit.errors import DvidkitError, MissingExtra


def missing_driver(engine: Engine) -> MissingExtra | None:
    """The error with which the engine would open a store, if its driver is not installed; ``None`` if it is.

    The error's ``install`` is the line that installs the driver. Nothing is made on disk.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            with closing(engine.open(StoreConfig(engine.name, str(Path(folder, "none")), create=False))):
                return None
        except MissingExtra as error:
            return error
        except DvidkitError:
            return None


def ready(engines: Mapping[str, Engine]) -> dict[str, Engine]:
    """Those of the engines, by name, that have the driver they stand on."""
    return {name: engine for name, engine in engines.items() if missing_driver(engine) is None}
