"""Endpoints that plugins offer to a service."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

import httpx
import pytest

from dvidkit.endpoints import Request, Response, endpoint
from dvidkit.engine import StoreConfig
from dvidkit.hookspecs import hookimpl
from dvidkit.http import create_app
from dvidkit.http.api import Api
from dvidkit.http.groups import offered
from dvidkit.kernel import Kernel
from dvidkit.plugins import Plugins


class Greetings(Api):
    """A group of one row."""

    title: ClassVar[str] = "Greetings"
    aliases: ClassVar[Mapping[str, str]] = {"hi": "hello"}

    @endpoint("POST", "hello/{name}", status=201)
    def greet(self, request: Request) -> Response:
        """Greet somebody."""
        return Response(f"hello {request.path['name']}".encode(), status=201)


class Intruder(Api):
    """A group that would answer what is the service's."""

    @endpoint("GET", "api/help")
    def help(self, request: Request) -> Response:
        """Nothing."""
        return Response()


class Offering:
    """A plugin that offers what it is given."""

    def __init__(self, *groups: Any, fails: bool = False) -> None:
        self._groups = groups
        self._fails = fails

    @hookimpl
    def dvidkit_endpoints(self) -> tuple[Any, ...]:
        """Offer it, or fail."""
        if self._fails:
            raise ImportError("no such driver")
        return self._groups


def plugins(**offering: Offering) -> Plugins:
    """Those of the engine in memory, and some."""
    import dvidkit_memory.plugin

    return Plugins({"memory": dvidkit_memory.plugin, **offering}, installed=False)


def test_a_group_is_part_of_the_service() -> None:
    """Its rows are routed, by the other name of their first segment too; it is in the OpenAPI document, once."""
    from dvidkit.http.openapi import openapi_document

    with Kernel(StoreConfig("memory", ""), plugins=plugins(one=Offering(Greetings))) as kernel:
        app = create_app(kernel)
        assert app.routes.beginnings >= {"hello", "hi", "api", "metrics"}
        for segment in ("hello", "hi"):
            found = app.routes.find("POST", [segment, "ann"])
            assert found is not None
            route, parameters = found
            assert route.handler(Request("POST", parameters)).body == b"hello ann"
        paths = openapi_document(app)["paths"]
        assert "201" in paths["/hello/{name}"]["post"]["responses"]
        assert "/hi/{name}" not in paths
        app.pool.close()


class Pondering(Api):
    """A group whose row says what only rows of datatypes can say."""

    @endpoint("GET", "ponder/{what}", heavy=True, brief="is_brief")
    def ponder(self, request: Request) -> Response:
        """Which thread ponders it."""
        return Response(f"{request.path['what']} in {threading.current_thread().name}".encode())


def test_heavy_rows_of_a_group_have_a_thread() -> None:
    """Whether something is brief is asked of data instances alone."""

    async def answer() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get("/ponder/why")

    with Kernel(StoreConfig("memory", ""), plugins=plugins(one=Offering(Pondering))) as kernel:
        app = create_app(kernel)
        found = asyncio.run(answer())
        app.pool.close()
    assert (found.status_code, found.text[:19]) == (200, "why in dvidkit-http")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Offering(fails=True), "no such driver"),
        (Offering(Intruder), "begin with 'api'"),
        (Offering(int), "not a subclass of Api"),
        (Offering(Greetings, Greetings), "begin with 'hello'"),
    ],
)
def test_a_plugin_that_fails_disturbs_no_other(wrong: Offering, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """What it offers is left out, with the reason in the log; what the others offer is there."""
    with caplog.at_level(logging.ERROR, "dvidkit.http.groups"):
        found = offered(plugins(first=Offering(Greetings), wrong=wrong))
    assert found == (Greetings,)
    assert said in caplog.text
    assert "wrong" in caplog.text


def test_the_first_of_two_that_answer_the_same() -> None:
    """Keeps it: a segment that paths begin with has one owner."""
    other = type("Other", (Greetings,), {"__doc__": "The same rows."})
    assert offered(plugins(one=Offering(Greetings), two=Offering(other))) == (Greetings,)
