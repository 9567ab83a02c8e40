"""A real browser, headless, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("uvicorn")
pytest.importorskip("lmdb")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader",
    "--window-size=900,700",
    "--remote-debugging-port=0",
)
PATIENCE = 60.0


class Page:
    """A page of the browser.

    Attributes:
        messages: errors that the page raised, logged, or met in the network; none in a good page.
    """

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._next = 0
        self.messages: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command; its result."""
        self._next += 1
        self._socket.send(json.dumps({"id": self._next, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(PATIENCE))
            if message.get("id") == self._next:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        kind, details = message.get("method"), message.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.messages.append(str(details["exceptionDetails"]))
        elif kind == "Log.entryAdded" and details["entry"]["level"] == "error":
            self.messages.append(f"{details['entry']['text']} {details['entry'].get('url', '')}")

    def open(self, url: str) -> None:
        """Go to a page, from an empty one, so that nothing of another is left."""
        self.call("Page.navigate", url="about:blank")
        assert "errorText" not in self.call("Page.navigate", url=url)

    def js(self, code: str) -> Any:
        """The value of an expression; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, code: str) -> Any:
        """Wait until an expression is true; its value."""
        deadline = time.monotonic() + PATIENCE
        while not (value := self.js(code)):
            assert time.monotonic() < deadline, (code, self.messages, self.js("document.body?.innerText"))
            time.sleep(0.1)
        return value

    def picture(self) -> Any:
        """What is seen: uint8 (rows, columns, 3)."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The browser; the address of its one page. Skips, and says so, where there is none."""
    if not CHROMIUM or find_spec("websockets") is None:
        pytest.skip("NOT TESTED: no chromium (apt-get install chromium) or no websockets (pip install --group clients)")
    profile = tmp_path_factory.mktemp("profile")
    with open(profile / "log", "wb") as log:
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield _page_address(profile / "log", process)
    finally:
        process.terminate()
        process.wait(30)


def _page_address(log: Path, process: subprocess.Popen[bytes]) -> str:
    import urllib.request

    deadline = time.monotonic() + PATIENCE
    while True:
        found = re.search(r"DevTools listening on ws://([^/]+)/", log.read_text("utf-8", errors="replace"))
        if found:
            with urllib.request.urlopen(f"http://{found[1]}/json/list") as answer:
                pages = [each for each in json.loads(answer.read()) if each["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        waiting = process.poll() is None and time.monotonic() < deadline
        assert waiting, log.read_text("utf-8", errors="replace")
        time.sleep(0.1)


@pytest.fixture
def page(browser: str) -> Iterator[Page]:
    """A page, empty."""
    from websockets.sync.client import connect

    with connect(browser, max_size=None, proxy=None, open_timeout=60) as socket:
        page = Page(socket)
        yield page
        page.open("about:blank")
