"""``dvidkit repos``, ``repo`` and ``node`` on a server that has the store open."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dvidkit_conformance.service.process import Served

from dvidkit.cli import main

Start = Callable[..., Served]
WORD = "letmein"


class Command:
    """The command, on a store or a server."""

    def __init__(self, store: str) -> None:
        self.store = store

    def run(self, *words: str, code: int = 0, env: dict[str, str] | None = None, stdin: bytes | None = None) -> Result:
        """Run it; no traceback may be shown, and what fails says so in one line."""
        environment = {"DVIDKIT_STORE": self.store, "DVIDKIT_ADMIN_TOKEN": None, **(env or {})}
        result = CliRunner().invoke(main, words, env=environment, input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        assert "Traceback" not in result.output
        assert code != 1 or (result.stdout == "" and result.stderr.count("\n") == 1), result.output
        return result

    def text(self, *words: str) -> str:
        """Standard output without the last line end."""
        return self.run(*words).stdout.removesuffix("\n")

    def fails(self, *words: str, **options: Any) -> str:
        """The line that says why."""
        return self.run(*words, code=1, **options).stderr

    def repos(self) -> list[dict[str, Any]]:
        """As ``repos list`` has them."""
        found: list[dict[str, Any]] = json.loads(self.text("repos", "list", "--json"))
        return found


@pytest.fixture(params=["store", "server"])
def command(request: pytest.FixtureRequest, start: Start, tmp_path: Path) -> Command:
    """The command on a directory, and on a server that has it open."""
    path = tmp_path / "store"
    served = start() if request.param == "server" else None
    if served is None:
        assert CliRunner().invoke(main, ["init", str(path)]).exit_code == 0
    return Command(served.url if served else str(path))


def test_a_life(command: Command) -> None:
    """Repos, instances, versions, branches, merges, tags and deletions: the same on a store and on a server."""
    root = command.text("repos", "new", "medulla", "a column", "uuid=" + "ab" * 16, f"passcode={WORD}")
    assert root == "ab" * 16
    gray = command.text("repo", ":master", "new", "uint8blk", "gray", "BlockSize=64,64,64")
    command.text("repo", root[:5], "new", "keyvalue", "notes")
    assert len(gray) == 32
    command.run("node", root, "note", "begun: ümlaut/slash")
    command.run("node", root, "log", "one", "two")
    assert command.text("node", root, "commit", "-m", "done", "-l", "three") == root
    left = command.text("repo", root, "newversion", "-m", "on")
    right = command.text("repo", root, "branch", "side", "cd" * 16, "-m", "a try")
    assert right == "cd" * 16
    assert command.repos() == [
        {
            "uuid": root,
            "alias": "medulla",
            "description": "a column",
            "versions": 3,
            "branches": {"master": left, "side": right},
            "instances": ["gray", "notes"],
        }
    ]
    command.run("repo", right, "make-master", "old")
    assert command.repos()[0]["branches"] == {"master": right, "old": left}
    for version in (left, right):
        command.run("node", version, "commit")
    assert command.text("node", ":master", "tag", "v1") == "v1"
    merged = command.text("repo", left, "merge", ":master", "-m", "both")
    decided = command.text("repo", right, "resolve", left, "-d", "notes")
    assert len({merged, decided, left, right}) == 4
    command.run("repo", root, "rename", "gray", "em", WORD)
    command.run("repo", root, "delete", gray, WORD, "--yes")
    assert command.repos()[0]["instances"] == ["notes"]
    other = command.text("repos", "new", "other")
    command.run("repos", "delete", root, WORD, "--yes")
    assert [each["uuid"] for each in command.repos()] == [other]


def test_what_is_refused(command: Command) -> None:
    """Says why in one line, in the same words, and changes nothing."""
    root = command.text("repos", "new", "medulla", f"passcode={WORD}")
    command.text("repo", root, "new", "keyvalue", "notes")
    before = command.repos()
    assert "notes" in command.fails("repo", root, "new", "keyvalue", "notes")
    assert "no datatype 'nothing'" in command.fails("repo", root, "new", "nothing", "x")
    assert "master" in command.fails("repo", root, "make-master", "old")
    assert "master cannot be hidden" in command.fails("repo", root, "hide-branch", "master")
    assert "passcode" in command.fails("repo", root, "rename", "notes", "other", "wrong")
    assert "passcode" in command.fails("repo", root, "delete", "notes", "wrong", "--yes")
    assert "no data instance 'nothing'" in command.fails("repo", root, "delete", "nothing", WORD, "--yes")
    assert "passcode" in command.fails("repos", "delete", root, "wrong", "--yes")
    assert "committed" in command.fails("repo", root, "newversion")
    assert "ffff" in command.fails("node", "ffff", "commit")
    assert "full UUID" in command.run("repos", "delete", root[:9], WORD, "--yes", code=2).stderr
    assert command.repos() == before


def test_values(command: Command) -> None:
    """Set, read, listed and deleted, byte for byte, under any name."""
    root = command.text("repos", "new", "medulla")
    command.text("repo", root, "new", "keyvalue", "notes")
    at = (command.store, ":master", "notes")
    values = {"a": b"", "b c d": b"\r\n\x00\xff", "ü?#%2A": b"x" * 100_000, "..": b"dots"}
    for key, value in values.items():
        command.run("put", *at, key, stdin=value)
        assert command.run("get", *at, key).stdout_bytes == value
    assert json.loads(command.text("keys", *at, "--json")) == sorted(values, key=str.encode)
    command.run("delete", *at, "b c d")
    command.run("delete", *at, "never there")
    assert "no key 'b c d'" in command.fails("get", *at, "b c d")
    command.run("node", root, "commit")
    for words in (("put", *at, "a"), ("delete", *at, "a")):
        assert root in command.fails(*words, stdin=b"new")
    assert command.run("get", *at, "a").stdout_bytes == b""
    assert "nothing" in command.fails("get", command.store, ":master", "nothing", "a")


@pytest.mark.parametrize("typename", ["uint8blk", "uint16blk", "float32blk", "rgba8blk"])
def test_volumes(command: Command, tmp_path: Path, typename: str) -> None:
    """A volume at any place goes in and comes out voxel for voxel; what does not fit changes nothing."""
    np = pytest.importorskip("numpy")
    dtype, channels = {"uint8blk": ("u1", ()), "uint16blk": ("u2", ()), "float32blk": ("f4", ())}.get(
        typename, ("u1", (4,))
    )
    volume = np.random.default_rng(1).integers(0, 200, (45, 37, 70, *channels)).astype(dtype)
    np.save(tmp_path / "volume.npy", volume)
    np.save(tmp_path / "other.npy", volume.astype("f8"))
    root = command.text("repos", "new", "medulla")
    command.text("repo", root, "new", typename, "em")
    at = (command.store, ":master", "em")
    assert "float64" in command.fails("import", *at, str(tmp_path / "other.npy"))
    assert "nothing was ever written" in command.fails("export", *at, str(tmp_path / "none.npy"))
    command.run("import", *at, str(tmp_path / "volume.npy"), "--offset", "-7,5,33")
    command.run("export", *at, str(tmp_path / "out.npy"), "--offset", "-7,5,33", "--size", "70,37,45")
    assert (np.load(tmp_path / "out.npy") == volume).all()
    command.run("export", *at, str(tmp_path / "part.npy"), "--offset", "-2,6,40", "--size", "30,20,10")
    assert (np.load(tmp_path / "part.npy") == volume[7:17, 1:21, 5:35]).all()
    command.run("export", *at, str(tmp_path / "all.npy"))
    assert (np.load(tmp_path / "all.npy").ravel() != 0).sum() == (volume != 0).sum()


def test_what_needs_a_directory(start: Start) -> None:
    """Other commands say that they are not for servers, and an instance is made first."""
    url = start().url
    for name in ("info", "log", "verify"):
        assert "not on a server" in Command(url).fails(name, url)
    Command(url).text("repos", "new", "medulla")
    told = Command(url).run("import", url, ":master", "em", __file__, "--create", "uint8blk", code=1)
    assert "dvidkit repo :master new uint8blk em" in told.stderr or "npy" in told.stderr


def test_hidden_branches_are_left_out(command: Command) -> None:
    """Of listings, on a server too."""
    root = command.text("repos", "new", "medulla")
    command.run("node", root, "commit")
    command.text("repo", root, "branch", "side")
    command.run("repo", root, "hide-branch", "side")
    assert "side" not in command.repos()[0]["branches"]


def test_settings_that_a_datatype_does_not_have(start: Start) -> None:
    """A server ignores them, as DVID's does; the command says so."""
    command = Command(start().url)
    root = command.text("repos", "new", "medulla")
    told = command.run("repo", root, "new", "keyvalue", "notes", "Colour=red")
    assert "ignored settings" in told.stderr
    assert "Colour" in told.stderr or "colour" in told.stderr


def test_the_admin_token_is_shown(start: Start, tmp_path: Path) -> None:
    """What only administrators may do needs ``DVIDKIT_ADMIN_TOKEN``."""
    (tmp_path / "token").write_text("0123456789abcdef0123456789abcdef")
    served = start(tmp_path / "store", "--admin-token-file", tmp_path / "token")
    command, admin = Command(served.url), {"DVIDKIT_ADMIN_TOKEN": "0123456789abcdef0123456789abcdef"}
    assert "admin token" in command.fails("repos", "new", "medulla")
    root = command.run("repos", "new", "medulla", env=admin).stdout.strip()
    assert "admin token" in command.fails("repos", "delete", root, "--yes", env={"DVIDKIT_TOKEN": "wrong"})
    assert [each["uuid"] for each in command.repos()] == [root]
    command.run("repos", "delete", root, "--yes", env=admin)
    assert command.repos() == []


@pytest.fixture
def page() -> Iterator[str]:
    """The URL of a server that is none of DVID's API."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if "/key/" in self.path else 200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_no_server_and_another_one(page: str) -> None:
    """One line that names the address."""
    assert "is no server of DVID's API" in Command(page).fails("repos", "list")
    assert "<html>" in Command(page).fails("get", page, ":master", "notes", "a")
    assert "no answer from http://127.0.0.1:1" in Command("http://127.0.0.1:1").fails("repos", "list")
    assert "no answer from http://" in Command("http://").fails("repos", "list")
    assert "no answer from http://[x" in Command("http://[x").fails("repos", "list")
