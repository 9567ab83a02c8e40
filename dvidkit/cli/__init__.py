"""The ``dvidkit`` command: one module per group of commands, loaded when a command of the group is used."""

from __future__ import annotations

from dvidkit.cli.root import main

__all__ = ["main"]
