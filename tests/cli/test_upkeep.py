"""``info``, ``copy``, ``verify``, ``backup``, ``compact`` and ``repair``."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from dvidkit.drivers import ready
from dvidkit.engine import Capability, Engine, Loss, OpenReport, StoreConfig
from dvidkit.kernel import Kernel
from dvidkit.keys import data_key
from dvidkit.plugins import Plugins
from dvidkit.store import Store

ENGINES = ready(Plugins().engines)
PERSISTENT = [name for name, engine in ENGINES.items() if engine.capabilities.durable is not Loss.NONE]
DATATYPE = "keyvalue"

needs_keyvalue = pytest.mark.skipif(DATATYPE not in Plugins().datatypes, reason="no keyvalue datatype is installed")


@pytest.fixture
def kv(dvidkit: Any) -> Any:
    """The command, and a store with values in two versions of a keyvalue instance."""
    root = dvidkit.repo(uuid="0" * 31 + "1")
    dvidkit.run("repo", root, "new", DATATYPE, "kv", "-s", dvidkit.store)
    for number in range(5):
        dvidkit.run("put", dvidkit.store, ":", "kv", f"key{number}", stdin=b"value %d" % number)
    dvidkit.run("node", ":", "commit", "-s", dvidkit.store)
    dvidkit.run("node", ":", "newversion", "-s", dvidkit.store)
    dvidkit.run("delete", dvidkit.store, ":", "kv", "key0")
    dvidkit.run("put", dvidkit.store, ":", "kv", "key1", stdin=b"other")
    return dvidkit


def values(dvidkit: Any, store: str, version: str = ":", instance: str = "kv") -> dict[str, bytes]:
    """All values of an instance."""
    keys = json.loads(dvidkit.text("keys", store, version, instance, "--json"))
    return {key: dvidkit.run("get", store, version, instance, key).stdout_bytes for key in keys}


# --- info ------------------------------------------------------------------------------------------------------------


@needs_keyvalue
def test_info(kv: Any) -> None:
    """The store, its repos and instances; the same as JSON."""
    text = kv.text("info", kv.store)
    assert text.startswith(f"store {kv.store}\n  engine   lmdb (files of layout 1)\n  format   2, with checksums\n")
    assert "\nrepo 00000000000000000000000000000001  test\n  2 versions, 1 open; branches: master\n" in text
    assert "  kv  [keyvalue]  " in text
    found = json.loads(kv.text("info", kv.store, "--json"))
    assert (found["engine"], found["integrity"]) == ("lmdb", True)
    assert found["bytes_on_disk"] > 0
    (repo,) = found["repos"]
    (instance,) = repo["instances"]
    assert (instance["name"], instance["datatype"], instance["rows"]) == ("kv", DATATYPE, 7)
    assert instance["settings"]["compression"] == "lz4"


@needs_keyvalue
def test_info_of_what_is_not_installed(kv: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance whose datatype is missing is listed, and copied, all the same."""
    monkeypatch.setattr("dvidkit.cli.stores.Plugins", lambda: Plugins({"l": _plugin("lmdb")}, installed=False))
    assert "kv  [keyvalue, which is not installed]" in kv.text("info", kv.store)
    assert "needs datatype 'keyvalue', which is not installed" in kv.fails("get", kv.store, ":", "kv", "key1")
    kv.run("copy", kv.store, kv.folder / "copy")
    assert "not installed" in kv.text("info", kv.folder / "copy")


def _plugin(*names: str) -> Any:
    engines = [ENGINES[name] for name in names]
    return type("Some", (), {"dvidkit_engines": staticmethod(lambda: engines)})()


# --- copy ------------------------------------------------------------------------------------------------------------


@needs_keyvalue
@pytest.mark.parametrize(("here", "there"), list(itertools.product(PERSISTENT, PERSISTENT)))
def test_copy_a_store(dvidkit: Any, here: str, there: str) -> None:
    """Between any two engines that keep data; DVID's bytes if asked for."""
    root = dvidkit.repo(here)
    dvidkit.run("repo", root, "new", DATATYPE, "kv", "-s", dvidkit.store)
    for number in range(5):
        dvidkit.run("put", dvidkit.store, ":", "kv", f"key{number}", stdin=b"value %d" % number)
    copy, plain = str(dvidkit.folder / "copy"), str(dvidkit.folder / "plain")
    assert "copied and compared " in dvidkit.text("copy", dvidkit.store, copy, "--engine", there)
    assert values(dvidkit, copy) == values(dvidkit, dvidkit.store)
    assert "all is well" in dvidkit.text("verify", copy)
    dvidkit.run("copy", copy, plain, "--engine", there, "--no-integrity")
    assert "not checked: the store was made without checksums" in dvidkit.text("verify", plain)
    assert values(dvidkit, plain) == values(dvidkit, dvidkit.store)
    assert f"engine   {there} " in dvidkit.text("info", copy)


@needs_keyvalue
def test_copy_refuses(kv: Any) -> None:
    """A target with data, no source, another engine than the target's, a source that is open, wrong options."""
    other = str(kv.folder / "other")
    kv.run("init", other)
    kv.run("repos", "new", "x", "-s", other)
    assert "only copied to an empty one" in kv.fails("copy", kv.store, other)
    assert "there is no store at" in kv.fails("copy", other + "x", other + "y")
    assert "is open already" in kv.fails("copy", kv.store, kv.store)
    assert "keeps nothing on disk" in kv.fails("copy", kv.store, other + "y", "--engine", "memory")
    assert "need --instance" in kv.fails("copy", kv.store, other, "--name", "x", code=2)
    assert "--flatten needs --at" in kv.fails("copy", kv.store, other, "--instance", "kv", "--flatten", code=2)
    assert "no data instance 'none'" in kv.fails("copy", kv.store, other, "--instance", "none")
    with Store(ENGINES["lmdb"], StoreConfig("lmdb", kv.store)):
        assert "is open already" in kv.fails("copy", kv.store, other + "z")


@needs_keyvalue
def test_copy_an_instance(kv: Any) -> None:
    """Into a store that has none of its versions, beside others, again under another name, and in the same store."""
    other = str(kv.folder / "other")
    kv.run("init", other)
    kv.run("repos", "new", "there before", "-s", other)
    assert "copied and compared 7 rows" in kv.text("copy", kv.store, other, "--instance", "kv")
    assert "has a data instance 'kv'" in kv.fails("copy", kv.store, other, "--instance", "kv", "--at", ":")
    kv.run("copy", kv.store, other, "--instance", "kv", "--at", ":master", "--name", "twin")
    kv.run("copy", kv.store, kv.store, "--instance", "kv", "--name", "twin")
    root = "0" * 31 + "1"
    for instance in ("kv", "twin"):
        for version in (root, root + ":"):
            assert values(kv, other, version, instance) == values(kv, kv.store, version)
            assert values(kv, kv.store, version, instance if instance == "twin" else "kv")
    assert "all is well" in kv.text("verify", other)


@needs_keyvalue
def test_copy_flattened(kv: Any) -> None:
    """What one version sees, as the only data of another."""
    other = str(kv.folder / "other")
    kv.run("copy", kv.store, other, "--instance", "kv", "--at", ":", "--flatten")
    assert values(kv, other) == values(kv, kv.store)
    assert values(kv, other, ":~1") == {}
    kv.run("repos", "new", "second", "uuid=" + "2" * 32, "-s", other)
    kv.run("copy", kv.store, other, "--instance", "kv", "--at", ":~1", "--flatten", "--to", "22", "--name", "old")
    assert values(kv, other, "22", "old") == values(kv, kv.store, ":~1")


@needs_keyvalue
def test_an_interrupted_copy_is_continued_by_the_same_command(kv: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then the target is no store."""
    copy = str(kv.folder / "copy")

    def stop(target: Store) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dvidkit.transfer.clear_mark", stop)
        assert kv.run("copy", kv.store, copy, code=1).stderr == "\nAborted!\n"
    assert "unfinished copy" in kv.fails("info", copy)
    assert "unfinished copy" in kv.fails("copy", copy, str(kv.folder / "third"))
    assert "unfinished: a copy of the whole store" in kv.run("verify", copy, code=1).stdout
    assert ", 0 of them now" in kv.text("copy", kv.store, copy)
    assert values(kv, copy) == values(kv, kv.store)


# --- verify ----------------------------------------------------------------------------------------------------------


@needs_keyvalue
def test_verify_names_the_damage(kv: Any) -> None:
    """Exit code 1, the instance and version of a lost row; JSON for programs."""
    assert kv.text("verify", kv.store).endswith("all is well")
    with Kernel(StoreConfig("lmdb", kv.store)) as kernel:
        store = kernel.stores["default"]
        instance = kernel.repos.resolve(":")["kv"].instance
        key, _ = next(store.raw_range_query(data_key(instance.id, b"", 0), b"\x02"))
        store._life.bytes.write([(key, None)], durable=True)
    result = kv.run("verify", kv.store, code=1)
    assert "lost: instance 'kv' (1), version 00000000000000000000000000000001 (1): 1 values lost" in result.stdout
    report = json.loads(kv.run("verify", kv.store, "--json", code=1).stdout)
    assert (report["ok"], report["findings"][0]["name"], report["findings"][0]["rows"]) == (False, "kv", 1)


# --- backup, compact, repair -----------------------------------------------------------------------------------------


@needs_keyvalue
@pytest.mark.parametrize("engine", PERSISTENT)
def test_backup(dvidkit: Any, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the engine, or, where it cannot, by copying: a store that opens and holds the same."""
    root = dvidkit.repo(engine)
    dvidkit.run("repo", root, "new", DATATYPE, "kv", "-s", dvidkit.store)
    dvidkit.run("put", dvidkit.store, ":", "kv", "key", stdin=b"value")
    for name, features in (("own", ENGINES[engine].capabilities.features), ("copied", frozenset[Capability]())):
        target = str(dvidkit.folder / name)
        with monkeypatch.context() as patch:
            declared = ENGINES[engine].capabilities
            patch.setattr(type(ENGINES[engine]), "capabilities", type(declared)(features, declared.durable))
            dvidkit.run("backup", dvidkit.store, target)
        assert values(dvidkit, target) == {"key": b"value"}
        assert "all is well" in dvidkit.text("verify", target)
        assert "there is a store at" in dvidkit.fails("backup", dvidkit.store, target)


@pytest.mark.parametrize("engine", PERSISTENT)
def test_compact_and_repair(dvidkit: Any, engine: str) -> None:
    """Where the engine can; where it cannot, that is said."""
    dvidkit.run("init", dvidkit.store, "--engine", engine)
    features = ENGINES[engine].capabilities.features
    if Capability.COMPACT in features:
        assert "compacted" in dvidkit.text("compact", dvidkit.store)
    else:
        assert f"engine '{engine}' does not do compact" in dvidkit.fails("compact", dvidkit.store)
    if Capability.REPAIR in features:
        assert "can be opened" in dvidkit.text("repair", engine, dvidkit.store)
    else:
        assert f"engine '{engine}' has no repair" in dvidkit.fails("repair", engine, dvidkit.store)


def test_repair_says_what_was_done(dvidkit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's notes, then how to check."""
    dvidkit.run("init", dvidkit.store)

    def repair(self: Engine, path: str) -> OpenReport:
        return OpenReport(notes=("12 bytes were cut off",))

    monkeypatch.setattr(type(ENGINES["lmdb"]), "repair", repair)
    text = dvidkit.text("repair", "lmdb", dvidkit.store)
    assert text.splitlines()[0] == "12 bytes were cut off"
    assert f"dvidkit verify {dvidkit.store}" in text
    assert "no engine 'none'" in dvidkit.fails("repair", "none", dvidkit.store)
