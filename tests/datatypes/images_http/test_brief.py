"""Boxes that are read in the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from dvidkit_conformance.imagery import volume

from dvidkit.endpoints import Request
from dvidkit.engine import StoreConfig
from dvidkit.http import create_app
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo

SIDES = ("1_1_1", "2_3_4", "4_3_2", "9_9_9", "0_1_1", "x_1_1", "1_1", "-1_2_3")
PLACES = ("0_0_0", "1_1_1", "-4_0_0", "2147483647_0_0", "0_0_9999999999", "a_b_c")


@pytest.mark.parametrize("compression", ["none", "lz4", "gzip"])
def test_a_box_read_in_the_event_loop_is_the_one_read_in_a_thread(compression: str, monkeypatch: Any) -> None:
    """What is read or refused at once, as it is brief, has the answer that a thread would give."""
    with Kernel(StoreConfig("memory")) as kernel:
        repo = kernel.repos.create("r")
        instance = repo.create_instance("uint8blk", "gray", BlockSize="4,3,2", Compression=compression)
        repo.root["gray"].write((0, 0, 0), volume())
        app = create_app(kernel)
        urls = [f"/api/node/{repo.uuid}/gray/raw/0_1_2/{size}/{place}" for size in SIDES for place in PLACES]
        urls += [f"{urls[0]}?throttle=on", f"{urls[0]}?roi=none", f"{urls[0]}/jpg", urls[0].replace("0_1_2", "0_1")]

        async def answers() -> list[tuple[int, bytes, Any]]:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                found = [await client.get(url) for url in urls]
            return [(each.status_code, each.content, sorted(each.headers.items())) for each in found]

        in_threads: list[str] = []
        run = app.pool.run

        async def noted(function: Any, *args: Any) -> Any:
            in_threads.append(function.__name__)
            return await run(function, *args)

        monkeypatch.setattr(app.pool, "run", noted)
        chosen = asyncio.run(answers())
        some = len(in_threads)
        monkeypatch.setattr(instance.datatype, "is_brief", lambda self, request: False)
        assert asyncio.run(answers()) == chosen
        app.pool.close()
        assert (some < len(in_threads) - some) == (compression != "gzip")


@pytest.mark.parametrize(
    ("block", "size", "brief"), [("64,64,64", 64, True), ("64,64,64", 65, False), ("32,32,32", 64, False)]
)
def test_what_is_brief(repo: Repo, block: str, size: int, brief: bool) -> None:
    """A block of 256 KiB is read in the event loop; several that other threads would help to decode are not."""
    repo.create_instance("uint8blk", "volume", BlockSize=block)
    request = Request("GET", {"dims": "0_1_2", "size": f"{size}_{size}_{size}", "offset": "0_0_0"})
    assert repo.root["volume"].is_brief(request) == brief
