"""Opening the stores that commands name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from dvidkit.config import Environment
from dvidkit.endpoints import integer
from dvidkit.engine import Capability, Loss, StoreConfig
from dvidkit.errors import BadConfig, UnsupportedError
from dvidkit.kernel import Kernel
from dvidkit.plugins import Plugins
from dvidkit.store import Store
from dvidkit.storedir import read_marker

Command = TypeVar("Command", bound=Callable[..., Any])

store_argument: Final = click.argument("path", metavar="PATH", type=click.Path())
served_argument: Final = click.argument("path", metavar="STORE", type=click.Path())
version_argument: Final = click.argument("version", metavar="VERSION")
instance_argument: Final = click.argument("instance", metavar="INSTANCE")


def store_option(command: Command) -> Command:
    """``-s STORE``, for commands whose first argument is DVID's and not the store."""
    option = click.option(
        "-s",
        "--store",
        "path",
        metavar="STORE",
        callback=_store_path,
        help="Directory of the store, or URL of a running server; unless given, that in DVIDKIT_STORE.",
    )
    return option(command)


def _store_path(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str:
    path = value or Environment.of().store
    if not path:
        raise click.MissingParameter(ctx=ctx, param=parameter)
    return path


def is_url(store: str) -> bool:
    """Whether a store is named by the URL of a server that has it open."""
    return store.lower().startswith(("http://", "https://"))


def config_of(path: str, plugins: Plugins, *, write: bool) -> StoreConfig:
    """How to open the store at ``path``, after its marker; read-only where the engine can and writing is not asked for.

    Raises:
        StoreMissing, StoreMismatch: no store there, or none that can be read.
        UnknownEngine: its engine is not installed.
        UnsupportedError: a server is named.
    """
    if is_url(path):
        raise UnsupportedError(f"this works on the directory of a store, not on a server ({path})", capability="server")
    engine = plugins.engine(read_marker(path).engine)
    read_only = not write and Capability.READ_ONLY in engine.capabilities.features
    return StoreConfig(engine.name, path, create=False, read_only=read_only)


def opened_store(path: str, *, write: bool = False) -> Store:
    """The store at ``path``, for use in a ``with`` statement."""
    plugins = Plugins()
    config = config_of(path, plugins, write=write)
    return Store(plugins.engine(config.engine), config)


def opened_kernel(path: str, *, write: bool = False) -> Kernel:
    """A kernel over the store at ``path``, for use in a ``with`` statement."""
    plugins = Plugins()
    return Kernel(config_of(path, plugins, write=write), plugins=plugins)


def new_store(path: str, engine: str, *, integrity: bool = True, options: dict[str, Any] | None = None) -> Store:
    """The store at ``path``, made if there is none.

    Raises:
        BadConfig: the engine keeps nothing on disk.
        StoreMismatch: there is something else.
    """
    found = Plugins().engine(engine)
    if found.capabilities.durable is Loss.NONE:
        raise BadConfig(f"engine {engine!r} keeps nothing on disk", setting="engine")
    return Store(found, StoreConfig(engine, path, integrity=integrity, options=options or {}))


def usable(view: Any, *methods: str) -> Any:
    """A view of an instance, if its datatype has these methods.

    Raises:
        UnsupportedError: it lacks one.
    """
    for method in methods:
        if not callable(getattr(view, method, None)):
            record = view.instance.record
            raise UnsupportedError(
                f"instance {record.name!r} is of datatype {record.typename!r}, which has no {method!r}",
                capability=method,
            )
    return view


def split_settings(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Arguments, and settings: an argument with exactly one ``=`` is a setting, as in DVID."""
    settings = dict(argument.split("=") for argument in arguments if argument.count("=") == 1)
    return [argument for argument in arguments if argument.count("=") != 1], settings


def point(text: str) -> tuple[int, int, int]:
    """Three whole numbers given as ``x,y,z``, in the order z, y, x; for use as the type of an option."""
    try:
        x, y, z = (integer(part.strip(), "a coordinate") for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not three whole numbers like 0,0,64") from None
    return z, y, x


def sides(text: str) -> tuple[int, int, int]:
    """The same for sizes, which are 1 or more."""
    found = point(text)
    if min(found) < 1:
        raise click.BadParameter(f"{text!r} has a size below 1")
    return found
