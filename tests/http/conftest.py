"""A service in process, over a kernel in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from dvidkit_conformance.samples import Samples

from dvidkit.engine import StoreConfig
from dvidkit.http import App, ServiceConfig, create_app
from dvidkit.kernel import Kernel
from dvidkit.plugins import Plugins
from dvidkit.repo import Repo

SECRET = "s" * 32


class Service:
    """An app, and a client of it. Each request runs in the loop of the service.

    Attributes:
        app, kernel, repo: what is served; ``repo`` has an open root, ``t`` (tally) and ``roi``.
        samples: the plugin of the sample datatypes.
    """

    def __init__(self, **config: Any) -> None:
        self.samples = Samples()
        self.kernel = Kernel(StoreConfig("memory", ""), plugins=Plugins({"samples": self.samples}))
        self.repo: Repo = self.kernel.repos.create("demo", "a repo")
        self.repo.create_instance("sample-tally", "t")
        self.repo.create_instance("sample-mirror", "m")
        self.repo.create_instance("roi", "roi")
        self.app: App = create_app(self.kernel, ServiceConfig(**config))
        self.loop = asyncio.new_event_loop()

    @property
    def uuid(self) -> str:
        """Of the root."""
        return self.repo.uuid

    @property
    def node(self) -> str:
        """URL of the root version."""
        return f"/api/node/{self.uuid}"

    def __call__(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request."""

        async def send() -> httpx.Response:
            async with self.client() as client:
                return await client.request(method, url, **options)

        return self.run(send())

    def client(self) -> httpx.AsyncClient:
        """A client for use inside the loop."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://test")

    def run(self, coroutine: Any) -> Any:
        """Run in the service's loop."""
        return self.loop.run_until_complete(coroutine)

    def close(self) -> None:
        """End everything."""
        self.samples.gate.open(1000)
        self.app.pool.close()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.kernel.close()


MakeService = Callable[..., Service]


@pytest.fixture
def make_service() -> Iterator[MakeService]:
    """A function that makes services with settings of ``ServiceConfig``."""
    made: list[Service] = []

    def make(**config: Any) -> Service:
        service = Service(**config)
        made.append(service)
        return service

    yield make
    for service in made:
        service.close()


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service that asks nobody for anything."""
    return make_service()


@pytest.fixture
def secret() -> str:
    """A secret for tokens."""
    return SECRET


@pytest.fixture
def volume(service: Any) -> Any:
    """A service whose repo ``demo`` has a channel of each type at its root, with voxels from ``OFFSET`` on."""
    from dvidkit_conformance.service.boss import OFFSET, voxels

    for name in ("uint8", "uint16", "uint32", "uint64", "float32"):
        service.repo.create_instance(f"{name}blk", name, BlockSize="4,6,5", VoxelSize="4,8,40")
        service.repo.root[name].write(OFFSET, voxels(name))
    return service
