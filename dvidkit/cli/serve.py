"""``dvidkit serve``: a server, from DVID's TOML or for a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig, MissingExtra
from dvidkit.kernel import DEFAULT_ENGINE, DEFAULT_STORE
from dvidkit.storedir import has_marker, read_marker

if TYPE_CHECKING:
    from dvidkit.http.serverconfig import ServerConfig

_HOST: Final = "localhost"


@click.command()
@click.argument("target", metavar="[CONFIG.TOML | PATH]", required=False, type=click.Path())
@click.option("--store", "stores", multiple=True, metavar="[ALIAS=]PATH", help="A further store; may be repeated.")
@click.option("--engine", default=DEFAULT_ENGINE, show_default=True, help="Engine of stores that are made.")
@click.option("--host", help="Address to listen on; empty is all.  [default: localhost]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8000]")
@click.option("--readonly", is_flag=True, help="Refuse every change.")
@click.option("--fullwrite", is_flag=True, help="Let committed versions be written.")
@click.option("--admin-token-file", type=click.Path(exists=True, dir_okay=False), help="File with the admin token.")
@click.option("--access-log", metavar="FILE", help="File for a line of JSON per request; - is standard error.")
@click.option("--check", is_flag=True, help="Only read the configuration and say what there is to say about it.")
def serve(
    target: str | None,
    *,
    stores: tuple[str, ...],
    engine: str,
    host: str | None,
    port: int | None,
    readonly: bool,
    fullwrite: bool,
    admin_token_file: str | None,
    access_log: str | None,
    check: bool,
) -> None:
    """Serve repos over HTTP, with the API of DVID.

    With a configuration in DVID's TOML, or with the directory of a store, which is made if there is none.
    """
    from dvidkit.http.serverconfig import secret_from

    if readonly and fullwrite:
        raise click.UsageError("--readonly and --fullwrite exclude each other")
    config = _config(target, stores, engine)
    service = config.service
    if readonly or fullwrite:
        service = replace(service, mode="readonly" if readonly else "fullwrite")
    if admin_token_file:
        service = replace(service, admin_token=secret_from(admin_token_file))
    log = config.log if access_log is None else replace(config.log, access=access_log)
    config = replace(config, service=service, log=log, address=_address(config.address, host, port))
    if check:
        _describe(config)
    else:
        run_server(config, click.echo)


def run_server(config: ServerConfig, on_ready: Callable[[str], object]) -> None:
    """Run a server until a signal ends it; see ``dvidkit.http.serving.serve``.

    Raises:
        MissingExtra: what it needs is not installed.
    """
    try:
        from dvidkit.http.serving import serve as run
    except ImportError as error:
        raise MissingExtra(
            f"a server needs packages that are not installed ({error}): pip install 'dvidkit[server]'",
            plugin="server",
            install="pip install 'dvidkit[server]'",
        ) from error
    run(config, on_ready)


def _config(target: str | None, stores: tuple[str, ...], engine: str) -> ServerConfig:
    """What the arguments ask for.

    Raises:
        BadConfig: nothing to serve, or something wrong in the file.
    """
    from dvidkit.http import dvidtoml, serverconfig

    further = {alias: store_at(path, engine) for alias, path in map(_named, stores)}
    if target is not None and (Path(target).is_file() or target.endswith(".toml")):
        config = dvidtoml.from_file(target)
        return replace(config, stores={**config.stores, **further})
    if target is not None:
        further = {DEFAULT_STORE: store_at(target, engine), **further}
    if not further:
        raise BadConfig("give a configuration, or the path of a store", setting="store")
    return serverconfig.from_stores(further)


def store_at(path: str, engine: str) -> StoreConfig:
    """How to open the store in a directory: with the engine it was made with, else with the given one."""
    return StoreConfig(read_marker(path).engine if has_marker(path) else engine, path)


def _named(text: str) -> tuple[str, str]:
    """Alias and path of ``--store``; a path alone is called after its directory."""
    alias, equals, path = text.partition("=")
    return (alias, path) if equals else (Path(text).absolute().name, text)


def _address(configured: str, host: str | None, port: int | None) -> str:
    was, _, number = configured.rpartition(":")
    host = was if host is None else f"[{host}]" if ":" in host else host
    return f"{host}:{number if port is None else port}"


def _describe(config: ServerConfig) -> None:
    for alias, store in config.stores.items():
        click.echo(f"store {alias}: {store.engine} {store.path}".rstrip())
    for rule, alias in config.assign.items():
        click.echo(f"{rule} is kept in {alias}")
    click.echo(f"mode {config.service.mode}, listening on {config.address}")
    for note in config.notes:
        click.echo(note)
