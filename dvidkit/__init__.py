"""dvidkit: a versioned dataservice for large images, as a framework.

``dvidkit.open(path)`` gives a ``Kernel`` with repos; engines and datatypes are plugins. What is exported here is what
embedding programs and plugin authors need; everything else is found in the module that ``docs/architecture.md`` names.
"""

from __future__ import annotations

from dvidkit.context import Context, DataContext, MetadataContext, VersionedContext
from dvidkit.datatype import Datatype
from dvidkit.endpoints import Endpoint, Query, Request, Response, endpoint
from dvidkit.engine import (
    Batch,
    ByteReader,
    ByteStore,
    Capabilities,
    Capability,
    Engine,
    Limits,
    Loss,
    OpenReport,
    Snapshot,
    StoreConfig,
)
from dvidkit.errors import DvidkitError
from dvidkit.hookspecs import hookimpl
from dvidkit.instance import DataInstance
from dvidkit.kernel import Kernel
from dvidkit.kernel import open_kernel as open  # noqa: A004 - dvidkit.open is what users write
from dvidkit.keys import TKeyClass
from dvidkit.mutations import Mutation
from dvidkit.plugins import Plugins
from dvidkit.repo import Repo, Version
from dvidkit.resolve import Conflict
from dvidkit.settings import Settings
from dvidkit.store import Store, StoreSnapshot
from dvidkit.versions import VersionDAG

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "ByteReader",
    "ByteStore",
    "Capabilities",
    "Capability",
    "Conflict",
    "Context",
    "DataContext",
    "DataInstance",
    "Datatype",
    "DvidkitError",
    "Endpoint",
    "Engine",
    "Kernel",
    "Limits",
    "Loss",
    "MetadataContext",
    "Mutation",
    "OpenReport",
    "Plugins",
    "Query",
    "Repo",
    "Request",
    "Response",
    "Settings",
    "Snapshot",
    "Store",
    "StoreConfig",
    "StoreSnapshot",
    "TKeyClass",
    "Version",
    "VersionDAG",
    "VersionedContext",
    "endpoint",
    "hookimpl",
    "open",
]
