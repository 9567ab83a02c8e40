"""The examples do what they say."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dvidkit.engine import StoreConfig
from dvidkit.kernel import Kernel

FOLDER = Path(__file__).parents[1] / "examples"


def example(name: str) -> Any:
    """The module of an example."""
    spec = importlib.util.spec_from_file_location(f"dvidkit_example_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask(app: Any, *requests: tuple[str, str]) -> list[httpx.Response]:
    """Answers of an application."""

    async def talk() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.request(method, url) for method, url in requests]

    return asyncio.run(talk())


@pytest.fixture
def kernels() -> Iterator[list[Kernel]]:
    """Two kernels in memory."""
    with Kernel(StoreConfig("memory", "")) as one, Kernel(StoreConfig("memory", "")) as two:
        yield [one, two]


def test_embed_starlette(kernels: list[Kernel]) -> None:
    """The service answers below its prefix, the application beside it."""
    home, info = ask(example("embed_starlette").make(kernels[0]), ("GET", "/"), ("GET", "/dvid/api/server/info"))
    assert home.text == "home"
    assert info.json()["Mode" if "Mode" in info.json() else "Cores"]


def test_embed_fastapi(kernels: list[Kernel]) -> None:
    """What is made over HTTP is seen by the application's own endpoints."""
    made, branches = ask(example("embed_fastapi").make(kernels[0]), ("POST", "/dvid/api/repos"), ("GET", "/branches"))
    assert branches.json() == {made.json()["root"]: ["master"]}


def test_two_kernels(kernels: list[Kernel]) -> None:
    """One takes changes, the other refuses them; neither sees the other's repos."""
    app = example("two_kernels").make(*kernels)
    made, refused = ask(app, ("POST", "/current/api/repos"), ("POST", "/archive/api/repos"))
    assert (made.status_code, refused.status_code) == (200, 400)
    current, archive = ask(app, ("GET", "/current/api/repos/info"), ("GET", "/archive/api/repos/info"))
    assert (len(current.json()), len(archive.json())) == (1, 0)


def test_python_api(capsys: pytest.CaptureFixture[str]) -> None:
    """It prints the two sizes and leaves the parent as it was."""
    assert example("python_api").main() == [[0, 0, 1, 2]]
    assert capsys.readouterr().out == "8192 voxels of the first section before, 2048 after\n"
