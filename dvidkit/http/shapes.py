"""Repos, versions and instances as the JSON that DVID's clients read.

Source: DVID ``datastore/repo_local.go`` (``MarshalJSON`` of repoT, dagT, nodeT) and ``datastore/datainstance.go``.
"""

from __future__ import annotations

from typing import Any, Final

from dvidkit.instance import DataInstance
from dvidkit.records import NodeRecord
from dvidkit.repo import Repo, Version
from dvidkit.settings import Settings

_COMPRESSIONS: Final = {
    "none": "No compression, level -1",
    "snappy": "Go Snappy compression, level -1",
    "lz4": "LZ4 compression, level -1",
    "jpeg": "jpeg compression, level -1",
}
_CHECKSUMS: Final = {"none": "No checksum", "crc32": "CRC32 checksum"}


def repo_json(repo: Repo) -> dict[str, Any]:
    """A repo with its DAG and instances; extents are those of the head of master."""
    record = repo.record
    head = repo.head()
    visible = {version.id for version in repo.versions if not version.record.hidden}
    return {
        "Root": record.root,
        "Alias": record.alias,
        "Description": record.description,
        "Log": list(record.log),
        "Properties": record.properties,
        "DataInstances": {name: instance_json(instance, head) for name, instance in sorted(repo.instances.items())},
        "DAG": {
            "Root": record.root,
            "Nodes": {
                version.uuid: node_json(repo, version.record, visible)
                for version in repo.versions
                if version.id in visible
            },
        },
        "MutationID": repo.mutation_id,
        "SavedMutationID": repo.mutation_id,
        "Created": record.created,
        "Updated": max([record.updated, *(node.updated for node in repo.nodes.values())]),
    }


def node_json(repo: Repo, node: NodeRecord, visible: set[Any]) -> dict[str, Any]:
    """A version; parents and children by version id."""
    return {
        "Branch": node.branch,
        "Note": node.note,
        "Log": list(node.log),
        "UUID": node.uuid,
        "VersionID": node.version,
        "Locked": node.locked,
        "Parents": list(node.parents),
        "Children": [child for child in repo.dag.children(node.version) if child in visible],
        "Created": node.created,
        "Updated": node.updated,
    }


def instance_json(instance: DataInstance, version: Version) -> dict[str, Any]:
    """A data instance with its settings, and what its datatype adds as this version sees it."""
    record, datatype = instance.record, instance.datatype
    shown: dict[str, Any] = {
        "Base": {
            "TypeName": record.typename,
            "TypeURL": datatype.url,
            "TypeVersion": record.type_version,
            "DataUUID": record.uuid,
            "Name": record.name,
            "RepoUUID": record.root,
            "Compression": compression_text(instance.settings),
            "Checksum": _CHECKSUMS[instance.settings.checksum],
            "Syncs": [source.name for source in instance.syncs],
            "Versioned": instance.versioned,
            "KVStore": instance.store.engine.name,
            "LogStore": instance.store.engine.name,
            "Tags": dict(instance.settings.tags),
        },
        "Extended": {} if instance.missing else dict(instance.at(version).extended()),
    }
    extended = shown["Extended"]
    if "MinPoint" in extended and "MaxPoint" in extended:
        shown["Extents"] = {"MinPoint": extended["MinPoint"], "MaxPoint": extended["MaxPoint"]}
    return shown


def compression_text(settings: Settings) -> str:
    """The compression of an instance in DVID's words, which Neuroglancer looks into."""
    if settings.compression == "gzip":
        return f"gzip compression, level {settings.gzip_level}"
    return _COMPRESSIONS[settings.compression]
