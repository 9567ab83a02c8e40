"""``get``, ``put``, ``delete`` and ``keys``."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from dvidkit.plugins import Plugins

pytestmark = pytest.mark.skipif("keyvalue" not in Plugins().datatypes, reason="no keyvalue datatype is installed")


@pytest.fixture
def kv(dvidkit: Any) -> Any:
    """The command, and a store with an empty keyvalue instance ``kv`` at an open version."""
    root = dvidkit.repo()
    dvidkit.run("repo", root, "new", "keyvalue", "kv", "-s", dvidkit.store)
    dvidkit.at = (dvidkit.store, ":master", "kv")
    return dvidkit


@pytest.mark.parametrize("value", [b"", b"text\n", bytes(range(256)) * 300, b"\r\n\x1a\x00"])
def test_values_are_binary_safe(kv: Any, value: bytes) -> None:
    """What goes in at stdin comes out at stdout, also between processes."""
    done = kv.process("put", *kv.at, "key", input=value)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = kv.process("get", *kv.at, "key")
    assert (done.returncode, done.stdout, done.stderr) == (0, value, b"")
    assert kv.run("get", *kv.at, "key").stdout_bytes == value


def test_values_from_files(kv: Any) -> None:
    """``-f`` reads a file instead."""
    file = kv.folder / "value"
    file.write_bytes(os.urandom(1000))
    kv.run("put", *kv.at, "key", "-f", file)
    assert kv.run("get", *kv.at, "key").stdout_bytes == file.read_bytes()
    assert "No such file" in kv.fails("put", *kv.at, "key", "-f", kv.folder / "none", code=2)


def test_keys(kv: Any) -> None:
    """In the order of their bytes; for programs as JSON, or ended by NUL."""
    for key in ("b", "a", "ü", "a b", "aa"):
        kv.run("put", *kv.at, key, stdin=key.encode())
    kv.run("delete", *kv.at, "b")
    kv.run("delete", *kv.at, "never there")
    assert kv.text("keys", *kv.at).split("\n") == ["a", "a b", "aa", "ü"]
    assert json.loads(kv.text("keys", *kv.at, "--json")) == ["a", "a b", "aa", "ü"]
    assert kv.run("keys", *kv.at, "-0").stdout_bytes == "a\0a b\0aa\0ü\0".encode()


def test_versions(kv: Any) -> None:
    """VERSION is anything that names one."""
    kv.run("put", *kv.at, "key", stdin=b"old")
    kv.run("node", ":master", "commit", "-s", kv.store)
    kv.run("node", ":master", "newversion", "-s", kv.store)
    kv.run("put", *kv.at, "key", stdin=b"new")
    assert kv.text("get", kv.store, ":master~1", "kv", "key") == "old"
    assert kv.text("get", kv.store, ":", "kv", "key") == "new"
    assert "takes no writes" in kv.fails("put", kv.store, ":master~1", "kv", "key", stdin=b"x")


def test_refusals(kv: Any) -> None:
    """A missing key, instance, version or method."""
    assert "has no key 'none'" in kv.fails("get", *kv.at, "none")
    assert "no data instance 'other'" in kv.fails("get", kv.store, ":master", "other", "key")
    assert "no branch 'side'" in kv.fails("keys", kv.store, ":side", "kv")
    if "uint8blk" in Plugins().datatypes:
        kv.run("repo", ":master", "new", "uint8blk", "gray", "-s", kv.store)
        assert "of datatype 'uint8blk', which has no 'get'" in kv.fails("get", kv.store, ":master", "gray", "key")
        assert "of datatype 'keyvalue', which has no 'read'" in kv.fails("export", *kv.at, kv.folder / "x.npy")
