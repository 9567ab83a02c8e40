"""``dvidkit serve``: started, asked, ended."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

import pytest
from dvidkit_conformance.service.process import Client, Served, until

Start = Callable[..., Served]
Dial = Callable[..., socket.socket]
Config = Callable[..., Path]
MakeRepo = Callable[[Client], str]


def refused(*arguments: Any) -> str:
    """What is said when a server does not start."""
    command = [sys.executable, "-m", "dvidkit.cli", "serve", *map(str, arguments), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode in (1, 2), done
    assert done.stdout == ""
    return done.stderr


# --- starting --------------------------------------------------------------------------------------------------------


def test_a_directory_is_enough(start: Start, repo: MakeRepo, tmp_path: Path) -> None:
    """A store is made, repos live in it, and the next server has them."""
    uuid = repo(start().client())
    with Served(tmp_path / "other", log=tmp_path / "o") as other:
        assert other.client().get("/api/repos/info").json() == {}
    assert (tmp_path / "store" / "dvidkit.toml").exists()
    assert len(uuid) == 32


def test_again_with_the_same_store(start: Start, repo: MakeRepo) -> None:
    """What was answered is there after an orderly end, which leaves with 0."""
    first = start()
    uuid = repo(first.client())
    assert first.end() == 0
    assert list(start().client().get("/api/repos/info").json()) == [uuid]


def test_what_does_not_start(config: Config, tmp_path: Path) -> None:
    """One line that says why; nothing is made."""
    assert "give a configuration" in refused()
    assert "exclude each other" in refused(tmp_path / "s", "--readonly", "--fullwrite")
    assert "did you mean 'httpAddress'" in refused(config('[server]\nhttpAdress = ":1"\n'))
    assert "no engine 'sqlitte'" in refused(tmp_path / "s", "--engine", "sqlitte")
    assert "parent directory does not exist" in refused(tmp_path / "no" / "s")
    assert "no installed plugin takes it" in refused(config("[plugin.nobody]\nx = 1\n"))
    assert "does not exist" in refused(config('[server]\nwebClient = "www"\n'))
    assert "an address is 'host:port'" in refused(config('[server]\nhttpAddress = "8000"\n'))
    assert "cannot listen on no such host:0" in refused(config(), "--host", "no such host")
    assert "Traceback" not in refused(tmp_path / "no.toml")


def test_a_store_that_is_open_elsewhere(start: Start, tmp_path: Path) -> None:
    """Is said to be, with who has it."""
    running = start()
    assert f"pid {running.process.pid}" in refused(tmp_path / "store")


def test_a_port_that_is_taken(start: Start, tmp_path: Path) -> None:
    """Is said before the store is touched."""
    port = start().url.rpartition(":")[2]
    command = [sys.executable, "-m", "dvidkit.cli", "serve", str(tmp_path / "s2"), "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"cannot listen on localhost:{port}" in done.stderr
    assert not (tmp_path / "s2").exists()


def test_check_only_reads(config: Config, tmp_path: Path) -> None:
    """``--check`` says what would be served and what has no effect."""
    file = config('[server]\nrpcAddress = ":8001"\nrwmode = "readonly"\n[email]\nport = 25\n')
    command = [sys.executable, "-m", "dvidkit.cli", "serve", str(file), "--check"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert f"store default: lmdb {tmp_path}/store\nmode readonly, listening on localhost:8000\n" in text
    assert "[server] rpcAddress: " in text
    assert "[email] port: " in text
    assert not (tmp_path / "store").exists()


def test_several_stores(start: Start, tmp_path: Path) -> None:
    """The first is the default; each keeps the engine it was made with."""
    served = start(tmp_path / "one", "--store", f"two={tmp_path / 'b'}", "--store", tmp_path / "three")
    backends = served.client().get("/api/server/info").json()["Storage backend"]
    assert [part.split(":")[0] for part in backends.split(", ")] == ["default", "three", "two"]


# --- what the configuration says -------------------------------------------------------------------------------------


def test_modes(start: Start, repo: MakeRepo, tmp_path: Path) -> None:
    """Read-only needs a store that is there, refuses changes, and several may read at once."""
    assert "no store" in refused(tmp_path / "store", "--readonly")
    first = start()
    uuid = repo(first.client())
    first.end()
    readers = [start(tmp_path / "store", "--readonly").client() for _ in range(2)]
    for client in readers:
        assert client.get(f"/api/repo/{uuid}/info").status == 200
        assert client.post("/api/repos", {}).status == 400
        assert client.get("/api/server/info").json()["Mode"] == "read only"


def test_admin_token_and_masked_configuration(start: Start, config: Config, tmp_path: Path) -> None:
    """The token comes from a file and is shown nowhere, nor are other secrets, nor what a request's URL has."""
    (tmp_path / "token").write_text("open-sesame\n")
    file = config(
        '[server]\nnote = "n"\n[email]\npassword = "hush"\n'
        '[dvidkit]\nadmin_token_file = "token"\naccess_log = "access"\n'
    )
    served = start(file)
    client = served.client()
    assert client.post("/api/repos", {}).status == 403
    assert client.get("/api/server/config").status == 403
    shown = client.get("/api/server/config?admintoken=open-sesame")
    assert shown.status == 200
    assert b"hush" not in shown.body
    assert b'note = "n"' in shown.body
    assert client.post("/api/repos?u=ann&app=tests&admintoken=open-sesame&x=1", {}).status == 200
    served.end()
    lines = [json.loads(line) for line in (tmp_path / "access").read_text().splitlines()]
    assert [line["status"] for line in lines] == [403, 403, 200, 200]
    last = lines[-1]
    assert last["uri"] == "/api/repos?u=ann&app=tests&admintoken=***&x=1"
    assert (last["user"], last["client"], last["method"], last["bytes_in"]) == ("ann", "tests", "POST", 2)
    assert last["bytes_out"] == len(b'{"root": "%s"}' % (b"0" * 32))
    assert abs(last["time"] - time.time()) < 60
    assert re.fullmatch(r"(127\.0\.0\.1|::1):\d+", last["remote_addr"])
    everything = served.errors() + (tmp_path / "access").read_text()
    assert "sesame" not in everything
    assert "hush" not in everything


def test_log_lines_as_json_in_a_file(start: Start, config: Config, tmp_path: Path) -> None:
    """With time, level, logger and message; keys without effect are named."""
    served = start(config('[server]\nrpcAddress = ":1"\n[logging]\nlogfile = "log"\n[dvidkit]\nlog_format = "json"\n'))
    served.end()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {"warning", "info"} <= {line["level"] for line in lines}
    assert any("rpcAddress" in line["message"] and line["logger"] == "dvidkit.http.serving" for line in lines)
    assert any(served.url in line["message"] for line in lines)
    assert served.errors() == ""


def test_pid_file(start: Start, config: Config, tmp_path: Path) -> None:
    """Holds the process id while the server runs."""
    served = start(config('[server]\npidFile = "pid"\n'))
    assert (tmp_path / "pid").read_text() == f"{served.process.pid}\n"
    served.end()
    assert not (tmp_path / "pid").exists()


def test_least_ids(start: Start, config: Config) -> None:
    """New instances and mutations are numbered from there."""
    from dvidkit.engine import StoreConfig
    from dvidkit.http.dvidtoml import from_file
    from dvidkit.http.serving import opened_kernel

    file = config("[server]\ninstance_id_start = 100\nmin_mutation_id_start = 1000100000\n")
    with opened_kernel(from_file(str(file))) as kernel:
        assert isinstance(kernel.stores["default"].config, StoreConfig)
        repo = kernel.repos.create("r")
        assert repo.next_mutation_id() == 1000100000
        datatype = next(iter(kernel.plugins.datatypes), None)
        if datatype is not None:
            assert repo.create_instance(datatype, "a").id == 100
            assert repo.create_instance(datatype, "b").id == 101


class Hook(http.server.BaseHTTPRequestHandler):
    """Remembers what it is told, and answers what it is told to."""

    told: ClassVar[list[tuple[str, bytes]]] = []
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.told.append((self.headers["content-type"], body))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        pass


@pytest.fixture
def hook() -> Iterator[tuple[str, type[Hook]]]:
    """A server that is told when others start."""
    handler = type("Told", (Hook,), {"told": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_webhooks(start: Start, config: Config, hook: tuple[str, type[Hook]]) -> None:
    """Are told of the start, as JSON and as DVID's form; without a 200 there is no start."""
    url, told = hook
    file = config(
        f'[server]\nhost = "me"\nnote = "n"\nhttpAddress = "localhost:1"\n'
        f'startWebhook = "{url}"\nstartJaneliaConfig = "{url}"\n'
    )
    start(file).end()
    (kind, body), (form, config_field) = told.told
    assert (kind, form) == ("application/json", "application/x-www-form-urlencoded")
    assert json.loads(body) == {"Host": "me", "Note": "n", "HTTP Address": "localhost:0", "RPC Address": ""}
    assert parse_qs(config_field.decode())["config"] == [body.decode()]
    told.status = 500
    assert "answered 500" in refused(config(f'[server]\nstartWebhook = "{url}"\n'))
    assert "http or https" in refused(config('[server]\nstartWebhook = "file:///etc/passwd"\n'))


def test_web_client(start: Start, config: Config, tmp_path: Path) -> None:
    """Files beside the endpoints, nothing outside the directory, missing ones as the configuration says."""
    www = tmp_path / "www"
    www.mkdir()
    (tmp_path / "secret").write_text("hush")
    (www / "index.html").write_text("<h1>hello</h1>")
    (www / "a b.js").write_text("1")
    (www / "out").symlink_to(tmp_path / "secret")
    client = start(config('[server]\nwebClient = "www"\n')).client()
    page = client.get("/")
    assert (page.status, page.body) == (200, b"<h1>hello</h1>")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert client.get("/a%20b.js").headers["content-type"].partition(";")[0].endswith("javascript")
    assert client.get("/", if_modified_since=page.headers["last-modified"]).status == 304
    head = client.ask("HEAD", "/index.html")
    assert (head.status, head.headers["content-length"], head.body) == (200, "14", b"")
    for path in ("/../secret", "/%2e%2e/secret", "/out", "/missing", "//etc/passwd", "/a%00b"):
        answer = client.get(path)
        assert answer.status == 404, path
        assert b"hush" not in answer.body
    assert client.get("/api/server/info").status == 200
    assert client.get("/metrics").status == 200
    assert client.post("/index.html").status == 404


@pytest.mark.parametrize(
    ("extra", "status", "what"),
    [('webRedirectPath = "index.html"', 308, "/index.html"), ('webDefaultFile = "index.html"', 200, None)],
)
def test_missing_files_of_the_web_client(
    start: Start, config: Config, tmp_path: Path, extra: str, status: int, what: str | None
) -> None:
    """Redirected, or the default file."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.html").write_text("home")
    client = start(config(f'[server]\nwebClient = "www"\n{extra}\n')).client()
    answer = client.get("/some/where")
    assert (answer.status, answer.headers.get("location")) == (status, what)
    assert client.get("/index.html").body == b"home"


# --- the end ---------------------------------------------------------------------------------------------------------


def begun(path: str, length: int) -> bytes:
    """The headers of a request whose body is yet to come."""
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_under_way_are_answered(start: Start, dial: Dial, number: int) -> None:
    """A signal lets no new connection in, and lets a request that has begun end; what it did is there."""
    served = start()
    body = b'{"alias": "late"}'
    sock = dial(served.url, begun("/api/repos", len(body)))
    served.client().get("/api/heartbeat")
    served.signal(number)
    assert until(lambda: not connects(served.url))
    assert served.process.poll() is None
    sock.sendall(body)
    answer = sock.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert served.wait() == 0
    repos = start().client().get("/api/repos/info").json()
    assert [repo["Alias"] for repo in repos.values()] == ["late"]


def connects(url: str) -> bool:
    """Whether somebody listens."""
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def test_the_end_does_not_wait_for_ever(start: Start, dial: Dial, config: Config) -> None:
    """After ``shutdownDelay`` what has not ended is broken off; stores are closed all the same."""
    served = start(config("[server]\nshutdownDelay = 0.3\n"))
    sock = dial(served.url, begun("/api/repos", 100))
    served.client().get("/api/heartbeat")
    since = time.monotonic()
    served.signal()
    assert served.wait() == 0
    assert 0.2 < time.monotonic() - since < 10
    assert b"200" not in received(sock)
    assert "broken off" in served.errors()


def received(sock: socket.socket) -> bytes:
    """What still comes, to the end."""
    found = b""
    try:
        while piece := sock.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def test_a_second_signal_ends_at_once(start: Start, dial: Dial, config: Config, repo: MakeRepo) -> None:
    """Without waiting; what was answered is there."""
    file = config("[server]\nshutdownDelay = 60\n")
    served = start(file)
    uuid = repo(served.client())
    dial(served.url, begun("/api/repos", 100))
    served.client().get("/api/heartbeat")
    served.signal(signal.SIGINT)
    assert until(lambda: "ending" in served.errors())
    time.sleep(0.2)
    assert served.process.poll() is None
    served.signal(signal.SIGINT)
    assert served.wait(10) == 128 + signal.SIGINT
    assert list(start(file).client().get("/api/repos/info").json()) == [uuid]


# --- connections -----------------------------------------------------------------------------------------------------


HALF_OPEN = {
    "nothing": b"",
    "a method": b"GET /ap",
    "headers": b"GET /api/repos/info HTTP/1.1\r\nhost: x\r\nx-a: b\r\n",
    "empty lines": b"\r\n\r\n",
    "no body": b"POST /api/repos HTTP/1.1\r\nhost: x\r\ncontent-length: 17\r\n\r\n",
    "a long body": b"POST /api/repos HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n{",
}


def test_a_thousand_half_open_connections(start: Start, dial: Dial, config: Config) -> None:
    """Of each kind some: service goes on meanwhile, quickly, and all of them are closed in time."""
    served = start(config("[dvidkit]\nheaders_timeout = 3\nbody_timeout = 3\n"))
    half = [dial(served.url, sent) for sent in HALF_OPEN.values() for _ in range(170)]
    assert len(half) > 1000
    client = served.client(timeout=20)
    since = time.monotonic()
    for n in range(100):
        assert client.get("/api/server/info").status == 200
        assert client.post("/api/repos", {"alias": str(n)}).status == 200
    assert time.monotonic() - since < 15
    deadline = time.monotonic() + 20
    for sock in half:
        sock.settimeout(max(0.01, deadline - time.monotonic()))
        received(sock)
        sock.close()
    assert client.get("/api/heartbeat").status == 200


def test_who_waits_longest_makes_room(start: Start, dial: Dial, config: Config) -> None:
    """At the limit a new connection takes the place of one without a request; one with a request stays."""
    served = start(config("[dvidkit]\nconnections = 10\n"))
    body = b'{"alias": "kept"}'
    busy = dial(served.url, begun("/api/repos", len(body)))
    served.client().get("/api/heartbeat")
    idle = [dial(served.url) for _ in range(30)]
    for _ in range(5):
        assert served.client().get("/api/heartbeat").status == 200
    busy.sendall(body)
    assert busy.recv(100).startswith(b"HTTP/1.1 200")
    assert len([sock for sock in idle if closed(sock)]) >= 20


def closed(sock: socket.socket) -> bool:
    """Whether the other side has closed it."""
    sock.settimeout(0.05)
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def test_headers_without_end_are_refused(start: Start, dial: Dial) -> None:
    """After 64 KiB."""
    served = start()
    sock = dial(served.url, b"GET / HTTP/1.1\r\n")
    try:
        for _ in range(200):
            sock.sendall(b"x-a: " + b"b" * 1000 + b"\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert received(sock)[:12] in (b"HTTP/1.1 431", b"")
    assert served.client().get("/api/heartbeat").status == 200


def test_a_client_that_does_not_read_is_let_go(start: Start, dial: Dial, config: Config) -> None:
    """Of a client that takes nothing of its answer the connection is broken off in time; a slow one is served."""
    served = start(config("[dvidkit]\nbody_timeout = 1\nheaders_timeout = 2\n"))
    question = b"GET /api/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
    size = len(served.client().get("/api/openapi.json").body)
    stuck = dial(served.url)
    asked = 8_000_000 // size
    try:
        for _ in range(asked):
            stuck.settimeout(2)
            stuck.sendall(question)
    except OSError:
        pass
    assert until(lambda: not is_open(stuck), 20)
    assert served.client().get("/api/heartbeat").status == 200


def is_open(sock: socket.socket) -> bool:
    """Whether the other side still has the connection."""
    try:
        sock.settimeout(0.05)
        sock.sendall(b"\r\n")
    except TimeoutError:
        return True
    except OSError:
        return False
    return True


def test_file_limit_is_raised(start: Start) -> None:
    """To what the system allows."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    served = start(wrapper=("sh", "-c", 'ulimit -S -n 300; exec "$@"', "sh"))
    limits = Path(f"/proc/{served.process.pid}/limits").read_text()
    found = re.search(r"Max open files\s+(\d+)", limits)
    assert found is not None
    assert int(found[1]) > 300 or hard <= 300
    assert soft == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert os.path.exists("/proc")
