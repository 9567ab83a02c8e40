"""``dvidkit get``, ``put``, ``delete`` and ``keys``: the values of a keyvalue instance."""

from __future__ import annotations

import sys
from typing import IO

import click

from dvidkit.cli.instances import opened_instance
from dvidkit.cli.output import Failure, json_option, print_json
from dvidkit.cli.stores import instance_argument, served_argument, version_argument

_key = click.argument("key")


@click.command()
@served_argument
@version_argument
@instance_argument
@_key
def get(path: str, version: str, instance: str, key: str) -> None:
    """Write a value to stdout, byte for byte.

    Exit code 1 if there is none.
    """
    with opened_instance(path, version, instance, "get") as view:
        value = view.get(key)
    if value is None:
        raise Failure(f"instance {instance!r} has no key {key!r} at {version}")
    sys.stdout.buffer.write(value)
    sys.stdout.buffer.flush()


@click.command()
@served_argument
@version_argument
@instance_argument
@_key
@click.option("-f", "--file", type=click.File("rb"), default="-", help="Read the value from here; stdin unless given.")
def put(path: str, version: str, instance: str, key: str, file: IO[bytes]) -> None:
    """Set a value to what stdin holds, byte for byte."""
    with opened_instance(path, version, instance, "put", write=True) as view:
        view.put(key, file.read())


@click.command()
@served_argument
@version_argument
@instance_argument
@_key
def delete(path: str, version: str, instance: str, key: str) -> None:
    """Delete a key at this version.

    A key that does not exist is no error.
    """
    with opened_instance(path, version, instance, "delete", write=True) as view:
        view.delete(key)


@click.command()
@served_argument
@version_argument
@instance_argument
@json_option
@click.option("-0", "--null", is_flag=True, help="End each key with a NUL byte instead of a line end.")
def keys(path: str, version: str, instance: str, *, as_json: bool, null: bool) -> None:
    """List keys, one a line, in the order of their bytes."""
    with opened_instance(path, version, instance, "keys") as view:
        found = view.keys()
        if as_json:
            print_json(list(found))
            return
        for key in found:
            click.echo(f"{key}\0" if null else key, nl=not null)
