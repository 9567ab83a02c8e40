"""The ``dvidkit`` command."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from dvidkit import __version__
from dvidkit.errors import DvidkitError

_LOADED = ("serve",)


class _Commands(click.Group):
    """Commands are imported when they are called, so that one that lacks a package does not break the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_LOADED, "conform"})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _LOADED:
            return getattr(import_module(f"dvidkit.cli.{cmd_name}"), cmd_name)  # type: ignore[no-any-return]
        if cmd_name != "conform":
            return super().get_command(ctx, cmd_name)
        try:
            from dvidkit_conformance.cli import conform
        except ImportError as error:
            raise click.ClickException(f"the kit is missing ({error}): pip install 'dvidkit[conformance]'") from error
        return conform

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (DvidkitError, OSError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="dvidkit")
def main() -> None:
    """A versioned dataservice for large images: engines, datatypes, and a conformance kit."""
