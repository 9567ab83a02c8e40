"""``dvidkit info``: what a store is and holds."""

from __future__ import annotations

import os
from typing import Any

import click

from dvidkit.cli.output import json_option, print_json, size_text, table
from dvidkit.cli.stores import opened_kernel, store_argument
from dvidkit.engine import Capability
from dvidkit.instance import DataInstance
from dvidkit.keys import instance_range
from dvidkit.repo import Repo
from dvidkit.slots import recorded_rows
from dvidkit.store import Store
from dvidkit.storedir import read_marker


@click.command()
@store_argument
@json_option
def info(path: str, *, as_json: bool) -> None:
    """Describe a store: engine, repos, instances, sizes."""
    with opened_kernel(path) as kernel:
        (store,) = kernel.stores.values()
        found = {**_store(path, store), "repos": [_repo(repo) for repo in kernel.repos]}
    if as_json:
        print_json(found)
    else:
        _print(found)


def _store(path: str, store: Store) -> dict[str, Any]:
    marker = read_marker(path)
    return {
        "path": os.path.realpath(path),
        "engine": marker.engine,
        "engine_version": store.engine.version,
        "layout": marker.layout,
        "format": store.record.format,
        "uuid": store.record.uuid,
        "created": marker.created,
        "integrity": store.record.integrity,
        "bytes_on_disk": disk_size(path),
        "notes": list(store.report.notes),
    }


def _repo(repo: Repo) -> dict[str, Any]:
    return {
        "uuid": repo.uuid,
        "alias": repo.alias,
        "description": repo.record.description,
        "created": repo.record.created,
        "versions": len(repo.nodes),
        "open": sum(not version.locked for version in repo.versions),
        "branches": {name: version.uuid for name, version in repo.branches().items()},
        "instances": [_instance(instance) for _, instance in sorted(repo.instances.items())],
    }


def _instance(instance: DataInstance) -> dict[str, Any]:
    store = instance.store
    bounds = instance_range(instance.id)
    sized = Capability.SIZES in store.engine.capabilities.features
    rows = None
    if store.record.integrity:
        with store.instant() as access:
            rows = recorded_rows(access, instance.id)
    return {
        "name": instance.name,
        "datatype": instance.record.typename,
        "installed": not getattr(instance.datatype, "missing", False),
        "uuid": instance.uuid,
        "id": instance.id,
        "rows": rows,
        "bytes": store.approximate_sizes([bounds])[0] if sized else None,
        "settings": instance.record.settings,
        "syncs": [source.name for source in instance.syncs],
    }


def disk_size(path: str) -> int:
    """Bytes that the files below ``path`` take on the disk."""
    blocks = 0
    for folder, _, names in os.walk(path):
        blocks += sum(os.lstat(os.path.join(folder, name)).st_blocks for name in names)
    return blocks * 512


def _print(found: dict[str, Any]) -> None:
    click.echo(f"store {found['path']}")
    rows = [
        ("engine", f"{found['engine']} (files of layout {found['layout']})"),
        ("format", f"{found['format']}, {'with' if found['integrity'] else 'without'} checksums"),
        ("uuid", found["uuid"]),
        ("created", found["created"]),
        ("on disk", size_text(found["bytes_on_disk"])),
        *(("note", note) for note in found["notes"]),
    ]
    click.echo(table(rows, "  "))
    for repo in found["repos"]:
        click.echo(f"repo {repo['uuid']}  {repo['alias']}".rstrip())
        click.echo(f"  {repo['versions']} versions, {repo['open']} open; branches: {', '.join(repo['branches'])}")
        for instance in repo["instances"]:
            _print_instance(instance)


def _print_instance(instance: dict[str, Any]) -> None:
    sizes = [] if instance["rows"] is None else [f"{instance['rows']:,} rows"]
    sizes += [] if instance["bytes"] is None else [f"about {size_text(instance['bytes'])}"]
    missing = "" if instance["installed"] else ", which is not installed"
    click.echo(f"  {instance['name']}  [{instance['datatype']}{missing}]  {', '.join(sizes)}".rstrip())
    settings = [f"{name}={value}" for name, value in instance["settings"].items()]
    if settings:
        click.echo(f"    {' '.join(settings)}")
    if instance["syncs"]:
        click.echo(f"    synced to {', '.join(instance['syncs'])}")
