"""The mutation log: order, numbers, forgetting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.samples import Samples

from dvidkit import upkeep
from dvidkit.engine import StoreConfig
from dvidkit.errors import CorruptData
from dvidkit.kernel import Kernel
from dvidkit.mutationlog import MutationLog, MutationRecord
from dvidkit.plugins import Plugins


def opened(path: Path, *, integrity: bool = True) -> Kernel:
    """A kernel on disk with the sample datatypes."""
    config = StoreConfig("lmdb", str(path / "store"), integrity=integrity)
    return Kernel(config, plugins=Plugins({"samples": Samples()}))


@pytest.mark.parametrize("integrity", [True, False])
def test_records_by_number_and_by_instance(tmp_path: Path, integrity: bool) -> None:
    """Numbers grow; ``after`` pages through all, ``of`` has one instance at one version, oldest first."""
    with opened(tmp_path, integrity=integrity) as kernel:
        repo = kernel.repos.create("r")
        for name in ("t", "u"):
            repo.create_instance("sample-tally", name)
        for value in (b"1", b"2", b"3"):
            repo.root["t"].set("a", value)
        repo.root["u"].set("b", b"1")
        log = MutationLog(repo.instance("t").store)
        everything = log.after(0)
        assert [record.number for record in everything] == list(range(1, len(everything) + 1))
        assert [record.action for record in everything] == ["newrepo", "newinstance", "newinstance", *["set"] * 4]
        assert log.last() == everything[-1].number
        assert log.after(0, limit=2) == everything[:2]
        assert log.after(everything[1].number) == everything[2:]
        assert log.after((1 << 64) - 1) == []
        assert list(log.of(repo.instance("t").id, repo.root.id)) == everything[3:6]
        assert list(log.of(repo.instance("u").id, repo.root.id)) == everything[6:]
        assert list(log.of(repo.instance("t").id, 99)) == []


def test_numbers_never_go_back(tmp_path: Path) -> None:
    """Not when the newest records are those of an instance that is deleted: a feed would miss what comes after."""
    with opened(tmp_path) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("sample-tally", "t")
        for number in range(20):
            repo.root["t"].set("a", b"%d" % number)
        last = MutationLog(repo.instance("t").store).last()
        instance = repo.instance("t").id
        MutationLog(repo.instance("t").store).forget(instance)
        assert len(list(MutationLog(repo.instance("t").store).of(instance, repo.root.id))) == 1
    with opened(tmp_path) as kernel:
        repo = next(iter(kernel.repos))
        repo.root["t"].set("a", b"x")
        assert MutationLog(repo.instance("t").store).last() == last + 1


def test_a_deleted_instance_is_forgotten(tmp_path: Path) -> None:
    """Its records go with it; that it was deleted is recorded of the repo."""
    with opened(tmp_path) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("sample-tally", "t")
        repo.root["t"].set("a", b"1")
        instance = repo.instance("t")
        upkeep.delete_instance(instance)
        assert repo.repos.deletions.wait(20)
        log = MutationLog(instance.store)
        assert list(log.of(instance.id, repo.root.id)) == []
        actions = [record.action for record in log.after(0)]
        assert actions == ["newrepo", "newinstance", "deleteinstance"]
        assert log.after(0)[-1].fields == {"Dataname": "t", "DataUUID": instance.uuid}


def test_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    """Is said to be corrupt; nothing is made up."""
    with opened(tmp_path, integrity=False) as kernel:
        store = kernel.stores["default"]
        store.write_own([(b"\x03\x03" + (7).to_bytes(8, "big"), b"\xc1")])
        with pytest.raises(CorruptData):
            MutationLog(store).after(0)


def test_a_record_as_json_leaves_out_what_is_empty() -> None:
    """Only the action and the time are always there."""
    shown: dict[str, Any] = MutationRecord("x", "r", time="t").to_json()
    assert shown == {"Action": "x", "Timestamp": "t"}
