"""Pieces of a body, had at once or waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dvidkit.http.status import HTTPError
from dvidkit.http.wire import UNCOUNTED, Pace, content_length, read_body, receive_within

PIECE = {"type": "http.request", "body": b"x", "more_body": False}


def received(receive: Any, seconds: float = 20) -> Any:
    """What comes of one piece, in a loop of its own."""
    return asyncio.run(receive_within(receive, seconds))


def test_a_piece_that_is_there() -> None:
    """What is there at once is returned, also without a loop to wait in: nothing is waited for."""

    async def receive() -> Any:
        return PIECE

    with pytest.raises(StopIteration) as end:
        receive_within(receive, 0).send(None)
    assert end.value.value is PIECE


def test_a_piece_that_comes_later() -> None:
    """What takes several waits is returned when it has come."""

    async def receive() -> Any:
        await asyncio.sleep(0)
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.001, future.set_result, PIECE)
        return await future

    assert received(receive) is PIECE


def test_a_piece_that_does_not_come() -> None:
    """After the time it is 408, and who was to bring it is told to stop."""
    stopped = []

    async def receive() -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.append(True)

    with pytest.raises(HTTPError) as refused:
        received(receive, 0.01)
    assert (refused.value.status, stopped) == (408, [True])


def test_who_waits_may_be_cancelled() -> None:
    """A cancelled request cancels what it waits for, and is cancelled itself."""
    stopped = []

    async def receive() -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.append(True)

    async def cancelled() -> None:
        task = asyncio.ensure_future(receive_within(receive, 60))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert stopped == [True]


@pytest.mark.parametrize("waits", [0, 1, 2])
def test_what_receive_raises_is_raised(waits: int) -> None:
    """At once, or after some waiting."""

    async def receive() -> Any:
        for _ in range(waits):
            await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        received(receive)


@pytest.mark.parametrize("waits", [0, 1])
def test_a_client_that_went_away(waits: int) -> None:
    """The request is broken off with 400."""

    async def receive() -> Any:
        for _ in range(waits):
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    with pytest.raises(HTTPError) as refused:
        received(receive)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("headers", "version", "length"),
    [
        ([], "1.1", 0),
        ([], "2", None),
        ([(b"content-length", b"12")], "2", 12),
        ([(b"content-length", b"12")], "1.1", 12),
        ([(b"content-length", b"12"), (b"transfer-encoding", b"chunked")], "1.1", None),
        ([(b"transfer-encoding", b"chunked"), (b"content-length", b"x")], "1.1", None),
    ],
)
def test_how_long_a_body_is_said_to_be(headers: Any, version: str, length: int | None) -> None:
    """A number if one was given, none with a transfer encoding, nothing at all before HTTP/2."""
    assert content_length({"headers": headers, "http_version": version}) == length


@pytest.mark.parametrize("text", [b"", b"-1", b"+1", b"1.0", b"x", b" 1", b"1_0", "²".encode(), b"1" * 19])
def test_a_length_that_is_no_number(text: bytes) -> None:
    """Nothing but plain digits, and not too many."""
    with pytest.raises(HTTPError) as refused:
        content_length({"headers": [(b"content-length", text)]})
    assert refused.value.status == 400


@pytest.mark.parametrize("limit", [3, 1000, 1 << 20])
@pytest.mark.parametrize("length", [None, 4, 5, 6, 1 << 16, (1 << 16) + 1])
@pytest.mark.parametrize("size", [5, 1 << 16, (1 << 16) + 1])
def test_a_body_in_one_piece_is_the_body_in_two(limit: int, length: int | None, size: int) -> None:
    """A small body that comes at once takes a short way: it has the same outcome as one that comes in pieces."""
    body = bytes(range(256)) * (size // 256 + 1)
    whole, halves = [body[:size]], [body[:2], body[2:size]]

    def read(pieces: list[bytes]) -> object:
        left = list(pieces)
        grown: list[int] = []

        async def receive() -> Any:
            piece = left.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(left)}

        async def grow(size: int) -> None:
            grown.append(size)

        try:
            found = asyncio.run(read_body(receive, limit, Pace(20, 1000), length, grow))
        except HTTPError as error:
            return error.status, error.text
        return found, [size for size in grown if size > UNCOUNTED]

    assert read(whole) == read(halves)
