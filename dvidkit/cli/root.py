"""The root of the command: finds the module of a subcommand, and turns expected errors into one line.

Exit codes: 0 done; 1 it failed, or something examined is not well; 2 the command line is wrong.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import click

import dvidkit
from dvidkit.cli.output import Failure, as_failure
from dvidkit.errors import DvidkitError

COMMANDS: Final = {
    "plugins": "dvidkit.cli.plugins:plugins_command",
    "engines": "dvidkit.cli.plugins:engines_command",
    "datatypes": "dvidkit.cli.plugins:datatypes_command",
    "conform": "dvidkit.cli.conform:load",
    "serve": "dvidkit.cli.serve:serve",
    "demo": "dvidkit.cli.demo:demo",
    "new-engine": "dvidkit.cli.new:new_engine",
    "new-datatype": "dvidkit.cli.new:new_datatype",
    "init": "dvidkit.cli.repos:init",
    "info": "dvidkit.cli.info:info",
    "log": "dvidkit.cli.log:log",
    "repos": "dvidkit.cli.repos:repos",
    "repo": "dvidkit.cli.repos:repo",
    "node": "dvidkit.cli.repos:node",
    "get": "dvidkit.cli.values:get",
    "put": "dvidkit.cli.values:put",
    "delete": "dvidkit.cli.values:delete",
    "keys": "dvidkit.cli.values:keys",
    "import": "dvidkit.cli.volumes:import_",
    "export": "dvidkit.cli.volumes:export",
    "copy": "dvidkit.cli.upkeep:copy",
    "verify": "dvidkit.cli.upkeep:verify",
    "backup": "dvidkit.cli.upkeep:backup",
    "compact": "dvidkit.cli.upkeep:compact",
    "repair": "dvidkit.cli.upkeep:repair",
}
"""By name, in the order of the help text, where each command is; ``load`` is called to get one."""


class Root(click.Group):
    """Loads commands when they are used, and answers for their errors."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(module), name)
        return found if isinstance(found, click.Command) else found()

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what may be expected to go wrong becomes one line on stderr."""
        try:
            return super().invoke(ctx)
        except Failure:
            raise
        except (DvidkitError, OSError) as error:
            raise as_failure(error) from error


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dvidkit.__version__, prog_name="dvidkit")
def main() -> None:
    """Look after stores, repos and data of dvidkit, and prove plugins.

    A VERSION is a UUID or the unique start of one, a tag, or a branch: `:master`, `a1b2:side`, each with `~2` or `^2`
    behind it, as in git. A PATH is the directory of a store; its engine is read from its marker.
    """
