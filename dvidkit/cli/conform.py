"""``dvidkit conform``: the conformance kit's command, if the kit's libraries are installed."""

from __future__ import annotations

from importlib import import_module
from typing import cast

import click

from dvidkit.cli.output import Failure

_INSTALL = "pip install 'dvidkit[conformance]'"


def load() -> click.Command:
    """The kit's command, or one that says how to install the kit."""
    try:
        return cast(click.Command, import_module("dvidkit_conformance.cli").conform)
    except ImportError as error:
        return _missing(error)


def _missing(error: ImportError) -> click.Command:
    reason = str(error)

    @click.command("conform", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
    def conform() -> None:
        """Prove engines and datatypes, clause by clause (needs the conformance kit)."""
        raise Failure(f"the conformance kit cannot be loaded ({reason}): {_INSTALL}")

    return conform
