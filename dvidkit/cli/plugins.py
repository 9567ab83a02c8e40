"""``dvidkit plugins``, ``engines`` and ``datatypes``: what is installed, what it can do, and what failed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
import msgspec

from dvidkit.cli.output import json_option, print_json, table
from dvidkit.datatype import Datatype
from dvidkit.drivers import missing_driver
from dvidkit.engine import Engine
from dvidkit.plugins import LoadedPlugin, Plugins
from dvidkit.settings import Settings


@click.command("plugins")
@json_option
def plugins_command(*, as_json: bool) -> None:
    """List plugins: what each offers, and what failed and why."""
    found = Plugins().loaded
    if as_json:
        print_json([_plugin(plugin) for plugin in found])
        return
    for plugin in found:
        click.echo(f"{plugin.name}  ({plugin.distribution or 'local'} {plugin.version})".rstrip())
        for what, names in (("engines", plugin.engines), ("datatypes", plugin.datatypes)):
            if names:
                click.echo(f"  {what}: {', '.join(names)}")
        for failure in plugin.failures:
            click.echo(f"  failed: {failure.message}")
    if not found:
        click.echo("no plugins are installed")


def _plugin(plugin: LoadedPlugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "engines": plugin.engines,
        "datatypes": plugin.datatypes,
        "failures": [{"code": failure.code, "message": failure.message} for failure in plugin.failures],
    }


# --- engines ---------------------------------------------------------------------------------------------------------


@click.command("engines")
@json_option
def engines_command(*, as_json: bool) -> None:
    """List engines: what each can do, its limits, and how to get a missing driver."""
    plugins = Plugins()
    engines = [_engine(engine, plugins.owner(name)) for name, engine in plugins.engines.items()]
    if as_json:
        print_json(engines)
        return
    for engine in engines:
        click.echo(f"{engine['name']}  {engine['summary']}")
        limits = ", ".join(f"{name} {value:,}" for name, value in engine["limits"].items())
        rows = [
            ("survives", f"{engine['durable']} (durable writes), {engine['buffered']} (others)"),
            ("can", ", ".join(engine["capabilities"]) or "the five methods"),
            ("limits", limits),
            *(("option", f"{name}: {text}") for name, text in engine["options"].items()),
        ]
        if not engine["installed"]:
            rows.append(("missing", engine["install"]))
        click.echo(table(rows, "  "))


def _engine(engine: Engine, owner: str) -> dict[str, Any]:
    missing = missing_driver(engine)
    return {
        "name": engine.name,
        "version": engine.version,
        "distribution": owner,
        "summary": engine.summary,
        "capabilities": sorted(engine.capabilities.features),
        "durable": str(engine.capabilities.durable),
        "buffered": str(engine.capabilities.buffered),
        "limits": asdict(engine.limits),
        "options": dict(engine.options),
        "installed": missing is None,
        "install": missing and missing.install,
    }


# --- datatypes -------------------------------------------------------------------------------------------------------


@click.command("datatypes")
@json_option
def datatypes_command(*, as_json: bool) -> None:
    """List datatypes: settings, and what each needs of an engine."""
    plugins = Plugins()
    datatypes = [_datatype(datatype, plugins.owner(name)) for name, datatype in plugins.datatypes.items()]
    if as_json:
        print_json(datatypes)
        return
    for datatype in datatypes:
        click.echo(f"{datatype['name']}  {datatype['summary']}")
        rows = [("needs", ", ".join(datatype["requires"]))] if datatype["requires"] else []
        rows.append(("settings", " ".join(f"{name}={_shown(value)}" for name, value in datatype["settings"].items())))
        click.echo(table(rows, "  "))
    if not datatypes:
        click.echo("no datatypes are installed")


def _datatype(datatype: type[Datatype], owner: str) -> dict[str, Any]:
    return {
        "name": datatype.typename,
        "version": datatype.version,
        "distribution": owner,
        "summary": datatype.summary,
        "url": datatype.url,
        "requires": sorted(datatype.requires),
        "settings": _settings(datatype.settings),
        "endpoints": [f"{row.method} {row.path}" for row in datatype.endpoints],
    }


def _settings(settings: type[Settings]) -> dict[str, Any]:
    """By DVID's name of each setting its default, ``None`` if it must be given."""
    return {
        "".join(part.capitalize() for part in field.name.split("_")): _default(field)
        for field in msgspec.structs.fields(settings)
    }


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return msgspec.to_builtins(field.default)
    return msgspec.to_builtins(field.default_factory()) if field.default_factory is not msgspec.NODEFAULT else None


def _shown(default: Any) -> str:
    """A default as it would be given on the command line."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, (list, tuple)):
        return ",".join(map(str, default))
    if isinstance(default, dict):
        return ",".join(f"{name}={value}" for name, value in default.items())
    return "(must be given)" if default is None else str(default)
