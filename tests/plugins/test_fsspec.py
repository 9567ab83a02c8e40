"""``dvid://``: fsspec's own abstract suites over HTTP and in process, and what is dvidkit's own.

Of the suites nothing is left out. What depends on empty folders is told that there are none, as for object stores.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec")
pytest.importorskip("lmdb")
pytest.importorskip("uvicorn")

import fsspec
from dvidkit_conformance.service.process import Served
from dvidkit_fsspec.filesystem import DvidFileSystem
from dvidkit_fsspec.httpvalues import HttpValues
from dvidkit_fsspec.place import Place
from fsspec.tests import abstract

from dvidkit.engine import StoreConfig
from dvidkit.kernel import Kernel


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server in a process of its own."""
    folder = tmp_path_factory.mktemp("served")
    with Served(folder / "store", log=folder / "log") as server:
        yield server


@pytest.fixture(scope="module")
def remote(served: Served) -> tuple[DvidFileSystem, str]:
    """The file system over HTTP, and a path in it."""
    client = served.client()
    uuid = client.post("/api/repos", {"alias": "files"}).json()["root"]
    client.post(f"/api/repo/{uuid}/instance", {"typename": "keyvalue", "dataname": "kv"})
    return fsspec.filesystem("dvid"), f"{served.url.removeprefix('http://')}/{uuid}/kv"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """A kernel in memory with a repo."""
    with Kernel(StoreConfig("memory", "")) as kernel:
        kernel.repos.create("r").create_instance("keyvalue", "kv")
        yield kernel


@pytest.fixture(scope="module")
def local(kernel: Kernel) -> tuple[DvidFileSystem, str]:
    """The file system in process, and a path in it."""
    (repo,) = kernel.repos
    return DvidFileSystem(kernel), f"{repo.uuid}/kv"


Files = tuple[Any, str]


class Fixtures(abstract.AbstractFixtures):  # type: ignore[misc]
    """What the suites ask for."""

    where = "local"

    @pytest.fixture
    def place(self, request: pytest.FixtureRequest) -> tuple[DvidFileSystem, str]:
        """The file system and the path."""
        found: tuple[DvidFileSystem, str] = request.getfixturevalue(self.where)
        return found

    @pytest.fixture
    def fs(self, place: tuple[DvidFileSystem, str]) -> DvidFileSystem:
        return place[0]

    @pytest.fixture
    def fs_path(self, place: tuple[DvidFileSystem, str]) -> str:
        return place[1]

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class RemoteFixtures(Fixtures):
    """The same over HTTP."""

    where = "remote"


class TestLocalCopy(abstract.AbstractCopyTests, Fixtures):  # type: ignore[misc]
    """Copies within."""


class TestLocalGet(abstract.AbstractGetTests, Fixtures):  # type: ignore[misc]
    """Copies out."""


class TestLocalPut(abstract.AbstractPutTests, Fixtures):  # type: ignore[misc]
    """Copies in."""


class TestLocalOpen(abstract.AbstractOpenTests, Fixtures):  # type: ignore[misc]
    """Files."""


class TestLocalPipe(abstract.AbstractPipeTests, Fixtures):  # type: ignore[misc]
    """Whole values."""


class TestRemoteCopy(abstract.AbstractCopyTests, RemoteFixtures):  # type: ignore[misc]
    """Copies within."""


class TestRemoteGet(abstract.AbstractGetTests, RemoteFixtures):  # type: ignore[misc]
    """Copies out."""


class TestRemotePut(abstract.AbstractPutTests, RemoteFixtures):  # type: ignore[misc]
    """Copies in."""


class TestRemoteOpen(abstract.AbstractOpenTests, RemoteFixtures):  # type: ignore[misc]
    """Files."""


class TestRemotePipe(abstract.AbstractPipeTests, RemoteFixtures):  # type: ignore[misc]
    """Whole values."""


# --- our own ---------------------------------------------------------------------------------------------------------


def opened(url: str, mode: str = "rb", **options: Any) -> Any:
    """A file, as ``fsspec.open`` finds it."""
    return fsspec.open(url, mode, **options)


@pytest.fixture(params=["local", "remote"])
def files(request: pytest.FixtureRequest) -> Iterator[Files]:
    """Each of the two, emptied before and afterwards: the suites leave some of their files."""
    fs, path = request.getfixturevalue(request.param)
    _empty(fs, path)
    yield fs, path
    _empty(fs, path)


def _empty(fs: Any, path: str) -> None:
    if fs.ls(path):
        fs.rm(fs.ls(path, detail=False), recursive=True)


def test_files_are_keys(files: Files) -> None:
    """What stands in a file is the value of a key, and the other way round; text, parts, and appending work."""
    fs, path = files
    with fs.open(f"{path}/a/b c%.txt", "w", encoding="utf-8") as file:
        file.write("één\n" * 1000)
    assert fs.size(f"{path}/a/b c%.txt") == 6000
    with fs.open(f"{path}/a/b c%.txt", "rb", block_size=16) as file:
        file.seek(5990)
        assert file.read(4) == "één\n".encode()[2:][:4]
        assert file.seek(-6, 2) == 5994
        assert file.read() == "één\n".encode()
    with fs.open(f"{path}/a/b c%.txt", "ab") as file:
        file.write(b"end")
    assert fs.cat_file(f"{path}/a/b c%.txt", -3) == b"end"
    assert fs.cat_file(f"{path}/a/b c%.txt", 0, 2) == "é".encode()
    assert fs.cat_file(f"{path}/a/b c%.txt", 9000, 9001) == b""
    fs.pipe_file(f"{path}/empty", b"")
    assert (fs.size(f"{path}/empty"), fs.cat_file(f"{path}/empty")) == (0, b"")
    with fs.open(f"{path}/empty", "rb") as file:
        assert file.read() == b""
    assert fs.find(path) == [f"{path}/a/b c%.txt", f"{path}/empty"]
    assert fs.ls(path, detail=False) == [f"{path}/a", f"{path}/empty"]
    assert fs.du(path) == 6003
    assert fs.glob(f"{path}/**/*.txt") == [f"{path}/a/b c%.txt"]


def test_what_is_not_there(files: Files) -> None:
    """``FileNotFoundError``, also for versions and instances; ``PermissionError`` above an instance."""
    fs, path = files
    version, server = path.rpartition("/")[0], path.split("/")[0]
    for missing in (f"{path}/x", f"{path}/x/y", f"{version}/nothing/x", f"{server}/ffff/kv/x"):
        if missing.startswith("ffff") or (fs._local and missing.count("/") > 3):
            continue
        with pytest.raises(FileNotFoundError):
            fs.cat_file(missing)
        with pytest.raises(FileNotFoundError):
            fs.info(missing)
        assert not fs.exists(missing)
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{path}/x")
    with pytest.raises(PermissionError):
        fs.pipe_file(version, b"x")
    with pytest.raises(PermissionError):
        fs.mkdir(f"{version}")
    with pytest.raises(OSError, match="%2F"):
        fs.pipe_file(f"{path}/a%2Fb", b"x")
    with pytest.raises(NotImplementedError):
        fs.modified(f"{path}/x")


def test_folders_above(files: Files) -> None:
    """A version lists its instances, and what is above it its repos."""
    fs, path = files
    version = path.rpartition("/")[0]
    assert fs.ls(version, detail=False) == [path]
    assert version in fs.ls(version.rpartition("/")[0], detail=False)
    assert fs.isdir(version)
    assert fs.isdir(path)
    assert fs.ls(path) == []


def test_a_file_and_a_folder_of_one_name(files: Files) -> None:
    """Is a file that has something below it."""
    fs, path = files
    fs.pipe({f"{path}/a": b"1", f"{path}/a/b": b"2"})
    assert fs.isfile(f"{path}/a")
    assert fs.cat_file(f"{path}/a/b") == b"2"
    assert fs.ls(f"{path}/a", detail=False) == [f"{path}/a/b"]


def test_committed_versions(kernel: Kernel, served: Served) -> None:
    """Take nothing, and are read for ever; a branch is a path like another."""
    repo = kernel.repos.create("committed")
    repo.create_instance("keyvalue", "kv")
    fs = DvidFileSystem(kernel)
    fs.pipe_file(f"{repo.uuid}/kv/a", b"1")
    repo.root.commit()
    repo.root.new_version()
    with pytest.raises(PermissionError):
        fs.pipe_file(f"{repo.uuid}/kv/a", b"2")
    fs.pipe_file(f"{repo.uuid}:master/kv/a", b"2")
    assert fs.cat_file(f"{repo.uuid}/kv/a") == b"1"
    assert fs.cat_file(f"{repo.uuid}:master~1/kv/a") == b"1"
    client = served.client()
    uuid = client.post("/api/repos", {}).json()["root"]
    client.post(f"/api/repo/{uuid}/instance", {"typename": "keyvalue", "dataname": "kv"})
    client.post(f"/api/node/{uuid}/commit", {})
    url = f"dvid://{served.url.removeprefix('http://')}/{uuid}/kv/a"
    with pytest.raises(PermissionError, match="committed"), opened(url, "wb") as file:
        file.write(b"x")


def test_urls(remote: tuple[DvidFileSystem, str], tmp_path: Path) -> None:
    """The protocol is found by its entry point; a file is what its URL says."""
    _, path = remote
    with opened(f"dvid://{path}/by-url", "wb", user="ann", app="tests") as file:
        file.write(b"x")
    with opened(f"dvid://{path}/by-url") as file:
        assert file.read() == b"x"
    found, where = fsspec.core.url_to_fs(f"dvid://{path}/by-url")
    assert found.unstrip_protocol(where) == f"dvid://{path}/by-url"
    found.get(f"dvid://{path}/by-url", str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == b"x"
    found.rm(f"dvid://{path}/by-url")


def test_servers_that_do_not_answer() -> None:
    """Are an ``OSError``; without a server there is no path."""
    with pytest.raises(ConnectionError):
        DvidFileSystem(timeout=5).cat_file("127.0.0.1:1/u/kv/a")
    with pytest.raises(FileNotFoundError):
        DvidFileSystem().ls("")
    with pytest.raises(ValueError, match="scheme"):
        HttpValues("ftp", {}, {}, 1)


@pytest.mark.parametrize(
    ("path", "local", "place"),
    [
        ("h:1/u/kv/a/b", False, Place("h:1", "u", "kv", "a/b")),
        ("u/kv/a/b/", True, Place("", "u", "kv", "a/b")),
        ("h:1/u", False, Place("h:1", "u")),
        ("", True, Place()),
    ],
)
def test_places(path: str, local: bool, place: Place) -> None:
    """Are taken apart, and put together again."""
    assert Place.of(path, local=local) == place
    assert str(place) == path.strip("/")


def test_transactions(files: Files) -> None:
    """Files of a transaction appear at its end, or not at all."""
    fs, path = files
    with fs.transaction:
        with fs.open(f"{path}/t", "wb") as file:
            file.write(b"x")
        assert not fs.exists(f"{path}/t")
    assert fs.cat_file(f"{path}/t") == b"x"

    def broken() -> Any:
        with fs.transaction:
            with fs.open(f"{path}/u", "wb") as file:
                file.write(b"x")
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        broken()
    assert not fs.exists(f"{path}/u")
